//! The words of some keys in a map whose keys are found without a lock.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
#[cfg(not(flowgate_loom))]
use core::hash::{BuildHasherDefault, Hasher};
use std::boxed::Box;

#[cfg(flowgate_loom)]
use super::modelled::Map;
use super::{DEAD, Place, Swept};
use crate::bucket::Gone;
use crate::cell::Cell;

/// The words of some keys, found without a lock.
///
/// A key is dropped in two steps: its word goes from what it was to [`DEAD`], by compare-and-swap, and then
/// the entry goes. Whoever was lent the word before meets the one or loses the swap to the other; so nothing is
/// taken from a bucket that nobody will find again.
pub(crate) struct LockFree<K, H> {
    /// One for each part, so that a sweep is short.
    maps: Box<[Map<K>]>,
    hasher: H,
}

impl<K: Eq + Hash, H: BuildHasher + Clone> LockFree<K, H> {
    pub(crate) fn new(hasher: H, parts: usize) -> Self {
        let maps = (0..parts).map(|_| Map::new()).collect();
        Self { maps, hasher }
    }

    #[inline]
    pub(super) fn hasher(&self) -> &H {
        &self.hasher
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
        let map = &self.maps[part];
        let (outcome, is_dead) = map.with(hash, key, |word| {
            let outcome = visit(word);
            let is_dead = outcome.is_err() && word.load() == DEAD;
            (outcome, is_dead)
        })?;
        if is_dead {
            // Whoever killed it may be stalled before it unlinks it: nobody waits for that.
            map.unlink_if(hash, key, |word| word.load() == DEAD);
            return None;
        }
        Some(outcome)
    }

    pub(super) fn insert(&self, Place { part, hash }: Place, key: K, word: Cell) {
        self.maps[part].insert(hash, key, word);
    }

    pub(super) fn sweep(
        &self,
        part: usize,
        mut drops: impl FnMut(&K, &Cell, u64) -> Option<u64>,
    ) -> Swept {
        let map = &self.maps[part];
        let mut swept = Swept::default();
        map.for_each(|hash, key, word| {
            let seen = word.load();
            if seen == DEAD {
                return;
            }
            swept.visited = swept.visited.saturating_add(1);
            if drops(key, word, seen).is_some_and(|judged| kill(word, judged)) {
                swept.dropped = swept.dropped.saturating_add(1);
                map.unlink_if(hash, key, |word| word.load() == DEAD);
            }
        });
        swept
    }

    pub(super) fn for_each(&self, part: usize, mut visit: impl FnMut(&K, u64)) {
        self.maps[part].for_each(|_, key, word| {
            let word = word.load();
            if word != DEAD {
                visit(key, word);
            }
        });
    }
}

/// Swaps the word `seen` for [`DEAD`], unless somebody has changed it.
fn kill(word: &Cell, seen: u64) -> bool {
    if crate::planted::drop_without_killing() {
        word.set(DEAD);
        return true;
    }
    word.replace(seen, DEAD).is_ok()
}

/// [`papaya::HashMap`]: it moves no entry, so a word that was found stays where it is while the map grows, and
/// lives on while its key is dropped.
#[cfg(not(flowgate_loom))]
struct Map<K>(papaya::HashMap<Hashed<K>, Cell, BuildHasherDefault<AsItIs>>);

#[cfg(not(flowgate_loom))]
impl<K: Eq> Map<K> {
    fn new() -> Self {
        Self(papaya::HashMap::default())
    }

    #[inline(always)]
    fn with<Q, T>(&self, hash: u64, key: &Q, visit: impl FnOnce(&Cell) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        self.0.pin().get(&Sought { hash, key }).map(visit)
    }

    fn insert(&self, hash: u64, key: K, word: Cell) {
        self.0.pin().insert(Hashed { hash, key }, word);
    }

    fn unlink_if<Q>(&self, hash: u64, key: &Q, unlinks: impl Fn(&Cell) -> bool)
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq,
    {
        // Whether it was this call or another's that did so is all the same.
        let _ = self.0.pin().remove_if(&Sought { hash, key }, |_, word| unlinks(word));
    }

    fn for_each(&self, mut visit: impl FnMut(u64, &K, &Cell)) {
        for (hashed, word) in &self.0.pin() {
            visit(hashed.hash, &hashed.key, word);
        }
    }
}

/// A key with its hash, which is worked out once: it tells the part, too.
#[cfg(not(flowgate_loom))]
#[derive(PartialEq, Eq)]
struct Hashed<K> {
    hash: u64,
    key: K,
}

/// A key that is looked for, with its hash.
#[cfg(not(flowgate_loom))]
struct Sought<'a, Q: ?Sized> {
    hash: u64,
    key: &'a Q,
}

#[cfg(not(flowgate_loom))]
impl<K> Hash for Hashed<K> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        state.write_u64(self.hash);
    }
}

#[cfg(not(flowgate_loom))]
impl<Q: ?Sized> Hash for Sought<'_, Q> {
    #[inline]
    fn hash<S: Hasher>(&self, state: &mut S) {
        state.write_u64(self.hash);
    }
}

#[cfg(not(flowgate_loom))]
impl<K: Borrow<Q>, Q: ?Sized + Eq> papaya::Equivalent<Hashed<K>> for Sought<'_, Q> {
    #[inline]
    fn equivalent(&self, other: &Hashed<K>) -> bool {
        self.key == other.key.borrow()
    }
}

/// Takes a hash for what it is.
#[cfg(not(flowgate_loom))]
#[derive(Default)]
struct AsItIs {
    hash: u64,
}

#[cfg(not(flowgate_loom))]
impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.hash
    }

    /// Never called: what is hashed here is one `u64`.
    fn write(&mut self, _bytes: &[u8]) {}

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.hash = hash;
    }
}
