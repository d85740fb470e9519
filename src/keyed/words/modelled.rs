//! The maps as loom sees them: a list behind loom's lock. loom cannot see the locks and atomics of the real
//! ones; what is modelled is what they promise.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ops::Deref;
use std::vec::Vec;

use crate::cell::Cell;
use crate::primitive::{Arc, RwLock, RwLockReadGuard};

/// As a DashMap of one shard: an entry holds the read lock.
pub(super) struct LockedMap<K, V, H> {
    shard: RwLock<Vec<(K, V)>>,
    _hasher: H,
}

pub(super) struct Entry<'a, K, V> {
    shard: RwLockReadGuard<'a, Vec<(K, V)>>,
    at: usize,
}

impl<K, V> Entry<'_, K, V> {
    pub(super) fn value(&self) -> &V {
        &self.shard[self.at].1
    }
}

impl<K: Eq + Hash, V, H: BuildHasher> LockedMap<K, V, H> {
    pub(super) fn with_hasher_and_shard_amount(hasher: H, _shards: usize) -> Self {
        Self { shard: RwLock::new(Vec::new()), _hasher: hasher }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<Entry<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let shard = self.shard.read().unwrap();
        let at = shard.iter().position(|(other, _)| other.borrow() == key)?;
        Some(Entry { shard, at })
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.shard.write().unwrap().push((key, value));
    }

    pub(super) fn retain(&self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        self.shard.write().unwrap().retain_mut(|(key, value)| keeps(key, value));
    }

    pub(super) fn visit_all(&self, mut visit: impl FnMut(&K, &V)) {
        self.shard.read().unwrap().iter().for_each(|(key, value)| visit(key, value));
    }

    pub(super) fn capacity(&self) -> usize {
        0
    }

    pub(super) fn len(&self) -> usize {
        self.shard.read().unwrap().len()
    }

    pub(super) fn shrink_to_fit(&self) {}
}

/// As papaya: whoever found a word keeps it, whatever becomes of the entry.
pub(super) struct Map<K, H> {
    entries: RwLock<Vec<Arc<(K, Cell)>>>,
    _hasher: H,
}

impl<K: Eq + Hash, H: BuildHasher> Map<K, H> {
    pub(super) fn new(hasher: H) -> Self {
        Self { entries: RwLock::new(Vec::new()), _hasher: hasher }
    }

    pub(super) fn with<Q, T>(&self, key: &Q, visit: impl FnOnce(&Cell) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let found = |entry: &&Arc<(K, Cell)>| entry.0.borrow() == key;
        let entry = self.entries.read().unwrap().iter().find(found).cloned()?;
        Some(visit(&entry.deref().1))
    }

    pub(super) fn insert(&self, key: K, word: Cell) {
        let mut entries = self.entries.write().unwrap();
        entries.retain(|entry| entry.0 != key);
        entries.push(Arc::new((key, word)));
    }

    pub(super) fn unlink_if<Q>(&self, key: &Q, unlinks: impl Fn(&Cell) -> bool)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let mut entries = self.entries.write().unwrap();
        entries.retain(|entry| entry.0.borrow() != key || !unlinks(&entry.1));
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&K, &Cell)) {
        let entries: Vec<_> = self.entries.read().unwrap().iter().cloned().collect();
        for entry in entries {
            visit(&entry.0, &entry.1);
        }
    }
}
