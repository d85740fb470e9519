//! Ours, with either store, as it is by default otherwise.

use ::flowgate::{KeyedLimiter, Quota};

use super::{Key, Limit, Rival};

/// With keys in a map whose shards have locks.
pub(crate) struct Flowgate<K>(KeyedLimiter<K>);

/// With keys in a map in which they are found without a lock.
pub(crate) struct FlowgateLockFree<K>(KeyedLimiter<K>);

impl Limit {
    pub(crate) fn quota(self) -> Quota {
        Quota::new(u64::from(self.tokens), self.period).burst(u64::from(self.burst))
    }
}

impl<K: Key> Rival<K> for Flowgate<K> {
    const ROW: &'static str = "keyed";
    const LABEL: &'static str = "flowgate";

    fn new(limit: Limit) -> Self {
        Self(KeyedLimiter::new(limit.quota()).expect("flowgate takes this quota"))
    }

    fn take(&self, key: &K, cost: u32) -> bool {
        self.0.try_consume(key.asked(), u64::from(cost)).is_ok()
    }

    #[inline]
    fn take_one(&self, key: &K) -> bool {
        self.0.is_allowed(key.asked())
    }

    fn keys(&self) -> usize {
        self.0.len()
    }
}

impl<K: Key> Rival<K> for FlowgateLockFree<K> {
    const ROW: &'static str = "keyed_lock_free";
    const LABEL: &'static str = "flowgate, lock-free";

    fn new(limit: Limit) -> Self {
        let limiter = KeyedLimiter::builder(limit.quota()).lock_free().build();
        Self(limiter.expect("flowgate takes this quota"))
    }

    fn take(&self, key: &K, cost: u32) -> bool {
        self.0.try_consume(key.asked(), u64::from(cost)).is_ok()
    }

    #[inline]
    fn take_one(&self, key: &K) -> bool {
        self.0.is_allowed(key.asked())
    }

    fn keys(&self) -> usize {
        self.0.len()
    }
}
