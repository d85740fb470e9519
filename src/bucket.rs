//! A word with the terms to read it by: a limiter that is given the time.

use core::fmt;

use crate::algorithm::{Closeness, Layout, Plan, Rules, Wait};
use crate::cell::{Cell, Step};
use crate::error::{Denied, Never, NotYet, QuotaError};
use crate::fill::Fill;
use crate::primitive::{give_way, step_aside};
use crate::quota::Quota;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A limiter that is given the time: whoever owns the word lends it for a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket<'a, R: Rules = Layout, S: Share = Whole> {
    pub(crate) terms: &'a Terms<R>,
    pub(crate) word: &'a Cell,
    pub(crate) share: S,
}

/// How much of a capacity a word may hold.
pub(crate) trait Share: Copy + fmt::Debug {
    /// The plan by which the word is read.
    fn plan<R: Rules>(self, rules: &R, plan: R::Plan) -> R::Plan;

    /// Whether who reads by such a plan may have what lies in stripes.
    #[cfg(feature = "std")]
    fn reaches(self, plan: &Plan) -> bool;

    /// The brim of such a plan, or 0, which is below every level.
    fn brim<R: Rules>(self, terms: &Terms<R>) -> u64;
}

/// All of it. It takes no room and no instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole;

impl Share for Whole {
    #[inline(always)]
    fn plan<R: Rules>(self, _rules: &R, plan: R::Plan) -> R::Plan {
        plan
    }

    #[cfg(feature = "std")]
    #[inline(always)]
    fn reaches(self, _plan: &Plan) -> bool {
        true
    }

    #[inline(always)]
    fn brim<R: Rules>(self, terms: &Terms<R>) -> u64 {
        terms.brim()
    }
}

/// All but what stripes may hold: see [`Rules::beside`].
#[cfg(feature = "keyed")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) aside_units: u64,
}

#[cfg(feature = "keyed")]
impl Share for Beside {
    #[inline]
    fn plan<R: Rules>(self, rules: &R, plan: R::Plan) -> R::Plan {
        if crate::planted::read_the_whole_beside_stripes() {
            return plan;
        }
        rules.beside(plan, self.aside_units)
    }

    #[inline]
    fn reaches(self, plan: &Plan) -> bool {
        crate::planted::let_everybody_reach() || plan.reaches_beside(self.aside_units)
    }

    #[inline]
    fn brim<R: Rules>(self, _terms: &Terms<R>) -> u64 {
        0
    }
}

/// What became of a cost, in two registers: nothing goes through memory. Why it was refused is worked out of
/// the word when it is asked for: see [`denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was taken, and left this word.
    Granted(u64),
    /// Nothing was: this word does not hold it.
    Refused(u64),
    /// Nothing was: this word does not hold it, but may have been stored after the time that was given: it is of
    /// a later tick, or would hold the cost within one.
    RefusedNear(u64),
    /// Nothing was yet: it depends on what has arrived since this word was stored.
    #[cfg(feature = "keyed")]
    Undecided(u64),
    /// Nothing was, and this may be so only because the time that was given is earlier than that of others
    /// who took tokens first.
    RefusedInHaste(u64),
}

impl Taken {
    /// The word that was left, or that does not hold the cost.
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        match self {
            #[cfg(feature = "keyed")]
            Self::Undecided(word) => word,
            Self::Granted(word)
            | Self::Refused(word)
            | Self::RefusedNear(word)
            | Self::RefusedInHaste(word) => word,
        }
    }
}

/// The word holds no bucket: its key was dropped, or its bucket lies elsewhere. Never the word of a direct
/// limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl<'a, R: Rules> Bucket<'a, R> {
    #[inline(always)]
    pub(crate) fn new(terms: &'a Terms<R>, word: &'a Cell) -> Self {
        Self { terms, word, share: Whole }
    }
}

