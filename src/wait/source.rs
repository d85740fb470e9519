//! What is reserved from: a bucket, or the buckets of a set of limits.

use super::limit::{Limit, Sealed as _};
use crate::answer::Granted;
use crate::error::Denied;
use crate::held::{Held, Nap, Refused};
use crate::tokens::Tokens;

/// What a [`Reservation`](super::Reservation) is made from, kept by it until it ends.
///
/// Sealed, and nothing to call: it is there for the types.
pub trait Source: Sealed {}

impl<S: Sealed> Source for S {}

/// What [`Source`] hides.
pub trait Sealed {
    /// One amount, or one for each limit.
    type Cost: Copy + Send;
    type Held: Copy + Send;
    type Denied: Send;
    type Granted;

    /// Takes what is there at once, and goes at once, where that is less work than to hold it.
    #[inline(always)]
    fn take_now(&self, _cost: Self::Cost) -> Option<Self::Granted> {
        None
    }

    fn hold(&self, cost: Self::Cost, most_wait_ns: u64) -> Result<Self::Held, Again<Self::Denied>>;

    /// A time to measure patience by.
    fn now_ns(&self) -> u64;

    /// Whether what is held was good when it was taken.
    fn is_good_at_once(held: &Self::Held) -> bool;

    /// What was taken.
    fn cost_of(&self, held: &Self::Held) -> Self::Cost;

    /// How long it was not good when it was taken.
    fn first_wait_ns(held: &Self::Held) -> u64;

    /// How long what is held is not good yet.
    fn wait_ns(&self, held: &mut Self::Held) -> u64;

    /// The same, as it was told last.
    fn told_ns(&self, held: &Self::Held) -> u64;

    fn take_back(&self, held: &Self::Held);

    /// Makes what is held cost `actual`, and returns what could not be taken.
    fn settle(&self, held: &Self::Held, actual: Self::Cost) -> Self::Cost;

    fn granted(&self, held: &Self::Held) -> Self::Granted;

    /// Whether what is held was let through without being counted.
    fn is_degraded(&self, _held: &Self::Held) -> bool {
        false
    }
}

/// A denial, and when to try again, for who would wait for that long.
#[cfg_attr(not(feature = "std"), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub struct Again<D> {
    pub(crate) denied: D,
    pub(crate) nap: Option<Nap>,
}

/// A limiter as a reservation holds it: by reference, in an `Arc`, or whatever else names one.
pub trait Lend<Q: ?Sized> {
    type Limit: Limit<Q> + ?Sized;
    /// What is told of what was taken: no more than the way in which the limiter is held allows.
    type Granted;

    fn limit(&self) -> &Self::Limit;

    fn granted(&self, held: &Held) -> Self::Granted;

    fn take_now(&self, key: &Q, cost: Tokens) -> Option<Self::Granted>;
}

impl<'a, Q: ?Sized, L: Limit<Q> + ?Sized> Lend<Q> for &'a L {
    type Limit = L;
    type Granted = Granted<'a>;

    fn limit(&self) -> &L {
        self
    }

    fn granted(&self, held: &Held) -> Granted<'a> {
        (**self).granted(held)
    }

    #[inline(always)]
    fn take_now(&self, key: &Q, cost: Tokens) -> Option<Granted<'a>> {
        (**self).take_now(key, cost)
    }
}

#[cfg(feature = "std")]
impl<Q: ?Sized, L: Limit<Q> + ?Sized> Lend<Q> for std::sync::Arc<L> {
    type Limit = L;
    type Granted = ();

    fn limit(&self) -> &L {
        self
    }

    fn granted(&self, _held: &Held) {}

    #[inline(always)]
    fn take_now(&self, key: &Q, cost: Tokens) -> Option<()> {
        (**self).take_now(key, cost).map(|_| ())
    }
}

/// The bucket of a key, or of a limiter without keys. The limiter is held by reference or in an `Arc`.
#[derive(Debug)]
pub struct Of<'k, P, Q: ?Sized = ()> {
    pub(crate) limiter: P,
    pub(crate) key: &'k Q,
}

impl<P: Clone, Q: ?Sized> Clone for Of<'_, P, Q> {
    fn clone(&self) -> Self {
        Self { limiter: self.limiter.clone(), key: self.key }
    }
}

impl<P: Copy, Q: ?Sized> Copy for Of<'_, P, Q> {}

impl<P> Of<'static, P> {
    pub(crate) fn no_key(limiter: P) -> Self {
        Self { limiter, key: &() }
    }
}

impl<P: Lend<Q>, Q: ?Sized> Sealed for Of<'_, P, Q> {
    type Cost = Tokens;
    type Held = Held;
    type Denied = Denied;
    type Granted = P::Granted;

    #[inline(always)]
    fn take_now(&self, cost: Tokens) -> Option<P::Granted> {
        self.limiter.take_now(self.key, cost)
    }

    #[inline]
    fn hold(&self, cost: Tokens, most_wait_ns: u64) -> Result<Held, Again<Denied>> {
        let held = self.limiter.limit().hold(self.key, cost, most_wait_ns);
        held.map_err(|Refused { denied, nap }| Again { denied, nap })
    }

    fn now_ns(&self) -> u64 {
        self.limiter.limit().now_ns()
    }

    #[inline]
    fn is_good_at_once(held: &Held) -> bool {
        held.is_good_at_once()
    }

    fn cost_of(&self, held: &Held) -> Tokens {
        self.limiter.limit().tokens(held.units)
    }

    #[inline]
    fn first_wait_ns(held: &Held) -> u64 {
        held.told_ns(held.now_ns)
    }

    fn told_ns(&self, held: &Held) -> u64 {
        held.told_ns(self.now_ns())
    }

    fn wait_ns(&self, held: &mut Held) -> u64 {
        let limit = self.limiter.limit();
        limit.wait_held_at(self.key, held, limit.now_ns())
    }

    fn take_back(&self, held: &Held) {
        let limit = self.limiter.limit();
        limit.take_back_at(self.key, held, 0, limit.now_ns());
    }

    fn settle(&self, held: &Held, actual: Tokens) -> Tokens {
        let limit = self.limiter.limit();
        limit.settle_at(self.key, held, actual, limit.now_ns())
    }

    fn granted(&self, held: &Held) -> P::Granted {
        self.limiter.granted(held)
    }
}
