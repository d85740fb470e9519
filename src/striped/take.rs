//! Taking where the calling thread's stripe does not do.

use core::time::Duration;

use super::Striped;
use super::central::{Seen, Spent};
use super::stripes::{Lying, change, end};
use crate::algorithm::Rules;
use crate::bucket::Read;
use crate::error::{Denied, Never, NotYet};
use crate::primitive::give_way;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// What was seen of all there is: each word at a moment of its own, the time last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The central bucket's word.
    word: u64,
    /// The tokens of all stripes.
    in_stripes: u64,
    now_ns: u64,
    /// Somebody is moving tokens.
    under_way: bool,
}

impl<S: Striped + ?Sized> Take for S {}

/// What stripes and a central bucket do together for a call that a stripe does not serve.
pub(crate) trait Take: Striped {
    /// Takes a cost that the calling thread's stripe does not hold, or refuses it. `now_ns` tells the time. The time
    /// at which it was taken is returned.
    ///
    /// Most refusals are two loads, one look at the clock, and a load for each stripe.
    #[inline(never)]
    fn consume_slow(&self, cost: Tokens, now_ns: impl Fn() -> u64) -> Result<u64, Denied> {
        let wanted = self.central().terms.wanted(cost);
        let look = self.look(&now_ns);
        if self.lacks_at_sight(wanted, &look) {
            return Err(self.denied(cost, look.word, look.in_stripes, look.now_ns));
        }
        let taken = self.take_or_refuse((cost, wanted), look, now_ns);
        taken.map_err(|look| self.denied(cost, look.word, look.in_stripes, look.now_ns))
    }

    /// As [`consume_slow`](Self::consume_slow), for who does not ask why not.
    #[inline(never)]
    fn is_allowed_slow(&self, cost: Tokens, now_ns: impl Fn() -> u64) -> bool {
        let wanted = self.central().terms.wanted(cost);
        let look = self.look(&now_ns);
        !self.lacks_at_sight(wanted, &look)
            && self.take_or_refuse((cost, wanted), look, now_ns).is_ok()
    }

    /// Whether what was seen tells without a plan that all tokens together are too few.
    #[inline(always)]
    fn lacks_at_sight(&self, wanted: u64, look: &Look) -> bool {
        let wanted_here = wanted.saturating_sub(self.central().units(look.in_stripes));
        self.central().terms.lacks(look.word, look.now_ns, wanted_here)
            && !look.under_way
            && self.central().word.load() == look.word
    }

    /// Looks at all there is.
    #[inline(always)]
    fn look(&self, now_ns: impl Fn() -> u64) -> Look {
        let word = self.central().word.load();
        let Lying { tokens: in_stripes, under_way } = self.beside().lying();
        // After the words, so that the time is later than what is seen.
        Look { word, in_stripes, under_way, now_ns: now_ns() }
    }

