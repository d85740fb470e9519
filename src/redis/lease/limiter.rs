//! The leased limiter: what users see.

use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use core::time::Duration;
use std::borrow::ToOwned;
use std::string::String;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use super::account::{Account, lock};
use super::admitted::Admitted;
use super::ask::Lessor;
use super::leases::Leases;
use super::settings::{Lease, LeaseError, WhenDown};
use super::share::{Share, share_of};
use super::shared::Shared;
use super::stats::LeaseStats;
use super::task::Task;
use crate::clock::{BootClock, Clock};
use crate::error::Denied;
use crate::quota::Quota;
use crate::redis::bucket_in_store::BucketInStore;
use crate::redis::key::Name;
use crate::redis::{RedisStore, StoreKey};
use crate::tokens::Tokens;

/// A limit per key that several servers share, decided locally: tokens are leased from a store in batches, and a call takes from what its
/// process has leased. It never waits and never touches the network.
///
/// A decision on a key whose tokens are here takes what it takes of a [`KeyedLimiter`](crate::KeyedLimiter), tens of nanoseconds. Take
/// [`RedisLimiter`](crate::redis::RedisLimiter) where each decision may take a round trip, and every token must be found wherever it is.
///
/// # Guarantees
///
/// * **Never over, all processes together**: in any window of time, at most capacity + rate × window is granted, whatever becomes of
///   processes, connections and answers. The bucket in the store has the capacity less what is refilled in a lease's
///   [lifetime](Lease::lifetime), and nothing is used for longer than that after it was taken there. A server that forgets its data is
///   told what this process knows; so is one whose clock jumps ahead. What is not covered, in numbers: `docs/leases.md`.
/// * What was leased and is not used in time is lost, and refilled. So under a steady load nearly the whole rate is granted; of a burst,
///   what one process has leased another one cannot have.
/// * **While the store is away** what is leased serves to its end. Then [`WhenDown`] decides.
/// * No lock but a shard's read lock, no allocation, no system call where tokens are here. A denial writes nothing, but the first of its
///   kind, which has the store asked.
///
/// # The first call for a key
///
/// finds nothing leased. [`try_consume`](Self::try_consume) does not wait, so it denies, tells when to try again (a round trip), and has the
/// store asked meanwhile. [`decide`](Self::decide) waits for that answer: take it where the caller is `async`. It asks the store at most
/// twice, and not at all where tokens are here.
///
/// # Errors
///
/// It asks the store in a task on the tokio runtime in which it was made; if that ends, calls are denied as
/// [`Unavailable`](Denied::Unavailable) when what was leased is used up.
///
/// A clone is another name for the same limiter.
///
/// # Examples
///
/// ```no_run
/// use flowgate::Quota;
/// use flowgate::redis::{Lease, LeasedLimiter, WhenDown};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let lease = Lease::when_down(WhenDown::Deny);
/// let users = LeasedLimiter::<String>::connect("redis://127.0.0.1/", Quota::per_second(1_000), lease).await?;
/// users.decide("alice", 1).await?;
/// // Nanoseconds, never awaits.
/// if users.try_consume("alice", 1).is_ok() {
///     println!("go");
/// }
/// # Ok(())
/// # }
/// ```
pub struct LeasedLimiter<K = String> {
    pub(super) leases: Arc<Leases<K, BootClock>>,
    task: Arc<Mutex<Option<Running>>>,
}

/// Of a limiter that is given none.
const DEFAULT_NAME: &str = "flowgate-lease";

