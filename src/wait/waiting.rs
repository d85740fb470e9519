//! Waiting with a timer and a jitter of one's own.

use core::fmt;
use core::future::Future;
use core::time::Duration;

use super::drive::{HandOver, Keep, Patience, Waiter, Way};
use super::jitter::Jitter;
use super::reservation::Reservation;
use super::source::{Lend, Of, Source};
use super::timer::Timer;

/// The waiting calls of a limiter, on a [`Timer`] of the caller's. Made by
/// [`wait_with`](crate::Limiter::wait_with), or of a limiter in an `Arc` by [`of`](Self::of).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "async")] {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use flowgate::{AnyRuntime, Jitter, Quota, TokenBucket, Waiting};
///
/// let limiter = Arc::new(TokenBucket::new(Quota::per_second(1_000).burst(1))?);
/// let jitter = Jitter::up_to(Duration::from_millis(1));
/// let waiting = Waiting::of(limiter, AnyRuntime).jitter(&jitter);
/// # async_io::block_on(async {
/// for _ in 0..3 {
///     let permit = waiting.acquire(1).await?;
///     permit.keep();
/// }
/// # Ok::<(), flowgate::Denied>(())
/// # }).unwrap();
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Waiting<'j, S, T> {
    source: S,
    timer: T,
    jitter: Option<&'j Jitter>,
}

impl<P: Lend<()>, T> Waiting<'static, Of<'static, P>, T> {
    /// Waits for a limiter without keys: by reference, or in an `Arc`.
    pub fn of(limiter: P, timer: T) -> Self {
        Self::new(Of::no_key(limiter), timer)
    }
}

/// A limiter without keys, waited for in any runtime.
#[cfg(feature = "async")]
impl<P: Lend<()>> From<P> for Waiting<'static, Of<'static, P>, super::timer::AnyRuntime> {
    fn from(limiter: P) -> Self {
        Self::of(limiter, super::timer::AnyRuntime)
    }
}

impl<S, T> Waiting<'static, S, T> {
    pub(crate) fn new(source: S, timer: T) -> Self {
        Self { source, timer, jitter: None }
    }
}

impl<'j, S: Source + Clone, T: Timer> Waiting<'j, S, T> {
    /// Adds a random time to each wait that is not zero, as far as its timeout allows.
    #[must_use]
    pub fn jitter<'n>(self, jitter: &'n Jitter) -> Waiting<'n, S, T> {
        Waiting { source: self.source, timer: self.timer, jitter: Some(jitter) }
    }

    /// Waits until `cost` is there, and returns it as a reservation that has begun: to be kept, settled or given back.
    ///
    /// # Errors
    ///
    /// If it never will be there.
    pub fn acquire(
        &self,
        cost: impl Into<S::Cost>,
    ) -> impl Future<Output = Result<Reservation<S>, S::Denied>> {
        Waiter::new(self, cost.into(), Patience::endless()).wait::<HandOver>()
    }

    /// As [`acquire`](Self::acquire), if that takes no longer than `max_wait`. If it would it fails at once, and
    /// takes nothing.
    ///
    /// # Errors
    ///
    /// If it would take longer, or never will be there.
    pub fn acquire_timeout(
        &self,
        cost: impl Into<S::Cost>,
        max_wait: Duration,
    ) -> impl Future<Output = Result<Reservation<S>, S::Denied>> {
        Waiter::new(self, cost.into(), Patience::new(max_wait)).wait::<HandOver>()
    }

    /// [`acquire`](Self::acquire), to be kept whole.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn consume(
        &self,
        cost: impl Into<S::Cost>,
    ) -> impl Future<Output = Result<S::Granted, S::Denied>> {
        Waiter::new(self, cost.into(), Patience::endless()).wait::<Keep>()
    }

    /// [`acquire_timeout`](Self::acquire_timeout), to be kept whole.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn consume_timeout(
        &self,
        cost: impl Into<S::Cost>,
        max_wait: Duration,
    ) -> impl Future<Output = Result<S::Granted, S::Denied>> {
        Waiter::new(self, cost.into(), Patience::new(max_wait)).wait::<Keep>()
    }

    /// What is there at once, if it is.
    #[cfg(feature = "stream")]
    pub(super) fn acquire_at_once(&self, cost: S::Cost) -> Option<Reservation<S>> {
        let held = self.source.hold(cost, 0).ok()?;
        Some(Reservation::new(self.source.clone(), held))
    }
}

impl<S: Source + Clone, T> Waiting<'_, S, T> {
    /// [`acquire`](Self::acquire), blocking the thread.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn acquire_blocking(&self, cost: impl Into<S::Cost>) -> Result<Reservation<S>, S::Denied> {
        Waiter::new(self, cost.into(), Patience::endless()).block::<HandOver>()
    }

    /// [`acquire_timeout`](Self::acquire_timeout), blocking the thread.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn acquire_blocking_timeout(
        &self,
        cost: impl Into<S::Cost>,
        max_wait: Duration,
    ) -> Result<Reservation<S>, S::Denied> {
        Waiter::new(self, cost.into(), Patience::new(max_wait)).block::<HandOver>()
    }
}

impl<S: Source, T> Way for Waiting<'_, S, T> {
    type Source = S;
    type Timer = T;

    fn source(&self) -> &S {
        &self.source
    }

    fn timer(&self) -> &T {
        &self.timer
    }

    fn jitter(&self) -> Option<&Jitter> {
        self.jitter
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Waiting<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("jitter", &self.jitter).finish_non_exhaustive()
    }
}
