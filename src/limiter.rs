//! The direct limiter: a quota, a word and a clock.

use core::fmt;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::Room;
use crate::answer::{Granted, Snapshot};
use crate::bucket::Bucket;
use crate::builder::Builder;
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::clocked::{Clocked, is_allowed_at, try_consume_at};
use crate::error::{Denied, QuotaError};
use crate::fill::Fill;
use crate::quota::Quota;
use crate::resolution::Resolution;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A lock-free token bucket: it fills at a steady rate up to a capacity, and a call is allowed if the
/// tokens it costs are there.
///
/// Its whole state is one atomic word, changed by compare-and-swap, so threads share it by reference
/// (or `Arc`) and no decision ever waits for another thread, not even for one that is stopped midway.
///
/// # Guarantees
///
/// * **Never over.** In every window of time, whatever the threads and the clock do, what is granted less
///   what is refunded is at most capacity + rate × window + two units, where a unit is
///   [`Resolution::unit`], as a rule less than a ten-thousandth of the capacity.
/// * **Never lost.** However often it is polled, the credit over any time is within one unit of rate ×
///   time, less what arrives while the bucket is full.
/// * **Tight waits.** If nobody else takes tokens, a call made after exactly
///   [`retry_after`](Denied::retry_after) succeeds and one a nanosecond earlier does not.
/// * **Denials write nothing**: they are loads, so that a flood of them scales with cores.
/// * No lock, no allocation and no system call on any path but construction.
///
/// Each call reads the clock once (a second time if it was denied while others took tokens). Its twin
/// `*_at` is given the time in nanoseconds on the limiter's clock. Threads may come with times out of
/// order: each is answered as of its own time, with what others took since counted in.
///
/// # Memory ordering
///
/// None may be assumed: the word is `Relaxed`. See `docs/orderings.md`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use flowgate::{Quota, TokenBucket};
///
/// // 100 requests a second on average, up to 20 at once.
/// let limiter = TokenBucket::new(Quota::per_second(100).burst(20))?;
///
/// match limiter.try_consume(1) {
///     Ok(granted) => println!("go, {} left", granted.remaining().whole()),
///     Err(denied) => println!("wait {:?}", denied.retry_after()),
/// }
/// # assert!(limiter.is_allowed());
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct TokenBucket<C = SystemClock> {
    /// Alone on its cache lines: everything else here is read by all threads and hardly ever written.
    word: CachePadded<Cell>,
    terms: Terms,
    clock: C,
}

impl TokenBucket {
    /// Starts building a bucket with settings beyond its quota.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::builder(Quota::per_second(5))
    ///     .start_empty()
    ///     .build_with_clock(ManualClock::new())?;
    /// assert_eq!(limiter.available(), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn builder(quota: Quota) -> Builder {
        Builder::new(quota)
    }
}

#[cfg(feature = "std")]
impl TokenBucket {
    /// Makes a full bucket on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot keep the quota: see [`limits`](crate::limits).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::new("50000/h".parse::<Quota>()?)?;
    /// assert!(limiter.try_consume(500).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, QuotaError> {
        Self::with_clock(quota, SystemClock::new())
    }
}

