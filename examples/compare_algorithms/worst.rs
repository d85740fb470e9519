//! The most that any window of time has seen.

use std::collections::VecDeque;

/// Counts what comes in order, and keeps the largest number within one period, wherever that starts.
pub(crate) struct WorstWindow {
    period_ns: u64,
    recent_ns: VecDeque<u64>,
    most: usize,
}

impl WorstWindow {
    pub(crate) fn new(period_ns: u64) -> Self {
        Self { period_ns, recent_ns: VecDeque::new(), most: 0 }
    }

    pub(crate) fn add(&mut self, time_ns: u64) {
        // The fullest window ends just after one that was counted. Two that are a period apart share none.
        while let Some(oldest_ns) = self.recent_ns.front()
            && time_ns.saturating_sub(*oldest_ns) >= self.period_ns
        {
            self.recent_ns.pop_front();
        }
        self.recent_ns.push_back(time_ns);
        self.most = self.most.max(self.recent_ns.len());
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries every window that starts with one of the times.
    fn by_trying(times_ns: &[u64], period_ns: u64) -> usize {
        let within = |start: u64| {
            times_ns.iter().filter(move |time| (start..start + period_ns).contains(time))
        };
        times_ns.iter().map(|start| within(*start).count()).max().unwrap_or(0)
    }

    #[test]
    fn the_worst_window_is_that_of_trying_them_all() {
        let mut state = 1_u64;
        for round in 0..200 {
            let mut times_ns: Vec<u64> = (0..60)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round | 1);
                    (state >> 33) % 500
                })
                .collect();
            times_ns.sort_unstable();
            for period_ns in [1, 2, 50, 499, 1_000] {
                let mut worst = WorstWindow::new(period_ns);
                times_ns.iter().for_each(|time_ns| worst.add(*time_ns));
                assert_eq!(worst.most(), by_trying(&times_ns, period_ns), "{times_ns:?}");
            }
        }
    }

    #[test]
    fn a_window_has_its_start_and_not_its_end() {
        let mut worst = WorstWindow::new(100);
        [0, 99].iter().for_each(|time_ns| worst.add(*time_ns));
        assert_eq!(worst.most(), 2);
        let mut worst = WorstWindow::new(100);
        [0, 100].iter().for_each(|time_ns| worst.add(*time_ns));
        assert_eq!(worst.most(), 1);
    }
}
