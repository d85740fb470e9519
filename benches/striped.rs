//! The striped bucket, and a key's hot handle, beside one word and rivals: one limit, one to eight threads.
//!
//! A benchmark is called `path/threads/row`, for instance `striped_allowed/2/striped`. `ci/bench-report.sh` runs this
//! file several times over and makes `docs/performance.md` of it.

// A limiter that does not take its quota should be seen at once.
#![allow(clippy::expect_used)]

mod baseline;
mod rounds;
mod rows;
mod threads;

use std::num::NonZeroU32;
use std::time::Duration;

use baseline::{Baseline, OnInstant, ParkingLotBucket, StdMutexBucket};
use flowgate::{KeyedLimiter, Quota, StripedBucket, TokenBucket};
use rows::{Answer, Row, Way};

/// What a bucket is set to, so that every call takes the same path through it.
#[derive(Clone, Copy)]
struct Path {
    name: &'static str,
    tokens: u32,
    period: Duration,
    burst: u32,
    /// Taken before the measurement.
    spent: u32,
    answer: Answer,
    threads: &'static [usize],
}

/// So deep that it never runs dry, and so far from full that it never fills up.
const ALLOWED: Path = Path {
    name: "striped_allowed",
    tokens: 1_000_000,
    period: Duration::from_secs(1),
    burst: 4_000_000_000,
    spent: 2_000_000_000,
    answer: Answer::Allowed,
    threads: &[1, 2, 4, 8],
};

/// The smallest stripes, of eight tokens: each ninth call goes to the central bucket and fills one. More arrives than
/// calls can take.
const LEASING: Path = Path {
    name: "striped_leasing",
    tokens: 2_000_000_000,
    period: Duration::from_secs(1),
    burst: 256,
    spent: 0,
    answer: Answer::Allowed,
    threads: &[1, 2],
};

/// One an hour, and all are gone.
const DENIED: Path = Path {
    name: "striped_denied",
    tokens: 1,
    period: Duration::from_secs(3_600),
    burst: 256,
    spent: 256,
    answer: Answer::Denied,
    threads: &[1, 2],
};

/// The key that is hot.
const KEY: u64 = 7;

impl Path {
    fn spent(self) -> u64 {
        self.spent.into()
    }
}

fn main() {
    let mut criterion = rounds::criterion();
    for path in [&ALLOWED, &LEASING, &DENIED] {
        for &threads in path.threads {
            rows::run(&mut criterion, path.name, threads, rows_of(path));
        }
    }
    criterion.final_summary();
}

/// A row whose calls are all answered as the path says.
fn decision<L: Sync>(
    path: &'static Path,
    name: &'static str,
    make: impl Fn() -> L + 'static,
    call: impl Fn(&L) -> bool + Sync + 'static,
) -> Row {
    let way = Way { path: path.name, answer: path.answer, step_ns: threads::STEP_NS };
    rows::decision(way, name, make, move |limiter, _| call(limiter))
}

/// All on the clock that they have by default. Those to be compared closely stand close together.
fn rows_of(path: &'static Path) -> Vec<Row> {
    let mut rows = vec![
        decision(
            path,
            "striped",
            || {
                let limiter = StripedBucket::new(quota(path)).expect("flowgate takes this quota");
                assert_eq!(limiter.consume_up_to(path.spent()), path.spent());
                limiter
            },
            |limiter| limiter.try_consume(1).is_ok(),
        ),
        decision(
            path,
            "flowgate",
            || {
                let limiter = TokenBucket::new(quota(path)).expect("flowgate takes this quota");
                assert_eq!(limiter.consume_up_to(path.spent()), path.spent());
                limiter
            },
            |limiter| limiter.try_consume(1).is_ok(),
        ),
    ];
    // The rate is above what others can be set to.
    if path.name == LEASING.name {
        return rows;
    }
    rows.extend([
        decision(
            path,
            "hot_handle",
            || {
                let users =
                    KeyedLimiter::<u64>::new(quota(path)).expect("flowgate takes this quota");
                let hot = users.hot_handle(&KEY);
                // What a stripe does not hold beside a full word is lost when a bucket is divided.
                let taken = hot.consume_up_to(path.spent());
                assert!(taken >= hot.guaranteed_burst().whole().min(path.spent()));
                hot
            },
            |limiter| limiter.try_consume(1).is_ok(),
        ),
        decision(
            path,
            "handle",
            || {
                let users =
                    KeyedLimiter::<u64>::new(quota(path)).expect("flowgate takes this quota");
                let handle = users.handle(&KEY);
                assert_eq!(handle.consume_up_to(path.spent()), path.spent());
                handle
            },
            |limiter| limiter.try_consume(1).is_ok(),
        ),
        decision(path, "governor", || governor(path), |limiter| limiter.check().is_ok()),
        decision(
            path,
            "better_bucket",
            || {
                let bucket = better_bucket::Bucket::builder()
                    .capacity(path.burst)
                    .refill(path.tokens, path.period)
                    .initial(path.burst - path.spent);
                bucket.build().expect("better-bucket takes this quota")
            },
            |limiter| limiter.try_acquire(1),
        ),
        decision(
            path,
            "std_mutex",
            || OnInstant::new(baseline::<StdMutexBucket>(path)),
            |limiter| limiter.try_consume(1),
        ),
        decision(
            path,
            "parking_lot_mutex",
            || OnInstant::new(baseline::<ParkingLotBucket>(path)),
            |limiter| limiter.try_consume(1),
        ),
    ]);
    rows
}

fn quota(path: &Path) -> Quota {
    Quota::new(u64::from(path.tokens), path.period).burst(u64::from(path.burst))
}

fn governor(path: &Path) -> governor::DefaultDirectRateLimiter {
    let quota = governor::Quota::with_period(path.period / path.tokens)
        .zip(NonZeroU32::new(path.burst))
        .map(|(quota, burst)| quota.allow_burst(burst))
        .expect("governor takes this quota");
    let limiter = governor::DefaultDirectRateLimiter::direct(quota);
    if let Some(spent) = NonZeroU32::new(path.spent) {
        let _ = limiter.check_n(spent);
    }
    limiter
}

fn baseline<B: Baseline>(path: &Path) -> B {
    let period_ns = u64::try_from(path.period.as_nanos()).unwrap_or(u64::MAX);
    let bucket = B::new(path.tokens.into(), period_ns, path.burst.into());
    bucket.try_consume_at(path.spent.into(), 0);
    bucket
}
