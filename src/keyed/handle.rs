//! One key's bucket, for whoever calls it often.

use core::fmt;
use core::time::Duration;

use super::away::{Away, By, Lent};
use crate::algorithm::Algorithm;
use crate::answer::{Granted, Snapshot};
use crate::bucket::{Bucket, Gone, Grant};
use crate::clock::{Clock, SystemClock};
use crate::clocked::{Clocked, is_allowed_at, try_consume_at};
use crate::error::Denied;
use crate::primitive::{Arc, give_way};
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// The bucket of one key, found once: for a connection that makes many requests. Made by
/// [`KeyedLimiter::handle`](crate::KeyedLimiter::handle).
///
/// A call costs what a call of a [`TokenBucket`](crate::TokenBucket) costs, and takes from the same bucket as
/// calls with the key. The key stays while there is a handle to it. A clone is another handle to the same bucket.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(3), ManualClock::new())?;
/// let alice = users.handle("alice");
/// assert!(alice.is_allowed());
/// assert!(users.is_allowed("alice"));
/// assert_eq!(alice.try_consume(1).unwrap().remaining(), 0);
/// assert!(!users.is_allowed("alice"));
/// alice.refund(1);
/// assert_eq!(users.available("alice"), 1);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct Handle<A: Algorithm = Quota, C = SystemClock> {
    pub(super) away: Away,
    pub(super) terms: Arc<Terms<A::Rules>>,
    pub(super) clock: Arc<C>,
}

impl<A: Algorithm, C: Clock> Handle<A, C> {
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }

    pub(crate) fn terms(&self) -> &Terms<A::Rules> {
        &self.terms
    }

    /// The bucket as one word, which is gone once the bucket is divided.
    #[inline]
    fn bucket(&self) -> Bucket<'_, A::Rules> {
        Bucket::new(&self.terms, self.away.word())
    }

    #[inline]
    fn clocked(&self) -> Clocked<'_, C, A::Rules> {
        Clocked { bucket: self.bucket(), clock: &*self.clock }
    }

    /// Lends the bucket to `run`, be it one word or divided, until that does not find it gone.
    pub(crate) fn lend<T>(&self, mut run: impl FnMut(By<'_, A::Rules>) -> Result<T, Gone>) -> T {
        loop {
            // It is in the one place or in the other: of a bucket with a handle no other is left.
            if let Ok(outcome) = self.away.lend(|lent| run(lent.by(&self.terms))) {
                return outcome;
            }
            give_way();
        }
    }

    /// Whether the key is hot. Its bucket may have been one word a moment ago.
    #[inline]
    fn is_divided(&self) -> bool {
        self.away.divided().is_some()
    }

    /// Takes where the bucket was not found as one word, if that is because it is divided.
    #[cold]
    #[inline(never)]
    fn take_divided(
        &self,
        cost: Tokens,
        now_ns: impl Fn() -> u64,
    ) -> Option<Result<Granted<'_>, Denied>> {
        let terms = &*self.terms;
        let caller = Lent::Divided(self.away.divided()?).by(terms).divided()?;
        let taken = caller.try_consume(cost, now_ns);
        Some(taken.map(|(left, now_ns)| Granted::new(Grant { terms, left, now_ns })))
    }

    /// What the bucket says as one word, or else what it says divided.
    #[inline(always)]
    fn or_divided<'a>(
        &'a self,
        taken: Result<Granted<'a>, Denied>,
        cost: Tokens,
        now_ns: impl Fn() -> u64,
    ) -> Result<Granted<'a>, Denied> {
        match taken {
            // So it is told of a word that is gone, too.
            Err(Denied::Never(_)) => self.take_divided(cost, now_ns).unwrap_or(taken),
            taken => taken,
        }
    }

    /// Takes `cost` tokens if all are available now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_consume`](crate::TokenBucket::try_consume).
    #[inline]
    pub fn try_consume(&self, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied> {
        let cost = cost.into();
        self.or_divided(self.clocked().try_consume(cost), cost, || self.clock.now_ns())
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
        self.or_divided(try_consume_at(self.bucket(), cost, now_ns), cost, || now_ns)
    }

    /// Takes one token if it is available now.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.clocked().is_allowed(Tokens::ONE)
            || self.is_divided()
                && matches!(self.take_divided(Tokens::ONE, || self.clock.now_ns()), Some(Ok(_)))
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the limiter's clock.
    #[inline]
    pub fn is_allowed_at(&self, now_ns: u64) -> bool {
        is_allowed_at(self.bucket(), Tokens::ONE, now_ns)
            || self.is_divided() && matches!(self.take_divided(Tokens::ONE, || now_ns), Some(Ok(_)))
    }

    /// Reads how many tokens are available now: zero while in debt. Changes nothing.
    pub fn available(&self) -> Tokens {
        self.available_at(self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the limiter's clock.
    pub fn available_at(&self, now_ns: u64) -> Tokens {
        self.lend(|bucket| bucket.available(now_ns))
    }

    /// Computes how long until `cost` tokens are available if nobody else takes any: zero if they are
    /// now, `None` if they never are. Changes nothing.
    pub fn time_until_available(&self, cost: impl Into<Tokens>) -> Option<Duration> {
        self.time_until_available_at(cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the limiter's clock.
    pub fn time_until_available_at(
        &self,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration> {
        let cost = cost.into();
        self.lend(|bucket| bucket.wait_for(cost, now_ns))
    }

    /// Takes as many whole tokens as are available now, at most `max`, and returns how many.
    pub fn consume_up_to(&self, max: u64) -> u64 {
        let taken = self.clocked().consume_up_to(max);
        if taken > 0 || !self.is_divided() {
            return taken;
        }
        self.lend(|bucket| bucket.take_up_to(max, self.clock.now_ns(), || self.clock.now_ns()))
    }

    /// Gives `cost` tokens back, up to the capacity.
    pub fn refund(&self, cost: impl Into<Tokens>) {
        self.refund_at(cost, self.clock.now_ns());
    }

    /// [`refund`](Self::refund) at `now_ns` on the limiter's clock.
    pub fn refund_at(&self, cost: impl Into<Tokens>, now_ns: u64) {
        let cost = cost.into();
        self.lend(|bucket| bucket.refund(cost, now_ns));
    }

    /// Reads everything at one moment. Changes nothing.
    pub fn snapshot(&self) -> Snapshot<A> {
        let now_ns = self.clock.now_ns();
        Snapshot::new(self.lend(|bucket| bucket.read(now_ns)))
    }
}

impl<C: Clock> Handle<Quota, C> {
    /// Takes `cost` tokens whether they are there or not, and returns what would have gone below the deepest
    /// debt.
    pub fn charge(&self, cost: impl Into<Tokens>) -> Tokens {
        let cost = cost.into();
        self.lend(|bucket| bucket.charge(cost, self.clock.now_ns(), || self.clock.now_ns()))
    }

    /// [`charge`](Self::charge) at `now_ns` on the limiter's clock.
    pub fn charge_at(&self, cost: impl Into<Tokens>, now_ns: u64) -> Tokens {
        let cost = cost.into();
        self.lend(|bucket| bucket.charge(cost, now_ns, || now_ns))
    }
}

impl<A: Algorithm, C> Clone for Handle<A, C> {
    fn clone(&self) -> Self {
        Self {
            away: Arc::clone(&self.away),
            terms: Arc::clone(&self.terms),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<A: Algorithm, C: Clock> fmt::Debug for Handle<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.snapshot()).finish()
    }
}
