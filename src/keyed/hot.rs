//! One key's bucket, for whoever calls it from many cores.

use core::fmt;
use core::time::Duration;

use super::away::Away;
use super::divided::Divided;
use crate::algorithm::{Layout, Wait};
use crate::answer::{Granted, Snapshot};
use crate::bucket::{Beside, Bucket, Grant, Leaves, Left, Read};
use crate::clock::{Clock, SystemClock};
use crate::error::Denied;
use crate::held::{Held, Refused};
use crate::primitive::Arc;
use crate::quota::Quota;
use crate::striped::{Hold, Spread, Striped, Stripes, Take, is_a_limit};
use crate::terms::Terms;
use crate::tokens::Tokens;
use crate::wait::Policy;

/// The bucket of one key that is known to be hot, found once and divided between cores. Made by
/// [`KeyedLimiter::hot_handle`](crate::KeyedLimiter::hot_handle).
///
/// It is to a [`Handle`](crate::Handle) what a [`StripedBucket`](crate::StripedBucket) is to a `TokenBucket`, and costs
/// what that one costs: a call takes from its core's *stripe*, with one compare-and-swap and no look at the clock. Calls
/// with the key, by any tier, and other handles go on as before and take **from the same bucket**. They are never granted
/// more than capacity + rate × time together, by the largest of the quotas that call the key.
///
/// # What it costs
///
/// **Burst, for everybody who calls the key.** What stripes may hold is counted as if it always lay there. So after a
/// rest there are at least [`guaranteed_burst`](Self::guaranteed_burst) tokens, 15/16 of the capacity or more, and a cost
/// above that is denied for good. It is so from the first hot handle on until the key has no handle of any kind and is
/// swept.
///
/// **Order**: as with a `StripedBucket`.
///
/// # Which quota
///
/// The key is divided by the quota of its first hot handle: that of the limiter, or of the tier on which it was made.
///
/// * Too small to divide (below 128 tokens a stripe): [`stripes`](Self::stripes) is 1, and it is one word.
/// * A quota that is lowered to less than eight times what stripes may hold has them closed: one word again, until it is
///   raised. The change waits for tokens that other calls are moving, some ten instructions each.
/// * Tiers of less than that leave the stripes alone. What they find is what lies beside these, of which there is up to
///   seven eighths of such a capacity at least.
/// * Hot handles by another quota than the first one's do not fill stripes. They take what they miss from there, and
///   their [`stripes`](Self::stripes) is 1.
///
/// # Given times
///
/// As of a `StripedBucket`: calls that are given the time (`*_at`) should come soon after it.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(100_000), ManualClock::new())?;
/// let alice = users.hot_handle("alice");
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| assert!(alice.is_allowed()));
///     }
/// });
/// assert!(users.is_allowed("alice"));
/// // What lies in stripes is no more than a sixteenth.
/// assert!(alice.guaranteed_burst() >= 93_750);
/// assert!(users.available("alice").whole() >= 93_750 - 5);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct HotHandle<C: Clock = SystemClock> {
    /// The stripes that this handle's calls take from first.
    near: Stripes,
    divided: std::sync::Arc<Divided>,
    terms: Arc<Terms>,
    clock: Arc<C>,
    /// Whether the bucket was divided by this handle's quota.
    is_own: bool,
    /// Not to be called, but to be there: nobody takes the bucket home.
    away: Away,
}

impl<C: Clock> HotHandle<C> {
    /// A handle to a bucket that is divided.
    pub(super) fn new(
        away: Away,
        divided: std::sync::Arc<Divided>,
        terms: Arc<Terms>,
        clock: Arc<C>,
    ) -> Self {
        let is_own = divided.is_of(&terms);
        let near = if is_own { divided.stripes() } else { divided.none() }.clone();
        Self { near, divided, terms, clock, is_own, away }
    }

    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C: Clock> Striped for HotHandle<C> {
    type Share = Beside;

    #[inline]
    fn central(&self) -> Bucket<'_, Layout, Beside> {
        self.divided.central(&self.terms)
    }

    #[inline]
    fn beside(&self) -> &Stripes {
        if self.is_own { &self.near } else { self.divided.within_reach_of(&self.terms) }
    }

    #[inline]
    fn fills(&self) -> bool {
        self.is_own
    }

    #[inline(always)]
    fn take_near(&self, cost: Tokens) -> bool {
        cost.subsec_nanos() == 0 && self.near.take(cost.whole())
    }
}

