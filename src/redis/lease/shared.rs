//! What the callers of a leased limiter and the task that asks the store have in common.

use super::settings::WhenDown;
use super::stats::Counts;
use super::terms::Terms;
use crate::algorithm::{Lease, Wait};
use crate::answer::Granted;
use crate::bucket::{Grant, Leaves, Left};
use crate::cell::Cell;
use crate::error::Unavailable;
use crate::quota::Quota;
use crate::redis::StoreErrorKind;

/// In place of a lease's word: nothing was counted, since the store was away. No lease ends so late.
pub(crate) const UNCOUNTED: u64 = u64::MAX;

/// The store answers.
const UP: u64 = 0;

#[derive(Debug)]
pub(crate) struct Shared<C> {
    pub(crate) terms: Terms,
    pub(crate) clock: C,
    pub(crate) when_down: WhenDown,
    /// The quota as it was given, and that of this process's share of it.
    pub(crate) quota: Quota,
    pub(crate) share: Quota,
    /// [`UP`], or the code of what is wrong with the store.
    down: Cell,
    /// When the store is tried next, while it is down.
    pub(crate) try_ns: Cell,
    /// The number of outages so far.
    pub(crate) outages: Cell,
    /// How long an ask takes, on average.
    pub(crate) round_trip_ns: Cell,
    pub(crate) counts: Counts,
}

impl<C> Shared<C> {
    pub(crate) fn new(
        terms: Terms,
        clock: C,
        when_down: WhenDown,
        quota: Quota,
        share: Quota,
    ) -> Self {
        let round_trip_ns = Cell::new(1_000_000);
        let (down, try_ns, outages) = (Cell::new(UP), Cell::new(0), Cell::new(0));
        let counts = Counts::new();
        Self { terms, clock, when_down, quota, share, down, try_ns, outages, round_trip_ns, counts }
    }

    /// What is wrong with the store; `None` while it answers.
    #[inline]
    pub(crate) fn down(&self) -> Option<StoreErrorKind> {
        match self.down.load() {
            UP => None,
            code => StoreErrorKind::from_code(code),
        }
    }

    /// Tells callers that the store is away, from now on.
    pub(crate) fn goes_down(&self, kind: StoreErrorKind) {
        if self.down.load() == UP {
            self.outages.add(1);
        }
        self.down.set(kind.code());
    }

    pub(crate) fn is_up_again(&self) {
        self.down.set(UP);
    }

    pub(crate) fn unavailable(&self, kind: StoreErrorKind, now_ns: u64) -> Unavailable {
        let wait_ns = self.try_ns.load().saturating_sub(now_ns).max(self.round_trip_ns.load());
        Unavailable::after(kind.code(), now_ns, wait_ns)
    }

    /// The average of round trips moves an eighth of the way.
    pub(crate) fn took(&self, round_trip_ns: u64) {
        let old = self.round_trip_ns.load();
        self.round_trip_ns.set(old - old / 8 + round_trip_ns / 8);
    }
}

impl<C: core::fmt::Debug + Sync> Shared<C> {
    /// Of the word of what is left of a lease, or of [`UNCOUNTED`], and so of no tokens.
    pub(crate) fn granted(&self, left: u64, now_ns: u64) -> Granted<'_> {
        Granted::new(Grant { terms: self, left, now_ns })
    }
}

/// A process knows what is left of its lease, and not what is left in the store.
impl<C: core::fmt::Debug + Sync> Leaves for Shared<C> {
    fn left(&self, word: u64, now_ns: u64) -> Left {
        let grains = if self.is_degraded(word) { 0 } else { Lease(word).usable(now_ns) };
        let available = self.terms.scale.tokens(grains);
        Left { available, full: Wait::after(now_ns, 0), departs_ns: 0 }
    }

    fn is_degraded(&self, word: u64) -> bool {
        word == UNCOUNTED
    }
}
