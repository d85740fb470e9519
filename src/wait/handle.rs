//! Reserving and waiting, of a key's handle.

#[cfg(feature = "async")]
use core::future::Future;
use core::time::Duration;

use super::direct::nanos;
use super::drive::{Keep, Patience, Plain, Waiter};
use super::limit::Sealed;
use super::reservation::Reservation;
use super::source::Of;
#[cfg(feature = "async")]
use super::timer::AnyRuntime;
use super::waiting::Waiting;
use crate::algorithm::{Algorithm, Reservable};
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::Denied;
use crate::keyed::Handle;
use crate::tokens::Tokens;

impl<A: Reservable, C: Clock> Handle<A, C> {
    /// Takes `cost` tokens now, into debt if need be. See [`Limiter::reserve`](crate::Limiter::reserve).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reserve(
        &self,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Reservation<Of<'static, &Self>>, Denied> {
        let held = Sealed::<()>::hold(self, &(), cost.into(), nanos(max_wait));
        held.map(|held| Reservation::new(Of::no_key(self), held)).map_err(|refused| refused.denied)
    }
}

impl<A: Algorithm, C: Clock> Handle<A, C> {
    /// The waiting calls on a timer of the caller's.
    pub fn wait_with<T>(&self, timer: T) -> Waiting<'static, Of<'static, &Self>, T> {
        Waiting::of(self, timer)
    }

    /// Waits until `cost` tokens are there, and takes them. See [`Limiter::consume`](crate::Limiter::consume).
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume(
        &self,
        cost: impl Into<Tokens>,
    ) -> impl Future<Output = Result<Granted<'_>, Denied>> {
        let way = Plain { source: Of::no_key(self), timer: AnyRuntime };
        Waiter::new(way, cost.into(), Patience::endless()).wait::<Keep>()
    }

    /// As [`consume`](Self::consume), if that takes no longer than `max_wait`.
    ///
    /// # Errors
    ///
    /// As [`Limiter::consume_timeout`](crate::Limiter::consume_timeout).
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume_timeout(
        &self,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> impl Future<Output = Result<Granted<'_>, Denied>> {
        let way = Plain { source: Of::no_key(self), timer: AnyRuntime };
        Waiter::new(way, cost.into(), Patience::new(max_wait)).wait::<Keep>()
    }

    /// Waits until `cost` tokens are there, and takes them. Blocks the thread.
    ///
    /// # Errors
    ///
    /// As [`Limiter::consume_blocking`](crate::Limiter::consume_blocking).
    pub fn consume_blocking(&self, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied> {
        self.block(cost.into(), Patience::endless())
    }

    /// As [`consume_blocking`](Self::consume_blocking), if that takes no longer than `max_wait`.
    ///
    /// # Errors
    ///
    /// As [`Limiter::consume_blocking_timeout`](crate::Limiter::consume_blocking_timeout).
    pub fn consume_blocking_timeout(
        &self,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Granted<'_>, Denied> {
        self.block(cost.into(), Patience::new(max_wait))
    }

    fn block(&self, cost: Tokens, patience: Patience) -> Result<Granted<'_>, Denied> {
        Waiter::new(Plain { source: Of::no_key(self), timer: () }, cost, patience).block::<Keep>()
    }
}
