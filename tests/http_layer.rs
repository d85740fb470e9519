//! The layer around a service in this process, on a clock that stands still.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use flowgate::http::{
    Answer, ClientIp, Event, HeaderKey, Headers, NameError, PeerAddr, PermitError, RateLimitLayer,
    Reason, RequestPermit, WithoutKey,
};
use flowgate::{
    Fill, FixedWindow, KeyedLimiter, Limit, LimitSet, Limiter, ManualClock, Quota, TokenBucket,
    Tokens,
};
use http::{Request, Response, StatusCode};
use sfv::{BareItem, List, ListEntry, Parser};
use support::{Body, Seen, ask, get, serve, text};
use tower::{Layer, Service, ServiceExt, service_fn};

type Clock = Arc<ManualClock>;

fn bucket(quota: Quota) -> (Arc<TokenBucket<Clock>>, Clock) {
    let clock = Clock::default();
    (Arc::new(TokenBucket::with_clock(quota, clock.clone()).unwrap()), clock)
}

fn by_text(quota: Quota) -> (KeyedLimiter<String, Quota, Clock>, Clock) {
    let clock = Clock::default();
    (KeyedLimiter::with_clock(quota, clock.clone()).unwrap(), clock)
}

fn boxed<Q: ?Sized>(
    limit: impl Limit<Q> + Send + Sync + 'static,
) -> Box<dyn Limit<Q> + Send + Sync> {
    Box::new(limit)
}

fn keyed_get(key: &str) -> Request<()> {
    Request::get("/").header("x-api-key", key).body(()).unwrap()
}

fn by_api_key() -> HeaderKey {
    HeaderKey::new("x-api-key").unwrap()
}

