//! The token bucket: a level that refills at a steady rate up to a capacity.
//!
//! The algorithm is the "token bucket meter" of network traffic policing; see for instance J. Turner,
//! "New directions in communications", IEEE Communications Magazine 24(10), 1986, and RFC 2697.

use super::layout::{
    LONGEST_FILL_NS, Layout, SPARE_BITS, fill_ns, per_second, rate_ratio, units_floor,
};
use super::{Ahead, Closeness, Rate, Rules, Unused, Wait};
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// One quota, in a layout's units: all that a decision needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) rate: Rate,
    pub(crate) capacity_units: u64,
    /// After this long even a bucket in its deepest debt is full.
    pub(crate) full_after_ns: u64,
    /// What it puts into the words that it writes, in place.
    pub(crate) mark: u64,
    /// Other plans use the same mark.
    pub(crate) shares_mark: bool,
}

/// 2^10 ns, less one.
const MICROSECOND_MASK: u64 = (1 << 10) - 1;

/// A capacity can be divided while it is more than so many times what stripes may hold.
const LEAST_SHARES: u64 = 8;

/// The lowest level that is stored: below it is the dead mark.
const LOWEST_LEVEL: u64 = 1;

impl Plan {
    pub(crate) fn new(layout: &Layout, quota: &Quota) -> Result<Self, QuotaError> {
        quota.check()?;
        let above = |field, value, units: u64| QuotaError::AboveBuilt {
            field,
            value,
            largest: Tokens::from_units(units, layout.units_per_token),
        };
        let capacity_units = units_floor(quota.capacity(), layout.units_per_token);
        let capacity_units = u64::try_from(capacity_units)
            .ok()
            .filter(|units| *units <= layout.largest_capacity_units)
            .ok_or_else(|| above("burst", quota.capacity(), layout.largest_capacity_units))?;
        if capacity_units == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        let rate = rate_ratio(quota, layout.units_per_token)
            .and_then(|(units, ns)| Rate::from_ratio(units, ns))
            .filter(|rate| rate.raw() <= layout.largest_rate.raw())
            .ok_or_else(|| {
                let largest = (layout.largest_rate.raw().saturating_mul(1_000_000_000)) >> 64;
                let largest = u64::try_from(largest).unwrap_or(u64::MAX);
                above("rate per second", per_second(quota), largest)
            })?;
        // From the lowest pattern to full, with a nanosecond for the phase.
        let lowest_to_full = layout.zero.saturating_add(capacity_units);
        let full_after_ns = rate.time_to_credit(0, lowest_to_full).saturating_add(1);
        if full_after_ns > LONGEST_FILL_NS {
            // The nanoseconds may have saturated; then the tokens tell it better.
            let units = layout.debt_units.saturating_add(capacity_units);
            let nanos = Tokens::from_units(units, layout.units_per_token).to_nanos();
            let seconds = fill_ns(quota, nanos).div_ceil(1_000_000_000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            return Err(QuotaError::FillTooSlow {
                seconds: seconds.max(full_after_ns.div_ceil(1_000_000_000)),
            });
        }
        Ok(Self { rate, capacity_units, full_after_ns, mark: 0, shares_mark: false })
    }

    pub(crate) fn with_mark(self, mark: u64, shares_mark: bool) -> Self {
        Self { mark, shares_mark, ..self }
    }

    /// Whether who reads by this plan may have what lies in stripes, `aside_units` at most: see [`beside`](Self::beside).
    pub(crate) fn reaches(&self, aside_units: u64) -> bool {
        self.capacity_units > aside_units.saturating_mul(LEAST_SHARES)
    }

    /// The same, of a plan that [`beside`](Self::beside) made.
    #[cfg(feature = "keyed")]
    pub(crate) fn reaches_beside(&self, aside_units: u64) -> bool {
        self.capacity_units > aside_units.saturating_mul(LEAST_SHARES.saturating_sub(1))
    }

    /// The plan of the bucket beside stripes that hold `aside_units` at most.
    ///
    /// Whoever may have what lies there has a capacity that is less by it, so together they are never more than the
    /// plan's. Whoever may not, for whom it is a large part, leaves it alone and has what is less than that capacity:
    /// so with what others have in stripes it is never more than the capacity of the smallest plan that may.
    pub(crate) fn beside(self, aside_units: u64) -> Self {
        let capacity_units = if self.reaches(aside_units) {
            self.capacity_units.saturating_sub(aside_units)
        } else {
            self.capacity_units.min(aside_units.saturating_mul(LEAST_SHARES.saturating_sub(1)))
        };
        Self { capacity_units, ..self }
    }

    /// The rate in 2^-32 units per nanosecond, rounded up: see [`Layout::lacks`].
    pub(crate) fn pace(&self) -> u64 {
        let pace = self.rate.raw().div_ceil(1 << 32);
        // A rate is below 2^32 units per nanosecond.
        u64::try_from(pace).unwrap_or(u64::MAX)
    }

    /// What a tick credits at most, wherever it starts.
    #[inline]
    pub(crate) fn tick_units(&self, layout: &Layout) -> u64 {
        self.rate.credit(0, layout.tick_mask()).saturating_add(1)
    }

    /// The highest stored level from which no tick's credit reaches the capacity, with the plan's mark; or
    /// 0, which is below every level, if a tick's credit alone does.
    pub(crate) fn brim(&self, layout: &Layout) -> u64 {
        match self.capacity_units.checked_sub(self.tick_units(layout)) {
            Some(below_full) => layout.zero.wrapping_add(below_full) | self.mark,
            None => 0,
        }
    }
}

/// How long ago the stored tick of a word started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Since(u64),
    /// It starts later than the time of the call.
    Ahead,
}

