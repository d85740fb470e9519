//! The layer in front of servers of axum, hyper and tonic, asked over sockets by clients of hyper and tonic.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use bytes::Bytes;
use flowgate::http::{ClientIp, HeaderKey, Headers, Key, PeerAddr, RateLimitLayer};
use flowgate::{KeyedLimiter, LimitSet, Quota, TokenBucket};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, service_fn};

type Body = Full<Bytes>;

/// A server that goes away at the end of the test's runtime.
async fn serve_axum(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn by_connection() -> impl Key<Of = IpAddr> + Clone {
    ClientIp::new().peer(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address)
}

fn client(version: Version) -> Client<HttpConnector, Body> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(version == Version::HTTP_2).build_http()
}

async fn ask(client: &Client<HttpConnector, Body>, request: Request<Body>) -> Response<String> {
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
}

fn get_from(address: SocketAddr, path: &str) -> Request<Body> {
    Request::get(format!("http://{address}{path}")).body(Body::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_never_serves_more_than_the_limit_over_any_number_of_connections() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&served);
        let limiter = KeyedLimiter::<IpAddr>::new(Quota::per_day(50)).unwrap();
        let app = Router::new()
            .route(
                "/",
                get(async move || {
                    counts.fetch_add(1, Ordering::Relaxed);
                    "served"
                }),
            )
            .layer(
                RateLimitLayer::new(limiter.clone())
                    .key(by_connection())
                    .headers(Headers::draft_11().on_allowed()),
            );
        let address = serve_axum(app).await;
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..20 {
            // A connection each.
            let client = client(version);
            requests.spawn(async move {
                let mut allowed = 0;
                for _ in 0..10 {
                    let response = ask(&client, get_from(address, "/")).await;
                    assert_eq!(response.version(), version);
                    match response.status() {
                        StatusCode::OK => {
                            assert_eq!(response.body(), "served");
                            allowed += 1;
                        }
                        status => {
                            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                            let wait: u64 = response.headers()["retry-after"]
                                .to_str()
                                .unwrap()
                                .parse()
                                .unwrap();
                            assert!((1..=1_728).contains(&wait));
                            let body =
                                format!(r#"{{"error":"rate_limited","retry_after":{wait}}}"#);
                            assert_eq!(*response.body(), body);
                            assert_eq!(
                                response.headers()["content-length"],
                                body.len().to_string()
                            );
                            let left = format!(r#""default";r=0;t={wait}"#);
                            assert_eq!(response.headers()["ratelimit"], left);
                        }
                    }
                }
                allowed
            });
        }
        let allowed: usize = requests.join_all().await.into_iter().sum();
        assert_eq!((allowed, served.load(Ordering::Relaxed)), (50, 50));
        assert_eq!(limiter.len(), 1);
    }
}

/// Row 32, over a connection: the client reaches the server by itself, or through a proxy on this machine.
#[tokio::test]
async fn a_client_is_one_client_whatever_it_says_it_is() {
    let app = |key: ClientIp| {
        let key = key.peer(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address);
        let limiter = KeyedLimiter::<IpAddr>::new(Quota::per_day(1)).unwrap();
        Router::new()
            .route("/", get(async || "served"))
            .layer(RateLimitLayer::new(limiter).key(key))
    };
    let direct = serve_axum(app(ClientIp::trusting(["10.0.0.0/8".parse().unwrap()]))).await;
    let behind = serve_axum(app(ClientIp::trusting(["127.0.0.0/8".parse().unwrap()]))).await;
    let client = client(Version::HTTP_11);
    for (address, by_proxy) in [(direct, ""), (behind, ", 203.0.113.9")] {
        let mut statuses = Vec::new();
        for made_up in ["1.1.1.1", "2.2.2.2", "127.0.0.1", "\"", "garbage"] {
            let mut request = get_from(address, "/");
            let headers = request.headers_mut();
            headers.insert("x-forwarded-for", format!("{made_up}{by_proxy}").parse().unwrap());
            headers.insert("forwarded", format!("for={made_up}").parse().unwrap());
            headers.insert("x-real-ip", made_up.parse().unwrap());
            statuses.push(ask(&client, request).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 429, 429, 429, 429]);
    }
    // Another client behind the same proxy has its own.
    let mut request = get_from(behind, "/");
    request.headers_mut().insert("x-forwarded-for", "203.0.113.10".parse().unwrap());
    assert_eq!(ask(&client, request).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let limiter = KeyedLimiter::<IpAddr>::new(Quota::per_day(1)).unwrap();
    let app = Router::new()
        .route("/", post(async |body: String| body))
        .layer(RateLimitLayer::new(limiter).key(by_connection()));
    let address = serve_axum(app).await;
    let mut request = get_from(address, "/");
    *request.method_mut() = http::Method::POST;
    assert_eq!(ask(&client(Version::HTTP_11), request).await.status(), 200);

    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut start = [0; 12];
    let read = stream.read_exact(&mut start);
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 429");
}

#[cfg(feature = "async")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_while_it_waits_gives_back() {
    use flowgate::AnyRuntime;

    for version in [Version::HTTP_11, Version::HTTP_2] {
        let limiter = Arc::new(TokenBucket::new(Quota::per_minute(1)).unwrap());
        let app = Router::new().route("/", get(async || "served")).layer(
            RateLimitLayer::new(limiter.clone()).wait(Duration::from_secs(600), 10, AnyRuntime),
        );
        let address = serve_axum(app).await;
        assert_eq!(ask(&client(version), get_from(address, "/")).await.status(), 200);
        let wait = || limiter.time_until_available(1).unwrap();
        let until = async |holds: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !holds() {
                assert!(start.elapsed() < Duration::from_secs(20), "{:?}", wait());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let clients = [client(version), client(version), client(version)];
        let requests = clients
            .map(|client| tokio::spawn(async move { ask(&client, get_from(address, "/")).await }));
        // Three wait: who came now would for four minutes or so.
        until(&|| wait() > Duration::from_secs(181)).await;
        for request in requests {
            // Its connection closes, or its stream is reset.
            request.abort();
        }
        until(&|| wait() <= Duration::from_secs(60)).await;
    }
}

#[tokio::test]
async fn hyper_serves_it_over_both_versions() {
    let limiter = KeyedLimiter::<IpAddr>::new(Quota::per_day(2)).unwrap();
    let layer = RateLimitLayer::new(limiter).key(ClientIp::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let limited = layer.layer(service_fn(async |_: Request<Incoming>| {
                Ok::<_, std::convert::Infallible>(Response::new(Body::from("served")))
            }));
            // Each request is told of its connection.
            let service =
                tower::util::MapRequest::new(limited, move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                });
            tokio::spawn(async move {
                let service = TowerToHyperService::new(service);
                let builder = auto::Builder::new(TokioExecutor::new());
                builder.serve_connection(TokioIo::new(stream), service).await.map_err(drop)
            });
        }
    });
    let (one, two) = (client(Version::HTTP_11), client(Version::HTTP_2));
    for (client, status) in [(&one, 200), (&two, 200), (&one, 429), (&two, 429)] {
        let response = ask(client, get_from(address, "/")).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.body() == "served", status == 200);
    }
}