/// Row 30: tower-governor #65.
#[tokio::test]
async fn a_wait_of_a_tenth_of_a_second_is_told_as_one_second() {
    let (limiter, _) = bucket(Quota::per_second(10).burst(1));
    let service = RateLimitLayer::new(limiter).layer(service_fn(serve));
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/json");
    assert_eq!(text(refused).await, r#"{"error":"rate_limited","retry_after":1}"#);
}

/// Row 31: actix-governor #49.
#[tokio::test]
async fn five_per_second_are_five_in_each_second() {
    let (limiter, clock) = bucket(Quota::per_second(5));
    let service = RateLimitLayer::new(limiter).layer(service_fn(serve));
    for _ in 0..3 {
        for allowed in [200, 200, 200, 200, 200, 429] {
            assert_eq!(ask(&service, get("/")).await.status(), allowed);
        }
        clock.advance(Duration::from_secs(1));
    }
}

/// Rows 32 to 34: the key is the client's, whatever it writes into header fields, and one for all of its IPv6 prefix.
#[tokio::test]
async fn one_client_has_one_bucket_whatever_it_sends() {
    let limiter =
        KeyedLimiter::<IpAddr, _, _>::with_clock(Quota::per_hour(1), ManualClock::new()).unwrap();
    let service = RateLimitLayer::new(limiter.clone())
        .key(ClientIp::trusting(["10.0.0.0/8".parse().unwrap()]))
        .layer(service_fn(serve));
    let through_proxy = |line: String| {
        let proxy: SocketAddr = "10.0.0.1:9".parse().unwrap();
        Request::get("/")
            .extension(PeerAddr(proxy))
            .header("x-forwarded-for", line)
            .body(())
            .unwrap()
    };
    let mut statuses = Vec::new();
    for (nth, left) in ["", "9.9.9.9, ", "\", ", "unknown, ", "1.1.1.1:80, "].iter().enumerate() {
        let line = format!("{left}[2001:db8:0:7::{nth}]:4711, 10.0.0.2");
        statuses.push(ask(&service, through_proxy(line)).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 429, 429, 429]);
    assert_eq!(limiter.len(), 1);
}

/// Row 35: axum #2634, tower #794.
#[tokio::test]
async fn clones_of_layers_and_services_share_one_bucket() {
    let (limiter, _) = bucket(Quota::per_hour(4));
    let layer = RateLimitLayer::new(limiter.clone());
    let one = layer.layer(service_fn(serve));
    let other = layer.clone().layer(service_fn(serve));
    // A layer that is built further shares its limits as well.
    let third = layer.headers(Headers::none()).layer(service_fn(serve));
    assert_eq!(ask(&one, get("/")).await.status(), 200);
    assert_eq!(ask(&one.clone(), get("/")).await.status(), 200);
    assert_eq!(ask(&other, get("/")).await.status(), 200);
    assert_eq!(ask(&third, get("/")).await.status(), 200);
    assert_eq!(limiter.available(), 0);
    for service in [&one.clone(), &one] {
        assert_eq!(ask(service, get("/")).await.status(), 429);
    }
    assert_eq!(ask(&other, get("/")).await.status(), 429);
}

/// Row 29: nothing is locked while a caller's function runs.
#[tokio::test]
async fn a_callers_function_may_call_the_limiter() {
    let (limiter, _) = by_text(Quota::per_hour(10));
    let (in_key, in_cost) = (limiter.clone(), limiter.clone());
    let service = RateLimitLayer::new(limiter.clone())
        .key_text(move |_| {
            in_key.try_consume("alice", 1).unwrap();
            Some("alice".into())
        })
        .cost(move |_| {
            in_cost.try_consume("alice", 1).unwrap();
            [1]
        })
        .layer(service_fn(serve));
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    assert_eq!(limiter.available("alice"), 7);
}

#[tokio::test]
async fn each_key_has_its_own_bucket_and_none_is_refused() {
    let (limiter, _) = by_text(Quota::per_hour(1));
    let seen = Seen::default();
    let service = RateLimitLayer::new(limiter.clone())
        .key(by_api_key())
        .observe(seen.clone())
        .layer(service_fn(serve));
    assert_eq!(ask(&service, keyed_get("a")).await.status(), 200);
    assert_eq!(ask(&service, keyed_get("b")).await.status(), 200);
    assert_eq!(ask(&service, keyed_get("a")).await.status(), 429);
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.headers().get("retry-after").is_none());
    assert_eq!(text(refused).await, r#"{"error":"no_rate_limit_key"}"#);
    assert_eq!(seen.count(Event::WithoutKey), 1);
    assert_eq!(limiter.len(), 2);
}

#[tokio::test]
async fn those_without_a_key_may_share_a_bucket() {
    let (limiter, _) = by_text(Quota::per_hour(2));
    let service = RateLimitLayer::new(limiter)
        .key(by_api_key())
        .without_key(WithoutKey::Share("nobody".to_owned()))
        .layer(service_fn(serve));
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    // Who takes its name gets nothing beyond it.
    assert_eq!(ask(&service, keyed_get("nobody")).await.status(), 200);
    assert_eq!(ask(&service, get("/")).await.status(), 429);
    assert_eq!(ask(&service, keyed_get("nobody")).await.status(), 429);
    assert_eq!(ask(&service, keyed_get("a")).await.status(), 200);
}

#[tokio::test]
async fn tiers_and_routes_have_sets_of_their_own_and_the_first_that_fits_counts() {
    let set =
        |limit: u64| LimitSet::of([("requests", boxed::<()>(bucket(Quota::per_hour(limit)).0))]);
    let (gold, chat, other) = (set(30), set(20), set(10));
    let service = RateLimitLayer::of(other.clone())
        .unwrap()
        .tier(|head| head.header("x-plan") == Some("gold"), gold.clone())
        .unwrap()
        .route("/chat", chat.clone())
        .unwrap()
        .skip(|head| head.path() == "/health")
        .skip(|head| head.method() == http::Method::OPTIONS)
        .layer(service_fn(serve));
    let golden = |path: &str| Request::get(path).header("x-plan", "gold").body(()).unwrap();
    let left = || [&gold, &chat, &other].map(|set| set.available(&())[0].whole());
    for (request, expected) in [
        (get("/chat"), [30, 19, 10]),
        (get("/chat/x"), [30, 18, 10]),
        (get("/chatter"), [30, 18, 9]),
        (golden("/chat"), [29, 18, 9]),
        (get("/health"), [29, 18, 9]),
        (Request::options("/").body(()).unwrap(), [29, 18, 9]),
    ] {
        assert_eq!(ask(&service, request).await.status(), 200);
        assert_eq!(left(), expected);
    }
}

#[tokio::test]
async fn costs_are_of_each_limit_and_a_refusal_costs_nothing() {
    let (requests, _) = by_text(Quota::per_hour(10));
    let (tokens, _) = by_text(Quota::per_hour(1_000));
    let set = LimitSet::<str, 2>::of([
        ("requests", boxed(requests.clone())),
        ("tokens", boxed(tokens.clone())),
    ]);
    let seen = Seen::default();
    let service = RateLimitLayer::of(set)
        .unwrap()
        .key(by_api_key())
        .cost(|head| [1, head.content_length().unwrap_or(0)])
        .observe(seen.clone())
        .layer(service_fn(serve));
    let post = |length: u64| {
        let request = Request::post("/").header("x-api-key", "a").header("content-length", length);
        request.body(()).unwrap()
    };
    assert_eq!(ask(&service, post(600)).await.status(), 200);
    assert_eq!(ask(&service, post(600)).await.status(), 429);
    assert_eq!((requests.available("a"), tokens.available("a")), (9.into(), 400.into()));
    // No wait helps: nothing is said of one.
    let never = ask(&service, post(1_001)).await;
    assert_eq!(never.status(), 429);
    assert!(never.headers().get("retry-after").is_none());
    assert_eq!(never.headers()["ratelimit"], r#""requests";r=9, "tokens";r=400"#);
    assert_eq!(text(never).await, r#"{"error":"rate_limited","retry_after":null}"#);
    let expected = [
        (Event::Allowed, vec!["requests", "tokens"]),
        (Event::Denied, vec!["tokens"]),
        (Event::Denied, vec!["tokens"]),
    ];
    assert_eq!(seen.take(), expected);
}

#[tokio::test]
async fn shadow_mode_takes_and_tells_and_changes_no_response() {
    let (limiter, clock) = by_text(Quota::per_hour(1));
    let seen = Seen::default();
    let service = RateLimitLayer::new(limiter.clone())
        .key(by_api_key())
        .shadow()
        .wait(Duration::from_secs(9_999), 9, flowgate_timer())
        .observe(seen.clone())
        .layer(service_fn(serve));
    for _ in 0..3 {
        let response = ask(&service, keyed_get("a")).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().is_empty());
    }
    assert_eq!(ask(&service, get("/")).await.status(), 200);
    assert_eq!(limiter.available("a"), 0);
    assert_eq!(seen.count(Event::ShadowDenied), 2);
    assert_eq!(seen.count(Event::Denied), 0);
    assert_eq!(seen.count(Event::WithoutKey), 1);
    clock.advance(Duration::from_secs(3_600));
    ask(&service, keyed_get("a")).await;
    assert_eq!(seen.count(Event::Allowed), 2);
}

/// A timer that is never asked.
fn flowgate_timer() -> impl flowgate::Timer + Clone + Send + Sync + 'static {
    #[derive(Clone)]
    struct Never;
    impl flowgate::Timer for Never {
        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
            assert!(duration > Duration::MAX, "nobody waits here");
            ready(())
        }
    }
    Never
}

