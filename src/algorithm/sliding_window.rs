//! A sliding window, by two weighed counts.

use super::on_windows;
use super::window::PerPeriod;

/// A sliding window, approximately: the count of the present fixed window, and that of the one before, weighed by
/// how much of it a sliding window would still cover.
///
/// Windows are aligned as those of [`FixedWindow`](crate::FixedWindow). The weighed count is what a sliding log would
/// hold if the calls of the window before had come evenly. It is off by what they did not: with `before` calls in
/// that window, and a part f of the present one gone, it is too low by at most before × f, and too high by at most
/// before × (1 − f). For a count that is never off, at up to eight bytes per token, see `SlidingLog`.
///
/// # Guarantee
///
/// At most `limit` per aligned window, and as long as calls come evenly, in any time as long as a window. If they
/// do not: all of a window's at its end, then as fast as allowed, is **less than 2 × limit** in such a time.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{Limiter, ManualClock, SlidingWindow};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::with_clock(SlidingWindow::new(100, Duration::from_secs(60)), &clock)?;
/// clock.advance(Duration::from_secs(59));
/// assert!(limiter.try_consume(100).is_ok());
/// // A quarter of the next window is gone: three quarters of the hundred still count.
/// clock.advance(Duration::from_secs(16));
/// assert_eq!(limiter.available(), 25);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    per: PerPeriod,
}

on_windows!(SlidingWindow, true);
