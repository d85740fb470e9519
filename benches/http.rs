//! Layers around a service that does nothing, beside those of others: what a request pays for its limit.
//!
//! A benchmark is called `path/threads/row`, for instance `http_denied/1/tower_governor`. `ci/bench-report.sh` runs this file
//! several times over and makes `docs/performance.md` of it.

// A layer that does not take its limit should be seen at once.
#![allow(clippy::expect_used)]

mod rounds;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup};
use flowgate::http::{ClientIp, HeaderKey, Headers, Metrics, RateLimitLayer};
use flowgate::{InstantClock, KeyedLimiter, LimitSet, Quota};
use governor::clock::{Clock, DefaultClock};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::PeerIpKeyExtractor;

/// What a limiter is set to: a token in so long, and so many at once.
#[derive(Clone, Copy)]
struct Limit {
    period: Duration,
    burst: u32,
}

/// More than calls can take, and never full again.
const DEEP: Limit = Limit { period: Duration::from_millis(1), burst: 4_000_000_000 };
/// Full again at each call.
const FULL: Limit = Limit { period: Duration::from_nanos(10), burst: 1_000_000 };
/// One an hour, which is gone.
const GONE: Limit = Limit { period: Duration::from_secs(3_600), burst: 1 };

/// So many requests are made before they are timed: few enough to be in the cache, where a server has what it just read.
const AT_ONCE: BatchSize = BatchSize::NumIterations(100);

impl Limit {
    fn quota(self) -> Quota {
        Quota::new(1, self.period).burst(u64::from(self.burst))
    }
}

fn main() {
    // The allocator takes no locks in a process that has never had a second thread. Servers have; and if the first one
    // came with one of the rows, those after it would pay for it.
    thread::spawn(|| {
        loop {
            thread::park()
        }
    });
    let mut criterion = rounds::criterion();
    let paths = [("http_allowed", DEEP, 200), ("http_full", FULL, 200), ("http_denied", GONE, 429)];
    for (path, limit, status) in paths {
        let mut rows = rows(path, limit, status);
        rounds::in_turn(&mut rows);
        let mut group = criterion.benchmark_group(format!("{path}/1"));
        for row in rows {
            row(&mut group);
        }
        group.finish();
    }
    criterion.final_summary();
}

type Row = Box<dyn Fn(&mut BenchmarkGroup<'_, WallTime>)>;

/// Each by the address of the connection, but where it is said. Those that are compared come together.
fn rows(path: &str, limit: Limit, status: u16) -> Vec<Row> {
    let by_address = || ClientIp::new().peer(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
    let limiter = move || KeyedLimiter::<IpAddr>::new(limit.quota()).expect("ours takes it");
    let layer = move || RateLimitLayer::new(limiter()).key(by_address());
    let on_instant = move || {
        let limiter = KeyedLimiter::<IpAddr, _, _>::with_clock(limit.quota(), InstantClock::new());
        RateLimitLayer::new(limiter.expect("ours takes it")).key(by_address())
    };
    let plain = move || layer().headers(Headers::none());
    let everywhere = move || layer().headers(Headers::draft_11().on_allowed());
    let behind_proxy = move || {
        let trusted = ["127.0.0.0/8".parse().expect("a network")];
        let key =
            ClientIp::trusting(trusted).peer(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
        RateLimitLayer::new(limiter()).key(key)
    };
    let set = move || {
        let quotas = [("requests", limit.quota()), ("tokens", limit.quota())];
        let set = LimitSet::<str, 2>::per_key(quotas).expect("ours takes it");
        RateLimitLayer::of(set).expect("names").key(HeaderKey::new("x-api-key").expect("a name"))
    };
    let governor = move || {
        let mut config = GovernorConfigBuilder::default().key_extractor(PeerIpKeyExtractor);
        config.period(limit.period).burst_size(limit.burst);
        GovernorLayer::new(config.finish().expect("governor takes it"))
    };
    let rate_net = move || {
        let limiter = rate_net::RateLimiter::builder().quota(1, limit.period).burst(limit.burst);
        let limiter = limiter.try_build().expect("rate-net takes it");
        let key = |info: &rate_net::tower::RequestInfo<'_>| {
            let ConnectInfo(peer) = info.extensions().get::<ConnectInfo<SocketAddr>>()?;
            Some(rate_net::Key::ip_prefix(peer.ip(), 32, 64))
        };
        rate_net::tower::RateLimitLayer::new(limiter, key)
    };
    let mut rows = vec![
        row("tower_governor", status, move || governor().layer(Nothing)),
        row("http_flowgate", status, move || layer().layer(Nothing)),
        row("rate_net_layer", status, move || rate_net().layer(Nothing)),
        row("http_flowgate_instant", status, move || on_instant().layer(Nothing)),
    ];
    if path == "http_denied" {
        rows.insert(0, making_governors_clock());
    } else {
        rows.push(row("http_service", status, || Nothing));
    }
    if path != "http_full" {
        rows.extend([
            row("http_flowgate_plain", status, move || plain().layer(Nothing)),
            row("http_flowgate_everywhere", status, move || everywhere().layer(Nothing)),
            row("http_flowgate_proxy", status, move || behind_proxy().layer(Nothing)),
            row("http_flowgate_permits", status, move || layer().permits().layer(Nothing)),
            row("http_flowgate_metrics", status, move || layer().observe(Metrics).layer(Nothing)),
            row("http_flowgate_set", status, move || set().layer(Nothing)),
        ]);
    }
    rows
}

/// What `tower_governor` does with each refusal, beside all else: it makes a clock, which asks the processor what it is.
fn making_governors_clock() -> Row {
    Box::new(|group| {
        group.bench_function("governor_clock", |bencher| {
            bencher.iter(|| black_box(DefaultClock::default().now()));
        });
    })
}

/// The service, which does nothing.
#[derive(Clone)]
struct Nothing;

impl Service<Request<Body>> for Nothing {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

fn request() -> Request<Body> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 4711));
    let request = Request::get("/v1/chat").extension(ConnectInfo(peer));
    let request = request.header("x-api-key", "k-0123456789abcdef").header("host", "example.com");
    let request = request.header("x-forwarded-for", "198.51.100.7, 203.0.113.9");
    request.body(Body::empty()).expect("a request")
}

/// Asks for a response, and leaves the making of the request and the dropping of the response out of the time.
fn row<S, B>(name: &'static str, status: u16, make: impl Fn() -> S + 'static) -> Row
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
{
    Box::new(move |group| {
        let mut service = make();
        let mut context = Context::from_waker(Waker::noop());
        let mut ask = |request| {
            let _ = service.poll_ready(&mut context);
            match pin!(service.call(request)).poll(&mut context) {
                Poll::Ready(Ok(response)) => response,
                Poll::Pending => unreachable!("{name} waits"),
            }
        };
        // What is one an hour is gone then.
        ask(request());
        assert_eq!(ask(request()).status(), status, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(request, &mut ask, AT_ONCE);
        });
        assert_eq!(ask(request()).status(), status, "{name}");
    })
}
