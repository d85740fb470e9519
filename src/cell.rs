//! The one word and the one compare-and-swap loop.
//!
//! # Memory ordering
//!
//! Everything here is `Relaxed`. The word is the whole state of a bucket, so there is no other memory
//! that a load or a store of it would have to be ordered with, and read-modify-write operations on
//! one atomic are totally ordered whatever their ordering. In return a caller may assume nothing
//! beyond the word: being granted tokens does not *happen after* the call that refunded them.

use crate::primitive::{AtomicU64, Ordering};

/// What a decision asks the loop to do.
pub(crate) enum Step<T> {
    /// Replace the word by this one; the outcome stands if nobody else was faster.
    Store(u64, T),
    /// Leave the word alone: a denial, or a change that changes nothing, writes nothing.
    Keep(T),
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

    /// Replaces the word outright: for a clock that is set by hand, not for a bucket.
    #[inline]
    pub(crate) fn set(&self, word: u64) {
        self.word.store(word, Ordering::Relaxed);
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
            match decide(seen) {
                Step::Keep(outcome) => return outcome,
                Step::Store(new, outcome) => match self.replace(seen, new) {
                    Ok(()) => return outcome,
                    Err(newer) => seen = newer,
                },
            }
        }
    }
}
