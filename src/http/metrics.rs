//! Decisions as metrics.

use super::observe::{Event, Observe};

/// Counts decisions with the [`metrics`](https://docs.rs/metrics) crate, by the names of the limits:
///
/// | name | kind | labels |
/// |---|---|---|
/// | `flowgate_decisions_total` | counter | `policy`, and `decision`: the [name](Event::name) of `Allowed`, `Denied`, `ShadowDenied`, `Unavailable`, `Degraded`, `Waiting`, `GaveUp`; `WithoutKey` with an empty policy |
/// | `flowgate_waiting` | gauge | `policy`: who waits now |
/// | `flowgate_keys` | gauge | `policy`: the keys held, as of the last [`keys`](Self::keys) |
///
/// A request counts once for each limit that let it through, or said no. Each count looks its counter up in the recorder
/// that is installed then, and never elsewhere.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use flowgate::http::{ClientIp, Metrics, RateLimitLayer};
/// use flowgate::{KeyedLimiter, Quota};
///
/// let clients = KeyedLimiter::<IpAddr>::new(Quota::per_second(5))?;
/// let layer = RateLimitLayer::new(clients).key(ClientIp::new()).observe(Metrics);
/// // When metrics are read:
/// Metrics.keys(layer.keys_held());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics;

const DECISIONS: &str = "flowgate_decisions_total";
const WAITING: &str = "flowgate_waiting";
const KEYS: &str = "flowgate_keys";

impl Metrics {
    /// Sets the gauge of keys held to what [`RateLimitLayer::keys_held`](super::RateLimitLayer::keys_held) tells. Limits of the
    /// same name are added up.
    pub fn keys(&self, held: impl IntoIterator<Item = (&'static str, u64)>) {
        let mut by_name = std::collections::BTreeMap::<&'static str, u64>::new();
        for (name, keys) in held {
            let sum = by_name.entry(name).or_default();
            *sum = sum.saturating_add(keys);
        }
        for (name, keys) in by_name {
            // Gauges are floating-point numbers, exact up to 2^53.
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!(KEYS, "policy" => name).set(keys as f64);
        }
    }
}

impl Observe for Metrics {
    fn observe(&self, event: Event, policies: &[&'static str]) {
        if event == Event::WithoutKey {
            metrics::counter!(DECISIONS, "policy" => "", "decision" => event.name()).increment(1);
        }
        for policy in policies.iter().copied() {
            match event {
                Event::Waiting => metrics::gauge!(WAITING, "policy" => policy).increment(1.0),
                Event::Waited | Event::GaveUp => {
                    metrics::gauge!(WAITING, "policy" => policy).decrement(1.0);
                }
                _ => {}
            }
            if event != Event::Waited {
                metrics::counter!(DECISIONS, "policy" => policy, "decision" => event.name())
                    .increment(1);
            }
        }
    }
}
