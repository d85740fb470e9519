//! What words are read by: a layout, and the quota in force.

#[cfg(feature = "keyed")]
use core::any::Any;

use crate::algorithm::layout::units_floor;
use crate::algorithm::{Layout, Plan, Room, Rules};
use crate::cell::Cell;
use crate::error::QuotaError;
use crate::primitive::give_way;
use crate::seqlock::Seqlock;
use crate::tokens::Tokens;

/// What words are read by. One bucket has its own; the buckets of all keys of a limiter share one, and
/// each tier is one more.
///
/// There are two plans, of which one is in force. A change of quota writes the other one and then changes
/// over. Whoever decides by a plan that is being overwritten finds so, and looks again: nobody waits for a
/// writer, however long it stalls.
#[derive(Debug)]
pub(crate) struct Terms<R = Layout> {
    /// The highest stored level at which the bucket cannot fill up within the tick (see [`Plan::brim`]),
    /// with the mark of the plan it was worked out for. Apart from the plan so that the fast path reads
    /// one word, at a fixed place.
    brim: Cell,
    /// At least as fast as the plan that a word is to be read by: see [`Layout::lacks`].
    pace: Cell,
    plans: [Seqlock<5>; 2],
    pub(crate) layout: R,
    configs: [Seqlock<5>; 2],
    /// How often the quota was changed. Even: the first plan is in force; odd: the other. Where a word names its
    /// plan, that one counts.
    changes: Cell,
    /// Its turn is the right to change the quota.
    change: Seqlock<0>,
}

/// Two plans, and which of them is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Zero,
    One,
}

impl Slot {
    fn from_word(word: u64) -> Self {
        if word == 0 { Self::Zero } else { Self::One }
    }

    fn other(self) -> Self {
        if self == Self::Zero { Self::One } else { Self::Zero }
    }
}

impl Terms<Layout> {
    /// The terms of one bucket, and the plan it begins with. A word names its plan.
    pub(crate) fn of_one(room: &Room) -> Result<(Self, Plan), QuotaError> {
        let layout = Layout::choose(room)?;
        let plan = Plan::new(&layout, &room.quota)?;
        Ok((Self::new(layout, &plan, &room.quota), plan))
    }
}

impl<R: Rules> Terms<R> {
    pub(crate) fn new(layout: R, plan: &R::Plan, config: &R::Config) -> Self {
        Self {
            brim: Cell::new(layout.brim(plan)),
            pace: Cell::new(layout.pace(plan)),
            plans: [Seqlock::new(R::plan_words(plan)), Seqlock::new([0; 5])],
            layout,
            configs: [Seqlock::new(R::config_words(config)), Seqlock::new([0; 5])],
            changes: Cell::new(0),
            change: Seqlock::new([]),
        }
    }

    /// The terms as those of a token bucket, if they are.
    #[cfg(feature = "keyed")]
    #[inline]
    pub(crate) fn of_token_bucket(&self) -> Option<&Terms> {
        (self as &dyn Any).downcast_ref()
    }

    #[inline]
    pub(crate) fn units(&self, tokens: Tokens) -> u64 {
        tokens.to_units_ceil(self.layout.units_per_token())
    }

    /// The level from which on a bucket holds `cost`.
    #[inline]
    pub(crate) fn wanted(&self, cost: Tokens) -> u64 {
        self.layout.zero().saturating_add(self.units(cost))
    }

    /// What is less than a unit is left out: rounding never grants.
    pub(crate) fn units_floor(&self, tokens: Tokens) -> u64 {
        u64::try_from(units_floor(tokens, self.layout.units_per_token())).unwrap_or(u64::MAX)
    }

    #[inline]
    pub(crate) fn tokens(&self, units: u64) -> Tokens {
        Tokens::from_units(units, self.layout.units_per_token())
    }

    /// Whether a bucket of this plan holds `wanted` at some time.
    #[inline]
    pub(crate) fn may_ever_hold(&self, plan: &R::Plan, wanted: u64) -> bool {
        wanted <= self.layout.zero().saturating_add(self.layout.capacity_units(plan))
    }

    #[inline]
    pub(crate) fn brim(&self) -> u64 {
        self.brim.load()
    }

    /// Whether `word` surely lacks `wanted`, now and in a moment: by the plan in force, or by the one that it names,
    /// if it is the same before and after.
    #[inline]
    pub(crate) fn lacks(&self, word: u64, now_ns: u64, wanted: u64) -> bool {
        self.layout.lacks(word, now_ns, wanted, self.pace.load_between())
    }

    /// Which plan `word` is to be read by. It was read with `Acquire`.
    #[inline]
    pub(crate) fn slot_for(&self, word: u64) -> Slot {
        if !self.layout.names_plan() {
            return self.current_slot();
        }
        let named = self.layout.named_by(word);
        Slot::from_word(if crate::planted::read_by_the_first_plan() { 0 } else { named })
    }

    fn current_slot(&self) -> Slot {
        Slot::from_word(self.changes() & 1)
    }

    /// How often the quota was changed, modulo 2^64.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load_to_read()
    }

    /// The plan for `word`; `None` if it is being replaced, and so `word`, or the plan in force, has been.
    #[inline]
    pub(crate) fn plan_for(&self, word: u64) -> Option<R::Plan> {
        self.plan_in(self.slot_for(word))
    }

    #[inline]
    pub(crate) fn plan_in(&self, slot: Slot) -> Option<R::Plan> {
        self.plans[slot as usize].try_read().map(R::plan_from_words)
    }

    pub(crate) fn config_in(&self, slot: Slot) -> Option<R::Config> {
        self.configs[slot as usize].try_read().map(R::config_from_words)
    }

    /// The plan in force.
    pub(crate) fn plan(&self) -> R::Plan {
        loop {
            if let Some(plan) = self.plan_in(self.current_slot()) {
                return plan;
            }
            give_way();
        }
    }

    /// What the caller set, as it is in force.
    pub(crate) fn config(&self) -> R::Config {
        loop {
            if let Some(config) = self.config_in(self.current_slot()) {
                return config;
            }
            give_way();
        }
    }

    /// Changes the quota, and `change_over`, which is given the plans before and after, says so to the words:
    /// from then on they are to be read by the new one. The new plan's mark is `mark`, or, where words name
    /// their plan, the one of its place.
    pub(crate) fn replace(
        &self,
        new: R::Plan,
        config: &R::Config,
        change_over: impl FnOnce(&R::Plan, &R::Plan),
    ) {
        let turn = self.change.turn();
        // Nobody else changes the quota now. The plan that is not in force is free to write.
        let old_slot = self.current_slot();
        let new_slot = old_slot.other();
        let new = self.layout.in_slot(new, new_slot == Slot::One);
        let old = self.plan();
        self.plans[new_slot as usize].turn().write(R::plan_words(&new));
        self.configs[new_slot as usize].turn().write(R::config_words(config));
        if !crate::planted::refuse_by_the_old_rate() {
            self.pace.set(self.layout.pace(&old).max(self.layout.pace(&new)));
        }
        change_over(&old, &new);
        self.changes.publish(self.changes().wrapping_add(1));
        let brim_of = if crate::planted::keep_above_new_capacity() {
            self.layout.in_slot(old, new_slot == Slot::One)
        } else {
            new
        };
        self.brim.set(self.layout.brim(&brim_of));
        self.pace.publish(self.layout.pace(&new));
        drop(turn);
    }
}
