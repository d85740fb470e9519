//! Tokens that were leased until some time: a word that nothing flows into, and that ends.
//!
//! Nothing here refills. A batch comes from a store, is spent one subtraction at a time, and what is left of it when it ends is lost.

/// The bits of an amount.
const AMOUNT_BITS: u32 = 25;
const AMOUNT_MASK: u64 = (1 << AMOUNT_BITS) - 1;
/// Ends are counted in ticks of 2^20 ns, about a millisecond. The 39 bits of them are 18 years of a process's clock.
const TICK_SHIFT: u32 = 20;
const LAST_TICK: u64 = (1 << (64 - AMOUNT_BITS)) - 1;

/// The most grains that one word holds: 33,554,431.
pub(crate) const LARGEST_LEASE: u64 = AMOUNT_MASK;

/// The word of a lease.
///
/// ```text
///  63 ........ 25 | 24 ........ 0
///  ends, in ticks | grains
/// ```
///
/// A lease may be used at times before the start of the tick at which it ends. The word 0 is no lease: it ended at time 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease(pub(crate) u64);

impl Lease {
    pub(crate) const NONE: Self = Self(0);

    /// A lease of `grains` that ends at `ends_ns` or up to a tick before. What a word does not hold is left out.
    pub(crate) fn new(grains: u64, ends_ns: u64) -> Self {
        let ends = (ends_ns >> TICK_SHIFT).min(LAST_TICK);
        Self((ends << AMOUNT_BITS) | grains.min(LARGEST_LEASE))
    }

    /// The grains, whether or not they may still be used.
    #[inline]
    pub(crate) fn grains(self) -> u64 {
        self.0 & AMOUNT_MASK
    }

    /// The tick at which it ends, which tells two leases apart where their ends are.
    #[inline]
    pub(crate) fn ends(self) -> u64 {
        self.0 >> AMOUNT_BITS
    }

    #[inline]
    pub(crate) fn is_live(self, now_ns: u64) -> bool {
        crate::planted::spend_what_has_ended() || (now_ns >> TICK_SHIFT) < self.ends()
    }

    /// This lease, said to end when `other` does, if that is earlier.
    pub(crate) fn ending_with(self, other: Self) -> Self {
        Self((self.ends().min(other.ends()) << AMOUNT_BITS) | self.grains())
    }

    /// The grains that may be used at `now_ns`.
    #[inline]
    pub(crate) fn usable(self, now_ns: u64) -> u64 {
        if self.is_live(now_ns) { self.grains() } else { 0 }
    }

    /// The lease after `wanted` grains are taken from it, if it holds them.
    #[inline(always)]
    pub(crate) fn take(self, wanted: u64, now_ns: u64) -> Option<Self> {
        // Not above the grains: nothing is borrowed from the end.
        (wanted <= self.grains() && self.is_live(now_ns))
            .then_some(Self(self.0.wrapping_sub(wanted)))
    }

    /// Both leases as one, which ends when the first of them does: nothing is used later than it may be.
    pub(crate) fn with(self, other: Self, now_ns: u64) -> Self {
        let (mine, others) = (self.usable(now_ns), other.usable(now_ns));
        let ends = match (mine, others) {
            (0, _) => other.ends(),
            (_, 0) => self.ends(),
            _ if crate::planted::stretch_what_is_left() => self.ends().max(other.ends()),
            _ => self.ends().min(other.ends()),
        };
        let grains = mine.saturating_add(others).min(LARGEST_LEASE);
        Self((ends << AMOUNT_BITS) | grains)
    }

    /// The lease after `grains` that were taken from one that ended at tick `ended` are given back; `None` if this one ends later,
    /// since they would be used later than they may be.
    pub(crate) fn give(self, grains: u64, ended: u64, now_ns: u64) -> Option<Self> {
        let is_in_time = self.ends() <= ended || crate::planted::give_back_to_a_later_lease();
        let sum = self.grains().saturating_add(grains).min(LARGEST_LEASE);
        (is_in_time && self.is_live(now_ns)).then_some(Self((self.ends() << AMOUNT_BITS) | sum))
    }

