//! A process's share of a quota, while the store that keeps the whole is away.

use crate::cell::Cell;
use crate::clock::Clock;
use crate::error::{Denied, QuotaError};
use crate::quota::Quota;
use crate::redis::scale::Scale;
use crate::token_bucket::TokenBucket;
use crate::tokens::Tokens;

/// A bucket of one key for one outage. It begins empty: what was leased before it is still being used.
#[derive(Debug)]
pub(crate) struct Share {
    outage: u64,
    bucket: TokenBucket<Given>,
    /// The grains that were taken.
    used: Cell,
}

/// The time is given with each call.
#[derive(Debug)]
struct Given(u64);

impl Clock for Given {
    fn now_ns(&self) -> u64 {
        self.0
    }
}

impl Share {
    pub(crate) fn new(outage: u64, quota: Quota, now_ns: u64) -> Result<Self, QuotaError> {
        let bucket = TokenBucket::builder(quota).start_empty().build_with_clock(Given(now_ns))?;
        Ok(Self { outage, bucket, used: Cell::new(0) })
    }

    /// Whether it is of this outage.
    pub(crate) fn is_of(&self, outage: u64) -> bool {
        self.outage == outage
    }

    /// Takes a cost, which is so many grains.
    pub(crate) fn take(&self, cost: Tokens, grains: u64, now_ns: u64) -> Result<(), Denied> {
        self.bucket.try_consume_at(cost, now_ns)?;
        self.used.add(grains);
        Ok(())
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load()
    }

    /// What the store must be told of it: what is missing from this bucket. What was used earlier has been refilled since, here as there:
    /// in no window that ends now was more used than what is missing, and its refill.
    pub(crate) fn owed(&self, scale: &Scale, now_ns: u64) -> u64 {
        let quota = self.bucket.algorithm();
        let missing = quota.capacity().saturating_sub(self.bucket.available_at(now_ns));
        // One that has begun empty was not used for that.
        scale.grains(missing).min(self.used())
    }
}

/// The quota of one of `processes`: as much of the burst and of the rate.
pub(crate) fn share_of(quota: Quota, processes: u32) -> Quota {
    let parts = u128::from(processes.max(1));
    let burst = Tokens::from_nanos_saturating(quota.capacity().to_nanos() / parts);
    let period = quota.period().saturating_mul(processes.max(1));
    Quota::new(quota.tokens(), period).burst(burst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_share_begins_empty_and_all_shares_together_are_the_quota() {
        let quota = share_of(Quota::per_second(100).burst(40), 4);
        assert_eq!((quota.capacity(), quota.period()), (10.into(), Duration::from_secs(4)));
        let share = Share::new(3, quota, 5_000_000_000).unwrap();
        assert!(share.is_of(3) && !share.is_of(4));
        assert!(share.take(1.into(), 1, 5_000_000_000).is_err());
        // 25 a second, up to 10.
        assert!(share.take(1.into(), 1, 5_040_000_000).is_ok());
        assert!(share.take(10.into(), 10, 5_440_000_000).is_ok());
        assert!(share.take(11.into(), 11, 9_000_000_000).is_err());
    }

    #[test]
    fn the_store_is_told_of_what_has_not_been_refilled_since() {
        let quota = share_of(Quota::per_second(100).burst(40), 4);
        let scale = Scale::new(&Quota::per_second(100).burst(40), 0, None).unwrap();
        let share = Share::new(1, quota, 0).unwrap();
        // It began empty, and was not used.
        assert_eq!(share.owed(&scale, 0), 0);
        let mut now_ns = 0;
        for _ in 0..100 {
            now_ns += 400_000_000;
            share.take(10.into(), 10, now_ns).unwrap();
        }
        assert_eq!((share.used(), share.owed(&scale, now_ns)), (1_000, 10));
        assert_eq!(share.owed(&scale, now_ns + 200_000_000), 5);
        assert_eq!(share.owed(&scale, now_ns + 400_000_000), 0);
    }
}
