//! A store on the network, and the calls to it.

mod link;
mod said;

use core::fmt;
use core::time::Duration;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ::redis::Cmd;

use self::link::{Commands, Link};
use self::said::store_error;
use super::error::{StoreError, StoreErrorKind};
use super::script::{Answer, Call, NoAnswer, Part};
use crate::clock::Clock;

/// A Redis or Valkey server, a cluster of them, or whichever server Sentinel says.
///
/// All limiters of a program share one: a clone is another name for the same connection. Calls of many tasks go over it at the
/// same time, without waiting for each other's answers. A connection that breaks, hangs, or leads to a server that has become a
/// replica is made again by the next call.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use flowgate::redis::RedisStore;
///
/// let store = RedisStore::connect("redis://user:password@127.0.0.1:6379/").await?;
/// let store = store.timeout(Duration::from_millis(50));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    /// The calls that may have been carried out without an answer, of all clones.
    unanswered: Arc<Mutex<u64>>,
    timeout: Duration,
    clock: WhoseClock,
}

#[derive(Clone)]
enum WhoseClock {
    Server,
    System,
    Caller(Arc<dyn Clock + Send + Sync>),
}

/// How long a call may take unless it is told otherwise.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How long the first connection may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Connects to one server, at `redis://[user:password@]host[:port]/[database]` or `redis+unix:///path`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is no server, or it does not let us in.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::lazy(url)?.connected().await
    }

    /// Names one server, as [`connect`](Self::connect) does, and connects when it is first asked: for a service that must start
    /// while its store is away. Until it is there calls fail with what is wrong, and leases do as
    /// [`WhenDown`](super::WhenDown) says.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the address cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::Quota;
    /// use flowgate::redis::{RedisError, RedisLimiter, RedisStore, StoreErrorKind};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// // Nobody listens there yet.
    /// let store = RedisStore::lazy("redis://127.0.0.1:1/")?;
    /// let users = RedisLimiter::new(&store, Quota::per_second(10))?;
    /// let Err(RedisError::Store(error)) = users.try_consume("alice", 1).await else { panic!() };
    /// assert_eq!(error.kind(), StoreErrorKind::Unreachable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// assert!(RedisStore::lazy("127.0.0.1").is_err());
    /// ```
    pub fn lazy(url: &str) -> Result<Self, StoreError> {
        Self::of(Link::to_server(url))
    }

    /// Connects to a cluster, of which some servers' addresses are known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if none of them answers.
    pub async fn cluster(
        urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, StoreError> {
        Self::lazy_cluster(urls)?.connected().await
    }

    /// Names a cluster, as [`cluster`](Self::cluster) does, and connects when it is first asked: see [`lazy`](Self::lazy).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if an address cannot be read.
    pub fn lazy_cluster(
        urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, StoreError> {
        Self::of(Link::to_cluster(urls.into_iter().map(Into::into).collect()))
    }

    /// Connects to the server that the sentinels at these addresses name as the primary of `service`, and to another one when they
    /// name another.
    ///
    /// `service` is the name as it is; or, if the servers want a password, `redis://user:password@name/database`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if no sentinel answers, or none knows the service.
    pub async fn sentinel(
        urls: impl IntoIterator<Item = impl Into<String>>,
        service: &str,
    ) -> Result<Self, StoreError> {
        Self::lazy_sentinel(urls, service)?.connected().await
    }

    /// Names sentinels, as [`sentinel`](Self::sentinel) does, and connects when it is first asked: see [`lazy`](Self::lazy).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if an address cannot be read.
    pub fn lazy_sentinel(
        urls: impl IntoIterator<Item = impl Into<String>>,
        service: &str,
    ) -> Result<Self, StoreError> {
        let urls = urls.into_iter().map(Into::into).collect();
        Self::of(Link::to_sentinels(urls, service))
    }

    fn of(link: Result<Link, ::redis::RedisError>) -> Result<Self, StoreError> {
        let link = Arc::new(link.map_err(|error| store_error(&error))?);
        Ok(Self { link, unanswered: Arc::default(), timeout: TIMEOUT, clock: WhoseClock::Server })
    }

    async fn connected(self) -> Result<Self, StoreError> {
        match tokio::time::timeout(FIRST_TIMEOUT, self.link.connect()).await {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(match store_error(&error) {
                // Nothing was asked yet.
                lost if lost.kind() == StoreErrorKind::ConnectionLost => {
                    StoreError::new(StoreErrorKind::Unreachable, lost.said())
                }
                error => error,
            }),
            Err(_) => {
                let said = std::format!("no connection within {FIRST_TIMEOUT:?}");
                Err(StoreError::new(StoreErrorKind::Unreachable, said))
            }
        }
    }

    /// Sets how long each call may take, connecting again included: 500 ms unless it is set.
    ///
    /// A call that took too long may have been carried out: then its tokens are gone.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Takes the time from this machine's clock, for servers that refuse `TIME` in scripts.
    ///
    /// Clocks that differ by some time grant up to the refill of that time too much: keep them synchronised, or leave the time to
    /// the server.
    #[must_use]
    pub fn client_time(self) -> Self {
        Self { clock: WhoseClock::System, ..self }
    }

    /// Takes the time from a clock of the caller's, whose origin is 1970: for tests, or for time from elsewhere.
    ///
    /// It must be the same time in all processes that share limits, as with [`client_time`](Self::client_time).
    #[must_use]
    pub fn client_clock(self, clock: impl Clock + Send + Sync + 'static) -> Self {
        Self { clock: WhoseClock::Caller(Arc::new(clock)), ..self }
    }

    /// How long a call takes at most.
    pub(crate) fn longest_call(&self) -> Duration {
        self.timeout
    }

    /// The calls so far, of all clones, that may have been carried out although no answer came: what they took is gone, and was
    /// granted to nobody.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> Option<u64> {
        match &self.clock {
            WhoseClock::Server => None,
            WhoseClock::System => {
                let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(u64::try_from(since_1970.as_micros()).unwrap_or(0))
            }
            WhoseClock::Caller(clock) => Some(clock.now_ns() / 1_000),
        }
    }

    /// Carries one decision out, in one round trip.
    pub(crate) async fn decide(&self, parts: &[Part<'_>]) -> Result<Answer, StoreError> {
        let call = Call { parts, now_us: self.now_us() };
        let reply = match tokio::time::timeout(self.timeout, self.link.send(&call)).await {
            Ok(reply) => reply.map_err(|error| store_error(&error)),
            Err(_) => {
                self.link.give_up();
                let said = std::format!("after {:?}", self.timeout);
                Err(StoreError::new(StoreErrorKind::TimedOut, said))
            }
        };
        let reply = reply.inspect_err(|error| {
            if error.kind().may_have_executed() {
                let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
                *unanswered = unanswered.saturating_add(1);
            }
        })?;
        call.read(&reply).map_err(|no_answer| match no_answer {
            NoAnswer::OtherBucket { part } => {
                let key = parts.get(part).map(|part| part.key).unwrap_or_default();
                let said = std::format!("key {}", key.escape_ascii());
                StoreError::new(StoreErrorKind::OtherBucket, said)
            }
            NoAnswer::Garbled => {
                StoreError::new(StoreErrorKind::BadReply, std::format!("{reply:?}"))
            }
        })
    }
}

impl Commands for Call<'_> {
    fn short(&self) -> Cmd {
        self.by_hash()
    }

    fn whole(&self) -> Cmd {
        self.with_text()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = match &self.clock {
            WhoseClock::Server => "server",
            WhoseClock::System => "this machine",
            WhoseClock::Caller(_) => "caller",
        };
        f.debug_struct("RedisStore")
            .field("timeout", &self.timeout)
            .field("clock", &clock.to_string())
            .finish_non_exhaustive()
    }
}
