//! A process's share of a quota, while the store that keeps the whole is away.

use crate::clock::Clock;
use crate::error::{Denied, QuotaError};
use crate::quota::Quota;
use crate::token_bucket::TokenBucket;
use crate::tokens::Tokens;

/// A bucket of one key for one outage. It begins empty: what was leased before it is still being used.
#[derive(Debug)]
pub(crate) struct Share {
    outage: u64,
    bucket: TokenBucket<Given>,
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
        Ok(Self { outage, bucket })
    }

    /// Whether it is of this outage.
    pub(crate) fn is_of(&self, outage: u64) -> bool {
        self.outage == outage
    }

    pub(crate) fn take(&self, cost: Tokens, now_ns: u64) -> Result<(), Denied> {
        self.bucket.try_consume_at(cost, now_ns).map(|_| ())
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
        assert!(share.take(1.into(), 5_000_000_000).is_err());
        // 25 a second, up to 10.
        assert!(share.take(1.into(), 5_040_000_000).is_ok());
        assert!(share.take(10.into(), 5_440_000_000).is_ok());
        assert!(share.take(11.into(), 9_000_000_000).is_err());
    }
}
