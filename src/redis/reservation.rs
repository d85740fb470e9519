//! What was taken from several limits, to be settled.

use std::vec::Vec;

use super::error::StoreError;
use super::set::RedisLimitSet;
use crate::tokens::Tokens;
use crate::wait::Costs;

/// What a [`RedisLimitSet`] has reserved: an estimate, to be settled when it is known what was used.
///
/// Dropped without, the estimate stays taken: what is not known never counts as nothing.
///
/// # Examples
///
/// See [`RedisLimitSet`].
#[derive(Clone, Debug)]
#[must_use = "what was reserved stays taken until it is settled"]
pub struct RedisReservation<const N: usize> {
    pub(super) set: RedisLimitSet<N>,
    pub(super) key: Vec<u8>,
    /// In grains, and when their windows started.
    pub(super) taken: [u64; N],
    pub(super) taken_in_us: [u64; N],
}

impl<const N: usize> RedisReservation<N> {
    /// Makes what was reserved cost `actual`: what is more goes back, what is missing is taken, into debt if need be. Returns what
    /// could not be taken, which is zero unless a bucket is in its deepest debt.
    ///
    /// One round trip for all limits. To windows, what is more goes back as long as that counts which it was taken from.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer: then the estimate stays taken, or the call was carried out nevertheless.
    pub async fn settle(self, actual: impl Into<Costs<N>>) -> Result<[Tokens; N], StoreError> {
        let taken = (self.taken, self.taken_in_us);
        self.set.settle(&self.key, taken, actual.into()).await
    }

    /// Gives everything back: nothing was used.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn cancel(self) -> Result<(), StoreError> {
        self.settle([Tokens::ZERO; N]).await.map(|_| ())
    }
}
