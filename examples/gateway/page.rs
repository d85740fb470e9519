//! The page at `/`, and the numbers that it asks for.

use flowgate::{Quota, Standing};
use serde::Serialize;

use crate::config::{Account, Tier};

pub(crate) const HTML: &str = include_str!("page.html");

/// An account's line on the page. It has no key in it.
#[derive(Serialize)]
pub(crate) struct Budget {
    owner: String,
    tier: String,
    requests: Level,
    tokens: Level,
    allowed: u64,
    denied: u64,
}

#[derive(Serialize)]
struct Level {
    available: u64,
    capacity: u64,
    quota: Quota,
    full_in_secs: u64,
}

impl Budget {
    pub(crate) fn new(
        account: &Account,
        tier: &Tier,
        standing: [Standing; 2],
        counts: [u64; 2],
    ) -> Self {
        let [requests, tokens] = standing;
        let [allowed, denied] = counts;
        Self {
            owner: account.owner.clone(),
            tier: tier.name.clone(),
            requests: Level::new(requests, tier.requests),
            tokens: Level::new(tokens, tier.tokens),
            allowed,
            denied,
        }
    }
}

impl Level {
    fn new(standing: Standing, quota: Quota) -> Self {
        let full_after = standing.full_after();
        Self {
            available: standing.available().whole(),
            capacity: standing.capacity().whole(),
            quota,
            full_in_secs: full_after.as_secs() + u64::from(full_after.subsec_nanos() > 0),
        }
    }
}
