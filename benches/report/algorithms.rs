//! The algorithms' part of the page: each beside the token bucket, given the time, and beside rate-net's on its clock.

use crate::names::Path;
use crate::{http, striped};

/// A part of the page, with a chart for some of its paths together.
pub(crate) struct Section {
    /// What charts call it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    pub(crate) paths: &'static [Path],
}

/// Those of [`GIVEN`], in a chart's order, and what they are called there.
pub(crate) const GIVEN_SHADES: [&str; 3] =
    ["algorithms_moving", "algorithms_still", "algorithms_denied"];

/// The last word of a path of [`ON_CLOCK`], and what its chart says of it.
pub(crate) const ANSWERS: [(&str, &str); 3] = [
    ("allowed", "allowed"),
    ("denied", "denied"),
    ("saturated", "100 in 1.25 ms, most calls denied"),
];

/// In the order of the page.
pub(crate) const SECTIONS: [&Section; 4] = [&striped::SECTION, &GIVEN, &ON_CLOCK, &http::SECTION];

pub(crate) const GIVEN: Section = Section {
    name: "algorithms_given",
    title: "Algorithms, the time given",
    about: "`try_consume_at` of every algorithm on one word, by one thread. What the clock costs is not in it.",
    paths: &[
        Path {
            name: "algorithms_moving",
            title: "Algorithms, time moving",
            about: "Each call is a tenth of a second after the one before, and allowed. A bucket gains 10 tokens a \
                    second and holds 20: it is half full and refilled by one at each call. A window allows 20 in \
                    a second: each tenth call begins one, and ten are counted in the one before.",
            yardstick: "token_bucket_at",
        },
        Path {
            name: "algorithms_still",
            title: "Algorithms, time standing still",
            about: "All calls are made at the same time, and allowed. A bucket holds 1,000,000,000 tokens; a window \
                    allows as many in three years.",
            yardstick: "token_bucket_at",
        },
        Path {
            name: "algorithms_denied",
            title: "Algorithms, denied",
            about: "One a month, which is gone. Each call is 20 ns after the one before.",
            yardstick: "token_bucket_at",
        },
    ],
};

pub(crate) const ON_CLOCK: Section = Section {
    name: "algorithms",
    title: "Algorithms beside rate-net's",
    about: "One limiter on the clock that it has by default, asked for one at a time; both are set to the same limit. \
            *Denied*: one a month, which is gone.",
    paths: &[
        Path {
            about: "1,000,000 in a millisecond, more than calls can take.",
            ..beside("fixed_window_allowed", "Fixed window, allowed", "fixed_window")
        },
        beside("fixed_window_denied", "Fixed window, denied", "fixed_window"),
        Path {
            about: "1,000,000,000 in three years: no window ends while it is measured, so none before it counts. \
                    (flowgate's word has no room for a limit that no two threads reach in a window that ends.)",
            ..beside("sliding_window_allowed", "Sliding window, allowed", "sliding_window")
        },
        beside("sliding_window_denied", "Sliding window, denied", "sliding_window"),
        Path {
            about: "A bucket of 4,000,000,000 that leaks 1,000,000 a second, half full.",
            ..beside("leaky_bucket_allowed", "Leaky bucket, allowed", "leaky_bucket")
        },
        beside("leaky_bucket_denied", "Leaky bucket, denied", "leaky_bucket"),
        Path {
            about: "65,536 in 1.25 ms, more than calls can take: each puts one into the log, and drops what \
                    has left the window.",
            ..beside("sliding_log_allowed", "Sliding log, allowed", "sliding_log")
        },
        beside("sliding_log_denied", "Sliding log, denied", "sliding_log"),
        Path {
            about: "100 in 1.25 ms, of tens of thousands of calls: all are denied but those that find that \
                    the oldest of the hundred has left the window.",
            ..beside("sliding_log_saturated", "Sliding log, saturated", "sliding_log")
        },
    ],
};

const fn beside(name: &'static str, title: &'static str, yardstick: &'static str) -> Path {
    Path { name, title, about: "", yardstick }
}

pub(crate) fn paths() -> impl Iterator<Item = &'static Path> {
    SECTIONS.into_iter().flat_map(|section| section.paths)
}
