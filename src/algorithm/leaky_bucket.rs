//! The leaky bucket as a meter.

use super::instant::Instants;
use super::{Adjustable, Algorithm, Extras, OneWord};
use crate::error::QuotaError;
use crate::quota::Quota;

/// The leaky bucket as a meter: each request pours its cost in, the bucket leaks at a steady rate, and what would
/// make it overflow is denied.
///
/// It leaks all the time, also while it is being hit. The bucket holds the quota's burst, so it decides as
/// [`Gcra`](crate::Gcra) does (ITU-T I.371 shows that), and as a token bucket whose tokens are the room that is
/// left: choose by what you want to read. J. Turner described it in "New directions in communications (or which
/// way to the information age?)", IEEE Communications Magazine 24(10), 1986.
///
/// # Guarantee
///
/// In any window of time at most burst + rate × window: as [`Gcra`](crate::Gcra).
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{LeakyBucket, Limiter, ManualClock, Quota};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::with_clock(LeakyBucket::new(Quota::per_second(10).burst(3)), &clock)?;
/// limiter.try_consume(3).unwrap();
/// assert_eq!(limiter.level(), 3);
/// assert!(!limiter.is_allowed());
/// clock.advance(Duration::from_millis(150));
/// assert_eq!(limiter.level(), "1.5".parse::<flowgate::Tokens>()?);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeakyBucket {
    quota: Quota,
}

impl LeakyBucket {
    /// Leaks at the rate of the quota, and holds its burst.
    #[must_use]
    pub const fn new(quota: Quota) -> Self {
        Self { quota }
    }

    /// The quota.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }
}

impl From<Quota> for LeakyBucket {
    fn from(quota: Quota) -> Self {
        Self::new(quota)
    }
}

impl OneWord for LeakyBucket {
    type Rules = Instants;

    fn rules(&self, _extras: &Extras) -> Result<Instants, QuotaError> {
        Instants::choose(&self.quota, 0)
    }

    fn config(&self) -> Quota {
        self.quota
    }

    fn from_config(quota: Quota) -> Self {
        Self { quota }
    }
}

impl Algorithm for LeakyBucket {}
impl Adjustable for LeakyBucket {}
