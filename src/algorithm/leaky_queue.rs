//! The leaky bucket as a queue.

use super::on_an_instant;
use crate::quota::Quota;

/// The leaky bucket as a queue: whoever is let in leaves one by one, at a fixed pace, and learns when; if too many
/// wait, the queue is full.
///
/// The first one leaves at once, the next an interval later, and so on: what comes in bursts goes out evenly. The
/// quota's burst is the number that may wait. [`Granted::departs_after`](crate::Granted::departs_after) says how long;
/// nothing is stored per item, and there is nothing to leave the queue by but
/// [`refund`](crate::Limiter::refund).
///
/// # Guarantee
///
/// In any window of time at most 1 + rate × window *leave*, if each leaves when it was told, to the nanosecond. (An
/// item may cost more than one token, and then takes as many places; it leaves with the last of them.) At most
/// burst + 1 + rate × window are let in.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{LeakyQueue, Limiter, ManualClock, Quota};
///
/// // One each 100 ms; two may wait.
/// let queue = Limiter::with_clock(LeakyQueue::new(Quota::per_second(10).burst(2)), ManualClock::new())?;
/// let departures: Vec<_> =
///     (0..3).map(|_| queue.try_consume(1).unwrap().departs_after().as_millis()).collect();
/// assert_eq!(departures, [0, 100, 200]);
/// let denied = queue.try_consume(1).unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeakyQueue {
    quota: Quota,
}

on_an_instant!(
    LeakyQueue,
    1,
    /// Leaves at the rate of the quota; its burst is how many may wait.
);
