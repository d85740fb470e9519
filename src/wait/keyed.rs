//! Reserving and waiting, by key.

use core::borrow::Borrow;
#[cfg(feature = "async")]
use core::future::Future;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::borrow::ToOwned;

use super::direct::nanos;
use super::drive::{Keep, Patience, Plain, Waiter};
use super::limit::{Policy, Sealed, granted_by, policy_by};
use super::reservation::Reservation;
use super::source::{Lend, Of};
#[cfg(feature = "async")]
use super::timer::AnyRuntime;
use super::waiting::Waiting;
use crate::algorithm::{Algorithm, Reservable, Rules, Wait};
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::Denied;
use crate::held::{Held, Refused};
use crate::keyed::{Handle, HotHandle, KeyedLimiter, On};
use crate::tokens::Tokens;

/// A handle, which is one bucket: one word, or divided between stripes. Once for handles, and once for those in an
/// `Arc`.
macro_rules! by_handle {
    ($handle:ty) => {
        impl<A: Algorithm, C: Clock, Q: ?Sized> Sealed<Q> for $handle {
            fn now_ns(&self) -> u64 {
                self.clock().now_ns()
            }

            #[inline]
            fn take_now(&self, _key: &Q, cost: Tokens) -> Option<Granted<'_>> {
                if self.terms().layout.paces() {
                    return None;
                }
                self.try_consume(cost).ok()
            }

            fn try_now(&self, _key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
                let goes_at_once = !self.terms().layout.paces();
                goes_at_once.then(|| self.try_consume(cost))
            }

            fn hold_at(
                &self,
                _key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Result<Held, Refused> {
                self.lend(|bucket| bucket.hold(cost, most_wait_ns, now_ns))
            }

            fn would_refuse_at(
                &self,
                _key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Option<Refused> {
                self.lend(|bucket| bucket.would_refuse(cost, most_wait_ns, now_ns))
            }

            fn wait_held_at(&self, _key: &Q, held: &mut Held, now_ns: u64) -> u64 {
                self.lend(|bucket| bucket.wait_held(held, now_ns))
            }

            fn take_back_at(&self, _key: &Q, held: &Held, keep: u64, now_ns: u64) {
                self.lend(|bucket| bucket.take_back(held, keep, now_ns));
            }

            fn charge_at(&self, _key: &Q, units: u64, now_ns: u64) -> u64 {
                self.lend(|bucket| bucket.charge_units(units, now_ns))
            }

            fn units(&self, cost: Tokens) -> u64 {
                self.terms().units(cost)
            }

            fn tokens(&self, units: u64) -> Tokens {
                self.terms().tokens(units)
            }

            fn granted(&self, held: &Held) -> Granted<'_> {
                granted_by(self.terms(), held)
            }

            fn available_at(&self, _key: &Q, now_ns: u64) -> Tokens {
                self.lend(|bucket| bucket.available(now_ns))
            }

            fn policy(&self) -> Policy {
                policy_by(self.terms())
            }

            fn look_at(&self, _key: &Q, now_ns: u64) -> (Tokens, Wait) {
                self.lend(|bucket| bucket.look(now_ns))
            }
        }
    };
}

by_handle!(Handle<A, C>);
by_handle!(std::sync::Arc<Handle<A, C>>);

/// The bucket of a key of a [`KeyedLimiter`], as a reservation holds it.
pub type OfKey<'k, 'a, K, A, C, H, Q> = Of<'k, On<'a, K, A, C, H>, Q>;

