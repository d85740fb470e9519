//! The calls of a striped bucket: those of a token bucket.

use core::time::Duration;

use super::builder::stripes_of;
use super::{Spread as _, Striped as _, StripedBucket, StripedBuilder, Take as _};
use crate::algorithm::Split;
use crate::answer::{Granted, Snapshot};
use crate::clock::Clock;
use crate::error::{Denied, QuotaError};
use crate::fill::Fill;
use crate::quota::Quota;
use crate::resolution::Resolution;
use crate::tokens::Tokens;

impl StripedBucket {
    /// Makes a full bucket on the [`SystemClock`](crate::SystemClock), with as many stripes as the process may use
    /// processors, rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::new`](crate::TokenBucket::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::new(Quota::per_second(1_000_000))?;
    /// assert!(hot.try_consume(1).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, QuotaError> {
        Self::builder(quota).build()
    }

    /// Starts building a bucket with settings beyond its quota.
    pub fn builder(quota: Quota) -> StripedBuilder {
        StripedBuilder::new(quota)
    }

    /// Computes what a bucket of this quota, built with so many stripes, holds at least after a rest: see
    /// [`guaranteed_burst`](Self::guaranteed_burst).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{Quota, StripedBucket};
    ///
    /// let quota = Quota::per_second(10_000);
    /// assert_eq!(StripedBucket::guaranteed_burst_of(&quota, 1), 10_000 - 512);
    /// assert_eq!(StripedBucket::guaranteed_burst_of(&quota, 8), 10_000 - 8 * 64);
    /// assert_eq!(StripedBucket::guaranteed_burst_of(&quota, 100), 10_000);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn guaranteed_burst_of(quota: &Quota, stripes: usize) -> Tokens {
        central_part(quota, Split::of(quota.capacity(), stripes_of(Some(stripes))))
    }
}

/// What stripes do not hold.
fn central_part(quota: &Quota, split: Split) -> Tokens {
    quota.capacity().saturating_sub(Tokens::new(split.aside()))
}

