//! Real threads on the real clock, by every algorithm on one word, audited: what was granted is what the algorithm
//! guarantees for the time from before the limiter was made to after the last thread stopped.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/hammer.rs"]
mod hammer;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{
    Algorithm, Clock, FixedWindow, Gcra, LeakyBucket, LeakyQueue, Limiter, Quota, SlidingWindow,
};

/// The clock may be this much ahead of `Instant` over a whole run.
const CLOCK_ERROR: Duration = Duration::from_micros(20);
const RUN: Duration = Duration::from_millis(120);

fn hammer<A: Algorithm>(
    algorithm: A,
    threads: usize,
    take: impl Fn(&Limiter<A>) -> u64 + Sync,
) -> (u64, Duration) {
    let make = || Limiter::new(algorithm).unwrap();
    let (granted, elapsed) = hammer::hammer(make, threads, RUN, take);
    (granted, elapsed + CLOCK_ERROR)
}

/// Takes one, some, or as many as there are.
fn mixed<A: Algorithm>(limiter: &Limiter<A>) -> u64 {
    let one = u64::from(limiter.is_allowed());
    let seven = if limiter.try_consume(7).is_ok() { 7 } else { 0 };
    one + seven + limiter.consume_up_to(3)
}

fn burst_and_rate(quota: Quota, elapsed: Duration) -> u64 {
    let came = u128::from(quota.tokens().whole()) * elapsed.as_nanos() / quota.period().as_nanos();
    quota.capacity().whole() + u64::try_from(came).unwrap()
}

#[test]
fn instants_never_oversell_on_the_real_clock() {
    for threads in [2, 8] {
        for quota in ["1/s burst 5", "20000/s burst 100", "10000000/s burst 1000"] {
            let quota: Quota = quota.parse().unwrap();
            let (gcra, elapsed) = hammer(Gcra::new(quota), threads, mixed);
            assert!(
                gcra <= burst_and_rate(quota, elapsed),
                "GCRA: {gcra} of {quota} in {elapsed:?}"
            );
            assert!(gcra >= quota.capacity().whole(), "GCRA: {gcra} of {quota} in {elapsed:?}");
            let (leaky, elapsed) = hammer(LeakyBucket::new(quota), threads, mixed);
            assert!(leaky <= burst_and_rate(quota, elapsed), "leaky bucket: {leaky} of {quota}");
            let (queue, elapsed) = hammer(LeakyQueue::new(quota), threads, mixed);
            assert!(queue <= 1 + burst_and_rate(quota, elapsed), "queue: {queue} of {quota}");
        }
    }
}

/// No two leave a queue at the same time, whichever threads let them in.
#[test]
fn a_queue_gives_everyone_a_departure_of_its_own() {
    let quota = Quota::per_second(100_000).burst(50);
    let departures = Mutex::new(Vec::new());
    let queue = Limiter::new(LeakyQueue::new(quota)).unwrap();
    let until = Instant::now() + RUN;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut own = Vec::new();
                while Instant::now() < until {
                    let now_ns = queue.clock().now_ns();
                    if let Ok(granted) = queue.try_consume_at(1, now_ns) {
                        let wait_ns = u64::try_from(granted.departs_after().as_nanos()).unwrap();
                        assert!(wait_ns <= 50 * 10_000);
                        own.push(now_ns + wait_ns);
                    }
                }
                departures.lock().unwrap().extend(own);
            });
        }
    });
    let mut departures = departures.into_inner().unwrap();
    departures.sort_unstable();
    assert!(departures.len() > 50);
    assert!(departures.windows(2).all(|pair| pair[1] - pair[0] >= 10_000));
}

#[test]
fn windows_never_oversell_on_the_real_clock() {
    for threads in [2, 8] {
        for (limit, period) in [(1_000, 5), (16_000, 40), (7, 10_000)] {
            let period = Duration::from_millis(period);
            let most = |elapsed: Duration| {
                limit * (u64::try_from(elapsed.as_nanos() / period.as_nanos()).unwrap() + 2)
            };
            let (fixed, elapsed) = hammer(FixedWindow::new(limit, period), threads, mixed);
            assert!(fixed <= most(elapsed), "fixed: {fixed} of {limit} per {period:?}");
            assert!(fixed >= limit, "fixed: {fixed} of {limit} per {period:?}");
            let first = FixedWindow::new(limit, period).from_first_call();
            let (first, elapsed) = hammer(first, threads, mixed);
            // The first of all starts with the first call.
            assert!(first + limit <= most(elapsed), "from the first call: {first} of {limit}");
            let (sliding, elapsed) = hammer(SlidingWindow::new(limit, period), threads, mixed);
            assert!(sliding <= most(elapsed), "sliding: {sliding} of {limit} per {period:?}");
        }
    }
}

/// A limit that goes up and down under load is kept by the larger one, and what is given back is given once.
#[test]
fn changes_and_refunds_under_load_are_kept_by_the_larger_limit() {
    let changes = AtomicBool::new(false);
    let change = || changes.fetch_xor(true, Relaxed);
    let quotas = [Quota::per_second(100_000).burst(100), Quota::per_second(100_000).burst(700)];
    let (granted, elapsed) = hammer(Gcra::new(quotas[0]), 4, |limiter| {
        let granted = limiter.consume_up_to(4);
        if granted == 0 {
            limiter.set(Gcra::new(quotas[usize::from(change())])).unwrap();
            return 0;
        }
        limiter.refund(1);
        granted - 1
    });
    // What was given back is granted once more at any time: up to one for each thread.
    assert!(granted <= burst_and_rate(quotas[1], elapsed) + 4, "{granted} in {elapsed:?}");

    let period = Duration::from_millis(10);
    let (granted, elapsed) = hammer(SlidingWindow::new(200, period), 4, |limiter| {
        let granted = limiter.consume_up_to(4);
        if granted == 0 {
            let limit = if change() { 200 } else { 1_000 };
            limiter.set(SlidingWindow::new(limit, period)).unwrap();
        }
        granted
    });
    let windows = u64::try_from(elapsed.as_nanos() / period.as_nanos()).unwrap() + 2;
    assert!(granted <= 1_000 * windows, "{granted} in {elapsed:?}");
}
