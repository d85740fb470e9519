//! A word with the terms to read it by: the token bucket that is given the time.

use crate::algorithm::{Plan, Reading, Wait};
use crate::cell::{Cell, Step};
use crate::error::QuotaError;
use crate::fill::Fill;
use crate::primitive::{give_way, step_aside};
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A token bucket that is given the time: whoever owns the word lends it for a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) word: &'a Cell,
}

/// What a call took, still in units; the rest is worked out when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) left: u64,
    pub(crate) now_ns: u64,
}

/// What became of a cost. Two registers: on the path that everybody takes, nothing goes through memory.
#[derive(Clone, Copy)]
pub(crate) enum Taken {
    /// It was taken, and left this word.
    Granted(u64),
    /// Nothing was. Why is written where the caller said.
    Refused,
    /// The bucket is not here, or no longer: see [`Gone`].
    Gone,
}

impl Taken {
    /// The word that was left, if it was taken.
    #[cfg(feature = "keyed")]
    #[inline(always)]
    pub(crate) fn left(self) -> Result<Option<u64>, Gone> {
        match self {
            Self::Granted(left) => Ok(Some(left)),
            Self::Refused => Ok(None),
            Self::Gone => Err(Gone),
        }
    }
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// It is not there. `hasty` tells that this may be so only because the time that was given is
    /// earlier than that of others who took tokens first.
    NotYet { wait: Wait, hasty: bool },
    /// It is above the capacity.
    Never { capacity_units: u64 },
}

impl Refusal {
    /// Whether a later time may change it.
    pub(crate) fn is_hasty(&self) -> bool {
        matches!(self, Self::NotYet { hasty: true, .. })
    }
}