/// What a word says at some time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The level now, not above the capacity, plus [`Layout::zero`].
    pub(crate) level: u64,
    pub(crate) now_ns: u64,
    /// The start of the stored tick, the level then, plus `zero`, and the credit since.
    stored_from_ns: u64,
    stored_level: u64,
    since_units: u64,
    /// The stored tick starts after `now_ns`.
    pub(crate) ahead: bool,
}

impl Layout {
    /// The word of a bucket that holds `level` (plus `zero`) at `now_ns`, written by `plan`.
    #[inline]
    pub(crate) fn word_at(&self, plan: &Plan, now_ns: u64, level: u64) -> u64 {
        let in_tick_ns = self.in_tick_ns(now_ns);
        let in_tick_units = plan.rate.credit(now_ns.wrapping_sub(in_tick_ns), in_tick_ns);
        self.stamp(now_ns) | plan.mark | level.wrapping_sub(in_tick_units)
    }

    /// Reads the level at `now_ns`.
    ///
    /// Time is modular with a half-range rule: a stamp that seems to be more than half the range in
    /// the past is in the future (another thread stored a later time, or the clock went back).
    /// Nothing is credited then and the stamp stays.
    #[inline]
    pub(crate) fn read(&self, plan: &Plan, word: u64, now_ns: u64) -> Reading {
        let capacity = self.zero.wrapping_add(plan.capacity_units);
        let capacity =
            if crate::planted::refund_above_capacity() { self.level_mask } else { capacity };
        let (stored_from_ns, age) = self.stored_from(word, now_ns);
        let stored_level = self.stored_level(plan, word, stored_from_ns);
        let (level, since_units) = match age {
            Age::Ahead => (stored_level.min(capacity), 0),
            Age::Since(since_ns) => {
                let since_units = plan.rate.credit(stored_from_ns, since_ns);
                let is_full = since_ns >= plan.full_after_ns;
                // Else at most what fills the deepest debt: no overflow.
                let level = stored_level.wrapping_add(since_units).min(capacity);
                (if is_full { capacity } else { level }, since_units)
            }
        };
        let ahead = age == Age::Ahead;
        Reading { level, now_ns, stored_from_ns, stored_level, since_units, ahead }
    }

