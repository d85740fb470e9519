//! Several limits, one decision.

use core::array;
use core::fmt;
use core::time::Duration;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::sync::Arc;

use super::known::Known;
use super::limit::Limit;
use super::of_keys::{Keys, OfKeys};
use super::rejected::{Rejected, Said};
use super::reservation::Reservation;
use super::source::Again;
use super::standing::Standing;
use super::waiting::Waiting;
use crate::algorithm::Wait;
use crate::answer::Granted;
use crate::held::{CLOSE_NS, Held, Refused};
use crate::tokens::Tokens;

/// Several limits, one decision: all of them grant, or nothing is taken from any.
///
/// `N` limits with a name each, by keys `Q`. A call has a cost for each of them, in their order; the compiler counts
/// them. A clone is another name for the same limits.
///
/// # Guarantees
///
/// * **Never over**: each limit keeps its own promise, whatever becomes of the others.
/// * **All or nothing**: what one refuses costs nothing on any. All are asked before anything is taken, so that
///   refusals write nothing; then the costs are taken, one limit after the other, as of one instant, read before. If
///   one of them was emptied meanwhile, what was taken from those before it goes back, exactly.
/// * Who waits takes from each limit when it comes, and goes when the last one is good. As with every wait, each
///   limit counts it at a moment between the two: so the ends of waits for one limit may bunch by another.
/// * In between another thread may see fewer tokens than there are, never more: for some tens of nanoseconds, or until
///   a thread that was stopped there goes on, it may be refused, or told to wait longer, for tokens that go back.
///
/// # Examples
///
/// An LLM budget: an estimate is reserved, the truth is settled.
///
/// ```
/// # #[cfg(feature = "keyed")] {
/// use flowgate::{LimitSet, Quota};
///
/// let budget = LimitSet::<str, 2>::per_key([
///     ("requests", Quota::per_minute(500)),
///     ("tokens", Quota::per_minute(200_000)),
/// ])?;
///
/// let (prompt, max_output) = (1_200, 4_000);
/// let permit = budget.reserve("alice", [1, prompt + max_output]).unwrap();
/// // The model answers.
/// let used = 2_345;
/// permit.settle([1, used]);
/// assert!(budget.available("alice")[1] >= 200_000 - 2_345);
///
/// let rejected = budget.reserve("alice", [1, 199_000]).unwrap_err();
/// assert_eq!(rejected.names().collect::<Vec<_>>(), ["tokens"]);
/// assert!(rejected.retry_after().is_some());
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct LimitSet<Q: ?Sized, const N: usize> {
    /// `N` of them.
    pub(super) limits: Arc<[Named<Q>]>,
}

pub(super) struct Named<Q: ?Sized> {
    name: &'static str,
    pub(super) limit: Box<dyn Limit<Q> + Send + Sync>,
    policy: Known,
}

impl<Q: ?Sized> Named<Q> {
    fn new(name: &'static str, limit: Box<dyn Limit<Q> + Send + Sync>) -> Self {
        Self { name, limit, policy: Known::default() }
    }

    /// How it stands, if that is what one call could take, and how long until nothing is missing.
    fn standing(&self, available: Tokens, full: Wait) -> Standing {
        Standing::new(self.name, self.policy.of(&*self.limit), available, full)
    }
}

/// A cost for each limit of a [`LimitSet`]: an array of what can be [`Tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs<const N: usize>(pub [Tokens; N]);

impl<T: Into<Tokens>, const N: usize> From<[T; N]> for Costs<N> {
    fn from(costs: [T; N]) -> Self {
        Self(costs.map(Into::into))
    }
}

