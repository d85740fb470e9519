//! The words of all keys, in one of two maps, in parts.
//!
//! Both find a word and lend it. They differ in what a word may meet while it is lent.
//!
//! * [`Locked`]: nobody drops a key while its word is lent. Lending takes a shard's read lock.
//! * [`LockFree`]: lending takes no lock, and a key may be dropped meanwhile. So its word is first swapped from
//!   full to [`DEAD`]: whoever then comes with a compare-and-swap meets that, and looks the key up again.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

use crate::bucket::Gone;
use crate::cell::Cell;

#[cfg(any(feature = "papaya", flowgate_loom))]
mod lock_free;
mod locked;
#[cfg(flowgate_loom)]
mod modelled;

#[cfg(any(feature = "papaya", flowgate_loom))]
pub(crate) use lock_free::LockFree;
pub(crate) use locked::Locked;

/// The word of a key that is about to be dropped.
#[cfg(any(feature = "papaya", flowgate_loom))]
pub(crate) const DEAD: u64 = 0;

/// The words of all keys. A part is what is gone through at once; a key's is told by its hash.
pub(crate) enum Words<K, H> {
    Locked(Locked<K, H>),
    #[cfg(any(feature = "papaya", flowgate_loom))]
    LockFree(LockFree<K, H>),
}

/// Where a key is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) part: usize,
    pub(crate) hash: u64,
}

impl<K: Eq + Hash, H: BuildHasher + Clone> Words<K, H> {
    /// The hash of a key: by the one hasher that the map has, for a copy may hash in another way.
    #[inline]
    pub(crate) fn hash_of<Q: ?Sized + Hash>(&self, key: &Q) -> u64 {
        match self {
            Self::Locked(map) => map.hasher().hash_one(key),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            Self::LockFree(map) => map.hasher().hash_one(key),
        }
    }

    /// Lends the word of `key`, if it is there. `visit` may find that the bucket is gone.
    #[inline(always)]
    pub(crate) fn lend<Q, T>(
        &self,
        place: Place,
        key: &Q,
        visit: impl FnOnce(&Cell) -> Result<T, Gone>,
    ) -> Option<Result<T, Gone>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        match self {
            Self::Locked(map) => map.lend(place, key, visit),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            Self::LockFree(map) => map.lend(place, key, visit),
        }
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&self, place: Place, key: K, word: Cell) {
        match self {
            Self::Locked(map) => map.insert(place, key, word),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            Self::LockFree(map) => map.insert(place, key, word),
        }
    }

    /// Visits all keys of a part and drops those of which `drops` says so. Returns how many there were, and how many it
    /// dropped. `drops` is given the word as it is, and returns the one that it has judged, which the key is
    /// dropped with.
    pub(crate) fn sweep(
        &self,
        part: usize,
        drops: impl FnMut(&K, &Cell, u64) -> Option<u64>,
    ) -> Swept {
        match self {
            Self::Locked(map) => map.sweep(part, drops),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            Self::LockFree(map) => map.sweep(part, drops),
        }
    }

    /// Visits all keys of a part.
    pub(crate) fn for_each(&self, part: usize, visit: impl FnMut(&K, u64)) {
        match self {
            Self::Locked(map) => map.for_each(part, visit),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            Self::LockFree(map) => map.for_each(part, visit),
        }
    }
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) visited: u64,
    pub(crate) dropped: u64,
}