    /// When the stored tick starts, and how far from `now_ns` that is.
    ///
    /// In the stamp's place a nanosecond is 2^5, and the range is the whole of 64 bits: the difference is
    /// modular by itself, and its top bit says that the stamp is ahead.
    #[inline]
    pub(crate) fn stored_from(&self, word: u64, now_ns: u64) -> (u64, Age) {
        let since = (now_ns << SPARE_BITS).wrapping_sub(word & !self.low_mask);
        if since > u64::MAX / 2 && !crate::planted::wrapping_elapsed() {
            return (now_ns.wrapping_add(since.wrapping_neg() >> SPARE_BITS), Age::Ahead);
        }
        let since_ns = since >> SPARE_BITS;
        (now_ns.wrapping_sub(since_ns), Age::Since(since_ns))
    }

    /// The level as it is stored, to be credited by `plan` from `stored_from_ns` on, the start of its tick.
    ///
    /// The credit of a plan is the units that it completes. Amid a unit it is early by a part of one, which
    /// evens out while one plan reads what it wrote. Another plan has not waited for the other part, and
    /// whoever changed between plans that are about to complete a unit would gain one each time: so a unit
    /// is taken off. A word without a mark was written full, by no plan.
    #[inline]
    fn stored_level(&self, plan: &Plan, word: u64, stored_from_ns: u64) -> u64 {
        let level = word & self.level_mask;
        let mark = word & self.mark_mask;
        let is_own = mark == plan.mark && !plan.shares_mark;
        if is_own || mark == 0 || crate::planted::trust_every_mark() {
            return level;
        }
        level.saturating_sub(u64::from(plan.rate.is_amid_a_unit(stored_from_ns)))
    }

    /// A word that by every plan is at most as full as either: the lower level, from the later time on.
    #[cfg(feature = "keyed")]
    pub(crate) fn lower_of(&self, one: u64, other: u64) -> u64 {
        let (one_stamp, other_stamp) = (one & !self.low_mask, other & !self.low_mask);
        let other_is_later = other_stamp.wrapping_sub(one_stamp) <= u64::MAX / 2;
        let stamp = if other_is_later { other_stamp } else { one_stamp };
        stamp | self.mark_mask | (one & self.level_mask).min(other & self.level_mask)
    }

    /// The word with `units` more, as if they had been there all the time; as many as a word can tell.
    #[cfg(feature = "keyed")]
    pub(crate) fn raise(&self, word: u64, units: u64) -> u64 {
        let level = word & self.level_mask;
        let highest = self.zero.saturating_add(self.largest_capacity_units);
        let raised = level.saturating_add(units).min(highest).max(level);
        (word & !self.level_mask) | raised
    }

    /// The word with a new level at the time of a reading, written by the plan of the reading.
    ///
    /// Another plan may have left a level that is, by this one, below the floor: it is raised to it where
    /// this plan's refill is to be taken off.
    #[inline]
    pub(crate) fn store(&self, plan: &Plan, reading: &Reading, level: u64) -> u64 {
        let now_ns = reading.now_ns;
        if reading.ahead {
            // The tick has not begun, so nothing has been credited in it.
            return self.stamp(reading.stored_from_ns) | plan.mark | level.max(LOWEST_LEVEL);
        }
        if now_ns.wrapping_sub(reading.stored_from_ns) == self.in_tick_ns(now_ns) {
            // The stored tick is the present one: what was credited is known.
            let stored_level = level.wrapping_sub(reading.since_units);
            return self.stamp(now_ns) | plan.mark | stored_level.max(LOWEST_LEVEL);
        }
        self.word_at(plan, now_ns, level.max(self.floor()))
    }

