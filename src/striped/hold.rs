//! Taking ahead of time: what stripes hold goes to the central bucket, which then goes into debt.

use crate::algorithm::Wait;

use super::StripedBucket;
use super::stripes::Lying;
use crate::answer::Granted;
use crate::clock::Clock;
use crate::error::{Denied, Never};
use crate::held::{Held, Refused};
use crate::tokens::Tokens;
use crate::wait::{Policy, Sealed};

impl<Q: ?Sized, C: Clock + Sync> Sealed<Q> for StripedBucket<C> {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    #[inline]
    fn take_now(&self, _key: &Q, cost: Tokens) -> Option<Granted<'_>> {
        self.try_consume(cost).ok()
    }

    fn try_now(&self, _key: &Q, cost: Tokens) -> Option<Result<Granted<'_>, Denied>> {
        Some(self.try_consume(cost))
    }

    /// Whoever needs not wait takes as `try_consume` does. Whoever must has the stripes emptied first: so nothing lies
    /// beside a debt, and who comes later is later.
    fn hold_at(
        &self,
        key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused> {
        let wanted = self.terms.wanted(cost);
        let at_once = || Ok(Held::at_once(self.terms.units(cost), now_ns));
        if self.try_consume_at(cost, now_ns).is_ok() {
            return at_once();
        }
        if let Some(refused) = self.would_refuse_at(key, cost, most_wait_ns, now_ns) {
            return Err(refused);
        }
        let central = self.central();
        if self.gather(wanted, now_ns, &|| now_ns).is_some() {
            return at_once();
        }
        let held = central.hold(central.load(), wanted, most_wait_ns, now_ns);
        // The central word is never gone.
        let never = Denied::Never(Never { cost, capacity: Tokens::ZERO });
        held.unwrap_or(Err(Refused::for_good(never)))
    }

    fn would_refuse_at(
        &self,
        _key: &Q,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Option<Refused> {
        let (central, layout) = (self.central(), &self.terms.layout);
        let wanted = self.terms.wanted(cost);
        // What never is there is not made possible by what lies in stripes.
        let whole = central.would_refuse(wanted, u64::MAX, now_ns).unwrap_or_default();
        if let Some(never @ Refused { denied: Denied::Never(_), .. }) = whole {
            return Some(never);
        }
        let Lying { tokens: in_stripes, .. } = self.stripes.lying();
        let wanted_here = wanted.saturating_sub(central.units(in_stripes)).max(layout.floor());
        central.would_refuse(wanted_here, most_wait_ns, now_ns).unwrap_or_default()
    }

    fn wait_held_at(&self, _key: &Q, held: &mut Held, now_ns: u64) -> u64 {
        self.central().wait_held(held, now_ns).unwrap_or_default()
    }

    fn take_back_at(&self, _key: &Q, held: &Held, keep: u64, now_ns: u64) {
        self.give_back(self.terms.tokens(held.units.saturating_sub(keep)), || now_ns);
    }

    fn charge_at(&self, _key: &Q, units: u64, now_ns: u64) -> u64 {
        let left_over = self.take_anyway(self.terms.tokens(units), || now_ns);
        units.saturating_sub(self.terms.units(left_over))
    }

    fn units(&self, cost: Tokens) -> u64 {
        self.terms.units(cost)
    }

    fn tokens(&self, units: u64) -> Tokens {
        self.terms.tokens(units)
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
