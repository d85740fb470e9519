//! A word with the plan to read it by: the token bucket that is given the time.

use crossbeam_utils::CachePadded;

use crate::algorithm::{Layout, Plan, Rate, Room, Wait};
use crate::cell::{Cell, Step};
use crate::error::QuotaError;
use crate::fill::Fill;
use crate::published::Published;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// A token bucket that is given the time.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Alone on its cache lines: everything else here is read by all threads and hardly ever written.
    word: CachePadded<Cell>,
    /// The highest stored level at which the bucket cannot fill up within the tick; see
    /// [`Plan::brim`]. Apart from the plan so that the fast path reads one word of it, at a fixed
    /// place. 0 while the quota is being changed, which sends everybody to the plan.
    brim: Cell,
    plan: Published<4>,
    layout: Layout,
    quota: Published<5>,
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
            word: CachePadded::new(Cell::new(layout.word_at(&plan, now_ns, level))),
            brim: Cell::new(plan.brim(&layout)),
            plan: Published::new(plan_words(&plan)),
            layout,
            quota: Published::new(quota_words(&room.quota)),
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

    #[inline]
    pub(crate) fn plan(&self) -> Plan {
        let [rate_whole, rate_fraction, capacity_units, full_after_ns] = self.plan.read();
        let rate = Rate { whole: rate_whole, fraction: rate_fraction };
        Plan { rate, capacity_units, full_after_ns }
    }

    pub(crate) fn quota(&self) -> Quota {
        quota_from_words(self.quota.read())
    }

    #[inline]
    pub(crate) fn units(&self, tokens: Tokens) -> u64 {
        tokens.to_units_ceil(self.layout.units_per_token)
    }

    #[inline]
    pub(crate) fn tokens(&self, units: u64) -> Tokens {
        Tokens::from_units(units, self.layout.units_per_token)
    }

    /// The bucket now, without changing it: the level, and when it will be full.
    pub(crate) fn read(&self, now_ns: u64) -> (u64, Wait) {
        let (plan, word) = (self.plan(), self.word.load());
        let level = self.layout.read(&plan, word, now_ns).level;
        (level, self.layout.wait_full(&plan, word, now_ns))
    }

    /// How long until `cost` is there: nothing if it is, `None` if it never is.
    pub(crate) fn wait_for(&self, cost: Tokens, now_ns: u64) -> Option<Wait> {
        let plan = self.plan();
        let cost_units = self.units(cost);
        let wanted = self.layout.zero.saturating_add(cost_units);
        (cost_units <= plan.capacity_units)
            .then(|| self.layout.wait(&plan, self.word.load(), now_ns, wanted))
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
                Err(newer) => word = newer,
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
            // Read anew each time round: if the word changed, the quota may have.
            let plan = self.plan();
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

    pub(crate) fn take_up_to(&self, seen: u64, max: u64, now_ns: u64) -> u64 {
        let units_per_token = self.layout.units_per_token;
        self.word.update(seen, |word| {
            let plan = self.plan();
            let reading = self.layout.read(&plan, word, now_ns);
            // `units_per_token` is never 0.
            let whole = reading.level.saturating_sub(self.layout.zero) / units_per_token;
            let take = whole.min(max);
            if take == 0 {
                return Step::Keep(0);
            }
            let level = reading.level.wrapping_sub(take.wrapping_mul(units_per_token));
            let told = if crate::planted::promise_more_than_taken() { max } else { take };
            Step::Store(self.layout.store(&plan, &reading, level), told)
        })
    }

    pub(crate) fn drain(&self, seen: u64, now_ns: u64) -> Tokens {
        let units = self.word.update(seen, |word| {
            let plan = self.plan();
            let reading = self.layout.read(&plan, word, now_ns);
            let units = reading.level.saturating_sub(self.layout.zero);
            if units == 0 {
                return Step::Keep(0);
            }
            Step::Store(self.layout.store(&plan, &reading, self.layout.zero), units)
        });
        self.tokens(units)
    }

    pub(crate) fn refund(&self, cost: Tokens, now_ns: u64) {
        let units = self.units(cost);
        self.change(now_ns, |plan, level| {
            if crate::planted::refund_above_capacity() {
                return (level.saturating_add(units), ());
            }
            // A level is never above the capacity.
            let full = self.layout.zero.wrapping_add(plan.capacity_units);
            (level.saturating_add(units).min(full), ())
        });
    }

    /// Takes `cost` down to the floor, and returns what went below it.
    pub(crate) fn charge(&self, cost: Tokens, now_ns: u64) -> Tokens {
        let units = self.units(cost);
        let left_over = self.change(now_ns, |_, level| {
            if crate::planted::charge_below_floor() {
                return (level.wrapping_sub(units) & self.layout.level_mask, 0);
            }
            let taken = units.min(level.saturating_sub(self.layout.floor()));
            (level.wrapping_sub(taken), units.wrapping_sub(taken))
        });
        self.tokens(left_over)
    }

    /// Replaces the level at `now_ns` by what `change` makes of it.
    fn change<T>(&self, now_ns: u64, change: impl Fn(&Plan, u64) -> (u64, T)) -> T {
        self.word.update(self.word.load(), |word| {
            let plan = self.plan();
            let reading = self.layout.read(&plan, word, now_ns);
            let (level, outcome) = change(&plan, reading.level);
            Step::Store(self.layout.store(&plan, &reading, level), outcome)
        })
    }

    pub(crate) fn set_quota(
        &self,
        quota: &Quota,
        fill: Fill,
        now_ns: u64,
    ) -> Result<(), QuotaError> {
        let new = Plan::new(&self.layout, quota)?;
        let mut turn = self.plan.turn();
        let old = self.plan();
        if !crate::planted::keep_above_new_capacity() {
            self.brim.set(0);
        }
        // What has arrived so far, at the old rate, goes into the word before the rate changes.
        if !crate::planted::rerate_the_past() {
            self.change(now_ns, |_, level| (level, ()));
        }
        turn.publish(plan_words(&new));
        self.quota.turn().publish(quota_words(quota));
        // From here on all read the word by the new plan. Put into it what `fill` says.
        self.word.update(self.word.load(), |word| {
            let reading = self.layout.read(&old, word, now_ns);
            let level = fill.apply(&self.layout, &old, &new, reading.level);
            Step::Store(self.layout.restate(&new, &reading, level), ())
        });
        if !crate::planted::keep_above_new_capacity() {
            self.brim.set(new.brim(&self.layout));
        }
        Ok(())
    }
}

impl Grant<'_> {
    /// The tokens that were left.
    pub(crate) fn remaining(&self) -> Tokens {
        let bucket = self.bucket;
        let reading = bucket.layout.read(&bucket.plan(), self.word, self.now_ns);
        bucket.tokens(reading.level.saturating_sub(bucket.layout.zero))
    }

    pub(crate) fn wait_full(&self) -> Wait {
        let bucket = self.bucket;
        bucket.layout.wait_full(&bucket.plan(), self.word, self.now_ns)
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