#[cfg(feature = "keyed")]
impl<Q, const N: usize> LimitSet<Q, N>
where
    Q: ?Sized + core::hash::Hash + Eq + ToOwned,
    Q::Owned: core::hash::Hash + Eq + Send + Sync + 'static,
{
    /// Makes a set of token buckets by name, each of them with a bucket per key, on the
    /// [`SystemClock`](crate::SystemClock).
    ///
    /// # Errors
    ///
    /// As [`KeyedLimiter::new`](crate::KeyedLimiter::new).
    pub fn per_key(quotas: [(&'static str, crate::Quota); N]) -> Result<Self, crate::QuotaError> {
        let limits = quotas.into_iter().map(|(name, quota)| {
            let limiter = crate::KeyedLimiter::<Q::Owned>::new(quota)?;
            Ok(Named::new(name, Box::new(limiter)))
        });
        Ok(Self { limits: limits.collect::<Result<_, crate::QuotaError>>()? })
    }
}

impl<Q: ?Sized, const N: usize> LimitSet<Q, N> {
    /// Makes a set of limits of any kind, each with a name: keyed limiters of keys `Q`, and limiters without keys, which
    /// then are of all keys together. Each keeps its own clock. Who keeps a clone of a keyed limiter, or another `Arc` of
    /// one without keys, can change its quota.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "keyed")] {
    /// use std::time::Duration;
    /// use std::sync::Arc;
    /// use flowgate::{Fill, KeyedLimiter, LimitSet, Quota, SlidingWindow, TokenBucket};
    ///
    /// let per_user = KeyedLimiter::<String, _>::new(SlidingWindow::new(2, Duration::from_secs(60)))?;
    /// let of_all = Arc::new(TokenBucket::new(Quota::per_hour(3))?);
    /// let set = LimitSet::<str, 2>::of([("user", Box::new(per_user)), ("all", Box::new(of_all.clone()))]);
    ///
    /// assert!(set.try_consume("alice", [1, 1]).is_ok());
    /// assert!(set.try_consume("alice", [1, 1]).is_ok());
    /// assert!(set.try_consume("alice", [1, 1]).is_err());
    /// assert!(set.try_consume("bob", [1, 1]).is_ok());
    /// let rejected = set.try_consume("carol", [1, 1]).unwrap_err();
    /// assert_eq!(rejected.names().collect::<Vec<_>>(), ["all"]);
    /// of_all.set_quota(Quota::per_hour(4), Fill::Added)?;
    /// assert!(set.try_consume("carol", [1, 1]).is_ok());
    /// # }
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn of(limits: [(&'static str, Box<dyn Limit<Q> + Send + Sync>); N]) -> Self {
        let limits = limits.into_iter().map(|(name, limit)| Named::new(name, limit));
        Self { limits: limits.collect() }
    }

    /// The names, in the order of the costs.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.limits.iter().map(|limit| limit.name)
    }

    /// Takes all `costs`, of one key, if all limits hold them now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// [`Rejected`], which names every limit that said no.
    pub fn try_consume(
        &self,
        key: &Q,
        costs: impl Into<Costs<N>>,
    ) -> Result<GrantedSet<'_, Q, N>, Rejected<N>> {
        self.try_consume_each([key; N], costs)
    }

    /// Takes all `costs`, each of its own key, if all limits hold them now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// As [`try_consume`](Self::try_consume).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "keyed")] {
    /// use flowgate::{LimitSet, Quota};
    ///
    /// let quotas = [("user", Quota::per_minute(2)), ("company", Quota::per_minute(3))];
    /// let set = LimitSet::<str, 2>::per_key(quotas)?;
    /// assert!(set.try_consume_each(["alice", "acme"], [2, 2]).is_ok());
    /// assert!(set.try_consume_each(["bob", "acme"], [2, 2]).is_err());
    /// assert!(set.try_consume_each(["bob", "acme"], [2, 1]).is_ok());
    /// # }
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn try_consume_each(
        &self,
        keys: [&Q; N],
        costs: impl Into<Costs<N>>,
    ) -> Result<GrantedSet<'_, Q, N>, Rejected<N>> {
        let (costs, limits) = (costs.into(), &*self.limits);
        // Of one there is nothing to be asked before, and nothing to be rolled back.
        if N == 1
            && let Some(Named { limit, .. }) = limits.first()
            && let Some(answer) = limit.try_now(keys[0], costs.0[0])
        {
            let refused = |denied| self.rejected(&[Some(Refused::for_good(denied)); N]).denied;
            return answer
                .map(|granted| GrantedSet { limits, granted: [granted; N] })
                .map_err(refused);
        }
        let mut held = [Held::default(); N];
        match self.hold_into(&mut held, &keys, &costs, 0) {
            Ok(()) => {
                let granted = array::from_fn(|at| limits[at].limit.granted(&held[at]));
                Ok(GrantedSet { limits, granted })
            }
            Err(again) => Err(again.denied),
        }
    }

    /// As [`try_consume`](Self::try_consume), and tells who is refused how each limit stands: of one limit as of the
    /// moment of the refusal. Who does not ask what is left is not told: it is not moved then.
    #[cfg(feature = "tower")]
    #[inline]
    pub(crate) fn try_consume_or_look(
        &self,
        key: &Q,
        costs: Costs<N>,
        asks_what_is_left: bool,
    ) -> Result<Option<GrantedSet<'_, Q, N>>, (Rejected<N>, [Standing; N])> {
        let limits = &*self.limits;
        if N == 1
            && let Some(named) = limits.first()
            && let Some(answer) = &named.limit.try_now_or_look(key, costs.0[0])
        {
            return match answer {
                Ok(_) if !asks_what_is_left => Ok(None),
                Ok(granted) => Ok(Some(GrantedSet { limits, granted: [*granted; N] })),
                &Err((denied, available, full)) => {
                    let standing = named.standing(available, full);
                    let refused = [Some(Refused::for_good(denied)); N];
                    Err((self.rejected(&refused).denied, [standing; N]))
                }
            };
        }
        let answer = if asks_what_is_left {
            self.try_consume(key, costs).map(Some)
        } else {
            let mut held = [Held::default(); N];
            let answer = self.hold_into(&mut held, &[key; N], &costs, 0);
            answer.map(|()| None).map_err(|again| again.denied)
        };
        answer.map_err(|rejected| (rejected, self.standing(key)))
    }

    /// Reads how many tokens each limit has for `key` now.
    pub fn available(&self, key: &Q) -> [Tokens; N] {
        self.each(|_, limit| limit.available_at(key, limit.now_ns()))
    }

    /// Reads how each limit stands for `key` now. Changes nothing, and adds no key.
    ///
    /// # Examples
    ///
    /// See [`Standing`].
    pub fn standing(&self, key: &Q) -> [Standing; N] {
        array::from_fn(|at| {
            let named = &self.limits[at];
            let (available, full) = named.limit.look_at(key, named.limit.now_ns());
            named.standing(available, full)
        })
    }

    /// Waits for what is being asked of stores in the background, of limits that have just said no to `key`; `None` if nothing is.
    #[cfg(feature = "tower")]
    pub(crate) fn answers(&self, key: &Q) -> Option<super::limit::Answered> {
        let mut answers = self.limits.iter().filter_map(|named| named.limit.answered(key));
        let first = answers.next()?;
        let rest = answers.collect::<std::vec::Vec<_>>();
        Some(Box::pin(async move {
            first.await;
            for answered in rest {
                answered.await;
            }
        }))
    }

    /// The number of keys that each limit holds, by name; `None` of those without keys.
    pub fn keys_held(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> + '_ {
        self.limits.iter().map(|named| (named.name, named.limit.keys_held()))
    }

    /// One of something for each limit.
    pub(super) fn each<T: Default + Copy>(
        &self,
        mut make: impl FnMut(usize, &dyn Limit<Q>) -> T,
    ) -> [T; N] {
        let mut made = [T::default(); N];
        for (at, (made, named)) in made.iter_mut().zip(self.limits.iter()).enumerate() {
            *made = make(at, &*named.limit);
        }
        made
    }

    /// Takes what will be there within `most_wait_ns`, from all or none.
    pub(super) fn hold(
        &self,
        keys: &[&Q; N],
        costs: Costs<N>,
        most_wait_ns: u64,
    ) -> Result<[Held; N], Again<Rejected<N>>> {
        let mut all = [Held::default(); N];
        self.hold_into(&mut all, keys, &costs, most_wait_ns).map(|()| all)
    }

    /// The same, told in place: it would be moved several times.
    fn hold_into(
        &self,
        all: &mut [Held; N],
        keys: &[&Q; N],
        costs: &Costs<N>,
        most_wait_ns: u64,
    ) -> Result<(), Again<Rejected<N>>> {
        match self.hold_once(all, keys, costs, most_wait_ns) {
            // Perhaps only since others took at a time that this thread had not read yet.
            Err(again) if again.denied.is_close(CLOSE_NS) => {
                self.hold_once(all, keys, costs, most_wait_ns)
            }
            held => held,
        }
    }

    fn hold_once(
        &self,
        all: &mut [Held; N],
        keys: &[&Q; N],
        Costs(costs): &Costs<N>,
        most_wait_ns: u64,
    ) -> Result<(), Again<Rejected<N>>> {
        let now_ns = self.each(|_, limit| limit.now_ns());
        let refusal_of = |at: usize, limit: &dyn Limit<Q>| {
            limit.would_refuse_at(keys[at], costs[at], most_wait_ns, now_ns[at])
        };
        // The first one tells by itself.
        for (at, named) in self.limits.iter().enumerate().skip(1) {
            if let Some(one) = refusal_of(at, &*named.limit) {
                return Err(self.rejected_by(at, one, refusal_of));
            }
        }
        for (at, named) in self.limits.iter().enumerate() {
            match named.limit.hold_at(keys[at], costs[at], most_wait_ns, now_ns[at]) {
                Ok(held) => all[at] = held,
                Err(one) => {
                    self.roll_back(keys, all, &now_ns, at);
                    return Err(self.rejected_by(at, one, refusal_of));
                }
            }
        }
        Ok(())
    }

    /// The limit `at` said no: it is named, whatever comes back meanwhile, and so is each other that says no now.
    #[cold]
    #[inline(never)]
    fn rejected_by(
        &self,
        at: usize,
        one: Refused,
        refusal_of: impl Fn(usize, &dyn Limit<Q>) -> Option<Refused>,
    ) -> Again<Rejected<N>> {
        let mut one = Some(one);
        self.rejected(&self.each(|other, limit| match other == at {
            true => one.take(),
            false => refusal_of(other, limit),
        }))
    }

    /// Gives back what was taken from those before `failed`, as of the instant at which it was taken.
    fn roll_back(&self, keys: &[&Q; N], all: &[Held; N], now_ns: &[u64; N], failed: usize) {
        if crate::planted::lose_a_rollback() {
            return;
        }
        for (at, named) in self.limits.iter().enumerate().take(failed).rev() {
            named.limit.take_back_at(keys[at], &all[at], 0, now_ns[at]);
        }
    }

    fn rejected(&self, refused: &[Option<Refused>; N]) -> Again<Rejected<N>> {
        let mut names = [""; N];
        for (to, name) in names.iter_mut().zip(self.names()) {
            *to = name;
        }
        let denied = Rejected::new(names, refused.map(|refused| Said::of(refused.as_ref())));
        // All of them are to be waited for, or none.
        let all_naps = refused.iter().flatten().map(|refused| refused.nap);
        let nap = all_naps.reduce(|one, other| Some(one?.later(other?))).flatten();
        Again { denied, nap }
    }
}

