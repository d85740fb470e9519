//! Several limits in a store, one decision.

use core::{array, fmt};
use std::sync::Arc;
use std::vec::Vec;

use super::error::{StoreError, StoreErrorKind};
use super::failure::RedisError;
use super::key::{Name, StoreKey};
use super::limit::RedisLimit;
use super::reservation::RedisReservation;
use super::script::{Answer, Asked, Part};
use super::store::RedisStore;
use crate::answer::Granted;
use crate::error::{Excerpt, QuotaError};
use crate::quota::Quota;
use crate::tokens::Tokens;
use crate::wait::{Costs, Rejected, Said};

/// Several limits that servers share, one decision: all of them grant, or nothing is taken from any.
///
/// `N` limits with a name each. A call has a cost for each of them, in their order; the compiler counts them. All is decided in one
/// script, so nobody sees a part of it; in a cluster the buckets of a key are in one slot. A clone is another name for the same
/// limits.
///
/// # Guarantees
///
/// Of each limit those of [`RedisLimiter`](super::RedisLimiter). A rejection names each limit that said no, and writes nothing.
///
/// # Examples
///
/// An LLM budget: an estimate is reserved, the truth is settled.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use flowgate::Quota;
/// use flowgate::redis::{RedisLimitSet, RedisStore};
///
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let budget = RedisLimitSet::new(&store, "llm", [
///     ("requests", Quota::per_minute(500)),
///     ("tokens", Quota::per_minute(200_000)),
/// ])?;
///
/// let (prompt, max_output) = (1_200, 4_000);
/// let reservation = budget.reserve("alice", [1, prompt + max_output]).await?;
/// // The model answers.
/// let used = 2_345;
/// reservation.settle([1, used]).await?;
/// # Ok(()) }
/// ```
pub struct RedisLimitSet<const N: usize> {
    pub(super) store: RedisStore,
    /// `N` of them.
    limits: Arc<[Named]>,
}

struct Named {
    name: &'static str,
    in_store: Name,
    limit: RedisLimit,
}

impl<const N: usize> RedisLimitSet<N> {
    /// Makes a set of token buckets by name; `name` is the set's own, see [`RedisLimiter::named`](super::RedisLimiter::named).
    ///
    /// # Errors
    ///
    /// [`QuotaError::SameName`] if two of them have the same name, and as [`RedisLimit::new`].
    pub fn new(
        store: &RedisStore,
        name: &str,
        quotas: [(&'static str, Quota); N],
    ) -> Result<Self, QuotaError> {
        let limits = quotas.map(|(name, quota)| Ok((name, RedisLimit::new(quota)?)));
        Self::all(store, name, limits)
    }

    /// Makes a set of limits of any kind, each with a name.
    ///
    /// # Errors
    ///
    /// [`QuotaError::SameName`] if two of them have the same name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use flowgate::redis::{RedisLimit, RedisLimitSet, RedisStore};
    /// use flowgate::{Quota, SlidingWindow};
    ///
    /// let store = RedisStore::connect("redis://127.0.0.1/").await?;
    /// let day = Duration::from_secs(86_400);
    /// let set = RedisLimitSet::of(&store, "api", [
    ///     ("second", RedisLimit::new(Quota::per_second(10))?),
    ///     ("day", RedisLimit::new(SlidingWindow::new(10_000, day))?),
    /// ])?;
    /// assert!(set.try_consume("alice", [1, 1]).await.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn of(
        store: &RedisStore,
        name: &str,
        limits: [(&'static str, RedisLimit); N],
    ) -> Result<Self, QuotaError> {
        Self::all(store, name, limits.map(Ok))
    }

    fn all(
        store: &RedisStore,
        name: &str,
        limits: [Result<(&'static str, RedisLimit), QuotaError>; N],
    ) -> Result<Self, QuotaError> {
        let set = Name::new(name);
        let mut all: Vec<Named> = Vec::with_capacity(N);
        for limit in limits {
            let (name, limit) = limit?;
            // They would take from one bucket, each without seeing the other.
            if all.iter().any(|other| other.name == name) {
                return Err(QuotaError::SameName { name: Excerpt::new(name) });
            }
            all.push(Named { name, in_store: set.limit(name), limit });
        }
        Ok(Self { store: store.clone(), limits: all.into() })
    }

    /// The names, in the order of the costs.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.limits.iter().map(|named| named.name)
    }

    /// Takes all `costs`, of one key, if all limits hold them now; otherwise takes none.
    ///
    /// # Errors
    ///
    /// [`RedisError::Denied`] with a [`Rejected`], which names every limit that said no; [`RedisError::Store`] if there was no answer.
    pub async fn try_consume(
        &self,
        key: impl StoreKey,
        costs: impl Into<Costs<N>>,
    ) -> Result<[Granted<'_>; N], RedisError<Rejected<N>>> {
        let (_, answer) = self.take(&key.bytes(), costs.into()).await?;
        Ok(array::from_fn(|at| {
            self.limits[at].limit.granted(&answer.parts[at].found, answer.now_us)
        }))
    }

    /// Reserves all `costs`, of one key, if all limits hold them now; to be settled when it is known what was used.
    ///
    /// # Errors
    ///
    /// As [`try_consume`](Self::try_consume).
    pub async fn reserve(
        &self,
        key: impl StoreKey,
        costs: impl Into<Costs<N>>,
    ) -> Result<RedisReservation<N>, RedisError<Rejected<N>>> {
        let key = key.bytes().into_owned();
        let (taken, answer) = self.take(&key, costs.into()).await?;
        let taken_in_us = array::from_fn(|at| RedisLimit::taken_in_us(&answer.parts[at].found));
        Ok(RedisReservation { set: self.clone(), key, taken, taken_in_us })
    }

    /// Reads how many tokens each limit has for `key` now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn available(&self, key: impl StoreKey) -> Result<[Tokens; N], StoreError> {
        let answer = self.ask(&key.bytes(), [Asked::Peek; N]).await?;
        Ok(array::from_fn(|at| {
            let rule = &self.limits[at].limit.rule;
            rule.tokens(rule.available(&answer.parts[at].found, answer.now_us))
        }))
    }

    /// Takes costs, and says how many grains of each.
    async fn take(
        &self,
        key: &[u8],
        Costs(costs): Costs<N>,
    ) -> Result<([u64; N], Answer), RedisError<Rejected<N>>> {
        let grains: [_; N] = array::from_fn(|at| self.limits[at].limit.grains(costs[at]));
        // Of what can never be had nobody needs to ask; but whether the others would say no.
        let never = grains.iter().any(Result::is_err);
        let taken = grains.map(|grains| grains.unwrap_or(0));
        let asked = if never { taken.map(|_| Asked::Peek) } else { taken.map(Asked::Consume) };
        let answer = self.ask(key, asked).await?;
        if !never && answer.parts.iter().all(|part| part.says > 0) {
            return Ok((taken, answer));
        }
        let said = array::from_fn(|at| {
            let limit = &self.limits[at].limit;
            match grains[at] {
                Err(_) => Said::Never,
                Ok(grains) => {
                    let part = &answer.parts[at];
                    let no = if never {
                        limit.rule.wait_us(&part.found, answer.now_us, grains) > 0
                    } else {
                        part.says == 0
                    };
                    match limit.not_yet(&part.found, answer.now_us, grains).retry_after() {
                        Some(wait) if no => Said::NotYet(wait),
                        _ => Said::Yes,
                    }
                }
            }
        });
        Err(RedisError::Denied(Rejected::new(array::from_fn(|at| self.limits[at].name), said)))
    }

    /// Asks all limits; as many answers as limits.
    async fn ask(&self, key: &[u8], asked: [Asked; N]) -> Result<Answer, StoreError> {
        let keys: [_; N] = array::from_fn(|at| self.limits[at].in_store.of_key(key));
        let parts: [_; N] = array::from_fn(|at| Part {
            rule: &self.limits[at].limit.rule,
            key: &keys[at],
            asked: asked[at],
        });
        let answer = self.store.decide(&parts).await?;
        if answer.parts.len() != N {
            return Err(StoreError::new(StoreErrorKind::BadReply, ""));
        }
        Ok(answer)
    }

    /// Makes what was taken cost `costs`, and says what of them could not be taken.
    pub(super) async fn settle(
        &self,
        key: &[u8],
        (taken, taken_in_us): ([u64; N], [u64; N]),
        Costs(costs): Costs<N>,
    ) -> Result<[Tokens; N], StoreError> {
        let grains: [_; N] = array::from_fn(|at| self.limits[at].limit.rule.grains(costs[at]));
        let asked = array::from_fn(|at| match grains[at].checked_sub(taken[at]) {
            Some(0) => Asked::Peek,
            Some(more) => Asked::Charge(more),
            None => Asked::TakeBack {
                grains: taken[at].saturating_sub(grains[at]),
                start_us: taken_in_us[at],
            },
        });
        let answer = self.ask(key, asked).await?;
        Ok(array::from_fn(|at| match asked[at] {
            Asked::Charge(more) => {
                let rule = &self.limits[at].limit.rule;
                rule.not_taken(rule.tokens(more), answer.parts[at].says)
            }
            _ => Tokens::ZERO,
        }))
    }
}

impl<const N: usize> Clone for RedisLimitSet<N> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), limits: Arc::clone(&self.limits) }
    }
}

impl<const N: usize> fmt::Debug for RedisLimitSet<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for named in &*self.limits {
            map.entry(&named.name, &named.limit);
        }
        map.finish()
    }
}
