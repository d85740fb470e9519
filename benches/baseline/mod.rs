//! The baseline: token buckets behind a mutex, as a program would have them that does not mind a lock.
//!
//! They are meant as honest rivals. They are exact, count in integers, divide nothing in a decision,
//! hold the lock for the arithmetic alone, and read the clock before they take it. The benchmarks
//! measure them, and a differential test holds them against the one-word bucket.

// Whoever includes this file uses a part of it.
#![allow(dead_code)]

mod keyed;
mod log;

use std::sync::PoisonError;
use std::time::Instant;

// As above.
#[allow(unused_imports)]
pub(crate) use keyed::MutexMap;
// As above.
#[allow(unused_imports)]
pub(crate) use log::MutexLog;

/// A token bucket behind a lock, given the time.
///
/// It starts full at time 0. A time before the latest one it has seen counts as that latest one.
pub(crate) trait Baseline: Sync {
    /// Makes a full bucket of `capacity` tokens that gains `tokens` every `period_ns`, evenly.
    fn new(tokens: u64, period_ns: u64, capacity: u64) -> Self;

    /// Takes `cost` tokens if all are available at `now_ns`; otherwise takes none.
    fn try_consume_at(&self, cost: u64, now_ns: u64) -> bool;

    /// The whole tokens available at `now_ns`.
    fn available_at(&self, now_ns: u64) -> u64;
}

/// What does not change, and so needs no lock.
///
/// A token is divided into `period_ns` shares. Then every nanosecond brings exactly `tokens` shares:
/// nothing is ever rounded, and the part of a token that is left over carries itself.
struct Terms {
    shares_per_ns: u64,
    shares_per_token: u64,
    capacity_shares: u128,
}

/// What the lock guards.
struct Level {
    shares: u128,
    as_of_ns: u64,
}

impl Terms {
    fn new(tokens: u64, period_ns: u64, capacity: u64) -> (Self, Level) {
        let capacity_shares = Self::shares(capacity, period_ns);
        let terms = Self { shares_per_ns: tokens, shares_per_token: period_ns, capacity_shares };
        (terms, Level { shares: capacity_shares, as_of_ns: 0 })
    }

    /// Products of two 64-bit numbers: they fit.
    fn shares(number: u64, shares_each: u64) -> u128 {
        u128::from(number) * u128::from(shares_each)
    }

    fn refill(&self, level: &mut Level, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(level.as_of_ns);
        let arrived = Self::shares(elapsed_ns, self.shares_per_ns);
        level.shares = level.shares.saturating_add(arrived).min(self.capacity_shares);
        level.as_of_ns = level.as_of_ns.max(now_ns);
    }

    fn take(&self, level: &mut Level, cost: u64, now_ns: u64) -> bool {
        self.refill(level, now_ns);
        match level.shares.checked_sub(Self::shares(cost, self.shares_per_token)) {
            Some(left) => {
                level.shares = left;
                true
            }
            None => false,
        }
    }

    fn available(&self, level: &mut Level, now_ns: u64) -> u64 {
        self.refill(level, now_ns);
        let whole = level.shares.checked_div(self.shares_per_token.into()).unwrap_or(0);
        // At most the capacity, which came as 64 bits.
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

/// A token bucket behind [`std::sync::Mutex`].
pub(crate) struct StdMutexBucket {
    terms: Terms,
    level: std::sync::Mutex<Level>,
}

impl Baseline for StdMutexBucket {
    fn new(tokens: u64, period_ns: u64, capacity: u64) -> Self {
        let (terms, level) = Terms::new(tokens, period_ns, capacity);
        Self { terms, level: std::sync::Mutex::new(level) }
    }

    // A level is never left half changed, so a poisoned lock is as good as any.
    fn try_consume_at(&self, cost: u64, now_ns: u64) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.terms.take(&mut level, cost, now_ns)
    }

    fn available_at(&self, now_ns: u64) -> u64 {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.terms.available(&mut level, now_ns)
    }
}

/// A token bucket behind [`parking_lot::Mutex`].
pub(crate) struct ParkingLotBucket {
    terms: Terms,
    level: parking_lot::Mutex<Level>,
}

impl Baseline for ParkingLotBucket {
    fn new(tokens: u64, period_ns: u64, capacity: u64) -> Self {
        let (terms, level) = Terms::new(tokens, period_ns, capacity);
        Self { terms, level: parking_lot::Mutex::new(level) }
    }

    fn try_consume_at(&self, cost: u64, now_ns: u64) -> bool {
        self.terms.take(&mut self.level.lock(), cost, now_ns)
    }

    fn available_at(&self, now_ns: u64) -> u64 {
        self.terms.available(&mut self.level.lock(), now_ns)
    }
}

/// A baseline on the standard library's clock.
pub(crate) struct OnInstant<B> {
    bucket: B,
    origin: Instant,
}

impl<B: Baseline> OnInstant<B> {
    /// Puts the bucket on a clock that shows zero now.
    pub(crate) fn new(bucket: B) -> Self {
        Self { bucket, origin: Instant::now() }
    }

    /// Takes `cost` tokens if all are available now; otherwise takes none.
    ///
    /// The clock is read outside the lock, which is shorter for it. Threads may then come with times
    /// out of order, which the bucket bears.
    pub(crate) fn try_consume(&self, cost: u64) -> bool {
        self.bucket.try_consume_at(cost, self.now_ns())
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
