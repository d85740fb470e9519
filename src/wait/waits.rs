//! The waiting calls of what is like a direct limiter, but has no word of its own: a key's handle, a striped bucket.

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
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::Denied;
use crate::striped::StripedBucket;
use crate::tokens::Tokens;
#[cfg(feature = "keyed")]
use {
    super::limit::OneBucket,
    crate::algorithm::{Algorithm, Reservable},
    crate::bucket::Bucket,
    crate::keyed::Handle,
};

#[cfg(feature = "keyed")]
impl<A: Algorithm, C: Clock> OneBucket for Handle<A, C> {
    type Rules = A::Rules;
    type Clock = C;

    fn bucket(&self) -> Bucket<'_, A::Rules> {
        self.bucket()
    }

    fn clock(&self) -> &C {
        self.clock()
    }
}

/// Gives a limiter without keys what [`Limiter`](crate::Limiter) has: see there what they do.
macro_rules! waits {
    ($limiter:ty; $([$($generics:tt)+]; reserves [$($reserves:tt)+])+) => {$(
        impl<$($reserves)+> $limiter {
            /// Takes `cost` tokens now, into debt if need be, and says when they are good; if that is later than `max_wait`, it
            /// takes none. See [`Limiter::reserve`](crate::Limiter::reserve).
            ///
            /// # Errors
            ///
            /// As there.
            pub fn reserve(
                &self,
                cost: impl Into<Tokens>,
                max_wait: Duration,
            ) -> Result<
                Reservation<Of<'static, &Self>>,
                Denied,
            > {
                let max_wait_ns = nanos(max_wait);
                match Sealed::<()>::hold(self, &(), cost.into(), max_wait_ns) {
                    Ok(held) => {
                        Ok(Reservation::new(Of::no_key(self), held))
                    }
                    Err(refused) => Err(refused.denied),
                }
            }
        }

        impl<$($generics)+> $limiter {
            /// The waiting calls on a timer of the caller's.
            pub fn wait_with<T>(
                &self,
                timer: T,
            ) -> Waiting<'static, Of<'static, &Self>, T> {
                Waiting::of(self, timer)
            }

            /// Waits until `cost` tokens are there, and takes them. See
            /// [`Limiter::consume`](crate::Limiter::consume).
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
            pub fn consume_blocking(
                &self,
                cost: impl Into<Tokens>,
            ) -> Result<Granted<'_>, Denied> {
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
                let way = Plain { source: Of::no_key(self), timer: () };
                Waiter::new(way, cost, patience).block::<Keep>()
            }
        }
    )+};
}

#[cfg(feature = "keyed")]
waits! { Handle<A, C>; [A: Algorithm, C: Clock]; reserves [A: Reservable, C: Clock] }
waits! { StripedBucket<C>; [C: Clock + Sync]; reserves [C: Clock + Sync] }