/// A service that is ready once, and then fails: what the layer makes of either can be seen.
#[derive(Clone, Default)]
struct Fickle {
    asked: Arc<Mutex<usize>>,
}

impl Service<Request<()>> for Fickle {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Response<Body>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        match *asked {
            1 => Poll::Pending,
            2 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err("broken")),
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Err("failed"))
    }
}

#[tokio::test]
async fn readiness_and_errors_pass_through_as_they_are() {
    let (limiter, _) = bucket(Quota::per_hour(1));
    let mut service = RateLimitLayer::new(limiter).layer(Fickle::default());
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_pending());
    assert_eq!(service.poll_ready(&mut context), Poll::Ready(Ok(())));
    assert_eq!(service.call(get("/")).await.unwrap_err(), "failed");
    assert_eq!(poll_fn(|context| service.poll_ready(context)).await, Err("broken"));
}

#[tokio::test]
async fn a_refused_request_reaches_nobody_and_its_body_is_not_read() {
    /// A body that must not be read.
    struct Unread;
    impl http_body::Body for Unread {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            panic!("read")
        }
    }

    let (limiter, _) = bucket(Quota::per_hour(1));
    limiter.drain();
    let inner = service_fn(|_: Request<Unread>| async {
        panic!("reached");
        #[allow(unreachable_code)]
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = RateLimitLayer::new(limiter).layer(inner);
    assert_eq!(ask(&service, Request::new(Unread)).await.status(), 429);
}

#[tokio::test]
async fn answers_are_problems_or_whatever_the_caller_makes() {
    let (limiter, _) = bucket(Quota::per_hour(60).burst(1));
    limiter.drain();
    let name = r#"odd "name\"#;
    let layer = RateLimitLayer::named(name, limiter).unwrap();
    let problem = layer.clone().answer(Answer::problem()).layer(service_fn(serve));
    let refused = ask(&problem, get("/")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(refused.headers()["retry-after"], "60");
    let body: serde_json::Value = serde_json::from_str(&text(refused).await).unwrap();
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert!(body["title"].is_string());
    assert_eq!(body["violated-policies"], serde_json::json!([name]));

    let own = Answer::with(|refusal| {
        assert_eq!(refusal.reason(), Reason::Limited);
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(60)));
        assert_eq!(refusal.policies(), [r#"odd "name\"#]);
        let response = Response::builder().status(503).header("retry-after", "7");
        response.body(Bytes::from_static(b"mine")).unwrap()
    });
    let refused = ask(&layer.answer(own).layer(service_fn(serve)), get("/")).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"7".parse().unwrap())
    );
    assert!(refused.headers().contains_key("ratelimit"));
    assert_eq!(text(refused).await, "mine");
}

