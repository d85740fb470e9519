//! Bugs that other rate limiters had, each as a promise. The numbers are rows of the project's list of
//! pitfalls; see `docs/design.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use flowgate::{Denied, Fill, ManualClock, Quota, QuotaError, TokenBucket, Tokens};

const SECOND_NS: u64 = 1_000_000_000;

fn bucket(quota: &str) -> TokenBucket<ManualClock> {
    TokenBucket::with_clock(quota.parse().unwrap(), ManualClock::new()).unwrap()
}

/// Row 1: a thread reads the clock, stalls, and meets a word stored at a later time.
#[test]
fn a_stalled_reader_never_mints_tokens() {
    let limiter = bucket("1000/s burst 10");
    assert_eq!(limiter.consume_up_to_at(10, 60 * SECOND_NS), 10);
    for stall_ns in [1, 1_000, SECOND_NS, 59 * SECOND_NS, 60 * SECOND_NS] {
        let stale_ns = 60 * SECOND_NS - stall_ns;
        assert!(limiter.try_consume_at(1, stale_ns).is_err(), "stalled for {stall_ns} ns");
        assert_eq!(limiter.consume_up_to_at(10, stale_ns), 0);
        assert_eq!(limiter.drain_at(stale_ns), 0);
        assert_eq!(limiter.available_at(stale_ns), 0);
    }
    // Nor has any of them put the stored time back.
    assert!(limiter.try_consume_at(1, 60 * SECOND_NS).is_err());
    assert!(limiter.try_consume_at(1, 60 * SECOND_NS + 1_000_000).is_ok());
}

/// Row 1 again: the clock goes back an hour and comes forward again.
#[test]
fn time_going_back_grants_nothing() {
    let limiter = bucket("1/s burst 5");
    let noon_ns = 12 * 3_600 * SECOND_NS;
    assert_eq!(limiter.consume_up_to_at(5, noon_ns), 5);
    let mut granted = 0;
    for second in 0..3_600 {
        granted += limiter.consume_up_to_at(5, noon_ns - 3_600 * SECOND_NS + second * SECOND_NS);
    }
    assert_eq!(granted, 0);
    assert_eq!(limiter.consume_up_to_at(5, noon_ns + 3 * SECOND_NS), 3);
}

