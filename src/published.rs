//! A few words that change together, seldom, and are read all the time without a lock.
//!
//! Two slots take turns. A writer fills the slot that nobody is sent to, then moves the version on; a
//! reader goes to the slot that the version names and starts again only if the version has moved
//! while it was reading. So a reader never waits for a writer, not even for one that has stalled, and
//! a read costs plain loads of memory that is almost never written.
//!
//! # Memory ordering
//!
//! * A reader's `Acquire` load of the version pairs with the `Release` store in
//!   [`publish`](Turn::publish): whoever sees version *v* sees slot *v* as it was filled for *v*.
//! * A reader's `Acquire` fence before its second load of the version pairs with the writer's
//!   `Release` fence before it fills a slot: a reader that saw any word of the filling for *v* + 2
//!   then sees at least version *v* + 1, and starts again.
//! * The words themselves are `Relaxed`: they are ordered by the version and the fences.
//! * A writer takes turns by an `Acquire` exchange that pairs with the `Release` store by which the
//!   one before it let go.

use crate::primitive::{AtomicU64, Ordering, fence, give_way};

#[derive(Debug)]
pub(crate) struct Published<const WORDS: usize> {
    version: AtomicU64,
    slots: [[AtomicU64; WORDS]; 2],
    /// 1 while somebody holds a [`Turn`].
    writing: AtomicU64,
}

/// The right to publish, held by one thread at a time.
#[derive(Debug)]
pub(crate) struct Turn<'a, const WORDS: usize> {
    published: &'a Published<WORDS>,
}

impl<const WORDS: usize> Published<WORDS> {
    #[cfg(not(flowgate_loom))]
    pub(crate) const fn new(words: [u64; WORDS]) -> Self {
        let mut slots = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let mut at = 0;
        while at < WORDS {
            slots[0][at] = AtomicU64::new(words[at]);
            at += 1;
        }
        Self { version: AtomicU64::new(0), slots, writing: AtomicU64::new(0) }
    }

    #[cfg(flowgate_loom)]
    pub(crate) fn new(words: [u64; WORDS]) -> Self {
        let slot = |words: [u64; WORDS]| words.map(AtomicU64::new);
        let slots = [slot(words), slot([0; WORDS])];
        Self { version: AtomicU64::new(0), slots, writing: AtomicU64::new(0) }
    }

    /// Reads words that were published together.
    #[inline]
    pub(crate) fn read(&self) -> [u64; WORDS] {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let [even, odd] = &self.slots;
            let slot = if version & 1 == 0 { even } else { odd };
            let words = core::array::from_fn(|at| slot[at].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version || crate::planted::torn_read() {
                return words;
            }
        }
    }

    /// Waits for the right to publish. Only writers ever wait here, for writers.
    pub(crate) fn turn(&self) -> Turn<'_, WORDS> {
        loop {
            if let Some(turn) = self.try_turn() {
                return turn;
            }
            give_way();
        }
    }

    /// Takes the right to publish unless somebody else has it.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_, WORDS>> {
        let free =
            self.writing.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Made only if it was free: dropping a turn ends it.
        (free || crate::planted::take_anothers_turn()).then(|| Turn { published: self })
    }
}

impl<const WORDS: usize> Turn<'_, WORDS> {
    pub(crate) fn publish(&mut self, words: [u64; WORDS]) {
        let published = self.published;
        // Only a turn's holder writes the version, and the exchange that gave the turn ordered us
        // after the holder before.
        let next = published.version.load(Ordering::Relaxed).wrapping_add(1);
        let [even, odd] = &published.slots;
        let slot = if next & 1 == 0 { even } else { odd };
        fence(Ordering::Release);
        for (word, new) in slot.iter().zip(words) {
            word.store(new, Ordering::Relaxed);
        }
        published.version.store(next, Ordering::Release);
    }
}

impl<const WORDS: usize> Drop for Turn<'_, WORDS> {
    fn drop(&mut self) {
        self.published.writing.store(0, Ordering::Release);
    }
}