impl<R: Rules, S: Share> Bucket<'_, R, S> {
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.word.load()
    }

    /// The plan that `word` is read by; `None` if it is being replaced, and so `word`, or the plan in force, has been.
    #[inline]
    pub(crate) fn plan_for(&self, word: u64) -> Option<R::Plan> {
        let plan = self.terms.plan_for(word)?;
        Some(self.share.plan(&self.terms.layout, plan))
    }

    /// The plan that `word` is read by, or a later one.
    #[cfg(feature = "std")]
    pub(crate) fn plan_or_later(&self, word: u64) -> R::Plan {
        self.plan_for(word)
            .unwrap_or_else(|| self.share.plan(&self.terms.layout, self.terms.plan()))
    }

    /// The word and the plan it is to be read by.
    #[inline]
    pub(crate) fn look(&self) -> (u64, R::Plan) {
        loop {
            let word = self.word.load_to_read();
            if let Some(plan) = self.plan_for(word) {
                return (word, plan);
            }
            give_way();
        }
    }

    /// Reads without changing anything.
    pub(crate) fn peek<T>(&self, read: impl FnOnce(u64, &R::Plan) -> T) -> Result<T, Gone> {
        let (word, plan) = self.look();
        if self.terms.layout.is_gone(word) { Err(Gone) } else { Ok(read(word, &plan)) }
    }

    /// Decides on the word `seen`, and again on each newer one until a decision stands. A decision is a
    /// word to leave, or none to leave it alone, and an outcome.
    #[inline]
    pub(crate) fn change<T>(
        &self,
        seen: u64,
        now_ns: u64,
        mut decide: impl FnMut(u64, &R::Plan, &R::Reading) -> (Option<u64>, T),
    ) -> Result<T, Gone> {
        let rules = &self.terms.layout;
        self.word.update(seen, |word| {
            if rules.is_gone(word) {
                return Step::Keep(Err(Gone));
            }
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            match decide(word, &plan, &rules.read(&plan, word, now_ns)) {
                (Some(new), outcome) => Step::Store(new, Ok(outcome)),
                (None, outcome) => Step::Keep(Ok(outcome)),
            }
        })
    }

    /// The bucket now, without changing it.
    pub(crate) fn read(&self, now_ns: u64) -> Result<Read<R::Config>, Gone> {
        let rules = &self.terms.layout;
        loop {
            let word = self.word.load_to_read();
            if rules.is_gone(word) {
                return Err(Gone);
            }
            let slot = self.terms.slot_for(word);
            let plan = self.terms.plan_in(slot);
            let slot = if crate::planted::tell_another_plan() {
                self.terms.slot_for(self.word.load_to_read())
            } else {
                slot
            };
            let config = self.terms.config_in(slot);
            // The same slot before and after: they belong together.
            if let (Some(plan), Some(config)) = (plan, config)
                && self.terms.slot_for(self.word.load_to_read()) == slot
            {
                let plan = self.share.plan(rules, plan);
                let reading = rules.read(&plan, word, now_ns);
                return Ok(Read {
                    available: self.terms.tokens(rules.available(&plan, &reading)),
                    debt: self.terms.tokens(rules.debt(&reading)),
                    full: rules.wait_full(&plan, &reading),
                    config,
                });
            }
            give_way();
        }
    }

    /// The tokens that are there now.
    pub(crate) fn available(&self, now_ns: u64) -> Result<Tokens, Gone> {
        let rules = &self.terms.layout;
        let units =
            self.peek(|word, plan| rules.available(plan, &rules.read(plan, word, now_ns)))?;
        Ok(self.terms.tokens(units))
    }

    /// How long until `cost` is there: nothing if it is, `None` if it never is.
    pub(crate) fn wait_for(&self, cost: Tokens, now_ns: u64) -> Result<Option<Wait>, Gone> {
        let rules = &self.terms.layout;
        let wanted = self.terms.wanted(cost);
        self.peek(|word, plan| {
            self.terms
                .may_ever_hold(plan, wanted)
                .then(|| rules.wait(plan, &rules.read(plan, word, now_ns), wanted))
        })
    }

    /// Takes a cost out of a level that is `wanted`, which is the cost and `zero`, or above; decides on the word
    /// `seen` first.
    ///
    /// The loop stands here once more, unrolled, for taking that is one subtraction. What is inlined into the
    /// caller is one comparison and one swap, which stay in registers.
    #[inline(always)]
    pub(crate) fn take(&self, seen: u64, wanted: u64, now_ns: u64) -> Result<Taken, Gone> {
        let brim = self.share.brim(self.terms);
        let Some(left) = self.terms.layout.take_in_place(seen, now_ns, wanted, brim) else {
            return take_or_refuse(*self, seen, wanted, now_ns);
        };
        match self.word.replace(seen, left) {
            Ok(()) => Ok(Taken::Granted(left)),
            Err(_) => take_in_a_crowd(*self, wanted, now_ns),
        }
    }

    /// As [`take`](Self::take) for a word that holds as much as it is stored. Of any other it returns a copy, to be
    /// decided on where no map's lock is held and no word is lent: see [`refuse`].
    #[cfg(feature = "keyed")]
    #[inline(always)]
    pub(crate) fn take_if_stored(&self, wanted: u64, now_ns: u64) -> Result<Taken, Gone> {
        let seen = self.load();
        if self.terms.layout.may_hold_as_stored(seen, wanted) {
            return self.take(seen, wanted, now_ns);
        }
        if self.terms.layout.is_gone(seen) { Err(Gone) } else { Ok(Taken::Undecided(seen)) }
    }

    /// Takes whole tokens, and tells whether others came first.
    pub(crate) fn take_up_to(&self, seen: u64, max: u64, now_ns: u64) -> Result<(u64, bool), Gone> {
        let rules = &self.terms.layout;
        let units_per_token = rules.units_per_token();
        self.change(seen, now_ns, |word, plan, reading| {
            // `units_per_token` is never 0.
            let whole = rules.available(plan, reading) / units_per_token;
            let take = whole.min(max);
            if take == 0 {
                return (None, (0, word != seen));
            }
            // Of what is available: no overflow.
            let wanted = rules.zero().wrapping_add(take.wrapping_mul(units_per_token));
            let told = if crate::planted::promise_more_than_taken() { max } else { take };
            (Some(rules.take(plan, reading, wanted)), (told, word != seen))
        })
    }

    pub(crate) fn refund(&self, cost: Tokens, now_ns: u64) -> Result<(), Gone> {
        let units = self.terms.units_floor(cost);
        self.change(self.load(), now_ns, |_, plan, reading| {
            (Some(self.terms.layout.give(plan, reading, units)), ())
        })
    }

    /// Takes units as deep as words can tell, and returns how many that were.
    pub(crate) fn charge_units(&self, units: u64, now_ns: u64) -> Result<u64, Gone> {
        self.change(self.load(), now_ns, |_, plan, reading| {
            let (left, taken) = self.terms.layout.charge(plan, reading, units);
            (Some(left), taken)
        })
    }

    /// Takes `cost` as deep as words can tell, and returns what was not taken.
    pub(crate) fn charge(&self, cost: Tokens, now_ns: u64) -> Result<Tokens, Gone> {
        let units = self.terms.units(cost);
        let taken = self.charge_units(units, now_ns)?;
        if taken == units && units < u64::MAX {
            return Ok(Tokens::ZERO);
        }
        Ok(cost.saturating_sub(self.terms.tokens(taken)))
    }
}