/// A structured list as `(name, parameters)`.
fn parsed(response: &Response<impl Sized>, field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let values: Vec<_> =
        response.headers().get_all(field).iter().map(|value| value.as_bytes()).collect();
    let list: List = Parser::new(&values.join(&b", "[..])).parse().unwrap();
    let element = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list") };
        let BareItem::String(name) = item.bare_item else { panic!("{field}: not a string") };
        let number = |value: &BareItem| value.as_integer().unwrap().into();
        let params = item.params.iter().map(|(key, value)| (key.to_string(), number(value)));
        (name.to_string(), params.collect())
    };
    list.into_iter().map(element).collect()
}

fn element(name: &str, params: &[(&str, i64)]) -> (String, Vec<(String, i64)>) {
    (name.to_owned(), params.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect())
}

/// Two limits: a bucket of 10 that fills in ten minutes, and a window of 100 tokens a minute.
fn two_limits() -> (LimitSet<(), 2>, Clock) {
    let clock = Clock::default();
    let quota = Quota::per_hour(60).burst(10);
    let requests = TokenBucket::with_clock(quota, clock.clone()).unwrap();
    let window = FixedWindow::new(100, Duration::from_secs(60));
    let tokens = Limiter::with_clock(window, clock.clone()).unwrap();
    let set = LimitSet::of([(r#"re"quests\"#, boxed(requests)), ("tokens", boxed(tokens))]);
    (set, clock)
}

#[tokio::test]
async fn draft_11_fields_are_structured_lists_of_all_limits() {
    let (set, clock) = two_limits();
    let name = r#"re"quests\"#;
    let service = RateLimitLayer::of(set)
        .unwrap()
        .cost(|_| [3, 40])
        .headers(Headers::draft_11().on_allowed())
        .layer(service_fn(serve));
    let policies =
        [element(name, &[("q", 10), ("w", 600)]), element("tokens", &[("q", 100), ("w", 60)])];
    clock.advance(Duration::from_millis(500));
    let allowed = ask(&service, get("/")).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(parsed(&allowed, "ratelimit-policy"), policies);
    // A token comes in a minute; the window began half a second ago.
    let left = [element(name, &[("r", 7), ("t", 180)]), element("tokens", &[("r", 60), ("t", 60)])];
    assert_eq!(parsed(&allowed, "ratelimit"), left);
    assert!(!allowed.headers().contains_key("retry-after"));

    ask(&service, get("/")).await;
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(parsed(&refused, "ratelimit-policy"), policies);
    // Who said yes tells no time, so that none is after `Retry-After`.
    let left = [element(name, &[("r", 4)]), element("tokens", &[("r", 20), ("t", 60)])];
    assert_eq!(parsed(&refused, "ratelimit"), left);
    assert_eq!(refused.headers()["retry-after"], "60");
    clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&service, get("/")).await.status(), 200);
}

#[tokio::test]
async fn a_window_below_a_second_and_parts_of_one_are_rounded_up() {
    for (millis, secs) in [(1, 1), (1_000, 1), (1_500, 2)] {
        let window = FixedWindow::new(Tokens::decimal(25, 1), Duration::from_millis(millis));
        let limiter = Limiter::with_clock(window, ManualClock::new()).unwrap();
        let headers = Headers::draft_11().on_allowed();
        let service = RateLimitLayer::new(limiter).headers(headers).layer(service_fn(serve));
        let allowed = ask(&service, get("/")).await;
        // 2.5 tokens, of which 1.5 are left.
        let policy = element("default", &[("q", 2), ("w", secs)]);
        assert_eq!(parsed(&allowed, "ratelimit-policy"), [policy]);
        let left = element("default", &[("r", 1), ("t", secs)]);
        assert_eq!(parsed(&allowed, "ratelimit"), [left]);
    }
}

#[tokio::test]
async fn older_forms_tell_of_the_limit_that_counts() {
    let (set, _) = two_limits();
    let service = RateLimitLayer::of(set)
        .unwrap()
        .cost(|_| [1, 40])
        .headers(Headers::draft_7().x_ratelimit().by_name().on_allowed())
        .layer(service_fn(serve));
    let allowed = ask(&service, get("/")).await;
    let is = |response: &Response<_>, fields: &[(&str, &str)]| {
        for (name, value) in fields {
            assert_eq!(response.headers()[*name], *value, "{name}");
        }
    };
    is(
        &allowed,
        &[
            ("ratelimit-policy", "10;w=600, 100;w=60"),
            // 60 of 100 are less than 9 of 10.
            ("ratelimit", "limit=100, remaining=60, reset=60"),
            ("x-ratelimit-limit", "100"),
            ("x-ratelimit-remaining", "60"),
            ("x-ratelimit-reset", "60"),
            ("x-ratelimit-limit-tokens", "100"),
            ("x-ratelimit-remaining-tokens", "60"),
            ("x-ratelimit-reset-tokens", "1m0s"),
            ("x-ratelimit-limit-re-quests-", "10"),
            ("x-ratelimit-remaining-re-quests-", "9"),
            ("x-ratelimit-reset-re-quests-", "1m0s"),
        ],
    );
    ask(&service, get("/")).await;
    let refused = ask(&service, get("/")).await;
    is(
        &refused,
        &[
            ("retry-after", "60"),
            ("ratelimit", "limit=100, remaining=20, reset=60"),
            ("x-ratelimit-remaining", "20"),
            ("x-ratelimit-remaining-re-quests-", "8"),
            ("x-ratelimit-reset-re-quests-", "2m0s"),
        ],
    );
}

#[tokio::test]
async fn fields_of_the_service_stay_and_lists_of_two_layers_are_joined() {
    let (outer, _) = bucket(Quota::per_hour(10));
    let (inner, _) = bucket(Quota::per_hour(5));
    let headers = Headers::draft_11().x_ratelimit().on_allowed();
    let inner = RateLimitLayer::named("inner", inner).unwrap().headers(headers);
    let outer = RateLimitLayer::named("outer", outer).unwrap().headers(headers);
    let service = outer.layer(inner.layer(service_fn(serve)));
    let response = service.oneshot(get("/")).await.unwrap();
    let names: Vec<_> = parsed(&response, "ratelimit").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["inner", "outer"]);
    assert_eq!(response.headers()["x-ratelimit-limit"], "5");
    assert_eq!(response.headers().get_all("x-ratelimit-limit").iter().count(), 1);
}

