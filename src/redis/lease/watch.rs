//! Who watches a service is told when its store goes away and when it is back: as a log line, and as a gauge.

use crate::redis::StoreError;

#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(super) fn goes_down(error: &StoreError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "flowgate", %error, "the shared store of rate limits is away");
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("flowgate_store_down").set(1.0);
        metrics::counter!("flowgate_store_outages_total").increment(1);
    }
}

pub(super) fn is_up_again() {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "flowgate", "the shared store of rate limits is back");
    #[cfg(feature = "metrics")]
    metrics::gauge!("flowgate_store_down").set(0.0);
}
