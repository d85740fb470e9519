//! A set of limits for a key, as its waits and its reservations hold it.

use core::array;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;
use std::borrow::ToOwned;

use super::direct::nanos;
use super::rejected::Rejected;
use super::reservation::Reservation;
use super::set::{Costs, LimitSet};
use super::source::{Again, Sealed};
use super::waiting::Waiting;
use crate::held::Held;

/// The buckets of a key, or of a key each, in all limits of a [`LimitSet`].
pub struct OfKeys<Q: ?Sized + ToOwned, const N: usize> {
    set: LimitSet<Q, N>,
    keys: Keys<Q::Owned, N>,
}

#[derive(Clone)]
pub(super) enum Keys<K, const N: usize> {
    One(K),
    Each([K; N]),
}

impl<Q: ?Sized + ToOwned, const N: usize> OfKeys<Q, N> {
    pub(super) fn new(set: LimitSet<Q, N>, keys: Keys<Q::Owned, N>) -> Self {
        Self { set, keys }
    }

    fn keys(&self) -> [&Q; N] {
        match &self.keys {
            Keys::One(key) => [key.borrow(); N],
            Keys::Each(keys) => array::from_fn(|at| keys[at].borrow()),
        }
    }

    /// Reserves all `costs` if all limits will hold them within `max_wait`; otherwise takes none.
    ///
    /// # Errors
    ///
    /// [`Rejected`], which names every limit that said no.
    pub fn reserve(
        self,
        costs: impl Into<Costs<N>>,
        max_wait: Duration,
    ) -> Result<Reservation<Self>, Rejected<N>> {
        match Sealed::hold(&self, costs.into(), nanos(max_wait)) {
            Ok(held) => Ok(Reservation::new(self, held)),
            Err(again) => Err(again.denied),
        }
    }

    /// The waiting calls on a [`Timer`](super::Timer) of the caller's.
    pub fn wait_with<T>(self, timer: T) -> Waiting<'static, Self, T> {
        Waiting::new(self, timer)
    }
}

impl<Q: ?Sized + ToOwned, const N: usize> Sealed for OfKeys<Q, N> {
    type Cost = Costs<N>;
    type Held = [Held; N];
    type Denied = Rejected<N>;
    type Granted = ();

    fn hold(&self, costs: Costs<N>, most_wait_ns: u64) -> Result<[Held; N], Again<Rejected<N>>> {
        self.set.hold(&self.keys(), costs, most_wait_ns)
    }

    /// By the first of the clocks.
    fn now_ns(&self) -> u64 {
        self.set.limits.first().map_or(0, |named| named.limit.now_ns())
    }

    fn is_good_at_once(all: &[Held; N]) -> bool {
        all.iter().all(Held::is_good_at_once)
    }

    fn cost_of(&self, all: &[Held; N]) -> Costs<N> {
        Costs(self.set.each(|at, limit| limit.tokens(all[at].units)))
    }

    fn first_wait_ns(all: &[Held; N]) -> u64 {
        all.iter().map(|held| held.told_ns(held.now_ns)).max().unwrap_or(0)
    }

    fn told_ns(&self, all: &[Held; N]) -> u64 {
        let waits = self.set.each(|at, limit| all[at].told_ns(limit.now_ns()));
        waits.into_iter().max().unwrap_or(0)
    }

    /// Good when all are.
    fn wait_ns(&self, all: &mut [Held; N]) -> u64 {
        let keys = self.keys();
        let waits =
            self.set.each(|at, limit| limit.wait_held_at(keys[at], &mut all[at], limit.now_ns()));
        waits.into_iter().max().unwrap_or(0)
    }

    fn take_back(&self, all: &[Held; N]) {
        let keys = self.keys();
        self.set.each(|at, limit| limit.take_back_at(keys[at], &all[at], 0, limit.now_ns()));
    }

    fn settle(&self, all: &[Held; N], Costs(actual): Costs<N>) -> Costs<N> {
        let keys = self.keys();
        Costs(
            self.set
                .each(|at, limit| limit.settle_at(keys[at], &all[at], actual[at], limit.now_ns())),
        )
    }

    fn granted(&self, _all: &[Held; N]) {}

    fn is_degraded(&self, all: &[Held; N]) -> bool {
        let mut each = self.set.limits.iter().zip(all);
        each.any(|(named, held)| named.limit.granted(held).is_degraded())
    }
}

impl<Q: ?Sized + ToOwned, const N: usize> Clone for OfKeys<Q, N>
where
    Q::Owned: Clone,
{
    fn clone(&self) -> Self {
        Self { set: self.set.clone(), keys: self.keys.clone() }
    }
}

impl<Q: ?Sized + ToOwned, const N: usize> fmt::Debug for OfKeys<Q, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfKeys").field("set", &self.set).finish_non_exhaustive()
    }
}
