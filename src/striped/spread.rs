//! Taking and giving in several places: of stripes, and of the central bucket.

use super::Striped;
use super::central::Spent;
use super::stripes::{change, end};
use super::take::Take as _;
use crate::algorithm::Rules;
use crate::tokens::Tokens;

impl<S: Striped + ?Sized> Spread for S {}

/// Calls that are not refused: they may take, or give, in several places, and are so many grants.
pub(crate) trait Spread: Striped {
    fn take_up_to(&self, max: u64, now_ns: impl Fn() -> u64) -> u64 {
        if !self.fills() {
            return self.take_up_to_centrally(max, now_ns);
        }
        let cost = Tokens::new(max);
        // Alike, as long as all is there; and then the stripe is filled.
        if self.beside().take(max) || max > 0 && self.is_allowed_slow(cost, &now_ns) {
            return max;
        }
        let central = self.central();
        let mut left = max;
        let mut taken = change(self.beside().here(), |stripe| stripe.take_up_to(left));
        left = left.saturating_sub(taken);
        for stripe in self.beside().all_from_here() {
            let (more, _) = central.take_up_to(central.load(), left, now_ns()).unwrap_or_default();
            taken = taken.saturating_add(more);
            left = left.saturating_sub(more);
            let more = change(stripe, |stripe| stripe.take_up_to(left));
            taken = taken.saturating_add(more);
            left = left.saturating_sub(more);
        }
        taken
    }

    /// [`take_up_to`](Self::take_up_to) for who does not take from stripes but through the central bucket, at the
    /// time that a clock tells.
    fn take_up_to_centrally(&self, max: u64, now_ns: impl Fn() -> u64) -> u64 {
        let central = self.central();
        let take = |max| central.take_up_to(central.load(), max, now_ns()).unwrap_or_default().0;
        let mut taken = take(max);
        for stripe in self.beside().all_from_here() {
            let missing = max.saturating_sub(taken);
            let lifted = change(stripe, |stripe| stripe.lift(missing));
            if lifted > 0 {
                let wanted = central.terms.wanted(Tokens::new(lifted));
                if central.spend(lifted, wanted, now_ns()) == Spent::Granted {
                    taken = taken.saturating_add(lifted);
                }
                end(stripe, |stripe| stripe.end(lifted, 0));
            }
        }
        // A debt may have been paid.
        taken.saturating_add(take(max.saturating_sub(taken)))
    }

    fn take_all(&self, now_ns: impl Fn() -> u64) -> Tokens {
        let taken = self.beside().all_from_here().fold(0_u64, |taken, stripe| {
            taken.saturating_add(change(stripe, |stripe| stripe.take_up_to(u64::MAX)))
        });
        let central = self.central();
        let (rest, _) = central.drain(central.load(), now_ns()).unwrap_or_default();
        rest.saturating_add(Tokens::new(taken))
    }

    /// Gives back to the calling thread's stripe, then centrally, then to other stripes. A debt comes before all.
    fn give_back(&self, cost: Tokens, now_ns: impl Fn() -> u64) {
        let central = self.central();
        let layout = &central.terms.layout;
        let may_owe = !layout.may_hold_as_stored(central.load(), layout.zero);
        let here = if may_owe { 0 } else { cost.whole() };
        let put = change(self.beside().here(), |stripe| stripe.put(here));
        let rest = cost.saturating_sub(Tokens::new(put));
        if rest.is_zero() {
            return;
        }
        let units = self.central().terms.units_floor(rest);
        let left = units.saturating_sub(central.put(units, now_ns()));
        let mut whole = self.central().terms.tokens(left).whole();
        for stripe in self.beside().all_from_here() {
            let put = change(stripe, |stripe| stripe.put(whole));
            whole = whole.saturating_sub(put);
        }
    }

    /// Takes from the central bucket, into debt if need be, and then has the stripes pay the debt.
    fn take_anyway(&self, cost: Tokens, now_ns: impl Fn() -> u64) -> Tokens {
        if self.take_near(cost) {
            return Tokens::ZERO;
        }
        let central = self.central();
        let charge = |cost| central.charge(cost, now_ns()).unwrap_or_default();
        let left_over = charge(cost);
        // A cost of what is left over is taken if the stripes hold it and the debt; if not, all of theirs is central now.
        if self.gather(self.central().terms.wanted(left_over), now_ns(), &now_ns).is_some() {
            return Tokens::ZERO;
        }
        charge(left_over)
    }
}