#[test]
fn names_that_header_fields_cannot_have_are_refused_when_built() {
    let named =
        |name| RateLimitLayer::<(), 1>::named(name, bucket(Quota::per_hour(1)).0).map(|_| ());
    assert_eq!(named("per user"), Ok(()));
    assert_eq!(named(""), Err(NameError::Empty));
    for name in ["é", "a\nb", "\u{7f}"] {
        assert_eq!(named(name), Err(NameError::NotAscii { name }));
    }
    let limit = || boxed::<()>(bucket(Quota::per_hour(1)).0);
    let twice = LimitSet::of([("requests", limit()), ("Requests", limit())]);
    assert_eq!(RateLimitLayer::of(twice).map(|_| ()), Err(NameError::Twice { name: "Requests" }));
    let layer = RateLimitLayer::<(), 1>::named("one", bucket(Quota::per_hour(1)).0).unwrap();
    assert!(layer.tier(|_| true, LimitSet::of([("", limit())])).is_err());
}

/// A service that hands its permit over.
fn handing_over(
    to: Arc<Mutex<Option<RequestPermit>>>,
) -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone
{
    service_fn(move |request: Request<()>| {
        *to.lock().unwrap() = request.extensions().get::<RequestPermit>().cloned();
        serve(request)
    })
}

