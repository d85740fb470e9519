//! A token bucket in exact arithmetic: no rounding, no words, no limits.

use flowgate::{Quota, Tokens};
use num_bigint::BigInt;

/// Billionths of a token.
pub(crate) fn nanos(tokens: Tokens) -> BigInt {
    BigInt::from(tokens.whole()) * 1_000_000_000 + tokens.subsec_nanos()
}

/// The level is kept in billionths of a token × the period in nanoseconds, in which every credit is a
/// whole number: `tokens × elapsed`.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    quota: Quota,
    level: BigInt,
    last_ns: u64,
}

impl Exact {
    pub(crate) fn full(quota: Quota, now_ns: u64) -> Self {
        let level = nanos(quota.capacity()) * quota.period().as_nanos();
        Self { quota, level, last_ns: now_ns }
    }

    pub(crate) fn scaled(&self, amount: BigInt) -> BigInt {
        amount * self.quota.period().as_nanos()
    }

    fn capacity(&self) -> BigInt {
        self.scaled(nanos(self.quota.capacity()))
    }

    /// What arrives in `elapsed_ns`, in the level's measure.
    pub(crate) fn credit(&self, elapsed_ns: u64) -> BigInt {
        nanos(self.quota.tokens()) * elapsed_ns
    }

    /// Brings the level up to `now_ns`; a time before the last one brings nothing.
    pub(crate) fn level_at(&mut self, now_ns: u64) -> &BigInt {
        if now_ns > self.last_ns {
            self.level = (&self.level + self.credit(now_ns - self.last_ns)).min(self.capacity());
            self.last_ns = now_ns;
        }
        &self.level
    }

    pub(crate) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    pub(crate) fn take(&mut self, cost: BigInt) {
        self.level -= self.scaled(cost);
    }

    pub(crate) fn give(&mut self, cost: BigInt) {
        self.level = (&self.level + self.scaled(cost)).min(self.capacity());
    }

    pub(crate) fn set_level(&mut self, level: BigInt) {
        self.level = level.min(self.capacity());
    }

    pub(crate) fn set_quota(&mut self, quota: Quota) {
        // Keep the level in tokens: divide by the old period, multiply by the new one.
        let level = &self.level * quota.period().as_nanos() / self.quota.period().as_nanos();
        self.quota = quota;
        self.set_level(level);
    }
}
