//! The keyed limiter as a whole: its quotas and tiers, its keys, and how they are saved.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use super::divided::Divided;
use super::limiter::KeyedLimiter;
use super::on::{On, OnEach};
use super::saved::SavedKeys;
use super::tiers::Tier;
use crate::algorithm::{Adjustable, Algorithm};
use crate::answer::Snapshot;
use crate::clock::Clock;
use crate::error::QuotaError;
use crate::primitive::Arc;
use crate::quota::Quota;
use crate::resolution::Resolution;

impl<K: Eq + Hash, A: Algorithm, C: Clock, H: BuildHasher + Clone> KeyedLimiter<K, A, C, H> {
    /// Makes a tier: another quota for some of the keys, at no cost in memory per key.
    ///
    /// A key is dropped only when it is full by every quota that this limiter has had: so make tiers beforehand and
    /// not for each call, and expect keys to stay for as long as the slowest of all these takes to fill. (Up to 32
    /// are told apart; then two are counted as one of the larger capacity and the lower rate.)
    ///
    /// # Errors
    ///
    /// [`QuotaError::AboveBuilt`] if the quota is above what this limiter was built to hold: 64 times its
    /// first quota as a rule, or [`largest_quota`](crate::KeyedBuilder::largest_quota);
    /// [`QuotaError::TooFastForTiers`] if it would fill in less than four ticks; and whatever
    /// [`new`](KeyedLimiter::new) refuses.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(10), ManualClock::new())?;
    /// let gold = users.tier(Quota::per_minute(50))?;
    /// assert!(users.on(&gold).try_consume("bob", 50).is_ok());
    /// assert!(users.tier(Quota::per_minute(1_000_000)).is_err());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn tier(&self, algorithm: A) -> Result<Tier<A>, QuotaError> {
        let tiers = &self.buckets.tiers;
        Ok(Tier { terms: tiers.make(&algorithm.config())?, tiers: Arc::clone(tiers) })
    }

    /// This limiter with the quota of a tier of its own. A tier of another limiter counts for nothing here:
    /// then it is this one's own quota.
    ///
    /// # Examples
    ///
    /// See [`On`].
    #[inline]
    pub fn on<'a>(&'a self, tier: &'a Tier<A>) -> On<'a, K, A, C, H> {
        if Arc::ptr_eq(&tier.tiers, &self.buckets.tiers) {
            On { limiter: self, terms: &tier.terms }
        } else {
            self.own()
        }
    }

    /// This limiter with a quota that `tier_of` decides for each key.
    ///
    /// # Examples
    ///
    /// See [`OnEach`].
    pub fn on_each<'a, Q, F>(&'a self, tier_of: F) -> OnEach<'a, K, A, C, H, F>
    where
        Q: ?Sized,
        F: Fn(&Q) -> &'a Tier<A>,
    {
        OnEach { limiter: self, tier_of }
    }

    /// The algorithm in force, with its numbers.
    pub fn algorithm(&self) -> A {
        A::from_config(self.buckets.terms.config())
    }

    /// The number of keys that are held. Some of them may be full, and about to be dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(users.is_allowed(&1) && users.is_allowed(&2) && !users.is_allowed(&2));
    /// assert_eq!(users.len(), 2);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn len(&self) -> usize {
        usize::try_from(self.held()).unwrap_or(usize::MAX)
    }

    pub(crate) fn held(&self) -> u64 {
        self.buckets.room.keys()
    }

    /// Tells whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through all keys that are held, with their buckets by the limiter's own quota, for inspection.
    ///
    /// A part of the keys is copied at a time, and no lock is held between. Keys that come or go meanwhile may
    /// be there or not; all others are there once.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// users.try_consume("alice", 4).unwrap();
    /// for (name, bucket) in users.iter() {
    ///     assert_eq!((name.as_str(), bucket.available()), ("alice", 1.into()));
    /// }
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (K, Snapshot<A>)> + '_
    where
        K: Clone,
    {
        self.iter_at(self.clock.now_ns())
    }

    /// [`iter`](Self::iter) at `now_ns` on the limiter's clock.
    pub fn iter_at(&self, now_ns: u64) -> impl Iterator<Item = (K, Snapshot<A>)> + '_
    where
        K: Clone,
    {
        let whole = move |divided: &Divided| {
            let terms = self.buckets.terms.of_token_bucket();
            // Only token buckets are ever divided.
            terms.map_or(0, |terms| divided.by(terms).word_as_seen(now_ns))
        };
        self.buckets.iter(whole).filter_map(move |(key, word)| {
            let read = self.buckets.read_word(word, now_ns)?;
            Some((key, Snapshot::new(read)))
        })
    }

    /// Drops all keys that are full, and returns how many.
    ///
    /// New keys do so, four at a time; this is for whoever wants the memory of a crowd back that is gone and
    /// not followed by another. It takes some 10 ns a key, and a lock on a small part of them at a time.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let clock = ManualClock::new();
    /// let users = KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(2), &clock)?;
    /// assert!(users.is_allowed(&1) && users.is_allowed(&2) && users.is_allowed(&2));
    /// clock.advance(Duration::from_millis(500));
    /// assert_eq!((users.sweep(), users.len()), (1, 1));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn sweep(&self) -> usize {
        self.sweep_at(self.clock.now_ns())
    }

    /// [`sweep`](Self::sweep) at `now_ns` on the limiter's clock.
    pub fn sweep_at(&self, now_ns: u64) -> usize {
        usize::try_from(self.buckets.sweep(now_ns)).unwrap_or(usize::MAX)
    }

    /// The clock this limiter reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<K: Eq + Hash, A: Adjustable, C: Clock, H: BuildHasher + Clone> KeyedLimiter<K, A, C, H> {
    /// Changes the limit, or the burst, of all keys at once while other threads go on, in O(1): see
    /// [`Limiter::set`](crate::Limiter::set).
    ///
    /// # Errors
    ///
    /// As there. Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::{FixedWindow, KeyedLimiter, ManualClock};
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let users = KeyedLimiter::<u64, _, _, _>::with_clock(FixedWindow::new(10, hour), ManualClock::new())?;
    /// users.try_consume(&7, 8).unwrap();
    /// users.set(FixedWindow::new(20, hour))?;
    /// assert_eq!(users.available(&7), 12);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set(&self, algorithm: A) -> Result<(), QuotaError> {
        self.buckets.tiers.change(&self.buckets.terms, &algorithm.config())
    }
}