/// The task that asks the store: how to end it, and its end.
struct Running {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl<K> LeasedLimiter<K>
where
    K: Eq + Hash + StoreKey + Send + Sync + 'static,
{
    /// Makes a limiter on a server of its own: see [`RedisStore::connect`] for the address. Its name there is `flowgate-lease`, which is
    /// not that of a [`RedisLimiter`](crate::redis::RedisLimiter): their buckets are different ones.
    ///
    /// # Errors
    ///
    /// [`LeaseError`] if the numbers do not go together, or the server does not answer.
    pub async fn connect(url: &str, quota: Quota, lease: Lease) -> Result<Self, LeaseError> {
        // What can be refused without asking anybody is.
        lease.terms(&quota, Duration::ZERO)?;
        let store = RedisStore::connect(url).await?;
        Self::new(&store, DEFAULT_NAME, quota, lease)
    }

    /// Makes a limiter by this name on a store that others may use, too. Limiters of the same name have the same buckets: they must
    /// have the same quota and lifetime in all processes.
    ///
    /// # Errors
    ///
    /// [`LeaseError`] if the numbers do not go together, or if this is no tokio runtime.
    pub fn new(
        store: &RedisStore,
        name: &str,
        quota: Quota,
        lease: Lease,
    ) -> Result<Self, LeaseError> {
        let terms = lease.terms(&quota, store.longest_call())?;
        // An answer that comes later is of no use.
        let store = store.clone().timeout(Duration::from_micros(terms.timeout_us));
        let doubts = lease.is_empty_after_restart();
        let lessor = BucketInStore::new(store, Name::new(name), terms.scale, doubts);
        Self::with_lessor(terms, lessor, quota, lease)
    }

    fn with_lessor(
        terms: super::terms::Terms,
        lessor: impl Lessor,
        quota: Quota,
        lease: Lease,
    ) -> Result<Self, LeaseError> {
        let share = match lease.is_when_down() {
            WhenDown::Share { processes } => share_of(quota, processes),
            _ => quota,
        };
        // Whatever it is that cannot be kept, it is refused now.
        Share::new(0, share, 0)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| LeaseError::NoRuntime)?;
        let (wanting, wanted) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let shared =
            Arc::new(Shared::new(terms, BootClock::new(), lease.is_when_down(), quota, share));
        let leases = Arc::new(Leases::new(Arc::clone(&shared), wanting, lease.most_keys()));
        let task = Task::new(shared, lessor, Arc::downgrade(&leases), wanted);
        let running = Running { stop, task: runtime.spawn(task.run(stopped)) };
        Ok(Self { leases, task: Arc::new(Mutex::new(Some(running))) })
    }

