//! The direct limiter beside its rivals: one bucket, one to four threads, three paths.
//!
//! A benchmark is called `path/threads/row`, for instance `allowed/2/governor`. `ci/bench-report.sh`
//! runs this file several times over and makes `docs/performance.md` of it.

// A rival that does not take a quota should be seen at once.
#![allow(clippy::expect_used)]

mod baseline;
mod rounds;
mod rows;
mod threads;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baseline::{Baseline, OnInstant, ParkingLotBucket, StdMutexBucket};
use crossbeam_utils::CachePadded;
use flowgate::{Clock, InstantClock, ManualClock, Quota, SystemClock, TokenBucket};
use governor::clock::{Clock as GovernorClock, QuantaClock, QuantaUpkeepClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use rows::{Answer, Row, Way};

const SECOND: Duration = Duration::from_secs(1);

/// What a bucket is set to, so that every call takes the same path through it.
#[derive(Clone, Copy)]
struct Path {
    name: &'static str,
    tokens: u32,
    period: Duration,
    burst: u32,
    /// Taken before the measurement.
    spent: u32,
    /// What every call is answered.
    answer: Answer,
}

/// So deep that it never runs dry, and from the start so far from full that it never fills up: two
/// thousand seconds either way.
const ALLOWED: Path = Path {
    name: "allowed",
    tokens: 1_000_000,
    period: SECOND,
    burst: 4_000_000_000,
    spent: 2_000_000_000,
    answer: Answer::Allowed,
};

/// More arrives between two calls than one takes: full each time.
const FULL: Path = Path {
    name: "full",
    tokens: 1_000_000_000,
    period: SECOND,
    burst: 1_000_000_000,
    spent: 0,
    answer: Answer::Allowed,
};

/// One an hour, and it is gone.
const DENIED: Path = Path {
    name: "denied",
    tokens: 1,
    period: Duration::from_secs(3600),
    burst: 1,
    spent: 1,
    answer: Answer::Denied,
};

fn main() {
    let mut criterion = rounds::criterion();
    for threads in [1, 2, 4] {
        rows::run(&mut criterion, ALLOWED.name, threads, allowed_rows(threads));
        rows::run(&mut criterion, FULL.name, threads, clocked_rows(&FULL));
        rows::run(&mut criterion, DENIED.name, threads, clocked_rows(&DENIED));
    }
    criterion.final_summary();
}

/// Measures `call` on a subject that has its cache lines to itself.
fn row<L: Sync, T>(
    name: &'static str,
    make: impl Fn() -> L + 'static,
    call: impl Fn(&L, u64) -> T + Sync + 'static,
) -> Row {
    Box::new(move |group, threads| {
        let subject = CachePadded::new(make());
        rows::measure(group, threads, name, (0, threads::STEP_NS), &subject, &call);
    })
}

/// A row whose calls are all answered as the path says.
fn decision<L: Sync>(
    path: &'static Path,
    name: &'static str,
    make: impl Fn() -> L + 'static,
    call: impl Fn(&L, u64) -> bool + Sync + 'static,
) -> Row {
    let way = Way { path: path.name, answer: path.answer, step_ns: threads::STEP_NS };
    rows::decision(way, name, make, call)
}

fn allowed_rows(threads: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if threads == 1 {
        #[cfg(all(feature = "coarse", target_os = "linux"))]
        rows.push(row("coarse_clock", flowgate::CoarseClock::new, |clock, _| clock.now_ns()));
        rows.push(row("system_clock", SystemClock::new, |clock, _| clock.now_ns()));
        rows.push(row("tsc_read", quanta::Clock::new, |counter, _| counter.raw()));
    }
    rows.extend(clocked_rows(&ALLOWED));
    rows.extend(rows_given_the_time(&ALLOWED));
    rows
}

/// Limiters that read a clock at each call. Those to be compared closely stand close together.
fn clocked_rows(path: &'static Path) -> Vec<Row> {
    let upkeep = || QuantaUpkeepClock::from_interval(Duration::from_millis(1));
    vec![
        decision(
            path,
            "flowgate",
            || flowgate(path, SystemClock::new()),
            |limiter, _| limiter.try_consume(1).is_ok(),
        ),
        decision(
            path,
            "governor",
            || governor(path, QuantaClock::default()),
            |limiter, _| limiter.check().is_ok(),
        ),
        #[cfg(all(feature = "coarse", target_os = "linux"))]
        decision(
            path,
            "flowgate_coarse",
            || flowgate(path, flowgate::CoarseClock::new()),
            |limiter, _| limiter.try_consume(1).is_ok(),
        ),
        decision(
            path,
            "governor_upkeep",
            // Its thread is there while this row is measured, and not longer.
            move || governor(path, upkeep().expect("no other upkeep thread runs")),
            |limiter, _| limiter.check().is_ok(),
        ),
        decision(
            path,
            "flowgate_instant",
            || flowgate(path, InstantClock::new()),
            |limiter, _| limiter.try_consume(1).is_ok(),
        ),
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
            |limiter, _| limiter.try_acquire(1),
        ),
        decision(
            path,
            "ratelimit",
            || {
                let limiter = ratelimit::Ratelimiter::builder(path.tokens.into())
                    .period(path.period)
                    .max_tokens(path.burst.into())
                    .initial_available((path.burst - path.spent).into());
                limiter.build().expect("ratelimit takes this quota")
            },
            |limiter, _| limiter.try_wait().is_ok(),
        ),
        decision(
            path,
            "std_mutex",
            || OnInstant::new(baseline::<StdMutexBucket>(path)),
            |limiter, _| limiter.try_consume(1),
        ),
        decision(
            path,
            "parking_lot_mutex",
            || OnInstant::new(baseline::<ParkingLotBucket>(path)),
            |limiter, _| limiter.try_consume(1),
        ),
    ]
}

