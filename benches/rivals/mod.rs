//! Keyed limiters, all made and called in the same way.

// Whoever includes this file uses a part of it.
#![allow(dead_code)]

mod flowgate;
mod governor;
mod mutex_map;
mod rate_net;

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

pub(crate) use self::flowgate::{Flowgate, FlowgateLockFree};
pub(crate) use self::governor::Governor;
pub(crate) use self::mutex_map::MutexMap;
pub(crate) use self::rate_net::RateNet;

/// As many keys as a limiter of ours holds by default. Those that do not bound them ignore it.
const MOST_KEYS: u64 = ::flowgate::limits::DEFAULT_MAX_KEYS;

/// The quota of each key.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) tokens: u32,
    pub(crate) period: Duration,
    pub(crate) burst: u32,
}

/// So deep that no measurement empties it, and so slow that a key from which [`SPENT`] was taken is not full
/// again for eleven days: all keys stay, and every call is granted.
pub(crate) const DEEP: Limit =
    Limit { tokens: 1, period: Duration::from_secs(1), burst: 100_000_000 };

/// What is taken from each key beforehand. Whoever drops keys that are full, as we do, keeps this one.
pub(crate) const SPENT: u32 = 1_000_000;

/// A keyed limiter.
pub(crate) trait Rival<K>: Sync {
    /// What it is called in the report, see `names.rs` there.
    const ROW: &'static str;
    /// What it is called on a screen.
    const LABEL: &'static str;

    fn new(limit: Limit) -> Self;

    /// Takes `cost` tokens from `key` if they are all there.
    fn take(&self, key: &K, cost: u32) -> bool;

    /// Takes one token, by the call that is made for that.
    fn take_one(&self, key: &K) -> bool;

    /// The number of keys that it holds.
    fn keys(&self) -> usize;
}

/// A key, and the form in which it comes with a request.
pub(crate) trait Key:
    Clone + Eq + Hash + Send + Sync + 'static + Borrow<<Self as Key>::Asked>
{
    type Asked: ?Sized + Eq + Hash + ToOwned<Owned = Self>;

    /// The key of a rank.
    fn of(rank: u64) -> Self;

    fn asked(&self) -> &Self::Asked;

    /// Looks at it, as hashing it would.
    fn read(&self) -> u64;
}

impl Key for u64 {
    type Asked = u64;

    fn of(rank: u64) -> Self {
        crate::draws::key(rank)
    }

    #[inline]
    fn asked(&self) -> &u64 {
        self
    }

    #[inline]
    fn read(&self) -> u64 {
        *self
    }
}

impl Key for String {
    type Asked = str;

    fn of(rank: u64) -> Self {
        crate::draws::name(rank)
    }

    #[inline]
    fn asked(&self) -> &str {
        self
    }

    #[inline]
    fn read(&self) -> u64 {
        self.bytes().map(u64::from).sum()
    }
}
