//! tokio's timer and its clock.

use core::future::Future;
use core::time::Duration;

use tokio::time::{Instant, sleep};

use super::Timer;
use crate::clock::Clock;

/// Sleeps on tokio's timer wheel, in the runtime that polls.
///
/// # Panics
///
/// A sleep panics where tokio's own does: outside of a tokio runtime, or in one without `enable_time`.
///
/// # Examples
///
/// ```
/// use flowgate::{Quota, TokenBucket, TokioTimer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let limiter = TokenBucket::new(Quota::per_second(1_000).burst(1))?;
/// for _ in 0..3 {
///     limiter.wait_with(TokioTimer).consume(1).await?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        sleep(duration)
    }
}

/// tokio's clock, which stands still and is moved on in tests: see `tokio::time::pause`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flowgate::{Quota, TokenBucket, TokioClock, TokioTimer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let limiter = TokenBucket::with_clock(Quota::per_hour(1), TokioClock::new())?;
/// let start = tokio::time::Instant::now();
/// for _ in 0..3 {
///     limiter.wait_with(TokioTimer).consume(1).await?;
/// }
/// // Two hours, at once.
/// assert_eq!(start.elapsed(), Duration::from_secs(7_200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// Makes a clock that shows zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
