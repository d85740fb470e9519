//! governor on its DashMap, with the clock and the hasher that it has by default.

use std::num::NonZeroU32;

use ::governor::clock::DefaultClock;
use ::governor::state::keyed::DashMapStateStore;
use ::governor::{Quota, RateLimiter};

use super::{Key, Limit, Rival};

pub(crate) struct Governor<K: Key>(RateLimiter<K, DashMapStateStore<K>, DefaultClock>);

impl<K: Key> Rival<K> for Governor<K> {
    const ROW: &'static str = "governor_keyed";
    const LABEL: &'static str = "governor";

    fn new(limit: Limit) -> Self {
        let quota = Quota::with_period(limit.period / limit.tokens)
            .zip(NonZeroU32::new(limit.burst))
            .map(|(quota, burst)| quota.allow_burst(burst))
            .expect("governor takes this quota");
        Self(RateLimiter::dashmap(quota))
    }

    fn take(&self, key: &K, cost: u32) -> bool {
        NonZeroU32::new(cost)
            .is_none_or(|cost| self.0.check_key_n(key, cost).is_ok_and(|taken| taken.is_ok()))
    }

    #[inline]
    fn take_one(&self, key: &K) -> bool {
        self.0.check_key(key).is_ok()
    }

    fn keys(&self) -> usize {
        self.0.len()
    }
}
