//! How a limit stands for a key.

use core::time::Duration;

use super::limit::Policy;
use crate::algorithm::Wait;
use crate::tokens::Tokens;

/// How one limit of a [`LimitSet`](super::LimitSet) stands for a key at one moment: what it takes to tell others of it.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "keyed")] {
/// use std::time::Duration;
/// use flowgate::{LimitSet, Quota};
///
/// let set = LimitSet::<str, 1>::per_key([("requests", Quota::per_hour(60).burst(10))])?;
/// let granted = set.try_consume("alice", [4]).unwrap();
/// let [requests] = granted.standing();
/// assert_eq!((requests.name(), requests.capacity(), requests.available()), ("requests", 10.into(), 6.into()));
/// // A bucket of 10 fills in 10 minutes, and the 4 that are missing come back in 4.
/// assert_eq!(requests.window(), Duration::from_secs(600));
/// assert!(requests.full_after() <= Duration::from_secs(240));
/// assert!(set.standing("bob")[0].full_after().is_zero());
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    name: &'static str,
    capacity: Tokens,
    window: Duration,
    available: Tokens,
    /// Computed only if it is asked for.
    full: Wait,
}

impl Standing {
    pub(super) fn new(name: &'static str, policy: Policy, available: Tokens, full: Wait) -> Self {
        let Policy { capacity, window } = policy;
        // A striped bucket may hold more than one call can take.
        Self { name, capacity, window, available: available.min(capacity), full }
    }

    /// The name of the limit.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The most that can be taken at once: a burst, or a window's limit.
    #[must_use]
    pub const fn capacity(&self) -> Tokens {
        self.capacity
    }

    /// The time in which the capacity comes back: in which an empty bucket fills, or a window passes.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// The tokens that can be taken now.
    #[must_use]
    pub const fn available(&self) -> Tokens {
        self.available
    }

    /// Computes how long until nothing is missing if nobody takes tokens.
    #[must_use]
    pub fn full_after(&self) -> Duration {
        self.full.duration()
    }
}
