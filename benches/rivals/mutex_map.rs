//! The baseline: a map behind a mutex.

use super::{Key, Limit, Rival};
use crate::baseline;

pub(crate) struct MutexMap<K>(baseline::MutexMap<K>);

impl<K: Key> Rival<K> for MutexMap<K> {
    const ROW: &'static str = "mutex_map";
    const LABEL: &'static str = "parking_lot mutex, HashMap";

    fn new(limit: Limit) -> Self {
        let period_ns = u64::try_from(limit.period.as_nanos()).unwrap_or(u64::MAX);
        Self(baseline::MutexMap::new(limit.tokens.into(), period_ns, limit.burst.into()))
    }

    fn take(&self, key: &K, cost: u32) -> bool {
        self.0.try_consume(key.asked(), cost.into())
    }

    #[inline]
    fn take_one(&self, key: &K) -> bool {
        self.0.try_consume(key.asked(), 1)
    }

    fn keys(&self) -> usize {
        self.0.keys()
    }
}
