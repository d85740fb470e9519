//! A word with the plan to read it by: the token bucket that is given the time.

use crossbeam_utils::CachePadded;

use crate::algorithm::layout::units_floor;
use crate::algorithm::{Layout, Plan, Rate, Room, Wait};
use crate::cell::{Cell, Step};
use crate::error::QuotaError;
use crate::fill::Fill;
use crate::primitive::{give_way, step_aside};
use crate::quota::Quota;
use crate::seqlock::Seqlock;
use crate::tokens::Tokens;

/// A token bucket that is given the time.
///
/// There are two plans, and a bit of the word says by which one it is to be read. A change of quota
/// writes the other plan and then swaps the word for one with the same tokens and the other bit: so at
/// any moment there is one level and one plan to read it by. Whoever decides by a plan that is being
/// overwritten has a word that has been replaced, and looks again.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Alone on its cache lines: everything else here is read by all threads and hardly ever written.
    word: CachePadded<Cell>,
    /// The highest stored level at which the bucket cannot fill up within the tick (see [`Plan::brim`]),
    /// with the bit of the plan it was worked out for. Apart from the plan so that the fast path reads
    /// one word, at a fixed place.
    brim: Cell,
    plans: [Seqlock<4>; 2],
    layout: Layout,
    quotas: [Seqlock<5>; 2],
    /// Its turn is the right to change the quota.
    change: Seqlock<0>,
}

/// What a call took, still in units; the rest is worked out when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant<'a> {
    bucket: &'a Bucket,
    word: u64,
    now_ns: u64,
}

/// What became of a cost.
#[derive(Clone, Copy)]
pub(crate) enum Taken {
    /// It was taken, and left this word.
    Granted { left: u64 },
    /// It is not there. `hasty` tells that this may be so only because the time that was given is
    /// earlier than that of others who took tokens first.
    NotYet { wait: Wait, hasty: bool },
    /// It is above the capacity.
    Never { capacity_units: u64 },
}