impl<Q: ?Sized + ToOwned, const N: usize> LimitSet<Q, N>
where
    Q::Owned: Clone,
{
    /// Reserves all `costs`, of one key, if all limits hold them now; to be settled when it is known what was used.
    ///
    /// # Errors
    ///
    /// [`Rejected`], which names every limit that said no.
    pub fn reserve(
        &self,
        key: &Q,
        costs: impl Into<Costs<N>>,
    ) -> Result<Reservation<OfKeys<Q, N>>, Rejected<N>> {
        self.reserve_within(key, costs, Duration::ZERO)
    }

    /// Reserves all `costs`, of one key, if all limits will hold them within `max_wait`; otherwise takes none.
    ///
    /// Of a window that is still to come nothing can be reserved: it must hold its cost now. [`acquire`](Self::acquire)
    /// waits for it.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn reserve_within(
        &self,
        key: &Q,
        costs: impl Into<Costs<N>>,
        max_wait: Duration,
    ) -> Result<Reservation<OfKeys<Q, N>>, Rejected<N>> {
        self.on(key).reserve(costs, max_wait)
    }

    /// The set for one key, which the reservations of it keep.
    pub fn on(&self, key: &Q) -> OfKeys<Q, N> {
        OfKeys::new(self.clone(), Keys::One(key.to_owned()))
    }

    /// The set for a key for each limit.
    pub fn on_each(&self, keys: [&Q; N]) -> OfKeys<Q, N> {
        OfKeys::new(self.clone(), Keys::Each(keys.map(ToOwned::to_owned)))
    }

    /// The waiting calls for one key on a [`Timer`](super::Timer) of the caller's.
    pub fn wait_with<T>(&self, key: &Q, timer: T) -> Waiting<'static, OfKeys<Q, N>, T> {
        Waiting::new(self.on(key), timer)
    }
}

