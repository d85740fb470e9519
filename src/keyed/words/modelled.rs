//! The maps as loom sees them: a list behind loom's lock. loom cannot see the locks and atomics of the real
//! ones; what is modelled is what they promise.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ops::Deref;
use std::vec::Vec;

use crate::cell::Cell;
use crate::primitive::{Arc, RwLock};

/// As a DashMap's shards: a word is lent under the read lock.
pub(super) struct Shards<K, H> {
    shards: Vec<RwLock<Vec<(K, Cell)>>>,
    hasher: H,
}

impl<K: Eq + Hash, H: BuildHasher> Shards<K, H> {
    pub(super) fn new(hasher: H, shards: usize) -> Self {
        let shards = (0..shards).map(|_| RwLock::new(Vec::new())).collect();
        Self { shards, hasher }
    }

    pub(super) fn hasher(&self) -> &H {
        &self.hasher
    }

    pub(super) fn with<Q, T>(
        &self,
        shard: usize,
        _hash: u64,
        key: &Q,
        visit: impl FnOnce(&Cell) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        let shard = self.shards[shard].read().unwrap();
        let (_, word) = shard.iter().find(|(other, _)| other.borrow() == key)?;
        Some(visit(word))
    }

    pub(super) fn insert(&self, shard: usize, _hash: u64, key: K, word: Cell) {
        self.shards[shard].write().unwrap().push((key, word));
    }

    pub(super) fn retain(&self, shard: usize, mut keeps: impl FnMut(&K, &Cell) -> bool) {
        self.shards[shard].write().unwrap().retain(|(key, word)| keeps(key, word));
    }
}

/// As papaya: whoever found a word keeps it, whatever becomes of the entry.
pub(super) struct Map<K> {
    entries: RwLock<Vec<Arc<(K, Cell)>>>,
}

impl<K: Eq> Map<K> {
    pub(super) fn new() -> Self {
        Self { entries: RwLock::new(Vec::new()) }
    }

    pub(super) fn with<Q, T>(
        &self,
        _hash: u64,
        key: &Q,
        visit: impl FnOnce(&Cell) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        let found = |entry: &&Arc<(K, Cell)>| entry.0.borrow() == key;
        let entry = self.entries.read().unwrap().iter().find(found).cloned()?;
        Some(visit(&entry.deref().1))
    }

    pub(super) fn insert(&self, _hash: u64, key: K, word: Cell) {
        let mut entries = self.entries.write().unwrap();
        entries.retain(|entry| entry.0 != key);
        entries.push(Arc::new((key, word)));
    }

    pub(super) fn unlink_if<Q>(&self, _hash: u64, key: &Q, unlinks: impl Fn(&Cell) -> bool)
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        let mut entries = self.entries.write().unwrap();
        entries.retain(|entry| entry.0.borrow() != key || !unlinks(&entry.1));
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(u64, &K, &Cell)) {
        let entries: Vec<_> = self.entries.read().unwrap().iter().cloned().collect();
        for entry in entries {
            visit(0, &entry.0, &entry.1);
        }
    }
}
