//! How tokens are leased, and what cannot be.

use core::fmt;
use core::time::Duration;

use super::batch::Bounds;
use super::terms::{Terms, fills_in_ns};
use crate::algorithm::LARGEST_LEASE;
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::redis::StoreError;
use crate::redis::scale::Scale;
use crate::tokens::Tokens;

/// The shortest and the longest lease.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3_600);
/// If nothing else is said a lease lasts so long, or until a quarter of the capacity is refilled.
const USUAL: Duration = Duration::from_secs(1);
/// A process asks about so many times in a lease for a key of which the store has too little.
const ASKS_PER_LEASE: u64 = 16;
/// A 64th of a lease, and a millisecond, is not used: clocks do not all run alike.
const MARGIN_PARTS: u64 = 64;
const MARGIN_NS: u64 = 1_000_000;

/// What is answered when the store is away and what was leased is used up. There is no default: each is wrong for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenDown {
    /// [`Denied::Unavailable`](crate::Denied::Unavailable): the bound holds.
    Deny,
    /// Each process grants its share of the quota, from none on, and the store is told of it when it is back. The bound holds if all
    /// of them are cut off together, and there are no more of them than this. Where only some are cut off, as many shares may be
    /// granted beyond it: (capacity + rate × time) / processes for each of them.
    Share {
        /// How many processes have this limit.
        processes: u32,
    },
    /// Everything is let through, as [`Admitted::Degraded`](crate::redis::Admitted::Degraded), and nothing is counted.
    Allow,
}

/// How a [`LeasedLimiter`](crate::redis::LeasedLimiter) leases its tokens.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flowgate::redis::{Lease, WhenDown};
///
/// let lease = Lease::when_down(WhenDown::Deny).lifetime(Duration::from_millis(500)).processes(8);
/// assert!(format!("{lease:?}").contains("500ms"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    when_down: WhenDown,
    lifetime: Option<Duration>,
    processes: u32,
    max_keys: u64,
    is_relaxed: bool,
    is_empty_after_restart: bool,
}

impl Lease {
    /// Begins with what is answered while the store is away, which must be chosen.
    #[must_use]
    pub const fn when_down(when_down: WhenDown) -> Self {
        let processes = match when_down {
            WhenDown::Share { processes } => processes,
            _ => 4,
        };
        Self {
            when_down,
            lifetime: None,
            processes,
            max_keys: 100_000,
            is_relaxed: false,
            is_empty_after_restart: false,
        }
    }

    /// Sets how long leased tokens may be used: 50 ms to an hour. The longer, the fewer calls to the store, and the
    /// longer it may be away; but the capacity is less by rate × lifetime, which must leave some of it.
    ///
    /// If it is not set: a second, or as long as it takes to refill a quarter of the capacity, if that is less.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets how many processes share the limit, about: 4 if it is not set. One of them leases at most half of such a part of the
    /// capacity at a time, or what a call costs. The bound does not depend on it.
    #[must_use]
    pub const fn processes(mut self, processes: u32) -> Self {
        self.processes = processes;
        self
    }

    /// Sets how many keys a process holds at once: 100,000 if it is not set. One more is
    /// [denied](crate::Denied::NoRoom) until one has been idle for a lease or two.
    #[must_use]
    pub const fn max_keys(mut self, max_keys: u64) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Leaves the capacity whole. Then any window of time may see rate × lifetime more than capacity + rate × window: tokens that
    /// were leased before it and are used in it.
    #[must_use]
    pub const fn relaxed(mut self) -> Self {
        self.is_relaxed = true;
        self
    }

    /// Has buckets begin empty when the server is started, in place of full: for a server that keeps no data, or not all, where the
    /// processes may be new at the same time, or have rested, and so know nothing, or little, that it could be told. Else that is as much
    /// as a full bucket beyond the bound, each time. All processes must set it.
    ///
    /// A bucket that the server does not know, or that this process has not been told of since that start, then holds no more than what
    /// has been refilled since the end of the second in which it was. So it costs the burst, of all keys: after each start,
    /// with the data or without, for as long as it takes to fill a bucket, and up to a second more, in which nothing is leased. Later it
    /// changes nothing, but for some microseconds of the server's time for each lease.
    ///
    /// Of a server that loses data while it runs (`FLUSHALL`, eviction), or of another one that takes over without them and ran already
    /// while the first one still granted, it knows nothing. The store's user must be permitted to use `INFO`.
    #[must_use]
    pub const fn empty_after_restart(mut self) -> Self {
        self.is_empty_after_restart = true;
        self
    }

