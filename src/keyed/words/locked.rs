//! The words of some keys in a map whose shards have locks.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

#[cfg(not(flowgate_loom))]
use dashmap::DashMap;

use super::Swept;
#[cfg(flowgate_loom)]
use super::modelled::LockedMap as DashMap;
use crate::bucket::Gone;
use crate::cell::Cell;

/// The words of some keys in a [`DashMap`].
pub(crate) struct Locked<K, H> {
    map: DashMap<K, Cell, H>,
}

/// The fewest that a DashMap can have. Many maps of few shards, and not one of many, so that a sweep, which
/// goes through a whole map, is short.
const SHARDS: usize = 2;

/// A map is shrunk if it has room for more than this many times its keys.
const SLACK: usize = 4;

/// Smaller maps are not worth shrinking.
const SMALL: usize = 128;

impl<K: Eq + Hash, H: BuildHasher + Clone> Locked<K, H> {
    pub(crate) fn new(hasher: H) -> Self {
        Self { map: DashMap::with_hasher_and_shard_amount(hasher, SHARDS) }
    }

    #[inline]
    pub(super) fn lend<Q, T>(
        &self,
        key: &Q,
        visit: impl FnOnce(&Cell) -> Result<T, Gone>,
    ) -> Option<Result<T, Gone>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        // The shard's read lock is held until the visit is over.
        self.map.get(key).map(|entry| visit(entry.value()))
    }

    pub(super) fn insert(&self, key: K, word: Cell) {
        self.map.insert(key, word);
    }

    pub(super) fn sweep(&self, mut drops: impl FnMut(&K, &Cell, u64) -> Option<u64>) -> Swept {
        let mut swept = Swept::default();
        // Under a shard's write lock: no word of it is lent.
        self.map.retain(|key, word| {
            let drops = drops(key, word, word.load()).is_some();
            swept.visited = swept.visited.saturating_add(1);
            swept.dropped = swept.dropped.saturating_add(drops.into());
            !drops
        });
        let capacity = self.map.capacity();
        if capacity > SMALL && capacity / SLACK > self.map.len() {
            self.map.shrink_to_fit();
        }
        swept
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&K, u64)) {
        #[cfg(not(flowgate_loom))]
        for entry in &self.map {
            visit(entry.key(), entry.value().load());
        }
        #[cfg(flowgate_loom)]
        self.map.visit_all(|key, word| visit(key, word.load()));
    }
}
