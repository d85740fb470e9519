//! The algorithms beside each other, given the time; and on their clock beside those of rate-net.
//!
//! A benchmark is called `path/threads/row`, for instance `algorithms_moving/1/gcra_at` or
//! `fixed_window_denied/2/rate_net_fixed_window`. `ci/bench-report.sh` runs this file several times over and makes
//! `docs/performance.md` of it.

// A limiter that does not take its limit should be seen at once.
#![allow(clippy::expect_used)]

mod baseline;
mod rounds;
mod rows;
mod threads;

use std::time::Duration;

use baseline::MutexLog;
use flowgate::{
    Algorithm, Clock, FixedWindow, Gcra, InstantClock, LeakyBucket, LeakyQueue, Limiter,
    ManualClock, Quota, QuotaError, SlidingLog, SlidingWindow,
};
use rate_net::DirectLimiter;
use rows::{Answer, Row, Way, decision};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// Little more than the shortest window of a log of flowgate's.
const SHORT: Duration = Duration::from_micros(1_250);
const DAY: Duration = Duration::from_secs(86_400);
const YEARS: Duration = Duration::from_secs(4 * 365 * 86_400);

/// What a limiter is set to.
#[derive(Clone, Copy)]
struct Limit {
    limit: u32,
    period: Duration,
    /// What a bucket holds; windows know no burst.
    burst: u32,
    /// Taken before the measurement.
    spent: u32,
}

/// One a month: none is left once it was taken.
const ONE: Limit = limit(1, DAY.saturating_mul(30));

const fn limit(limit: u32, period: Duration) -> Limit {
    Limit { limit, period, burst: limit, spent: 0 }
}

impl Limit {
    fn quota(self) -> Quota {
        Quota::new(u64::from(self.limit), self.period).burst(u64::from(self.burst))
    }

    fn leaky_bucket(self) -> LeakyBucket {
        LeakyBucket::new(self.quota())
    }

    fn fixed_window(self) -> FixedWindow {
        FixedWindow::new(u64::from(self.limit), self.period)
    }

    fn sliding_window(self) -> SlidingWindow {
        SlidingWindow::new(u64::from(self.limit), self.period)
    }
}

fn main() {
    let mut criterion = rounds::criterion();
    for given in [MOVING, STILL, DENIED] {
        rows::run(&mut criterion, given.way.path, 1, given_the_time(given));
    }
    for threads in [1, 2] {
        for OnClock { path, answer, limit, rows } in ON_CLOCK {
            let way = Way { path, answer: *answer, step_ns: 0 };
            rows::run(&mut criterion, path, threads, rows(way, *limit));
        }
    }
    criterion.final_summary();
}

/// A way through limiters that are given the time.
#[derive(Clone, Copy)]
struct Given {
    way: Way,
    /// They differ where it takes that for all calls to be allowed.
    buckets: Limit,
    windows: Limit,
}

/// Ten calls a second. A bucket stays half full: it gains one token from call to call. A window has ten calls, of
/// twice as many that it allows.
const MOVING: Given = Given {
    way: Way { path: "algorithms_moving", answer: Answer::Allowed, step_ns: 100_000_000 },
    buckets: Limit { burst: 20, spent: 10, ..limit(10, SECOND) },
    windows: limit(20, SECOND),
};

/// So deep that no measurement uses them up.
const STILL: Given = Given {
    way: Way { path: "algorithms_still", answer: Answer::Allowed, step_ns: 0 },
    buckets: Limit { burst: 1_000_000_000, ..limit(1_000_000, SECOND) },
    windows: limit(1_000_000_000, YEARS),
};

const DENIED: Given = Given {
    way: Way { path: "algorithms_denied", answer: Answer::Denied, step_ns: threads::STEP_NS },
    buckets: ONE,
    windows: ONE,
};

fn given_the_time(Given { way, buckets, windows }: Given) -> Vec<Row> {
    let from_first_call = windows.fixed_window().from_first_call();
    vec![
        given_row(way, "token_bucket_at", buckets, buckets.quota()),
        given_row(way, "gcra_at", buckets, Gcra::new(buckets.quota())),
        given_row(way, "leaky_bucket_at", buckets, buckets.leaky_bucket()),
        given_row(way, "leaky_queue_at", buckets, LeakyQueue::new(buckets.quota())),
        given_row(way, "fixed_window_at", windows, windows.fixed_window()),
        given_row(way, "fixed_window_from_first_call_at", windows, from_first_call),
        given_row(way, "sliding_window_at", windows, windows.sliding_window()),
    ]
}

fn given_row<A: Algorithm>(way: Way, name: &'static str, limit: Limit, algorithm: A) -> Row {
    let make = move || {
        let limiter = flowgate(limit, Limiter::with_clock(algorithm, ManualClock::new()));
        emptied(way, limiter, Limiter::is_allowed)
    };
    decision(way, name, make, |limiter, now_ns| limiter.try_consume_at(1, now_ns).is_ok())
}

/// A way through limiters that read a clock.
struct OnClock {
    path: &'static str,
    answer: Answer,
    limit: Limit,
    rows: fn(Way, Limit) -> Vec<Row>,
}

