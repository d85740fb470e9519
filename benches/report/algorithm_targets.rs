//! What the algorithms must reach.

use crate::page::threads;
use crate::targets::{Bound, Target};

/// Rows of ours beside the token bucket.
const GIVEN: [(&str, &str); 6] = [
    ("gcra_at", "Gcra"),
    ("leaky_bucket_at", "LeakyBucket"),
    ("leaky_queue_at", "LeakyQueue"),
    ("fixed_window_at", "FixedWindow"),
    ("fixed_window_from_first_call_at", "FixedWindow, from_first_call"),
    ("sliding_window_at", "SlidingWindow"),
];

/// Ours, rate-net's, what that is called, and what they are answered.
const BESIDE: [(&str, &str, &str, &[&str]); 4] = [
    ("fixed_window", "rate_net_fixed_window", "fixed window", &["allowed", "denied"]),
    ("sliding_window", "rate_net_sliding_window", "sliding window", &["allowed", "denied"]),
    ("leaky_bucket", "rate_net_leaky_bucket", "leaky bucket", &["allowed", "denied"]),
    ("sliding_log", "rate_net_sliding_log", "sliding log", &["allowed", "denied", "saturated"]),
];

pub(crate) fn all() -> Vec<Target> {
    let mut all = Vec::new();
    for (path, time) in [("algorithms_moving", "moving"), ("algorithms_still", "standing still")] {
        for (row, algorithm) in GIVEN {
            all.push(Target::ratio(
                &format!("{algorithm}, 1 thread, allowed, time given, {time}"),
                Bound::TimeAtMost(1.3),
                (path, 1, row),
                (path, 1, "token_bucket_at"),
                "the token bucket",
            ));
        }
    }
    for (ours, theirs, algorithm, answers) in BESIDE {
        for (answer, count) in answers.iter().flat_map(|answer| [(answer, 1), (answer, 2)]) {
            let path = format!("{ours}_{answer}");
            all.push(Target::ratio(
                &format!("{algorithm}, {}, {answer}", threads(count)),
                Bound::ThroughputAtLeast(1.5),
                (&path, count, ours),
                (&path, count, theirs),
                "rate-net",
            ));
        }
    }
    for (row, clock) in [("sliding_log", "default clock"), ("sliding_log_instant", "InstantClock")]
    {
        all.push(Target::ratio(
            &format!("sliding log, 2 threads, saturated, {clock}"),
            Bound::ThroughputAtLeast(1.0),
            ("sliding_log_saturated", 2, row),
            ("sliding_log_saturated", 2, "mutex_log"),
            "std mutex, VecDeque",
        ));
    }
    all
}
