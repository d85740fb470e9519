//! The calls of one key: pure, and given the time.

use std::collections::VecDeque;

use crate::algorithm::sliding_log::count_first;

/// What is the same for all keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) limit: u64,
    pub(super) window_ns: u64,
}

/// The calls of a key.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// The count before the first of them.
    gone: u64,
    /// The time of the last one. No call is at an earlier time.
    newest_ns: u64,
}

/// A call, or several at the same time.
#[derive(Clone, Copy, Debug)]
struct Entry {
    made_ns: u64,
    /// The tokens granted up to this one, modulo 2^64.
    count: u64,
}

/// What a grant leaves.
pub(super) struct Noted {
    pub(super) left: u64,
    pub(super) full_ns: u64,
}

/// What a denial tells.
pub(super) enum Refused {
    NotYet {
        wait_ns: u64,
        /// Whether somebody else was granted at a later time.
        is_late: bool,
    },
    NoRoom,
}

impl Log {
    /// Of a key that may have been called before, but not later than this.
    pub(super) fn not_before(newest_ns: u64) -> Self {
        Self { newest_ns, ..Self::default() }
    }

    fn last_count(&self) -> u64 {
        self.entries.back().map_or(self.gone, |entry| entry.count)
    }

    /// The count up to and with so many of the first entries.
    fn count_after(&self, entries: usize) -> u64 {
        let last = entries.checked_sub(1).and_then(|last| self.entries.get(last));
        last.map_or(self.gone, |entry| entry.count)
    }

    /// How many entries have left the window, and the tokens of the others. As of the last entry, if that is later.
    pub(super) fn used_at(&self, rule: &Rule, now_ns: u64) -> (usize, u64) {
        let moment_ns = now_ns.max(self.newest_ns);
        let expired = count_first(self.entries.len() as u64, |at| {
            let made_ns = self.nth(at).map_or(0, |entry| entry.made_ns);
            moment_ns.saturating_sub(made_ns) >= rule.window_ns
        });
        // Not above the number of entries.
        let expired = usize::try_from(expired).unwrap_or(usize::MAX);
        // The counts are modular.
        (expired, self.last_count().wrapping_sub(self.count_after(expired)))
    }

    fn nth(&self, at: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Whether nothing is in the window, nor will be.
    pub(super) fn is_over(&self, rule: &Rule, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.newest_ns) >= rule.window_ns
    }

    /// How long until the window has room for a cost that is not above the limit.
    pub(super) fn wait_ns(&self, rule: &Rule, cost: u64, now_ns: u64) -> u64 {
        let (_, used) = self.used_at(rule, now_ns);
        let room = rule.limit.saturating_sub(cost);
        if used <= room {
            return 0;
        }
        let last = self.last_count();
        // With those up to this one gone there is room. Those that have gone are passed over: what is left with them
        // is more than what is left without.
        let too_few = count_first(self.entries.len() as u64, |at| {
            self.nth(at).is_some_and(|entry| last.wrapping_sub(entry.count) > room)
        });
        let made_ns = self.nth(too_few).map_or(self.newest_ns, |entry| entry.made_ns);
        made_ns.saturating_add(rule.window_ns).saturating_sub(now_ns)
    }

    /// Notes a cost that is not above the limit, if the window has room for it.
    pub(super) fn take(&mut self, rule: &Rule, cost: u64, now_ns: u64) -> Result<Noted, Refused> {
        let (expired, used) = self.used_at(rule, now_ns);
        let left = rule.limit.checked_sub(used).and_then(|room| room.checked_sub(cost));
        let Some(left) = left else {
            return Err(Refused::NotYet {
                wait_ns: self.wait_ns(rule, cost, now_ns),
                is_late: now_ns < self.newest_ns,
            });
        };
        if cost > 0 {
            self.note(expired, cost, now_ns);
        }
        let is_empty = left == rule.limit;
        let over_ns = self.newest_ns.saturating_add(rule.window_ns);
        let full_ns = if is_empty { 0 } else { over_ns.saturating_sub(now_ns) };
        Ok(Noted { left, full_ns })
    }

    /// Adds an entry, and strikes off those that have expired.
    fn note(&mut self, expired: usize, cost: u64, now_ns: u64) {
        let count = self.last_count().wrapping_add(cost);
        self.gone = self.count_after(expired);
        self.entries.drain(..expired);
        self.newest_ns = self.newest_ns.max(now_ns);
        let made_ns = self.newest_ns;
        match self.entries.back_mut() {
            Some(last) if last.made_ns == made_ns => last.count = count,
            _ => self.entries.push_back(Entry { made_ns, count }),
        }
        let len = self.entries.len();
        if len < self.entries.capacity() / 4 {
            self.entries.shrink_to(len.saturating_mul(2));
        }
    }
}

#[cfg(test)]
#[cfg(not(flowgate_loom))]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_calls_in_the_window() {
        let rule = Rule { limit: 10_000, window_ns: 10_000 };
        let mut log = Log::default();
        assert_eq!(log.entries.capacity(), 0);
        let bytes = |log: &Log| log.entries.capacity() * size_of::<Entry>();
        for now_ns in 0..10_000 {
            assert!(log.take(&rule, 1, now_ns).is_ok());
            assert!(bytes(&log) <= 64 * log.entries.len().max(1), "{log:?}");
        }
        // Denied, and so unchanged.
        assert!(log.take(&rule, 1, 9_999).is_err());
        assert_eq!(log.entries.len(), 10_000);
        for now_ns in (10_000..30_000).step_by(1_000) {
            assert!(log.take(&rule, 1, now_ns).is_ok());
            assert!(bytes(&log) <= 64 * log.entries.len().max(1));
        }
        assert_eq!(log.entries.len(), 10);
        // All at the same time are one entry.
        for _ in 0..1_000 {
            assert!(log.take(&rule, 1, 30_000).is_ok());
        }
        assert_eq!(log.entries.len(), 10);
        assert!(size_of::<Log>() + size_of::<Entry>() * 4 < 200);
    }
}
