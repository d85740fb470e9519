//! Waiting in real time: nobody is early, and the last is on time.
#![cfg(all(feature = "tokio", feature = "async"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{
    AnyRuntime, InstantClock, LeakyQueue, Limiter, Quota, Timer, TokenBucket, TokioTimer,
};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// A busy machine may make a wait late, never early: so lateness is tried three times.
fn on_time(due: Duration, run: impl Fn() -> Vec<Duration>) {
    for attempt in 1.. {
        let mut went = run();
        went.sort_unstable();
        // The first goes at once, and then one after the other.
        let turn = due / u32::try_from(went.len()).unwrap();
        for (at, went) in (0..).zip(&went) {
            assert!(*went >= turn * at, "number {at} went after {went:?}");
        }
        let last = went[went.len() - 1];
        if last <= due + due / 100 {
            return;
        }
        assert!(attempt < 3, "the last went after {last:?}");
    }
}

/// 2,000 waits at 1,000 a second, each a task of its own.
fn tasks(timer: impl Timer + Copy + Send + Sync + 'static) -> Vec<Duration> {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let limiter = TokenBucket::builder(Quota::per_second(1_000).burst(1))
            .max_debt(2_000)
            .build_with_clock(InstantClock::new())
            .unwrap();
        let (limiter, mut all) = (Arc::new(limiter), JoinSet::new());
        for _ in 0..2_000 {
            let limiter = Arc::clone(&limiter);
            all.spawn(async move {
                limiter.wait_with(timer).consume(1).await.unwrap();
                start.elapsed()
            });
        }
        all.join_all().await
    })
}

#[test]
fn two_thousand_tasks_on_tokios_timer_take_two_seconds() {
    on_time(Duration::from_secs(2), || tasks(TokioTimer));
}

#[test]
fn two_thousand_tasks_on_any_runtimes_timer_take_two_seconds() {
    on_time(Duration::from_secs(2), || tasks(AnyRuntime));
}

/// Threads that sleep.
#[test]
fn threads_that_block_keep_the_pace() {
    on_time(Duration::from_millis(500), || {
        let (start, went) = (Instant::now(), Mutex::new(Vec::new()));
        let quota = Quota::per_second(400).burst(1);
        let limiter = TokenBucket::with_clock(quota, InstantClock::new()).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        limiter.consume_blocking(1).unwrap();
                        went.lock().unwrap().push(start.elapsed());
                    }
                });
            }
        });
        went.into_inner().unwrap()
    });
}

#[test]
fn threads_leave_a_queue_one_after_the_other() {
    on_time(Duration::from_millis(250), || {
        let (start, went) = (Instant::now(), Mutex::new(Vec::new()));
        let queue = LeakyQueue::new(Quota::per_second(400).burst(10));
        let queue = Limiter::with_clock(queue, InstantClock::new()).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        queue.consume_blocking(1).unwrap();
                        went.lock().unwrap().push(start.elapsed());
                    }
                });
            }
        });
        went.into_inner().unwrap()
    });
}
