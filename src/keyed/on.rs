//! The calls of a keyed limiter, by one tier's quota or by each key's.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::borrow::ToOwned;

use super::away::{By, Lent};
use super::buckets::Buckets;
use super::handle::Handle;
use super::hot::HotHandle;
use super::limiter::KeyedLimiter;
use super::room::WhenFull;
use super::tiers::Tier;
#[cfg(feature = "tower")]
use crate::algorithm::Wait;
use crate::algorithm::{Algorithm, ManyRules};
use crate::answer::{Granted, Snapshot};
#[cfg(feature = "tower")]
use crate::bucket::denied_and_left;
use crate::bucket::{Bucket, Gone, Grant, Taken, denied, refuse};
use crate::cell::Cell;
use crate::clock::Clock;
use crate::error::{Denied, NoRoom};
use crate::primitive::Arc;
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A [`KeyedLimiter`] with the quota of a [`Tier`]: the same keys, the same words, the same calls. Made by
/// [`on`](KeyedLimiter::on); it costs nothing to make.
///
/// A key keeps its fill from tier to tier: what one tier took, the others miss, and a level above a tier's capacity
/// is cut when that tier takes. What has arrived since a key's last call counts at the rate of the tier that
/// reads it.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(10), ManualClock::new())?;
/// let gold = users.tier(Quota::per_minute(60))?;
///
/// assert!(users.on(&gold).try_consume("bob", 50).is_ok());
/// assert_eq!(users.on(&gold).available("bob"), 10);
/// assert_eq!(users.try_consume("bob", 4).unwrap().remaining(), 6);
/// assert_eq!(users.on(&gold).available("bob"), 6);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct On<'a, K, A: Algorithm, C, H> {
    pub(super) limiter: &'a KeyedLimiter<K, A, C, H>,
    pub(super) terms: &'a Arc<Terms<A::Rules>>,
}

impl<K, A: Algorithm, C, H> Clone for On<'_, K, A, C, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, A: Algorithm, C, H> Copy for On<'_, K, A, C, H> {}

/// A thread that was held up finds that its clock has moved by more than this since it was read.
const HELD_UP_NS: u64 = 1_000;

/// What came of a call that looked everywhere.
enum Found {
    /// The bucket is one word.
    Taken(Taken),
    /// The bucket is divided: the word to tell of what was left and when, or why not.
    OfMany(Result<(u64, u64), Denied>),
    NoRoom,
}

