//! The layer: requests and tokens per minute, by account, as its tier says.

use flowgate::http::{Headers, Key, Metrics, RateLimitLayer, RequestHead};
use flowgate::{LimitSet, Standing};

use crate::config::{Config, Tier};
use crate::door::Caller;
use crate::options::Parts;

/// Requests, and tokens, by the account's number.
type Budgets = LimitSet<usize, 2>;

/// Whom the door let in. The layer's key is what the door found, so nobody can make up keys.
#[derive(Clone, Copy)]
pub(crate) struct ByCaller;

impl Key for ByCaller {
    type Of = usize;
    type Found<'r> = usize;

    fn key(&self, head: &RequestHead<'_>) -> Option<usize> {
        head.extensions().get::<Caller>().map(|caller| caller.account)
    }
}

pub(crate) type Layer = RateLimitLayer<usize, 2, ByCaller>;

/// The layer, and the budgets in it, which the page shows.
pub(crate) struct Limits {
    layer: Layer,
    by_tier: Vec<Budgets>,
}

impl Limits {
    pub(crate) fn new(config: &Config, parts: Parts) -> Result<Self, Box<dyn std::error::Error>> {
        let by_tier = config.tiers.iter().map(budgets).collect::<Result<Vec<_>, _>>()?;
        let (first, others) = by_tier.split_first().ok_or("there is no tier")?;
        let mut layer = RateLimitLayer::of(first.clone())?;
        for (place, set) in (1..).zip(others) {
            let is_of_tier = move |head: &RequestHead<'_>| {
                head.extensions().get::<Caller>().is_some_and(|caller| caller.tier == place)
            };
            layer = layer.tier(is_of_tier, set.clone())?;
        }
        let layer = layer.key(ByCaller).cost(|head| {
            let estimate = head.extensions().get::<Caller>().map_or(0, |caller| caller.estimate);
            [1, estimate]
        });
        let mut headers = if parts.draft { Headers::draft_11() } else { Headers::none() };
        if parts.names {
            headers = headers.by_name();
        }
        let mut layer = layer.headers(headers.on_allowed());
        if parts.settlement {
            layer = layer.permits();
        }
        if parts.metrics {
            layer = layer.observe(Metrics);
        }
        Ok(Self { layer, by_tier })
    }

    pub(crate) fn layer(&self) -> &Layer {
        &self.layer
    }

    pub(crate) fn standing(&self, account: usize, tier: usize) -> [Standing; 2] {
        self.by_tier[tier].standing(&account)
    }
}

fn budgets(tier: &Tier) -> Result<Budgets, String> {
    Budgets::per_key([("requests", tier.requests), ("tokens", tier.tokens)])
        .map_err(|error| format!("tier {}: {error}", tier.name))
}
