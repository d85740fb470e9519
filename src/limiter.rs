//! The direct limiter: an algorithm, a word and a clock.

use core::fmt;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::{Adjustable, Algorithm, Extras, LeakyBucket, Rules};
use crate::answer::{Granted, Snapshot};
use crate::bucket::Bucket;
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::clocked::{Clocked, is_allowed_at, try_consume_at};
use crate::error::{Denied, QuotaError};
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A lock-free limiter by any [`Algorithm`]; with a [`Quota`] it is the [`TokenBucket`](crate::TokenBucket).
///
/// Its whole state is one atomic word, changed by compare-and-swap, so threads share it by reference
/// (or `Arc`) and no decision ever waits for another thread, not even for one that is stopped midway.
/// What it guarantees in numbers, each algorithm says itself. Denials write nothing; no lock, no allocation
/// and no system call on any path but construction.
///
/// Each call reads the clock once (a second time if it was denied while others took tokens). Its twin
/// `*_at` is given the time in nanoseconds on the limiter's clock. Threads may come with times out of
/// order: what others took since is counted in.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use flowgate::{Limiter, SlidingWindow};
///
/// let limiter = Limiter::new(SlidingWindow::new(100, Duration::from_secs(60)))?;
/// assert!(limiter.try_consume(100).is_ok());
/// assert!(!limiter.is_allowed());
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct Limiter<A: Algorithm = Quota, C = SystemClock> {
    /// Alone on its cache lines: everything else here is read by all threads and hardly ever written.
    pub(crate) word: CachePadded<Cell>,
    pub(crate) terms: Terms<A::Rules>,
    pub(crate) clock: C,
}

#[cfg(feature = "std")]
impl<A: Algorithm> Limiter<A> {
    /// Makes a limiter from which nothing has been taken, on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot keep the algorithm's numbers: see [`limits`](crate::limits).
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
    pub fn new(algorithm: A) -> Result<Self, QuotaError> {
        let clock = SystemClock::new();
        Self::with_clock(algorithm.since_1970(clock.zero_at_unix_ns()), clock)
    }
}

impl<A: Algorithm, C: Clock> Limiter<A, C> {
    /// Makes a limiter from which nothing has been taken, on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
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
    pub fn with_clock(algorithm: A, clock: C) -> Result<Self, QuotaError> {
        let rules = algorithm.rules(&Extras::default())?;
        let config = algorithm.config();
        let plan = rules.plan(&config)?;
        let word = rules.fresh(&plan, clock.now_ns());
        let terms = Terms::new(rules, &plan, &config);
        Ok(Self { word: CachePadded::new(Cell::new(word)), terms, clock })
    }

    #[inline]
    pub(crate) fn bucket(&self) -> Bucket<'_, A::Rules> {
        Bucket::new(&self.terms, &self.word)
    }

    #[inline]
    pub(crate) fn clocked(&self) -> Clocked<'_, C, A::Rules> {
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
    /// have been full, so it was never owed. Less than a [`unit`](crate::Resolution::unit) is not given back.
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
    pub fn snapshot(&self) -> Snapshot<A> {
        self.snapshot_at(self.clock.now_ns())
    }

    /// [`snapshot`](Self::snapshot) at `now_ns` on the limiter's clock.
    pub fn snapshot_at(&self, now_ns: u64) -> Snapshot<A> {
        let read = loop {
            // It never is gone.
            if let Ok(read) = self.bucket().read(now_ns) {
                break read;
            }
        };
        Snapshot::new(read)
    }

    /// The clock this limiter reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// The algorithm in force, with its numbers.
    pub fn algorithm(&self) -> A {
        A::from_config(self.terms.config())
    }
}

impl<A: Adjustable, C: Clock> Limiter<A, C> {
    /// Changes the limit, or the burst, while other threads go on; the rate, or the period, stays. (A
    /// [`TokenBucket`](crate::TokenBucket) changes all: see [`set_quota`](crate::TokenBucket::set_quota).)
    ///
    /// What was taken stays taken. A call that overlaps a change is decided by the algorithm before or after it, so
    /// no window of time is granted more than the larger of both allows.
    ///
    /// # Errors
    ///
    /// [`QuotaError::RateChanged`], [`QuotaError::PeriodChanged`], [`QuotaError::StartChanged`],
    /// [`QuotaError::AboveBuilt`] if the new limit is above
    /// what this limiter was built to count (eight times its first one, where a word has room for that); and whatever
    /// [`with_clock`](Self::with_clock) refuses. Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::{FixedWindow, Limiter, ManualClock};
    ///
    /// let minute = Duration::from_secs(60);
    /// let limiter = Limiter::with_clock(FixedWindow::new(10, minute), ManualClock::new())?;
    /// limiter.try_consume(8).unwrap();
    /// limiter.set(FixedWindow::new(20, minute))?;
    /// assert_eq!(limiter.available(), 12);
    /// limiter.set(FixedWindow::new(5, minute))?;
    /// assert_eq!(limiter.available(), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set(&self, algorithm: A) -> Result<(), QuotaError> {
        let config = algorithm.config();
        let plan = self.terms.layout.plan(&config)?;
        self.terms.replace(plan, &config, |_, _| ());
        Ok(())
    }
}

impl<C: Clock> Limiter<LeakyBucket, C> {
    /// Reads how full the bucket is. Changes nothing.
    pub fn level(&self) -> Tokens {
        self.level_at(self.clock.now_ns())
    }

    /// [`level`](Self::level) at `now_ns` on the limiter's clock.
    pub fn level_at(&self, now_ns: u64) -> Tokens {
        let snapshot = self.snapshot_at(now_ns);
        snapshot.algorithm().quota().capacity().saturating_sub(snapshot.available())
    }
}

impl<A: Algorithm, C: Clock> fmt::Debug for Limiter<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Limiter")
            .field("algorithm", &snapshot.algorithm())
            .field("available", &snapshot.available())
            .field("debt", &snapshot.debt())
            .finish_non_exhaustive()
    }
}