/// What only a token bucket does: all of it is a matter of levels.
impl<S: Share> Bucket<'_, Layout, S> {
    /// Takes all, and tells whether others came first.
    pub(crate) fn drain(&self, seen: u64, now_ns: u64) -> Result<(Tokens, bool), Gone> {
        let layout = &self.terms.layout;
        let (units, overtaken) = self.change(seen, now_ns, |word, plan, reading| {
            let units = reading.level.saturating_sub(layout.zero);
            let left = layout.store(plan, reading, layout.zero);
            ((units > 0).then_some(left), (units, word != seen))
        })?;
        Ok((self.terms.tokens(units), overtaken))
    }
}

impl Bucket<'_> {
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
}

/// Takes where others take, too.
///
/// In a crowd the word goes from core to core with every swap. Whoever loses one steps aside and lets the winner go
/// on where the word is: two threads do twice as much so.
#[cold]
#[inline(never)]
fn take_in_a_crowd<R: Rules, S: Share>(
    bucket: Bucket<'_, R, S>,
    wanted: u64,
    now_ns: u64,
) -> Result<Taken, Gone> {
    let Bucket { terms, word, share } = bucket;
    loop {
        step_aside();
        let seen = word.load();
        let brim = share.brim(terms);
        let Some(left) = terms.layout.take_in_place(seen, now_ns, wanted, brim) else {
            return take_slow(bucket, (seen, true), wanted, now_ns);
        };
        if word.replace(seen, left).is_ok() {
            return Ok(Taken::Granted(left));
        }
    }
}

