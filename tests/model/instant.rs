//! GCRA in exact arithmetic, by virtual scheduling: ITU-T I.371, figure A.1.

use flowgate::{Quota, Tokens};
use num_bigint::BigInt;

use crate::model::nanos;

/// Times are in nanoseconds × billionths of the quota's tokens, so that what a cost takes is a whole number:
/// cost × period.
#[derive(Clone, Debug)]
pub(crate) struct Virtual {
    quota: Quota,
    burst: BigInt,
    /// The theoretical arrival time.
    due: BigInt,
}

impl Virtual {
    /// `extra_tokens` can be had beyond the burst: one, from a queue.
    pub(crate) fn new(quota: Quota, extra_tokens: u64, now_ns: u64) -> Self {
        let burst = nanos(quota.capacity()) + nanos(Tokens::new(extra_tokens));
        Self { quota, burst, due: nanos(quota.tokens()) * now_ns }
    }

    fn at(&self, now_ns: u64) -> BigInt {
        nanos(self.quota.tokens()) * now_ns
    }

    fn span(&self, cost: &BigInt) -> BigInt {
        cost * self.quota.period().as_nanos()
    }

    fn ahead(&self, now_ns: u64) -> BigInt {
        (&self.due - self.at(now_ns)).max(BigInt::ZERO)
    }

    /// Billionths of a token, rounded down; less than none if the instant is further ahead than a burst.
    pub(crate) fn available(&self, now_ns: u64) -> BigInt {
        let left = self.span(&self.burst) - self.ahead(now_ns);
        // BigInt rounds to zero.
        if left < BigInt::ZERO { left - 1 } else { left / self.quota.period().as_nanos() }
    }

    pub(crate) fn holds(&self, cost: &BigInt, now_ns: u64) -> bool {
        self.ahead(now_ns) + self.span(cost) <= self.span(&self.burst)
    }

    pub(crate) fn take(&mut self, cost: &BigInt, now_ns: u64) {
        self.due = self.at(now_ns) + self.ahead(now_ns) + self.span(cost);
    }

    pub(crate) fn give(&mut self, cost: &BigInt, now_ns: u64) {
        self.due = (&self.due - self.span(cost)).max(self.at(now_ns));
    }

    pub(crate) fn set_burst(&mut self, burst: Tokens) {
        self.burst = nanos(burst);
    }

    /// Whether a token takes a whole number of 1/16 ns.
    pub(crate) fn is_exact(&self) -> bool {
        let sixteenths = BigInt::from(self.quota.period().as_nanos()) * 16 * 1_000_000_000_u64;
        sixteenths % nanos(self.quota.tokens()) == BigInt::ZERO
    }
}