impl<C: Clock + Sync> StripedBucket<C> {
    /// Makes a full bucket on a clock of the caller's, with as many stripes as the process may use processors.
    ///
    /// # Errors
    ///
    /// As [`new`](StripedBucket::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000_000), ManualClock::new())?;
    /// assert_eq!(hot.available(), 1_000_000);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn with_clock(quota: Quota, clock: C) -> Result<Self, QuotaError> {
        StripedBuilder::new(quota).build_with_clock(clock)
    }

    /// Takes `cost` tokens if all are available now; otherwise takes none.
    ///
    /// Whole tokens that the calling thread's stripe holds are taken there, by one compare-and-swap and without a look
    /// at the clock. A cost of zero is allowed unless the bucket is in debt.
    ///
    /// What is left ([`Granted::remaining`]) is read when it is asked for, not kept from the call.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] if waiting would help, [`Denied::Never`] if the cost is above the
    /// [`guaranteed_burst`](Self::guaranteed_burst).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, StripedBucket, Tokens};
    ///
    /// let clock = ManualClock::new();
    /// let hot = StripedBucket::builder(Quota::per_second(1_000)).stripes(2).build_with_clock(&clock)?;
    ///
    /// assert_eq!(hot.try_consume(900).unwrap().remaining(), 100);
    /// assert_eq!(hot.try_consume(Tokens::decimal(5, 1)).unwrap().remaining(), Tokens::decimal(995, 1));
    /// assert!(hot.try_consume(99).is_ok());
    ///
    /// let denied = hot.try_consume(1).unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_micros(500)));
    /// clock.advance(Duration::from_micros(500));
    /// assert!(hot.try_consume(1).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume(&self, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied> {
        let cost = cost.into();
        if self.take_near(cost) {
            return Ok(self.granted(None));
        }
        let taken = self.consume_slow(cost, || self.clock.now_ns());
        taken.map(|now_ns| self.granted(Some(now_ns)))
    }

    /// [`try_consume`](Self::try_consume) at `now_ns` on the bucket's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// assert_eq!(hot.drain_at(0), 1_000);
    /// assert!(hot.try_consume_at(1, 999_999).is_err());
    /// assert!(hot.try_consume_at(1, 1_000_000).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Result<Granted<'_>, Denied> {
        let cost = cost.into();
        if self.take_near(cost) {
            return Ok(self.granted(Some(now_ns)));
        }
        let taken = self.consume_slow(cost, || now_ns);
        taken.map(|now_ns| self.granted(Some(now_ns)))
    }

    /// Takes one token if it is available now. The short form of [`try_consume`](Self::try_consume).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// assert!(hot.is_allowed());
    /// hot.drain();
    /// assert!(!hot.is_allowed());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.take_near(Tokens::ONE) || self.is_allowed_slow(Tokens::ONE, || self.clock.now_ns())
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the bucket's clock.
    #[inline]
    pub fn is_allowed_at(&self, now_ns: u64) -> bool {
        self.take_near(Tokens::ONE) || self.is_allowed_slow(Tokens::ONE, || now_ns)
    }

    /// Reads how many tokens are available now, wherever they lie: zero while in debt. Changes nothing.
    ///
    /// They may be more than one call can take: see [`guaranteed_burst`](Self::guaranteed_burst).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// hot.try_consume(2).unwrap();
    /// assert_eq!(hot.available(), 998);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn available(&self) -> Tokens {
        self.available_at(self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the bucket's clock.
    #[inline]
    pub fn available_at(&self, now_ns: u64) -> Tokens {
        self.read(now_ns).available
    }

    /// Computes how long until `cost` tokens are available if nobody else takes any: zero if they are now, `None` if
    /// the cost is above the [`guaranteed_burst`](Self::guaranteed_burst). Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::builder(Quota::per_second(1_000))
    ///     .stripes(2)
    ///     .build_with_clock(ManualClock::new())?;
    /// hot.try_consume(900).unwrap();
    /// assert_eq!(hot.time_until_available(100), Some(Duration::ZERO));
    /// assert_eq!(hot.time_until_available(101), Some(Duration::from_millis(1)));
    /// assert_eq!(hot.time_until_available(1_000), None);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn time_until_available(&self, cost: impl Into<Tokens>) -> Option<Duration> {
        self.time_until_available_at(cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the bucket's clock.
    pub fn time_until_available_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration> {
        self.wait_for(cost.into(), now_ns)
    }

    /// Takes as many whole tokens as are available now, at most `max`, and returns how many.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// assert_eq!(hot.consume_up_to(600), 600);
    /// assert_eq!(hot.consume_up_to(600), 400);
    /// assert_eq!(hot.consume_up_to(600), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn consume_up_to(&self, max: u64) -> u64 {
        self.take_up_to(max, || self.clock.now_ns())
    }

    /// [`consume_up_to`](Self::consume_up_to) at `now_ns` on the bucket's clock.
    pub fn consume_up_to_at(&self, max: u64, now_ns: u64) -> u64 {
        self.take_up_to(max, || now_ns)
    }

    /// Gives `cost` tokens back, up to the capacity.
    ///
    /// Meant for tokens that were taken and not used. What does not fit is lost. Less than a
    /// [`unit`](Resolution::unit) is not given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// hot.try_consume(3).unwrap();
    /// hot.refund(2);
    /// assert_eq!(hot.available(), 999);
    /// hot.refund(100);
    /// assert_eq!(hot.available(), 1_000);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn refund(&self, cost: impl Into<Tokens>) {
        self.give_back(cost.into(), || self.clock.now_ns());
    }

    /// [`refund`](Self::refund) at `now_ns` on the bucket's clock.
    pub fn refund_at(&self, cost: impl Into<Tokens>, now_ns: u64) {
        self.give_back(cost.into(), || now_ns);
    }

    /// Takes `cost` tokens whether they are there or not: the bucket may go into debt.
    ///
    /// As [`TokenBucket::charge`](crate::TokenBucket::charge): debt is bounded by
    /// [`max_debt`](StripedBuilder::max_debt), and what would go below that is not taken, and is returned. What lies in
    /// the stripes pays for it first.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::builder(Quota::per_second(1_000)).max_debt(10).build_with_clock(ManualClock::new())?;
    /// assert_eq!(hot.charge(1_002), 0);
    /// assert_eq!(hot.snapshot().debt(), 2);
    /// assert_eq!(hot.time_until_available(1), Some(Duration::from_millis(3)));
    /// assert_eq!(hot.charge(100), 92);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn charge(&self, cost: impl Into<Tokens>) -> Tokens {
        self.take_anyway(cost.into(), || self.clock.now_ns())
    }

    /// [`charge`](Self::charge) at `now_ns` on the bucket's clock.
    pub fn charge_at(&self, cost: impl Into<Tokens>, now_ns: u64) -> Tokens {
        self.take_anyway(cost.into(), || now_ns)
    }

    /// Takes all that is available now, fractions included, and returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, StripedBucket, Tokens};
    ///
    /// let hot = StripedBucket::with_clock("5/s burst 1000.5".parse()?, ManualClock::new())?;
    /// assert_eq!(hot.drain(), Tokens::decimal(10_005, 1));
    /// assert_eq!(hot.available(), 0);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn drain(&self) -> Tokens {
        self.take_all(|| self.clock.now_ns())
    }

    /// [`drain`](Self::drain) at `now_ns` on the bucket's clock.
    pub fn drain_at(&self, now_ns: u64) -> Tokens {
        self.take_all(|| now_ns)
    }

    /// Reads everything at one moment. Changes nothing.
    ///
    /// While others call, each stripe is read at a moment of its own. The bucket is full
    /// ([`full_after`](Snapshot::full_after)) when no more tokens arrive: a stripe that is not full then stays so until
    /// it is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// hot.try_consume(500).unwrap();
    /// let snapshot = hot.snapshot();
    /// assert_eq!((snapshot.available(), snapshot.debt()), (500.into(), 0.into()));
    /// assert_eq!(snapshot.full_after(), Duration::from_millis(500));
    /// assert_eq!(snapshot.quota(), Quota::per_second(1_000));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.clock.now_ns())
    }

    /// [`snapshot`](Self::snapshot) at `now_ns` on the bucket's clock.
    pub fn snapshot_at(&self, now_ns: u64) -> Snapshot {
        Snapshot::new(self.read(now_ns))
    }

    /// Changes rate and capacity while other threads go on. `fill` says what becomes of the tokens.
    ///
    /// As [`TokenBucket::set_quota`](crate::TokenBucket::set_quota), and as exact: the stripes are emptied, the change
    /// is one swap of the central word, and stripes are laid out anew. Meanwhile calls go on centrally, and may be denied
    /// tokens that lay in stripes: a sixteenth of the capacity, at most.
    ///
    /// **This call waits**, with yields, for tokens that other calls are moving between a stripe and the central bucket:
    /// some ten instructions each. If such a thread is stopped midway, for as long as it is. No other call waits.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::set_quota`](crate::TokenBucket::set_quota). Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{Fill, ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// hot.try_consume(400).unwrap();
    /// hot.set_quota(Quota::per_second(2_000), Fill::Keep)?;
    /// assert_eq!(hot.available(), 600);
    /// hot.set_quota(Quota::per_second(500), Fill::Keep)?;
    /// assert_eq!(hot.available(), 500);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota, fill: Fill) -> Result<(), QuotaError> {
        self.change_quota(&quota, fill, || self.clock.now_ns())
    }

    /// [`set_quota`](Self::set_quota) at `now_ns` on the bucket's clock, which must not be before the times of earlier
    /// calls.
    ///
    /// # Errors
    ///
    /// As `set_quota`.
    pub fn set_quota_at(&self, quota: Quota, fill: Fill, now_ns: u64) -> Result<(), QuotaError> {
        self.change_quota(&quota, fill, || now_ns)
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.terms.config()
    }

    /// Computes how many tokens are there at least after a rest, whatever came before; and so the most that one call
    /// can take.
    ///
    /// The capacity, less what the stripes may hold: those are filled by calls, not by time. It is at least 15/16 of
    /// the capacity, and all of it if that is too small to be divided.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let hot = StripedBucket::builder(Quota::per_second(1_000)).stripes(2).build_with_clock(ManualClock::new())?;
    /// assert_eq!(hot.guaranteed_burst(), 1_000 - 2 * 16);
    /// assert!(hot.try_consume(969).unwrap_err().is_never());
    /// assert!(hot.try_consume(968).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn guaranteed_burst(&self) -> Tokens {
        let quota = self.quota();
        central_part(&quota, self.split_of(&quota))
    }

    /// How many stripes there are: 1 if the capacity is too small to be divided, and so all calls go to one word.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{ManualClock, Quota, StripedBucket};
    ///
    /// let stripes_of = |capacity| {
    ///     let builder = StripedBucket::builder(Quota::per_second(capacity)).stripes(4);
    ///     builder.build_with_clock(ManualClock::new()).map(|hot| hot.stripes())
    /// };
    /// assert_eq!(stripes_of(512)?, 4);
    /// assert_eq!(stripes_of(511)?, 1);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn stripes(&self) -> usize {
        usize::try_from(self.split_of(&self.quota()).stripes()).unwrap_or(1)
    }

    /// The finest amounts and the largest quotas that this bucket can hold.
    pub fn resolution(&self) -> Resolution {
        Resolution::of(self.terms.layout)
    }

    /// The clock this bucket reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}
