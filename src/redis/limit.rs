//! A limit, whatever its algorithm, as the script counts it.

use super::counts::Counted;
use super::rule::{Found, Rule};
use crate::algorithm::Algorithm;
use crate::answer::Granted;
use crate::bucket::Grant;
use crate::error::{Denied, Never, NotYet, QuotaError};
use crate::tokens::Tokens;

/// A limit by any [`Algorithm`], to be kept in a store: one of a [`RedisLimitSet`](super::RedisLimitSet).
///
/// Amounts are counted in the coarsest decimal part of a token of which the quota's numbers are whole: in whole tokens as a rule.
/// [`places`](Self::places) makes that finer. A cost is rounded up to it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flowgate::redis::RedisLimit;
/// use flowgate::{Quota, SlidingWindow, Tokens};
///
/// assert_eq!(RedisLimit::new(Quota::per_second(100))?.unit(), 1);
/// assert_eq!(RedisLimit::new("2.5/s".parse::<Quota>()?)?.unit(), Tokens::decimal(1, 1));
///
/// let hourly = SlidingWindow::new(1_000, Duration::from_secs(3_600));
/// assert_eq!(RedisLimit::places(hourly, 3)?.unit(), Tokens::decimal(1, 3));
///
/// // What a script cannot count exactly is refused.
/// assert!(RedisLimit::new(Quota::per_hour(7).burst(1_000_000_000)).is_err());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisLimit {
    pub(super) rule: Rule,
}

impl RedisLimit {
    /// Counts in the coarsest decimal part of a token that the quota needs.
    ///
    /// # Errors
    ///
    /// [`QuotaError::AboveExact`] if capacity × period in microseconds, both reduced as far as they can be, is not below 2^52; and
    /// whatever no limiter keeps.
    pub fn new<A: Algorithm>(algorithm: A) -> Result<Self, QuotaError> {
        Ok(Self { rule: Rule::new(algorithm.kind(), None)? })
    }

    /// Counts in 10^-`places` tokens, from 0 to 9 places.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the finer the unit, the smaller the largest capacity.
    pub fn places<A: Algorithm>(algorithm: A, places: u32) -> Result<Self, QuotaError> {
        Ok(Self { rule: Rule::new(algorithm.kind(), Some(places))? })
    }

    /// The smallest amount told apart. A cost is rounded up to it.
    #[must_use]
    pub fn unit(&self) -> Tokens {
        self.rule.tokens(1)
    }

    /// The most that one call can take.
    #[must_use]
    pub fn capacity(&self) -> Tokens {
        self.rule.tokens(self.rule.capacity_grains())
    }

    /// A cost in grains; the denial of one that can never be had.
    pub(super) fn grains(&self, cost: Tokens) -> Result<u64, Denied> {
        let grains = self.rule.grains(cost);
        if grains > self.rule.capacity_grains() {
            return Err(Denied::Never(Never { cost, capacity: self.capacity() }));
        }
        Ok(grains)
    }

    pub(super) fn granted(&self, found: &Found, now_us: u64) -> Granted<'_> {
        let (left, now_ns) = self.rule.words(found, now_us);
        Granted::new(Grant { terms: &self.rule, left, now_ns })
    }

    pub(super) fn not_yet(&self, found: &Found, now_us: u64, grains: u64) -> Denied {
        let wait_us = self.rule.wait_us(found, now_us, grains);
        Denied::NotYet(NotYet::after(0, wait_us.saturating_mul(1_000)))
    }

    /// When the window started in which something was counted; of a level it does not matter.
    pub(super) fn taken_in_us(found: &Found) -> u64 {
        match found {
            Found::Counted(Counted { start_us, .. }) => *start_us,
            Found::Level { .. } => 0,
        }
    }
}
