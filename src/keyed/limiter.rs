//! The keyed limiter: a bucket per key, and the calls that take from it.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::borrow::ToOwned;

use super::buckets::Buckets;
use super::builder::KeyedBuilder;
use super::handle::Handle;
use super::hash::SeededHash;
use super::hot::HotHandle;
use super::on::On;
use crate::algorithm::Algorithm;
use crate::answer::{Granted, Snapshot};
use crate::clock::{Clock, SystemClock};
use crate::error::{Denied, QuotaError};
use crate::primitive::Arc;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// A limiter per key: per user, address, API key. A [token bucket](crate::TokenBucket) each, or any other
/// [`Algorithm`].
///
/// A key's state is one eight-byte word in a sharded map, and a key that has refilled to full disappears by
/// itself, for it is then like one that never was. A clone is another name for the same limiter.
///
/// # Guarantees
///
/// * **Never over**: what [`TokenBucket`](crate::TokenBucket) guarantees holds per key, also while keys are dropped,
///   run out of room, get handles and change tiers. A key that is called by several tiers, or whose quota is
///   changed, is bounded by the largest capacity and the largest rate among them, and a
///   [`tick`](crate::Resolution::tick) of refill. Each change of tier rounds the level down by at most one
///   [`unit`](crate::Resolution::unit); for the first 14 different rates of a limiter's life only then, for further
///   ones at every call in a new tick.
/// * **Bounded memory**: at most [`max_keys`](KeyedBuilder::max_keys) keys, and those with handles. Each new key
///   pays for looking at four others and dropping the full ones. No thread in the background; nothing is
///   forgotten when there is no room, see [`WhenFull`](crate::WhenFull).
/// * A call with a key that is there takes its shard's read lock (or none, see
///   [`lock_free`](KeyedBuilder::lock_free)), and allocates nothing. Denials write nothing but that lock. A new
///   key allocates itself, and now and then its map grows: a part of the keys at a time.
/// * No lock is held while the caller's clock or function is called. The caller's `Hash`, `Eq`, `Clone` and `Drop`
///   of keys are called under locks: they must not call the limiter, and had better not panic.
///
/// Keys are looked up by a borrowed form, such as `&str` for `String`.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, Quota};
///
/// // One bucket per user; idle users vanish by themselves.
/// let users = KeyedLimiter::<String>::new("60/min burst 10".parse::<Quota>()?)?;
/// assert!(users.try_consume("alice", 1).is_ok());
///
/// // A better tier for some of them: same memory, same word.
/// let gold = users.tier(Quota::per_minute(600))?;
/// assert!(users.on(&gold).try_consume("bob", 500).is_ok());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct KeyedLimiter<K, A: Algorithm = Quota, C = SystemClock, H = SeededHash> {
    pub(super) buckets: Arc<Buckets<K, H, A::Rules>>,
    pub(super) clock: Arc<C>,
}

impl<K: Eq + Hash, A: Algorithm> KeyedLimiter<K, A> {
    /// Makes a limiter on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot keep the algorithm's numbers: see [`limits`](crate::limits).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use std::time::Duration;
    /// use flowgate::{KeyedLimiter, Quota, SlidingWindow};
    ///
    /// let clients = KeyedLimiter::<IpAddr>::new(Quota::per_second(100))?;
    /// let localhost: IpAddr = [127, 0, 0, 1].into();
    /// assert!(clients.is_allowed(&localhost));
    ///
    /// let hourly = SlidingWindow::new(1_000, Duration::from_secs(3_600));
    /// let clients = KeyedLimiter::<IpAddr, _>::new(hourly)?;
    /// assert!(clients.is_allowed(&localhost));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn new(algorithm: A) -> Result<Self, QuotaError> {
        Self::builder(algorithm).build()
    }

    /// Starts building a limiter with settings beyond its algorithm.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// let users = KeyedLimiter::<u64>::builder(Quota::per_second(5)).max_keys(1_000).build()?;
    /// assert!(users.is_allowed(&7));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn builder(algorithm: A) -> KeyedBuilder<K, A> {
        KeyedBuilder::new(algorithm)
    }
}

impl<K: Eq + Hash, A: Algorithm, C: Clock> KeyedLimiter<K, A, C> {
    /// Makes a limiter on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedLimiter::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// assert_eq!(users.available(&7), 5);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn with_clock(algorithm: A, clock: C) -> Result<Self, QuotaError> {
        KeyedBuilder::new(algorithm).build_with_clock(clock)
    }
}