    /// This lease, and `next`, after `wanted` grains are taken from both together: from this one first, since it ends first as a rule.
    /// `None` if they do not hold it.
    pub(crate) fn take_from_both(self, next: Self, wanted: u64, now_ns: u64) -> Option<Self> {
        let mine = self.usable(now_ns);
        match wanted.saturating_sub(mine) {
            0 => self.take(wanted, now_ns).map(|left| left.with(next, now_ns)),
            // All of this one, and a part of the other, which keeps its end.
            rest => next.take(rest, now_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK_NS: u64 = 1 << TICK_SHIFT;

    #[test]
    fn what_was_leased_cannot_be_used_when_its_time_is_over() {
        let lease = Lease::new(10, 5 * TICK_NS + 17);
        assert_eq!(lease.usable(5 * TICK_NS - 1), 10);
        assert_eq!(lease.usable(5 * TICK_NS), 0);
        assert_eq!(lease.take(1, 5 * TICK_NS), None);
        assert_eq!(Lease::NONE.take(0, 0), None);
    }

    #[test]
    fn more_than_a_word_holds_is_left_out() {
        let lease = Lease::new(u64::MAX, u64::MAX);
        assert_eq!((lease.grains(), lease.ends()), (LARGEST_LEASE, LAST_TICK));
        assert_eq!(lease.with(lease, 0).grains(), LARGEST_LEASE);
        assert_eq!(lease.give(1, LAST_TICK, 0).unwrap().grains(), LARGEST_LEASE);
    }

    #[test]
    fn what_is_given_back_lasts_no_longer_than_it_would_have() {
        let (early, late) = (Lease::new(5, 3 * TICK_NS), Lease::new(5, 4 * TICK_NS));
        assert_eq!(early.give(2, late.ends(), 0), Some(Lease::new(7, 3 * TICK_NS)));
        assert_eq!(late.give(2, early.ends(), 0), None);
        assert_eq!(early.give(2, early.ends(), 3 * TICK_NS), None);
    }

    proptest! {
        #[test]
        fn fields_come_back_as_they_were_put(grains in 0..=LARGEST_LEASE, tick in 0..=LAST_TICK) {
            let lease = Lease::new(grains, tick << TICK_SHIFT);
            prop_assert_eq!((lease.grains(), lease.ends()), (grains, tick));
        }

        /// Of two leases together, at any time: what is taken and what is left is what was there, and none of it lasts longer.
        #[test]
        fn two_leases_together_make_nothing(
            grains in [0..=LARGEST_LEASE / 2, 0..=LARGEST_LEASE / 2],
            ticks in [0_u64..100, 0_u64..100],
            now in 0_u64..100,
            wanted in 0..=LARGEST_LEASE,
        ) {
            let lease = |at: usize| Lease::new(grains[at], ticks[at] * TICK_NS);
            let now_ns = now * TICK_NS;
            let usable = |later: u64| (0..2).map(|at| lease(at).usable(later)).sum::<u64>();
            let taken = lease(0).take_from_both(lease(1), wanted, now_ns);
            let is_there = wanted <= usable(now_ns) && (wanted > 0 || lease(0).is_live(now_ns));
            prop_assert_eq!(taken.is_some(), is_there);
            if let Some(left) = taken {
                prop_assert_eq!(left.usable(now_ns) + wanted, usable(now_ns));
                for later in now..100 {
                    prop_assert!(left.usable(later * TICK_NS) <= usable(later * TICK_NS));
                }
            }
            let both = lease(0).with(lease(1), now_ns);
            prop_assert_eq!(both.usable(now_ns), usable(now_ns));
            for later in now..100 {
                prop_assert!(both.usable(later * TICK_NS) <= usable(later * TICK_NS));
            }
        }
    }
}
