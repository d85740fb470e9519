//! A limiter whose buckets are in a store: a round trip each.

use core::fmt;
use core::time::Duration;

use super::error::{StoreError, StoreErrorKind};
use super::failure::{ConnectError, RedisError};
use super::key::{Name, StoreKey};
use super::limit::RedisLimit;
use super::rule::Found;
use super::script::{Asked, Part};
use super::store::RedisStore;
use crate::algorithm::Algorithm;
use crate::answer::Granted;
use crate::error::{Denied, QuotaError};
use crate::quota::Quota;
use crate::tokens::Tokens;

/// A limiter by key that several servers share: each decision is one script, and one round trip.
///
/// A [token bucket](crate::TokenBucket) per key, or any other [`Algorithm`]; its state is one short string in Redis, which goes away
/// when it is full. A clone is another name for the same limiter.
///
/// # Guarantees
///
/// * **Never over**: for all servers together what the algorithm guarantees, by the clock of the store's server, to the microsecond;
///   nothing is rounded but costs, up to a [unit](RedisLimit::unit). A denial writes nothing.
/// * This holds as long as the store keeps its data. One that starts empty starts with full buckets; a replica that takes over
///   does not have what had not reached it yet.
/// * **Time** is the server's. If it steps back, nothing refills until it is there again. If it jumps ahead, that time is refilled.
///   With [`client_time`](RedisStore::client_time) it is each caller's, and clocks that differ grant the refill of the difference too much.
/// * A call that timed out may have been carried out: then its tokens are gone, and calling again takes them twice. No error is a
///   grant.
/// * Waiting callers have no order: see [`consume`](Self::consume).
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use flowgate::Quota;
/// use flowgate::redis::{RedisLimiter, RedisStore};
/// use flowgate::SlidingWindow;
///
/// let users = RedisLimiter::connect("redis://127.0.0.1/", "60/min burst 10".parse::<Quota>()?).await?;
/// let granted = users.try_consume("alice", 1).await?;
/// assert!(granted.remaining() < 10);
///
/// // Several limiters over one connection, each with its name.
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let api = RedisLimiter::new(&store, SlidingWindow::new(1_000, Duration::from_secs(3_600)))?.named("api");
/// let logins = RedisLimiter::new(&store, Quota::per_minute(5))?.named("logins");
/// assert!(logins.is_allowed("alice").await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisLimiter<A: Algorithm = Quota> {
    store: RedisStore,
    name: Name,
    algorithm: A,
    limit: RedisLimit,
}

/// What buckets are called whose limit has not been named.
const DEFAULT_NAME: &str = "flowgate";

impl<A: Algorithm> RedisLimiter<A> {
    /// Connects to the server at `redis://[user:password@]host[:port]/[database]`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the server does not answer, or the algorithm's numbers cannot be kept exactly.
    pub async fn connect(url: &str, algorithm: A) -> Result<Self, ConnectError> {
        // What is wrong in the program is said first.
        RedisLimit::new(algorithm)?;
        let store = RedisStore::connect(url).await?;
        Ok(Self::new(&store, algorithm)?)
    }

    /// Makes a limiter in a store, called `flowgate` until it is [`named`](Self::named).
    ///
    /// # Errors
    ///
    /// As [`RedisLimit::new`].
    pub fn new(store: &RedisStore, algorithm: A) -> Result<Self, QuotaError> {
        Ok(Self::of(store, algorithm, RedisLimit::new(algorithm)?))
    }

    /// Makes a limiter that counts in 10^-`places` tokens: see [`RedisLimit::places`].
    ///
    /// # Errors
    ///
    /// As [`RedisLimit::places`].
    pub fn with_places(store: &RedisStore, algorithm: A, places: u32) -> Result<Self, QuotaError> {
        Ok(Self::of(store, algorithm, RedisLimit::places(algorithm, places)?))
    }

    fn of(store: &RedisStore, algorithm: A, limit: RedisLimit) -> Self {
        Self { store: store.clone(), name: Name::new(DEFAULT_NAME), algorithm, limit }
    }