/// A limiter by key, and how to come from it to its calls.
macro_rules! by_key {
    ($limiter:ty, $on:ident) => {
        impl<K, A, C, H, Q> Sealed<Q> for $limiter
        where
            K: Eq + Hash + Borrow<Q>,
            A: Algorithm,
            C: Clock,
            H: BuildHasher + Clone,
            Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        {
            fn now_ns(&self) -> u64 {
                self.$on().limiter().clock().now_ns()
            }

            fn take_now(&self, key: &Q, cost: Tokens) -> Option<Granted<'_>> {
                if self.$on().terms().layout.paces() {
                    return None;
                }
                self.$on().try_consume(key, cost).ok()
            }

            fn try_now(&self, key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
                let goes_at_once = !self.$on().terms().layout.paces();
                goes_at_once.then(|| self.$on().try_consume(key, cost))
            }

            #[cfg(feature = "tower")]
            fn try_now_or_look(
                &self,
                key: &Q,
                cost: Tokens,
            ) -> Option<Result<Granted<'_>, (Denied, Tokens, Wait)>> {
                let goes_at_once = !self.$on().terms().layout.paces();
                goes_at_once.then(|| self.$on().try_consume_or_look(key, cost))
            }

            fn hold_at(
                &self,
                key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Result<Held, Refused> {
                self.$on().hold_at(key, cost, most_wait_ns, now_ns)
            }

            fn would_refuse_at(
                &self,
                key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Option<Refused> {
                self.$on().would_refuse_at(key, cost, most_wait_ns, now_ns)
            }

            fn wait_held_at(&self, key: &Q, held: &mut Held, now_ns: u64) -> u64 {
                self.$on().wait_held_at(key, held, now_ns)
            }

            fn take_back_at(&self, key: &Q, held: &Held, keep: u64, now_ns: u64) {
                self.$on().take_back_at(key, held, keep, now_ns);
            }

            fn charge_at(&self, key: &Q, units: u64, now_ns: u64) -> u64 {
                self.$on().charge_units_at(key, units, now_ns)
            }

            fn units(&self, cost: Tokens) -> u64 {
                self.$on().terms().units(cost)
            }

            fn tokens(&self, units: u64) -> Tokens {
                self.$on().terms().tokens(units)
            }

            fn granted(&self, held: &Held) -> Granted<'_> {
                granted_by(self.$on().terms(), held)
            }

            fn available_at(&self, key: &Q, now_ns: u64) -> Tokens {
                self.$on().available_at(key, now_ns)
            }

            fn policy(&self) -> Policy {
                policy_by(self.$on().terms())
            }

            fn changes(&self) -> Option<u64> {
                Some(self.$on().terms().changes())
            }

            fn look_at(&self, key: &Q, now_ns: u64) -> (Tokens, Wait) {
                self.$on().look_at(key, now_ns)
            }

            fn keys_held(&self) -> Option<u64> {
                Some(self.$on().limiter().held())
            }
        }
    };
}

by_key!(KeyedLimiter<K, A, C, H>, own);
by_key!(On<'_, K, A, C, H>, clone);

impl<'a, K, A, C, H, Q> Lend<Q> for On<'a, K, A, C, H>
where
    K: Eq + Hash + Borrow<Q>,
    A: Algorithm,
    C: Clock,
    H: BuildHasher + Clone,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
{
    type Limit = Self;
    type Granted = Granted<'a>;

    fn limit(&self) -> &Self {
        self
    }

    fn granted(&self, held: &Held) -> Granted<'a> {
        granted_by(self.terms(), held)
    }

    fn take_now(&self, key: &Q, cost: Tokens) -> Option<Granted<'a>> {
        if self.terms().layout.paces() {
            return None;
        }
        self.try_consume(key, cost).ok()
    }
}

impl<A: Algorithm, C: Clock> Lend<()> for Handle<A, C> {
    type Limit = Self;
    type Granted = ();

    fn limit(&self) -> &Self {
        self
    }

    fn granted(&self, _held: &Held) {}

    #[inline]
    fn take_now(&self, key: &(), cost: Tokens) -> Option<()> {
        Sealed::take_now(self, key, cost).map(|_| ())
    }
}

impl<C: Clock + Send + Sync> Lend<()> for HotHandle<C> {
    type Limit = Self;
    type Granted = ();

    fn limit(&self) -> &Self {
        self
    }

    fn granted(&self, _held: &Held) {}

    #[inline]
    fn take_now(&self, key: &(), cost: Tokens) -> Option<()> {
        Sealed::take_now(self, key, cost).map(|_| ())
    }
}

impl<'a, K, A, C, H> On<'a, K, A, C, H>
where
    K: Eq + Hash,
    A: Reservable,
    C: Clock,
    H: BuildHasher + Clone,
{
    /// See [`KeyedLimiter::reserve`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reserve<'k, Q>(
        self,
        key: &'k Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Reservation<Of<'k, Self, Q>>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        match Sealed::hold(&self, key, cost.into(), nanos(max_wait)) {
            Ok(held) => Ok(Reservation::new(Of { limiter: self, key }, held)),
            Err(refused) => Err(refused.denied),
        }
    }
}

impl<'a, K, A, C, H> On<'a, K, A, C, H>
where
    K: Eq + Hash,
    A: Algorithm,
    C: Clock,
    H: BuildHasher + Clone,
{
    /// See [`KeyedLimiter::wait_with`].
    pub fn wait_with<'k, Q: ?Sized, T>(
        self,
        key: &'k Q,
        timer: T,
    ) -> Waiting<'static, Of<'k, Self, Q>, T> {
        Waiting::new(Of { limiter: self, key }, timer)
    }

    /// See [`KeyedLimiter::consume`].
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
    ) -> impl Future<Output = Result<Granted<'a>, Denied>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let way = Plain { source: Of { limiter: self, key }, timer: AnyRuntime };
        Waiter::new(way, cost.into(), Patience::endless()).wait::<Keep>()
    }

    /// See [`KeyedLimiter::consume_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume_timeout<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> impl Future<Output = Result<Granted<'a>, Denied>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let way = Plain { source: Of { limiter: self, key }, timer: AnyRuntime };
        Waiter::new(way, cost.into(), Patience::new(max_wait)).wait::<Keep>()
    }

    /// See [`KeyedLimiter::consume_blocking`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn consume_blocking<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
    ) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.block(key, cost.into(), Patience::endless())
    }

    /// See [`KeyedLimiter::consume_blocking_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn consume_blocking_timeout<Q>(
        self,
        key: &Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.block(key, cost.into(), Patience::new(max_wait))
    }

    fn block<Q>(self, key: &Q, cost: Tokens, patience: Patience) -> Result<Granted<'a>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        Waiter::new(Plain { source: Of { limiter: self, key }, timer: () }, cost, patience)
            .block::<Keep>()
    }
}

