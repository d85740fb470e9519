//! The striped bucket on real threads and the real clock, audited: granted ≤ capacity + rate × elapsed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/hammer.rs"]
mod hammer;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{Fill, InstantClock, ManualClock, Quota, StripedBucket, Tokens};
use hammer::hammer;

const RUN: Duration = Duration::from_millis(300);

/// The clock may be this much ahead of `Instant` over a whole run.
const CLOCK_ERROR: Duration = Duration::from_micros(20);

fn ceiling(quota: Quota, elapsed: Duration) -> u64 {
    let elapsed_ns = (elapsed + CLOCK_ERROR).as_nanos();
    let refill = u128::from(quota.tokens().whole()) * elapsed_ns / quota.period().as_nanos();
    // Two units, at most two tokens.
    quota.capacity().whole() + u64::try_from(refill).unwrap() + 2
}

fn striped(quota: Quota, stripes: usize) -> StripedBucket {
    StripedBucket::builder(quota).stripes(stripes).build().unwrap()
}

#[test]
fn real_threads_never_oversell_on_the_real_clock() {
    for threads in [2, 4, 8, 16] {
        for (quota, stripes) in [
            // One word.
            ("20000/s burst 100", 2),
            // The smallest stripes: most calls lease or gather.
            ("1000000/s burst 256", 2),
            ("20000/s", 16),
            ("50000000/s burst 100000", 2),
            ("100000000/s burst 1000000", 4),
        ] {
            let quota: Quota = quota.parse().unwrap();
            let (granted, elapsed) = hammer(
                || striped(quota, stripes),
                threads,
                RUN,
                |limiter| u64::from(limiter.is_allowed()),
            );
            let ceiling = ceiling(quota, elapsed);
            assert!(granted <= ceiling, "{threads} threads at {quota}: {granted} > {ceiling}");
            // Nor does it get stuck, or lose what lies in stripes: where the burst outlasts a thread's turn at the
            // processor, a tenth is more than is lost before the threads have started.
            if quota.capacity() >= quota.tokens() {
                let due = u128::from(quota.tokens().whole()) * RUN.as_nanos() / 1_000_000_000;
                let due = quota.capacity().whole() + u64::try_from(due).unwrap();
                assert!(
                    granted >= due - due / 10,
                    "{threads} threads at {quota}: {granted} of {due}"
                );
            }
        }
    }
}

/// Demand of far more than the rate: what is granted is all that arrives, to a thousandth, and never more.
#[test]
fn saturation_grants_all_that_arrives_and_no_more() {
    for quota in ["100000/s", "1000000/s"] {
        let quota: Quota = quota.parse().unwrap();
        let rate = quota.tokens().whole();
        let arrived =
            |time: Duration| u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000);
        let made = Instant::now();
        // Empty, so that nothing overflows before the threads have started.
        let limiter = StripedBucket::builder(quota).stripes(2).start_empty().build().unwrap();
        let ready = Instant::now();
        let (granted, _) =
            hammer(|| (), 2, Duration::from_millis(500), |()| u64::from(limiter.is_allowed()));
        // And what has arrived since the threads stopped.
        let least = ready.elapsed();
        let granted = granted + limiter.consume_up_to(u64::MAX);
        let most = arrived(made.elapsed() + CLOCK_ERROR).unwrap() + 2;
        assert!(granted <= most, "{granted} of {most} at {quota}");
        let due = arrived(least).unwrap();
        assert!(granted + granted / 1_000 >= due, "{granted} of {due} at {quota}");
    }
}

#[test]
fn large_and_mixed_costs_never_oversell() {
    for cost in [7_u64, 16, 100, 900] {
        let quota = Quota::per_second(2_000_000).burst(1_000);
        let (granted, elapsed) = hammer(
            || {
                let builder = StripedBucket::builder(quota).stripes(2);
                builder.build_with_clock(InstantClock::new()).unwrap()
            },
            4,
            RUN,
            |limiter| {
                let taken = if limiter.try_consume(cost).is_ok() { cost } else { 0 };
                taken + limiter.consume_up_to(3)
            },
        );
        let ceiling = ceiling(quota, elapsed);
        assert!(granted <= ceiling, "cost {cost}: {granted} > {ceiling}");
    }
}

