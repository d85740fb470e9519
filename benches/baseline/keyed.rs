//! The baseline of keyed limiters: a token bucket per key in a `HashMap`, behind one lock.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use super::{Level, Terms};

/// Token buckets in a map behind [`parking_lot::Mutex`], on the standard library's clock.
///
/// It reads the clock before it locks, and finds a key that is there with one lookup. It forgets no key.
pub(crate) struct MutexMap<K> {
    terms: Terms,
    capacity: Level,
    levels: parking_lot::Mutex<HashMap<K, Level>>,
    origin: Instant,
}

impl<K: Eq + Hash> MutexMap<K> {
    /// Makes buckets of `capacity` tokens that gain `tokens` every `period_ns`, evenly.
    pub(crate) fn new(tokens: u64, period_ns: u64, capacity: u64) -> Self {
        let (terms, capacity) = Terms::new(tokens, period_ns, capacity);
        Self { terms, capacity, levels: parking_lot::Mutex::default(), origin: Instant::now() }
    }

    /// Takes `cost` tokens from the bucket of `key` if all are available now; otherwise takes none.
    pub(crate) fn try_consume<Q>(&self, key: &Q, cost: u64) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
    {
        let now_ns = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut levels = self.levels.lock();
        if let Some(level) = levels.get_mut(key) {
            return self.terms.take(level, cost, now_ns);
        }
        let mut level = Level { as_of_ns: now_ns, ..self.capacity };
        let is_taken = self.terms.take(&mut level, cost, now_ns);
        levels.insert(key.to_owned(), level);
        is_taken
    }

    pub(crate) fn keys(&self) -> usize {
        self.levels.lock().len()
    }
}