/// Row 2: tokens and time change together, so no token is granted twice.
#[test]
fn no_token_is_granted_twice() {
    for _ in 0..200 {
        let limiter = TokenBucket::with_clock(Quota::per_hour(4), ManualClock::new()).unwrap();
        let start = Barrier::new(4);
        let granted: u64 = thread::scope(|scope| {
            let count = || {
                start.wait();
                (0..4).filter(|_| limiter.is_allowed()).count() as u64
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, 4);
    }
}

/// Row 3.
#[test]
fn a_very_long_idle_never_overflows() {
    let limiter = bucket("1000000/s burst 1000000");
    assert_eq!(limiter.drain_at(0), 1_000_000);
    let eight_years_ns = 8 * 365 * 86_400 * SECOND_NS;
    assert_eq!(limiter.available_at(eight_years_ns), 1_000_000);
    assert_eq!(limiter.drain_at(eight_years_ns), 1_000_000);
    assert_eq!(limiter.drain_at(eight_years_ns), 0);
}

/// Row 4: one per minute with a burst of a million holds a million; a rate above one per nanosecond
/// runs at that rate; a bucket that would fill for centuries is refused.
#[test]
fn large_bursts_and_rates_are_exact_or_refused() {
    let limiter = bucket("1/min burst 1000000");
    assert_eq!(limiter.consume_up_to_at(u64::MAX, 0), 1_000_000);
    assert_eq!(limiter.consume_up_to_at(u64::MAX, 60 * SECOND_NS), 1);
    let refused = TokenBucket::new("1/h burst 6000000".parse().unwrap()).unwrap_err();
    assert!(matches!(refused, QuotaError::FillTooSlow { .. }));

    for (rate, per_second) in [("700000000/s", 700_000_000_u64), ("5000000000/s", 5_000_000_000)] {
        let limiter = bucket(&format!("{rate} burst 1000000"));
        let mut taken = 0;
        limiter.drain_at(0);
        for now_ns in (0..SECOND_NS).step_by(100_000) {
            taken += limiter.consume_up_to_at(u64::MAX, now_ns + 100_000);
        }
        assert_eq!(taken, per_second);
    }
    let refused = TokenBucket::new(Quota::per_second(1_000_000_000_000)).unwrap_err();
    assert!(matches!(refused, QuotaError::RateTooHigh { per_second: 1_000_000_000_000, .. }));
}

/// Row 5.
#[test]
fn a_burst_of_one_never_sticks_just_below_a_token() {
    for rate in [1, 3, 7, 10, 333, 1_000, 9_973] {
        let limiter = bucket(&format!("{rate}/s burst 1"));
        let mut now_ns = 0;
        for _ in 0..1_000 {
            assert!(limiter.try_consume_at(1, now_ns).is_ok(), "{rate}/s at {now_ns}");
            let denied = limiter.try_consume_at(1, now_ns).unwrap_err();
            now_ns += u64::try_from(denied.retry_after().unwrap().as_nanos()).unwrap();
        }
        // A thousand tokens took a thousand periods, to the nanosecond rounded up.
        assert!(now_ns.abs_diff(1_000 * SECOND_NS / rate) <= 1_000);
    }
}

/// Row 6.
#[test]
fn polling_at_any_interval_loses_no_refill() {
    for interval_ns in [1, 7, 999, 1_999, 65_537, 1_000_003] {
        let limiter = bucket("1000000/s burst 10000");
        limiter.drain_at(0);
        let polls = 200_000;
        let granted: u64 =
            (1..=polls).map(|poll| limiter.consume_up_to_at(2_000, poll * interval_ns)).sum();
        let available = limiter.available_at(polls * interval_ns).whole();
        assert_eq!(granted + available, polls * interval_ns / 1_000, "every {interval_ns} ns");
    }
}

/// Row 7.
#[test]
fn a_cost_of_the_burst_is_accepted_and_one_more_is_never() {
    let limiter = bucket("5/s burst 8");
    assert!(matches!(limiter.try_consume_at(9, 0), Err(Denied::Never(_))));
    assert!(limiter.try_consume_at(8, 0).is_ok());
    assert!(matches!(limiter.try_consume_at(Tokens::MAX, 0), Err(Denied::Never(_))));
}

/// Row 8.
#[test]
fn there_is_no_free_token_after_a_burst() {
    for rate in [1_u64, 5, 50, 1_000] {
        let limiter = bucket(&format!("{rate}/s burst {rate}"));
        assert_eq!(limiter.drain_at(0), rate);
        let mut granted = 0;
        let step_ns = SECOND_NS / rate / 10;
        for step in 1..=10 * rate {
            granted += u64::from(limiter.is_allowed_at(step * step_ns));
            assert_eq!(granted, step / 10, "at {rate}/s after {step} tenths");
        }
    }
}

/// Row 9.
#[test]
fn a_wait_counts_the_token_that_is_partly_refilled() {
    let limiter = bucket("1/s burst 10");
    limiter.drain_at(0);
    let denied = limiter.try_consume_at(3, SECOND_NS * 3 / 4).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(2_250)));
}

/// Row 10.
#[test]
fn a_cost_above_the_capacity_is_never_and_changes_nothing() {
    let limiter = bucket("1/s burst 10");
    limiter.try_consume_at(4, 0).unwrap();
    let before = limiter.snapshot_at(0);
    let denied = limiter.try_consume_at(11, 0).unwrap_err();
    assert_eq!((denied.is_never(), denied.retry_after()), (true, None));
    assert_eq!(
        denied.to_string(),
        "denied: a cost of 11 is above the capacity of 10, so it can never be allowed"
    );
    assert_eq!(limiter.time_until_available_at(11, 0), None);
    assert_eq!(limiter.snapshot_at(0), before);
}

