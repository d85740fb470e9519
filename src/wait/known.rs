//! What a limit allows, kept for as long as its quota is the same.

use core::time::Duration;

use super::limit::{Policy, Sealed};
use crate::seqlock::Seqlock;
use crate::tokens::Tokens;

/// A limit's policy as it was read last: to work it out anew takes a division or four.
#[derive(Debug)]
pub(super) struct Known {
    /// How often the quota had been changed, and one more: 0 is never. Then the capacity, and the window in
    /// nanoseconds.
    words: Seqlock<4>,
}

impl Default for Known {
    fn default() -> Self {
        Self { words: Seqlock::new([0; 4]) }
    }
}

impl Known {
    pub(super) fn of<Q: ?Sized>(&self, limit: &(impl Sealed<Q> + ?Sized)) -> Policy {
        let Some(changes) = limit.changes() else { return limit.policy() };
        let of = changes.wrapping_add(1);
        match self.words.try_read() {
            Some([known, whole, nanos, window_ns]) if known == of => Policy {
                capacity: Tokens::from_parts(whole, nanos),
                window: Duration::from_nanos(window_ns),
            },
            _ => self.learn(limit, of),
        }
    }

    #[cold]
    fn learn<Q: ?Sized>(&self, limit: &(impl Sealed<Q> + ?Sized), of: u64) -> Policy {
        let policy = limit.policy();
        let is_of_one_quota = limit.changes().is_some_and(|after| after.wrapping_add(1) == of);
        if is_of_one_quota
            && let Ok(window_ns) = u64::try_from(policy.window.as_nanos())
            // If somebody else is writing, the next one will.
            && let Some(mut turn) = self.words.try_turn()
        {
            let (whole, nanos) = (policy.capacity.whole(), policy.capacity.subsec_nanos());
            turn.write([of, whole, nanos.into(), window_ns]);
        }
        policy
    }
}
