//! A fixed window.

use super::on_windows;
use super::window::{PerPeriod, Start};

/// A fixed window: so many per minute, from minute to minute.
///
/// Windows begin at multiples of the period: of the time since 1970 (UTC), as the system told it when the
/// limiter was made, or of the clock's own time on a clock that the caller brings. Or each begins with the
/// [first call](Self::from_first_call) after the last one.
///
/// # Guarantee
///
/// At most `limit` per window; so in any time as long as a window at most **2 × limit** (all at the end of one
/// window, and all at the beginning of the next), and in any time T at most limit × (⌊T / period⌋ + 2). A call with
/// a time before the stored window, on a clock that stepped back, is denied until that window.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{FixedWindow, Limiter, ManualClock};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::with_clock(FixedWindow::new(100, Duration::from_secs(60)), &clock)?;
/// clock.advance(Duration::from_secs(59));
/// assert!(limiter.try_consume(100).is_ok());
/// assert_eq!(limiter.try_consume(1).unwrap_err().retry_after(), Some(Duration::from_secs(1)));
/// // Twice the limit in a second: that is what a fixed window lets through.
/// clock.advance(Duration::from_secs(1));
/// assert!(limiter.try_consume(100).is_ok());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    per: PerPeriod,
}

on_windows!(FixedWindow, false);

impl FixedWindow {
    /// Starts a window with the first call after the one before is over, in place of at multiples of the period.
    ///
    /// A window is up to 1/32 longer than its period then, as a rule less than 1/2,000, and never shorter: it is kept in
    /// ticks. With keys that may share a bucket (`WhenFull::Share`) a key is kept for a window more: else its own
    /// window, and two of a bucket that it shares next, could meet in less than one.
    #[must_use]
    pub fn from_first_call(mut self) -> Self {
        self.per.start = Start::FirstCall;
        self
    }
}
