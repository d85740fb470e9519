//! Reservations, waits and sets of limits by many threads at once: what was taken and not given back adds up, in every
//! window of time.
#![cfg(all(feature = "std", feature = "keyed"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{
    Algorithm, FixedWindow, Gcra, InstantClock, KeyedLimiter, LeakyBucket, LimitSet, Limiter,
    ManualClock, Quota, Reservable, SlidingWindow, TokenBucket, Tokens,
};

const THREADS: u64 = 4;
const DAY: Duration = Duration::from_secs(86_400);

/// Numbers that look random, the same at each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// Every thread runs `work` with numbers of its own; the sum of what they return.
fn on_threads(work: impl Fn(&mut Numbers) -> u64 + Sync) -> u64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|seed| {
                scope.spawn({
                    let work = &work;
                    move || work(&mut Numbers(seed))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// One reservation, or one call, and what it has kept in the end.
fn kept_by_one<A: Reservable, C: flowgate::Clock>(
    limiter: &Limiter<A, C>,
    numbers: &mut Numbers,
) -> u64 {
    let cost = numbers.below(20);
    match numbers.below(6) {
        0 => return if limiter.try_consume(cost).is_ok() { cost } else { 0 },
        1 => return limiter.consume_up_to(cost),
        _ => {}
    }
    let Ok(mut held) = limiter.reserve(cost, DAY) else { return 0 };
    if numbers.below(8) == 0 {
        thread::yield_now();
    }
    match numbers.below(5) {
        0 => held.cancel(),
        1 if !held.is_good() => drop(held),
        1 | 2 => {
            held.keep();
            return cost;
        }
        _ => {
            let actual = numbers.below(30);
            return actual - held.settle(actual).whole();
        }
    }
    0
}

/// Row 18 of the list of pitfalls, and row 22: while the clock stands still, what is missing is what was kept.
#[test]
fn what_threads_keep_is_what_is_missing() {
    fn check<A: Reservable>(algorithm: A, capacity: u64) {
        let limiter = Limiter::with_clock(algorithm, ManualClock::at(1 << 50)).unwrap();
        let kept = on_threads(|numbers| (0..20_000).map(|_| kept_by_one(&limiter, numbers)).sum());
        let full = limiter.snapshot().full_after();
        // A token a second: what is missing, in seconds. A rate is kept to some 2^-36.
        let missing = (full + Duration::from_millis(1)).as_secs();
        assert_eq!(missing, kept, "{algorithm:?}");
        limiter.clock().advance(full);
        assert_eq!(limiter.available(), capacity);
    }
    let quota = Quota::per_second(1).burst(100_000);
    check(quota, 100_000);
    check(Gcra::new(quota), 100_000);
    check(LeakyBucket::new(quota), 100_000);
}

#[test]
fn threads_that_reserve_and_give_back_never_get_more_than_the_bound() {
    let quota = Quota::per_second(200_000).burst(1_000);
    for _ in 0..3 {
        let start = Instant::now();
        let limiter = TokenBucket::with_clock(quota, InstantClock::new()).unwrap();
        let kept = on_threads(|numbers| {
            let mut kept = 0;
            while start.elapsed() < Duration::from_millis(200) {
                kept += kept_by_one(&limiter, numbers);
            }
            kept
        });
        // Debt is what was taken ahead of time.
        let debt = limiter.snapshot().debt().whole() + 1;
        let most = 1_000 + u64::try_from(start.elapsed().as_micros()).unwrap() / 5 + debt;
        assert!(kept <= most, "{kept} kept, {most} there");
    }
}

/// In every window of time: what began in it, from its call's start to its end, is at most capacity + rate × window.
#[test]
fn no_window_of_time_sees_more_than_the_bound() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = Limiter::with_clock(algorithm, InstantClock::new()).unwrap();
        let (begin, grants) = (Instant::now(), Mutex::new(Vec::new()));
        on_threads(|numbers| {
            while begin.elapsed() < Duration::from_millis(300) {
                let (from, cost) = (begin.elapsed(), numbers.below(9) + 1);
                let got = match numbers.below(3) {
                    0 => limiter.try_consume(cost).is_ok(),
                    1 => limiter.consume_blocking(cost).is_ok(),
                    _ => limiter.consume_blocking_timeout(cost, Duration::from_millis(2)).is_ok(),
                };
                if got {
                    grants.lock().unwrap().push((from, begin.elapsed(), cost));
                } else {
                    thread::sleep(Duration::from_micros(100));
                }
            }
            0
        });
        let mut grants = grants.into_inner().unwrap();
        assert!(grants.len() > 100);
        grants.sort_unstable_by_key(|(_, to, _)| *to);
        for (from, _, _) in &grants {
            let mut granted = 0;
            for (_, to, cost) in grants.iter().filter(|(start, _, _)| start >= from) {
                granted += cost;
                let window_ns = (*to - *from).as_nanos();
                let most = 10 + 20_000 * window_ns / 1_000_000_000 + 1;
                assert!(u128::from(granted) <= most, "{granted} in {window_ns} ns");
            }
        }
    }
    let quota = Quota::per_second(20_000).burst(10);
    check(quota);
    check(Gcra::new(quota));
}

/// A call takes from all limits or from none, whatever the other threads do to each of them.
#[test]
fn sets_of_limits_take_from_all_or_from_none() {
    fn check<A: Algorithm, B: Algorithm>(one: A, other: B, capacities: [u64; 2]) {
        let clock = Arc::new(ManualClock::at(1 << 50));
        let one = KeyedLimiter::<String, _, _>::with_clock(one, Arc::clone(&clock)).unwrap();
        let other = Limiter::with_clock(other, Arc::clone(&clock)).unwrap();
        let set =
            LimitSet::<str, 2>::of([("one", Box::new(one.clone())), ("other", Box::new(other))]);
        let kept = [const { Mutex::new(0) }; 2];
        on_threads(|numbers| {
            for _ in 0..5_000 {
                let costs = [numbers.below(5), numbers.below(50)];
                let actual = match numbers.below(5) {
                    0 | 1 => match set.try_consume("alice", costs) {
                        Ok(_) => costs,
                        Err(rejected) => {
                            assert!(rejected.names().next().is_some(), "nobody said no");
                            continue;
                        }
                    },
                    2 => {
                        if let Ok(permit) = set.reserve("alice", costs) {
                            permit.cancel();
                        }
                        continue;
                    }
                    _ => {
                        let Ok(permit) = set.reserve("alice", costs) else { continue };
                        let actual = [numbers.below(costs[0] + 1), numbers.below(costs[1] + 1)];
                        permit.settle(actual);
                        actual
                    }
                };
                for (kept, actual) in kept.iter().zip(actual) {
                    *kept.lock().unwrap() += actual;
                }
            }
            0
        });
        let left = set.available("alice").map(Tokens::whole);
        let kept = kept.map(|kept| kept.into_inner().unwrap());
        assert_eq!([left[0] + kept[0], left[1] + kept[1]], capacities);
    }
    let (few, many) = (Quota::per_hour(1_000), Quota::per_hour(50_000));
    // One is emptied long before the other, and then the other way about.
    check(few, many, [1_000, 50_000]);
    check(Gcra::new(many), Gcra::new(few), [50_000, 1_000]);
    check(FixedWindow::new(1_000, DAY), many, [1_000, 50_000]);
    check(many, SlidingWindow::new(30_000, DAY), [50_000, 30_000]);
}

/// Keys of a set among threads: each key's budget is its own.
#[test]
fn sets_by_key_never_go_over_in_real_time() {
    let quotas = [
        ("requests", Quota::per_second(2_000).burst(20)),
        ("tokens", Quota::per_second(50_000).burst(500)),
    ];
    let start = Instant::now();
    let set = LimitSet::<str, 2>::per_key(quotas).unwrap();
    let kept = [const { Mutex::new([0, 0]) }; 2];
    on_threads(|numbers| {
        while start.elapsed() < Duration::from_millis(300) {
            let who = usize::try_from(numbers.below(2)).unwrap();
            let cost = numbers.below(100);
            let Ok(permit) = set.reserve(["alice", "bob"][who], [1, cost]) else { continue };
            let actual = numbers.below(cost + 1);
            permit.settle([1, actual]);
            let mut kept = kept[who].lock().unwrap();
            *kept = [kept[0] + 1, kept[1] + actual];
        }
        0
    });
    // A ten-thousandth for clocks that differ.
    let millis = u64::try_from(start.elapsed().as_micros()).unwrap() * 10_001 / 10_000_000 + 1;
    for kept in kept {
        let [requests, tokens] = kept.into_inner().unwrap();
        assert!(requests <= 20 + 2 * millis, "{requests} requests in {millis} ms");
        assert!(tokens <= 500 + 50 * millis, "{tokens} tokens in {millis} ms");
        assert!(requests > 300);
    }
}