/// Row 11.
#[test]
fn a_cost_of_the_capacity_can_be_retried() {
    let limiter = bucket("2/s burst 10");
    limiter.try_consume_at(1, 0).unwrap();
    let denied = limiter.try_consume_at(10, 0).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(500)));
    assert!(limiter.try_consume_at(10, SECOND_NS / 2).is_ok());
}

/// Row 13.
#[test]
fn a_cost_far_above_a_small_burst_is_refused_and_nothing_is_lent_ahead() {
    let limiter = bucket("5/s burst 3");
    assert!(limiter.try_consume_at(5_000, 0).unwrap_err().is_never());
    assert_eq!(limiter.consume_up_to_at(5_000, 0), 3);
    assert_eq!(limiter.consume_up_to_at(5_000, SECOND_NS - 1), 3);
}

/// Rows 16 and 17, as far as a plain bucket goes: what was just granted can be given back whole, in any
/// order, with nothing lost to rounding.
#[test]
fn refunding_a_grant_restores_exactly_its_tokens() {
    let limiter = bucket("3/s burst 100");
    limiter.try_consume_at(50, 0).unwrap();
    let costs = ["0.1", "7", "13.7", "0.001", "1"];
    let before = limiter.available_at(7);
    for cost in costs {
        limiter.try_consume_at(cost.parse::<Tokens>().unwrap(), 7).unwrap();
    }
    for cost in costs.iter().rev() {
        limiter.refund_at(cost.parse::<Tokens>().unwrap(), 7);
    }
    assert_eq!(limiter.available_at(7), before);
}

/// Row 18.
#[test]
fn the_limiter_recovers_after_any_contention() {
    let limiter = bucket("1000/s burst 100");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for now_us in 0..20_000 {
                    limiter.is_allowed_at(now_us * 1_000);
                }
            });
        }
    });
    let quiet_ns = 20_000_000 + SECOND_NS;
    assert_eq!(limiter.consume_up_to_at(u64::MAX, quiet_ns), 100);
}

/// Row 21.
#[test]
fn after_a_long_idle_only_the_burst_is_free() {
    let limiter = bucket("10/s burst 4");
    let idle_ns = 3_600 * SECOND_NS;
    assert_eq!(limiter.consume_up_to_at(1_000, idle_ns), 4);
    for tenth in 1..=50 {
        let due_ns = idle_ns + tenth * SECOND_NS / 10;
        assert!(!limiter.is_allowed_at(due_ns - 1));
        assert!(limiter.is_allowed_at(due_ns));
    }
}

/// Row 23.
#[test]
fn lowering_the_limit_keeps_refilling_later() {
    let limiter = bucket("100/s burst 100");
    limiter.set_quota_at(Quota::per_second(5), Fill::Keep, 0).unwrap();
    assert_eq!(limiter.consume_up_to_at(u64::MAX, 0), 5);
    for second in 1..10 {
        assert_eq!(limiter.consume_up_to_at(u64::MAX, second * SECOND_NS), 5);
    }
}

/// Rows 24 and 25.
#[test]
fn a_rejected_cost_spends_nothing() {
    let limiter = bucket("1/h burst 10");
    limiter.try_consume_at(1, 0).unwrap();
    for _ in 0..1_000 {
        assert!(limiter.try_consume_at(10, 0).is_err());
        assert!(limiter.try_consume_at(1_000, 0).is_err());
    }
    assert_eq!(limiter.consume_up_to_at(u64::MAX, 0), 9);
}

/// Row 31.
#[test]
fn n_per_second_means_n_per_second() {
    for n in [1, 2, 60, 100, 12_345] {
        let limiter = TokenBucket::builder(Quota::per_second(n))
            .start_empty()
            .build_with_clock(ManualClock::new())
            .unwrap();
        assert_eq!(limiter.available_at(SECOND_NS), n);
        assert_eq!(limiter.time_until_available_at(n, 0), Some(Duration::from_secs(1)));
    }
    assert_eq!(Quota::per_minute(60), "60/min".parse().unwrap());
    assert_eq!(Quota::per_day(1).period(), Duration::from_secs(86_400));
}

