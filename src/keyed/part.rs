//! A part of the keys: what a sweep goes through at once.

use std::sync::PoisonError;

use crate::algorithm::layout::LONGEST_IDLE_NS;
use crate::primitive::Mutex;

/// The lock under which keys are added to a part of them and dropped from it. Whoever finds its key does not come
/// near it.
#[derive(Debug, Default)]
pub(crate) struct Part {
    changes: Mutex<Changes>,
}

/// What is known of a part by whoever may add and drop keys.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The keys that are there.
    pub(crate) held: u64,
    /// How many new keys have come since the last sweep, whether there was room for them or not.
    came: u64,
    /// The time of the last sweep. A key that it dropped was full then, and not before: so a new one is not full
    /// before that time either, however late a thread comes that read the clock before.
    swept_ns: Option<u64>,
}

/// A part is swept when as many new keys have come as it holds, divided by this: so a new key pays for
/// looking at four others.
const SWEEP_SHARE: u64 = 4;

/// The same while there is no room: before a key is turned away, a part is searched for one that has become
/// full since, as often as it costs a new key looking at this many others.
const SEARCH_SHARE: u64 = 64;

/// Smaller parts are not worth sweeping more often than every so many new keys.
const SWEEP_LEAST: u64 = 4;

impl Part {
    /// Runs `change` while nobody else adds a key or drops one.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Changes) -> T) -> T {
        // What can panic in there is the caller's own code for keys; what it leaves are whole buckets.
        change(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Changes {
    /// Counts one more new key, and tells whether the part is due for a sweep.
    pub(crate) fn is_due(&mut self) -> bool {
        self.came = self.came.saturating_add(1);
        self.came >= (self.held / SWEEP_SHARE).max(SWEEP_LEAST)
    }

    /// Whether the part is to be searched for room.
    pub(crate) fn is_to_be_searched(&self) -> bool {
        self.came > self.held / SEARCH_SHARE
    }

    /// Notes what a sweep has dropped.
    pub(crate) fn end_sweep(&mut self, dropped: u64, now_ns: u64) {
        self.came = 0;
        self.held = self.held.saturating_sub(dropped);
        if dropped > 0 {
            self.swept_ns = Some(self.not_before_sweep(now_ns));
        }
    }

    /// `now_ns`, or the time of the last sweep if that is later.
    pub(crate) fn not_before_sweep(&self, now_ns: u64) -> u64 {
        match self.swept_ns {
            Some(swept_ns) if !crate::planted::come_back_earlier() => {
                // By more than a word can tell it is no stale thread's time, but that of a clock that was set.
                let is_later = swept_ns.wrapping_sub(now_ns) <= LONGEST_IDLE_NS;
                if is_later { swept_ns } else { now_ns }
            }
            _ => now_ns,
        }
    }
}
