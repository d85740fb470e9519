//! The bucket of each key: found, added, dropped when full, and sent away to handles. Given the time.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use std::borrow::ToOwned;
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::vec::Vec;

use super::away::{Away, AwayBucket, Lent};
use super::divided::Divided;
use super::part::{Changes, Part};
use super::room::{Room, Taken, WhenFull};
use super::tiers::Tiers;
use super::words::{Place, Swept, Words};
use crate::algorithm::{Layout, ManyRules};
use crate::bucket::{Bucket, Gone, Read};
use crate::cell::{Cell, Step};
use crate::primitive::{Arc, RwLock, give_way};
use crate::terms::Terms;

/// The buckets of all keys.
pub(crate) struct Buckets<K, H, R: ManyRules> {
    /// The limiter's own quota.
    pub(crate) terms: Arc<Terms<R>>,
    pub(crate) tiers: Arc<Tiers<R>>,
    pub(crate) room: Room,
    pub(crate) words: Words<K, H>,
    parts: Box<[Part]>,
    /// The part that is to be searched next for room.
    next: Cell,
    /// The buckets that have handles. Their words in the maps say [`away_word`](Self::away_word).
    away: RwLock<HashMap<K, Away, H>>,
    /// How many stripes a hot key's bucket is divided into: a power of two.
    stripes: u64,
}

/// A key for which there is no room.
pub(crate) struct NoRoom;

/// What is done with a bucket while it is lent, at a time; perhaps several times.
pub(crate) type Visit<'a, T> = dyn FnMut(Lent<'_>, u64) -> Result<T, Gone> + 'a;

impl<K: Eq + Hash, H: BuildHasher + Clone, R: ManyRules> Buckets<K, H, R> {
    /// There are parts, and fewer than 2^32; `words` has as many.
    pub(crate) fn new(
        terms: Arc<Terms<R>>,
        tiers: Arc<Tiers<R>>,
        room: Room,
        words: Words<K, H>,
        (parts, stripes): (usize, u64),
        hasher: H,
    ) -> Self {
        let parts = (0..parts).map(|_| Part::default()).collect();
        let away = RwLock::new(HashMap::with_hasher(hasher));
        Self { terms, tiers, room, words, parts, next: Cell::new(0), away, stripes }
    }

    #[inline]
    pub(crate) fn place<Q: ?Sized + Hash>(&self, key: &Q) -> Place {
        let hash = self.words.hash_of(key);
        // The middle bits: a table looks at those above and below.
        let fraction = (hash >> 24) & u64::from(u32::MAX);
        let part = fraction.wrapping_mul(self.parts.len() as u64) >> 32;
        // Below the number of parts, so below what a usize holds.
        #[allow(clippy::cast_possible_truncation)]
        Place { part: part as usize, hash }
    }

    /// The lock of the part of a place.
    fn part(&self, place: Place) -> &Part {
        &self.parts[place.part]
    }

    /// The word of a key whose bucket has handles.
    fn away_word(&self) -> u64 {
        self.terms.layout.away_word()
    }

    /// Lends the bucket of `key` to `visit`, if the key is there. `visit` may be called several times.
    #[inline]
    pub(crate) fn find<Q, T>(
        &self,
        key: &Q,
        visit: impl FnMut(Lent<'_>) -> Result<T, Gone>,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.find_in(self.place(key), key, visit)
    }

    #[inline]
    fn find_in<Q, T>(
        &self,
        place: Place,
        key: &Q,
        mut visit: impl FnMut(Lent<'_>) -> Result<T, Gone>,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        loop {
            if let Ok(outcome) = self.words.lend(place, key, |word| visit(Lent::Word(word)))? {
                return Some(outcome);
            }
            // The map's lock is given back before the other one is taken.
            if let Some(away) = self.away(key)
                && let Ok(outcome) = away.lend(&mut visit)
            {
                return Some(outcome);
            }
            // It has come back meanwhile.
            give_way();
        }
    }

    /// Lends the word of `key` and the time to `visit`, which takes tokens. A key that is not there is added,
    /// unless `visit` leaves its full bucket full.
    ///
    /// The time is `now_ns`, or later by as much as the key may have been dropped later.
    pub(crate) fn find_or_add<Q, T>(
        &self,
        terms: &Terms<R>,
        (key, place): (&Q, Place),
        now_ns: u64,
        visit: &mut Visit<'_, T>,
    ) -> Result<T, NoRoom>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        match self.find_in(place, key, |lent| visit(lent, now_ns)) {
            Some(outcome) => Ok(outcome),
            None if crate::planted::share_without_the_lock() && self.room.is_full() => {
                self.without_room(terms, place.hash, now_ns, visit)
            }
            None => self.add(terms, key, place, now_ns, visit),
        }
    }

