//! Whether a store is asked, after it has failed to answer. Pure: given the time.

/// One failure may be a lost packet; the second one in a row opens the breaker.
const FAILURES: u32 = 2;
const FIRST_PAUSE_NS: u64 = 50_000_000;
/// So that a store that is back is found in less than a second.
const LONGEST_PAUSE_NS: u64 = 400_000_000;

/// A circuit breaker: closed while the store answers; open after failures, and then one call at a time tries whether it is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    pause_ns: u64,
    try_ns: u64,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened,
    Closed,
}

impl Breaker {
    /// A call failed; `is_passing` if the same call may succeed with nobody changing a setting. `spread` is any number: pauses differ by
    /// it, so that processes that lost their store together do not come back together.
    pub(crate) fn failed(&mut self, now_ns: u64, is_passing: bool, spread: u64) -> Change {
        self.failures = self.failures.saturating_add(1);
        if is_passing && self.failures < FAILURES && self.open.is_none() {
            return Change::None;
        }
        let (pause_ns, change) = match self.open {
            None => (FIRST_PAUSE_NS, Change::Opened),
            Some(open) => (open.pause_ns.saturating_mul(2).min(LONGEST_PAUSE_NS), Change::None),
        };
        // Three quarters of the pause, and up to a quarter more.
        let spread_ns = spread.checked_rem(pause_ns / 4).unwrap_or(0);
        let try_ns = now_ns.saturating_add(pause_ns / 4 * 3).saturating_add(spread_ns);
        self.open = Some(Open { pause_ns, try_ns });
        change
    }

    /// A call was answered.
    pub(crate) fn answered(&mut self) -> Change {
        let was_open = self.open.is_some();
        *self = Self::default();
        if was_open { Change::Closed } else { Change::None }
    }

    /// When to try next; `None` while it is closed.
    pub(crate) fn try_ns(&self) -> Option<u64> {
        self.open.map(|open| open.try_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_answer_does_not_open_it_and_two_in_a_row_do() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(0, true, 0), Change::None);
        assert_eq!(breaker.answered(), Change::None);
        assert_eq!(breaker.failed(0, true, 0), Change::None);
        assert_eq!(breaker.try_ns(), None);
        assert_eq!(breaker.failed(0, true, 0), Change::Opened);
        assert!(breaker.try_ns().is_some());
        assert_eq!(breaker.answered(), Change::Closed);
        assert_eq!(breaker.try_ns(), None);
    }

    #[test]
    fn what_does_not_pass_by_itself_opens_it_at_once() {
        assert_eq!(Breaker::default().failed(0, false, 0), Change::Opened);
    }

    #[test]
    fn a_store_that_is_back_is_tried_within_half_a_second() {
        let mut breaker = Breaker::default();
        let (mut now_ns, mut pauses) = (0, std::vec::Vec::new());
        breaker.failed(now_ns, true, 7);
        for spread in 0..12 {
            breaker.failed(now_ns, true, spread * 99_999_989);
            let try_ns = breaker.try_ns().unwrap();
            pauses.push(try_ns - now_ns);
            now_ns = try_ns;
        }
        assert!(pauses[0] >= FIRST_PAUSE_NS / 4 * 3 && pauses[0] <= FIRST_PAUSE_NS, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE_NS), "{pauses:?}");
        assert!(pauses[11] >= LONGEST_PAUSE_NS / 4 * 3, "{pauses:?}");
    }
}
