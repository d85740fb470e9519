//! What a limiter answers when it does not deny.

use core::time::Duration;

use crate::algorithm::{Algorithm, Rules, Wait};
use crate::bucket::{Grant, Read};
use crate::quota::Quota;
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
        self.grant.terms.left(self.grant.left, self.grant.now_ns).available
    }

    /// Tells whether it was let through without being counted: only by a limit whose store was away, and which was told to do so
    /// then (`redis::WhenDown::Allow`).
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.grant.terms.is_degraded(self.grant.left)
    }

    /// What is left, and when the bucket is full.
    #[cfg(feature = "std")]
    pub(crate) fn remaining_and_full(&self) -> (Tokens, Wait) {
        let left = self.grant.terms.left(self.grant.left, self.grant.now_ns);
        (left.available, left.full)
    }

    /// Computes how long until what was granted may go: at once, but from a
    /// [`LeakyQueue`](crate::LeakyQueue). From the time of the call.
    #[must_use]
    pub fn departs_after(&self) -> Duration {
        let left = self.grant.terms.left(self.grant.left, self.grant.now_ns);
        Duration::from_nanos(left.departs_ns)
    }

    /// Computes how long until the bucket is full again if nobody else takes tokens.
    #[must_use]
    pub fn full_after(&self) -> Duration {
        self.grant.terms.left(self.grant.left, self.grant.now_ns).full.duration()
    }
}

/// A bucket at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<A = Quota> {
    available: Tokens,
    debt: Tokens,
    algorithm: A,
    full: Wait,
}

impl<A: Algorithm> Snapshot<A> {
    pub(crate) fn new(read: Read<<A::Rules as Rules>::Config>) -> Self {
        let Read { available, debt, full, config } = read;
        Self { available, debt, algorithm: A::from_config(config), full }
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

    /// The algorithm in force, with its numbers.
    #[must_use]
    pub fn algorithm(&self) -> A {
        self.algorithm
    }

    #[cfg(feature = "std")]
    pub(crate) fn full(&self) -> Wait {
        self.full
    }

    /// Computes how long until the bucket is full if nobody takes tokens; zero if it is.
    #[must_use]
    pub fn full_after(&self) -> Duration {
        self.full.duration()
    }
}

impl Snapshot {
    /// The quota in force.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.algorithm
    }
}