    fn add<Q, T>(
        &self,
        terms: &Terms<R>,
        key: &Q,
        place: Place,
        now_ns: u64,
        visit: &mut Visit<'_, T>,
    ) -> Result<T, NoRoom>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (part, hash) = (self.part(place), place.hash);
        loop {
            let mut searched = false;
            let added = part.change(|changes| {
                if self.is_there(place, key) {
                    return None;
                }
                self.sweep_if_due(place.part, changes, now_ns);
                let mut room = self.room.take();
                if room.is_none() && changes.is_to_be_searched() {
                    searched = true;
                    self.sweep_part(place.part, changes, now_ns);
                    room = self.room.take();
                }
                let now_ns = changes.not_before_sweep(now_ns);
                if let Some(room) = room {
                    let word = Cell::new(self.first_word(terms, hash, now_ns));
                    let full = word.load();
                    let outcome = visit(Lent::Word(&word), now_ns);
                    // A denial writes nothing.
                    if word.load() != full {
                        self.insert(place, key.to_owned(), word, room, changes);
                    }
                    return Some(outcome.map_err(|Gone| NoRoom));
                }
                // Under the lock: nobody makes it a bucket of its own meanwhile.
                Some(self.without_room(terms, hash, now_ns, visit))
            });
            if searched {
                // There may be room for the next one elsewhere.
                self.sweep_next(now_ns);
            }
            if let Some(outcome) = added {
                return outcome;
            }
            if let Some(outcome) = self.find_in(place, key, |lent| visit(lent, now_ns)) {
                return Ok(outcome);
            }
        }
    }

    /// Serves a key for which there is no room.
    fn without_room<T>(
        &self,
        terms: &Terms<R>,
        hash: u64,
        now_ns: u64,
        visit: &mut Visit<'_, T>,
    ) -> Result<T, NoRoom> {
        let outcome = match (self.room.when_full, self.room.shared(hash)) {
            (WhenFull::Share, Some(shared)) => {
                self.room.renew(shared, self.rules().unshared_word(now_ns));
                visit(Lent::Word(shared), now_ns)
            }
            (WhenFull::GrantNew, _) => {
                let word = Cell::new(self.first_word(terms, hash, now_ns));
                visit(Lent::Word(&word), now_ns)
            }
            _ => return Err(NoRoom),
        };
        // Neither of them is ever gone.
        outcome.map_err(|Gone| NoRoom)
    }

    fn is_there<Q>(&self, place: Place, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        // Gone, and still in its map: its bucket is away.
        self.words.lend(place, key, |word| self.load(word)).is_some()
    }

    /// The word as it is, unless it holds no bucket.
    fn load(&self, word: &Cell) -> Result<u64, Gone> {
        let word = word.load();
        if self.rules().is_gone(word) { Err(Gone) } else { Ok(word) }
    }

    /// The word that a new key begins with: full, or as full as the bucket it may have shared before.
    fn first_word(&self, terms: &Terms<R>, hash: u64, now_ns: u64) -> u64 {
        let (rules, plan) = (&terms.layout, terms.plan());
        match self.shared_word(hash) {
            Some(word) if !crate::planted::forget_what_was_shared() => {
                rules.like_shared(&plan, word, now_ns)
            }
            _ => rules.fresh(&plan, now_ns),
        }
    }

    /// The bucket that keys of this hash have shared. One that nobody has shared yet may be older than a word can tell.
    fn shared_word(&self, hash: u64) -> Option<u64> {
        let word = self.room.shared(hash)?.load();
        (word != self.room.unshared_word && self.rules().is_shared(word)).then_some(word)
    }

    /// What would serve a key that is not there: a word that nobody else will see again.
    pub(crate) fn word_of_none<Q>(&self, terms: &Terms<R>, key: &Q, now_ns: u64) -> Cell
    where
        Q: ?Sized + Hash,
    {
        Cell::new(self.first_word(terms, self.words.hash_of(key), now_ns))
    }

    /// Counts one more new key of a part, which pays for a sweep if one is due.
    fn sweep_if_due(&self, part: usize, changes: &mut Changes, now_ns: u64) {
        if changes.is_due() {
            self.sweep_part(part, changes, now_ns);
        }
    }

    /// Drops the keys of a part that are full by every plan.
    fn sweep_part(&self, part: usize, changes: &mut Changes, now_ns: u64) -> Swept {
        let (rules, away_word) = (self.rules(), self.away_word());
        let shares = self.room.when_full == WhenFull::Share;
        // Modular, as what words say of time.
        let full_ns = now_ns.wrapping_sub(if shares { rules.lingers_ns() } else { 0 });
        let swept = self.tiers.with_plans(|plans| {
            self.words.sweep(part, |key, cell, mut word| {
                if word == away_word {
                    word = self.bring_home(key, cell, now_ns)?;
                }
                plans.iter().all(|plan| rules.is_full(plan, word, full_ns)).then_some(word)
            })
        });
        changes.end_sweep(swept.dropped, now_ns);
        self.room.give_back(swept.dropped);
        swept
    }

    /// Drops the full keys of one part, and next time those of the next.
    fn sweep_next(&self, now_ns: u64) {
        let next = usize::try_from(self.next.add(1)).unwrap_or(0);
        if let Some(at) = next.checked_rem(self.parts.len()) {
            self.sweep_at(at, now_ns);
        }
    }

    fn sweep_at(&self, part: usize, now_ns: u64) -> u64 {
        self.parts[part].change(|changes| self.sweep_part(part, changes, now_ns)).dropped
    }

    /// Drops all keys that are full, a part at a time. Returns how many.
    pub(crate) fn sweep(&self, now_ns: u64) -> u64 {
        (0..self.parts.len()).map(|part| self.sweep_at(part, now_ns)).sum()
    }

    fn away<Q>(&self, key: &Q) -> Option<Away>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.away.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Takes the bucket of `key` out of its map, and adds the key first if it is not there, whether there is
    /// room or not: the number of handles is the caller's.
    pub(crate) fn send_away<Q>(&self, terms: &Terms<R>, key: &Q, now_ns: u64) -> Away
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let place = self.place(key);
        self.part(place).change(|changes| {
            if let Some(away) = self.away(key) {
                return away;
            }
            if !self.is_there(place, key) {
                self.sweep_if_due(place.part, changes, now_ns);
                let now_ns = changes.not_before_sweep(now_ns);
                let word = Cell::new(self.first_word(terms, place.hash, now_ns));
                self.insert(place, key.to_owned(), word, self.room.take_anyway(), changes);
            }
            // Where it will be found, before its word says that it is there.
            let away = Arc::new(AwayBucket::new());
            let mut all_away = self.away.write().unwrap_or_else(PoisonError::into_inner);
            all_away.insert(key.to_owned(), Arc::clone(&away));
            // Locked until its word says so: who met an earlier handle's mark must not find this bucket yet.
            let all_away = (!crate::planted::show_a_bucket_too_early()).then_some(all_away);
            let sent = self.words.lend(place, key, |cell| {
                let mut word = cell.load();
                loop {
                    away.word().set(word);
                    if cell.change_over(word, self.away_word()) {
                        return Ok(());
                    }
                    word = cell.load();
                }
            });
            drop(all_away);
            // Under the lock nobody drops the key.
            debug_assert!(matches!(sent, Some(Ok(()))));
            away
        })
    }

    /// Puts the bucket of a key back into its map, and returns its word, if there is no handle left and no call
    /// on its way.
    fn bring_home(&self, key: &K, cell: &Cell, now_ns: u64) -> Option<u64> {
        let mut all_away = self.away.write().unwrap_or_else(PoisonError::into_inner);
        let away = all_away.get_mut(key)?;
        if Arc::get_mut(away).is_none() && !crate::planted::bring_home_in_use() {
            return None;
        }
        // Out of there first: what compares keys is the caller's code, and may panic.
        let word = all_away.remove(key)?.word_at_home(now_ns);
        cell.set(word);
        Some(word)
    }

    /// Adds a key that is not there, in a place that was taken for it. Its copy was made before: that may panic.
    fn insert(&self, place: Place, key: K, word: Cell, room: Taken<'_>, changes: &mut Changes) {
        self.words.insert(place, key, word);
        changes.held = changes.held.saturating_add(1);
        room.keep();
    }

    pub(crate) fn rules(&self) -> &R {
        &self.terms.layout
    }

    /// Tells of words whether they are full by every plan.
    pub(crate) fn is_full_at(&self, now_ns: u64) -> impl Fn(u64) -> bool + '_ {
        let plans = self.tiers.plans();
        move |word| plans.iter().all(|plan| self.rules().is_full(plan, word, now_ns))
    }

    /// What a word says, by the limiter's own algorithm.
    pub(crate) fn read_word(&self, word: u64, now_ns: u64) -> Option<Read<R::Config>> {
        Bucket::new(&*self.terms, &Cell::new(word)).read(now_ns).ok()
    }

    /// The keys of each part with their words, a part at a time. A bucket that is divided is told as one word by
    /// `whole`.
    pub(crate) fn iter<'a>(
        &'a self,
        whole: impl Fn(&Divided) -> u64 + Copy + 'a,
    ) -> impl Iterator<Item = (K, u64)> + 'a
    where
        K: Clone,
    {
        (0..self.parts.len()).flat_map(move |part| {
            let mut found = Vec::new();
            self.words.for_each(part, |key, word| found.push((key.clone(), word)));
            found.into_iter().filter_map(move |(key, word)| {
                if word != self.away_word() {
                    return Some((key, word));
                }
                let word = self.find(&key, |lent| match lent {
                    Lent::Word(word) => self.load(word),
                    Lent::Divided(divided) => Ok(whole(divided)),
                })?;
                Some((key, word))
            })
        })
    }
}

