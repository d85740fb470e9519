//! Futures that wait, and are dropped.
#![cfg(feature = "tokio")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flowgate::{Quota, TokenBucket, TokioClock, TokioTimer};
use tokio::time::advance;

/// Whoever drops it has used nothing, however late that is: a branch of a `select!` that lost, say, although its
/// tokens had become good.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_after_its_time_gives_back_too() {
    let limiter =
        TokenBucket::with_clock(Quota::per_second(1).burst(9), TokioClock::new()).unwrap();
    let waiting = limiter.wait_with(TokioTimer);
    assert_eq!(limiter.consume_up_to(9), 9);
    let mut wait = Box::pin(waiting.consume(2));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(wait.as_mut().poll(&mut context), Poll::Pending));
    advance(Duration::from_secs(3)).await;
    drop(wait);
    assert_eq!(limiter.available(), 3);
}

/// Once it is told, its tokens are whoever's who waited.
#[tokio::test(start_paused = true)]
async fn what_a_wait_has_told_is_kept() {
    let limiter =
        TokenBucket::with_clock(Quota::per_second(1).burst(9), TokioClock::new()).unwrap();
    assert_eq!(limiter.consume_up_to(9), 9);
    let waiting = limiter.wait_with(TokioTimer);
    drop(pin!(waiting.acquire(2)).await.unwrap());
    assert_eq!(limiter.available(), 0);
}
