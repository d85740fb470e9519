//! What is asked of a store when tokens are leased, and what it tells. Amounts are whole *grains*: see
//! [`Scale`](super::super::scale).

use core::future::Future;

use crate::redis::StoreError;

/// Asks for tokens of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// With less than this nothing is taken. At least 1.
    pub(crate) least: u64,
    /// No more than this is taken.
    pub(crate) most: u64,
    /// Taken first, into debt if need be: what was used and could not be taken locally.
    pub(crate) charge: u64,
    /// What this process knows of the bucket, against a store that has lost its data.
    pub(crate) hint: Option<Hint>,
}

/// What a process was told of a bucket last.
///
/// The store takes the bucket's level to be at most `level` plus the refill since `server_us`, and at most `ceiling`. Without loss of
/// data, and without steps of its clock, neither changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// In the store's units of level, below zero in debt.
    pub(crate) level: i64,
    /// By the store's clock.
    pub(crate) server_us: u64,
    /// The most that the level can be by this process's own clock when the call is carried out.
    pub(crate) ceiling: i64,
}

/// What the store tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Between `least` and `most`, or 0.
    pub(crate) granted: u64,
    /// What is left in the bucket, in the store's units of level; below zero in debt.
    pub(crate) level: i64,
    /// When, by the store's clock.
    pub(crate) server_us: u64,
    /// If nothing was granted: how long until `least` is there.
    pub(crate) wait_us: u64,
}

/// Who leases tokens: a store, or a model of one in tests.
pub(crate) trait Lessor: Send + Sync + 'static {
    /// Carries the ask out once, or says why no answer came. Ends within the store's timeout.
    fn lease(&self, key: &[u8], ask: Ask) -> impl Future<Output = Result<Told, StoreError>> + Send;
}