#[cfg(feature = "async")]
impl<Q: ?Sized + ToOwned, const N: usize> LimitSet<Q, N>
where
    Q::Owned: Clone,
{
    /// Waits until all limits hold their `costs`, of one key, and reserves them; to be settled when it is known what
    /// was used. In any runtime; [`wait_with`](Self::wait_with) takes another timer.
    ///
    /// Who waits has its place in the order of each limit from the start, and takes from all when the last is good. A
    /// future that is dropped gives everything back.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if a cost is above a capacity.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "keyed")] {
    /// use flowgate::{LimitSet, Quota};
    ///
    /// let quotas = [("requests", Quota::per_second(100).burst(1)), ("tokens", Quota::per_minute(200_000))];
    /// let budget = LimitSet::<str, 2>::per_key(quotas)?;
    /// # async_io::block_on(async {
    /// for _ in 0..3 {
    ///     let permit = budget.acquire("alice", [1, 5_000]).await?;
    ///     permit.settle([1, 1_234]);
    /// }
    /// # Ok::<(), flowgate::Rejected<2>>(())
    /// # }).unwrap();
    /// # }
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub async fn acquire(
        &self,
        key: &Q,
        costs: impl Into<Costs<N>>,
    ) -> Result<Reservation<OfKeys<Q, N>>, Rejected<N>> {
        self.wait_with(key, super::AnyRuntime).acquire(costs).await
    }

    /// As [`acquire`](Self::acquire), if that takes no longer than `max_wait`. If it would it fails at once, and takes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if it would take longer, or a cost is above a capacity.
    pub async fn acquire_timeout(
        &self,
        key: &Q,
        costs: impl Into<Costs<N>>,
        max_wait: Duration,
    ) -> Result<Reservation<OfKeys<Q, N>>, Rejected<N>> {
        self.wait_with(key, super::AnyRuntime).acquire_timeout(costs, max_wait).await
    }
}

