//! Real threads on the real clock, audited: granted ≤ capacity + rate × elapsed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/hammer.rs"]
mod hammer;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{Clock, Fill, InstantClock, Quota, SystemClock, TokenBucket};
use hammer::hammer;

/// The clock may be this much ahead of `Instant` over a whole run.
const CLOCK_ERROR: Duration = Duration::from_micros(20);

fn ceiling(quota: Quota, elapsed: Duration) -> u64 {
    let elapsed_ns = (elapsed + CLOCK_ERROR).as_nanos();
    let refill = u128::from(quota.tokens().whole()) * elapsed_ns / quota.period().as_nanos();
    // Two units, at most two tokens.
    quota.capacity().whole() + u64::try_from(refill).unwrap() + 2
}

#[test]
fn real_threads_never_oversell_on_the_real_clock() {
    for threads in [2, 4, 16] {
        for quota in [
            "1/s burst 5",
            "1000/s burst 10",
            "20000/s",
            "1000000/s burst 1000",
            "100000000/s burst 100000",
        ] {
            let quota: Quota = quota.parse().unwrap();
            let run = Duration::from_millis(300);
            let (granted, elapsed) = hammer(
                || TokenBucket::new(quota).unwrap(),
                threads,
                run,
                |limiter| u64::from(limiter.is_allowed()),
            );
            let ceiling = ceiling(quota, elapsed);
            assert!(granted <= ceiling, "{threads} threads at {quota}: {granted} > {ceiling}");
            // It does not get stuck either: where the burst outlasts a thread's turn at the processor, a
            // tenth is more than is lost before the threads have started.
            let due = u128::from(quota.tokens().whole()) * run.as_nanos() / 1_000_000_000;
            if quota.tokens() <= 1_000_000 && quota.capacity() >= quota.tokens() {
                let due = quota.capacity().whole() + u64::try_from(due).unwrap();
                assert!(
                    granted >= due - due / 10,
                    "{threads} threads at {quota}: {granted} of {due}"
                );
            }
        }
    }
}

#[test]
fn large_and_mixed_costs_never_oversell() {
    for cost in [7_u64, 100, 999] {
        let quota = Quota::per_second(2_000_000).burst(1_000);
        let (granted, elapsed) = hammer(
            || TokenBucket::with_clock(quota, InstantClock::new()).unwrap(),
            4,
            Duration::from_millis(300),
            |limiter| {
                let taken = if limiter.try_consume(cost).is_ok() { cost } else { 0 };
                taken + limiter.consume_up_to(3)
            },
        );
        let ceiling = ceiling(quota, elapsed);
        assert!(granted <= ceiling, "cost {cost}: {granted} > {ceiling}");
    }
}

#[test]
fn refunds_and_charges_in_a_crowd_add_up() {
    let quota = Quota::per_second(1_000_000).burst(1_000);
    let (kept, elapsed) = hammer(
        || TokenBucket::new(quota).unwrap(),
        4,
        Duration::from_millis(400),
        |limiter| {
            // Half of what is granted is given back.
            if limiter.try_consume(8).is_err() {
                return 0;
            }
            limiter.refund(4);
            4
        },
    );
    assert!(kept <= ceiling(quota, elapsed));
    let (charged, elapsed) = hammer(
        || TokenBucket::new(quota).unwrap(),
        4,
        Duration::from_millis(400),
        |limiter| {
            if limiter.try_consume(1).is_err() {
                return 0;
            }
            1 + 4 - limiter.charge(4).whole()
        },
    );
    // What is charged is debt: up to one charge for each thread can be outstanding.
    assert!(charged <= ceiling(quota, elapsed) + 4 * 4, "{charged} charged in {elapsed:?}");
}

#[test]
fn a_quota_changed_under_load_is_kept_by_the_larger_one() {
    let (small, large) =
        (Quota::per_second(100_000).burst(100), Quota::per_second(500_000).burst(700));
    let changes = AtomicBool::new(false);
    let (granted, elapsed) = hammer(
        || TokenBucket::new(small).unwrap(),
        4,
        Duration::from_millis(400),
        |limiter| {
            let granted = limiter.consume_up_to(2);
            if granted == 0 {
                let quota = if changes.fetch_xor(true, Relaxed) { small } else { large };
                limiter.set_quota(quota, Fill::Keep).unwrap();
            }
            granted
        },
    );
    assert!(granted <= ceiling(large, elapsed), "{granted} in {elapsed:?}");
}

#[test]
fn short_lived_threads_on_the_system_clock_agree_on_the_time() {
    let clock = SystemClock::new();
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        let before_ns = clock.now_ns();
        let there_ns = thread::spawn(move || clock.now_ns()).join().unwrap();
        let after_ns = clock.now_ns();
        // Within the microsecond that readers off the line may differ by.
        assert!(before_ns <= there_ns + 1_000 && there_ns <= after_ns + 1_000);
    }
}