    /// The word with a new level at the time of a reading by another plan, to be read by `new`.
    ///
    /// Seen from a time before the stored one a level can be below the floor, by a tick's refill at most.
    /// It is raised to it here: the new plan's refill is to be taken off, and there is room for one.
    pub(crate) fn restate(&self, new: &Plan, reading: &Reading, level: u64) -> u64 {
        let at_ns = if reading.ahead { reading.stored_from_ns } else { reading.now_ns };
        // Amid a unit the new plan is up to a unit early. Whoever kept changing between plans that are
        // about to complete one would gain one each time; but for a full bucket, which cannot gain.
        let is_full = level >= self.zero.wrapping_add(new.capacity_units);
        let early_units = u64::from(!is_full && new.rate.is_amid_a_unit(at_ns));
        let level = level.saturating_sub(early_units).max(self.floor());
        if reading.ahead {
            return self.stamp(at_ns) | new.mark | level;
        }
        self.word_at(new, at_ns, level)
    }

    /// Tells whether the word, as it is stored, holds `wanted` (a cost plus `zero`) in the present tick
    /// and stays below full: then taking is subtracting the cost from the word, whatever has arrived
    /// since, and needs neither the rate nor a multiplication.
    ///
    /// `brim` comes with the mark of its plan. Once the present stamp and that mark are taken out of the
    /// word by exclusive or, what is left is the stored level if both were the same, and above every
    /// level if they were not: two comparisons tell all.
    #[inline]
    pub(crate) fn holds_in_place(&self, word: u64, now_ns: u64, wanted: u64, brim: u64) -> bool {
        let level = word ^ self.stamp(now_ns) ^ (brim & self.mark_mask);
        level >= wanted && level <= brim & self.level_mask
    }

    /// The word after taking in a later tick than the word's, by the plan that wrote it; `None` in all other cases.
    ///
    /// Credit telescopes: what has arrived by now, less what has since the present tick began, is what had
    /// arrived when it began. So below the brim one credit brings the level up to the present tick, and taking is a
    /// subtraction again; only near the capacity is the rest needed, to see what overflows.
    #[inline(always)]
    pub(crate) fn take_by(
        &self,
        (plan, brim): (&Plan, u64),
        word: u64,
        now_ns: u64,
        wanted: u64,
    ) -> Option<u64> {
        let tick_ns = now_ns & !self.tick_mask();
        let since = (tick_ns << SPARE_BITS).wrapping_sub(word & !self.low_mask);
        let is_own = (word ^ plan.mark) & self.mark_mask == 0 && !plan.shares_mark;
        let has_brim = (brim ^ plan.mark) & self.mark_mask == 0;
        if !is_own || !has_brim || since > u64::MAX / 2 {
            return None;
        }
        let since_ns = since >> SPARE_BITS;
        let capacity = self.zero.wrapping_add(plan.capacity_units);
        let level = if since_ns >= plan.full_after_ns {
            capacity
        } else {
            // At most what fills the deepest debt: no overflow.
            let credit = plan.rate.credit(tick_ns.wrapping_sub(since_ns), since_ns);
            (word & self.level_mask).wrapping_add(credit)
        };
        let cost_units = wanted.wrapping_sub(self.zero);
        let stamp = self.stamp(now_ns);
        if level <= brim & self.level_mask {
            return (level >= wanted).then(|| stamp | plan.mark | level.wrapping_sub(cost_units));
        }
        let in_tick_units = plan.rate.credit(tick_ns, self.in_tick_ns(now_ns));
        let level = level.wrapping_add(in_tick_units).min(capacity);
        // There is room below zero for a tick's credit.
        let left = level.wrapping_sub(cost_units).wrapping_sub(in_tick_units);
        (level >= wanted).then_some(stamp | plan.mark | left)
    }

    /// Tells whether a bucket surely does not hold `wanted` (a cost plus `zero`) at `now_ns`, nor a moment later: a
    /// tick, and a microsecond. One multiplication, and nothing of a plan but its [`pace`](Plan::pace), tells most
    /// refusals; of a word that is ahead or gone it tells nothing.
    #[inline]
    pub(crate) fn lacks(&self, word: u64, now_ns: u64, wanted: u64, pace: u64) -> bool {
        let level = word & self.level_mask;
        let since = (now_ns << SPARE_BITS).wrapping_sub(word & !self.low_mask);
        if level == 0 || level >= wanted || since > u64::MAX / 2 {
            return false;
        }
        let moment_ns = self.tick_mask() | MICROSECOND_MASK;
        let later_ns = (since >> SPARE_BITS).wrapping_add(moment_ns);
        // The credit is at most one unit above rate × time, and less than what is missing.
        let missing_but_one = wanted.wrapping_sub(level).wrapping_sub(1);
        u128::from(later_ns).wrapping_mul(pace.into()) < u128::from(missing_but_one) << 32
    }