#[tokio::test]
async fn tonic_clients_see_resource_exhausted_with_retry_info() {
    use tonic::Code;
    use tonic::transport::server::TcpConnectInfo;
    use tonic::transport::{Endpoint, Server};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_types::StatusExt;

    let limiter = KeyedLimiter::<IpAddr>::new(Quota::per_hour(2)).unwrap();
    let by_connection = ClientIp::new().peer(|info: &TcpConnectInfo| info.remote_addr());
    let layer =
        RateLimitLayer::new(limiter).key(by_connection).headers(Headers::draft_11().on_allowed());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(Server::builder().layer(layer).add_service(health).serve_with_incoming(incoming));

    let channel = Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    for _ in 0..2 {
        let response = client.check(HealthCheckRequest::default()).await.unwrap();
        assert!(response.metadata().contains_key("ratelimit"));
    }
    let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "rate limited"));
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::from_secs(1_700) && wait <= Duration::from_secs(1_800), "{wait:?}");
    let policy = status.metadata().get("ratelimit-policy").unwrap();
    assert_eq!(policy, r#""default";q=2;w=3600"#);
    // A stream of answers is refused in the same way.
    let status = client.watch(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_set_of_limits_stands_before_a_part_of_an_app() {
    let budget = LimitSet::<str, 2>::per_key([
        ("requests", Quota::per_day(10)),
        ("tokens", Quota::per_day(1_000)),
    ])
    .unwrap();
    let layer = RateLimitLayer::of(budget.clone())
        .unwrap()
        .key(HeaderKey::bearer())
        .cost(|head| [1, head.content_length().unwrap_or(0)])
        .headers(Headers::none().by_name().on_allowed());
    let app = Router::new()
        .route("/chat", post(async |body: String| body))
        .route_layer(layer)
        .route("/health", get(async || "well"));
    let address = serve_axum(app).await;
    let client = client(Version::HTTP_11);
    let chat = |length: usize| {
        let request = Request::post(format!("http://{address}/chat"));
        let request = request.header("authorization", "Bearer k1");
        request.body(Body::from("x".repeat(length))).unwrap()
    };
    let response = ask(&client, chat(600)).await;
    assert_eq!((response.status().as_u16(), response.body().len()), (200, 600));
    assert_eq!(response.headers()["x-ratelimit-remaining-tokens"], "400");
    assert_eq!(response.headers()["x-ratelimit-limit-requests"], "10");
    let response = ask(&client, chat(600)).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-ratelimit-remaining-requests"], "9");
    assert_eq!(budget.available("k1")[1].whole(), 400);
    let response = ask(&client, get_from(address, "/health")).await;
    assert_eq!((response.status().as_u16(), response.headers().len()), (200, 3));
}
