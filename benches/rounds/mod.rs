//! How a round of measurements is set up: the same for all benchmarks.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use flowgate::{Clock, SystemClock};

/// Sets criterion up, on a clock that has come to itself.
pub(crate) fn criterion() -> Criterion {
    // Its first lines are drawn over the first milliseconds of its use.
    let clock = SystemClock::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(20));
        black_box(clock.now_ns());
    }
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        // Only the median is used, which needs no resampling.
        .nresamples(1_001)
        .without_plots()
        .configure_from_args()
}

/// Every other round runs backwards, so that a machine that slows down or speeds up during a round favours
/// nobody.
pub(crate) fn in_turn<T>(rows: &mut [T]) {
    if from_env("BENCH_ROUND").unwrap_or(1).is_multiple_of(2) {
        rows.reverse();
    }
}

pub(crate) fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}
