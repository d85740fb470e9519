//! What waits, sets of limits and layers need of a limiter.

use core::time::Duration;

use crate::algorithm::{Algorithm, Rules, Wait};
use crate::answer::Granted;
use crate::bucket::{Bucket, Gone, Grant};
use crate::clock::Clock;
use crate::clocked::Clocked;
use crate::error::{Denied, Never};
use crate::held::{Held, Refused};
use crate::limiter::Limiter;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A limiter, as what is built upon it sees it: of keys `Q`, or, if it has none, of any.
///
/// Every limiter of this crate is one; so waits and sets of limits take them alike. The trait is sealed: what it does
/// is for this crate.
pub trait Limit<Q: ?Sized = ()>: Sealed<Q> {}

impl<Q: ?Sized, L: Sealed<Q> + ?Sized> Limit<Q> for L {}

/// What [`Limit`] hides.
pub trait Sealed<Q: ?Sized> {
    fn now_ns(&self) -> u64;

    /// Takes what is there at once, and goes at once.
    fn take_now(&self, key: &Q, cost: Tokens) -> Option<Granted<'_>>;

    /// Takes what is there at once, or says why not; `None` if what is taken may have to wait before it goes.
    fn try_now(&self, key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>>;

    /// As [`try_now`](Self::try_now), and tells who is refused what [`look_at`](Self::look_at) does.
    #[cfg(feature = "tower")]
    fn try_now_or_look(
        &self,
        key: &Q,
        cost: Tokens,
    ) -> Option<Result<Granted<'_>, (Denied, Tokens, Wait)>> {
        let answer = self.try_now(key, cost)?;
        Some(answer.map_err(|denied| {
            let (available, full) = self.look_at(key, self.now_ns());
            (denied, available, full)
        }))
    }

    /// Takes what will be there within `most_wait_ns`.
    fn hold_at(
        &self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused>;

    /// Whether that would be refused; takes nothing.
    fn would_refuse_at(
        &self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Option<Refused>;

    /// How long what is held is not good yet.
    fn wait_held_at(&self, key: &Q, held: &mut Held, now_ns: u64) -> u64;

    /// Gives back all but `keep` units of what is held.
    fn take_back_at(&self, key: &Q, held: &Held, keep: u64, now_ns: u64);

    /// Takes units as deep as words can tell, and returns how many that were.
    fn charge_at(&self, key: &Q, units: u64, now_ns: u64) -> u64;

    /// A cost in units, rounded up.
    fn units(&self, cost: Tokens) -> u64;

    fn tokens(&self, units: u64) -> Tokens;

    fn granted(&self, held: &Held) -> Granted<'_>;

    fn available_at(&self, key: &Q, now_ns: u64) -> Tokens;

    /// What can be taken at once, and in what time that comes back.
    fn policy(&self) -> Policy;

    /// How often the quota was changed: while that stays the same, the policy does; `None` of those that do not count.
    fn changes(&self) -> Option<u64> {
        None
    }

    /// What one call could take, and how long until nothing is missing.
    fn look_at(&self, key: &Q, now_ns: u64) -> (Tokens, Wait);

    /// The number of keys that are held, of a limiter by key.
    fn keys_held(&self) -> Option<u64> {
        None
    }

    /// Waits until a limit that has just refused knows more: one that leases its tokens, and is asking for some in the background. `None`
    /// if it is not, and of all others.
    #[cfg(feature = "std")]
    fn answered(&self, _key: &Q) -> Option<Answered> {
        None
    }

    /// Makes what is held cost `actual`: gives back what is more, or takes what is missing as deep as words can tell.
    /// Returns what could not be taken.
    fn settle_at(&self, key: &Q, held: &Held, actual: Tokens, now_ns: u64) -> Tokens {
        let units = self.units(actual);
        if units <= held.units {
            self.take_back_at(key, held, units, now_ns);
            return Tokens::ZERO;
        }
        let missing = units.saturating_sub(held.units);
        let taken = self.charge_at(key, missing, now_ns);
        if taken == missing && units < u64::MAX {
            return Tokens::ZERO;
        }
        actual.saturating_sub(self.tokens(held.units.saturating_add(taken)))
    }

    /// Takes what will be there within `most_wait_ns`, as of now. What was refused although others took it at a time
    /// that this thread had not read yet is tried once more.
    fn hold(&self, key: &Q, cost: Tokens, most_wait_ns: u64) -> Result<Held, Refused> {
        match self.hold_at(key, cost, most_wait_ns, self.now_ns()) {
            Err(refused) if refused.is_close() => {
                self.hold_at(key, cost, most_wait_ns, self.now_ns())
            }
            held => held,
        }
    }
}

/// When a store has answered.
#[cfg(feature = "std")]
pub(crate) type Answered =
    core::pin::Pin<std::boxed::Box<dyn core::future::Future<Output = ()> + Send>>;

/// What a limit allows, as far as all kinds of limits have it in common.
// Nobody asks where there is no `std`.
#[cfg_attr(not(feature = "std"), allow(dead_code))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    pub(crate) capacity: Tokens,
    pub(crate) window: Duration,
}

/// One bucket, whatever the key: that of a limiter without keys, or of a handle. Its word is never gone.
pub(crate) trait OneBucket {
    type Rules: Rules;
    type Clock: Clock;

