//! Decisions as tracing events.

use super::observe::{Event, Observe};

/// Tells of decisions by the [`tracing`](https://docs.rs/tracing) crate, with the target `flowgate`: refusals, real and in
/// shadow mode, what a store that is away decided, requests without a key and those that gave up at `DEBUG`, all others at `TRACE`. The policies are named, keys
/// never.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use flowgate::http::{ClientIp, RateLimitLayer, Tracing};
/// use flowgate::{KeyedLimiter, Quota};
///
/// let clients = KeyedLimiter::<IpAddr>::new(Quota::per_second(5))?;
/// let layer = RateLimitLayer::new(clients).key(ClientIp::new()).observe(Tracing);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observe for Tracing {
    fn observe(&self, event: Event, policies: &[&'static str]) {
        let decision = event.name();
        match event {
            Event::Denied
            | Event::ShadowDenied
            | Event::Unavailable
            | Event::Degraded
            | Event::WithoutKey
            | Event::GaveUp => {
                tracing::debug!(target: "flowgate", decision, ?policies, "rate limit");
            }
            _ => tracing::trace!(target: "flowgate", decision, ?policies, "rate limit"),
        }
    }
}