impl<K: Eq + Hash, A: Algorithm, C: Clock, H: BuildHasher + Clone> KeyedLimiter<K, A, C, H> {
    pub(super) fn of(buckets: Buckets<K, H, A::Rules>, clock: C) -> Self {
        Self { buckets: Arc::new(buckets), clock: Arc::new(clock) }
    }

    #[inline]
    pub(crate) fn own(&self) -> On<'_, K, A, C, H> {
        On { limiter: self, terms: &self.buckets.terms }
    }

    /// Takes `cost` tokens from the bucket of `key` if all are available now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] if waiting would help, [`Denied::Never`] if the cost is above the capacity, and
    /// [`Denied::NoRoom`] with [`WhenFull::DenyNew`](crate::WhenFull::DenyNew).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(2), ManualClock::new())?;
    /// assert_eq!(users.try_consume("alice", 2).unwrap().remaining(), 0);
    /// let denied = users.try_consume("alice", 1).unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_millis(500)));
    /// assert!(users.try_consume("bob", 1).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline(always)]
    pub fn try_consume<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().try_consume(key, cost)
    }

    /// [`try_consume`](Self::try_consume) at `now_ns` on the limiter's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
    #[inline(always)]
    pub fn try_consume_at<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().try_consume_at(key, cost, now_ns)
    }

    /// Takes one token from the bucket of `key` if it is available now.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(users.is_allowed("alice"));
    /// assert!(!users.is_allowed("alice"));
    /// assert!(users.is_allowed("bob"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline(always)]
    pub fn is_allowed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().is_allowed(key)
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the limiter's clock.
    #[inline(always)]
    pub fn is_allowed_at<Q>(&self, key: &Q, now_ns: u64) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().is_allowed_at(key, now_ns)
    }

    /// Reads how many tokens are available to `key` now: zero while in debt. Changes nothing, and adds no key.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// users.try_consume("alice", 2).unwrap();
    /// assert_eq!(users.available("alice"), 3);
    /// assert_eq!(users.available("bob"), 5);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn available<Q>(&self, key: &Q) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().available(key)
    }

    /// [`available`](Self::available) at `now_ns` on the limiter's clock.
    pub fn available_at<Q>(&self, key: &Q, now_ns: u64) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().available_at(key, now_ns)
    }

    /// Computes how long until `cost` tokens are available to `key` if nobody else takes any: zero if they are
    /// now, `None` if they never are, or, with [`WhenFull::DenyNew`](crate::WhenFull::DenyNew), if there is no room for the key.
    /// Changes nothing, and adds no key.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// users.try_consume("alice", 3).unwrap();
    /// assert_eq!(users.time_until_available("alice", 3), Some(Duration::from_millis(200)));
    /// assert_eq!(users.time_until_available("bob", 3), Some(Duration::ZERO));
    /// assert_eq!(users.time_until_available("bob", 6), None);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn time_until_available<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().time_until_available(key, cost)
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the limiter's clock.
    pub fn time_until_available_at<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().time_until_available_at(key, cost, now_ns)
    }

    /// Short for [`time_until_available`](Self::time_until_available), after what a denial calls it.
    pub fn retry_after<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.time_until_available(key, cost)
    }

    /// Takes as many whole tokens as are available to `key` now, at most `max`, and returns how many.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// assert_eq!(users.consume_up_to("alice", 3), 3);
    /// assert_eq!(users.consume_up_to("alice", 3), 2);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn consume_up_to<Q>(&self, key: &Q, max: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume_up_to(key, max)
    }

    /// [`consume_up_to`](Self::consume_up_to) at `now_ns` on the limiter's clock.
    pub fn consume_up_to_at<Q>(&self, key: &Q, max: u64, now_ns: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume_up_to_at(key, max, now_ns)
    }

    /// Gives `cost` tokens back to the bucket of `key`, up to the capacity.
    ///
    /// A key that has no bucket of its own is given nothing: it is full, or it has shared a bucket with others
    /// ([`WhenFull::Share`](crate::WhenFull::Share)), who would get more than is theirs.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// users.try_consume("alice", 3).unwrap();
    /// users.refund("alice", 2);
    /// assert_eq!(users.available("alice"), 4);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn refund<Q>(&self, key: &Q, cost: impl Into<Tokens>)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().refund(key, cost);
    }

    /// [`refund`](Self::refund) at `now_ns` on the limiter's clock.
    pub fn refund_at<Q>(&self, key: &Q, cost: impl Into<Tokens>, now_ns: u64)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().refund_at(key, cost, now_ns);
    }

    /// Fills the bucket of `key`: whatever it has taken is forgiven.
    ///
    /// This **grants** up to a capacity beyond what the quota does, as
    /// [`Fill::Reset`](crate::Fill::Reset) does. A key without a bucket of its own stays as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_hour(1), ManualClock::new())?;
    /// assert!(users.is_allowed("alice") && !users.is_allowed("alice"));
    /// users.reset("alice");
    /// assert!(users.is_allowed("alice"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn reset<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.refund(key, u64::MAX);
    }

    /// [`reset`](Self::reset) at `now_ns` on the limiter's clock.
    pub fn reset_at<Q>(&self, key: &Q, now_ns: u64)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.refund_at(key, u64::MAX, now_ns);
    }

    /// Reads the bucket of `key` at one moment, if it has one of its own. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// users.charge("alice", 7);
    /// assert_eq!(users.snapshot("alice").unwrap().debt(), 2);
    /// assert!(users.snapshot("bob").is_none());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn snapshot<Q>(&self, key: &Q) -> Option<Snapshot<A>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().snapshot(key)
    }

    /// [`snapshot`](Self::snapshot) at `now_ns` on the limiter's clock.
    pub fn snapshot_at<Q>(&self, key: &Q, now_ns: u64) -> Option<Snapshot<A>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.own().snapshot_at(key, now_ns)
    }

    /// Finds the bucket of `key` once for many calls.
    ///
    /// The key is added if it is not there, even beyond [`max_keys`](KeyedBuilder::max_keys), and stays
    /// while there is a handle to it. Calls with the key itself find it a little later then: they look into
    /// a second map.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(2), ManualClock::new())?;
    /// let alice = users.handle("alice");
    /// assert!(alice.is_allowed() && users.is_allowed("alice") && !alice.is_allowed());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn handle<Q>(&self, key: &Q) -> Handle<A, C>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().handle(key)
    }
}