impl<K: Eq + Hash, C: Clock, H: BuildHasher + Clone> KeyedLimiter<K, Quota, C, H> {
    /// Changes rate and capacity of the limiter's own quota, for all keys at once, while other threads go on: in
    /// O(1), however many keys there are.
    ///
    /// Each key keeps its tokens, up to the new capacity. What has arrived since its last call counts at the
    /// new rate. If hot keys' stripes must close for it, it waits, with yields, for tokens that their calls are moving:
    /// see [`HotHandle`](crate::HotHandle).
    ///
    /// # Errors
    ///
    /// As [`tier`](Self::tier). Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// users.try_consume("alice", 4).unwrap();
    /// users.set_quota(Quota::per_second(20))?;
    /// assert_eq!((users.available("alice"), users.available("bob")), (6.into(), 20.into()));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), QuotaError> {
        self.buckets.tiers.change(&self.buckets.terms, &quota)
    }

    /// The limiter's own quota, in force.
    pub fn quota(&self) -> Quota {
        self.buckets.terms.config()
    }

    /// Saves the buckets of all keys that are not full, for a process that comes after this one. Not those that keys
    /// without room share; and not what lies in the stripes of hot keys, a sixteenth of their capacity at most.
    ///
    /// # Examples
    ///
    /// See [`SavedKeys`].
    pub fn save(&self) -> SavedKeys<K>
    where
        K: Clone,
    {
        let now_ns = self.clock.now_ns();
        let is_full = self.buckets.is_full_at(now_ns);
        let whole = |divided: &Divided| divided.word_to_save(now_ns);
        let words = self.buckets.iter(whole).filter(|(_, word)| !is_full(*word));
        SavedKeys::of(self.buckets.rules(), now_ns, words)
    }

    /// Adds the buckets that another process has saved, with the refill of the time since then by the system's
    /// wall clock (none, if that went back).
    ///
    /// A restart so neither forgives debt nor doubles it: a level is rounded down by a unit, and by what
    /// arrives in a [`tick`](Resolution::tick). A key that is there already keeps whichever is less. Make the tiers
    /// first: keys are dropped when they are full by all that are known. Saved keys are held even beyond [`max_keys`](crate::KeyedBuilder::max_keys).
    ///
    /// # Errors
    ///
    /// [`QuotaError::AboveBuilt`] if a debt is above what this limiter was built to hold. Nothing is added
    /// then.
    ///
    /// # Examples
    ///
    /// See [`SavedKeys`].
    pub fn restore(&self, saved: &SavedKeys<K>) -> Result<(), QuotaError>
    where
        K: Clone,
    {
        self.restore_after(saved, saved.age())
    }

    /// [`restore`](Self::restore), with the refill of a time that the caller knows better than the wall clock.
    /// `Duration::ZERO` is strict: nothing arrived while the service was down.
    ///
    /// # Errors
    ///
    /// As `restore`.
    pub fn restore_after(&self, saved: &SavedKeys<K>, downtime: Duration) -> Result<(), QuotaError>
    where
        K: Clone,
    {
        let now_ns = self.clock.now_ns();
        for (key, word) in saved.words(self.buckets.rules(), now_ns, downtime)? {
            self.buckets.restore(key, word, now_ns);
        }
        Ok(())
    }

    /// The finest amounts and the largest quotas that this limiter can hold.
    pub fn resolution(&self) -> Resolution {
        Resolution::of(*self.buckets.rules())
    }
}
