//! What a limiter answers when it does not deny.

use core::time::Duration;

use crate::algorithm::Wait;
use crate::bucket::Grant;
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// What a successful call took, and what it left.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{ManualClock, Quota, TokenBucket};
///
/// let limiter = TokenBucket::with_clock(Quota::per_second(2).burst(10), ManualClock::new())?;
/// let granted = limiter.try_consume(3).unwrap();
/// assert_eq!(granted.remaining(), 7);
/// assert_eq!(granted.full_after(), Duration::from_millis(1_500));
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    grant: Grant<'a>,
}

impl<'a> Granted<'a> {
    #[inline]
    pub(crate) fn new(grant: Grant<'a>) -> Self {
        Self { grant }
    }

    /// Computes the tokens left right after this call. If the quota was changed twice since, by a later
    /// quota.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> Tokens {
        self.grant.left().0
    }

    /// Computes how long until the bucket is full again if nobody else takes tokens.
    #[must_use]
    pub fn full_after(&self) -> Duration {
        self.grant.left().1.duration()
    }
}

/// A bucket at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    available: Tokens,
    debt: Tokens,
    quota: Quota,
    full: Wait,
}

impl Snapshot {
    pub(crate) fn new(terms: &Terms, (level, full, quota): (u64, Wait, Quota)) -> Self {
        let layout = &terms.layout;
        let available = terms.tokens(level.saturating_sub(layout.zero));
        // From a time before the stored one a debt can look deeper than it ever is.
        let debt_units = layout.zero.saturating_sub(level).min(layout.debt_units);
        Self { available, debt: terms.tokens(debt_units), quota, full }
    }

    /// The tokens that a call could take; zero while in debt.
    #[must_use]
    pub fn available(&self) -> Tokens {
        self.available
    }

    /// The tokens that must arrive before there are any to take; zero as a rule.
    #[must_use]
    pub fn debt(&self) -> Tokens {
        self.debt
    }

    /// The quota in force.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Computes how long until the bucket is full if nobody takes tokens; zero if it is.
    #[must_use]
    pub fn full_after(&self) -> Duration {
        self.full.duration()
    }
}
