//! A few words that change together, for a reader who never waits: one who meets a writer is told so.
//!
//! # Memory ordering
//!
//! A sequence lock. The version is odd while a writer is at work.
//!
//! * A reader's first, `Acquire` load of the version pairs with the writer's last, `Release` store: an
//!   even version shows the words written before it.
//! * A reader's `Acquire` fence before its second load pairs with the writer's `Release` fence after it
//!   made the version odd: a reader that saw a word of a later writing sees a later version.
//! * A writer takes turns by the `Acquire` exchange that makes the version odd, which pairs with the
//!   store that made it even.

use crate::primitive::{AtomicU64, Ordering, fence, give_way};

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
    pub(crate) const fn new(words: [u64; WORDS]) -> Self {
        let mut filled = [const { AtomicU64::new(0) }; WORDS];
        let mut at = 0;
        while at < WORDS {
            filled[at] = AtomicU64::new(words[at]);
            at += 1;
        }
        Self { version: AtomicU64::new(0), words: filled }
    }

    #[cfg(flowgate_loom)]
    pub(crate) fn new(words: [u64; WORDS]) -> Self {
        Self { version: AtomicU64::new(0), words: words.map(AtomicU64::new) }
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

    /// Waits for the right to write. Only writers ever wait here, for writers.
    pub(crate) fn turn(&self) -> Turn<'_, WORDS> {
        loop {
            if let Some(turn) = self.try_turn() {
                return turn;
            }
            give_way();
        }
    }

    /// Takes the right to write unless somebody else has it.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_, WORDS>> {
        let version = self.version.load(Ordering::Relaxed);
        if version & 1 == 1 && !crate::planted::take_anothers_turn() {
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
    #[cfg(any(feature = "tsc", flowgate_loom))]
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
