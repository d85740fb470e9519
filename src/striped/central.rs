//! What stripes need of the central bucket: to take for a stripe as well, and to spend what stripes held.
//!
//! The central bucket is a [`Bucket`] whose word nobody drops, so none of these calls finds it gone.

use crate::algorithm::{Closeness, Layout, Rules};
use crate::bucket::{Bucket, Share};

/// What was seen of the central bucket at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It holds the cost, and so many whole tokens besides.
    Holds { spare: u64 },
    /// It holds the cost together with the stripes.
    HoldsWithStripes,
    /// They do not hold it together. `hasty`: in a moment they do.
    Lacks { hasty: bool },
    /// It has changed meanwhile.
    Changed,
}

/// What came of spending tokens that were lifted out of a stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// The cost was taken.
    Granted,
    /// They are in the central bucket now, and so many more tokens are missing, rounded up.
    Missing(u64),
}

impl<S: Share> Bucket<'_, Layout, S> {
    /// Tells whether `word` holds `wanted`, alone or with the `in_stripes` units of the stripes.
    #[inline]
    pub(crate) fn look_for(&self, word: u64, wanted: u64, in_stripes: u64, now_ns: u64) -> Seen {
        let wanted_here = wanted.saturating_sub(in_stripes);
        if self.word.load_to_read() != word {
            return Seen::Changed;
        }
        let Some(plan) = self.plan_for(word) else { return Seen::Changed };
        let layout = &self.terms.layout;
        let reading = layout.read(&plan, word, now_ns);
        if !self.terms.may_ever_hold(&plan, wanted) {
            return Seen::Lacks { hasty: false };
        }
        match reading.level.checked_sub(wanted) {
            Some(spare) => Seen::Holds { spare: self.whole(spare) },
            None if reading.level >= wanted_here => Seen::HoldsWithStripes,
            None => {
                let closeness = layout.closeness(&plan, &reading, wanted_here);
                Seen::Lacks { hasty: closeness == Closeness::Hasty }
            }
        }
    }

    /// Takes `wanted`, and up to `most` of the whole tokens that are left then: in one swap. Tells how many those
    /// are, or nothing if it does not hold `wanted`.
    pub(crate) fn take_besides(&self, wanted: u64, most: u64, now_ns: u64) -> Option<u64> {
        let layout = &self.terms.layout;
        let taken = self.change(self.load(), now_ns, |_, plan, reading| {
            let Some(spare) = reading.level.checked_sub(wanted) else { return (None, None) };
            let besides = self.whole(spare).min(most);
            // Of what is there: no overflow.
            let all = wanted.wrapping_add(self.units(besides));
            (Some(layout.take(plan, reading, all)), Some(besides))
        });
        taken.unwrap_or_default()
    }

    /// Takes `wanted` with `lifted` tokens that come from a stripe, or else puts those in: in one swap.
    ///
    /// If they do not do, there is room for them, since a cost is not above the capacity. If they do, less than a token
    /// of them is left as a rule; it is lost if the bucket has been filled up meanwhile.
    pub(crate) fn spend(&self, lifted: u64, wanted: u64, now_ns: u64) -> Spent {
        let layout = &self.terms.layout;
        let units = self.units(lifted);
        let spent = self.change(self.load(), now_ns, |_, plan, reading| {
            let full = layout.zero().wrapping_add(plan.capacity_units);
            let level = reading.level.saturating_add(units);
            // Whose quota has been lowered too far meanwhile is granted nothing that came from a stripe.
            let may_have = units == 0 || self.share.reaches(plan);
            if level < wanted || !may_have {
                let missing = self.whole_up(wanted.saturating_sub(level));
                let put_in = layout.store(plan, reading, level.min(full));
                return ((units > 0).then_some(put_in), Spent::Missing(missing));
            }
            let left = level.wrapping_sub(wanted).wrapping_add(layout.zero());
            (Some(layout.store(plan, reading, left.min(full))), Spent::Granted)
        });
        spent.unwrap_or(Spent::Missing(u64::MAX))
    }

    /// Puts `units` in, or as many as there is room for, and tells how many.
    pub(crate) fn put(&self, units: u64, now_ns: u64) -> u64 {
        let layout = &self.terms.layout;
        let put = self.change(self.load(), now_ns, |_, plan, reading| {
            let full = layout.zero().wrapping_add(plan.capacity_units);
            // A level is never above the capacity.
            let put = full.wrapping_sub(reading.level).min(units);
            (Some(layout.give(plan, reading, units)), put)
        });
        put.unwrap_or_default()
    }

    pub(crate) fn units(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.terms.layout.units_per_token)
    }

    fn whole(&self, units: u64) -> u64 {
        units.checked_div(self.terms.layout.units_per_token).unwrap_or(0)
    }

    fn whole_up(&self, units: u64) -> u64 {
        // There are units in a token.
        units.div_ceil(self.terms.layout.units_per_token.max(1))
    }
}