    /// Names the limit: limiters of the same name share their buckets, whichever server they are on.
    ///
    /// Of the same name must be the same algorithm, period and unit; another one finds
    /// [`StoreErrorKind::OtherBucket`]. So a name for each limit, and a new one when its quota changes in more than its burst and
    /// the number of tokens.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Name::new(name), ..self }
    }

    /// The algorithm, with its numbers.
    pub fn algorithm(&self) -> A {
        self.algorithm
    }

    /// The store.
    pub fn store(&self) -> &RedisStore {
        &self.store
    }

    /// How the limit is counted.
    pub fn limit(&self) -> &RedisLimit {
        &self.limit
    }

    /// Asks the script; what it says, what it found, and when.
    async fn ask(&self, key: impl StoreKey, asked: Asked) -> Result<(u64, Found, u64), StoreError> {
        let key = self.name.of_key(&key.bytes());
        let part = Part { rule: &self.limit.rule, key: &key, asked };
        let answer = self.store.decide(&[part]).await?;
        match answer.parts.first() {
            Some(part) => Ok((part.says, part.found, answer.now_us)),
            None => Err(StoreError::new(StoreErrorKind::BadReply, "")),
        }
    }

    /// Takes `cost` tokens from the bucket of `key` if all are available now; otherwise takes none.
    ///
    /// A cost of zero is allowed unless the bucket is in debt.
    ///
    /// # Errors
    ///
    /// [`RedisError::Denied`] as an in-process limiter says; of a cost above the capacity without a round trip.
    /// [`RedisError::Store`] if there was no answer.
    pub async fn try_consume(
        &self,
        key: impl StoreKey,
        cost: impl Into<Tokens>,
    ) -> Result<Granted<'_>, RedisError> {
        let grains = self.limit.grains(cost.into()).map_err(RedisError::Denied)?;
        let (says, found, now_us) = self.ask(key, Asked::Consume(grains)).await?;
        if says == 0 {
            return Err(RedisError::Denied(self.limit.not_yet(&found, now_us, grains)));
        }
        Ok(self.limit.granted(&found, now_us))
    }

    /// Takes one token of `key` if it is available now. The short form of [`try_consume`](Self::try_consume).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn is_allowed(&self, key: impl StoreKey) -> Result<bool, StoreError> {
        match self.try_consume(key, 1).await {
            Ok(_) => Ok(true),
            Err(RedisError::Denied(_)) => Ok(false),
            Err(RedisError::Store(error)) => Err(error),
        }
    }

    /// Takes `cost` tokens of `key` as soon as they are there: sleeps as long as it was told, and tries again.
    ///
    /// Nothing is kept in the store for who waits, so there is no order among them: with many waiting for one key each new try is
    /// a round trip, and a large cost may wait for long. From a [`LeakyQueue`](crate::LeakyQueue) it returns when its turn comes to
    /// leave. Dropped before that, it may have taken its tokens.
    ///
    /// # Errors
    ///
    /// [`RedisError::Denied`] if the cost is above the capacity, and [`RedisError::Store`] at the first try without an answer.
    ///
    /// # Panics
    ///
    /// As tokio's `sleep`, in a runtime without time.
    pub async fn consume(
        &self,
        key: impl StoreKey,
        cost: impl Into<Tokens>,
    ) -> Result<Granted<'_>, RedisError> {
        let (key, cost) = (key.bytes().into_owned(), cost.into());
        loop {
            match self.try_consume(&key, cost).await {
                Ok(granted) => {
                    let departs_after = granted.departs_after();
                    if !departs_after.is_zero() {
                        tokio::time::sleep(departs_after).await;
                    }
                    return Ok(granted);
                }
                Err(RedisError::Denied(Denied::NotYet(not_yet))) => {
                    tokio::time::sleep(not_yet.retry_after()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads how many tokens are available to `key` now: zero while in debt. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn available(&self, key: impl StoreKey) -> Result<Tokens, StoreError> {
        let (_, found, now_us) = self.ask(key, Asked::Peek).await?;
        Ok(self.limit.rule.tokens(self.limit.rule.available(&found, now_us)))
    }

    /// Computes how long until `cost` tokens of `key` are available if nobody else takes any: zero if they are now, `None` if they
    /// never are. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn time_until_available(
        &self,
        key: impl StoreKey,
        cost: impl Into<Tokens>,
    ) -> Result<Option<Duration>, StoreError> {
        let Ok(grains) = self.limit.grains(cost.into()) else { return Ok(None) };
        let (_, found, now_us) = self.ask(key, Asked::Peek).await?;
        Ok(Some(Duration::from_micros(self.limit.rule.wait_us(&found, now_us, grains))))
    }

    /// Takes as many whole tokens of `key` as are available now, at most `max`, and returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn consume_up_to(&self, key: impl StoreKey, max: u64) -> Result<u64, StoreError> {
        let unit = self.limit.rule.grains_per_token();
        // The script counts no more than a bucket holds in all: it would take what is less for a token.
        if unit > self.limit.rule.capacity_grains() {
            return Ok(0);
        }
        let (charge, hint, doubts) = (0, None, false);
        let asked = Asked::UpTo { unit, least: 1, most: max, charge, hint, doubts };
        Ok(self.ask(key, asked).await?.0)
    }

    /// Gives `cost` tokens of `key` back, up to the capacity; of windows, to the present one.
    ///
    /// Meant for tokens that were taken and not used. What does not fit is lost. Less than a [unit](RedisLimit::unit) is not given
    /// back.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn refund(
        &self,
        key: impl StoreKey,
        cost: impl Into<Tokens>,
    ) -> Result<(), StoreError> {
        let grains = self.limit.rule.grains_floor(cost.into());
        self.ask(key, Asked::Refund(grains)).await?;
        Ok(())
    }

    /// Takes `cost` tokens of `key` whether they are there or not: the bucket may go into debt.
    ///
    /// The debt is at most eight capacities, or less where a script could not count it. What would go below is not taken, and is
    /// returned.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer.
    pub async fn charge(
        &self,
        key: impl StoreKey,
        cost: impl Into<Tokens>,
    ) -> Result<Tokens, StoreError> {
        let cost = cost.into();
        let grains = self.limit.rule.grains(cost);
        let (taken, ..) = self.ask(key, Asked::Charge(grains)).await?;
        Ok(self.limit.rule.not_taken(cost, taken))
    }
}

impl<A: Algorithm> fmt::Debug for RedisLimiter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .field("store", &self.store)
            .finish()
    }
}