    /// When `level` (plus `zero`) will be reached, if nothing is taken.
    #[inline]
    pub(crate) fn wait(&self, plan: &Plan, reading: &Reading, level: u64) -> Wait {
        if reading.level >= level {
            return Wait::after(reading.now_ns, 0);
        }
        Wait {
            rate: plan.rate,
            from_ns: reading.stored_from_ns,
            units: level.saturating_sub(reading.stored_level),
            now_ns: reading.now_ns,
        }
    }

    /// When the bucket will be full, if nothing is taken.
    #[inline]
    pub(crate) fn wait_full(&self, plan: &Plan, reading: &Reading) -> Wait {
        self.wait(plan, reading, self.zero.wrapping_add(plan.capacity_units))
    }
}

/// The token bucket in the words of all algorithms.
impl Rules for Layout {
    type Config = Quota;
    type Plan = Plan;
    type Reading = Reading;

    fn plan(&self, quota: &Quota) -> Result<Plan, QuotaError> {
        Plan::new(self, quota)
    }

    fn plan_words(plan: &Plan) -> [u64; 5] {
        let mark = plan.mark | if plan.shares_mark { SHARES_MARK } else { 0 };
        [plan.rate.whole, plan.rate.fraction, plan.capacity_units, plan.full_after_ns, mark]
    }

    #[inline]
    fn plan_from_words([whole, fraction, capacity_units, full_after_ns, mark]: [u64; 5]) -> Plan {
        Plan {
            rate: Rate { whole, fraction },
            capacity_units,
            full_after_ns,
            mark: mark & !SHARES_MARK,
            shares_mark: mark & SHARES_MARK != 0,
        }
    }

    fn config_words(quota: &Quota) -> [u64; 5] {
        quota.to_words()
    }

    fn config_from_words(words: [u64; 5]) -> Quota {
        Quota::from_words(words)
    }

    fn window(quota: &Quota) -> core::time::Duration {
        quota.fill_time()
    }

    #[inline]
    fn units_per_token(&self) -> u64 {
        self.units_per_token
    }

    #[inline]
    fn zero(&self) -> u64 {
        self.zero
    }

    #[inline]
    fn capacity_units(&self, plan: &Plan) -> u64 {
        plan.capacity_units
    }

    #[inline]
    fn is_gone(&self, word: u64) -> bool {
        Self::is_gone(self, word)
    }

    fn fresh(&self, plan: &Plan, now_ns: u64) -> u64 {
        self.word_at(plan, now_ns, self.zero.wrapping_add(plan.capacity_units))
    }

    #[inline]
    fn read(&self, plan: &Plan, word: u64, now_ns: u64) -> Reading {
        Self::read(self, plan, word, now_ns)
    }

    #[inline]
    fn holds(&self, _plan: &Plan, reading: &Reading, wanted: u64) -> bool {
        reading.level >= wanted
    }

    #[inline]
    fn take(&self, plan: &Plan, reading: &Reading, wanted: u64) -> u64 {
        let level = reading.level.wrapping_sub(wanted.wrapping_sub(self.zero));
        self.store(plan, reading, level)
    }

    /// Good once the level has come up to it; there is room for it while it leaves a level above the deepest debt.
    fn ahead(&self, plan: &Plan, reading: &Reading, wanted: u64) -> Option<Ahead> {
        let room = Self::wait(self, plan, reading, wanted.saturating_sub(self.debt_units));
        Some(Ahead { room, good: Self::wait(self, plan, reading, wanted) })
    }

