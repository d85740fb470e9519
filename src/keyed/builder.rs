//! Settings of a keyed limiter beyond its quota.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

use super::buckets::Buckets;
use super::hash::SeededHash;
use super::limiter::KeyedLimiter;
use super::room::{Room, WhenFull};
use super::tiers::Tiers;
#[cfg(any(feature = "papaya", flowgate_loom))]
use super::words::LockFree;
use super::words::{Locked, Words};
use crate::algorithm::{Algorithm, Extras, ManyRules};
use crate::clock::{Clock, SystemClock};
use crate::error::QuotaError;
use crate::primitive::Arc;
use crate::quota::Quota;
use crate::striped::stripes_of;
use crate::tokens::Tokens;

/// Settings of a [`KeyedLimiter`] beyond its quota.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota, WhenFull};
///
/// let users = KeyedLimiter::<u64>::builder(Quota::per_second(10))
///     .largest_quota(Quota::per_second(1_000))
///     .max_keys(100_000)
///     .when_full(WhenFull::DenyNew)
///     .build_with_clock(ManualClock::new())?;
/// let gold = users.tier(Quota::per_second(1_000))?;
/// assert_eq!(users.on(&gold).available(&7), 1_000);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone)]
pub struct KeyedBuilder<K, A = Quota, H = SeededHash> {
    algorithm: A,
    extras: Extras,
    max_keys: u64,
    when_full: WhenFull,
    stripes: Option<usize>,
    hasher: H,
    #[cfg(any(feature = "papaya", flowgate_loom))]
    lock_free: bool,
    keys: PhantomData<fn() -> K>,
}

/// A part holds some hundred keys at least, before there are more parts.
const KEYS_A_PART: u64 = 256;

/// More parts make sweeps shorter and cost memory even if they are empty: with these, a limiter takes 0.2 MB, and a
/// sweep of one of ten million keys looks at 13,000. Three times a power of two, for memory goes in steps: whatever
/// the number, there are counts of keys at which tables have just doubled. These are not round ones.
const MOST_PARTS: u64 = 768;

impl<K, A> KeyedBuilder<K, A> {
    pub(super) fn new(algorithm: A) -> Self {
        Self {
            algorithm,
            extras: Extras { of_many: true, ..Extras::default() },
            max_keys: crate::limits::DEFAULT_MAX_KEYS,
            when_full: WhenFull::default(),
            stripes: None,
            hasher: SeededHash::new(),
            #[cfg(any(feature = "papaya", flowgate_loom))]
            lock_free: false,
            keys: PhantomData,
        }
    }
}

impl<K, H> KeyedBuilder<K, Quota, H> {
    /// Names the largest quota that this limiter will ever have, that of any tier included: its rate and its
    /// capacity are the limits. By default 64 times the first quota, or less where the bits do not
    /// allow it.
    #[must_use]
    pub fn largest_quota(mut self, quota: Quota) -> Self {
        self.extras.largest = Some(quota);
        self
    }

    /// Bounds the debt that [`charge`](KeyedLimiter::charge) can run up. By default eight times the quota's
    /// capacity, or what is repaid in 2.2 years if that is less.
    #[must_use]
    pub fn max_debt(mut self, tokens: impl Into<Tokens>) -> Self {
        self.extras.debt = Some(tokens.into());
        self
    }

    /// Sets the smallest amount told apart to 10^-`places` tokens, from 0 to 9. By default as small as
    /// the bits allow.
    #[must_use]
    pub fn places(mut self, places: u32) -> Self {
        self.extras.places = Some(places);
        self
    }
}

impl<K, H> KeyedBuilder<K, Quota, H> {
    /// Sets into how many stripes a hot key is divided ([`hot_handle`](KeyedLimiter::hot_handle)): rounded up to a
    /// power of two, at least 1 and at most [`MOST_STRIPES`](crate::limits::MOST_STRIPES). By default as many as the
    /// process may use processors.
    #[must_use]
    pub fn stripes(mut self, stripes: usize) -> Self {
        self.stripes = Some(stripes);
        self
    }
}

