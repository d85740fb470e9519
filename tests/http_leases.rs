//! The HTTP layer in front of a limit that is leased from a store: a store that is away is no 429.
#![cfg(all(feature = "redis", feature = "tower"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod redis_server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::Quota;
use flowgate::http::{Event, HeaderKey, Headers, Observe, RateLimitLayer};
use flowgate::redis::{Lease, LeasedLimiter, WhenDown};
use http::{Request, Response};
use redis_server::{Server, no_server};
use tower::{Layer, Service, ServiceExt, service_fn};

const LIFETIME: Duration = Duration::from_millis(100);

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Observe for Seen {
    fn observe(&self, event: Event, policies: &[&'static str]) {
        assert_eq!(policies, ["default"]);
        self.0.lock().unwrap().push(event);
    }
}

async fn leased(server: &Server, when_down: WhenDown) -> LeasedLimiter {
    let lease = Lease::when_down(when_down).lifetime(LIFETIME);
    LeasedLimiter::connect(&server.url(), Quota::per_second(100).burst(50), lease).await.unwrap()
}

async fn hello(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
    Ok(Response::new(String::from("hello")))
}

fn request(content_type: &str) -> Request<String> {
    let request = Request::post("/").header("x-api-key", "alice");
    request.header("content-type", content_type).body(String::new()).unwrap()
}

/// Asks until the answer is this one.
async fn until<S, B>(service: &S, status: u16) -> Response<B>
where
    S: Service<Request<String>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
{
    for _ in 0..300 {
        let response = service.clone().oneshot(request("text/plain")).await.unwrap();
        if response.status() == status {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {status}");
}

#[tokio::test]
async fn the_first_request_of_a_key_is_held_while_its_tokens_are_leased() {
    if no_server() {
        return;
    }
    let server = Server::start();
    let seen = Seen::default();
    let layer = RateLimitLayer::new(leased(&server, WhenDown::Deny).await)
        .key(HeaderKey::new("x-api-key").unwrap())
        .observe(seen.clone());
    let service = layer.layer(service_fn(hello));
    let response = service.oneshot(request("text/plain")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(*seen.0.lock().unwrap(), [Event::Waiting, Event::Waited, Event::Allowed]);
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_429_and_a_store_that_is_away_is_503() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let seen = Seen::default();
    let layer = RateLimitLayer::new(leased(&server, WhenDown::Deny).await)
        .key(HeaderKey::new("x-api-key").unwrap())
        .headers(Headers::draft_11())
        .observe(seen.clone());
    let service = layer.layer(service_fn(hello));
    // Faster than it refills.
    let mut limited = None;
    for _ in 0..1_000 {
        let response = service.clone().oneshot(request("text/plain")).await.unwrap();
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
    }
    assert!(limited.unwrap().headers().contains_key("ratelimit"));

    server.kill();
    let response = until(&service, 503).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(!response.headers().contains_key("ratelimit"));
    let call = service.clone().oneshot(request("application/grpc")).await.unwrap();
    assert_eq!(
        (call.status().as_u16(), &call.headers()["grpc-status"]),
        (200, &"14".parse().unwrap())
    );
    assert_eq!(seen.0.lock().unwrap().last(), Some(&Event::Unavailable));

    server.run();
    assert_eq!(until(&service, 200).await.status(), 200);
}

#[tokio::test]
async fn what_is_let_through_uncounted_is_told_apart() {
    if no_server() {
        return;
    }
    let mut server = Server::start();
    let seen = Seen::default();
    let layer = RateLimitLayer::new(leased(&server, WhenDown::Allow).await)
        .key(HeaderKey::new("x-api-key").unwrap())
        .observe(seen.clone());
    for service in
        [layer.clone().layer(service_fn(hello)), layer.permits().layer(service_fn(hello))]
    {
        until(&service, 200).await;
        server.kill();
        let degraded = || seen.0.lock().unwrap().contains(&Event::Degraded);
        for _ in 0..300 {
            let response = service.clone().oneshot(request("text/plain")).await.unwrap();
            assert!(response.status() != 503);
            if degraded() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(degraded());
        seen.0.lock().unwrap().clear();
        server.run();
    }
}
