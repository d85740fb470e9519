//! The waiting calls of what is like a direct limiter, but has no word of its own: a key's handle, a striped bucket.

use crate::answer::Granted;
use crate::clock::Clock;
use crate::striped::StripedBucket;
use crate::tokens::Tokens;
#[cfg(feature = "keyed")]
use {
    super::limit::OneBucket,
    crate::algorithm::{Algorithm, Reservable, Rules},
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
                max_wait: core::time::Duration,
            ) -> Result<
                crate::wait::Reservation<crate::wait::Of<'static, &Self>>,
                crate::error::Denied,
            > {
                let max_wait_ns = super::direct::nanos(max_wait);
                match super::limit::Sealed::<()>::hold(self, &(), cost.into(), max_wait_ns) {
                    Ok(held) => {
                        Ok(crate::wait::Reservation::new(crate::wait::Of::no_key(self), held))
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
            ) -> crate::wait::Waiting<'static, crate::wait::Of<'static, &Self>, T> {
                crate::wait::Waiting::of(self, timer)
            }

            /// Waits until `cost` tokens are there, and takes them. See
            /// [`Limiter::consume`](crate::Limiter::consume).
            ///
            /// # Errors
            ///
            /// As there.
            #[cfg(feature = "async")]
            pub async fn consume(
                &self,
                cost: impl Into<Tokens>,
            ) -> Result<Granted<'_>, crate::error::Denied> {
                let cost = cost.into();
                match self.take_now(cost) {
                    Some(granted) => Ok(granted),
                    None => self.wait_with(super::timer::AnyRuntime).consume(cost).await,
                }
            }

            /// As [`consume`](Self::consume), if that takes no longer than `max_wait`.
            ///
            /// # Errors
            ///
            /// As [`Limiter::consume_timeout`](crate::Limiter::consume_timeout).
            #[cfg(feature = "async")]
            pub async fn consume_timeout(
                &self,
                cost: impl Into<Tokens>,
                max_wait: core::time::Duration,
            ) -> Result<Granted<'_>, crate::error::Denied> {
                let cost = cost.into();
                match self.take_now(cost) {
                    Some(granted) => Ok(granted),
                    None => {
                        let waiting = self.wait_with(super::timer::AnyRuntime);
                        waiting.consume_timeout(cost, max_wait).await
                    }
                }
            }

            /// Waits until `cost` tokens are there, and takes them. Blocks the thread.
            ///
            /// # Errors
            ///
            /// As [`Limiter::consume_blocking`](crate::Limiter::consume_blocking).
            pub fn consume_blocking(
                &self,
                cost: impl Into<Tokens>,
            ) -> Result<Granted<'_>, crate::error::Denied> {
                self.block(cost.into(), super::drive::Patience::endless())
            }

            /// As [`consume_blocking`](Self::consume_blocking), if that takes no longer than `max_wait`.
            ///
            /// # Errors
            ///
            /// As [`Limiter::consume_blocking_timeout`](crate::Limiter::consume_blocking_timeout).
            pub fn consume_blocking_timeout(
                &self,
                cost: impl Into<Tokens>,
                max_wait: core::time::Duration,
            ) -> Result<Granted<'_>, crate::error::Denied> {
                self.block(cost.into(), super::drive::Patience::new(max_wait))
            }

            fn block(
                &self,
                cost: Tokens,
                patience: super::drive::Patience,
            ) -> Result<Granted<'_>, crate::error::Denied> {
                if let Some(granted) = self.take_now(cost) {
                    return Ok(granted);
                }
                let source = crate::wait::Of::no_key(self);
                Ok(super::drive::acquire_blocking(source, cost, patience, None)?.keep())
            }
        }
    )+};
}

#[cfg(feature = "keyed")]
waits! { Handle<A, C>; [A: Algorithm, C: Clock]; reserves [A: Reservable, C: Clock] }
waits! { StripedBucket<C>; [C: Clock + Sync]; reserves [C: Clock + Sync] }

#[cfg(feature = "keyed")]
impl<A: Algorithm, C: Clock> Handle<A, C> {
    /// Takes what is there at once, and goes at once.
    #[inline]
    fn take_now(&self, cost: Tokens) -> Option<Granted<'_>> {
        if self.bucket().terms.layout.paces() {
            return None;
        }
        self.try_consume(cost).ok()
    }
}

impl<C: Clock + Sync> StripedBucket<C> {
    /// Takes what is there at once.
    #[inline]
    fn take_now(&self, cost: Tokens) -> Option<Granted<'_>> {
        self.try_consume(cost).ok()
    }
}
