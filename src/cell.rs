//! The one word and the one compare-and-swap loop.
//!
//! # Memory ordering
//!
//! A word is changed by `Relaxed` read-modify-writes: those of one atomic are totally ordered whatever
//! their ordering, and that order is all the bound needs. There is one other piece of memory that goes
//! with the word, the plan it is read by, and a bit of the word tells which of two plans that is.
//!
//! * [`change_over`](Cell::change_over) flips that bit with `Release`, after the new plan was written.
//! * Whoever reads a plan comes through [`update`](Cell::update) or [`load_to_read`](Cell::load_to_read), whose
//!   `Acquire` pairs with it. The relaxed swaps in between do not break the pair: they are
//!   read-modify-writes, and continue the release sequence.
//! * Whoever reads of a plan no more than its pace comes through [`load_between`](Cell::load_between). The pace was
//!   raised before the word went over to a faster plan, and is lowered by [`publish`](Cell::publish) after it left
//!   one: so it is not too slow for a word that is the same before and after.
//! * The words of a log are many, and are read together: each is replaced by
//!   [`replace_to_read`](Cell::replace_to_read), with `Release`, and read by `load_to_read`. So whoever sees a
//!   word sees all that its writer had seen, and a word that has not changed tells that those written after it have
//!   not.
//! * The fast path reads no plan, and is `Relaxed` throughout.
//!
//! A caller may assume nothing beyond this: being granted tokens does not *happen after* the call that
//! refunded them.

use crate::primitive::{AtomicU64, Ordering, fence, give_way};

/// What a decision asks the loop to do.
pub(crate) enum Step<T> {
    /// Replace the word by this one; the outcome stands if nobody else was faster.
    Store(u64, T),
    /// Leave the word alone: a denial writes nothing.
    Keep(T),
    /// Look again: the plan that goes with the word is being replaced, so the word has been.
    Again,
}

/// One atomic word.
#[derive(Debug)]
pub(crate) struct Cell {
    word: AtomicU64,
}

impl Cell {
    // loom's atomics are made at run time.
    #[cfg(not(flowgate_loom))]
    pub(crate) const fn new(word: u64) -> Self {
        Self { word: AtomicU64::new(word) }
    }

    #[cfg(flowgate_loom)]
    pub(crate) fn new(word: u64) -> Self {
        Self { word: AtomicU64::new(word) }
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    /// Reads the word in order to read the plan that goes with it.
    #[inline]
    pub(crate) fn load_to_read(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Reads a word that goes with another, between two reads of that one.
    #[inline]
    pub(crate) fn load_between(&self) -> u64 {
        fence(Ordering::Acquire);
        self.load_to_read()
    }

    /// Replaces the word outright: for a clock that is set by hand, not for a bucket.
    #[inline]
    pub(crate) fn set(&self, word: u64) {
        self.word.store(word, Ordering::Relaxed);
    }

    /// Replaces the word outright, for whoever comes through [`load_to_read`](Self::load_to_read) to read what
    /// was written before.
    #[inline]
    pub(crate) fn publish(&self, word: u64) {
        self.word.store(word, Ordering::Release);
    }

    /// Adds to the word, wrapping, and gives the sum: for a clock that is set by hand.
    #[inline]
    pub(crate) fn add(&self, more: u64) -> u64 {
        self.word.fetch_add(more, Ordering::Relaxed).wrapping_add(more)
    }

    /// Replaces the word `seen` by `new`, unless it has changed: then the newer one is returned.
    #[inline(always)]
    pub(crate) fn replace(&self, seen: u64, new: u64) -> Result<(), u64> {
        if crate::planted::load_then_store() {
            self.set(new);
            return Ok(());
        }
        match self.word.compare_exchange_weak(seen, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(newer) => Err(newer),
        }
    }

    /// Decides on the word `seen`, and again on each newer one until a decision stands.
    ///
    /// `decide` is pure and may run several times. It is given nothing but the word: the time was read
    /// before, once, so a thread that is overtaken decides about its own time and not about a later
    /// one.
    #[inline]
    pub(crate) fn update<T>(&self, seen: u64, mut decide: impl FnMut(u64) -> Step<T>) -> T {
        let mut seen = seen;
        loop {
            // Whatever load or failed swap `seen` came from, the plan it names is visible from here on.
            fence(Ordering::Acquire);
            match decide(seen) {
                Step::Keep(outcome) => return outcome,
                Step::Again => {
                    give_way();
                    seen = self.load();
                }
                Step::Store(new, outcome) => match self.replace(seen, new) {
                    Ok(()) => return outcome,
                    Err(newer) => seen = newer,
                },
            }
        }
    }

    /// Replaces the word `seen`, unless it has changed, for whoever comes through [`load_to_read`](Self::load_to_read)
    /// to read what was written before.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn replace_to_read(&self, seen: u64, new: u64) -> bool {
        if crate::planted::log_without_comparing() {
            self.publish(new);
            return true;
        }
        self.change_over(seen, new)
    }

    /// Replaces the word `seen` by one that is to be read by another plan, unless it has changed.
    #[inline]
    pub(crate) fn change_over(&self, seen: u64, new: u64) -> bool {
        self.word.compare_exchange(seen, new, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}
