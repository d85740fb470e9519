//! GCRA, the generic cell rate algorithm.

use super::on_an_instant;
use crate::quota::Quota;

/// The generic cell rate algorithm: a token bucket that remembers one instant, when the next request would be
/// due if all came at the quota's pace.
///
/// A request is allowed if that instant is at most a burst's time ahead; it then moves on by the request's
/// share of the period. ITU-T I.371 defines it, as "virtual scheduling".
///
/// # Guarantee
///
/// In any window of time at most burst + rate × window, and no rounding on top: the time per token is rounded up to
/// 1/16 ns, so that `Gcra` never grants what a [token bucket](crate::TokenBucket) of the same quota, filled exactly,
/// would deny. (A burst that is no whole number of tokens is rounded up to 1/16 ns, too, so that all of it can be had.)
/// Where a token takes whole sixteenths of a nanosecond both decide alike. Up to 16 million tokens a second the rate
/// that is kept is less than a thousandth below the one asked for; a higher rate of which it is not is refused.
///
/// A call with an earlier time than that of the last one finds less: on a clock that stepped back, nothing comes until
/// it is there again. Up to [`LONGEST_IDLE`](crate::limits::LONGEST_IDLE), less the time in which the burst fills, a step
/// back is recognised as one.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{Gcra, Limiter, ManualClock, Quota};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::with_clock(Gcra::new(Quota::per_second(10).burst(3)), &clock)?;
/// assert_eq!((1..=5).filter(|_| limiter.is_allowed()).count(), 3);
/// let denied = limiter.try_consume(1).unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gcra {
    quota: Quota,
}

on_an_instant!(
    Gcra,
    0,
    /// Allows what the quota allows.
);