impl<K, A, H> KeyedBuilder<K, A, H> {
    /// Bounds the number of keys, and so the memory. By default
    /// [`DEFAULT_MAX_KEYS`](crate::limits::DEFAULT_MAX_KEYS).
    #[must_use]
    pub fn max_keys(mut self, max_keys: u64) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Says what becomes of a new key when there is no room for it. By default it shares a bucket with others.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Hashes keys in another way than [`SeededHash`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// let users = KeyedLimiter::<String>::builder(Quota::per_second(5)).hasher(RandomState::new()).build()?;
    /// assert!(users.is_allowed("alice"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn hasher<G>(self, hasher: G) -> KeyedBuilder<K, A, G> {
        KeyedBuilder {
            algorithm: self.algorithm,
            extras: self.extras,
            max_keys: self.max_keys,
            when_full: self.when_full,
            stripes: self.stripes,
            hasher,
            #[cfg(any(feature = "papaya", flowgate_loom))]
            lock_free: self.lock_free,
            keys: PhantomData,
        }
    }

    /// Keeps the keys in a map in which they are found without a lock, in place of one whose shards have
    /// locks.
    ///
    /// Pick it where threads hammer the same few keys. On two threads that are denied by one key it makes 139 M
    /// decisions a second, the default 30 M; allowed, 53 M and 26 M. Leave it where keys are many: with ten
    /// million of them it takes 232 ns a decision, the default 171; 56 bytes a key, the default 23; and at times
    /// milliseconds for a call while keys come and go, the default half a millisecond. (All from
    /// `docs/performance.md`.)
    ///
    /// With a [`hasher`](Self::hasher) of one's own it must be a good one: where a dozen keys have the same hash,
    /// papaya's map grows without end.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// let models = KeyedLimiter::<String>::builder(Quota::per_second(5)).lock_free().build()?;
    /// assert!(models.is_allowed("large"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[cfg(any(feature = "papaya", flowgate_loom))]
    #[must_use]
    pub fn lock_free(mut self) -> Self {
        self.lock_free = true;
        self
    }
}

impl<K: Eq + Hash, A: Algorithm, H: BuildHasher + Clone> KeyedBuilder<K, A, H> {
    /// Makes the limiter on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot hold all that, see [`limits`](crate::limits); and
    /// [`QuotaError::ZeroKeys`].
    pub fn build(self) -> Result<KeyedLimiter<K, A, SystemClock, H>, QuotaError> {
        let clock = SystemClock::new();
        let algorithm = self.algorithm.since_1970(clock.zero_at_unix_ns());
        Self { algorithm, ..self }.build_with_clock(clock)
    }

    /// Makes the limiter on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As `build`.
    pub fn build_with_clock<C: Clock>(
        self,
        clock: C,
    ) -> Result<KeyedLimiter<K, A, C, H>, QuotaError> {
        if self.max_keys == 0 {
            return Err(QuotaError::ZeroKeys);
        }
        let rules = self.algorithm.rules(&self.extras)?;
        let tiers = Arc::new(Tiers::new(rules));
        let terms = tiers.make(&self.algorithm.config())?;
        let unshared_word = rules.unshared_word(clock.now_ns());
        let room = Room::new(unshared_word, self.max_keys, self.when_full);
        let parts = (self.max_keys / KEYS_A_PART).clamp(1, MOST_PARTS);
        let parts = usize::try_from(parts).unwrap_or(1);
        let words = self.words(parts);
        let counts = (parts, stripes_of(self.stripes));
        let buckets = Buckets::new(terms, tiers, room, words, counts, self.hasher);
        Ok(KeyedLimiter::of(buckets, clock))
    }

    fn words(&self, parts: usize) -> Words<K, H> {
        #[cfg(any(feature = "papaya", flowgate_loom))]
        if self.lock_free {
            return Words::LockFree(LockFree::new(self.hasher.clone(), parts));
        }
        Words::Locked(Locked::new(self.hasher.clone(), parts))
    }
}

impl<K, A: fmt::Debug, H> fmt::Debug for KeyedBuilder<K, A, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("algorithm", &self.algorithm)
            .field("max_keys", &self.max_keys)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