impl<K: Eq + Hash, H: BuildHasher + Clone> Buckets<K, H, Layout> {
    /// Divides the bucket of `key` between stripes, if it is not yet. See [`send_away`](Self::send_away).
    pub(crate) fn divide<Q>(
        &self,
        terms: &Arc<Terms>,
        key: &Q,
        now_ns: u64,
    ) -> (Away, std::sync::Arc<Divided>)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        // While it is held here it does not go home.
        let away = self.send_away(terms, key, now_ns);
        if let Some(divided) = away.divided() {
            let divided = std::sync::Arc::clone(divided);
            return (away, divided);
        }
        let divided = std::sync::Arc::new(Divided::new(terms, self.stripes, now_ns));
        let divided = self.part(self.place(key)).change(|_| match away.divided() {
            Some(other) => std::sync::Arc::clone(other),
            None => {
                away.divide(&divided, self.away_word());
                self.tiers.divided.add(&divided);
                divided
            }
        });
        (away, divided)
    }

    /// Adds a bucket that another process has saved, whether there is room or not, or lowers the one that is there
    /// to it.
    pub(crate) fn restore(&self, key: &K, word: u64, now_ns: u64)
    where
        K: Clone,
    {
        let place = self.place(key);
        let layout = self.rules();
        let lower = |lent: Lent<'_>| {
            let cell = match lent {
                Lent::Word(cell) => cell,
                Lent::Divided(divided) => {
                    divided.lower_to(word);
                    return Ok(());
                }
            };
            cell.update(cell.load(), |seen| {
                if layout.is_gone(seen) {
                    return Step::Keep(Err(Gone));
                }
                Step::Store(layout.lower_of(seen, word), Ok(()))
            })
        };
        self.part(place).change(|changes| {
            // Under the lock nobody drops the key.
            if self.find_in(place, key, lower).is_none() {
                self.sweep_if_due(place.part, changes, now_ns);
                let word = match self.shared_word(place.hash) {
                    Some(shared) => layout.lower_of(shared, word),
                    None => word,
                };
                let room = self.room.take_anyway();
                self.insert(place, key.clone(), Cell::new(word), room, changes);
            }
        });
    }
}
