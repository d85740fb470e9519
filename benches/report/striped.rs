//! The striped bucket's part of the page: its paths, what it must reach, and what the measurements predict for more
//! cores than were measured.

use std::fmt::{self, Write};

use crate::algorithms::Section;
use crate::measured::{Id, Measured};
use crate::names::{Kind, Path, row};
use crate::scaling::{Curve, Point};
use crate::targets::{Bound, Target};

pub(crate) const SECTION: Section = Section {
    name: "striped",
    title: "One limit for many cores",
    about: "A `StripedBucket`, and a key's hot handle, beside one word and rivals, each on the clock that it has by default.",
    paths: &[
        Path {
            name: "striped_allowed",
            title: "Striped, allowed",
            about: "One bucket of 4,000,000,000 tokens that gains 1,000,000 a second. It starts half full and neither \
                    runs dry nor fills up: every call takes a token.",
            yardstick: "striped",
        },
        Path {
            name: "striped_leasing",
            title: "Striped, leasing",
            about: "One bucket of 256 tokens, the smallest that is divided in two stripes, of eight each. More arrives \
                    than calls can take. Each ninth call goes to the central bucket and fills a stripe.",
            yardstick: "striped",
        },
        Path {
            name: "striped_denied",
            title: "Striped, denied",
            about: "One bucket of 256 tokens that gains one an hour, and all are gone: every call is denied.",
            yardstick: "striped",
        },
    ],
};

/// What is measured by number of threads, and whose calls all go to one word.
const ROWS: [&str; 6] =
    ["striped", "flowgate", "governor", "better_bucket", "std_mutex", "parking_lot_mutex"];
const THREADS: [usize; 4] = [1, 2, 4, 8];
const CORES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Calls of a stripe's tokens and the one that fills it, on the path that leases.
const CALLS_PER_LEASE: f64 = 9.0;

fn ns(measured: &Measured, path: &str, threads: usize, row: &str) -> Option<f64> {
    measured.spread(&Id::new(path, threads, row)).map(|ns| ns.median)
}

/// Million decisions a second by number of threads, as measured, and by number of cores, as predicted.
pub(crate) fn curves(measured: &Measured) -> Result<Vec<Curve>, String> {
    let mut curves = Vec::new();
    for name in ROWS {
        let row = row(name)?;
        let label = if name == "flowgate" { "flowgate, TokenBucket" } else { row.label };
        let points: Vec<_> = THREADS
            .into_iter()
            .filter_map(|threads| {
                let ns = ns(measured, "striped_allowed", threads, name)?;
                Some(Point { count: threads, millions: 1e3 / ns })
            })
            .collect();
        let predicted = if row.kind == Kind::Ours { predicted(measured, name) } else { None };
        if !points.is_empty() {
            curves.push(Curve {
                label,
                kind: row.kind,
                points,
                predicted: predicted.unwrap_or_default(),
            });
        }
    }
    Ok(curves)
}

/// A stripe each: as many times as fast as there are cores. One word: no faster than for two.
fn predicted(measured: &Measured, name: &str) -> Option<Vec<Point>> {
    let one = 1e3 / ns(measured, "striped_allowed", 1, name)?;
    let two = 1e3 / ns(measured, "striped_allowed", 2, name)?;
    let on = |cores: usize| match name {
        "striped" => one * to_f64(cores),
        _ if cores == 1 => one,
        _ => two,
    };
    Some(CORES.into_iter().map(|count| Point { count, millions: on(count) }).collect())
}

/// A handful.
fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The prediction in words and numbers.
pub(crate) fn write_prediction(page: &mut String, measured: &Measured) -> fmt::Result {
    let place = |path, threads| ns(measured, path, threads, "striped");
    let (Some(one), Some(two), Some(leasing)) =
        (place("striped_allowed", 1), place("striped_allowed", 2), place("striped_leasing", 2))
    else {
        return Ok(());
    };
    let one_word = ns(measured, "striped_allowed", 2, "flowgate").unwrap_or(f64::NAN);
    // All threads together: what a call costs beyond the fast path, by as many as one lease serves.
    let lease_ns = (leasing - two).max(0.0) * CALLS_PER_LEASE;
    writeln!(page, "### Prediction for more cores\n")?;
    writeln!(
        page,
        "**Not measured**: worked out from the two cores that were. A stripe for each core: no line of memory is shared \
         but at leases, so n cores do n times what one does ({one:.1} ns a decision). One word: a line goes from core to \
         core, and all do at most what two do ({one_word:.1} ns a decision); on real machines it is less, the more cores \
         there are. A lease keeps the central bucket busy for {lease_ns:.0} ns (measured: two threads, nine calls to a \
         lease), and one stripe's tokens take one lease, so the central bucket bounds all cores together.\n"
    )?;
    writeln!(
        page,
        "| cores | StripedBucket, M decisions/s | TokenBucket, at most | smallest capacity at which the central bucket is \
         not the bound |\n|--:|--:|--:|--:|"
    )?;
    for cores in [2, 4, 8, 16, 32, 64] {
        let all = to_f64(cores) * 1e3 / one;
        // Tokens of a stripe, a power of two, taken in the time of a lease.
        let each = (lease_ns * all / 1e3).max(8.0).log2().ceil().exp2();
        let capacity = each * to_f64(cores) * 16.0;
        writeln!(page, "| {cores} | {all:.0} | {:.0} | {capacity:.0} tokens |", 1e3 / one_word)?;
    }
    writeln!(page)
}

pub(crate) fn targets() -> Vec<Target> {
    let at = |threads| ("striped_allowed", threads, "striped");
    let mut all = vec![
        Target::ratio(
            "striped, 1 thread, allowed",
            Bound::TimeAtMost(0.65),
            at(1),
            ("striped_allowed", 1, "governor"),
            "governor (quanta)",
        ),
        Target::ratio(
            "striped, 2 threads, allowed",
            Bound::ThroughputAtLeast(8.0),
            at(2),
            ("striped_allowed", 2, "governor"),
            "governor (quanta)",
        ),
        Target::ratio(
            "striped, 2 threads, allowed",
            Bound::ThroughputAtLeast(1.9),
            at(2),
            at(1),
            "its own 1 thread",
        ),
    ];
    for (threads, what) in [
        (4, "striped, 4 threads on 2 cores, allowed"),
        (8, "striped, 8 threads on 2 cores, allowed"),
    ] {
        all.push(Target::ratio(
            what,
            Bound::ThroughputAtLeast(0.9),
            at(threads),
            at(2),
            "its own 2 threads",
        ));
    }
    let hot = |threads| ("striped_allowed", threads, "hot_handle");
    all.push(Target::ratio(
        "hot handle, 1 thread, allowed",
        Bound::TimeAtMost(1.15),
        hot(1),
        at(1),
        "StripedBucket",
    ));
    all.push(Target::ratio(
        "hot handle, 2 threads, allowed",
        Bound::ThroughputAtLeast(1.9),
        hot(2),
        hot(1),
        "its own 1 thread",
    ));
    all.push(Target::ratio(
        "striped, 1 thread, denied",
        Bound::TimeAtMost(1.3),
        ("striped_denied", 1, "striped"),
        ("striped_denied", 1, "flowgate"),
        "one word",
    ));
    all.push(Target::ratio(
        "striped, 2 threads, denied",
        Bound::ThroughputAtLeast(1.9),
        ("striped_denied", 2, "striped"),
        ("striped_denied", 1, "striped"),
        "its own 1 thread",
    ));
    all
}