impl<'a, K: Eq + Hash, A: Algorithm, C: Clock, H: BuildHasher + Clone> On<'a, K, A, C, H> {
    #[inline]
    pub(super) fn buckets(&self) -> &'a Buckets<K, H, A::Rules> {
        &self.limiter.buckets
    }

    pub(crate) fn limiter(&self) -> &'a KeyedLimiter<K, A, C, H> {
        self.limiter
    }

    pub(crate) fn terms(&self) -> &'a Terms<A::Rules> {
        self.terms
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        self.limiter.clock().now_ns()
    }

    /// See [`KeyedLimiter::try_consume`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline(always)]
    pub fn try_consume<Q>(self, key: &Q, cost: impl Into<Tokens>) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        // The clock is the caller's code, perhaps: it is read before any lock of a map is held. So, unlike with a
        // bucket of one's own, others may have come between clock and word and have left no trace of it.
        let (cost, now_ns) = (cost.into(), self.now_ns());
        match self.take_where_it_is(key, self.terms.wanted(cost), now_ns) {
            Some(Taken::Granted(left)) => Ok(self.granted(left, now_ns)),
            Some(Taken::Refused(word)) => Err(denied(self.terms, word, cost, now_ns)),
            taken => self.try_consume_again(key, cost, taken, now_ns),
        }
    }

    /// As [`try_consume`](Self::try_consume), and tells who is refused, as of the same moment, what one call could take,
    /// and how long until nothing is missing.
    #[cfg(feature = "tower")]
    pub(crate) fn try_consume_or_look<Q>(
        self,
        key: &Q,
        cost: Tokens,
    ) -> Result<Granted<'a>, (Denied, Tokens, Wait)>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let now_ns = self.now_ns();
        match self.take_where_it_is(key, self.terms.wanted(cost), now_ns) {
            Some(Taken::Granted(left)) => Ok(self.granted(left, now_ns)),
            Some(Taken::Refused(word)) => Err(denied_and_left(self.terms, word, cost, now_ns)),
            taken => self.try_consume_again(key, cost, taken, now_ns).map_err(|denied| {
                let (available, full) = self.look_at(key, self.now_ns());
                (denied, available, full)
            }),
        }
    }

    /// Decides where there was no bucket; and once more, if it was decided in haste or has become later since.
    #[inline(never)]
    fn try_consume_again<Q>(
        self,
        key: &Q,
        cost: Tokens,
        taken: Option<Taken>,
        mut now_ns: u64,
    ) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let clock_ns = || self.now_ns();
        let mut found = match taken {
            Some(taken) => Found::Taken(taken),
            None => self.take_anywhere(key, cost, &mut now_ns, clock_ns),
        };
        if let Found::Taken(Taken::RefusedNear(_) | Taken::RefusedInHaste(_)) = found {
            let later_ns = self.now_ns();
            let is_hasty = matches!(found, Found::Taken(Taken::RefusedInHaste(_)));
            if is_hasty || later_ns.saturating_sub(now_ns) > HELD_UP_NS {
                now_ns = later_ns;
                found = self.take_anywhere(key, cost, &mut now_ns, clock_ns);
            }
        }
        self.answer(cost, found, now_ns)
    }

    /// See [`KeyedLimiter::try_consume_at`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline(always)]
    pub fn try_consume_at<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let cost = cost.into();
        match self.take_where_it_is(key, self.terms.wanted(cost), now_ns) {
            Some(Taken::Granted(left)) => Ok(self.granted(left, now_ns)),
            Some(taken) => Err(denied(self.terms, taken.word(), cost, now_ns)),
            None => self.try_consume_anywhere_at(key, cost, now_ns),
        }
    }

    #[inline(never)]
    fn try_consume_anywhere_at<Q>(
        self,
        key: &Q,
        cost: Tokens,
        now_ns: u64,
    ) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let mut at_ns = now_ns;
        let found = self.take_anywhere(key, cost, &mut at_ns, || now_ns);
        self.answer(cost, found, at_ns)
    }

    /// Takes from the bucket of `key` if there is one, and it lies in a map.
    ///
    /// Two registers come back, and the time is not among them: a processor that has to write it to memory between
    /// two locked instructions waits there for its clock.
    #[inline(always)]
    pub(super) fn take_where_it_is<Q>(&self, key: &Q, wanted: u64, now_ns: u64) -> Option<Taken>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let terms: &'a Terms<A::Rules> = self.terms;
        let place = self.buckets().place(key);
        let take = |word: &Cell| Bucket::new(terms, word).take_if_stored(wanted, now_ns);
        match self.buckets().words.lend(place, key, take)? {
            // No map's lock is held now, and the word is not lent.
            Ok(Taken::Undecided(word)) => refuse(terms, word, wanted, now_ns),
            taken => taken.ok(),
        }
    }

    /// Takes from the bucket of `key`, wherever it is, and tells as of when. Out of stripes it takes as of what
    /// `later_ns` tells then.
    #[inline(never)]
    fn take_anywhere<Q>(
        &self,
        key: &Q,
        cost: Tokens,
        now_ns: &mut u64,
        later_ns: impl Fn() -> u64,
    ) -> Found
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        let (at, asked_ns, wanted) = ((key, buckets.place(key)), *now_ns, terms.wanted(cost));
        let mut take = |lent: Lent<'_>, at_ns| {
            *now_ns = at_ns;
            let bucket = lent.by(terms);
            if let Some(caller) = bucket.divided() {
                return Ok(Found::OfMany(caller.try_consume(cost, &later_ns)));
            }
            let bucket = bucket.bucket()?;
            Ok(Found::Taken(bucket.take(bucket.load(), wanted, at_ns)?))
        };
        buckets.find_or_add(terms, at, asked_ns, &mut take).unwrap_or(Found::NoRoom)
    }

    #[inline(always)]
    fn granted(&self, left: u64, now_ns: u64) -> Granted<'a> {
        Granted::new(Grant { terms: &**self.terms, left, now_ns })
    }

    /// What a caller is told.
    fn answer(&self, cost: Tokens, found: Found, now_ns: u64) -> Result<Granted<'a>, Denied> {
        match found {
            Found::Taken(Taken::Granted(left)) => Ok(self.granted(left, now_ns)),
            Found::Taken(taken) => Err(denied(self.terms, taken.word(), cost, now_ns)),
            Found::OfMany(taken) => taken.map(|(left, at_ns)| self.granted(left, at_ns)),
            Found::NoRoom => Err(self.no_room(now_ns)),
        }
    }

    #[cold]
    pub(super) fn no_room(&self, now_ns: u64) -> Denied {
        let wait = self.terms.layout.wait_to_fill(&self.terms.plan(), now_ns);
        Denied::NoRoom(NoRoom { wait })
    }

    /// See [`KeyedLimiter::is_allowed`].
    #[inline(always)]
    pub fn is_allowed<Q>(self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let now_ns = self.now_ns();
        match self.take_where_it_is(key, self.terms.wanted(Tokens::ONE), now_ns) {
            Some(Taken::Granted(_)) => true,
            Some(Taken::Refused(_)) => false,
            taken => self.try_consume_again(key, Tokens::ONE, taken, now_ns).is_ok(),
        }
    }

    /// See [`KeyedLimiter::is_allowed_at`].
    #[inline(always)]
    pub fn is_allowed_at<Q>(self, key: &Q, now_ns: u64) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        match self.take_where_it_is(key, self.terms.wanted(Tokens::ONE), now_ns) {
            Some(taken) => matches!(taken, Taken::Granted(_)),
            None => self.try_consume_anywhere_at(key, Tokens::ONE, now_ns).is_ok(),
        }
    }

    /// See [`KeyedLimiter::available`].
    pub fn available<Q>(self, key: &Q) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.available_at(key, self.now_ns())
    }

    /// See [`KeyedLimiter::available_at`].
    pub fn available_at<Q>(self, key: &Q, now_ns: u64) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.look(key, now_ns, |bucket| bucket.available(now_ns)).unwrap_or_default()
    }

    /// See [`KeyedLimiter::time_until_available`].
    pub fn time_until_available<Q>(self, key: &Q, cost: impl Into<Tokens>) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.time_until_available_at(key, cost, self.now_ns())
    }

    /// See [`KeyedLimiter::time_until_available_at`].
    pub fn time_until_available_at<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
        now_ns: u64,
    ) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let cost = cost.into();
        self.look(key, now_ns, |bucket| bucket.wait_for(cost, now_ns))?
    }

    /// Looks at the bucket of `key`, or at what a new one would be. `None` where there would be none.
    pub(super) fn look<Q, T>(
        &self,
        key: &Q,
        now_ns: u64,
        look: impl Fn(By<'_, A::Rules>) -> Result<T, Gone>,
    ) -> Option<T>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        if let Some(found) = buckets.find(key, |lent| look(lent.by(terms))) {
            return Some(found);
        }
        let room = &buckets.room;
        if room.when_full == WhenFull::DenyNew && room.is_full() {
            return None;
        }
        look(Lent::Word(&buckets.word_of_none(terms, key, now_ns)).by(terms)).ok()
    }

    /// See [`KeyedLimiter::consume_up_to`].
    pub fn consume_up_to<Q>(self, key: &Q, max: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let up_to = |max| self.take_up_to(key, max, self.now_ns(), || self.now_ns());
        let taken = up_to(max);
        if taken == max {
            return taken;
        }
        // As in `try_consume`: once more, at a later time.
        taken.saturating_add(up_to(max.saturating_sub(taken)))
    }

    /// See [`KeyedLimiter::consume_up_to_at`].
    pub fn consume_up_to_at<Q>(self, key: &Q, max: u64, now_ns: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.take_up_to(key, max, now_ns, || now_ns)
    }

    fn take_up_to<Q>(self, key: &Q, max: u64, now_ns: u64, later_ns: impl Fn() -> u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        let at = (key, buckets.place(key));
        let taken = buckets.find_or_add(terms, at, now_ns, &mut |lent: Lent<'_>, now_ns| {
            lent.by(terms).take_up_to(max, now_ns, &later_ns)
        });
        taken.unwrap_or(0)
    }

    /// See [`KeyedLimiter::refund`].
    pub fn refund<Q>(self, key: &Q, cost: impl Into<Tokens>)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.refund_at(key, cost, self.now_ns());
    }

    /// See [`KeyedLimiter::refund_at`].
    pub fn refund_at<Q>(self, key: &Q, cost: impl Into<Tokens>, now_ns: u64)
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let (terms, cost) = (self.terms, cost.into());
        // A key that is not there is full, or has taken from a bucket that others took from, too.
        let _ = self.buckets().find(key, |lent| lent.by(terms).refund(cost, now_ns));
    }

    /// See [`KeyedLimiter::snapshot`].
    pub fn snapshot<Q>(self, key: &Q) -> Option<Snapshot<A>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.snapshot_at(key, self.now_ns())
    }

    /// See [`KeyedLimiter::snapshot_at`].
    pub fn snapshot_at<Q>(self, key: &Q, now_ns: u64) -> Option<Snapshot<A>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let terms = self.terms;
        let read = self.buckets().find(key, |lent| lent.by(terms).read(now_ns))?;
        Some(Snapshot::new(read))
    }

    /// See [`KeyedLimiter::handle`].
    pub fn handle<Q>(self, key: &Q) -> Handle<A, C>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        Handle {
            away: self.buckets().send_away(self.terms, key, self.now_ns()),
            terms: Arc::clone(self.terms),
            clock: Arc::clone(&self.limiter.clock),
        }
    }
}

