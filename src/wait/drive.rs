//! What waits, and the two loops in which it does: one that sleeps as a future, one that sleeps as a thread.

use core::future::Future;
use core::time::Duration;

use super::jitter::Jitter;
use super::reservation::Reservation;
use super::source::{Again, Sealed, Source};
use super::timer::Timer;
use crate::cell::Cell;
use crate::held::Nap;

/// Nobody sleeps for longer at a time; then it looks again.
const LONGEST_SLEEP_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// A time that no clock of this crate shows.
const NOT_KNOWN: u64 = u64::MAX;

/// What is left of the time that somebody would wait.
pub(super) struct Patience {
    left_ns: u64,
    /// When none is left, on the clock of the source; [`NOT_KNOWN`] until the first nap, or if it is endless.
    until_ns: u64,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { left_ns: u64::try_from(most.as_nanos()).unwrap_or(u64::MAX), until_ns: NOT_KNOWN }
    }

    pub(super) const fn endless() -> Self {
        Self { left_ns: u64::MAX, until_ns: NOT_KNOWN }
    }

    /// Reserves, or tells when to try again, or why not.
    #[inline]
    fn hold<S: Source>(&mut self, source: &S, cost: S::Cost) -> Result<S::Held, Again<S::Denied>> {
        self.look_at_the_clock(source);
        source.hold(cost, self.left_ns)
    }

    /// It counts from now on, if it has not begun to.
    #[inline]
    fn count_down<S: Source>(&mut self, source: &S) {
        if self.left_ns != u64::MAX && self.until_ns == NOT_KNOWN {
            self.until_ns = source.now_ns().saturating_add(self.left_ns);
        }
    }

    /// For how long to sleep before trying again.
    fn nap<S: Source>(&mut self, source: &S, nap: Nap, jitter: Option<&Jitter>) -> Duration {
        self.count_down(source);
        let spread_ns = (u128::from(nap.spread_ns).wrapping_mul(spread().into())) >> 64;
        // Below what it is a fraction of.
        let spread_ns = u64::try_from(spread_ns).unwrap_or(0);
        let nap_ns = nap.least_ns.saturating_add(spread_ns);
        let nap = jitter
            .map_or(Duration::ZERO, Jitter::draw)
            .saturating_add(Duration::from_nanos(nap_ns));
        at_most_a_day(nap.clamp(Duration::from_nanos(1), Duration::from_nanos(self.left_ns.max(1))))
    }

    /// So much is left after a nap, however long it was: a timer may be early or late. No clock gives any back.
    #[inline]
    fn look_at_the_clock<S: Source>(&mut self, source: &S) {
        if self.until_ns != NOT_KNOWN {
            self.left_ns = self.left_ns.min(self.until_ns.saturating_sub(source.now_ns()));
        }
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

/// Where somebody waits, and how.
pub(super) trait Way {
    type Source: Source;
    type Timer;

    fn source(&self) -> &Self::Source;
    fn timer(&self) -> &Self::Timer;
    fn jitter(&self) -> Option<&Jitter>;
}

impl<W: Way> Way for &W {
    type Source = W::Source;
    type Timer = W::Timer;

    fn source(&self) -> &W::Source {
        (**self).source()
    }

    fn timer(&self) -> &W::Timer {
        (**self).timer()
    }

    fn jitter(&self) -> Option<&Jitter> {
        (**self).jitter()
    }
}

/// The way of who has a timer, and no jitter.
pub(super) struct Plain<S, T> {
    pub(super) source: S,
    pub(super) timer: T,
}

impl<S: Source, T> Way for Plain<S, T> {
    type Source = S;
    type Timer = T;

    fn source(&self) -> &S {
        &self.source
    }

    fn timer(&self) -> &T {
        &self.timer
    }

    fn jitter(&self) -> Option<&Jitter> {
        None
    }
}

type Cost<W> = <<W as Way>::Source as Sealed>::Cost;
type HeldBy<W> = <<W as Way>::Source as Sealed>::Held;
type DeniedBy<W> = <<W as Way>::Source as Sealed>::Denied;

/// Somebody who waits. A hundred thousand may, so each holds what it needs at one time only, and once.
///
/// Until it is handed over nobody has used what it holds: one that is dropped gives it back, late as it may be.
pub(super) struct Waiter<W: Way> {
    way: W,
    stage: Stage<Cost<W>, HeldBy<W>>,
}

enum Stage<C, H> {
    /// Nothing is taken yet.
    Wants(C, Patience),
    /// It was taken, and will be good. The patience ends at this time, [`NOT_KNOWN`] if it is endless.
    Holds(H, u64),
    /// It was handed over, or denied.
    Over,
}

enum Next<H> {
    Sleep(Duration),
    Take(H),
}

impl<W: Way> Waiter<W> {
    pub(super) fn new(way: W, cost: Cost<W>, patience: Patience) -> Self {
        Self { way, stage: Stage::Wants(cost, patience) }
    }

    #[inline(never)]
    fn next(&mut self) -> Result<Next<HeldBy<W>>, DeniedBy<W>> {
        if let Stage::Holds(held, until_ns) = &mut self.stage {
            let source = self.way.source();
            // Only a changed quota makes it longer than it was told.
            let told_ns = if *until_ns == NOT_KNOWN { u64::MAX } else { source.told_ns(held) };
            let wait_ns = source.wait_ns(held);
            if wait_ns == 0 {
                let held = *held;
                self.stage = Stage::Over;
                return Ok(Next::Take(held));
            }
            let left_ns = until_ns.saturating_sub(source.now_ns());
            if wait_ns <= told_ns || wait_ns <= left_ns {
                return Ok(Next::Sleep(at_most_a_day(Duration::from_nanos(wait_ns))));
            }
            // Beyond its patience. Everything goes back, and it is asked for once more.
            let (cost, patience) =
                (source.cost_of(held), Patience { left_ns, until_ns: *until_ns });
            source.take_back(held);
            self.stage = Stage::Wants(cost, patience);
        }
        self.ask()
    }

    /// Takes what it wants, if that comes in time.
    fn ask(&mut self) -> Result<Next<HeldBy<W>>, DeniedBy<W>> {
        let (source, jitter) = (self.way.source(), self.way.jitter());
        let Stage::Wants(cost, patience) = &mut self.stage else {
            // Nobody asks on.
            return Ok(Next::Sleep(at_most_a_day(Duration::MAX)));
        };
        match patience.hold(source, *cost) {
            Ok(held) if W::Source::is_good_at_once(&held) => {
                self.stage = Stage::Over;
                Ok(Next::Take(held))
            }
            Ok(held) => {
                patience.count_down(source);
                let wait_ns = W::Source::first_wait_ns(&held);
                let most = Duration::from_nanos(patience.left_ns.saturating_sub(wait_ns));
                let more = jitter.map_or(Duration::ZERO, Jitter::draw).min(most);
                self.stage = Stage::Holds(held, patience.until_ns);
                let nap = Duration::from_nanos(wait_ns).saturating_add(more);
                Ok(Next::Sleep(at_most_a_day(nap)))
            }
            Err(Again { nap: Some(nap), .. }) => Ok(Next::Sleep(patience.nap(source, nap, jitter))),
            Err(Again { denied, nap: None }) => {
                self.stage = Stage::Over;
                Err(denied)
            }
        }
    }

    /// What can be given without waiting, and without looking at anything twice.
    #[inline(always)]
    fn at_once<G: Give<W::Source>>(&mut self) -> Option<G::Given> {
        let Stage::Wants(cost, _) = &self.stage else { return None };
        let given = G::at_once(self.way.source(), *cost)?;
        self.stage = Stage::Over;
        Some(given)
    }

    /// Waits, and gives what is held.
    // An `async fn` would hold its argument twice.
    #[allow(clippy::manual_async_fn)]
    pub(super) fn wait<G: Give<W::Source>>(
        mut self,
    ) -> impl Future<Output = Result<G::Given, DeniedBy<W>>>
    where
        W::Timer: Timer,
    {
        async move {
            if let Some(given) = self.at_once::<G>() {
                return Ok(given);
            }
            loop {
                // Nothing of this is there any more when it sleeps.
                let nap = match self.next()? {
                    Next::Take(held) => return Ok(G::give(self.way.source(), held)),
                    Next::Sleep(nap) => nap,
                };
                self.way.timer().sleep(nap).await;
            }
        }
    }

    /// As [`wait`](Self::wait), blocking the thread.
    pub(super) fn block<G: Give<W::Source>>(mut self) -> Result<G::Given, DeniedBy<W>> {
        if let Some(given) = self.at_once::<G>() {
            return Ok(given);
        }
        loop {
            match self.next()? {
                Next::Take(held) => return Ok(G::give(self.way.source(), held)),
                Next::Sleep(nap) => std::thread::sleep(nap),
            }
        }
    }
}

impl<W: Way> Drop for Waiter<W> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Holds(held, _) = &self.stage {
            self.way.source().take_back(held);
        }
    }
}

/// What becomes of what was waited for.
pub(super) trait Give<S: Source> {
    type Given;

    /// Of what is there at once.
    fn at_once(source: &S, cost: S::Cost) -> Option<Self::Given>;

    fn give(source: &S, held: S::Held) -> Self::Given;
}

/// It is kept, and told of.
pub(super) struct Keep;

impl<S: Source> Give<S> for Keep {
    type Given = S::Granted;

    #[inline(always)]
    fn at_once(source: &S, cost: S::Cost) -> Option<S::Granted> {
        source.take_now(cost)
    }

    fn give(source: &S, held: S::Held) -> S::Granted {
        source.granted(&held)
    }
}

/// It is handed over, to be kept, settled or given back.
pub(super) struct HandOver;

impl<S: Source + Clone> Give<S> for HandOver {
    type Given = Reservation<S>;

    /// What may be given back must be held.
    #[inline(always)]
    fn at_once(_source: &S, _cost: S::Cost) -> Option<Reservation<S>> {
        None
    }

    fn give(source: &S, held: S::Held) -> Reservation<S> {
        Reservation::begun(source.clone(), held)
    }
}
