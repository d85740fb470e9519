//! What sleeps.

use core::future::Future;
#[cfg(feature = "async")]
use core::pin::Pin;
#[cfg(feature = "async")]
use core::task::{Context, Poll};
use core::time::Duration;

#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::{TokioClock, TokioTimer};

/// Something that sleeps: the one thing that waiting asks of a runtime.
///
/// A sleep may end early or late. Whoever waits looks at the limiter's clock again and sleeps on if need be, so an early
/// one costs a turn, and a late one is the overshoot.
///
/// # Examples
///
/// ```
/// use std::future::{Future, ready};
/// use std::time::Duration;
/// use flowgate::{Clock, ManualClock, Quota, Timer, TokenBucket};
///
/// // A timer for simulations: nobody sleeps, the clock moves on.
/// struct Simulated<'a>(&'a ManualClock);
///
/// impl Timer for Simulated<'_> {
///     fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
///         self.0.advance(duration);
///         ready(())
///     }
/// }
///
/// let clock = ManualClock::new();
/// let limiter = TokenBucket::with_clock(Quota::per_second(10), &clock)?;
/// let waiting = limiter.wait_with(Simulated(&clock));
/// let mut sends = core::pin::pin!(async {
///     for _ in 0..15 {
///         waiting.consume(1).await.unwrap();
///     }
/// });
/// let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// assert!(sends.as_mut().poll(&mut context).is_ready());
/// assert_eq!(clock.now_ns(), 500_000_000);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub trait Timer {
    /// Sleeps for about `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl<T: Timer + ?Sized> Timer for &T {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        (**self).sleep(duration)
    }
}

/// Sleeps in any runtime, or none: on [`async-io`](https://docs.rs/async-io), whose thread starts at the first sleep
/// and serves all.
///
/// Under tokio, `TokioTimer` wakes its task without another thread.
#[cfg(feature = "async")]
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyRuntime;

#[cfg(feature = "async")]
impl Timer for AnyRuntime {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        // An `async` block would hold the timer twice: what it captures, and what it awaits.
        AnySleep(async_io::Timer::after(duration))
    }
}

/// A timer of async-io, for who does not ask when it fired.
#[cfg(feature = "async")]
struct AnySleep(async_io::Timer);

#[cfg(feature = "async")]
impl Future for AnySleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}