/// Ten threads at once out of a full bucket of ten are granted ten, whoever is overtaken by whom.
#[test]
fn a_crowd_gets_the_whole_burst() {
    for round in 0..300 {
        let limiter = TokenBucket::new(Quota::per_second(1).burst(64)).unwrap();
        let start = Barrier::new(8);
        let denied: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        (0..8).filter(|_| !limiter.is_allowed()).count() as u64
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(denied, 0, "in round {round}");
    }
}

/// A change of quota late in a tick, in the deepest debt, at times out of order: the level does not run
/// out below its bits.
#[test]
fn a_change_of_quota_in_the_deepest_debt_leaves_the_debt() {
    let (slow, fast) = (Quota::per_second(100), Quota::per_second(800).burst(100));
    for debt in [0, 100] {
        let limiter = TokenBucket::builder(slow)
            .largest_quota(fast)
            .max_debt(debt)
            .build_with_clock(ManualClock::new())
            .unwrap();
        let tick_ns = u64::try_from(limiter.resolution().tick().as_nanos()).unwrap();
        let (start_ns, end_ns) = (1_000 * tick_ns, 1_001 * tick_ns - 1);
        for _ in 0..10 {
            limiter.set_quota_at(fast, Fill::Keep, start_ns).unwrap();
            limiter.charge_at(1_000_000, end_ns);
            limiter.set_quota_at(slow, Fill::Keep, start_ns).unwrap();
            limiter.set_quota_at(fast, Fill::Keep, end_ns).unwrap();
            assert!(limiter.available_at(end_ns) < 1, "with a debt of {debt}");
        }
    }
}

/// One thread toggles the quota, others take what they can: never more than the larger quota allows.
#[test]
fn toggling_the_quota_mints_nothing() {
    let (slow, fast) = (Quota::per_second(100), Quota::per_second(800).burst(100));
    for way in 0..3 {
        let started = std::time::Instant::now();
        let limiter = TokenBucket::builder(slow).largest_quota(fast).max_debt(0).build().unwrap();
        let until = started + Duration::from_millis(700);
        let granted = thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut granted = Tokens::ZERO;
                while std::time::Instant::now() < until {
                    let taken = match way {
                        0 => limiter.drain(),
                        1 => limiter.consume_up_to(1).into(),
                        _ => limiter.try_consume(1).map_or(Tokens::ZERO, |_| Tokens::new(1)),
                    };
                    granted = granted.saturating_add(taken);
                }
                granted
            });
            while !taker.is_finished() {
                for quota in [fast, slow] {
                    limiter.set_quota(quota, Fill::Keep).unwrap();
                }
                thread::sleep(Duration::from_micros(20));
            }
            taker.join().unwrap()
        });
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap() + 1;
        let ceiling = 100 + millis * 800 / 1_000 + 1;
        assert!(granted <= ceiling, "{granted} granted, {ceiling} allowed");
    }
}

/// A thread that is told "no" is told so by one quota, the old or the new.
#[test]
fn a_denial_belongs_to_one_quota() {
    struct Meddling<'a> {
        limiter: std::cell::OnceCell<&'a TokenBucket<Meddling<'a>>>,
        now_ns: std::cell::Cell<u64>,
    }
    impl flowgate::Clock for Meddling<'_> {
        fn now_ns(&self) -> u64 {
            // Between the load of the word and the decision the quota changes.
            if let Some(limiter) = self.limiter.get() {
                let slow = Quota::per_hour(1).burst(1_000);
                limiter.set_quota_at(slow, Fill::Keep, self.now_ns.get()).unwrap();
            }
            self.now_ns.get()
        }
    }
    let clock = Meddling { limiter: std::cell::OnceCell::new(), now_ns: 0.into() };
    let limiter = TokenBucket::with_clock(Quota::per_second(1_000), clock).unwrap();
    limiter.drain_at(0);
    limiter.clock().now_ns.set(3_600 * SECOND_NS);
    limiter.clock().limiter.set(&limiter).ok();
    assert!(limiter.try_consume(500).is_ok());
}