    fn bucket(&self) -> Bucket<'_, Self::Rules>;
    fn clock(&self) -> &Self::Clock;
}

impl<A: Algorithm, C: Clock> OneBucket for Limiter<A, C> {
    type Rules = A::Rules;
    type Clock = C;

    #[inline]
    fn bucket(&self) -> Bucket<'_, A::Rules> {
        self.bucket()
    }

    #[inline]
    fn clock(&self) -> &C {
        &self.clock
    }
}

#[cfg(feature = "std")]
impl<B: OneBucket> OneBucket for std::sync::Arc<B> {
    type Rules = B::Rules;
    type Clock = B::Clock;

    fn bucket(&self) -> Bucket<'_, B::Rules> {
        (**self).bucket()
    }

    fn clock(&self) -> &B::Clock {
        (**self).clock()
    }
}

impl<Q: ?Sized, B: OneBucket> Sealed<Q> for B {
    fn now_ns(&self) -> u64 {
        self.clock().now_ns()
    }

    #[inline(always)]
    fn take_now(&self, _key: &Q, cost: Tokens) -> Option<Granted<'_>> {
        let bucket = self.bucket();
        if bucket.terms.layout.paces() {
            return None;
        }
        Clocked { bucket, clock: self.clock() }.granted(cost)
    }

    fn try_now(&self, _key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
        let bucket = self.bucket();
        let goes_at_once = !bucket.terms.layout.paces();
        goes_at_once.then(|| Clocked { bucket, clock: self.clock() }.try_consume(cost))
    }

    fn hold_at(
        &self,
        _key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused> {
        let bucket = self.bucket();
        let wanted = bucket.terms.wanted(cost);
        bucket
            .hold(bucket.load(), wanted, most_wait_ns, now_ns)
            .unwrap_or_else(|Gone| nowhere(cost))
    }

    fn would_refuse_at(
        &self,
        _key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Option<Refused> {
        let bucket = self.bucket();
        let wanted = bucket.terms.wanted(cost);
        bucket.would_refuse(wanted, most_wait_ns, now_ns).unwrap_or_default()
    }

    fn wait_held_at(&self, _key: &Q, held: &mut Held, now_ns: u64) -> u64 {
        self.bucket().wait_held(held, now_ns).unwrap_or_default()
    }

    fn take_back_at(&self, _key: &Q, held: &Held, keep: u64, now_ns: u64) {
        self.bucket().take_back(held, keep, now_ns).unwrap_or_default();
    }

    fn charge_at(&self, _key: &Q, units: u64, now_ns: u64) -> u64 {
        self.bucket().charge_units(units, now_ns).unwrap_or_default()
    }

    fn units(&self, cost: Tokens) -> u64 {
        self.bucket().terms.units(cost)
    }

    fn tokens(&self, units: u64) -> Tokens {
        self.bucket().terms.tokens(units)
    }

    fn granted(&self, held: &Held) -> Granted<'_> {
        granted_by(self.bucket().terms, held)
    }

    fn available_at(&self, _key: &Q, now_ns: u64) -> Tokens {
        self.bucket().available(now_ns).unwrap_or_default()
    }

    fn policy(&self) -> Policy {
        policy_by(self.bucket().terms)
    }

    fn changes(&self) -> Option<u64> {
        Some(self.bucket().terms.changes())
    }

    fn look_at(&self, _key: &Q, now_ns: u64) -> (Tokens, Wait) {
        let read = self.bucket().read(now_ns);
        let none = || (Tokens::ZERO, Wait::after(now_ns, 0));
        read.map_or_else(|Gone| none(), |read| (read.available, read.full))
    }

    /// The word is read before the clock, as `try_consume` does.
    fn hold(&self, _key: &Q, cost: Tokens, most_wait_ns: u64) -> Result<Held, Refused> {
        let bucket = self.bucket();
        let wanted = bucket.terms.wanted(cost);
        let once = || {
            let seen = bucket.load();
            let held = bucket.hold(seen, wanted, most_wait_ns, self.clock().now_ns());
            held.unwrap_or_else(|Gone| nowhere(cost))
        };
        match once() {
            Err(refused) if refused.is_close() => once(),
            held => held,
        }
    }
}

pub(crate) fn policy_by<R: Rules>(terms: &Terms<R>) -> Policy {
    let capacity = terms.tokens(terms.layout.capacity_units(&terms.plan()));
    Policy { capacity, window: R::window(&terms.config()) }
}

pub(crate) fn granted_by<'a, R: Rules>(terms: &'a Terms<R>, held: &Held) -> Granted<'a> {
    Granted::new(Grant { terms, left: held.left, now_ns: held.now_ns })
}

fn nowhere(cost: Tokens) -> Result<Held, Refused> {
    let never = Never { cost, capacity: Tokens::ZERO };
    Err(Refused::for_good(Denied::Never(never)))
}
