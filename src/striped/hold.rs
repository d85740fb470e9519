//! Taking ahead of time: what stripes hold goes to the central bucket, which then goes into debt.

use super::Striped;
use super::spread::Spread as _;
use super::stripes::Lying;
use super::take::Take as _;
use crate::error::{Denied, Never};
use crate::held::{Held, Refused};
use crate::tokens::Tokens;

impl<S: Striped + ?Sized> Hold for S {}

/// What reservations need of stripes and a central bucket.
pub(crate) trait Hold: Striped {
    /// Whoever needs not wait takes as `try_consume` does. Whoever must has the stripes emptied first: so nothing lies
    /// beside a debt, and who comes later is later.
    fn hold_in_all(&self, cost: Tokens, most_wait_ns: u64, now_ns: u64) -> Result<Held, Refused> {
        let central = self.central();
        let wanted = central.terms.wanted(cost);
        let at_once = || Ok(Held::at_once(central.terms.units(cost), now_ns));
        if self.take_near(cost) || self.consume_slow(cost, || now_ns).is_ok() {
            return at_once();
        }
        if let Some(refused) = self.would_refuse_in_all(cost, most_wait_ns, now_ns) {
            return Err(refused);
        }
        if self.gather(wanted, now_ns, &|| now_ns).is_some() {
            return at_once();
        }
        let held = central.hold(central.load(), wanted, most_wait_ns, now_ns);
        // The central word is never gone.
        let never = Denied::Never(Never { cost, capacity: Tokens::ZERO });
        held.unwrap_or(Err(Refused::for_good(never)))
    }

    /// Why that would be refused; `None` if it would not be.
    fn would_refuse_in_all(&self, cost: Tokens, most_wait_ns: u64, now_ns: u64) -> Option<Refused> {
        let central = self.central();
        let (terms, layout) = (central.terms, &central.terms.layout);
        let wanted = terms.wanted(cost);
        // What never is there is not made possible by what lies in stripes.
        let whole = central.would_refuse(wanted, u64::MAX, now_ns).unwrap_or_default();
        if let Some(never @ Refused { denied: Denied::Never(_), .. }) = whole {
            return Some(never);
        }
        let Lying { tokens: in_stripes, .. } = self.beside().lying();
        let wanted_here = wanted.saturating_sub(central.units(in_stripes)).max(layout.floor());
        central.would_refuse(wanted_here, most_wait_ns, now_ns).unwrap_or_default()
    }

    /// Gives back all but `keep` units of what is held.
    fn take_back_in_all(&self, held: &Held, keep: u64, now_ns: u64) {
        let tokens = self.central().terms.tokens(held.units.saturating_sub(keep));
        self.give_back(tokens, || now_ns);
    }

    /// Takes units as deep as words can tell, and returns how many that were.
    fn charge_units_in_all(&self, units: u64, now_ns: impl Fn() -> u64) -> u64 {
        let terms = self.central().terms;
        let left_over = self.take_anyway(terms.tokens(units), now_ns);
        units.saturating_sub(terms.units(left_over))
    }
}

/// Makes a striped bucket, or what is called like one, a limit.
macro_rules! is_a_limit {
    ([$($generics:tt)+] $type:ty) => {
        impl<Q: ?Sized, $($generics)+> $crate::wait::Sealed<Q> for $type {
            fn now_ns(&self) -> u64 {
                self.clock().now_ns()
            }

            #[inline]
            fn take_now(&self, _key: &Q, cost: Tokens) -> Option<Granted<'_>> {
                self.try_consume(cost).ok()
            }

            fn try_now(&self, _key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
                Some(self.try_consume(cost))
            }

            fn hold_at(
                &self,
                _key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Result<Held, Refused> {
                self.hold_in_all(cost, most_wait_ns, now_ns)
            }

            fn would_refuse_at(
                &self,
                _key: &Q,
                cost: Tokens,
                most_wait_ns: u64,
                now_ns: u64,
            ) -> Option<Refused> {
                self.would_refuse_in_all(cost, most_wait_ns, now_ns)
            }

            fn wait_held_at(&self, _key: &Q, held: &mut Held, now_ns: u64) -> u64 {
                self.central().wait_held(held, now_ns).unwrap_or_default()
            }

            fn take_back_at(&self, _key: &Q, held: &Held, keep: u64, now_ns: u64) {
                self.take_back_in_all(held, keep, now_ns);
            }

            fn charge_at(&self, _key: &Q, units: u64, now_ns: u64) -> u64 {
                self.charge_units_in_all(units, || now_ns)
            }

            fn units(&self, cost: Tokens) -> u64 {
                self.central().terms.units(cost)
            }

            fn tokens(&self, units: u64) -> Tokens {
                self.central().terms.tokens(units)
            }

            fn granted(&self, held: &Held) -> Granted<'_> {
                self.granted(Some(held.now_ns))
            }

            fn available_at(&self, _key: &Q, now_ns: u64) -> Tokens {
                self.available_at(now_ns)
            }

            fn policy(&self) -> Policy {
                // No call takes more than is guaranteed to be in reach.
                Policy { capacity: self.guaranteed_burst(), window: self.quota().fill_time() }
            }

            fn look_at(&self, _key: &Q, now_ns: u64) -> (Tokens, Wait) {
                let snapshot = self.snapshot_at(now_ns);
                (snapshot.available(), snapshot.full())
            }
        }
    };
}

pub(crate) use is_a_limit;
