//! What must be reached, and whether it is.

use crate::measured::{Id, Measured, Spread};

/// Two benchmarks of one run, and the ratio that they must keep.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    bound: Bound,
    ours: Place,
    than: Place,
    /// What we are compared with, in words.
    pub(crate) than_what: &'static str,
}

enum Bound {
    /// Our time per call is at most so many times theirs.
    TimeAtMost(f64),
    /// Our calls per second are at least so many times theirs.
    ThroughputAtLeast(f64),
}

/// Path, threads, row.
type Place = (&'static str, usize, &'static str);

pub(crate) const TARGETS: &[Target] = &[
    Target {
        what: "1 thread, allowed, default clock",
        bound: Bound::TimeAtMost(1.02),
        ours: ("allowed", 1, "flowgate"),
        than: ("allowed", 1, "governor"),
        than_what: "governor (quanta)",
    },
    Target {
        what: "1 thread, allowed, default clock",
        bound: Bound::TimeAtMost(1.05),
        ours: ("allowed", 1, "flowgate"),
        than: ("allowed", 1, "tsc_read"),
        than_what: "one bare TSC read",
    },
    Target {
        what: "1 thread, allowed, time given (`*_at`)",
        bound: Bound::TimeAtMost(1.15),
        ours: ("allowed", 1, "flowgate_at"),
        than: ("allowed", 1, "cas_loop"),
        than_what: "one uncontended CAS loop",
    },
    Target {
        what: "1 thread, allowed, coarse clock",
        bound: Bound::TimeAtMost(0.7),
        ours: ("allowed", 1, "flowgate_coarse"),
        than: ("allowed", 1, "flowgate"),
        than_what: "the TSC clock",
    },
    Target {
        what: "2 threads, one bucket, allowed",
        bound: Bound::ThroughputAtLeast(1.0),
        ours: ("allowed", 2, "flowgate"),
        than: ("allowed", 2, "governor"),
        than_what: "governor (quanta)",
    },
    Target {
        what: "2 threads, one bucket, allowed",
        bound: Bound::ThroughputAtLeast(3.0),
        ours: ("allowed", 2, "flowgate"),
        than: ("allowed", 2, "std_mutex"),
        than_what: "std mutex",
    },
    Target {
        what: "2 threads, one bucket, denied",
        bound: Bound::ThroughputAtLeast(1.9),
        ours: ("denied", 2, "flowgate"),
        than: ("denied", 1, "flowgate"),
        than_what: "its own 1 thread",
    },
];

impl Target {
    pub(crate) fn bound(&self) -> String {
        match self.bound {
            Bound::TimeAtMost(times) => format!("time ≤ {times} ×"),
            Bound::ThroughputAtLeast(times) => format!("throughput ≥ {times} ×"),
        }
    }

    /// The ratio that is bounded; `None` if one of the two was not measured.
    pub(crate) fn ratio(&self, measured: &Measured) -> Option<Spread> {
        let (ours, than) = (id(self.ours), id(self.than));
        match self.bound {
            Bound::TimeAtMost(_) => measured.ratio(&ours, &than),
            Bound::ThroughputAtLeast(_) => measured.ratio(&than, &ours),
        }
    }

    pub(crate) fn is_met_by(&self, ratio: Spread) -> bool {
        match self.bound {
            Bound::TimeAtMost(times) => ratio.median <= times,
            Bound::ThroughputAtLeast(times) => ratio.median >= times,
        }
    }
}

fn id((path, threads, row): Place) -> Id {
    Id::new(path, threads, row)
}
