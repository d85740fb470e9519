//! The words of some keys in a map whose keys are found without a lock.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use std::boxed::Box;

#[cfg(flowgate_loom)]
use super::modelled::Map;
use super::{DEAD, Swept};
use crate::bucket::Gone;
use crate::cell::Cell;

/// The words of some keys, found without a lock.
///
/// A key is dropped in two steps: its word goes from what it was to [`DEAD`], by compare-and-swap, and then
/// the entry goes. Whoever was lent the word before meets the one or loses the swap to the other; so nothing is
/// taken from a bucket that nobody will find again.
pub(crate) struct LockFree<K, H> {
    /// One for each part, so that a sweep is short.
    maps: Box<[Map<K, H>]>,
    hasher: H,
}

impl<K: Eq + Hash, H: BuildHasher + Clone> LockFree<K, H> {
    pub(crate) fn new(hasher: H, parts: usize) -> Self {
        let maps = (0..parts).map(|_| Map::new(hasher.clone())).collect();
        Self { maps, hasher }
    }

    #[inline]
    pub(super) fn hasher(&self) -> &H {
        &self.hasher
    }

    #[inline]
    pub(super) fn lend<Q, T>(
        &self,
        part: usize,
        key: &Q,
        visit: impl FnOnce(&Cell) -> Result<T, Gone>,
    ) -> Option<Result<T, Gone>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let map = &self.maps[part];
        let (outcome, is_dead) = map.with(key, |word| {
            let outcome = visit(word);
            let is_dead = outcome.is_err() && word.load() == DEAD;
            (outcome, is_dead)
        })?;
        if is_dead {
            // Whoever killed it may be stalled before it unlinks it: nobody waits for that.
            map.unlink_if(key, |word| word.load() == DEAD);
            return None;
        }
        Some(outcome)
    }

    pub(super) fn insert(&self, part: usize, key: K, word: Cell) {
        self.maps[part].insert(key, word);
    }

    pub(super) fn sweep(
        &self,
        part: usize,
        mut drops: impl FnMut(&K, &Cell, u64) -> Option<u64>,
    ) -> Swept {
        let map = &self.maps[part];
        let mut swept = Swept::default();
        map.for_each(|key, word| {
            let seen = word.load();
            if seen == DEAD {
                return;
            }
            swept.visited = swept.visited.saturating_add(1);
            if drops(key, word, seen).is_some_and(|judged| kill(word, judged)) {
                swept.dropped = swept.dropped.saturating_add(1);
                map.unlink_if(key, |word| word.load() == DEAD);
            }
        });
        swept
    }

    pub(super) fn for_each(&self, part: usize, mut visit: impl FnMut(&K, u64)) {
        self.maps[part].for_each(|key, word| {
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
struct Map<K, H>(papaya::HashMap<K, Cell, H>);

#[cfg(not(flowgate_loom))]
impl<K: Eq + Hash, H: BuildHasher> Map<K, H> {
    fn new(hasher: H) -> Self {
        Self(papaya::HashMap::with_hasher(hasher))
    }

    #[inline]
    fn with<Q, T>(&self, key: &Q, visit: impl FnOnce(&Cell) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.0.pin().get(key).map(visit)
    }

    fn insert(&self, key: K, word: Cell) {
        self.0.pin().insert(key, word);
    }

    fn unlink_if<Q>(&self, key: &Q, unlinks: impl Fn(&Cell) -> bool)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        // Whether it was this call or another's that did so is all the same.
        let _ = self.0.pin().remove_if(key, |_, word| unlinks(word));
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &Cell)) {
        for (key, word) in &self.0.pin() {
            visit(key, word);
        }
    }
}