    pub(crate) fn is_empty_after_restart(&self) -> bool {
        self.is_empty_after_restart
    }

    pub(crate) fn is_when_down(&self) -> WhenDown {
        self.when_down
    }

    pub(crate) fn most_keys(&self) -> u64 {
        self.max_keys
    }

    /// The numbers for a quota; `timeout` is the longest that a call to the store may take.
    pub(crate) fn terms(&self, quota: &Quota, timeout: Duration) -> Result<Terms, LeaseError> {
        let whole = Scale::new(quota, 0, None)?;
        if self.processes == 0 {
            return Err(LeaseError::NoProcesses);
        }
        if self.max_keys == 0 {
            return Err(LeaseError::NoKeys);
        }
        let lifetime = self.lifetime.unwrap_or_else(|| USUAL.min(quota.fill_time() / 4));
        if !(SHORTEST..=LONGEST).contains(&lifetime) {
            return Err(LeaseError::Lifetime { lifetime, is_chosen: self.lifetime.is_some() });
        }
        let lifetime_ns = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX);
        let refilled = whole.grains_in(lifetime);
        let capacity = match self.is_relaxed {
            true => whole.capacity_grains(),
            false => whole.capacity_grains().saturating_sub(refilled),
        };
        let smallest = Tokens::ONE.min(quota.capacity());
        let smaller = whole.with_capacity(capacity).filter(|_| whole.tokens(capacity) >= smallest);
        let Some(scale) = smaller else {
            let refilled = whole.tokens(refilled);
            return Err(LeaseError::NothingLeft { capacity: quota.capacity(), lifetime, refilled });
        };
        let margin_ns = (lifetime_ns / MARGIN_PARTS).max(MARGIN_NS);
        let one = scale.grains(Tokens::ONE);
        let largest = (capacity / u64::from(self.processes) / 2).max(one);
        Ok(Terms {
            largest_cost: capacity.min(LARGEST_LEASE),
            bounds: Bounds { lifetime_ns, largest: largest.min(LARGEST_LEASE) },
            usable_ns: lifetime_ns.saturating_sub(margin_ns),
            // A half of it more, at most, and the bucket is not yet full.
            pause_ns: (lifetime_ns / ASKS_PER_LEASE).min(fills_in_ns(&scale, capacity) / 3 * 2),
            timeout_us: u64::try_from(timeout.min(lifetime).as_micros()).unwrap_or(u64::MAX),
            scale,
        })
    }
}

/// Why a leased limiter cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// The quota cannot be kept, or the store cannot count it exactly.
    Quota(QuotaError),
    /// A lease would be shorter than 50 ms or longer than an hour.
    Lifetime {
        /// How long it would be.
        lifetime: Duration,
        /// Whether it was set, or follows from the quota.
        is_chosen: bool,
    },
    /// The capacity is refilled within a lease, so that leased tokens and stored ones could together be more.
    NothingLeft {
        /// The capacity.
        capacity: Tokens,
        /// The lifetime of a lease.
        lifetime: Duration,
        /// What is refilled in it.
        refilled: Tokens,
    },
    /// The number of processes is 0.
    NoProcesses,
    /// The number of keys is 0.
    NoKeys,
    /// It was made outside of a tokio runtime, in which it would ask the store.
    NoRuntime,
    /// The store does not answer.
    Store(StoreError),
}

impl From<QuotaError> for LeaseError {
    fn from(error: QuotaError) -> Self {
        Self::Quota(error)
    }
}

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Lifetime { lifetime, is_chosen: true } => {
                write!(f, "lifetime {lifetime:?}: a lease lasts from {SHORTEST:?} to {LONGEST:?}")
            }
            Self::Lifetime { lifetime, is_chosen: false } => write!(
                f,
                "burst: a quarter of it is refilled in {lifetime:?}, and a lease lasts {SHORTEST:?} at least; \
                 set a larger burst, or a lifetime that leaves some of it, or ask the store for each decision"
            ),
            Self::NothingLeft { capacity, lifetime, refilled } => write!(
                f,
                "lifetime {lifetime:?}: {refilled} tokens are refilled in it, of a capacity of {capacity}, which must be more; \
                 set a shorter one, or a larger burst, or `relaxed`"
            ),
            Self::NoProcesses => f.write_str("processes 0: at least this one has the limit"),
            Self::NoKeys => {
                f.write_str("max_keys 0: a limiter that holds no key denies everything")
            }
            Self::NoRuntime => f.write_str(
                "no tokio runtime: make a leased limiter within one, where it asks the store",
            ),
        }
    }
}

impl core::error::Error for LeaseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Quota(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
