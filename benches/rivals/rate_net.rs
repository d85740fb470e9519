//! rate-net, with its default algorithm and clock, and room for as many keys as ours has by default.

use ::rate_net::{Eviction, RateLimiter};

use super::{Limit, MOST_KEYS, Rival};

pub(crate) struct RateNet(RateLimiter);

impl RateNet {
    fn limited(limit: Limit) -> Self {
        // By default it holds a million keys. More room also gives it more shards, as its authors advise.
        let most_keys = usize::try_from(MOST_KEYS).unwrap_or(usize::MAX);
        let limiter = RateLimiter::builder()
            .quota(limit.tokens, limit.period)
            .burst(limit.burst)
            .eviction(Eviction::capacity(most_keys))
            .try_build();
        Self(limiter.expect("rate-net takes this quota"))
    }
}

impl Rival<u64> for RateNet {
    const ROW: &'static str = "rate_net";
    const LABEL: &'static str = "rate-net";

    fn new(limit: Limit) -> Self {
        Self::limited(limit)
    }

    fn take(&self, key: &u64, cost: u32) -> bool {
        self.0.check_n(*key, cost).is_allow()
    }

    #[inline]
    fn take_one(&self, key: &u64) -> bool {
        self.0.check(*key).is_allow()
    }

    fn keys(&self) -> usize {
        self.0.tracked_keys()
    }
}

/// By the calls that copy no key: `check` would allocate one for each that is longer than 22 bytes.
impl Rival<String> for RateNet {
    const ROW: &'static str = "rate_net";
    const LABEL: &'static str = "rate-net";

    fn new(limit: Limit) -> Self {
        Self::limited(limit)
    }

    fn take(&self, key: &String, cost: u32) -> bool {
        self.0.check_n_bytes(key, cost).is_allow()
    }

    #[inline]
    fn take_one(&self, key: &String) -> bool {
        self.0.check_bytes(key).is_allow()
    }

    fn keys(&self) -> usize {
        self.0.tracked_keys()
    }
}
