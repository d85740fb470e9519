//! The operating system's monotonic clock.

use std::time::Instant;

use super::Clock;

/// The operating system's monotonic clock, through [`std::time::Instant`].
///
/// Origin: when this clock was made. A copy shares it.
///
/// # Examples
///
/// ```
/// use flowgate::{InstantClock, Quota, TokenBucket};
///
/// let limiter = TokenBucket::with_clock(Quota::per_minute(60), InstantClock::new())?;
/// assert!(limiter.is_allowed());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct InstantClock {
    origin: Instant,
}

impl InstantClock {
    /// Makes a clock that shows zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for InstantClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for InstantClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        let elapsed = self.origin.elapsed();
        elapsed
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(elapsed.subsec_nanos().into())
    }
}