    fn take_back(&self, plan: &Plan, reading: &Reading, _: u64, units: Unused) -> Option<u64> {
        Some(self.give(plan, reading, units.taken.saturating_sub(units.keep)))
    }

    fn charge(&self, plan: &Plan, reading: &Reading, units: u64) -> (u64, u64) {
        let taken = if crate::planted::charge_below_floor() {
            units
        } else {
            units.min(reading.level.saturating_sub(self.floor()))
        };
        let level = reading.level.wrapping_sub(taken) & self.level_mask;
        (self.store(plan, reading, level), taken)
    }

    fn give(&self, plan: &Plan, reading: &Reading, units: u64) -> u64 {
        let mut level = reading.level.saturating_add(units);
        if !crate::planted::refund_above_capacity() {
            // A level is never above the capacity.
            level = level.min(self.zero.wrapping_add(plan.capacity_units));
        }
        self.store(plan, reading, level)
    }

    fn beside(&self, plan: Plan, aside_units: u64) -> Plan {
        plan.beside(aside_units)
    }

    #[inline]
    fn available(&self, _plan: &Plan, reading: &Reading) -> u64 {
        reading.level.saturating_sub(self.zero)
    }

    /// From a time before the stored one a debt can look deeper than it ever is.
    fn debt(&self, reading: &Reading) -> u64 {
        self.zero.saturating_sub(reading.level).min(self.debt_units)
    }

    #[inline]
    fn wait(&self, plan: &Plan, reading: &Reading, wanted: u64) -> Wait {
        Self::wait(self, plan, reading, wanted)
    }

    #[inline]
    fn wait_full(&self, plan: &Plan, reading: &Reading) -> Wait {
        Self::wait_full(self, plan, reading)
    }

    #[inline]
    fn closeness(&self, plan: &Plan, reading: &Reading, wanted: u64) -> Closeness {
        let missing = wanted.wrapping_sub(reading.level);
        if plan.rate.credits_in_a_microsecond(missing) {
            Closeness::Hasty
        } else if reading.ahead || missing <= plan.tick_units(self) {
            Closeness::Near
        } else {
            Closeness::Far
        }
    }

    #[inline]
    fn names_plan(&self) -> bool {
        self.mark_names_plan()
    }

    #[inline]
    fn named_by(&self, word: u64) -> u64 {
        word & self.mark_mask
    }

    fn in_slot(&self, plan: Plan, is_other: bool) -> Plan {
        if !self.mark_names_plan() {
            return plan;
        }
        plan.with_mark(if is_other { self.mark_mask } else { 0 }, false)
    }

    fn brim(&self, plan: &Plan) -> u64 {
        plan.brim(self)
    }

    fn pace(&self, plan: &Plan) -> u64 {
        plan.pace()
    }

    #[inline(always)]
    fn take_in_place(&self, word: u64, now_ns: u64, wanted: u64, brim: u64) -> Option<u64> {
        self.holds_in_place(word, now_ns, wanted, brim)
            .then(|| word.wrapping_sub(wanted.wrapping_sub(self.zero)))
    }

    #[inline(always)]
    fn take_by(
        &self,
        (plan, brim): (&Plan, u64),
        word: u64,
        now_ns: u64,
        wanted: u64,
    ) -> Option<u64> {
        Self::take_by(self, (plan, brim), word, now_ns, wanted)
    }

    #[inline(always)]
    fn may_hold_as_stored(&self, word: u64, wanted: u64) -> bool {
        word & self.level_mask >= wanted
    }

    /// A level grows with time up to the capacity, and the brim is below that.
    #[inline]
    fn surely_holds(&self, word: u64, wanted: u64, brim: u64) -> bool {
        (word ^ brim) & self.mark_mask == 0
            && word & self.level_mask >= wanted
            && wanted <= brim & self.level_mask
            && !Self::is_gone(self, word)
    }

    #[inline]
    fn lacks(&self, word: u64, now_ns: u64, wanted: u64, pace: u64) -> bool {
        Self::lacks(self, word, now_ns, wanted, pace)
    }
}

