//! The kernel's last timer tick.

use super::Clock;

/// Linux's `CLOCK_MONOTONIC_COARSE`: the time of the kernel's last timer tick, for the price of two
/// loads.
///
/// It needs no thread of ours and lags real time by at most one kernel tick (1 to 10 ms; 4 ms on most
/// kernels). So over any real-time window a limiter on it grants at most capacity + rate × (window +
/// one kernel tick). Choose it where that is small beside the burst.
///
/// Origin: the machine's boot, so all instances agree.
///
/// # Examples
///
/// ```
/// use flowgate::{CoarseClock, Quota, TokenBucket};
///
/// let limiter = TokenBucket::with_clock(Quota::per_second(1_000), CoarseClock::new())?;
/// assert!(limiter.is_allowed());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock(());

impl CoarseClock {
    /// Makes a handle to the clock. All handles show the same time.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        // Time since boot: not negative, and 2^63 ns are 292 years.
        #[allow(clippy::cast_sign_loss)]
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}