impl<C: Clock> TokenBucket<C> {
    /// Makes a full bucket on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot keep the quota: see [`limits`](crate::limits).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(2), ManualClock::new())?;
    /// assert_eq!(limiter.available(), 2);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn with_clock(quota: Quota, clock: C) -> Result<Self, QuotaError> {
        Builder::new(quota).build_with_clock(clock)
    }

    #[inline]
    fn bucket(&self) -> Bucket<'_> {
        Bucket { terms: &self.terms, word: &self.word }
    }

    #[inline]
    fn clocked(&self) -> Clocked<'_, C> {
        Clocked { bucket: self.bucket(), clock: &self.clock }
    }

    /// Takes `cost` tokens if all are available now; otherwise takes none.
    ///
    /// A cost of zero is allowed unless the bucket is in debt.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] if waiting would help, [`Denied::Never`] if the cost is above the capacity.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, TokenBucket, Tokens};
    ///
    /// let clock = ManualClock::new();
    /// let limiter = TokenBucket::with_clock(Quota::per_second(2).burst(10), &clock)?;
    ///
    /// assert_eq!(limiter.try_consume(9).unwrap().remaining(), 1);
    /// assert_eq!(limiter.try_consume(Tokens::decimal(5, 1)).unwrap().remaining(), Tokens::decimal(5, 1));
    ///
    /// let denied = limiter.try_consume(1).unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_millis(250)));
    /// clock.advance(Duration::from_millis(250));
    /// assert!(limiter.try_consume(1).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume(&self, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied> {
        self.clocked().try_consume(cost.into())
    }

    /// [`try_consume`](Self::try_consume) at `now_ns` on the limiter's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(limiter.try_consume_at(1, 0).is_ok());
    /// assert!(limiter.try_consume_at(1, 999_999_999).is_err());
    /// assert!(limiter.try_consume_at(1, 1_000_000_000).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Result<Granted<'_>, Denied> {
        try_consume_at(self.bucket(), cost.into(), now_ns)
    }

    /// Takes one token if it is available now. The short form of [`try_consume`](Self::try_consume).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(limiter.is_allowed());
    /// assert!(!limiter.is_allowed());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.clocked().is_allowed(Tokens::ONE)
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the limiter's clock.
    #[inline]
    pub fn is_allowed_at(&self, now_ns: u64) -> bool {
        is_allowed_at(self.bucket(), Tokens::ONE, now_ns)
    }

    /// Reads how many tokens are available now: zero while in debt. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// limiter.try_consume(2).unwrap();
    /// assert_eq!(limiter.available(), 3);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn available(&self) -> Tokens {
        self.available_at(self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the limiter's clock.
    #[inline]
    pub fn available_at(&self, now_ns: u64) -> Tokens {
        self.bucket().available(now_ns).unwrap_or_default()
    }

    /// Computes how long until `cost` tokens are available if nobody else takes any: zero if they are
    /// now, `None` if they never are. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// limiter.try_consume(3).unwrap();
    /// assert_eq!(limiter.time_until_available(2), Some(Duration::ZERO));
    /// assert_eq!(limiter.time_until_available(3), Some(Duration::from_millis(200)));
    /// assert_eq!(limiter.time_until_available(6), None);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn time_until_available(&self, cost: impl Into<Tokens>) -> Option<Duration> {
        self.time_until_available_at(cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the limiter's clock.
    pub fn time_until_available_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration> {
        let wait = self.bucket().wait_for(cost.into(), now_ns).unwrap_or_default();
        wait.map(|wait| wait.duration())
    }

    /// Takes as many whole tokens as are available now, at most `max`, and returns how many.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// assert_eq!(limiter.consume_up_to(3), 3);
    /// assert_eq!(limiter.consume_up_to(3), 2);
    /// assert_eq!(limiter.consume_up_to(3), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn consume_up_to(&self, max: u64) -> u64 {
        self.clocked().consume_up_to(max)
    }

    /// [`consume_up_to`](Self::consume_up_to) at `now_ns` on the limiter's clock.
    pub fn consume_up_to_at(&self, max: u64, now_ns: u64) -> u64 {
        let bucket = self.bucket();
        bucket.take_up_to(bucket.load(), max, now_ns).unwrap_or_default().0
    }

    /// Gives `cost` tokens back, up to the capacity.
    ///
    /// Meant for tokens that were taken and not used. What does not fit is lost: the bucket would
    /// have been full, so it was never owed. Less than a [`unit`](Resolution::unit) is not given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// limiter.try_consume(3).unwrap();
    /// limiter.refund(2);
    /// assert_eq!(limiter.available(), 4);
    /// limiter.refund(100);
    /// assert_eq!(limiter.available(), 5);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn refund(&self, cost: impl Into<Tokens>) {
        self.refund_at(cost, self.clock.now_ns());
    }

    /// [`refund`](Self::refund) at `now_ns` on the limiter's clock.
    pub fn refund_at(&self, cost: impl Into<Tokens>, now_ns: u64) {
        self.bucket().refund(cost.into(), now_ns).unwrap_or_default();
    }

    /// Takes `cost` tokens whether they are there or not: the bucket may go into debt.
    ///
    /// Meant for costs known only afterwards. Debt is repaid by the refill before anything is granted
    /// again. It is bounded by [`max_debt`](Builder::max_debt): what would go below that floor is not
    /// taken, and is returned; it is zero unless the floor was reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let clock = ManualClock::new();
    /// let limiter = TokenBucket::builder(Quota::per_second(5)).max_debt(10).build_with_clock(&clock)?;
    /// assert_eq!(limiter.charge(7), 0);
    /// assert_eq!(limiter.snapshot().debt(), 2);
    /// assert_eq!(limiter.time_until_available(1), Some(Duration::from_millis(600)));
    /// assert_eq!(limiter.charge(100), 92);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn charge(&self, cost: impl Into<Tokens>) -> Tokens {
        self.charge_at(cost, self.clock.now_ns())
    }

    /// [`charge`](Self::charge) at `now_ns` on the limiter's clock.
    pub fn charge_at(&self, cost: impl Into<Tokens>, now_ns: u64) -> Tokens {
        self.bucket().charge(cost.into(), now_ns).unwrap_or_default()
    }

    /// Takes all that is available now, fractions included, and returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, TokenBucket, Tokens};
    ///
    /// let limiter = TokenBucket::with_clock("5/s burst 2.5".parse()?, ManualClock::new())?;
    /// assert_eq!(limiter.drain(), Tokens::decimal(25, 1));
    /// assert_eq!(limiter.available(), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn drain(&self) -> Tokens {
        self.clocked().drain()
    }

    /// [`drain`](Self::drain) at `now_ns` on the limiter's clock.
    pub fn drain_at(&self, now_ns: u64) -> Tokens {
        let bucket = self.bucket();
        bucket.drain(bucket.load(), now_ns).unwrap_or_default().0
    }

    /// Reads everything at one moment. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(5), ManualClock::new())?;
    /// limiter.charge(8);
    /// let snapshot = limiter.snapshot();
    /// assert_eq!((snapshot.available(), snapshot.debt()), (0.into(), 3.into()));
    /// assert_eq!(snapshot.full_after(), Duration::from_millis(1_600));
    /// assert_eq!(snapshot.quota(), Quota::per_second(5));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.clock.now_ns())
    }

    /// [`snapshot`](Self::snapshot) at `now_ns` on the limiter's clock.
    pub fn snapshot_at(&self, now_ns: u64) -> Snapshot {
        let read = loop {
            // It never is gone.
            if let Ok(read) = self.bucket().read(now_ns) {
                break read;
            }
        };
        Snapshot::new(&self.terms, read)
    }

    /// Changes rate and capacity while other threads go on. `fill` says what becomes of the tokens.
    ///
    /// It is one swap of the word: each call is decided by the old quota and the level before, or by the
    /// new one and the level after. What has arrived so far was earned at the old rate. So with
    /// [`Fill::Keep`] no window of time grants more than the larger capacity + the larger rate × window,
    /// and windows after the change are held to the new quota alone; the level is rounded down by a unit.
    /// The other fills give tokens, as they say. Calls of `set_quota` wait for each other; nothing else does.
    ///
    /// # Errors
    ///
    /// [`QuotaError::AboveBuilt`] if the new quota is above what this limiter was built to hold: eight
    /// times its first quota as a rule, or [`largest_quota`](Builder::largest_quota); and whatever
    /// [`new`](Self::new) refuses. Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{Fill, ManualClock, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// limiter.try_consume(4).unwrap();
    /// limiter.set_quota(Quota::per_second(20), Fill::Keep)?;
    /// assert_eq!(limiter.available(), 6);
    /// limiter.set_quota(Quota::per_second(5), Fill::Keep)?;
    /// assert_eq!(limiter.available(), 5);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota, fill: Fill) -> Result<(), QuotaError> {
        self.bucket().set_quota(&quota, fill, || self.clock.now_ns())
    }

    /// [`set_quota`](Self::set_quota) at `now_ns` on the limiter's clock.
    ///
    /// The time must not be before those of earlier calls: what arrived between is counted at the new rate,
    /// up to a [`tick`](Resolution::tick) of it.
    ///
    /// # Errors
    ///
    /// As `set_quota`.
    pub fn set_quota_at(&self, quota: Quota, fill: Fill, now_ns: u64) -> Result<(), QuotaError> {
        self.bucket().set_quota(&quota, fill, || now_ns)
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.terms.quota()
    }

    /// The clock this limiter reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// The finest amounts and the largest quotas that this limiter can hold.
    pub fn resolution(&self) -> Resolution {
        Resolution::of(self.terms.layout)
    }
}

impl<C: Clock> fmt::Debug for TokenBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("TokenBucket")
            .field("quota", &snapshot.quota())
            .field("available", &snapshot.available())
            .field("debt", &snapshot.debt())
            .finish_non_exhaustive()
    }
}

pub(crate) fn make<C: Clock>(
    room: &Room,
    full: bool,
    clock: C,
) -> Result<TokenBucket<C>, QuotaError> {
    let (terms, plan) = Terms::of_one(room)?;
    let level = terms.layout.zero.wrapping_add(if full { plan.capacity_units } else { 0 });
    let word = terms.layout.word_at(&plan, clock.now_ns(), level);
    Ok(TokenBucket { word: CachePadded::new(Cell::new(word)), terms, clock })
}
