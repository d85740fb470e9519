//! Forwarding header fields that clients make up.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/mod.rs"]
mod support;

use std::net::{IpAddr, SocketAddr};

use flowgate::http::{ClientIp, Forwarding, Key, PeerAddr, RateLimit, RateLimitLayer, RequestHead};
use flowgate::{KeyedLimiter, ManualClock, Quota};
use http::{HeaderValue, Request};
use proptest::prelude::*;
use support::{Body, ask, serve};
use tower::{Layer, Service, service_fn};

const CLIENT: &str = "203.0.113.9";
const PROXY: &str = "10.0.0.1";

fn trusting() -> ClientIp {
    ClientIp::trusting(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn request(peer: &str, name: &str, lines: &[Vec<u8>]) -> Request<()> {
    let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
    let mut request = Request::get("/").extension(PeerAddr(peer));
    for line in lines {
        // What HTTP lets through: no control characters but a tab.
        if let Ok(value) = HeaderValue::from_bytes(line) {
            request = request.header(name, value);
        }
    }
    request.body(()).unwrap()
}

/// What a client may write: bytes of all kinds, and pieces of the syntax put together anyhow.
fn made_up() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "\"",
        "\\",
        ",",
        ";",
        "=",
        ":",
        "[",
        "]",
        " ",
        "\t",
        "for=",
        "For=\"",
        "by=",
        "proto=http",
        "unknown",
        "_hidden",
        "10.0.0.9",
        "1.2.3.4",
        "1.2.3.4:80",
        "203.0.113.9",
        "[fd00::1]",
        "2001:db8::1",
        "[2001:db8::1]:80",
        "::ffff:1.2.3.4",
        "0x7f.1",
        "1.2.3.4.5",
        "999.1.1.1",
        "%eth0",
        "\u{e9}",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

fn key_of(key: &ClientIp, request: &Request<()>) -> IpAddr {
    key.key(&RequestHead::of(request)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever a client sends ahead, in the line that the proxy adds to or in lines before: the key is the address that the
    /// proxy saw. And whatever it sends by itself, to a server that it reaches directly.
    #[test]
    fn nothing_that_a_client_makes_up_changes_its_key(
        lines in prop::collection::vec(made_up(), 0..4),
        is_same_line in any::<bool>(),
        has_port in any::<bool>(),
    ) {
        for (name, forwarding, prefix) in [
            ("x-forwarded-for", Forwarding::XForwardedFor, ""),
            ("forwarded", Forwarding::Forwarded, "for="),
        ] {
            let key = trusting().reading(forwarding);
            let direct = request(CLIENT, name, &lines);
            prop_assert_eq!(key_of(&key, &direct).to_string(), CLIENT);

            let port = if has_port { ":4711" } else { "" };
            let seen = match has_port && !prefix.is_empty() {
                true => format!("{prefix}\"{CLIENT}{port}\""),
                false => format!("{prefix}{CLIENT}{port}"),
            };
            // Of what a proxy does not let through, nothing arrives.
            let mut lines: Vec<_> =
                lines.iter().filter(|line| HeaderValue::from_bytes(line).is_ok()).cloned().collect();
            match lines.last_mut() {
                Some(line) if is_same_line => line.extend_from_slice(format!(", {seen}").as_bytes()),
                _ => lines.push(seen.into_bytes()),
            }
            let through_proxy = request(PROXY, name, &lines);
            prop_assert_eq!(key_of(&key, &through_proxy).to_string(), CLIENT);
        }
    }
}

fn one_an_hour() -> RateLimit<
    impl Service<
        Request<()>,
        Response = http::Response<Body>,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone,
    IpAddr,
    1,
    ClientIp,
> {
    let limiter = KeyedLimiter::with_clock(Quota::per_hour(1), ManualClock::new()).unwrap();
    RateLimitLayer::new(limiter).key(trusting()).layer(service_fn(serve))
}

/// Row 32: status-list-server #540.
#[tokio::test]
async fn a_thousand_made_up_addresses_are_one_client() {
    let service = one_an_hour();
    let mut allowed = 0;
    for nth in 0..1_000_u32 {
        let made_up = std::net::Ipv4Addr::from_bits(nth.wrapping_mul(2_654_435_761));
        let line = format!("{made_up}, 10.0.0.5, {CLIENT}");
        let response = ask(&service, request(PROXY, "x-forwarded-for", &[line.into()])).await;
        allowed += u32::from(response.status() == 200);
    }
    assert_eq!(allowed, 1);
}