    /// Takes `cost` tokens of `key` if they are leased; otherwise takes none, and has the store asked for more.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] with the time until the store has answered, or is asked again; [`Denied::Never`] if the cost is above the capacity
    /// of the bucket in the store; [`Denied::NoRoom`] if as many keys are held as may be; [`Denied::Unavailable`] while the store is away,
    /// with [`WhenDown::Deny`], and, of one key, while the store holds something else under it.
    #[inline]
    pub fn try_consume<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Result<Admitted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let now_ns = self.leases.shared.clock.now_ns();
        let taken = self.leases.take(key, cost.into(), now_ns)?;
        Ok(self.leases.admitted(taken, now_ns))
    }

    /// Takes one token if it is leased. The short form of [`try_consume`](Self::try_consume).
    #[inline]
    pub fn is_allowed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        self.try_consume(key, Tokens::ONE).is_ok()
    }

    /// Takes `cost` tokens of `key`: those that are leased, or, if they are too few, what the store grants now. Waits for that answer,
    /// and for nothing else.
    ///
    /// # Errors
    ///
    /// As [`try_consume`](Self::try_consume).
    pub async fn decide<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Result<Admitted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let cost = cost.into();
        self.leases.decide(|| self.try_consume(key, cost), || self.leases.known(key)).await
    }

    /// Reads how many tokens of `key` are leased here. The store may have more.
    #[must_use]
    pub fn leased<Q>(&self, key: &Q) -> Tokens
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.leases.leased(key, self.leases.shared.clock.now_ns())
    }

    /// Takes `cost` tokens whether they are leased or not: after the fact. What is not leased goes into debt in the store, with the next
    /// call to it.
    ///
    /// # Errors
    ///
    /// [`Denied::NoRoom`] if as many keys are held as may be: then nothing is taken.
    pub fn charge<Q>(&self, key: &Q, cost: impl Into<Tokens>) -> Result<(), Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let now_ns = self.leases.shared.clock.now_ns();
        let grains = self.leases.shared.terms.scale.grains(cost.into());
        self.leases.account(key, now_ns)?.charge(grains, now_ns);
        Ok(())
    }

    /// Makes a handle to one key, for many calls. The key is held while there is one.
    ///
    /// # Errors
    ///
    /// [`Denied::NoRoom`] if as many keys are held as may be.
    pub fn handle<Q>(&self, key: &Q) -> Result<LeasedHandle<K>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + StoreKey,
    {
        let account = self.leases.account(key, self.leases.shared.clock.now_ns())?;
        let task = Arc::clone(&self.task);
        Ok(LeasedHandle { leases: Arc::clone(&self.leases), account, task })
    }

    /// The quota that all processes share, as it was given.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.leases.shared.quota
    }

    /// The most that one call can take, and that a key that rests for long has at once: the capacity less what is refilled in the lifetime
    /// of a lease.
    #[must_use]
    pub fn guaranteed_burst(&self) -> Tokens {
        let terms = &self.leases.shared.terms;
        terms.scale.tokens(terms.largest_cost)
    }

    /// Tells what became of the calls to the store.
    #[must_use]
    pub fn stats(&self) -> LeaseStats {
        let shared = &self.leases.shared;
        let counts = &shared.counts;
        LeaseStats {
            asked: counts.asked.load(),
            failed: counts.failed.load(),
            unknown: counts.unknown.load(),
            late: counts.late.load(),
            leased: counts.leased.load(),
            outages: shared.outages.load(),
            is_down: shared.down().is_some(),
            keys: self.leases.held(),
        }
    }

    /// Stops asking the store, and waits for the calls that are under way. What is leased can be used until it ends, or be left: it is
    /// refilled in the store. Nothing goes back, for what is given back could be granted twice in one window.
    pub async fn shutdown(&self) {
        let running = lock(&self.task).take();
        if let Some(Running { stop, task }) = running {
            // It may have ended by itself.
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

impl<K> Clone for LeasedLimiter<K> {
    fn clone(&self) -> Self {
        Self { leases: Arc::clone(&self.leases), task: Arc::clone(&self.task) }
    }
}

impl<K> fmt::Debug for LeasedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedLimiter")
            .field("quota", &self.leases.shared.quota)
            .field("when_down", &self.leases.shared.when_down)
            .finish_non_exhaustive()
    }
}

/// One key of a [`LeasedLimiter`], found once: for whoever calls it often. From [`LeasedLimiter::handle`].
///
/// A decision takes what it takes of a [`TokenBucket`](crate::TokenBucket): one look at the clock, one compare-and-swap.
pub struct LeasedHandle<K = String> {
    leases: Arc<Leases<K, BootClock>>,
    account: Arc<Account>,
    /// It goes on for as long as there is a handle.
    task: Arc<Mutex<Option<Running>>>,
}

impl<K: Eq + Hash + Send + Sync + 'static> LeasedHandle<K> {
    /// As [`LeasedLimiter::try_consume`], of this key.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn try_consume(&self, cost: impl Into<Tokens>) -> Result<Admitted<'_>, Denied> {
        let now_ns = self.leases.shared.clock.now_ns();
        let taken = self.leases.take_of(&self.account, cost.into(), now_ns)?;
        Ok(self.leases.admitted(taken, now_ns))
    }

    /// Takes one token if it is leased.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.try_consume(Tokens::ONE).is_ok()
    }

    /// As [`LeasedLimiter::decide`], of this key.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn decide(&self, cost: impl Into<Tokens>) -> Result<Admitted<'_>, Denied> {
        let cost = cost.into();
        let account = || Some(Arc::clone(&self.account));
        self.leases.decide(|| self.try_consume(cost), account).await
    }
}

impl<K> Clone for LeasedHandle<K> {
    fn clone(&self) -> Self {
        let (leases, account) = (Arc::clone(&self.leases), Arc::clone(&self.account));
        Self { leases, account, task: Arc::clone(&self.task) }
    }
}

impl<K> fmt::Debug for LeasedHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LeasedHandle").field(&self.account).finish()
    }
}