#[cfg(feature = "keyed")]
mod many;

/// Above every level's lowest bit, which the mark leaves free.
const SHARES_MARK: u64 = 1;

#[cfg(test)]
mod tests {
    use super::super::layout::{MARK_OF_TWO, Room};
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    proptest! {
        /// What is refused at once is not there a moment later; and what is missed by more than a thousandth, and
        /// will be for longer than two moments, is refused at once.
        #[test]
        fn lacks_is_right_and_seldom_shy(
            tokens in 1_u64..1_000_000, period_ns in 1_000_u64..1 << 45, burst in 1_u64..1_000_000,
            now_ns in 0_u64..1 << 60, elapsed in 0_u64..1_000, level in 0_u64..1_000, cost in 0_u64..1_000,
        ) {
            let quota = Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst);
            let room =
                Room { quota, largest: None, debt: None, places: None, mark_bits: MARK_OF_TWO };
            let Ok(layout) = Layout::choose(&room) else { return Ok(()) };
            // The layout may have room for a quota that takes too long to fill.
            let Ok(plan) = Plan::new(&layout, &quota) else { return Ok(()) };
            let of_capacity = |thousandths| layout.zero + plan.capacity_units / 1_000 * thousandths;
            let word = layout.word_at(&plan, now_ns, of_capacity(level));
            let at_ns = now_ns + plan.full_after_ns / 1_000 * elapsed;
            let wanted = of_capacity(cost).max(layout.zero + 1);

            let moment_ns = layout.tick_mask() | MICROSECOND_MASK;
            let lacks = layout.lacks(word, at_ns, wanted, plan.pace());
            let then = layout.read(&plan, word, at_ns + moment_ns);
            prop_assert!(!lacks || then.level < wanted);
            let much_later_ns = (at_ns - now_ns) / 1_000 + 3 * moment_ns;
            let much_later = layout.read(&plan, word, at_ns + much_later_ns);
            // Below a thousand of 2^-32 units a nanosecond the rate itself is rounded by more than that.
            prop_assert!(lacks || much_later.level + 3 >= wanted || plan.pace() < 1_000);
        }

        /// Also what another tier stored, which may hold more; and at a time before that.
        #[test]
        fn what_is_surely_held_is_held_at_any_time(
            tokens in 1_u64..1_000_000, period_ns in 1_000_u64..1 << 40, burst in 1_u64..1_000_000,
            now_ns in 1_u64 << 50..1 << 60, ago_ns in -(1_i64 << 40)..1 << 40, level in 0_u64..=2_000,
            cost in 0_u64..2_000,
        ) {
            let quota = Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst);
            let larger = quota.burst(burst * 2);
            let room = Room {
                quota: larger, largest: None, debt: None, places: None, mark_bits: MARK_OF_TWO,
            };
            let Ok(layout) = Layout::choose(&room) else { return Ok(()) };
            let (Ok(plan), Ok(other)) = (Plan::new(&layout, &quota), Plan::new(&layout, &larger))
            else {
                return Ok(());
            };
            let of_capacity = |thousandths| layout.zero + plan.capacity_units * thousandths / 1_000;
            let word = layout.word_at(&other, now_ns.wrapping_add_signed(-ago_ns), of_capacity(level));
            let wanted = of_capacity(cost).max(layout.zero + 1);
            let holds = Rules::surely_holds(&layout, word, wanted, plan.brim(&layout));
            let reading = layout.read(&plan, word, now_ns);
            prop_assert!(!holds || Rules::holds(&layout, &plan, &reading, wanted));
            // Not shy: but for a tick's credit, which a word may have been stored less by, and near the capacity.
            let margin = plan.tick_units(&layout) * 2 + other.tick_units(&layout);
            let is_clear = level >= cost && of_capacity(level) - margin.min(of_capacity(level)) >= wanted
                && wanted + margin < of_capacity(1_000);
            prop_assert!(holds || !is_clear);
        }
    }
}
