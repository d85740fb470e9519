//! Token buckets of many keys, which plans of several tiers read.

use core::time::Duration;
use std::vec::Vec;

use super::Plan;
use crate::algorithm::rules::ManyRules;
use crate::algorithm::{Layout, Rate, Wait};
use crate::error::QuotaError;
use crate::quota::Quota;

/// In a tick, a plan that is not the only one may refill this share of its capacity.
///
/// A word tells the level at the start of its tick, by the plan that wrote it. Another plan, of a higher rate, takes
/// its own refill since then for granted: what the first one takes while the second one's bucket is so seen to
/// overflow, it does not miss. That is less than a tick's refill, once.
const TICK_SHARE: u64 = 4;

/// The rates that have a mark of their own, in the order of their marks.
#[derive(Debug, Default)]
pub struct Rates(Vec<Rate>);

impl ManyRules for Layout {
    type Marks = Rates;

    fn admit(&self, rates: &mut Rates, others: &[Plan], quota: &Quota) -> Result<Plan, QuotaError> {
        let plan = Plan::new(self, quota)?;
        self.check(&plan, others)?;
        Ok(self.mark(rates, plan))
    }

    /// Whatever the rounding: at another rate, credit may be a unit less.
    fn outlasts(&self, plan: &Plan, other: &Plan) -> bool {
        if plan.rate == other.rate {
            return plan.capacity_units >= other.capacity_units;
        }
        plan.rate.raw() < other.rate.raw()
            && plan.capacity_units >= other.capacity_units.saturating_add(2)
    }

    fn slower_than_both(&self, plan: &Plan, other: &Plan) -> Plan {
        let slower = if plan.rate.raw() <= other.rate.raw() { plan } else { other };
        let capacity_units = plan.capacity_units.max(other.capacity_units).saturating_add(2);
        // By its own rate it may take longer than a stamp can tell; then it is never full, and the key stays.
        let full_after_ns = u64::MAX;
        Plan { capacity_units, full_after_ns, ..*slower }
    }

    fn is_full(&self, plan: &Plan, word: u64, now_ns: u64) -> bool {
        let reading = self.read(plan, word, now_ns);
        !reading.ahead && reading.level >= self.zero.wrapping_add(plan.capacity_units)
    }

    fn away_word(&self) -> u64 {
        self.mark_mask
    }

    /// Written by no plan: without a mark.
    fn unshared_word(&self, now_ns: u64) -> u64 {
        self.stamp(now_ns) | self.zero.wrapping_add(self.largest_capacity_units)
    }

    /// One that nobody has shared yet may be older than a stamp can tell.
    fn is_shared(&self, word: u64) -> bool {
        word & self.mark_mask != 0
    }

    fn like_shared(&self, plan: &Plan, word: u64, now_ns: u64) -> u64 {
        let reading = self.read(plan, word, now_ns);
        self.store(plan, &reading, reading.level)
    }

    fn wait_to_fill(&self, plan: &Plan, now_ns: u64) -> Wait {
        let Plan { rate, capacity_units: units, .. } = *plan;
        Wait { rate, from_ns: now_ns, units, now_ns }
    }
}

impl Layout {
    /// Checks that a tick is short, by a further plan and by those that are there.
    fn check(&self, plan: &Plan, others: &[Plan]) -> Result<(), QuotaError> {
        let too_fast = |plan: &&Plan| {
            let tick_units = plan.rate.credit(0, self.tick_mask());
            tick_units > plan.capacity_units / TICK_SHARE
        };
        match others.iter().chain([plan]).find(too_fast) {
            Some(plan) if !others.is_empty() => Err(QuotaError::TooFastForTiers {
                tick: self.tick(),
                fill: Duration::from_nanos(plan.rate.time_to_credit(0, plan.capacity_units)),
            }),
            _ => Ok(()),
        }
    }

    /// Gives the plan its rate's mark. There are 14; further rates share one, and are rounded down to a unit
    /// whenever they read what any of them wrote.
    fn mark(&self, Rates(rates): &mut Rates, plan: Plan) -> Plan {
        let step = self.mark_mask & self.mark_mask.wrapping_neg();
        let marks = self.mark_mask.checked_div(step).unwrap_or(0);
        let at = rates.iter().position(|rate| *rate == plan.rate).unwrap_or_else(|| {
            rates.push(plan.rate);
            rates.len().saturating_sub(1)
        });
        // Mark 0 is that of words that no plan wrote.
        let mark = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        if mark < marks {
            return plan.with_mark(mark.saturating_mul(step), false);
        }
        // The rates that share the last mark need no place of their own.
        rates.truncate(usize::try_from(marks).unwrap_or(usize::MAX).saturating_sub(1));
        plan.with_mark(self.mark_mask, true)
    }
}
