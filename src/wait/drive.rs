//! The two loops that wait: one that sleeps as a future, one that sleeps as a thread.

use core::time::Duration;

use super::jitter::Jitter;
use super::reservation::{OnDrop, Reservation};
use super::source::{Again, Source};
use super::timer::Timer;
use crate::cell::Cell;
use crate::held::Nap;

/// Nobody sleeps for longer at a time; then it looks again.
const LONGEST_SLEEP_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// What is left of the time that somebody would wait.
pub(super) struct Patience {
    left_ns: u64,
    /// When none is left, on the clock of the source; known from the first nap on.
    until_ns: Option<u64>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { left_ns: u64::try_from(most.as_nanos()).unwrap_or(u64::MAX), until_ns: None }
    }

    pub(super) const fn endless() -> Self {
        Self { left_ns: u64::MAX, until_ns: None }
    }

    /// Reserves, or tells when to try again, or why not.
    fn hold<S: Source>(&self, source: &S, cost: S::Cost) -> Result<S::Held, Again<S::Denied>> {
        source.hold(cost, self.left_ns)
    }

    /// For how long to sleep before trying again.
    fn nap<S: Source>(&mut self, source: &S, nap: Nap, jitter: Option<&Jitter>) -> Duration {
        self.count_from_now(|| source.now_ns());
        let spread_ns = (u128::from(nap.spread_ns).wrapping_mul(spread().into())) >> 64;
        // Below what it is a fraction of.
        let spread_ns = u64::try_from(spread_ns).unwrap_or(0);
        let nap_ns = nap.least_ns.saturating_add(spread_ns);
        let jitter = jitter.map_or(Duration::ZERO, Jitter::draw);
        let nap = Duration::from_nanos(nap_ns).saturating_add(jitter).min(self.left());
        at_most_a_day(nap.max(Duration::from_nanos(1)))
    }

    fn count_from_now(&mut self, now_ns: impl FnOnce() -> u64) {
        if self.left_ns != u64::MAX && self.until_ns.is_none() {
            self.until_ns = Some(now_ns().saturating_add(self.left_ns));
        }
    }

    /// So much is left after a nap, however long it was: a timer may be early or late. No clock gives any back.
    fn look_at(&mut self, now_ns: impl FnOnce() -> u64) {
        if let Some(until_ns) = self.until_ns {
            self.left_ns = self.left_ns.min(until_ns.saturating_sub(now_ns()));
        }
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.left_ns)
    }

    /// For how long to sleep until what is reserved is good; with a draw of `jitter`, if it is not good already, as far as
    /// the patience reaches.
    fn first_nap<S: Source>(
        &mut self,
        reservation: &mut Reservation<S>,
        jitter: Option<&Jitter>,
    ) -> Duration {
        let wait = reservation.wait();
        if wait.is_zero() {
            return wait;
        }
        self.count_from_now(|| reservation.now_ns());
        match jitter {
            Some(jitter) => wait.saturating_add(jitter.draw()).min(self.left().max(wait)),
            None => wait,
        }
    }

    /// For how long to sleep on. If a quota was lowered, so that this is more than the patience, everything goes back,
    /// and it is asked for once more.
    fn next_nap<S: Source>(
        &mut self,
        reservation: &mut Reservation<S>,
        cost: S::Cost,
    ) -> Result<Duration, S::Denied> {
        let (told, wait) = (reservation.told(), reservation.wait());
        if wait <= told {
            return Ok(wait);
        }
        self.look_at(|| reservation.now_ns());
        if wait > self.left() {
            reservation.renew(cost, self.left_ns).map_err(|again| again.denied)?;
        }
        Ok(reservation.wait())
    }
}

/// A fraction of 2^64: each is as far from those before it as can be (multiples of the golden ratio).
fn spread() -> u64 {
    #[cfg(not(flowgate_loom))]
    {
        static LAST: Cell = Cell::new(0);
        LAST.add(0x9e37_79b9_7f4a_7c15)
    }
    #[cfg(flowgate_loom)]
    Cell::new(0).load()
}

fn at_most_a_day(nap: Duration) -> Duration {
    nap.min(Duration::from_nanos(LONGEST_SLEEP_NS))
}

pub(super) async fn acquire<S: Source, T: Timer>(
    source: S,
    cost: S::Cost,
    mut patience: Patience,
    timer: &T,
    jitter: Option<&Jitter>,
) -> Result<Reservation<S>, S::Denied> {
    let held = loop {
        match patience.hold(&source, cost) {
            Ok(held) => break held,
            Err(Again { denied, nap: None }) => return Err(denied),
            Err(Again { nap: Some(nap), .. }) => {
                timer.sleep(patience.nap(&source, nap, jitter)).await;
                patience.look_at(|| source.now_ns());
            }
        }
    };
    // Until it is handed over nobody has used it: a future that is dropped gives it back, late as it may be.
    let mut reservation = Reservation::new(source, held).on_drop(OnDrop::GiveBack);
    let mut nap = patience.first_nap(&mut reservation, jitter);
    while !nap.is_zero() {
        timer.sleep(at_most_a_day(nap)).await;
        nap = patience.next_nap(&mut reservation, cost)?;
    }
    Ok(reservation.on_drop(OnDrop::Keep))
}

pub(super) fn acquire_blocking<S: Source>(
    source: S,
    cost: S::Cost,
    mut patience: Patience,
    jitter: Option<&Jitter>,
) -> Result<Reservation<S>, S::Denied> {
    let held = loop {
        match patience.hold(&source, cost) {
            Ok(held) => break held,
            Err(Again { denied, nap: None }) => return Err(denied),
            Err(Again { nap: Some(nap), .. }) => {
                std::thread::sleep(patience.nap(&source, nap, jitter));
                patience.look_at(|| source.now_ns());
            }
        }
    };
    let mut reservation = Reservation::new(source, held);
    let mut nap = patience.first_nap(&mut reservation, jitter);
    while !nap.is_zero() {
        std::thread::sleep(at_most_a_day(nap));
        nap = patience.next_nap(&mut reservation, cost)?;
    }
    Ok(reservation)
}
