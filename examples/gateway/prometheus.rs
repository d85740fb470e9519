//! `/metrics`: what the layer counts, and what estimates were worth, as Prometheus reads it.

use flowgate::http::Metrics;
use metrics::{counter, describe_counter, describe_gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::limits::Limits;

const TOKENS: &str = "gateway_tokens_total";

/// Puts a recorder in place for this process.
pub(crate) fn install() -> Result<PrometheusHandle, Box<dyn std::error::Error>> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_counter!("flowgate_decisions_total", "What limits decided.");
    describe_gauge!("flowgate_keys", "The keys that limits hold.");
    describe_counter!(TOKENS, "Tokens of requests that were served: reserved, and used.");
    Ok(handle)
}

pub(crate) fn count_tokens(reserved: u64, used: u64) {
    counter!(TOKENS, "kind" => "reserved").increment(reserved);
    counter!(TOKENS, "kind" => "used").increment(used);
}

pub(crate) fn render(handle: &PrometheusHandle, limits: &Limits) -> String {
    Metrics.keys(limits.layer().keys_held());
    handle.render()
}