/// The word holds no bucket: its key was dropped, or its bucket lies elsewhere. Never the word of a direct
/// limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl<'a> Bucket<'a> {
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.word.load()
    }

    /// The word and the plan it is to be read by.
    #[inline]
    fn look(&self) -> (u64, Plan) {
        loop {
            let word = self.word.load_to_read();
            if let Some(plan) = self.terms.plan_for(word) {
                return (word, plan);
            }
            give_way();
        }
    }

    /// Reads without changing anything.
    fn peek<T>(&self, read: impl FnOnce(u64, &Plan) -> T) -> Result<T, Gone> {
        let (word, plan) = self.look();
        if self.terms.layout.is_gone(word) { Err(Gone) } else { Ok(read(word, &plan)) }
    }

    /// Decides on the word `seen`, and again on each newer one until a decision stands. A decision is a
    /// level to leave, or none to leave the word alone, and an outcome.
    #[inline]
    fn change<T>(
        &self,
        seen: u64,
        now_ns: u64,
        mut decide: impl FnMut(u64, &Plan, &Reading) -> (Option<u64>, T),
    ) -> Result<T, Gone> {
        let layout = &self.terms.layout;
        self.word.update(seen, |word| {
            if self.terms.layout.is_gone(word) {
                return Step::Keep(Err(Gone));
            }
            let Some(plan) = self.terms.plan_for(word) else { return Step::Again };
            let reading = layout.read(&plan, word, now_ns);
            match decide(word, &plan, &reading) {
                (Some(level), outcome) => {
                    Step::Store(layout.store(&plan, &reading, level), Ok(outcome))
                }
                (None, outcome) => Step::Keep(Ok(outcome)),
            }
        })
    }

    /// The bucket now, without changing it: the level, when it will be full, and the quota.
    pub(crate) fn read(&self, now_ns: u64) -> Result<(u64, Wait, Quota), Gone> {
        let layout = &self.terms.layout;
        loop {
            let (word, plan) = self.look();
            if layout.is_gone(word) {
                return Err(Gone);
            }
            let slot = self.terms.slot_for(word);
            let quota = self.terms.quota_in(slot);
            // The same plan before and after: they belong together.
            if let Some(quota) = quota
                && self.terms.slot_for(self.word.load_to_read()) == slot
            {
                let reading = layout.read(&plan, word, now_ns);
                return Ok((reading.level, layout.wait_full(&plan, &reading), quota));
            }
            give_way();
        }
    }

    /// The tokens that are there now.
    pub(crate) fn available(&self, now_ns: u64) -> Result<Tokens, Gone> {
        let layout = &self.terms.layout;
        let level = self.peek(|word, plan| layout.read(plan, word, now_ns).level)?;
        Ok(self.terms.tokens(level.saturating_sub(layout.zero)))
    }

    /// How long until `cost` is there: nothing if it is, `None` if it never is.
    pub(crate) fn wait_for(&self, cost: Tokens, now_ns: u64) -> Result<Option<Wait>, Gone> {
        let layout = &self.terms.layout;
        let cost_units = self.terms.units(cost);
        let wanted = layout.zero.saturating_add(cost_units);
        self.peek(|word, plan| {
            (cost_units <= plan.capacity_units)
                .then(|| layout.wait(plan, &layout.read(plan, word, now_ns), wanted))
        })
    }

    /// Takes `cost_units`, deciding on the word `seen` first. Writes to `refusal` only if it refuses.
    ///
    /// The loop stands here once more, for taking that is one subtraction: no closure, nothing returned
    /// but a word, so that all of it is inlined into the caller and stays in registers.
    #[inline(always)]
    pub(crate) fn take(
        &self,
        seen: u64,
        cost_units: u64,
        now_ns: u64,
        refusal: &mut Option<Refusal>,
    ) -> Taken {
        let layout = &self.terms.layout;
        let wanted = layout.zero.saturating_add(cost_units);
        let mut word = seen;
        while layout.holds_in_place(word, now_ns, wanted, self.terms.brim()) {
            let left = word.wrapping_sub(cost_units);
            match self.word.replace(word, left) {
                Ok(()) => return Taken::Granted(left),
                // In a crowd the word goes from core to core with every swap. Whoever loses one steps aside
                // and lets the winner go on where the word is: two threads do twice as much so.
                Err(_) => {
                    step_aside();
                    word = self.word.load();
                }
            }
        }
        let overtaken = word != seen;
        take_slow(self.terms, self.word, (word, overtaken), cost_units, now_ns, refusal)
    }

    /// Takes whole tokens, and tells whether others came first.
    pub(crate) fn take_up_to(&self, seen: u64, max: u64, now_ns: u64) -> Result<(u64, bool), Gone> {
        let units_per_token = self.terms.layout.units_per_token;
        self.change(seen, now_ns, |word, _, reading| {
            // `units_per_token` is never 0.
            let whole = reading.level.saturating_sub(self.terms.layout.zero) / units_per_token;
            let take = whole.min(max);
            if take == 0 {
                return (None, (0, word != seen));
            }
            let level = reading.level.wrapping_sub(take.wrapping_mul(units_per_token));
            let told = if crate::planted::promise_more_than_taken() { max } else { take };
            (Some(level), (told, word != seen))
        })
    }

    /// Takes all, and tells whether others came first.
    pub(crate) fn drain(&self, seen: u64, now_ns: u64) -> Result<(Tokens, bool), Gone> {
        let zero = self.terms.layout.zero;
        let (units, overtaken) = self.change(seen, now_ns, |word, _, reading| {
            let units = reading.level.saturating_sub(zero);
            ((units > 0).then_some(zero), (units, word != seen))
        })?;
        Ok((self.terms.tokens(units), overtaken))
    }

    pub(crate) fn refund(&self, cost: Tokens, now_ns: u64) -> Result<(), Gone> {
        let units = self.terms.units_floor(cost);
        self.change(self.load(), now_ns, |_, plan, reading| {
            let mut level = reading.level.saturating_add(units);
            if !crate::planted::refund_above_capacity() {
                // A level is never above the capacity.
                level = level.min(self.terms.layout.zero.wrapping_add(plan.capacity_units));
            }
            (Some(level), ())
        })
    }

    /// Takes `cost` down to the floor, and returns what went below it.
    pub(crate) fn charge(&self, cost: Tokens, now_ns: u64) -> Result<Tokens, Gone> {
        let layout = &self.terms.layout;
        let units = self.terms.units(cost);
        let taken = self.change(self.load(), now_ns, |_, _, reading| {
            let taken = if crate::planted::charge_below_floor() {
                units
            } else {
                units.min(reading.level.saturating_sub(layout.floor()))
            };
            let level = reading.level.wrapping_sub(taken) & layout.level_mask;
            (Some(level), taken)
        })?;
        if taken == units && units < u64::MAX {
            return Ok(Tokens::ZERO);
        }
        Ok(cost.saturating_sub(self.terms.tokens(taken)))
    }

    /// Changes the quota, by one swap of the word, which names its plan. `now_ns` tells the time, each time
    /// after the word was read: so it is not earlier than whatever is in the word.
    pub(crate) fn set_quota(
        &self,
        quota: &Quota,
        fill: Fill,
        now_ns: impl Fn() -> u64,
    ) -> Result<(), QuotaError> {
        let layout = &self.terms.layout;
        let new = Plan::new(layout, quota)?;
        self.terms.replace(new, quota, |old, new| {
            loop {
                let seen = self.load();
                let reading = layout.read(old, seen, now_ns());
                let level = fill.apply(layout, old, new, reading.level);
                let mut restated = layout.restate(new, &reading, level);
                if crate::planted::flip_without_restating() {
                    restated = seen ^ layout.mark_mask;
                }
                if self.word.change_over(seen, restated) {
                    break;
                }
            }
        });
        Ok(())
    }

    /// The grant that left the word `left`.
    #[inline]
    pub(crate) fn grant(&self, left: u64, now_ns: u64) -> Grant<'a> {
        Grant { terms: self.terms, left, now_ns }
    }
}