#[tokio::test]
async fn a_permit_settles_once_and_counts_whole_without_a_word() {
    let (limiter, _) = by_text(Quota::per_hour(1_000));
    let permit = Arc::new(Mutex::new(None));
    let service = RateLimitLayer::new(limiter.clone())
        .key(by_api_key())
        .cost(|_| [100])
        .permits()
        .headers(Headers::draft_11().on_allowed())
        .layer(handing_over(Arc::clone(&permit)));
    let asked = async || {
        let response = ask(&service, keyed_get("a")).await;
        assert_eq!(response.status(), 200);
        (response, permit.lock().unwrap().take().unwrap())
    };
    let (response, one) = asked().await;
    assert_eq!(response.headers()["ratelimit"], r#""default";r=900;t=360"#);
    assert_eq!(one.settle([1, 2]), Err(PermitError::Costs { given: 2, limits: 1 }));
    assert_eq!(one.clone().settle([30]), Ok(()));
    assert_eq!(limiter.available("a"), 970);
    assert_eq!(one.settle([0]), Err(PermitError::Ended));
    assert_eq!(one.cancel(), Err(PermitError::Ended));
    drop(one);
    assert_eq!(limiter.available("a"), 970);
    // More than was estimated is charged.
    asked().await.1.settle([170]).unwrap();
    assert_eq!(limiter.available("a"), 800);
    asked().await.1.cancel().unwrap();
    assert_eq!(limiter.available("a"), 800);
    drop(asked().await);
    assert_eq!(limiter.available("a"), 700);
    // Nobody takes it out.
    let plain = RateLimitLayer::new(limiter.clone()).key(by_api_key()).permits();
    ask(&plain.layer(service_fn(serve)), keyed_get("a")).await;
    assert_eq!(limiter.available("a"), 699);
    // Refused, there is none.
    let refused = RateLimitLayer::new(limiter.clone())
        .key(by_api_key())
        .cost(|_| [Tokens::new(700)])
        .permits()
        .layer(handing_over(Arc::clone(&permit)));
    assert_eq!(ask(&refused, keyed_get("a")).await.status(), 429);
    assert!(permit.lock().unwrap().is_none());
}

/// What is made of a quota is kept for later responses, and must not be kept for longer than the quota.
#[tokio::test]
async fn fields_tell_of_the_quota_in_force_after_each_change() {
    let clock = Clock::default();
    let (direct, _) = bucket(Quota::per_minute(60));
    let keyed =
        KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(60), clock.clone()).unwrap();
    let headers = Headers::draft_11().by_name().x_ratelimit().on_allowed();
    let by_none = RateLimitLayer::new(direct.clone()).headers(headers).layer(service_fn(serve));
    let layer = RateLimitLayer::new(keyed.clone()).key(by_api_key()).headers(headers);
    let (by_key, on_set) = (layer.clone().layer(service_fn(serve)), layer.permits());
    let on_set = on_set.layer(service_fn(serve));
    for limit in [60, 30, 120, 60] {
        direct.set_quota(Quota::per_minute(limit), Fill::Keep).unwrap();
        keyed.set_quota(Quota::per_minute(limit)).unwrap();
        for response in [
            ask(&by_none, get("/")).await,
            ask(&by_none, get("/")).await,
            ask(&by_key, keyed_get("a")).await,
            ask(&by_key, keyed_get("a")).await,
            ask(&on_set, keyed_get("a")).await,
        ] {
            let fields = response.headers();
            assert_eq!(fields["ratelimit-policy"], format!(r#""default";q={limit};w=60"#).as_str());
            assert_eq!(fields["x-ratelimit-limit"], limit.to_string().as_str());
            assert_eq!(fields["x-ratelimit-limit-default"], limit.to_string().as_str());
        }
    }
    // The same layer with other fields tells these.
    let seven = RateLimitLayer::new(direct).headers(Headers::draft_7().on_allowed());
    let first = ask(&seven.layer(service_fn(serve)), get("/")).await;
    assert_eq!(first.headers()["ratelimit-policy"], "60;w=60");
    let eleven = seven.headers(Headers::draft_11().on_allowed()).layer(service_fn(serve));
    let second = ask(&eleven, get("/")).await;
    assert_eq!(second.headers()["ratelimit-policy"], r#""default";q=60;w=60"#);
}

/// The field of two limits whose names differ only in what no field's name can have is the first one's.
#[tokio::test]
async fn a_field_by_name_comes_once() {
    let limit = |per_hour| boxed::<()>(bucket(Quota::per_hour(per_hour)).0);
    let set = LimitSet::of([("a b", limit(2)), ("a-b", limit(1)), ("c", limit(9))]);
    let layer = RateLimitLayer::of(set).unwrap();
    let service = layer.headers(Headers::none().by_name().on_allowed()).layer(service_fn(serve));
    for status in [200, 429] {
        let response = ask(&service, get("/")).await;
        assert_eq!(response.status(), status);
        let all = |name| response.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("x-ratelimit-limit-a-b"), ["2"]);
        assert_eq!(all("x-ratelimit-limit-c"), ["9"]);
    }
}

/// What one's own answer has set stays, and is there once.
#[tokio::test]
async fn fields_that_an_answer_has_set_stay() {
    let (limiter, _) = bucket(Quota::per_hour(1));
    let layer = RateLimitLayer::new(limiter).answer(Answer::with(|refusal| {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = refusal.status();
        response.headers_mut().insert("retry-after", "7".parse().unwrap());
        response
    }));
    let service = layer.layer(service_fn(serve));
    ask(&service, get("/")).await;
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.headers().get_all("retry-after").iter().collect::<Vec<_>>(), ["7"]);
    assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=3600"#);
}

#[tokio::test]
async fn grpc_calls_are_answered_in_trailers_alone() {
    let (limiter, _) = bucket(Quota::per_hour(3_600).burst(1));
    limiter.drain();
    let service = RateLimitLayer::new(limiter).answer(Answer::problem()).layer(service_fn(serve));
    for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"] {
        let call = Request::post("/a.B/C").header("content-type", kind).body(()).unwrap();
        let refused = ask(&service, call).await;
        assert_eq!(refused.status(), 200);
        assert_eq!(refused.headers()["content-type"], kind);
        assert_eq!(refused.headers()["grpc-status"], "8");
        assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "1000");
        assert_eq!(text(refused).await, "");
    }
    for kind in ["application/grpcish", "application/json"] {
        let call = Request::post("/").header("content-type", kind).body(()).unwrap();
        assert_eq!(ask(&service, call).await.status(), 429, "{kind}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_told_so_in_its_own_way() {
    let (limiter, _) = by_text(Quota::per_hour(2));
    let layer =
        RateLimitLayer::new(limiter).key(by_api_key()).headers(Headers::draft_11().on_allowed());
    let service = layer.clone().answer(Answer::problem()).layer(service_fn(serve));
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(!refused.headers().contains_key("ratelimit"));
    let body: serde_json::Value = serde_json::from_str(&text(refused).await).unwrap();
    assert_eq!((&body["type"], &body["status"]), (&"about:blank".into(), &400.into()));

    let call = Request::post("/a.B/C").header("content-type", "application/grpc").body(()).unwrap();
    let refused = ask(&service, call).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["grpc-status"]),
        (200, &"3".parse().unwrap())
    );

    let own = Answer::with(|refusal| {
        assert_eq!((refusal.reason(), refusal.retry_after()), (Reason::WithoutKey, None));
        Response::builder().status(401).body(Bytes::new()).unwrap()
    });
    assert_eq!(ask(&layer.answer(own).layer(service_fn(serve)), get("/")).await.status(), 401);
}

