//! Taking where the calling thread's stripe does not do.

use super::StripedBucket;
use super::central::{Seen, Spent};
use super::stripes::{change, end};
use crate::algorithm::Rules;
use crate::clock::Clock;
use crate::error::{Denied, Never, NotYet};
use crate::tokens::Tokens;

/// What was seen when a cost was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    /// The central bucket's word, and the time.
    word: u64,
    now_ns: u64,
    /// The tokens of all stripes.
    in_stripes: u64,
}

impl<C: Clock> StripedBucket<C> {
    /// Takes a cost that the calling thread's stripe does not hold, or refuses it. `now_ns` tells the time. The time
    /// at which it was taken is returned.
    ///
    /// A refusal is two loads, one look at the clock, and a load for each stripe.
    #[inline(never)]
    pub(super) fn take_slow(&self, cost: Tokens, now_ns: impl Fn() -> u64) -> Result<u64, Refused> {
        let central = self.central();
        let wanted = self.terms.wanted(cost);
        let mut looked_again = false;
        loop {
            // Before the clock, which so tells a time that is later than what is seen.
            let word = central.load();
            let lying = self.stripes.lying();
            let at_ns = now_ns();
            match central.look_for(word, wanted, central.units(lying.tokens), at_ns) {
                Seen::Holds { spare } => {
                    let taken = self.lease(cost, spare, (wanted, at_ns), &now_ns);
                    if let Some(at_ns) = taken {
                        return Ok(at_ns);
                    }
                }
                Seen::HoldsWithStripes => {
                    if self.gather(wanted, at_ns) {
                        return Ok(at_ns);
                    }
                }
                // What others have under way may be there in a moment.
                Seen::Lacks { hasty } if (hasty || lying.under_way) && !looked_again => {
                    looked_again = true;
                }
                Seen::Lacks { .. } => {
                    return Err(Refused { word, now_ns: at_ns, in_stripes: lying.tokens });
                }
                Seen::Changed => {}
            }
        }
    }

    /// Takes a cost from the central bucket, and with it what the calling thread's stripe has room for: in one swap.
    /// Returns when.
    ///
    /// Room is kept first, then the time is told: whatever lands in the stripe counted as lying there at that time
    /// already. Of the `spare` tokens it takes a stripe's share, so that a few are not hoarded.
    fn lease(
        &self,
        cost: Tokens,
        spare: u64,
        (wanted, at_ns): (u64, u64),
        now_ns: &impl Fn() -> u64,
    ) -> Option<u64> {
        let central = self.central();
        let share = spare >> self.stripes.count().trailing_zeros();
        let stripe = self.stripes.here();
        let begun = change(stripe, |stripe| {
            // A cost that a stripe cannot serve does not fill it.
            if cost > stripe.cap() { (stripe, 0) } else { stripe.begin(share) }
        });
        if begun == 0 {
            return central.take_besides(wanted, 0, at_ns).map(|_| at_ns);
        }
        let at_ns = if crate::planted::bring_as_of_an_earlier_time() { at_ns } else { now_ns() };
        let taken = central.take_besides(wanted, begun, at_ns);
        let landed = taken.unwrap_or(0);
        let landed = if crate::planted::land_what_was_asked_for() { begun } else { landed };
        end(stripe, |stripe| stripe.end(begun, landed));
        taken.map(|_| at_ns)
    }

    /// Takes a level that is `wanted` from the central bucket and stripes together, and tells whether they held it.
    ///
    /// Tokens of one stripe after the other are spent: put into the central bucket as long as that does not do, and
    /// taken with all that is there in one swap when it does. Their room stays theirs until then.
    pub(super) fn gather(&self, wanted: u64, at_ns: u64) -> bool {
        let central = self.central();
        if crate::planted::spend_in_two_swaps() {
            return self.gather_in_two_swaps(wanted, at_ns);
        }
        let mut spent = central.spend(0, wanted, at_ns);
        for stripe in self.stripes.all_from_here() {
            let Spent::Missing(missing) = spent else { break };
            let lifted = change(stripe, |stripe| stripe.lift(missing));
            if lifted > 0 {
                spent = central.spend(lifted, wanted, at_ns);
                end(stripe, |stripe| stripe.end(lifted, 0));
            }
        }
        spent == Spent::Granted
    }

    /// A planted bug: what the central bucket holds is in hand, and counted nowhere, while the stripes are asked.
    fn gather_in_two_swaps(&self, wanted: u64, at_ns: u64) -> bool {
        let central = self.central();
        let mut missing = wanted.saturating_sub(self.terms.wanted(Tokens::ZERO));
        let here = central.take_up_to(central.load(), u64::MAX, at_ns).unwrap_or_default().0;
        missing = missing.saturating_sub(central.units(here));
        for stripe in self.stripes.all_from_here() {
            let most = missing.checked_div(central.units(1)).unwrap_or(0);
            missing = missing
                .saturating_sub(central.units(change(stripe, |stripe| stripe.take_up_to(most))));
        }
        missing == 0
    }

    /// What a caller is told.
    #[inline(never)]
    pub(super) fn denied(&self, cost: Tokens, refused: Refused) -> Denied {
        let Refused { word, now_ns, in_stripes } = refused;
        let (terms, layout) = (&self.terms, &self.terms.layout);
        let wanted = terms.wanted(cost);
        let plan = terms.plan_for(word).unwrap_or_else(|| terms.plan());
        if !terms.may_ever_hold(&plan, wanted) {
            let capacity = terms.tokens(plan.capacity_units);
            return Denied::Never(Never { cost, capacity });
        }
        let wanted_here = wanted.saturating_sub(self.central().units(in_stripes));
        let reading = Rules::read(layout, &plan, word, now_ns);
        Denied::NotYet(NotYet { wait: Rules::wait(layout, &plan, &reading, wanted_here) })
    }
}
