//! Requests that are held until they may pass, on tokio's clock, which is moved on by hand.
#![cfg(all(feature = "tower", feature = "tokio"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowgate::http::{Event, HeaderKey, Headers, RateLimitLayer, RequestPermit};
use flowgate::{FixedWindow, KeyedLimiter, Limiter, Quota, TokenBucket, TokioClock, TokioTimer};
use http::{Request, Response};
use support::{Body, Seen, ask, get, serve};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// With room for all who wait to have a place in the order.
fn bucket(quota: Quota) -> Arc<TokenBucket<TokioClock>> {
    let builder = TokenBucket::builder(quota).max_debt(1_000);
    Arc::new(builder.build_with_clock(TokioClock::new()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_their_turn_in_the_order_they_came() {
    let seen = Seen::default();
    let service = RateLimitLayer::new(bucket(Quota::per_second(1)))
        .wait(10 * SECOND, 100, TokioTimer)
        .headers(Headers::draft_11().on_allowed())
        .observe(seen.clone())
        .layer(service_fn(serve));
    let start = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for nth in 0..15 {
        let service = service.clone();
        requests.spawn(async move { (nth, ask(&service, get("/")).await, start.elapsed()) });
        tokio::task::yield_now().await;
    }
    let mut done = requests.join_all().await;
    done.sort_by_key(|(nth, ..)| *nth);
    for (nth, response, at) in done {
        if nth > 10 {
            // It would wait for longer than ten seconds, and is told so at once.
            assert_eq!((response.status().as_u16(), at.as_secs()), (429, 0));
            // As long as it would take without waiting.
            assert_eq!(response.headers()["retry-after"], "11");
        } else {
            assert_eq!((response.status().as_u16(), at.as_secs()), (200, nth), "the {nth}th");
            assert!(response.headers().contains_key("ratelimit"));
        }
    }
    assert_eq!(seen.count(Event::Allowed), 11);
    assert_eq!(seen.count(Event::Waiting), seen.count(Event::Waited));
}

/// By then the request is not to be looked at any more, but for what was noted of it.
#[tokio::test(start_paused = true)]
async fn a_grpc_call_that_waited_in_vain_is_refused_as_one() {
    // Of a window nothing can be reserved: who waits for its turn may find it empty again.
    let window = Limiter::with_clock(FixedWindow::new(1, 10 * SECOND), TokioClock::new()).unwrap();
    let service = RateLimitLayer::new(Arc::new(window)).wait(15 * SECOND, 9, TokioTimer);
    let service = service.layer(service_fn(serve));
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let service = service.clone();
        let call = Request::post("/a.B/C").header("content-type", "application/grpc");
        calls.spawn(async move { ask(&service, call.body(()).unwrap()).await });
    }
    let replies = calls.join_all().await;
    let refused: Vec<_> =
        replies.iter().filter(|reply| reply.headers().contains_key("grpc-status")).collect();
    assert_eq!(refused.len(), 2);
    for reply in refused {
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["grpc-status"]),
            (200, &"8".parse().unwrap())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_there_is_room_for_and_none_in_no_room() {
    for (room, waited) in [(3, 3), (0, 0)] {
        let limiter = bucket(Quota::per_second(1));
        let layer = RateLimitLayer::new(limiter).wait(100 * SECOND, room, TokioTimer);
        // The room is one for all services of the layer.
        let services = [layer.layer(service_fn(serve)), layer.clone().layer(service_fn(serve))];
        ask(&services[0], get("/")).await;
        let mut requests = tokio::task::JoinSet::new();
        for nth in 0..8 {
            let service = services[nth % 2].clone();
            requests.spawn(async move { ask(&service, get("/")).await.status().as_u16() });
        }
        let statuses = requests.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), waited);
        // All places are free again.
        let again = ask(&services[1], get("/")).await.status();
        assert_eq!(again, if room == 0 { 429 } else { 200 });
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_gives_back_the_place_and_the_tokens() {
    let limiter = bucket(Quota::per_minute(1));
    let seen = Seen::default();
    let service = RateLimitLayer::new(limiter.clone())
        .wait(600 * SECOND, 2, TokioTimer)
        .observe(seen.clone())
        .layer(service_fn(serve));
    ask(&service, get("/")).await;
    for _ in 0..20 {
        let gone = [service.clone().oneshot(get("/")), service.clone().oneshot(get("/"))];
        for request in gone {
            let mut request = Box::pin(request);
            assert!(futures_poll(&mut request).is_pending());
            // Two wait at most, and take from the bucket ahead of time.
            drop(request);
        }
    }
    assert_eq!(limiter.time_until_available(1), Some(60 * SECOND));
    assert_eq!((seen.count(Event::Waiting), seen.count(Event::GaveUp)), (40, 40));
    // One behind another: the second moves up when the first goes.
    let mut first = Box::pin(service.clone().oneshot(get("/")));
    assert!(futures_poll(&mut first).is_pending());
    assert_eq!(limiter.time_until_available(1), Some(120 * SECOND));
    drop(first);
    let start = Instant::now();
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    assert_eq!(start.elapsed().as_secs(), 60);
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}

#[tokio::test(start_paused = true)]
async fn one_key_does_not_wait_for_another() {
    let limiter =
        KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(1), TokioClock::new()).unwrap();
    let service = RateLimitLayer::new(limiter)
        .key(HeaderKey::new("x-api-key").unwrap())
        .wait(600 * SECOND, 10, TokioTimer)
        .permits()
        .layer(service_fn(async |request: Request<()>| {
            // Who waited has a permit as well.
            request.extensions().get::<RequestPermit>().unwrap().cancel().unwrap();
            serve(request).await
        }));
    let keyed = |key: &str| Request::get("/").header("x-api-key", key).body(()).unwrap();
    let start = Instant::now();
    for key in ["a", "b", "a", "b"] {
        assert_eq!(ask(&service, keyed(key)).await.status(), 200);
    }
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_windows_too() {
    let window = FixedWindow::new(1, 60 * SECOND).from_first_call();
    let limiter = Limiter::with_clock(window, TokioClock::new()).unwrap();
    let service =
        RateLimitLayer::new(limiter).wait(90 * SECOND, 10, TokioTimer).layer(service_fn(serve));
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(ask(&service, get("/")).await.status(), 200);
    }
    assert!(start.elapsed().as_secs() >= 120);
}

/// A service that must be ready when it is called, as those that keep a place for a request are. Clones are not.
#[derive(Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_called_after_the_wait() {
    let mut service = RateLimitLayer::new(bucket(Quota::per_second(1)))
        .wait(10 * SECOND, 10, TokioTimer)
        .layer(Strict::default());
    let start = Instant::now();
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(get("/")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waited_has_a_permit_too() {
    let service = RateLimitLayer::new(bucket(Quota::per_minute(1)))
        .wait(600 * SECOND, 10, TokioTimer)
        .permits()
        .layer(service_fn(async |request: Request<()>| {
            let permit = request.extensions().get::<RequestPermit>().unwrap();
            if request.uri().path() == "/unused" {
                permit.cancel().unwrap();
            }
            serve(request).await
        }));
    let start = Instant::now();
    // The second waits for a minute, and gives back; so the third need not wait, but the fourth.
    for (path, minutes) in [("/", 0), ("/unused", 1), ("/", 1), ("/", 2)] {
        assert_eq!(ask(&service, get(path)).await.status(), 200);
        assert_eq!(start.elapsed().as_secs(), minutes * 60);
    }
}