/// Each token once, wherever it lies and whoever takes it: time stands still.
#[test]
fn no_token_is_granted_twice_or_lost() {
    for threads in [2_u64, 4, 8] {
        for cost in [1_u64, 3, 9] {
            let capacity = 20_000;
            let quota = Quota::per_hour(1).burst(capacity);
            let builder = StripedBucket::builder(quota).stripes(4);
            let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
            let start = Barrier::new(usize::try_from(threads).unwrap());
            let granted: u64 = thread::scope(|scope| {
                let take = || {
                    start.wait();
                    let mut granted = 0;
                    for call in 0..capacity / cost {
                        if limiter.try_consume(cost).is_ok() {
                            granted += cost;
                            // And back again, now and then.
                            if call % 7 == 0 {
                                limiter.refund(cost);
                                granted -= cost;
                            }
                        }
                    }
                    granted
                };
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(limiter.available(), capacity - granted, "{threads} threads, cost {cost}");
            // Nobody moves tokens any more: a single caller gets all that covers a cost.
            let left = capacity - granted;
            for _ in 0..left / cost {
                assert!(limiter.try_consume(cost).is_ok());
            }
            assert_eq!(limiter.available(), left % cost);
        }
    }
}

/// Threads that live for a few calls each find stripes, leave nothing behind, and strand nothing.
#[test]
fn short_lived_threads_never_oversell_and_strand_nothing() {
    let quota = Quota::per_second(1).burst(50_000);
    let builder = StripedBucket::builder(quota).stripes(8);
    let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
    let granted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..150 {
                    let take = || (0..90).filter(|_| limiter.is_allowed()).count() as u64;
                    granted.fetch_add(thread::scope(|s| s.spawn(take).join().unwrap()), Relaxed);
                }
            });
        }
    });
    // Demand was above what there was.
    let granted = granted.into_inner();
    assert!(granted >= 49_990, "{granted}");
    assert_eq!(granted + limiter.consume_up_to(u64::MAX), 50_000);
}

/// Many more threads than stripes or cores, each paused amid its work now and then.
#[test]
fn an_oversubscribed_bucket_never_oversells() {
    let quota = Quota::per_second(3_000_000).burst(3_000);
    let (granted, elapsed) = hammer(
        || striped(quota, 2),
        48,
        RUN,
        |limiter| {
            let granted = u64::from(limiter.is_allowed());
            if granted == 0 {
                thread::yield_now();
            }
            granted
        },
    );
    assert!(granted <= ceiling(quota, elapsed), "{granted} in {elapsed:?}");
}

#[test]
fn refunds_and_charges_in_a_crowd_add_up() {
    let quota = Quota::per_second(1_000_000).burst(1_000);
    let (kept, elapsed) = hammer(
        || striped(quota, 4),
        4,
        RUN,
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
        || striped(quota, 4),
        4,
        RUN,
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

/// The quota goes up and down, over where stripes come and go, while others take, give back and gather.
#[test]
fn a_quota_changed_under_load_is_kept_by_the_larger_one() {
    let (small, large) =
        (Quota::per_second(100_000).burst(200), Quota::per_second(500_000).burst(4_000));
    let changes = AtomicBool::new(false);
    let (granted, elapsed) = hammer(
        || StripedBucket::builder(small).largest_quota(large).stripes(4).build().unwrap(),
        4,
        RUN,
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

/// Time stands still and the quota changes all the while: tokens stay as many as they were, less a unit a change.
#[test]
fn changes_of_quota_make_no_tokens() {
    let quota = |burst| Quota::per_hour(1).burst(burst);
    let limiter = StripedBucket::builder(quota(8_000)).largest_quota(quota(9_000)).stripes(2);
    let limiter = limiter.build_with_clock(ManualClock::new()).unwrap();
    limiter.try_consume(3_000).unwrap();
    let done = AtomicBool::new(false);
    let (kept, changes) = thread::scope(|scope| {
        let take = || {
            let mut kept = 0;
            while !done.load(Relaxed) {
                let taken = limiter.consume_up_to(40);
                limiter.refund(taken - taken / 64);
                kept += taken / 64;
                kept += u64::from(limiter.try_consume(200).is_ok()) * 200;
                if kept >= 200 {
                    kept -= 200;
                    limiter.refund(200);
                }
            }
            kept
        };
        let takers = [scope.spawn(take), scope.spawn(take)];
        let until = Instant::now() + RUN;
        let mut changes = 0_u64;
        while Instant::now() < until {
            for burst in [9_000, 6_000, 8_000] {
                limiter.set_quota(quota(burst), Fill::Keep).unwrap();
                changes += 1;
            }
        }
        done.store(true, Relaxed);
        (takers.map(|taker| taker.join().unwrap()).iter().sum::<u64>(), changes)
    });
    let left = limiter.available().saturating_add(Tokens::new(kept));
    assert!(left <= 5_000, "{left} of 5000 after {changes} changes");
}
