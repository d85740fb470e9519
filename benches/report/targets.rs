//! What must be reached, and whether it is.

use crate::keyed::grouped;
use crate::measured::{Id, Results, Spread};
use crate::{algorithm_targets, http, keyed_targets, redis, striped, waiting_targets};

/// Something that was measured, and the bound that it must keep.
pub(crate) struct Target {
    pub(crate) what: String,
    bound: Bound,
    ours: Id,
    /// What ours is compared with, also in words.
    than: Option<(Id, &'static str)>,
}

pub(crate) enum Bound {
    /// Our time per call is at most so many times theirs.
    TimeAtMost(f64),
    /// Our calls per second are at least so many times theirs.
    ThroughputAtLeast(f64),
    /// Our time per call is at most so many nanoseconds.
    TimeWithin(f64),
    /// Our figure is at most so many times theirs.
    FigureAtMost(f64),
    /// Our figure, so many a second, is at least so many times theirs.
    RateAtLeast(f64),
    /// Our figure is at most so much.
    AtMost(f64, Unit),
}

/// How a figure is shown that is not a ratio.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Bytes,
    /// Given in nanoseconds.
    Time,
    PerSecond,
}

impl Unit {
    pub(crate) fn show(self, figure: f64) -> String {
        match (self, figure) {
            (Self::Bytes, _) => format!("{figure:.1} B"),
            (Self::Time, ..1e3) => format!("{figure:.0} ns"),
            (Self::Time, ..1e6) => format!("{:.1} µs", figure / 1e3),
            (Self::Time, _) => format!("{:.2} ms", figure / 1e6),
            (Self::PerSecond, _) => grouped(&format!("{figure:.0}")),
        }
    }
}

/// Path, threads, row.
pub(crate) type Place<'a> = (&'a str, usize, &'static str);

impl Target {
    /// A bound on the ratio of two of one run.
    pub(crate) fn ratio(
        what: &str,
        bound: Bound,
        ours: Place,
        than: Place,
        than_what: &'static str,
    ) -> Self {
        Self { what: what.into(), bound, ours: id(ours), than: Some((id(than), than_what)) }
    }

    /// A bound on a figure by itself.
    pub(crate) fn alone(what: &str, bound: Bound, ours: Place) -> Self {
        Self { what: what.into(), bound, ours: id(ours), than: None }
    }

    /// A bound on the time of a call by itself.
    pub(crate) fn within(what: &str, ns: f64, ours: Place) -> Self {
        Self::alone(what, Bound::TimeWithin(ns), ours)
    }

    pub(crate) fn bound(&self) -> String {
        match self.bound {
            Bound::TimeAtMost(times) => format!("time ≤ {times} ×"),
            Bound::ThroughputAtLeast(times) | Bound::RateAtLeast(times) => {
                format!("throughput ≥ {times} ×")
            }
            Bound::TimeWithin(ns) => format!("time ≤ {}", Unit::Time.show(ns)),
            Bound::FigureAtMost(times) => format!("≤ {times} ×"),
            Bound::AtMost(figure, Unit::Bytes) => format!("≤ {figure} B"),
            Bound::AtMost(ns, Unit::Time) => format!("≤ {} ms", ns / 1e6),
            Bound::AtMost(most, unit) => format!("≤ {}", unit.show(most)),
        }
    }

    pub(crate) fn than_what(&self) -> &'static str {
        self.than.as_ref().map_or("", |(_, what)| what)
    }

    /// What is bounded; `None` if it was not measured.
    pub(crate) fn measured(&self, results: &Results) -> Option<Spread> {
        let Results { decisions, figures, .. } = results;
        let than = self.than.as_ref().map(|(than, _)| than);
        match self.bound {
            Bound::TimeAtMost(_) => decisions.ratio(&self.ours, than?),
            Bound::ThroughputAtLeast(_) => decisions.ratio(than?, &self.ours),
            Bound::TimeWithin(_) => decisions.spread(&self.ours),
            Bound::FigureAtMost(_) | Bound::RateAtLeast(_) => figures.ratio(&self.ours, than?),
            Bound::AtMost(..) => figures.spread(&self.ours),
        }
    }

    pub(crate) fn show(&self, measured: f64) -> String {
        match self.bound {
            Bound::AtMost(_, unit) => unit.show(measured),
            Bound::TimeWithin(_) => Unit::Time.show(measured),
            _ => format!("{measured:.2}"),
        }
    }

    /// What is written behind it.
    pub(crate) fn times(&self) -> &'static str {
        if self.than.is_some() { " ×" } else { "" }
    }

    pub(crate) fn is_met_by(&self, measured: Spread) -> bool {
        match self.bound {
            Bound::ThroughputAtLeast(least) | Bound::RateAtLeast(least) => measured.median >= least,
            Bound::TimeAtMost(most)
            | Bound::TimeWithin(most)
            | Bound::FigureAtMost(most)
            | Bound::AtMost(most, _) => measured.median <= most,
        }
    }
}

fn id((path, threads, row): Place) -> Id {
    Id::new(path, threads, row)
}

/// In the order of the page.
pub(crate) fn all() -> Vec<Target> {
    let mut all = direct();
    all.extend(striped::targets());
    all.extend(algorithm_targets::all());
    all.extend(keyed_targets::all());
    all.extend(waiting_targets::all());
    all.extend(http::targets());
    all.extend(redis::targets());
    all
}

fn direct() -> Vec<Target> {
    let ours = ("allowed", 1, "flowgate");
    let two = ("allowed", 2, "flowgate");
    vec![
        Target::ratio(
            "1 thread, allowed, default clock",
            Bound::TimeAtMost(1.02),
            ours,
            ("allowed", 1, "governor"),
            "governor (quanta)",
        ),
        Target::ratio(
            "1 thread, allowed, default clock",
            Bound::TimeAtMost(1.05),
            ours,
            ("allowed", 1, "tsc_read"),
            "one bare TSC read",
        ),
        Target::ratio(
            "1 thread, allowed, time given (`*_at`)",
            Bound::TimeAtMost(1.15),
            ("allowed", 1, "flowgate_at"),
            ("allowed", 1, "cas_loop"),
            "one uncontended CAS loop",
        ),
        Target::ratio(
            "1 thread, allowed, coarse clock",
            Bound::TimeAtMost(0.7),
            ("allowed", 1, "flowgate_coarse"),
            ours,
            "the TSC clock",
        ),
        Target::ratio(
            "2 threads, one bucket, allowed",
            Bound::ThroughputAtLeast(1.0),
            two,
            ("allowed", 2, "governor"),
            "governor (quanta)",
        ),
        Target::ratio(
            "2 threads, one bucket, allowed",
            Bound::ThroughputAtLeast(3.0),
            two,
            ("allowed", 2, "std_mutex"),
            "std mutex",
        ),
        Target::ratio(
            "2 threads, one bucket, denied",
            Bound::ThroughputAtLeast(1.9),
            ("denied", 2, "flowgate"),
            ("denied", 1, "flowgate"),
            "its own 1 thread",
        ),
    ]
}