/// Limiters that are given the time, and their floor.
fn rows_given_the_time(path: &'static Path) -> Vec<Row> {
    vec![
        decision(
            path,
            "flowgate_at",
            || flowgate(path, ManualClock::new()),
            |limiter, now_ns| limiter.try_consume_at(1, now_ns).is_ok(),
        ),
        row("cas_loop", || AtomicU64::new(u64::MAX), |word, _| subtract_one(word)),
        decision(
            path,
            "better_bucket_at",
            || {
                let bucket = better_bucket::BucketBuilder::new()
                    .capacity(path.burst)
                    .refill(path.tokens, path.period)
                    .initial(path.burst - path.spent)
                    .build_config();
                let bucket = bucket.expect("better-bucket takes this quota");
                better_bucket::BucketCore::new(bucket, Duration::ZERO)
            },
            |limiter, now_ns| limiter.try_acquire_at(1, Duration::from_nanos(now_ns)),
        ),
        decision(
            path,
            "std_mutex_at",
            || baseline::<StdMutexBucket>(path),
            |limiter, now_ns| limiter.try_consume_at(1, now_ns),
        ),
        decision(
            path,
            "parking_lot_mutex_at",
            || baseline::<ParkingLotBucket>(path),
            |limiter, now_ns| limiter.try_consume_at(1, now_ns),
        ),
    ]
}

/// The least that a lock-free limiter can do.
fn subtract_one(word: &AtomicU64) -> u64 {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        match word.compare_exchange_weak(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(seen) => return seen,
            Err(newer) => seen = newer,
        }
    }
}

fn flowgate<C: Clock>(path: &Path, clock: C) -> TokenBucket<C> {
    let quota = Quota::new(u64::from(path.tokens), path.period).burst(u64::from(path.burst));
    let limiter = TokenBucket::with_clock(quota, clock).expect("flowgate takes this quota");
    let _ = limiter.try_consume(u64::from(path.spent));
    limiter
}

type Governor<C> = governor::RateLimiter<
    NotKeyed,
    InMemoryState,
    C,
    NoOpMiddleware<<C as GovernorClock>::Instant>,
>;

fn governor<C: GovernorClock>(path: &Path, clock: C) -> Governor<C> {
    let quota = governor::Quota::with_period(path.period / path.tokens)
        .zip(NonZeroU32::new(path.burst))
        .map(|(quota, burst)| quota.allow_burst(burst))
        .expect("governor takes this quota");
    let limiter = Governor::direct_with_clock(quota, clock);
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
