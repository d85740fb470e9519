//! The reference: a log of the times of all calls that were allowed, which is exact, and grows with the limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::algorithms::Answer;

pub(crate) struct ExactLog {
    limit: usize,
    period_ns: u64,
    allowed_ns: VecDeque<u64>,
}

impl ExactLog {
    pub(crate) fn new(limit: usize, period_ns: u64) -> Self {
        Self { limit, period_ns, allowed_ns: VecDeque::new() }
    }

    pub(crate) fn try_consume_at(&mut self, now_ns: u64) -> Answer {
        // A window has its start and not its end: what is a period old is out of it.
        while let Some(oldest_ns) = self.allowed_ns.front()
            && now_ns.saturating_sub(*oldest_ns) >= self.period_ns
        {
            self.allowed_ns.pop_front();
        }
        match self.allowed_ns.front() {
            Some(oldest_ns) if self.allowed_ns.len() >= self.limit => {
                let until_ns = oldest_ns.saturating_add(self.period_ns);
                Answer::Rejected(Some(Duration::from_nanos(until_ns.saturating_sub(now_ns))))
            }
            _ => {
                self.allowed_ns.push_back(now_ns);
                Answer::Admitted(Duration::ZERO)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_allowed_a_period_after_the_one_it_waits_for_and_not_earlier() {
        let mut log = ExactLog::new(2, 100);
        assert_eq!(log.try_consume_at(5), Answer::Admitted(Duration::ZERO));
        assert_eq!(log.try_consume_at(7), Answer::Admitted(Duration::ZERO));
        assert_eq!(log.try_consume_at(8), Answer::Rejected(Some(Duration::from_nanos(97))));
        assert_eq!(log.try_consume_at(104), Answer::Rejected(Some(Duration::from_nanos(1))));
        assert_eq!(log.try_consume_at(105), Answer::Admitted(Duration::ZERO));
    }
}
