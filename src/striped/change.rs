//! A change of quota: the stripes are taken in, the central bucket is changed, and stripes are laid out anew.

use super::{Striped as _, StripedBucket, central_plan};
use crate::algorithm::Plan;
use crate::clock::Clock;
use crate::error::QuotaError;
use crate::fill::Fill;
use crate::quota::Quota;

impl<C: Clock> StripedBucket<C> {
    /// Between closing the stripes and opening them again all tokens of theirs are this thread's, and the change is
    /// that of one word, which holds all: one swap. Others go on centrally meanwhile.
    pub(super) fn change_quota(
        &self,
        quota: &Quota,
        fill: Fill,
        now_ns: impl Fn() -> u64,
    ) -> Result<(), QuotaError> {
        let (terms, layout, central) = (&self.terms, &self.terms.layout, self.central());
        let split = self.split_of(quota);
        let new = central_plan(layout, quota, split)?;

        let turn = self.changes.turn();
        let old_split = self.split_of(&terms.config());
        let lifted_units = central.units(self.stripes.close());
        let mut left_over = 0;
        terms.replace(new, quota, |old, new| {
            // The same plans, of all tokens.
            let with = |plan: &Plan, aside| {
                let capacity_units = plan.capacity_units.saturating_add(central.units(aside));
                Plan { capacity_units, ..*plan }
            };
            let (old_whole, new_whole) = (with(old, old_split.aside()), with(new, split.aside()));
            let full = layout.zero.wrapping_add(new.capacity_units);
            loop {
                let word = central.load();
                let reading = layout.read(old, word, now_ns());
                let level = reading.level.saturating_add(lifted_units);
                let level = fill.apply(layout, &old_whole, &new_whole, level);
                // What the central bucket does not hold, in whole tokens.
                let above = level.saturating_sub(full).div_ceil(central.units(1).max(1));
                let restated =
                    layout.restate(new, &reading, level.saturating_sub(central.units(above)));
                if self.word.change_over(word, restated) {
                    left_over = above;
                    break;
                }
            }
        });
        self.stripes.open(split, left_over);
        drop(turn);
        Ok(())
    }
}