/// Refuses at once what is surely not there, and takes at once what surely is.
#[inline(never)]
fn take_or_refuse<R: Rules, S: Share>(
    bucket: Bucket<'_, R, S>,
    seen: u64,
    wanted: u64,
    now_ns: u64,
) -> Result<Taken, Gone> {
    let Bucket { terms, word, share } = bucket;
    if !terms.layout.may_hold_as_stored(seen, wanted) {
        if terms.lacks(seen, now_ns, wanted) && word.load() == seen {
            return Ok(Taken::Refused(seen));
        }
    } else if word.load_to_read() == seen
        && let Some(plan) = bucket.plan_for(seen)
        && let Some(left) = terms.layout.take_by((&plan, share.brim(terms)), seen, now_ns, wanted)
    {
        return match word.replace(seen, left) {
            Ok(()) => Ok(Taken::Granted(left)),
            Err(_) => take_in_a_crowd(bucket, wanted, now_ns),
        };
    }
    take_slow(bucket, (seen, false), wanted, now_ns)
}

/// Takes where that is not one subtraction: in a new tick, out of a full bucket, and out of one that may hold too
/// little. `seen` is the word, and whether others have changed it already.
#[inline(never)]
fn take_slow<R: Rules, S: Share>(
    bucket: Bucket<'_, R, S>,
    (seen, overtaken): (u64, bool),
    wanted: u64,
    now_ns: u64,
) -> Result<Taken, Gone> {
    let Bucket { terms, word, .. } = bucket;
    let rules = &terms.layout;
    word.update(seen, |word| {
        if rules.is_gone(word) {
            return Step::Keep(Err(Gone));
        }
        let Some(plan) = bucket.plan_for(word) else { return Step::Again };
        let reading = rules.read(&plan, word, now_ns);
        if rules.holds(&plan, &reading, wanted) {
            let left = rules.take(&plan, &reading, wanted);
            return Step::Store(left, Ok(Taken::Granted(left)));
        }
        let overtaken = overtaken || word != seen;
        Step::Keep(Ok(why_not(terms, &plan, &reading, (word, overtaken), wanted)))
    })
}

/// Refuses what `word`, seen a moment ago, does not hold at `now_ns`; `None` if it may hold it.
#[cfg(feature = "keyed")]
#[inline(always)]
pub(crate) fn refuse<R: Rules>(
    terms: &Terms<R>,
    word: u64,
    wanted: u64,
    now_ns: u64,
) -> Option<Taken> {
    if terms.lacks(word, now_ns, wanted) {
        return Some(Taken::Refused(word));
    }
    refuse_slow(terms, word, wanted, now_ns)
}

#[cfg(feature = "keyed")]
#[inline(never)]
fn refuse_slow<R: Rules>(terms: &Terms<R>, word: u64, wanted: u64, now_ns: u64) -> Option<Taken> {
    let rules = &terms.layout;
    let plan = terms.plan_for(word)?;
    let reading = rules.read(&plan, word, now_ns);
    if rules.holds(&plan, &reading, wanted) {
        return None;
    }
    Some(why_not(terms, &plan, &reading, (word, false), wanted))
}