impl Bucket {
    pub(crate) fn new(room: &Room, full: bool, now_ns: u64) -> Result<Self, QuotaError> {
        let layout = Layout::choose(room)?;
        let plan = Plan::new(&layout, &room.quota)?;
        let level = layout.zero.wrapping_add(if full { plan.capacity_units } else { 0 });
        Ok(Self {
            word: CachePadded::new(Cell::new(layout.word_at(&plan, 0, now_ns, level))),
            brim: Cell::new(plan.brim(&layout)),
            plans: [Seqlock::new(plan_words(&plan)), Seqlock::new([0; 4])],
            layout,
            quotas: [Seqlock::new(quota_words(&room.quota)), Seqlock::new([0; 5])],
            change: Seqlock::new([]),
        })
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.word.load()
    }

    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The words of the plan, or quota, that goes with `word`; `None` if they are being replaced, and so
    /// `word` has been. `word` was read with `Acquire`.
    #[inline]
    fn of<'a, T>(&self, word: u64, [zero, one]: &'a [T; 2]) -> &'a T {
        let is_one = word & self.layout.plan_bit != 0;
        if is_one { one } else { zero }
    }

    #[inline]
    fn plan_for(&self, word: u64) -> Option<Plan> {
        let word = if crate::planted::read_by_the_first_plan() { 0 } else { word };
        let [whole, fraction, capacity_units, full_after_ns] =
            self.of(word, &self.plans).try_read()?;
        Some(Plan { rate: Rate { whole, fraction }, capacity_units, full_after_ns })
    }

    /// The word and the plan it is to be read by.
    #[inline]
    fn look(&self) -> (u64, Plan) {
        loop {
            let word = self.word.load_to_read();
            if let Some(plan) = self.plan_for(word) {
                return (word, plan);
            }
            give_way();
        }
    }

    pub(crate) fn quota(&self) -> Quota {
        loop {
            let word = self.word.load_to_read();
            if let Some(words) = self.of(word, &self.quotas).try_read() {
                return quota_from_words(words);
            }
            give_way();
        }
    }

    #[inline]
    pub(crate) fn units(&self, tokens: Tokens) -> u64 {
        tokens.to_units_ceil(self.layout.units_per_token)
    }

    #[inline]
    pub(crate) fn tokens(&self, units: u64) -> Tokens {
        Tokens::from_units(units, self.layout.units_per_token)
    }

    /// The bucket now, without changing it: the level, when it will be full, and the quota.
    pub(crate) fn read(&self, now_ns: u64) -> (u64, Wait, Quota) {
        loop {
            let (word, plan) = self.look();
            let quota = self.of(word, &self.quotas).try_read();
            // The same plan before and after: they belong together.
            let plan_bit = self.layout.plan_bit;
            if let Some(quota) = quota
                && (self.word.load_to_read() ^ word) & plan_bit == 0
            {
                let level = self.layout.read(&plan, word, now_ns).level;
                let full = self.layout.wait_full(&plan, word, now_ns);
                return (level, full, quota_from_words(quota));
            }
            give_way();
        }
    }

    /// The level now, plus the layout's `zero`.
    pub(crate) fn level(&self, now_ns: u64) -> u64 {
        let (word, plan) = self.look();
        self.layout.read(&plan, word, now_ns).level
    }

    /// How long until `cost` is there: nothing if it is, `None` if it never is.
    pub(crate) fn wait_for(&self, cost: Tokens, now_ns: u64) -> Option<Wait> {
        let (word, plan) = self.look();
        let cost_units = self.units(cost);
        let wanted = self.layout.zero.saturating_add(cost_units);
        (cost_units <= plan.capacity_units).then(|| self.layout.wait(&plan, word, now_ns, wanted))
    }

    /// Takes `cost_units`, deciding on the word `seen` first.
    ///
    /// The loop stands here once more, for taking that is one subtraction: no closure, nothing returned
    /// but a word, so that all of it is inlined into the caller and stays in registers.
    #[inline(always)]
    pub(crate) fn take(&self, seen: u64, cost_units: u64, now_ns: u64) -> Taken {
        let wanted = self.layout.zero.saturating_add(cost_units);
        let mut word = seen;
        while self.layout.holds_in_place(word, now_ns, wanted, self.brim.load()) {
            let left = word.wrapping_sub(cost_units);
            match self.word.replace(word, left) {
                Ok(()) => return Taken::Granted { left },
                // In a crowd the word goes from core to core with every swap. Whoever loses one steps aside
                // and lets the winner go on where the word is: two threads do twice as much so.
                Err(_) => {
                    step_aside();
                    word = self.word.load();
                }
            }
        }
        match self.take_slow(word, cost_units, now_ns) {
            Taken::NotYet { wait, .. } if word != seen => Taken::NotYet { wait, hasty: true },
            taken => taken,
        }
    }

    /// Takes `cost_units` where that is not one subtraction: in a new tick, out of a full bucket, and out
    /// of one that may hold too little.
    #[inline(never)]
    fn take_slow(&self, seen: u64, cost_units: u64, now_ns: u64) -> Taken {
        let wanted = self.layout.zero.saturating_add(cost_units);
        self.word.update(seen, |word| {
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            let reading = self.layout.read(&plan, word, now_ns);
            if reading.level >= wanted {
                let level = reading.level.wrapping_sub(cost_units);
                let left = self.layout.store(&plan, &reading, level);
                return Step::Store(left, Taken::Granted { left });
            }
            if cost_units > plan.capacity_units {
                return Step::Keep(Taken::Never { capacity_units: plan.capacity_units });
            }
            let missing = wanted.wrapping_sub(reading.level);
            Step::Keep(Taken::NotYet {
                wait: self.layout.wait(&plan, word, now_ns, wanted),
                hasty: word != seen || plan.rate.credits_in_a_microsecond(missing),
            })
        })
    }

    /// The grant that left the word `left`.
    #[inline]
    pub(crate) fn grant(&self, left: u64, now_ns: u64) -> Grant<'_> {
        Grant { bucket: self, word: left, now_ns }
    }

    /// Takes whole tokens, and tells whether others came first.
    pub(crate) fn take_up_to(&self, seen: u64, max: u64, now_ns: u64) -> (u64, bool) {
        let units_per_token = self.layout.units_per_token;
        self.word.update(seen, |word| {
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            let reading = self.layout.read(&plan, word, now_ns);
            // `units_per_token` is never 0.
            let whole = reading.level.saturating_sub(self.layout.zero) / units_per_token;
            let take = whole.min(max);
            if take == 0 {
                return Step::Keep((0, word != seen));
            }
            let level = reading.level.wrapping_sub(take.wrapping_mul(units_per_token));
            let told = if crate::planted::promise_more_than_taken() { max } else { take };
            Step::Store(self.layout.store(&plan, &reading, level), (told, word != seen))
        })
    }

    /// Takes all, and tells whether others came first.
    pub(crate) fn drain(&self, seen: u64, now_ns: u64) -> (Tokens, bool) {
        let (units, overtaken) = self.word.update(seen, |word| {
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            let reading = self.layout.read(&plan, word, now_ns);
            let units = reading.level.saturating_sub(self.layout.zero);
            if units == 0 {
                return Step::Keep((0, word != seen));
            }
            let empty = self.layout.store(&plan, &reading, self.layout.zero);
            Step::Store(empty, (units, word != seen))
        });
        (self.tokens(units), overtaken)
    }

    pub(crate) fn refund(&self, cost: Tokens, now_ns: u64) {
        // What is less than a unit is not given back: rounding never grants.
        let units = units_floor(cost, self.layout.units_per_token);
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.word.update(self.word.load(), |word| {
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            let reading = self.layout.read(&plan, word, now_ns);
            let mut level = reading.level.saturating_add(units);
            if !crate::planted::refund_above_capacity() {
                // A level is never above the capacity.
                level = level.min(self.layout.zero.wrapping_add(plan.capacity_units));
            }
            Step::Store(self.layout.store(&plan, &reading, level), ())
        });
    }

    /// Takes `cost` down to the floor, and returns what went below it.
    pub(crate) fn charge(&self, cost: Tokens, now_ns: u64) -> Tokens {
        let units = self.units(cost);
        let taken = self.word.update(self.word.load(), |word| {
            let Some(plan) = self.plan_for(word) else { return Step::Again };
            let reading = self.layout.read(&plan, word, now_ns);
            let taken = if crate::planted::charge_below_floor() {
                units
            } else {
                units.min(reading.level.saturating_sub(self.layout.floor()))
            };
            let level = reading.level.wrapping_sub(taken) & self.layout.level_mask;
            Step::Store(self.layout.store(&plan, &reading, level), taken)
        });
        if taken == units && units < u64::MAX {
            Tokens::ZERO
        } else {
            cost.saturating_sub(self.tokens(taken))
        }
    }

    /// Changes the quota, by one swap of the word. `now_ns` tells the time, each time after the word was
    /// read: so it is not earlier than whatever is in the word.
    pub(crate) fn set_quota(
        &self,
        quota: &Quota,
        fill: Fill,
        now_ns: impl Fn() -> u64,
    ) -> Result<(), QuotaError> {
        let new = Plan::new(&self.layout, quota)?;
        let turn = self.change.turn();
        // Nobody else flips the bit now. The plan of the other one is not in force, and free to write.
        let (word, old) = self.look();
        let other = word ^ self.layout.plan_bit;
        self.of(other, &self.plans).turn().write(plan_words(&new));
        self.of(other, &self.quotas).turn().write(quota_words(quota));
        loop {
            let seen = self.word.load();
            let reading = self.layout.read(&old, seen, now_ns());
            let level = fill.apply(&self.layout, &old, &new, reading.level);
            let mut restated = self.layout.restate(&new, &reading, level);
            if crate::planted::flip_without_restating() {
                restated = seen ^ self.layout.plan_bit;
            }
            if self.word.change_over(seen, restated) {
                break;
            }
        }
        let brim = if crate::planted::keep_above_new_capacity() {
            old.brim(&self.layout)
        } else {
            new.brim(&self.layout)
        };
        // Without a brim there is no fast path, whichever the plan.
        self.brim.set(if brim == 0 { 0 } else { brim | (other & self.layout.plan_bit) });
        drop(turn);
        Ok(())
    }
}

