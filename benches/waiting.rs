//! What `consume(1).await` costs where it need not wait, beside `try_consume(1)` and beside its rivals.
//!
//! A benchmark is called `path/threads/row`, for instance `waiting_ready/1/ready_governor`. `ci/bench-report.sh` runs
//! this file several times over and makes `docs/performance.md` of it. Those who do wait are measured by
//! `examples/waiting_report`.

// A rival that does not take a quota should be seen at once.
#![allow(clippy::expect_used)]

mod rounds;
mod rows;
mod threads;

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use flowgate::{Quota, TokenBucket, TokioTimer};
use rows::{Answer, Row, Way, decision};

const WAY: Way = Way { path: "waiting_ready", answer: Answer::Allowed, step_ns: threads::STEP_NS };

/// So deep that it never runs dry, and from the start so far from full that it never fills up.
const PER_SECOND: u32 = 1_000_000;
const BURST: u32 = 4_000_000_000;
const SPENT: u32 = 2_000_000_000;

fn main() {
    let mut criterion = rounds::criterion();
    for threads in [1, 2] {
        rows::run(&mut criterion, WAY.path, threads, all());
    }
    criterion.final_summary();
}

/// Those to be compared closely stand close together.
fn all() -> Vec<Row> {
    vec![
        decision(WAY, "ready_try", flowgate, |limiter, _| limiter.try_consume(1).is_ok()),
        decision(WAY, "ready_consume", flowgate, |limiter, _| {
            is_ready(limiter.consume(1), |granted| granted.is_ok())
        }),
        decision(WAY, "ready_wait_with", flowgate, |limiter, _| {
            let waiting = limiter.wait_with(TokioTimer);
            is_ready(waiting.consume(1), |granted| granted.is_ok())
        }),
        decision(WAY, "ready_governor", governor, |limiter, _| {
            is_ready(limiter.until_ready(), |()| true)
        }),
        decision(
            WAY,
            "ready_leaky_fair",
            || leaky_bucket(true),
            |limiter, _| is_ready(limiter.acquire_one(), |()| true),
        ),
        decision(
            WAY,
            "ready_leaky_unfair",
            || leaky_bucket(false),
            |limiter, _| is_ready(limiter.acquire_one(), |()| true),
        ),
    ]
}

/// Polls once, which must be enough.
#[inline]
fn is_ready<F: Future>(wait: F, is_granted: impl Fn(F::Output) -> bool) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(wait).poll(&mut context) {
        std::task::Poll::Ready(granted) => is_granted(granted),
        std::task::Poll::Pending => false,
    }
}

fn flowgate() -> TokenBucket {
    let quota = Quota::per_second(u64::from(PER_SECOND)).burst(u64::from(BURST));
    let limiter = TokenBucket::new(quota).expect("flowgate takes this quota");
    let _ = limiter.try_consume(u64::from(SPENT));
    limiter
}

fn governor() -> governor::DefaultDirectRateLimiter {
    let quota = governor::Quota::per_second(NonZeroU32::new(PER_SECOND).expect("it is some"));
    let quota = quota.allow_burst(NonZeroU32::new(BURST).expect("it is some"));
    let limiter = governor::RateLimiter::direct(quota);
    let _ = limiter.check_n(NonZeroU32::new(SPENT).expect("it is some"));
    limiter
}

fn leaky_bucket(fair: bool) -> leaky_bucket::RateLimiter {
    leaky_bucket::RateLimiter::builder()
        .initial(usize::try_from(BURST - SPENT).expect("leaky-bucket takes this burst"))
        .max(usize::try_from(BURST).expect("leaky-bucket takes this burst"))
        .interval(Duration::from_millis(1))
        .refill(usize::try_from(PER_SECOND / 1_000).expect("leaky-bucket takes this rate"))
        .fair(fair)
        .build()
}