impl<Q: ?Sized, const N: usize> Clone for LimitSet<Q, N> {
    fn clone(&self) -> Self {
        Self { limits: Arc::clone(&self.limits) }
    }
}

impl<Q: ?Sized, const N: usize> fmt::Debug for LimitSet<Q, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// What a call of a [`LimitSet`] took, and what it left.
pub struct GrantedSet<'a, Q: ?Sized, const N: usize> {
    limits: &'a [Named<Q>],
    granted: [Granted<'a>; N],
}

impl<'a, Q: ?Sized, const N: usize> GrantedSet<'a, Q, N> {
    /// For each limit, by name, what was taken and what was left.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Granted<'a>)> + '_ {
        self.limits.iter().zip(&self.granted).map(|(named, granted)| (named.name, *granted))
    }

    /// Tells whether one of the limits let it through without counting it: see [`Granted::is_degraded`].
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.granted.iter().any(Granted::is_degraded)
    }

    /// Computes how each limit stands right after this call.
    #[must_use]
    pub fn standing(&self) -> [Standing; N] {
        array::from_fn(|at| {
            let (remaining, full) = self.granted[at].remaining_and_full();
            self.limits[at].standing(remaining, full)
        })
    }

    /// Computes the tokens left right after this call, for each limit.
    #[must_use]
    pub fn remaining(&self) -> [Tokens; N] {
        let mut remaining = [Tokens::ZERO; N];
        for (to, (_, granted)) in remaining.iter_mut().zip(self.each()) {
            *to = granted.remaining();
        }
        remaining
    }
}

impl<Q: ?Sized, const N: usize> fmt::Debug for GrantedSet<'_, Q, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.each().map(|(name, left)| (name, left.remaining()))).finish()
    }
}