#[inline(always)]
fn why_not<R: Rules>(
    terms: &Terms<R>,
    plan: &R::Plan,
    reading: &R::Reading,
    (word, overtaken): (u64, bool),
    wanted: u64,
) -> Taken {
    if !terms.may_ever_hold(plan, wanted) {
        return Taken::Refused(word);
    }
    if overtaken {
        return Taken::RefusedInHaste(word);
    }
    match terms.layout.closeness(plan, reading, wanted) {
        Closeness::Far => Taken::Refused(word),
        Closeness::Near => Taken::RefusedNear(word),
        Closeness::Hasty => Taken::RefusedInHaste(word),
    }
}

/// What a caller is told of a cost that `word` was found not to hold at `now_ns`.
///
/// By the plan of that word; if that one has been replaced meanwhile, by a later one.
#[inline(never)]
pub(crate) fn denied<R: Rules>(terms: &Terms<R>, word: u64, cost: Tokens, now_ns: u64) -> Denied {
    let plan = terms.plan_for(word).unwrap_or_else(|| terms.plan());
    denied_by(terms, &plan, &terms.layout.read(&plan, word, now_ns), cost)
}

/// The same, and what one call could take, and how long until nothing is missing.
#[cfg(feature = "tower")]
#[inline(never)]
pub(crate) fn denied_and_left<R: Rules>(
    terms: &Terms<R>,
    word: u64,
    cost: Tokens,
    now_ns: u64,
) -> (Denied, Tokens, Wait) {
    let rules = &terms.layout;
    let plan = terms.plan_for(word).unwrap_or_else(|| terms.plan());
    let reading = rules.read(&plan, word, now_ns);
    let available = terms.tokens(rules.available(&plan, &reading));
    (denied_by(terms, &plan, &reading, cost), available, rules.wait_full(&plan, &reading))
}

#[inline]
fn denied_by<R: Rules>(
    terms: &Terms<R>,
    plan: &R::Plan,
    reading: &R::Reading,
    cost: Tokens,
) -> Denied {
    let rules = &terms.layout;
    let wanted = terms.wanted(cost);
    if !terms.may_ever_hold(plan, wanted) {
        let capacity = terms.tokens(rules.capacity_units(plan));
        return Denied::Never(Never { cost, capacity });
    }
    Denied::NotYet(NotYet { wait: rules.wait(plan, reading, wanted) })
}

/// What a call left, still as a word: the rest is worked out when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) terms: &'a dyn Leaves,
    pub(crate) left: u64,
    pub(crate) now_ns: u64,
}

/// Tells what is in a word that a call has left.
pub(crate) trait Leaves: fmt::Debug + Sync {
    fn left(&self, word: u64, now_ns: u64) -> Left;

    /// Whether the word says that nothing was counted.
    fn is_degraded(&self, _word: u64) -> bool {
        false
    }
}

/// What a call has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) available: Tokens,
    pub(crate) full: Wait,
    pub(crate) departs_ns: u64,
}

/// By the plan of the word that was left; if that one has been replaced meanwhile, by a later one.
impl<R: Rules> Leaves for Terms<R> {
    fn left(&self, word: u64, now_ns: u64) -> Left {
        let rules = &self.layout;
        let plan = self.plan_for(word).unwrap_or_else(|| self.plan());
        let reading = rules.read(&plan, word, now_ns);
        Left {
            available: self.tokens(rules.available(&plan, &reading)),
            full: rules.wait_full(&plan, &reading),
            departs_ns: rules.departs_ns(&plan, &reading),
        }
    }
}

/// What a bucket says at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<T> {
    pub(crate) available: Tokens,
    pub(crate) debt: Tokens,
    pub(crate) full: Wait,
    pub(crate) config: T,
}
