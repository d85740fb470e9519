//! What the layer tells of its decisions: by the names of the limits, never by key.
#![cfg(all(feature = "metrics", feature = "tracing", feature = "tokio"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::http::{HeaderKey, Metrics, RateLimit, RateLimitLayer, Tracing};
use flowgate::{KeyedLimiter, Limit, LimitSet, Quota, TokioClock, TokioTimer};
use http::{Request, Response};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use support::{Body, ask, get, serve};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn keyed_get(key: &str) -> Request<()> {
    Request::get("/").header("x-api-key", key).body(()).unwrap()
}

type Limited<S> = RateLimit<S, str, 2, HeaderKey>;

/// Two limits, of which the first one waits for.
fn layer() -> RateLimitLayer<str, 2, HeaderKey> {
    let limit = |quota| {
        let limiter = KeyedLimiter::<String, _, _>::with_clock(quota, TokioClock::new()).unwrap();
        Box::new(limiter) as Box<dyn Limit<str> + Send + Sync>
    };
    let set = LimitSet::of([
        ("requests", limit(Quota::per_minute(1))),
        ("tokens", limit(Quota::per_day(10))),
    ]);
    RateLimitLayer::of(set).unwrap().key(HeaderKey::new("x-api-key").unwrap()).wait(
        90 * SECOND,
        1,
        TokioTimer,
    )
}

/// Two are let through, the second after a minute; one gives up; one is refused, since there is room for one.
async fn everything<S>(service: &Limited<S>)
where
    S: Service<Request<()>, Response = Response<Body>, Error = std::convert::Infallible> + Clone,
{
    assert_eq!(ask(service, keyed_get("secret")).await.status(), 200);
    assert_eq!(ask(service, keyed_get("secret")).await.status(), 200);
    let gone = service.clone().oneshot(keyed_get("secret"));
    assert!(tokio::time::timeout(SECOND, gone).await.is_err());
    let waits = tokio::time::timeout(SECOND, service.clone().oneshot(keyed_get("secret")));
    let refused = async {
        tokio::task::yield_now().await;
        ask(service, keyed_get("secret")).await.status()
    };
    let (gone, refused) = tokio::join!(waits, refused);
    assert!(gone.is_err());
    assert_eq!(refused, 429);
    assert_eq!(ask(service, get("/")).await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_by_policy_and_never_by_key() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let layer = layer().observe(Metrics);
    everything(&layer.layer(service_fn(serve))).await;
    let shadow = layer.clone().shadow().layer(service_fn(serve));
    assert_eq!(ask(&shadow, keyed_get("secret")).await.status(), 200);
    Metrics.keys(layer.keys_held());

    let mut found = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("a histogram"),
        };
        found.insert(format!("{} {}", key.key().name(), labels.join(" ")), value);
    }
    let expected = [
        ("flowgate_decisions_total  without_key", 1.0),
        ("flowgate_decisions_total requests allowed", 2.0),
        ("flowgate_decisions_total requests denied", 1.0),
        ("flowgate_decisions_total requests gave_up", 2.0),
        ("flowgate_decisions_total requests shadow_denied", 1.0),
        ("flowgate_decisions_total requests waiting", 3.0),
        ("flowgate_decisions_total tokens allowed", 2.0),
        ("flowgate_keys requests", 1.0),
        ("flowgate_keys tokens", 1.0),
        ("flowgate_waiting requests", 0.0),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn tracing_tells_of_decisions_and_never_of_keys() {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || to.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    everything(&layer().observe(Tracing).layer(service_fn(serve))).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        count(r#"TRACE flowgate: rate limit decision="allowed" policies=["requests", "tokens"]"#),
        2
    );
    assert_eq!(count(r#"DEBUG flowgate: rate limit decision="denied" policies=["requests"]"#), 1);
    assert_eq!(count(r#"decision="gave_up""#), 2);
    assert_eq!(count(r#"decision="without_key""#), 1);
    assert!(!text.contains("secret"), "{text}");
}