impl Grant<'_> {
    /// The tokens that were left, and when the bucket will be full.
    ///
    /// By the plan of the word that was left; if that one has been replaced meanwhile, by a later one.
    pub(crate) fn left(&self) -> (Tokens, Wait) {
        let bucket = self.bucket;
        let plan = bucket.plan_for(self.word).unwrap_or_else(|| bucket.look().1);
        let level = bucket.layout.read(&plan, self.word, self.now_ns).level;
        let left = bucket.tokens(level.saturating_sub(bucket.layout.zero));
        (left, bucket.layout.wait_full(&plan, self.word, self.now_ns))
    }
}

fn plan_words(plan: &Plan) -> [u64; 4] {
    [plan.rate.whole, plan.rate.fraction, plan.capacity_units, plan.full_after_ns]
}

/// A quota in five words: two amounts, a period, and between them the billionths of both amounts.
fn quota_words(quota: &Quota) -> [u64; 5] {
    let (tokens, capacity, period) = (quota.tokens(), quota.capacity(), quota.period());
    let billionths = (u64::from(tokens.subsec_nanos()) << 32) | u64::from(capacity.subsec_nanos());
    [tokens.whole(), capacity.whole(), billionths, period.as_secs(), period.subsec_nanos().into()]
}

fn quota_from_words([tokens, capacity, billionths, secs, nanos]: [u64; 5]) -> Quota {
    let amount =
        |whole, billionths| Tokens::new(whole).saturating_add(Tokens::decimal(billionths, 9));
    let nanos = core::time::Duration::from_nanos(nanos);
    let period = core::time::Duration::from_secs(secs).saturating_add(nanos);
    Quota::new(amount(tokens, billionths >> 32), period)
        .burst(amount(capacity, billionths & u64::from(u32::MAX)))
}
