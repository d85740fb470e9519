//! How many keys there may be, and what becomes of one more.

use std::boxed::Box;

use crossbeam_utils::CachePadded;

use crate::cell::Cell;

/// What becomes of a new key while a [`KeyedLimiter`](crate::KeyedLimiter) holds
/// [`max_keys`](crate::KeyedBuilder::max_keys) keys that are all in use.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota, WhenFull};
///
/// for (when_full, carol) in [(WhenFull::Share, true), (WhenFull::DenyNew, false), (WhenFull::GrantNew, true)] {
///     let users = KeyedLimiter::<String>::builder(Quota::per_minute(2))
///         .max_keys(2)
///         .when_full(when_full)
///         .build_with_clock(ManualClock::new())?;
///     assert!(users.is_allowed("alice") && users.is_allowed("bob"));
///     assert_eq!(users.is_allowed("carol"), carol);
///     assert_eq!(users.len(), 2);
/// }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// It shares a bucket with others, one of [`limits::SHARED_BUCKETS`](crate::limits::SHARED_BUCKETS),
    /// picked by hash. Nobody is ever over-granted; who shares gets less. (Keys of several tiers that share are
    /// together held to the largest of their quotas.) When there is room again the key gets a bucket of its own,
    /// which begins as full as the shared one is.
    #[default]
    Share,
    /// It is denied: [`Denied::NoRoom`](crate::Denied::NoRoom).
    DenyNew,
    /// It is granted what one full bucket holds, at every call, and nothing is kept of it: **no limit holds
    /// for it**. For services that would rather be open than fair.
    GrantNew,
}

/// The count of keys, its limit, and the buckets that those share who find no room.
#[derive(Debug)]
pub(crate) struct Room {
    keys: CachePadded<Cell>,
    max_keys: u64,
    pub(crate) when_full: WhenFull,
    shared: Box<[Cell]>,
    /// What each of them begins as. It does not come back: time goes on, or something is taken.
    pub(crate) unshared_word: u64,
}

/// The place of a key, given back unless the key is really added: copying it may panic.
pub(crate) struct Taken<'a> {
    room: &'a Room,
    is_kept: bool,
}

impl Taken<'_> {
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.room.give_back(1);
        }
    }
}

/// A power of two: one is picked by some bits of a hash.
pub(crate) const SHARED_BUCKETS: u64 = 4_096;

impl Room {
    pub(crate) fn new(unshared_word: u64, max_keys: u64, when_full: WhenFull) -> Self {
        let shared = if when_full == WhenFull::Share {
            let many = max_keys.min(SHARED_BUCKETS).next_power_of_two();
            (0..many).map(|_| Cell::new(unshared_word)).collect()
        } else {
            Box::default()
        };
        let keys = CachePadded::new(Cell::new(0));
        Self { keys, max_keys, when_full, shared, unshared_word }
    }

    /// For a limiter that turns away those for whom there is no room.
    pub(crate) fn deny_new(max_keys: u64) -> Self {
        let keys = CachePadded::new(Cell::new(0));
        Self {
            keys,
            max_keys,
            when_full: WhenFull::DenyNew,
            shared: Box::default(),
            unshared_word: 0,
        }
    }

    pub(crate) fn max_keys(&self) -> u64 {
        self.max_keys
    }

    /// The keys that are held.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.keys() >= self.max_keys
    }

    /// Takes the place of one more key, if there is one.
    pub(crate) fn take(&self) -> Option<Taken<'_>> {
        if self.is_full() {
            return None;
        }
        let taken = Taken { room: self, is_kept: false };
        // If others were faster it is dropped, and so given back.
        (self.keys.add(1) <= self.max_keys).then_some(taken)
    }

    /// Takes the place of one more key, whether there is one or not.
    pub(crate) fn take_anyway(&self) -> Taken<'_> {
        self.keys.add(1);
        Taken { room: self, is_kept: false }
    }

    pub(crate) fn give_back(&self, keys: u64) {
        // Adding is modular: this is a subtraction.
        self.keys.add(keys.wrapping_neg());
    }

    /// Makes a bucket that nobody has shared yet one of now: it may be older than a word can tell.
    pub(crate) fn renew(&self, shared: &Cell, unshared_now: u64) {
        if shared.load() == self.unshared_word {
            // If somebody else was faster it is shared.
            let _ = shared.change_over(self.unshared_word, unshared_now);
        }
    }

    /// The bucket that a key of this hash shares while there is no room.
    pub(crate) fn shared(&self, hash: u64) -> Option<&Cell> {
        // Not the bits that pick a part, nor those that a map looks at first.
        let at = usize::try_from((hash >> 8) & SHARED_BUCKETS.wrapping_sub(1)).unwrap_or(0);
        self.shared.get(at.checked_rem(self.shared.len())?)
    }
}