impl<K, A, C, H> KeyedLimiter<K, A, C, H>
where
    K: Eq + Hash,
    A: Reservable,
    C: Clock,
    H: BuildHasher + Clone,
{
    /// Takes `cost` tokens of `key` now, into debt if need be, and says when they are good; if that is later than
    /// `max_wait`, it takes none. See [`Limiter::reserve`](crate::Limiter::reserve).
    ///
    /// A key that is forgiven meanwhile ([`reset`](Self::reset)) is given back what is called off all the
    /// same, up to the capacity.
    ///
    /// # Errors
    ///
    /// As there, and [`Denied::NoRoom`] with [`WhenFull::DenyNew`](crate::WhenFull::DenyNew).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(2), ManualClock::new())?;
    /// let mut permit = users.reserve("alice", 2, Duration::ZERO).unwrap();
    /// assert!(permit.is_good());
    /// let mut later = users.reserve("alice", 1, Duration::from_secs(1)).unwrap();
    /// assert_eq!(later.wait(), Duration::from_millis(500));
    /// later.cancel();
    /// permit.settle(1);
    /// assert_eq!(users.available("alice"), 1);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    // It names all that it keeps.
    #[allow(clippy::type_complexity)]
    pub fn reserve<'k, Q>(
        &self,
        key: &'k Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Reservation<OfKey<'k, '_, K, A, C, H, Q>>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().reserve(key, cost, max_wait)
    }
}

impl<K, A, C, H> KeyedLimiter<K, A, C, H>
where
    K: Eq + Hash,
    A: Algorithm,
    C: Clock,
    H: BuildHasher + Clone,
{
    /// The waiting calls for `key`, on a timer of the caller's.
    // A limiter, a key and how they are held.
    #[allow(clippy::type_complexity)]
    pub fn wait_with<'k, Q: ?Sized, T>(
        &self,
        key: &'k Q,
        timer: T,
    ) -> Waiting<'static, OfKey<'k, '_, K, A, C, H, Q>, T> {
        self.own().wait_with(key, timer)
    }

    /// Waits until `cost` tokens of `key` are there, and takes them. Fair and cancel-safe, in any runtime: see
    /// [`Limiter::consume`](crate::Limiter::consume).
    ///
    /// No lock of a map is held while it waits.
    ///
    /// # Errors
    ///
    /// [`Denied::Never`] if the cost is above the capacity, and [`Denied::NoRoom`] with
    /// [`WhenFull::DenyNew`](crate::WhenFull::DenyNew).
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// let users = KeyedLimiter::<String>::new(Quota::per_second(100).burst(1))?;
    /// # async_io::block_on(async {
    /// for _ in 0..3 {
    ///     users.consume("alice", 1).await?;
    /// }
    /// # Ok::<(), flowgate::Denied>(())
    /// # }).unwrap();
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
    ) -> impl Future<Output = Result<Granted<'_>, Denied>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume(key, cost)
    }

    /// As [`consume`](Self::consume), if that takes no longer than `max_wait`. If it would it fails at once, and takes
    /// nothing.
    ///
    /// # Errors
    ///
    /// As `consume`, and [`Denied::NotYet`] if it would take longer.
    #[cfg(feature = "async")]
    #[inline]
    pub fn consume_timeout<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> impl Future<Output = Result<Granted<'_>, Denied>>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume_timeout(key, cost, max_wait)
    }

    /// [`consume`](Self::consume), blocking the thread. See
    /// [`Limiter::consume_blocking`](crate::Limiter::consume_blocking).
    ///
    /// # Errors
    ///
    /// As `consume`.
    pub fn consume_blocking<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
    ) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume_blocking(key, cost)
    }

    /// [`consume_timeout`](Self::consume_timeout), blocking the thread.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn consume_blocking_timeout<Q>(
        &self,
        key: &Q,
        cost: impl Into<Tokens>,
        max_wait: Duration,
    ) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.own().consume_blocking_timeout(key, cost, max_wait)
    }
}