/// What is allowed is allowed to the end: each limit is above what can be asked for.
const ON_CLOCK: &[OnClock] = &[
    OnClock {
        path: "fixed_window_allowed",
        answer: Answer::Allowed,
        limit: limit(1_000_000, MILLISECOND),
        rows: fixed_window,
    },
    OnClock { path: "fixed_window_denied", answer: Answer::Denied, limit: ONE, rows: fixed_window },
    OnClock {
        path: "sliding_window_allowed",
        answer: Answer::Allowed,
        limit: limit(1_000_000_000, YEARS),
        rows: sliding_window,
    },
    OnClock {
        path: "sliding_window_denied",
        answer: Answer::Denied,
        limit: ONE,
        rows: sliding_window,
    },
    OnClock {
        path: "leaky_bucket_allowed",
        answer: Answer::Allowed,
        limit: Limit { burst: 4_000_000_000, spent: 2_000_000_000, ..limit(1_000_000, SECOND) },
        rows: leaky_bucket,
    },
    OnClock { path: "leaky_bucket_denied", answer: Answer::Denied, limit: ONE, rows: leaky_bucket },
    OnClock {
        path: "sliding_log_allowed",
        answer: Answer::Allowed,
        limit: limit(65_536, SHORT),
        rows: sliding_log,
    },
    OnClock { path: "sliding_log_denied", answer: Answer::Denied, limit: ONE, rows: sliding_log },
    // A hundred of tens of thousands of calls: those that find that the oldest grant has left the window.
    OnClock {
        path: "sliding_log_saturated",
        answer: Answer::Both,
        limit: limit(100, SHORT),
        rows: sliding_log,
    },
];

fn fixed_window(way: Way, limit: Limit) -> Vec<Row> {
    vec![
        default_clock_row(way, "fixed_window", limit, limit.fixed_window()),
        rate_net_row(way, "rate_net_fixed_window", limit, rate_net::Algorithm::FixedWindow),
        instant_row(way, "fixed_window_instant", limit, limit.fixed_window()),
    ]
}

fn sliding_window(way: Way, limit: Limit) -> Vec<Row> {
    let theirs = rate_net::Algorithm::SlidingWindowCounter;
    vec![
        default_clock_row(way, "sliding_window", limit, limit.sliding_window()),
        rate_net_row(way, "rate_net_sliding_window", limit, theirs),
        instant_row(way, "sliding_window_instant", limit, limit.sliding_window()),
    ]
}

fn leaky_bucket(way: Way, limit: Limit) -> Vec<Row> {
    vec![
        default_clock_row(way, "leaky_bucket", limit, limit.leaky_bucket()),
        rate_net_row(way, "rate_net_leaky_bucket", limit, rate_net::Algorithm::LeakyBucket),
        instant_row(way, "leaky_bucket_instant", limit, limit.leaky_bucket()),
    ]
}

fn sliding_log(way: Way, limit: Limit) -> Vec<Row> {
    let (most, period) = (u64::from(limit.limit), limit.period);
    vec![
        row(
            way,
            "sliding_log",
            move || SlidingLog::new(most, period).expect("flowgate takes this limit"),
            SlidingLog::is_allowed,
        ),
        rate_net_row(way, "rate_net_sliding_log", limit, rate_net::Algorithm::SlidingWindowLog),
        row(
            way,
            "mutex_log",
            move || MutexLog::new(limit.limit, limit.period),
            MutexLog::is_allowed,
        ),
        row(
            way,
            "sliding_log_instant",
            move || {
                let log = SlidingLog::with_clock(most, period, InstantClock::new());
                log.expect("flowgate takes this limit")
            },
            SlidingLog::is_allowed,
        ),
    ]
}

fn default_clock_row<A: Algorithm>(
    way: Way,
    name: &'static str,
    limit: Limit,
    algorithm: A,
) -> Row {
    row(way, name, move || flowgate(limit, Limiter::new(algorithm)), Limiter::is_allowed)
}

fn instant_row<A: Algorithm>(way: Way, name: &'static str, limit: Limit, algorithm: A) -> Row {
    let make = move || flowgate(limit, Limiter::with_clock(algorithm, InstantClock::new()));
    row(way, name, make, Limiter::is_allowed)
}

fn flowgate<A: Algorithm, C: Clock>(
    limit: Limit,
    limiter: Result<Limiter<A, C>, QuotaError>,
) -> Limiter<A, C> {
    let limiter = limiter.expect("flowgate takes this limit");
    limiter.try_consume(u64::from(limit.spent)).expect("what is to be spent is there");
    limiter
}

fn rate_net_row(way: Way, name: &'static str, limit: Limit, algorithm: rate_net::Algorithm) -> Row {
    let make = move || {
        let quota = rate_net::Quota::rate(limit.limit, limit.period);
        let quota = quota.expect("rate-net takes this limit").with_burst(limit.burst);
        let limiter = DirectLimiter::with_quota(quota).with_algorithm(algorithm);
        assert!(limiter.check_n(limit.spent).is_allow(), "what is to be spent is there");
        limiter
    };
    row(way, name, make, |limiter| limiter.check().is_allow())
}

/// A limiter on its clock, asked for one at a time.
fn row<L: Sync>(
    way: Way,
    name: &'static str,
    make: impl Fn() -> L + 'static,
    is_allowed: impl Fn(&L) -> bool + Copy + Sync + 'static,
) -> Row {
    decision(
        way,
        name,
        move || emptied(way, make(), is_allowed),
        move |limiter, _| is_allowed(limiter),
    )
}

/// Takes all that is there, where calls are to be denied.
fn emptied<L>(way: Way, limiter: L, is_allowed: impl Fn(&L) -> bool) -> L {
    while way.answer == Answer::Denied && is_allowed(&limiter) {}
    limiter
}
