//! Buckets in a store, from which tokens are leased.

use super::error::StoreError;
use super::key::Name;
use super::lease::{Ask, Lessor, Told};
use super::rule::{Found, Rule};
use super::scale::Scale;
use super::script::{Asked, Part};
use super::store::RedisStore;
use crate::redis::StoreErrorKind;

/// The token buckets of one limit, one per key.
#[derive(Clone, Debug)]
pub(crate) struct BucketInStore {
    store: RedisStore,
    name: Name,
    rule: Rule,
    /// Whether a server that was started again is taken to have lost its data.
    doubts: bool,
}

impl BucketInStore {
    pub(crate) fn new(store: RedisStore, name: Name, scale: Scale, doubts: bool) -> Self {
        Self { store, name, rule: Rule::token_bucket(scale), doubts }
    }
}

impl Lessor for BucketInStore {
    async fn lease(&self, key: &[u8], ask: Ask) -> Result<Told, StoreError> {
        let Ask { least, most, charge, hint } = ask;
        let doubts = self.doubts;
        let asked = Asked::UpTo { unit: 1, least, most, charge, hint, doubts };
        let key = self.name.of_key(key);
        let part = Part { rule: &self.rule, key: &key, asked };
        let answer = self.store.decide(&[part]).await?;
        let told = answer.parts.first().and_then(|part| match part.found {
            Found::Level { level, at_us } => {
                let wait_us = match part.says {
                    0 => self.rule.wait_us(&part.found, answer.now_us, least),
                    _ => 0,
                };
                Some(Told { granted: part.says, level, server_us: at_us, wait_us })
            }
            Found::Counted(_) => None,
        });
        told.ok_or_else(|| StoreError::new(StoreErrorKind::BadReply, ""))
    }
}
