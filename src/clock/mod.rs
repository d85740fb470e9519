//! Where the time comes from: one trait, four clocks.
//!
//! | clock | a read costs about | grain | for |
//! |---|---|---|---|
//! | [`SystemClock`] | 10 ns | 1 ns | everything; it is the default |
//! | [`CoarseClock`] | 2 ns | 1 to 10 ms, the kernel's tick | limits of thousands per second and coarser |
//! | [`InstantClock`] | 25 ns | 1 ns | where the time-stamp counter must not be used |
//! | [`ManualClock`] | 1 ns | as set | tests and simulations |
//!
//! A clock counts nanoseconds from an origin of its own. It should not go back; if it does, by up to 9.1
//! years, a bucket credits nothing until the clock has caught up: it can only deny more, never grant more.

#[cfg(feature = "redis")]
mod boot;
#[cfg(all(feature = "coarse", target_os = "linux"))]
mod coarse;
#[cfg(feature = "std")]
mod instant;
#[cfg(all(feature = "tsc", not(flowgate_loom)))]
mod line;
mod manual;
mod system;

#[cfg(feature = "redis")]
pub(crate) use boot::BootClock;
#[cfg(all(feature = "coarse", target_os = "linux"))]
pub use coarse::CoarseClock;
#[cfg(feature = "std")]
pub use instant::InstantClock;
pub use manual::ManualClock;
pub use system::SystemClock;

/// A source of time for a limiter.
///
/// # Contract
///
/// * `now_ns` counts nanoseconds from a fixed origin, below 2^63 (292 years).
/// * All threads see the same clock: if one call returns before another starts, the second does not
///   return less. A clock that breaks this makes a limiter deny more, never grant more.
/// * How far the clock runs ahead of real time over a while is how much a limiter grants too much by
///   real time. Within the clock's own time a limiter is exact.
///
/// # Examples
///
/// A clock that an event loop sets once per turn:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use flowgate::{Clock, Quota, TokenBucket};
///
/// struct LoopClock(AtomicU64);
///
/// impl Clock for LoopClock {
///     fn now_ns(&self) -> u64 {
///         self.0.load(Relaxed)
///     }
/// }
///
/// let limiter = TokenBucket::with_clock(Quota::per_second(1), LoopClock(AtomicU64::new(0)))?;
/// assert!(limiter.is_allowed());
/// assert!(!limiter.is_allowed());
/// limiter.clock().0.store(1_000_000_000, Relaxed);
/// assert!(limiter.is_allowed());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub trait Clock {
    /// The nanoseconds since the clock's origin.
    fn now_ns(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now_ns(&self) -> u64 {
        (**self).now_ns()
    }
}

#[cfg(feature = "std")]
impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    #[inline]
    fn now_ns(&self) -> u64 {
        (**self).now_ns()
    }
}
