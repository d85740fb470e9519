//! A clock that stands still until it is moved.

use core::fmt;
use core::time::Duration;

use super::Clock;
use crate::cell::Cell;

/// A clock that stands still until it is moved, for tests and simulations.
///
/// Share it by reference, or by `Arc`.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{ManualClock, Quota, TokenBucket};
///
/// let clock = ManualClock::new();
/// let limiter = TokenBucket::with_clock(Quota::per_second(2).burst(10), &clock)?;
/// assert_eq!(limiter.drain(), 10);
///
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(limiter.available(), 2);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct ManualClock {
    now_ns: Cell,
}

impl ManualClock {
    /// Makes a clock that shows zero.
    #[must_use]
    pub fn new() -> Self {
        Self::at(0)
    }

    /// Makes a clock that shows `now_ns`.
    #[must_use]
    pub fn at(now_ns: u64) -> Self {
        Self { now_ns: Cell::new(now_ns) }
    }

    /// Moves the clock forward, and returns what it shows then. Past 584 years it starts again at
    /// zero, which a limiter takes for a step back.
    pub fn advance(&self, by: Duration) -> u64 {
        self.now_ns.add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Sets the clock, forward or back.
    pub fn set_ns(&self, now_ns: u64) {
        self.now_ns.set(now_ns);
    }
}

impl Clock for ManualClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        self.now_ns.load()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now_ns", &self.now_ns()).finish()
    }
}