/// A limiter names the algorithm that it was given, wherever its windows begin.
#[test]
fn a_limiter_names_its_algorithm() {
    use flowgate::{FixedWindow, Limiter};
    let hourly = FixedWindow::new(10, Duration::from_secs(3_600));
    let limiter = Limiter::new(hourly).unwrap();
    assert_eq!(limiter.algorithm(), hourly);
    limiter.set(FixedWindow::new(20, Duration::from_secs(3_600))).unwrap();
    assert_eq!(limiter.algorithm().limit(), 20);
}

/// Only a queue tells anybody to wait for what it has granted.
#[test]
fn what_is_granted_may_go_at_once_but_from_a_queue() {
    use flowgate::{Algorithm, Gcra, LeakyBucket, LeakyQueue, Limiter};
    fn departures<A: Algorithm>(algorithm: A) -> Vec<Duration> {
        let limiter = Limiter::with_clock(algorithm, ManualClock::new()).unwrap();
        (0..3).map(|_| limiter.try_consume(1).unwrap().departs_after()).collect()
    }
    let quota = Quota::per_second(10).burst(3);
    assert_eq!(departures(quota), [Duration::ZERO; 3]);
    assert_eq!(departures(Gcra::new(quota)), [Duration::ZERO; 3]);
    assert_eq!(departures(LeakyBucket::new(quota)), [Duration::ZERO; 3]);
    let paced = [0, 100, 200].map(Duration::from_millis);
    assert_eq!(departures(LeakyQueue::new(quota)), paced);
}

/// What is smaller than a unit is not given back, and what a charge could not take is returned exactly.
#[test]
fn rounding_never_grants() {
    let limiter = TokenBucket::builder(Quota::per_second(100))
        .places(0)
        .build_with_clock(ManualClock::new())
        .unwrap();
    for _ in 0..1_000 {
        limiter.try_consume_at(1, 0).unwrap();
        limiter.refund_at(1, 0);
        limiter.refund_at(Tokens::decimal(9, 1), 0);
    }
    limiter.try_consume_at(50, 0).unwrap();
    limiter.refund_at(Tokens::decimal(9, 1), 0);
    assert_eq!(limiter.available_at(0), 50);

    let limiter = TokenBucket::builder(Quota::per_second(100))
        .max_debt(10)
        .build_with_clock(ManualClock::new())
        .unwrap();
    assert_eq!(limiter.charge_at(u64::MAX, 0), u64::MAX - 110);
    assert_eq!(limiter.charge_at(Tokens::decimal(1, 9), 0), Tokens::decimal(1, 9));
    assert!("1/0.0000019ms".parse::<Quota>().unwrap().period() >= Duration::from_nanos(2));
}

/// Changing between plans that are about to complete a unit gains none.
#[test]
fn changing_the_quota_over_and_over_gains_nothing() {
    let limiter = TokenBucket::builder(Quota::per_second(1).burst(1_000))
        .largest_quota(Quota::per_second(1).burst(1_000))
        .places(0)
        .build_with_clock(ManualClock::new())
        .unwrap();
    limiter.drain_at(0);
    let mut granted = 0;
    for milli in 1..500_u64 {
        // One token every `milli` + 1 ms and longer than a second: about to arrive a millisecond later.
        let period = Duration::from_millis((milli + 1) * (1_000 / (milli + 1) + 1));
        let quota = Quota::new(1, period).burst(1_000);
        limiter.set_quota_at(quota, Fill::Keep, milli * 1_000_000).unwrap();
        granted += limiter.consume_up_to_at(9, (milli + 1) * 1_000_000);
    }
    assert!(granted <= 2, "{granted} tokens in half a second at one a second");
}