impl<K: Eq + Hash, C: Clock, H: BuildHasher + Clone> On<'_, K, Quota, C, H> {
    /// See [`KeyedLimiter::charge`].
    pub fn charge<Q>(self, key: &Q, cost: impl Into<Tokens>) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.take_anyway(key, cost.into(), self.now_ns(), || self.now_ns())
    }

    /// See [`KeyedLimiter::charge_at`].
    pub fn charge_at<Q>(self, key: &Q, cost: impl Into<Tokens>, now_ns: u64) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.take_anyway(key, cost.into(), now_ns, || now_ns)
    }

    fn take_anyway<Q>(
        self,
        key: &Q,
        cost: Tokens,
        now_ns: u64,
        later_ns: impl Fn() -> u64,
    ) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (buckets, terms) = (self.buckets(), self.terms);
        let at = (key, buckets.place(key));
        let not_taken = buckets.find_or_add(terms, at, now_ns, &mut |lent: Lent<'_>, now_ns| {
            lent.by(terms).charge(cost, now_ns, &later_ns)
        });
        not_taken.unwrap_or(cost)
    }

    /// See [`KeyedLimiter::hot_handle`].
    pub fn hot_handle<Q>(self, key: &Q) -> HotHandle<C>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let (away, divided) = self.buckets().divide(self.terms, key, self.now_ns());
        let (terms, clock) = (Arc::clone(self.terms), Arc::clone(&self.limiter.clock));
        HotHandle::new(away, divided, terms, clock)
    }
}

