//! A few words that change together, for a reader who can do without them now and then.
//!
//! Where [`Published`](crate::published::Published) never lets a reader down, at the price of one load
//! that depends on another, this is one slot at a fixed place: a reader who meets a writer gets `None`
//! at once, and never waits.
//!
//! # Memory ordering
//!
//! A sequence lock. The version is odd while a writer is at work.
//!
//! * A reader's first, `Acquire` load of the version pairs with the writer's last, `Release` store: an
//!   even version shows the words written before it.
//! * A reader's `Acquire` fence before its second load pairs with the writer's `Release` fence after it
//!   made the version odd: a reader that saw a word of a later writing sees a later version.
//! * A writer takes turns by the `Acquire` exchange that makes the version odd.

use crate::primitive::{AtomicU64, Ordering, fence};

#[derive(Debug)]
pub(crate) struct Seqlock<const WORDS: usize> {
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// The right to write, held by one thread at a time. While it is held, readers get `None`.
#[derive(Debug)]
pub(crate) struct Turn<'a, const WORDS: usize> {
    lock: &'a Seqlock<WORDS>,
    version: u64,
}

impl<const WORDS: usize> Seqlock<WORDS> {
    #[cfg(not(flowgate_loom))]
    pub(crate) const fn zeroed() -> Self {
        Self { version: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; WORDS] }
    }

    #[cfg(flowgate_loom)]
    pub(crate) fn zeroed() -> Self {
        Self { version: AtomicU64::new(0), words: [0; WORDS].map(AtomicU64::new) }
    }

    /// Reads words that were written together, unless somebody is writing.
    #[inline]
    pub(crate) fn try_read(&self) -> Option<[u64; WORDS]> {
        let version = self.version.load(Ordering::Acquire);
        let words = core::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let unchanged =
            self.version.load(Ordering::Relaxed) == version || crate::planted::half_written();
        (unchanged && version & 1 == 0).then_some(words)
    }

    /// Takes the right to write unless somebody else has it.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_, WORDS>> {
        let version = self.version.load(Ordering::Relaxed);
        if version & 1 == 1 {
            return None;
        }
        let odd = version.wrapping_add(1);
        let taken =
            self.version.compare_exchange(version, odd, Ordering::Acquire, Ordering::Relaxed);
        fence(Ordering::Release);
        // Made only if taken: dropping a turn ends it.
        taken.is_ok().then(|| Turn { lock: self, version: odd })
    }
}

impl<const WORDS: usize> Turn<'_, WORDS> {
    /// Reads the words as they are: nobody else can change them.
    pub(crate) fn read(&self) -> [u64; WORDS] {
        core::array::from_fn(|at| self.lock.words[at].load(Ordering::Relaxed))
    }

    pub(crate) fn write(&mut self, words: [u64; WORDS]) {
        for (word, new) in self.lock.words.iter().zip(words) {
            word.store(new, Ordering::Relaxed);
        }
    }
}

impl<const WORDS: usize> Drop for Turn<'_, WORDS> {
    fn drop(&mut self) {
        self.lock.version.store(self.version.wrapping_add(1), Ordering::Release);
    }
}