impl<C: Clock + Send + Sync> HotHandle<C> {
    /// What a call was granted, at a time if it was given or has read one.
    #[inline(always)]
    fn granted(&self, at_ns: Option<u64>) -> Granted<'_> {
        // As of a striped bucket: the first of the numbers tells whether there is a second one.
        let (left, now_ns) = at_ns.map_or((0, 0), |now_ns| (1, now_ns));
        Granted::new(Grant { terms: self, left, now_ns })
    }

    /// Takes `cost` tokens if all are available now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// As [`StripedBucket::try_consume`](crate::StripedBucket::try_consume).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(10_000), ManualClock::new())?;
    /// let alice = users.hot_handle("alice");
    /// assert!(alice.try_consume(9_000).is_ok());
    /// assert!(alice.try_consume(300).is_ok());
    /// let left = users.consume_up_to("alice", 10_000);
    /// assert!(left <= 700 && alice.try_consume(1).unwrap_err().retry_after().is_some());
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

    /// [`try_consume`](Self::try_consume) at `now_ns` on the limiter's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
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

    /// Takes one token if it is available now.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.take_near(Tokens::ONE) || self.is_allowed_slow(Tokens::ONE, || self.clock.now_ns())
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the limiter's clock.
    #[inline]
    pub fn is_allowed_at(&self, now_ns: u64) -> bool {
        self.take_near(Tokens::ONE) || self.is_allowed_slow(Tokens::ONE, || now_ns)
    }

    /// Reads how many tokens are available now, wherever they lie: zero while in debt. Changes nothing.
    pub fn available(&self) -> Tokens {
        self.available_at(self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the limiter's clock.
    pub fn available_at(&self, now_ns: u64) -> Tokens {
        self.read(now_ns).available
    }

    /// Computes how long until `cost` tokens are available if nobody else takes any: zero if they are now, `None` if
    /// the cost is above the [`guaranteed_burst`](Self::guaranteed_burst). Changes nothing.
    pub fn time_until_available(&self, cost: impl Into<Tokens>) -> Option<Duration> {
        self.time_until_available_at(cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the limiter's clock.
    pub fn time_until_available_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration> {
        self.wait_for(cost.into(), now_ns)
    }

    /// Takes as many whole tokens as are available now, at most `max`, and returns how many.
    pub fn consume_up_to(&self, max: u64) -> u64 {
        self.take_up_to(max, || self.clock.now_ns())
    }

    /// [`consume_up_to`](Self::consume_up_to) at `now_ns` on the limiter's clock.
    pub fn consume_up_to_at(&self, max: u64, now_ns: u64) -> u64 {
        self.take_up_to(max, || now_ns)
    }

    /// Gives `cost` tokens back, up to the capacity.
    pub fn refund(&self, cost: impl Into<Tokens>) {
        self.give_back(cost.into(), || self.clock.now_ns());
    }

    /// [`refund`](Self::refund) at `now_ns` on the limiter's clock.
    pub fn refund_at(&self, cost: impl Into<Tokens>, now_ns: u64) {
        self.give_back(cost.into(), || now_ns);
    }

    /// Takes `cost` tokens whether they are there or not, and returns what would have gone below the deepest debt. What
    /// lies in the stripes pays for it first.
    pub fn charge(&self, cost: impl Into<Tokens>) -> Tokens {
        self.take_anyway(cost.into(), || self.clock.now_ns())
    }

    /// [`charge`](Self::charge) at `now_ns` on the limiter's clock.
    pub fn charge_at(&self, cost: impl Into<Tokens>, now_ns: u64) -> Tokens {
        self.take_anyway(cost.into(), || now_ns)
    }

    /// Reads everything at one moment, each stripe at a moment of its own. Changes nothing.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.clock.now_ns())
    }

    /// [`snapshot`](Self::snapshot) at `now_ns` on the limiter's clock.
    pub fn snapshot_at(&self, now_ns: u64) -> Snapshot {
        Snapshot::new(self.read(now_ns))
    }
}

impl<C: Clock> HotHandle<C> {
    /// The quota of this handle, in force.
    pub fn quota(&self) -> Quota {
        self.terms.config()
    }

    /// Computes how many tokens are there at least after a rest, and so the most that one call can take.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String>::builder(Quota::per_second(1_000)).stripes(2);
    /// let users = users.build_with_clock(ManualClock::new())?;
    /// let alice = users.hot_handle("alice");
    /// assert_eq!(alice.guaranteed_burst(), 1_000 - 2 * 16);
    /// assert!(alice.try_consume(969).unwrap_err().is_never());
    /// assert!(users.try_consume("alice", 969).unwrap_err().is_never());
    /// assert!(alice.try_consume(968).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn guaranteed_burst(&self) -> Tokens {
        let (_, plan) = self.central().look();
        self.terms.tokens(plan.capacity_units)
    }

    /// How many stripes this handle's calls are spread over: 1 if they all go to one word. See
    /// [above](Self#which-quota).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String>::builder(Quota::per_second(1_000)).stripes(4);
    /// let users = users.build_with_clock(ManualClock::new())?;
    /// let tiny = users.tier(Quota::per_second(100))?;
    /// assert_eq!(users.hot_handle("alice").stripes(), 4);
    /// assert_eq!(users.on(&tiny).hot_handle("bob").stripes(), 1);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn stripes(&self) -> usize {
        let open = if self.is_own { self.divided.open_stripes() } else { 1 };
        usize::try_from(open).unwrap_or(1)
    }
}

impl<C: Clock + Send + Sync> Leaves for HotHandle<C> {
    fn left(&self, is_at: u64, now_ns: u64) -> Left {
        let now_ns = if is_at == 0 { self.clock.now_ns() } else { now_ns };
        let Read { available, full, .. } = self.read(now_ns);
        Left { available, full, departs_ns: 0 }
    }
}

is_a_limit!([C: Clock + Send + Sync] HotHandle<C>);

impl<C: Clock> Clone for HotHandle<C> {
    fn clone(&self) -> Self {
        Self {
            near: self.near.clone(),
            divided: std::sync::Arc::clone(&self.divided),
            terms: Arc::clone(&self.terms),
            clock: Arc::clone(&self.clock),
            is_own: self.is_own,
            away: Arc::clone(&self.away),
        }
    }
}

/// Nothing is given back here: what lies in stripes is the key's, and whoever calls it next gathers it.
impl<C: Clock> Drop for HotHandle<C> {
    fn drop(&mut self) {
        self.divided.leave(self.clock.now_ns());
    }
}

impl<C: Clock> fmt::Debug for HotHandle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Read { available, debt, config, .. } = self.read(self.clock.now_ns());
        f.debug_struct("HotHandle")
            .field("quota", &config)
            .field("available", &available)
            .field("debt", &debt)
            .field("stripes", &self.stripes())
            .finish_non_exhaustive()
    }
}