    /// Takes or refuses a cost where that is not told at sight.
    #[inline(never)]
    fn take_or_refuse(
        &self,
        (cost, wanted): (Tokens, u64),
        mut look: Look,
        now_ns: impl Fn() -> u64,
    ) -> Result<u64, Look> {
        let central = self.central();
        let mut looked_again = false;
        loop {
            let at_ns = look.now_ns;
            let in_stripes = central.units(look.in_stripes);
            match central.look_for(look.word, wanted, in_stripes, at_ns) {
                Seen::Holds { spare } => {
                    let taken = self.lease(cost, spare, (wanted, at_ns), &now_ns);
                    if let Some(at_ns) = taken {
                        return Ok(at_ns);
                    }
                }
                Seen::HoldsWithStripes => {
                    if let Some(at_ns) = self.gather(wanted, at_ns, &now_ns) {
                        return Ok(at_ns);
                    }
                }
                Seen::Lacks { hasty } => {
                    // What others have under way may be there in a moment, too.
                    if looked_again || !(hasty || look.under_way) {
                        return Err(look);
                    }
                    looked_again = true;
                }
                Seen::Changed => give_way(),
            }
            look = self.look(&now_ns);
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
        let share = spare >> self.beside().count().trailing_zeros();
        let stripe = self.beside().here();
        let begun = change(stripe, |stripe| {
            // A cost that a stripe cannot serve does not fill it.
            if cost > stripe.cap() || !self.fills() { (stripe, 0) } else { stripe.begin(share) }
        });
        if begun == 0 {
            return central.take_besides(wanted, 0, at_ns).map(|_| at_ns);
        }
        let at_ns = if crate::planted::move_as_of_an_earlier_time() { at_ns } else { now_ns() };
        let taken = central.take_besides(wanted, begun, at_ns);
        let landed = taken.unwrap_or(0);
        let landed = if crate::planted::land_what_was_asked_for() { begun } else { landed };
        end(stripe, |stripe| stripe.end(begun, landed));
        taken.map(|_| at_ns)
    }

    /// Takes a level that is `wanted` from the central bucket and stripes together, if they hold it. Returns when.
    ///
    /// The tokens of one stripe after the other are lifted and spent: put into the central bucket as long as that does
    /// not do, and taken with what is there, in one swap, when it does. Until then their room stays theirs. As in
    /// [`lease`](Self::lease), the time is told after they were lifted: no token is spent as of a time when it had not
    /// arrived.
    fn gather(&self, wanted: u64, mut at_ns: u64, now_ns: &impl Fn() -> u64) -> Option<u64> {
        let central = self.central();
        if crate::planted::spend_in_two_swaps() {
            return self.gather_in_two_swaps(wanted, at_ns).then(now_ns);
        }
        let mut spent = central.spend(0, wanted, at_ns);
        for stripe in self.beside().all_from_here() {
            let Spent::Missing(missing) = spent else { break };
            let lifted = change(stripe, |stripe| stripe.lift(missing));
            if lifted > 0 {
                if !crate::planted::move_as_of_an_earlier_time() {
                    at_ns = now_ns();
                }
                spent = central.spend(lifted, wanted, at_ns);
                end(stripe, |stripe| stripe.end(lifted, 0));
            }
        }
        (spent == Spent::Granted).then_some(at_ns)
    }

    /// A planted bug: what the central bucket holds is in hand, and counted nowhere, while the stripes are asked.
    fn gather_in_two_swaps(&self, wanted: u64, at_ns: u64) -> bool {
        let central = self.central();
        let cost = self
            .central()
            .terms
            .tokens(wanted.saturating_sub(self.central().terms.wanted(Tokens::ZERO)));
        let here = central.take_up_to(central.load(), cost.whole(), at_ns).unwrap_or_default().0;
        let mut missing = cost.whole().saturating_sub(here);
        for stripe in self.beside().all_from_here() {
            let more = change(stripe, |stripe| stripe.take_up_to(missing));
            missing = missing.saturating_sub(more);
        }
        missing == 0
    }

    /// What a caller is told of a cost that was refused: by the plan of the word that was seen, or, if that one has been
    /// replaced meanwhile, by a later one.
    ///
    /// Given numbers and not a [`Look`], which would go through memory: that takes longer than the rest.
    #[inline(never)]
    fn denied(&self, cost: Tokens, word: u64, in_stripes: u64, now_ns: u64) -> Denied {
        let central = self.central();
        let (terms, layout) = (central.terms, &central.terms.layout);
        let wanted = terms.wanted(cost);
        let plan = central.plan_or_later(word);
        if !terms.may_ever_hold(&plan, wanted) {
            let capacity = terms.tokens(plan.capacity_units);
            return Denied::Never(Never { cost, capacity });
        }
        let wanted_here = wanted.saturating_sub(central.units(in_stripes));
        let reading = Rules::read(layout, &plan, word, now_ns);
        Denied::NotYet(NotYet { wait: layout.wait(&plan, &reading, wanted_here) })
    }

    /// How long until all tokens together are `cost`; `None` if the central bucket never holds it.
    fn wait_for(&self, cost: Tokens, now_ns: u64) -> Option<Duration> {
        let central = self.central();
        let (terms, layout) = (central.terms, &central.terms.layout);
        let wanted = terms.wanted(cost);
        let in_stripes = self.central().units(self.beside().lying().tokens);
        let wanted_here = wanted.saturating_sub(in_stripes);
        let (word, plan) = central.look();
        if !terms.may_ever_hold(&plan, wanted) {
            return None;
        }
        let reading = Rules::read(layout, &plan, word, now_ns);
        if reading.level >= wanted_here {
            return Some(Duration::ZERO);
        }
        Some(layout.wait(&plan, &reading, wanted_here).duration())
    }

    /// Everything at one moment, if nobody calls meanwhile; else each word at a moment of its own.
    fn read(&self, now_ns: u64) -> Read<Quota> {
        let lying = Tokens::new(self.beside().lying().tokens);
        loop {
            // The central word is never gone.
            if let Ok(Read { available, debt, full, config }) = self.central().read(now_ns) {
                let tokens = available.saturating_add(lying);
                let (available, debt) = (tokens.saturating_sub(debt), debt.saturating_sub(tokens));
                return Read { available, debt, full, config };
            }
        }
    }
}
