//! The leaky bucket as a meter.

use super::on_an_instant;
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

on_an_instant!(
    LeakyBucket,
    0,
    /// Leaks at the rate of the quota, and holds its burst.
);
