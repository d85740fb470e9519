//! What fits into one limiter's word.

use core::time::Duration;

use crate::algorithm::Layout;
use crate::tokens::Tokens;

/// How finely a limiter counts, and how much it can hold: fixed when it is built.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{ManualClock, Quota, TokenBucket, Tokens};
///
/// let limiter = TokenBucket::with_clock(Quota::per_second(100), ManualClock::new())?;
/// assert_eq!(limiter.resolution().unit(), Tokens::decimal(1, 3));
/// assert_eq!(limiter.resolution().max_capacity(), 800);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    layout: Layout,
}

impl Resolution {
    pub(crate) fn of(layout: Layout) -> Self {
        Self { layout }
    }

    /// The smallest amount told apart. A cost is rounded up to it, a capacity down.
    #[must_use]
    pub fn unit(&self) -> Tokens {
        self.layout.unit()
    }

    /// The grain of the stored time stamp. Tokens arrive by the nanosecond all the same; a tick bounds
    /// what is counted at the wrong rate when the quota changes under load, and what a bucket withholds
    /// after its clock went back.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.layout.tick()
    }

    /// The largest capacity that [`set_quota`](crate::TokenBucket::set_quota) takes.
    #[must_use]
    pub fn max_capacity(&self) -> Tokens {
        Tokens::from_units(self.layout.largest_capacity_units, self.layout.units_per_token)
    }

    /// The deepest debt.
    #[must_use]
    pub fn max_debt(&self) -> Tokens {
        Tokens::from_units(self.layout.debt_units, self.layout.units_per_token)
    }
}