/// Takes `cost_units` where that is not one subtraction: in a new tick, out of a full bucket, and out
/// of one that may hold too little. `seen` is the word, and whether others have changed it already.
#[inline(never)]
fn take_slow(
    terms: &Terms,
    word: &Cell,
    (seen, overtaken): (u64, bool),
    cost_units: u64,
    now_ns: u64,
    refusal: &mut Option<Refusal>,
) -> Taken {
    let layout = &terms.layout;
    let wanted = layout.zero.saturating_add(cost_units);
    word.update(seen, |word| {
        if layout.is_gone(word) {
            return Step::Keep(Taken::Gone);
        }
        let Some(plan) = terms.plan_for(word) else { return Step::Again };
        let reading = layout.read(&plan, word, now_ns);
        if reading.level >= wanted {
            let level = reading.level.wrapping_sub(cost_units);
            let left = layout.store(&plan, &reading, level);
            return Step::Store(left, Taken::Granted(left));
        }
        *refusal = Some(if cost_units > plan.capacity_units {
            Refusal::Never { capacity_units: plan.capacity_units }
        } else {
            let missing = wanted.wrapping_sub(reading.level);
            let is_near = plan.rate.credits_in_a_microsecond(missing);
            let wait = layout.wait(&plan, &reading, wanted);
            Refusal::NotYet { wait, hasty: overtaken || word != seen || is_near }
        });
        Step::Keep(Taken::Refused)
    })
}

impl Grant<'_> {
    /// The tokens that were left, and when the bucket will be full.
    ///
    /// By the plan of the word that was left; if that one has been replaced meanwhile, by a later one.
    pub(crate) fn left(&self) -> (Tokens, Wait) {
        let Terms { layout, .. } = self.terms;
        let plan = self.terms.plan_for(self.left).unwrap_or_else(|| self.terms.plan());
        let reading = layout.read(&plan, self.left, self.now_ns);
        let left = self.terms.tokens(reading.level.saturating_sub(layout.zero));
        (left, layout.wait_full(&plan, &reading))
    }
}