impl<K: Eq + Hash, C: Clock, H: BuildHasher + Clone> KeyedLimiter<K, Quota, C, H> {
    /// Finds the bucket of `key` for many calls from many cores, and divides it between them: each takes from a stripe
    /// of its own. For a key that is known to be called millions of times a second.
    ///
    /// All calls of the key, with and without a handle, take from the same bucket, and are never granted more than
    /// before. The price is burst: see [`HotHandle`]. As with [`handle`](Self::handle) the key is added, and stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// let alice = users.hot_handle("alice");
    /// assert!(alice.is_allowed() && users.is_allowed("alice"));
    /// assert!(alice.consume_up_to(1_000) <= 998);
    /// assert!(!alice.is_allowed() && !users.is_allowed("alice"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn hot_handle<Q>(&self, key: &Q) -> HotHandle<C>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().hot_handle(key)
    }

    /// Takes `cost` tokens from the bucket of `key` whether they are there or not: it may go into debt.
    ///
    /// What would go below the deepest debt ([`max_debt`](KeyedBuilder::max_debt)) is not taken, and is
    /// returned; it is zero unless the floor was reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// assert_eq!(users.charge("alice", 7), 0);
    /// assert_eq!(users.time_until_available("alice", 1), Some(Duration::from_millis(600)));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn charge<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().charge(key, cost)
    }

    /// [`charge`](Self::charge) at `now_ns` on the limiter's clock.
    pub fn charge_at<Q>(&self, key: &Q, cost: impl Into<Tokens>, now_ns: u64) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().charge_at(key, cost, now_ns)
    }
}

impl<K, A: Algorithm, C, H> Clone for KeyedLimiter<K, A, C, H> {
    fn clone(&self) -> Self {
        Self { buckets: Arc::clone(&self.buckets), clock: Arc::clone(&self.clock) }
    }
}

impl<K, A: Algorithm, C, H> fmt::Debug for KeyedLimiter<K, A, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimiter")
            .field("quota", &self.buckets.terms.config())
            .field("keys", &self.buckets.room.keys())
            .finish_non_exhaustive()
    }
}
