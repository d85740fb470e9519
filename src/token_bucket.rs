//! The token bucket: what it can do beyond what every limiter does.

use crossbeam_utils::CachePadded;

use crate::algorithm::Room;
use crate::builder::Builder;
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::error::QuotaError;
use crate::fill::Fill;
use crate::limiter::Limiter;
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
///   [`Resolution::unit`](crate::Resolution::unit), as a rule less than a ten-thousandth of the capacity.
/// * **Never lost.** However often it is polled, the credit over any time is within one unit of rate ×
///   time, less what arrives while the bucket is full.
/// * **Tight waits.** If nobody else takes tokens, a call made after exactly
///   [`retry_after`](crate::Denied::retry_after) succeeds and one a nanosecond earlier does not.
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
pub type TokenBucket<C = SystemClock> = Limiter<Quota, C>;

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

impl<C: Clock> TokenBucket<C> {
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
        self.terms.config()
    }

    /// The finest amounts and the largest quotas that this limiter can hold.
    pub fn resolution(&self) -> Resolution {
        Resolution::of(self.terms.layout)
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
