//! Reserving and waiting, of whatever has no keys: the direct limiter, a striped bucket, a key's handle.

#[cfg(feature = "async")]
use core::future::Future;
use core::time::Duration;

#[cfg(feature = "std")]
use super::drive::{Keep, Patience, Plain, Waiter};
use super::limit::Sealed;
use super::reservation::Reservation;
use super::source::Of;
#[cfg(feature = "async")]
use super::timer::AnyRuntime;
#[cfg(feature = "std")]
use super::waiting::Waiting;
#[cfg(feature = "std")]
use crate::algorithm::Algorithm;
use crate::algorithm::Reservable;
#[cfg(feature = "std")]
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::Denied;
#[cfg(feature = "keyed")]
use crate::keyed::{Handle, HotHandle};
use crate::limiter::Limiter;
#[cfg(feature = "std")]
use crate::striped::StripedBucket;
use crate::tokens::Tokens;

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Gives a limiter without keys its reservations; `$limiter` makes one for the example, of 10/s, on `clock`.
macro_rules! reserves {
    ([$($generics:tt)+] $type:ty, $limiter:literal) => {
        impl<$($generics)+> $type {
            /// Takes `cost` tokens now, into debt if need be, and says when they are good; if that is later than
            /// `max_wait`, it takes none.
            ///
            /// First reserved, first served: who comes later finds the debt. The debt is bounded by `max_debt`, which is
            /// set when a limiter is built.
            ///
            /// # Errors
            ///
            /// [`Denied::NotYet`] if it would be good later than `max_wait`, or the debt would be too deep;
            /// [`Denied::Never`] if the cost is above what one call can take.
            ///
            /// # Examples
            ///
            /// ```
            /// use core::time::Duration;
            /// use flowgate::{ManualClock, Quota};
            ///
            /// let clock = ManualClock::new();
            #[doc = $limiter]
            /// assert!(limiter.try_consume(10).is_ok());
            ///
            /// let second = Duration::from_secs(1);
            /// let mut three = limiter.reserve(3, second).unwrap();
            /// assert_eq!(three.wait(), Duration::from_millis(300));
            /// assert!(limiter.reserve(8, second).is_err());
            /// three.cancel();
            /// assert!(limiter.reserve(8, second).is_ok());
            /// # Ok::<(), flowgate::QuotaError>(())
            /// ```
            pub fn reserve(
                &self,
                cost: impl Into<Tokens>,
                max_wait: Duration,
            ) -> Result<Reservation<Of<'static, &Self>>, Denied> {
                let held = Sealed::<()>::hold(self, &(), cost.into(), nanos(max_wait));
                match held {
                    Ok(held) => Ok(Reservation::new(Of::no_key(self), held)),
                    Err(refused) => Err(refused.denied),
                }
            }

            /// [`reserve`](Self::reserve) at `now_ns` on the limiter's clock. What is there at that time has begun; what
            /// is not is waited for by the limiter's clock.
            ///
            /// # Errors
            ///
            /// As `reserve`.
            pub fn reserve_at(
                &self,
                cost: impl Into<Tokens>,
                max_wait: Duration,
                now_ns: u64,
            ) -> Result<Reservation<Of<'static, &Self>>, Denied> {
                let held = Sealed::<()>::hold_at(self, &(), cost.into(), nanos(max_wait), now_ns);
                match held {
                    Ok(held) => Ok(Reservation::new(Of::no_key(self), held)),
                    Err(refused) => Err(refused.denied),
                }
            }
        }
    };
}

