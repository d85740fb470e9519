//! What the keyed limiter must reach.

use crate::keyed::{SIZES, figure};
use crate::page::threads;
use crate::targets::{Bound, Target, Unit};

const GOVERNOR: &str = "governor keyed";

/// What a key may take in memory, and a call in time.
const MOST_BYTES: f64 = 42.0;
const LONGEST_CALL_NS: f64 = 1e6;

pub(crate) fn all() -> Vec<Target> {
    let mut all = vec![than_governor("u64, 1 hot key", "keyed_hot", 1, 1.2)];
    for (draw, title, times) in [("uniform", "uniform", 1.3), ("zipf", "Zipf", 1.15)] {
        for (size, keys) in SIZES {
            for count in [1, 2] {
                let what = format!("u64, {keys} keys, {title}");
                all.push(than_governor(&what, &format!("keyed_{draw}_{size}"), count, times));
            }
        }
    }
    for count in [1, 2] {
        all.push(than_governor("String, 1,000,000 keys", "keyed_names_1m", count, 1.3));
    }
    all.push(Target::ratio(
        "u64, 1 hot key, 2 threads, denied, lock-free store",
        Bound::ThroughputAtLeast(5.0),
        ("keyed_hot_denied", 2, "keyed_lock_free"),
        ("keyed_hot_denied", 2, "governor_keyed"),
        GOVERNOR,
    ));
    all.push(Target::ratio(
        "a handle, 1 thread",
        Bound::TimeAtMost(1.1),
        ("keyed_handle", 1, "handle"),
        ("keyed_handle", 1, "direct"),
        "the direct limiter",
    ));
    for (keys, shown) in [(1_000_000, "1,000,000"), (10_000_000, "10,000,000")] {
        let (what, path) =
            (format!("resident memory per u64 key, {shown}"), figure("resident", keys));
        let (ours, governor) = ((path.as_str(), 1, "keyed"), (path.as_str(), 1, "governor_keyed"));
        all.push(Target::ratio(&what, Bound::FigureAtMost(1.0), ours, governor, GOVERNOR));
        all.push(Target::alone(&what, Bound::AtMost(MOST_BYTES, Unit::Bytes), ours));
    }
    for (what, path) in [
        ("worst single call while 10,000,000 keys are inserted", "insert_worst_ns"),
        ("worst single call while 10,000,000 keys expire and are swept", "expire_worst_ns"),
    ] {
        let path = figure(path, 10_000_000);
        let bound = Bound::AtMost(LONGEST_CALL_NS, Unit::Time);
        all.push(Target::alone(what, bound, (&path, 1, "keyed")));
    }
    all
}

fn than_governor(what: &str, path: &str, count: usize, times: f64) -> Target {
    let (ours, governor) = ((path, count, "keyed"), (path, count, "governor_keyed"));
    let what = format!("{what}, {}", threads(count));
    Target::ratio(&what, Bound::ThroughputAtLeast(times), ours, governor, GOVERNOR)
}
