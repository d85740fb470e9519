//! Time from left to right: from the start of the first call's window to the last departure.

use std::time::Duration;

use crate::arguments::Settings;
use crate::draw;
use crate::replay::Report;
use crate::trace::Trace;

pub(crate) struct Axis {
    pub(crate) start_ns: u64,
    pub(crate) length_ns: u64,
}

/// Times between two ticks: seconds, minutes, hours, days.
const STEPS_S: [u64; 20] = [
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800,
];

const MOST_TICKS: u64 = 8;

impl Axis {
    pub(crate) fn new(trace: &Trace, settings: Settings, reports: &[Report]) -> Self {
        let start_ns = trace.first_ns() / settings.period_ns * settings.period_ns;
        let departures = reports.iter().flat_map(|report| &report.admitted_ns).copied();
        let last_ns = departures.max().unwrap_or(0).max(trace.last_ns());
        Self { start_ns, length_ns: last_ns.saturating_sub(start_ns).saturating_add(1) }
    }

    /// Which of so many equal parts a time lies in.
    pub(crate) fn part(&self, time_ns: u64, parts: usize) -> usize {
        let since_ns = u128::from(time_ns.saturating_sub(self.start_ns));
        let part = since_ns * parts as u128 / u128::from(self.length_ns);
        usize::try_from(part).unwrap_or(usize::MAX).min(parts.saturating_sub(1))
    }

    /// Where on a length of pixels a time is.
    pub(crate) fn place(&self, since_start_ns: u64, length: i32) -> i32 {
        draw::share(length, since_start_ns.into(), self.length_ns.into())
    }

    /// Times since the start, with what is written beside them.
    pub(crate) fn ticks(&self) -> Vec<(u64, String)> {
        let step_ns = self.step_ns();
        let ticks = (0..=MOST_TICKS).map(|tick| tick.saturating_mul(step_ns));
        ticks
            .take_while(|ns| *ns <= self.length_ns)
            .map(|ns| (ns, tick_text(ns, step_ns)))
            .collect()
    }

    fn step_ns(&self) -> u64 {
        let fits = |step_ns: &u64| self.length_ns / MOST_TICKS < *step_ns;
        let below_a_second =
            (0..9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
        let from_a_second = STEPS_S.map(|step_s| step_s * 1_000_000_000);
        let weeks =
            (1..100).map(|power| 604_800_000_000_000_u64.saturating_mul(1 << power.min(15)));
        below_a_second.chain(from_a_second).chain(weeks).find(fits).unwrap_or(u64::MAX)
    }
}

fn tick_text(ns: u64, step_ns: u64) -> String {
    const MINUTE_NS: u64 = 60_000_000_000;
    const HOUR_NS: u64 = 60 * MINUTE_NS;
    const DAY_NS: u64 = 24 * HOUR_NS;
    match step_ns {
        _ if ns == 0 => "0".to_owned(),
        _ if step_ns.is_multiple_of(DAY_NS) => format!("{} d", ns / DAY_NS),
        _ if step_ns.is_multiple_of(HOUR_NS) => format!("{} h", ns / HOUR_NS),
        _ if step_ns.is_multiple_of(MINUTE_NS) => format!("{} min", ns / MINUTE_NS),
        _ => format!("{:?}", Duration::from_nanos(ns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few_at_any_length() {
        for (length_ns, last) in [
            (360_000_000_001, "6 min"),
            (86_400_000_000_000, "24 h"),
            (7, "7ns"),
            (45_000_000, "40ms"),
            (1, "1ns"),
        ] {
            let ticks = Axis { start_ns: 0, length_ns }.ticks();
            assert!((2..=9).contains(&ticks.len()), "{ticks:?}");
            assert_eq!(ticks.last().map(|(_, text)| text.as_str()), Some(last));
        }
        for power in 0..64 {
            let ticks = Axis { start_ns: 0, length_ns: 1 << power }.ticks();
            assert!((2..=9).contains(&ticks.len()), "{power}: {ticks:?}");
        }
    }

    #[test]
    fn the_last_moment_is_in_the_last_part() {
        let axis = Axis { start_ns: 100, length_ns: 50 };
        assert_eq!([100, 124, 125, 149].map(|ns| axis.part(ns, 2)), [0, 0, 1, 1]);
    }
}