impl<K, A: Algorithm, C, H> fmt::Debug for On<'_, K, A, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On")
            .field("algorithm", &A::from_config(self.terms.config()))
            .finish_non_exhaustive()
    }
}

/// A [`KeyedLimiter`] whose quota is decided for each key by the caller's function. Made by
/// [`on_each`](KeyedLimiter::on_each).
///
/// The function is called once per call, before any lock is taken.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(10), ManualClock::new())?;
/// let (free, gold) = (users.tier(Quota::per_minute(10))?, users.tier(Quota::per_minute(60))?);
/// let by_plan = users.on_each(|name: &str| if name.ends_with("@gold") { &gold } else { &free });
///
/// assert_eq!(by_plan.key("alice").available("alice"), 10);
/// assert!(by_plan.try_consume("bob@gold", 60).is_ok());
/// assert!(by_plan.try_consume("alice", 60).is_err());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct OnEach<'a, K, A: Algorithm, C, H, F> {
    pub(super) limiter: &'a KeyedLimiter<K, A, C, H>,
    pub(super) tier_of: F,
}

impl<'a, K: Eq + Hash, A: Algorithm, C: Clock, H: BuildHasher + Clone, F>
    OnEach<'a, K, A, C, H, F>
{
    /// The limiter with the quota of `key`, for any of its calls.
    #[inline]
    pub fn key<Q>(&self, key: &Q) -> On<'a, K, A, C, H>
    where
        Q: ?Sized,
        F: Fn(&Q) -> &'a Tier<A>,
    {
        self.limiter.on((self.tier_of)(key))
    }

    /// See [`KeyedLimiter::try_consume`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline(always)]
    pub fn try_consume<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        F: Fn(&Q) -> &'a Tier<A>,
    {
        self.key(key).try_consume(key, cost)
    }

    /// See [`KeyedLimiter::is_allowed`].
    #[inline(always)]
    pub fn is_allowed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        F: Fn(&Q) -> &'a Tier<A>,
    {
        self.key(key).is_allowed(key)
    }
}

impl<K, A: Algorithm, C, H, F> fmt::Debug for OnEach<'_, K, A, C, H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnEach").finish_non_exhaustive()
    }
}
