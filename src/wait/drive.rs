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
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { left_ns: u64::try_from(most.as_nanos()).unwrap_or(u64::MAX) }
    }

    pub(super) const fn endless() -> Self {
        Self { left_ns: u64::MAX }
    }

    /// Reserves, or tells when to try again, or why not.
    fn hold<S: Source>(&self, source: &S, cost: S::Cost) -> Result<S::Held, Again<S::Denied>> {
        source.hold(cost, self.left_ns)
    }

    /// For how long to sleep before trying again; that much less patience is left.
    fn nap(&mut self, nap: Nap) -> Duration {
        let spread_ns = (u128::from(nap.spread_ns).wrapping_mul(spread().into())) >> 64;
        // Below what it is a fraction of.
        let spread_ns = u64::try_from(spread_ns).unwrap_or(0);
        let nap_ns = nap.least_ns.saturating_add(spread_ns).clamp(1, self.left_ns.max(1));
        if self.left_ns != u64::MAX {
            self.left_ns = self.left_ns.saturating_sub(nap_ns);
        }
        Duration::from_nanos(nap_ns.min(LONGEST_SLEEP_NS))
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

/// For how long to sleep until what is reserved is good; with a draw of `jitter`, if it is not good already.
fn first_nap<S: Source>(reservation: &mut Reservation<S>, jitter: Option<&Jitter>) -> Duration {
    let wait = reservation.wait();
    match jitter {
        Some(jitter) if !wait.is_zero() => wait.saturating_add(jitter.draw()),
        _ => wait,
    }
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
            Err(Again { nap: Some(nap), .. }) => timer.sleep(patience.nap(nap)).await,
        }
    };
    // Whoever drops this future has used nothing, even if what it waited for is good by then.
    let mut reservation = Reservation::new(source, held).on_drop(OnDrop::GiveBack);
    let mut nap = first_nap(&mut reservation, jitter);
    while !nap.is_zero() {
        timer.sleep(at_most_a_day(nap)).await;
        nap = reservation.wait();
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
            Err(Again { nap: Some(nap), .. }) => std::thread::sleep(patience.nap(nap)),
        }
    };
    let mut reservation = Reservation::new(source, held);
    let mut nap = first_nap(&mut reservation, jitter);
    while !nap.is_zero() {
        std::thread::sleep(at_most_a_day(nap));
        nap = reservation.wait();
    }
    Ok(reservation)
}
