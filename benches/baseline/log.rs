//! The baseline of sliding logs: a ring of times, behind a lock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The times of the last `limit` grants in a ring behind [`std::sync::Mutex`], on the standard library's clock.
///
/// It is as short as a sliding log can be: it has room for all from the start, takes one at a time, and looks at
/// the oldest grant alone. It reads the clock before it locks; a time before the latest grant counts as that.
pub(crate) struct MutexLog {
    limit: usize,
    window_ns: u64,
    granted_ns: Mutex<VecDeque<u64>>,
    origin: Instant,
}

impl MutexLog {
    /// Allows `limit`, at least one, in any time as long as `window`.
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            limit,
            window_ns: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            granted_ns: Mutex::new(VecDeque::with_capacity(limit)),
            origin: Instant::now(),
        }
    }

    /// Takes one if it is available now.
    pub(crate) fn is_allowed(&self) -> bool {
        let now_ns = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // A ring is never left half changed, so a poisoned lock is as good as any.
        let mut granted_ns = self.granted_ns.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = granted_ns.back().map_or(now_ns, |last_ns| now_ns.max(*last_ns));
        if granted_ns.len() == self.limit {
            let is_in_window = |oldest_ns: &u64| now_ns < oldest_ns.saturating_add(self.window_ns);
            if granted_ns.front().is_some_and(is_in_window) {
                return false;
            }
            granted_ns.pop_front();
        }
        granted_ns.push_back(now_ns);
        true
    }
}
