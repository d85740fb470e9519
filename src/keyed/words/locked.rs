//! The words of all keys in a map whose shards have locks.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

#[cfg(flowgate_loom)]
use super::modelled::Shards;
use super::{Place, Swept};
use crate::bucket::Gone;
use crate::cell::Cell;

/// The words of all keys, lent under a shard's read lock: nobody drops a key while its word is lent.
///
/// A part is a shard.
pub(crate) struct Locked<K, H> {
    shards: Shards<K, H>,
}

impl<K: Eq + Hash, H: BuildHasher + Clone> Locked<K, H> {
    pub(crate) fn new(hasher: H, parts: usize) -> Self {
        Self { shards: Shards::new(hasher, parts) }
    }

    #[inline]
    pub(super) fn hasher(&self) -> &H {
        self.shards.hasher()
    }

    #[inline(always)]
    pub(crate) fn lend<Q, T>(
        &self,
        Place { part, hash }: Place,
        key: &Q,
        visit: impl FnOnce(&Cell) -> Result<T, Gone>,
    ) -> Option<Result<T, Gone>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.shards.with(part, hash, key, visit)
    }

    pub(super) fn insert(&self, Place { part, hash }: Place, key: K, word: Cell) {
        self.shards.insert(part, hash, key, word);
    }

    pub(super) fn sweep(
        &self,
        part: usize,
        mut drops: impl FnMut(&K, &Cell, u64) -> Option<u64>,
    ) -> Swept {
        let mut swept = Swept::default();
        // Under the shard's write lock: no word of it is lent.
        self.shards.retain(part, |key, word| {
            let drops = drops(key, word, word.load()).is_some();
            swept.visited = swept.visited.saturating_add(1);
            swept.dropped = swept.dropped.saturating_add(drops.into());
            !drops
        });
        swept
    }

    pub(super) fn for_each(&self, part: usize, mut visit: impl FnMut(&K, u64)) {
        self.shards.retain(part, |key, word| {
            visit(key, word.load());
            true
        });
    }
}

/// The shards of a [`DashMap`](dashmap::DashMap), each found by us: a key is hashed once, there may be any number of
/// them, and one can be gone through without the others.
#[cfg(not(flowgate_loom))]
struct Shards<K, H> {
    map: dashmap::DashMap<K, Cell, H>,
}

#[cfg(not(flowgate_loom))]
impl<K: Eq + Hash, H: BuildHasher + Clone> Shards<K, H> {
    /// A DashMap has a power of two of them, and two at least. The rest stay empty.
    fn new(hasher: H, shards: usize) -> Self {
        let shards = shards.next_power_of_two().max(2);
        Self { map: dashmap::DashMap::with_hasher_and_shard_amount(hasher, shards) }
    }

    #[inline(always)]
    fn with<Q, T>(
        &self,
        shard: usize,
        hash: u64,
        key: &Q,
        visit: impl FnOnce(&Cell) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        let shard = self.map.shards()[shard].read();
        let (_, word) = shard.get(hash, |(other, _)| other.borrow() == key)?;
        Some(visit(word.get()))
    }

    fn insert(&self, shard: usize, hash: u64, key: K, word: Cell) {
        let mut shard = self.map.shards()[shard].write();
        let entry = (key, dashmap::SharedValue::new(word));
        shard.insert(hash, entry, |(key, _)| self.map.hasher().hash_one(key));
    }

    #[inline]
    fn hasher(&self) -> &H {
        self.map.hasher()
    }

    /// Lays out anew those that `keeps` keeps, in a table that fits: a table cannot be thinned out where it is without
    /// `unsafe`.
    fn retain(&self, shard: usize, mut keeps: impl FnMut(&K, &Cell) -> bool) {
        let hash_of = |(key, _): &Entry<K>| self.hasher().hash_one(key);
        let mut table = self.map.shards()[shard].write();
        let capacity = table.capacity();
        let old = core::mem::take(&mut *table);
        table.reserve(capacity, hash_of);
        // What the caller's code for keys may do, and with it `keeps`, is panic. Then all the rest is kept.
        let mut moving = Moving {
            old: old.into_iter(),
            current: None,
            put: |entry: Entry<K>| {
                let hash = hash_of(&entry);
                table.insert(hash, entry, hash_of);
            },
        };
        while moving.next() {
            if moving.current.as_ref().is_some_and(|entry| !keeps(&entry.0, entry.1.get())) {
                moving.current = None;
            }
        }
        drop(moving);
        // Room for twice as many is kept, so that the next keys do not make it grow at once.
        let twice = table.len().saturating_mul(2);
        if twice < capacity / 2 {
            table.shrink_to(twice, hash_of);
        }
    }
}

#[cfg(not(flowgate_loom))]
type Entry<K> = (K, dashmap::SharedValue<Cell>);

/// Entries on their way from one table to another: whatever happens, those that are left are put.
#[cfg(not(flowgate_loom))]
struct Moving<K, I: Iterator<Item = Entry<K>>, P: FnMut(Entry<K>)> {
    old: I,
    current: Option<Entry<K>>,
    put: P,
}

#[cfg(not(flowgate_loom))]
impl<K, I: Iterator<Item = Entry<K>>, P: FnMut(Entry<K>)> Moving<K, I, P> {
    /// Puts the entry that was looked at, if it is still there, and goes on to the next.
    fn next(&mut self) -> bool {
        if let Some(entry) = self.current.take() {
            (self.put)(entry);
        }
        self.current = self.old.next();
        self.current.is_some()
    }
}

#[cfg(not(flowgate_loom))]
impl<K, I: Iterator<Item = Entry<K>>, P: FnMut(Entry<K>)> Drop for Moving<K, I, P> {
    fn drop(&mut self) {
        while self.next() {}
    }
}