/// Row 28 (limitador #466): a capacity of nothing is no limiter, and a bucket of one token is no more than that.
#[tokio::test]
async fn no_setting_means_that_nothing_is_enforced() {
    assert!(TokenBucket::new(Quota::per_second(1).burst(0)).is_err());
    let (limiter, _) = bucket(Quota::per_hour(1));
    let service = RateLimitLayer::new(limiter)
        .cost(|_| [u64::MAX])
        .headers(Headers::none())
        .layer(service_fn(serve));
    let refused = ask(&service, get("/")).await;
    assert_eq!(refused.status(), 429);
    assert!(!refused.headers().contains_key("ratelimit"));
}

#[test]
fn keys_are_counted_by_name_for_gauges() {
    let (one, _) = by_text(Quota::per_hour(2));
    let (other, _) = by_text(Quota::per_hour(2));
    one.try_consume("a", 1).unwrap();
    other.try_consume("a", 1).unwrap();
    other.try_consume("b", 1).unwrap();
    let layer = RateLimitLayer::named("free", one).unwrap().key(by_api_key());
    let layer = layer.tier(|_| false, LimitSet::of([("gold", boxed(other))])).unwrap();
    assert_eq!(layer.keys_held().collect::<Vec<_>>(), [("free", 1), ("gold", 2)]);
}

#[test]
fn what_is_shown_for_logs_holds_no_secret() {
    let request =
        Request::get("/chat?key=k-secret").header("x-api-key", "k-secret").body(()).unwrap();
    let head = flowgate::http::RequestHead::of(&request);
    let (limiter, _) = by_text(Quota::per_hour(2));
    limiter.try_consume("k-secret", 1).unwrap();
    let layer = RateLimitLayer::new(limiter)
        .key(by_api_key())
        .without_key(WithoutKey::Share("k-secret".into()));
    let logged = flowgate::http::LoggedKey::of("k-secret");
    let without = WithoutKey::Share("k-secret".to_owned());
    for shown in [
        format!("{head:?}"),
        format!("{layer:?}"),
        format!("{:?}", layer.layer(())),
        format!("{logged:?} {logged}"),
        format!("{without:?}"),
    ] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