/// Gives a limiter without keys its waiting calls; `$limiter` makes one for the examples, of 100/s and a burst of 1.
#[cfg(feature = "std")]
macro_rules! waits {
    ([$($generics:tt)+] $type:ty, $limiter:literal) => {
        #[cfg(feature = "async")]
        impl<$($generics)+> $type {
            /// Waits until `cost` tokens are there, and takes them. In any runtime, on [`AnyRuntime`]'s timer;
            /// [`wait_with`](Self::wait_with) takes another one.
            ///
            /// First come, first served, and a large cost is not overtaken by small ones: each takes its tokens when it
            /// comes, into debt, and then sleeps until they are good. A future that is dropped gives them back. One that
            /// is forgotten holds nobody up.
            ///
            /// A wait counts against the limit at a moment between its start and its end. If others who came first call
            /// off, those after them come when they were told, not earlier; so waits may *end* closer together than the
            /// limit says, by as much as was called off, and by no more than the deepest debt.
            ///
            /// The debt has a floor, `max_debt`, which is set when a limiter is built: by default eight capacities, as a
            /// rule. Who comes when it is reached, and who waits for an algorithm that cannot reserve (windows), has no
            /// place in the order: it sleeps and tries again.
            ///
            /// # Errors
            ///
            /// [`Denied::Never`] if the cost is above what one call can take.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Instant;
            /// use flowgate::Quota;
            ///
            /// # async_io::block_on(async {
            #[doc = $limiter]
            /// let start = Instant::now();
            /// for _ in 0..3 {
            ///     limiter.consume(1).await?;
            /// }
            /// assert!(start.elapsed().as_millis() >= 19);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).unwrap();
            /// ```
            #[inline]
            pub fn consume(
                &self,
                cost: impl Into<Tokens>,
            ) -> impl Future<Output = Result<Granted<'_>, Denied>> {
                let way = Plain { source: Of::no_key(self), timer: AnyRuntime };
                Waiter::new(way, cost.into(), Patience::endless()).wait::<Keep>()
            }

            /// As [`consume`](Self::consume), if that takes no longer than `max_wait`. If it would it fails at once, and
            /// takes nothing.
            ///
            /// If a quota that is lowered meanwhile makes it longer than that, it fails when that is seen, and everything
            /// goes back.
            ///
            /// # Errors
            ///
            /// [`Denied::NotYet`] if it would take longer, with the time after which the same call would succeed;
            /// [`Denied::Never`] if the cost is above what one call can take.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Duration;
            /// use flowgate::Quota;
            ///
            /// # async_io::block_on(async {
            #[doc = $limiter]
            /// limiter.consume_timeout(1, Duration::ZERO).await?;
            /// assert!(limiter.consume_timeout(1, Duration::from_millis(1)).await.is_err());
            /// limiter.consume_timeout(1, Duration::from_secs(1)).await?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).unwrap();
            /// ```
            #[inline]
            pub fn consume_timeout(
                &self,
                cost: impl Into<Tokens>,
                max_wait: Duration,
            ) -> impl Future<Output = Result<Granted<'_>, Denied>> {
                let way = Plain { source: Of::no_key(self), timer: AnyRuntime };
                Waiter::new(way, cost.into(), Patience::new(max_wait)).wait::<Keep>()
            }

            /// Waits for one token, and takes it: short for [`consume(1)`](Self::consume).
            ///
            /// # Errors
            ///
            /// As there.
            #[inline]
            pub fn until_ready(&self) -> impl Future<Output = Result<Granted<'_>, Denied>> {
                self.consume(Tokens::ONE)
            }
        }

        impl<$($generics)+> $type {
            /// The waiting calls on a [`Timer`](crate::Timer) of the caller's.
            pub fn wait_with<T>(&self, timer: T) -> Waiting<'static, Of<'static, &Self>, T> {
                Waiting::of(self, timer)
            }

            /// Waits until `cost` tokens are there, and takes them. Blocks the thread: it sleeps, and never spins, so it
            /// is late by what the system's timer is late, some 60 µs on Linux.
            ///
            /// # Errors
            ///
            /// [`Denied::Never`] if the cost is above what one call can take.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::Instant;
            /// use flowgate::Quota;
            ///
            #[doc = $limiter]
            /// let start = Instant::now();
            /// for _ in 0..3 {
            ///     limiter.consume_blocking(1)?;
            /// }
            /// assert!(start.elapsed().as_millis() >= 19);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn consume_blocking(&self, cost: impl Into<Tokens>) -> Result<Granted<'_>, Denied> {
                self.block(cost.into(), Patience::endless())
            }

            /// As [`consume_blocking`](Self::consume_blocking), if that takes no longer than `max_wait`. If it would it
            /// fails at once, and takes nothing.
            ///
            /// # Errors
            ///
            /// [`Denied::NotYet`] if it would take longer, with the time after which the same call would succeed;
            /// [`Denied::Never`] if the cost is above what one call can take.
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
    };
}

reserves!(
    [A: Reservable, C: Clock] Limiter<A, C>,
    "let limiter = flowgate::TokenBucket::with_clock(Quota::per_second(10), &clock)?;"
);
#[cfg(feature = "std")]
waits!(
    [A: Algorithm, C: Clock] Limiter<A, C>,
    "let limiter = flowgate::TokenBucket::new(Quota::per_second(100).burst(1))?;"
);

#[cfg(feature = "keyed")]
reserves!(
    [A: Reservable, C: Clock] Handle<A, C>,
    "let users = flowgate::KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(10), &clock)?;\nlet limiter = users.handle(&7);"
);
#[cfg(feature = "keyed")]
waits!(
    [A: Algorithm, C: Clock] Handle<A, C>,
    "let users = flowgate::KeyedLimiter::<u64>::new(Quota::per_second(100).burst(1))?;\nlet limiter = users.handle(&7);"
);

#[cfg(feature = "keyed")]
reserves!(
    [C: Clock + Send + Sync] HotHandle<C>,
    "let users = flowgate::KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(10), &clock)?;\nlet limiter = users.hot_handle(&7);"
);
#[cfg(feature = "keyed")]
waits!(
    [C: Clock + Send + Sync] HotHandle<C>,
    "let users = flowgate::KeyedLimiter::<u64>::new(Quota::per_second(100).burst(1))?;\nlet limiter = users.hot_handle(&7);"
);

#[cfg(feature = "std")]
reserves!(
    [C: Clock + Sync] StripedBucket<C>,
    "let limiter = flowgate::StripedBucket::with_clock(Quota::per_second(10), &clock)?;"
);
#[cfg(feature = "std")]
waits!(
    [C: Clock + Sync] StripedBucket<C>,
    "let limiter = flowgate::StripedBucket::new(Quota::per_second(100).burst(1))?;"
);
