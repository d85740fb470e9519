//! What a process holds of one key: the lease that is being spent, and the one after it. Given the time; no clock and no IO.

use crossbeam_utils::CachePadded;

use crate::algorithm::Lease;
use crate::cell::{Cell, Step};
use crate::primitive::step_aside;

/// The leases of one key.
///
/// Grains are in one of three places: in the word that is spent, in the word of what comes next, or in the hand of the one thread that
/// has swapped that word for nothing. So none is spent twice, whatever the threads do; and what a thread that is stopped has in hand is
/// spent by nobody until then, or has ended.
#[derive(Debug)]
pub(crate) struct Local {
    /// What is spent: one swap a decision.
    current: CachePadded<Cell>,
    /// What was leased meanwhile.
    next: Cell,
}

impl Local {
    pub(crate) fn new() -> Self {
        let none = || Cell::new(Lease::NONE.0);
        Self { current: CachePadded::new(none()), next: none() }
    }

    /// Takes `wanted` grains, if they are here and may be used at `now_ns`, and tells how much is left of the lease that they were taken
    /// from, and when it ends: of two, the one that ends first.
    #[inline(always)]
    pub(crate) fn take(&self, wanted: u64, now_ns: u64) -> Option<Lease> {
        let seen = Lease(self.current.load());
        let Some(left) = seen.take(wanted, now_ns) else { return self.take_next(wanted, now_ns) };
        match self.current.replace(seen.0, left.0) {
            Ok(()) => Some(left),
            Err(_) => self.take_in_a_crowd(wanted, now_ns),
        }
    }

    /// Takes where others take, too: see `bucket::take_in_a_crowd`.
    #[cold]
    #[inline(never)]
    fn take_in_a_crowd(&self, wanted: u64, now_ns: u64) -> Option<Lease> {
        loop {
            step_aside();
            let seen = Lease(self.current.load());
            let Some(left) = seen.take(wanted, now_ns) else {
                return self.take_next(wanted, now_ns);
            };
            if self.current.replace(seen.0, left.0).is_ok() {
                return Some(left);
            }
        }
    }

    /// Goes over to the next lease, if both together hold it.
    #[cold]
    #[inline(never)]
    fn take_next(&self, wanted: u64, now_ns: u64) -> Option<Lease> {
        loop {
            let next = Lease(self.next.load());
            let seen = Lease(self.current.load());
            if let Some(left) = seen.take(wanted, now_ns) {
                // Somebody else has gone over meanwhile.
                match self.current.replace(seen.0, left.0) {
                    Ok(()) => return Some(left),
                    Err(_) => continue,
                }
            }
            seen.take_from_both(next, wanted, now_ns)?;
            if crate::planted::spend_what_is_not_claimed()
                || self.next.replace(next.0, Lease::NONE.0).is_ok()
            {
                // If others have taken in between, it may be too little after all; then it is here for all, and one looks again.
                if let Some(left) = self.spend(next, wanted, now_ns) {
                    return Some(left);
                }
            }
        }
    }

    /// Takes `wanted` from the current lease and the one in hand, or puts that one to the current one.
    fn spend(&self, in_hand: Lease, wanted: u64, now_ns: u64) -> Option<Lease> {
        self.current.update(self.current.load(), |word| {
            let current = Lease(word);
            match current.take_from_both(in_hand, wanted, now_ns) {
                // What is told ends when the first of what was taken would have.
                Some(left)
                    if current.usable(now_ns) > 0 && !crate::planted::tell_the_later_end() =>
                {
                    Step::Store(left.0, Some(left.ending_with(current)))
                }
                Some(left) => Step::Store(left.0, Some(left)),
                None => Step::Store(current.with(in_hand, now_ns).0, None),
            }
        })
    }

    /// Takes as many grains as are here, at most `most`, and returns how many.
    pub(crate) fn take_up_to(&self, most: u64, now_ns: u64) -> u64 {
        let of = |cell: &Cell, most: u64| {
            cell.update(cell.load(), |word| {
                let take = Lease(word).usable(now_ns).min(most);
                match Lease(word).take(take, now_ns) {
                    Some(left) if take > 0 => Step::Store(left.0, take),
                    _ => Step::Keep(0),
                }
            })
        };
        let taken = of(&self.current, most);
        taken.saturating_add(of(&self.next, most.saturating_sub(taken)))
    }

    /// Adds a lease.
    pub(crate) fn bring(&self, lease: Lease, now_ns: u64) {
        self.next
            .update(self.next.load(), |word| Step::Store(Lease(word).with(lease, now_ns).0, ()));
    }

    /// Gives back grains that were taken from a lease that ends at tick `ended`, if what is being spent does not last longer. Otherwise
    /// they are lost: they would be used later than they may be.
    pub(crate) fn give_back(&self, grains: u64, ended: u64, now_ns: u64) -> bool {
        self.current.update(self.current.load(), |word| {
            match Lease(word).give(grains, ended, now_ns) {
                Some(more) => Step::Store(more.0, true),
                None => Step::Keep(false),
            }
        })
    }

    /// The grains that may be used at `now_ns`. Those that a thread has in hand are not among them.
    pub(crate) fn usable(&self, now_ns: u64) -> u64 {
        let next = Lease(self.next.load()).usable(now_ns);
        Lease(self.current.load()).usable(now_ns).saturating_add(next)
    }

    /// Whether there is a lease to go over to.
    #[cfg(feature = "redis")]
    pub(crate) fn has_next(&self, now_ns: u64) -> bool {
        Lease(self.next.load()).usable(now_ns) > 0
    }
}

/// What models call: leases by their grains and ends.
#[cfg(flowgate_loom)]
#[doc(hidden)]
#[allow(missing_docs, missing_debug_implementations, unreachable_pub)]
pub mod modelled {
    use super::{Lease, Local};

    pub struct Leases(Local);

    impl Default for Leases {
        fn default() -> Self {
            Self(Local::new())
        }
    }

    impl Leases {
        pub fn bring(&self, grains: u64, ends_ns: u64, now_ns: u64) {
            self.0.bring(Lease::new(grains, ends_ns), now_ns);
        }

        /// What is left of the lease that it was taken from, and the tick at which that ends.
        pub fn take(&self, grains: u64, now_ns: u64) -> Option<(u64, u64)> {
            self.0.take(grains, now_ns).map(|left| (left.grains(), left.ends()))
        }

        pub fn take_up_to(&self, grains: u64, now_ns: u64) -> u64 {
            self.0.take_up_to(grains, now_ns)
        }

        pub fn give_back(&self, grains: u64, ended: u64, now_ns: u64) -> bool {
            self.0.give_back(grains, ended, now_ns)
        }

        pub fn usable(&self, now_ns: u64) -> u64 {
            self.0.usable(now_ns)
        }
    }
}
