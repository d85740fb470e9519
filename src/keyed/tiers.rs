//! Quotas beside the limiter's own, that read the same words.

use core::fmt;
use core::time::Duration;
use std::sync::PoisonError;
use std::vec::Vec;

use crate::algorithm::{Layout, Plan, Rate};
use crate::error::QuotaError;
use crate::primitive::{Arc, Mutex};
use crate::quota::Quota;
use crate::terms::Terms;

/// A quota for some of the keys of one [`KeyedLimiter`](crate::KeyedLimiter), made by
/// [`tier`](crate::KeyedLimiter::tier). Cloning it makes another name for the same tier.
///
/// # Examples
///
/// ```
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let users = KeyedLimiter::<String, _>::with_clock(Quota::per_minute(10), ManualClock::new())?;
/// let gold = users.tier(Quota::per_minute(60).burst(20))?;
/// assert_eq!(users.available("alice"), 10);
/// assert_eq!(users.on(&gold).available("bob"), 20);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone)]
pub struct Tier {
    pub(super) terms: Arc<Terms>,
    pub(super) tiers: Arc<Tiers>,
}

impl Tier {
    /// The quota in force.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.terms.config()
    }

    /// Changes rate and capacity for all keys at once, while other threads go on: in O(1), however many
    /// there are. See [`KeyedLimiter::set_quota`](crate::KeyedLimiter::set_quota).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::{KeyedLimiter, ManualClock, Quota};
    ///
    /// let users = KeyedLimiter::<u64, _>::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// let gold = users.tier(Quota::per_second(20))?;
    /// gold.set_quota(Quota::per_second(40))?;
    /// assert_eq!(users.on(&gold).available(&7), 40);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), QuotaError> {
        self.tiers.change(&self.terms, &quota)
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tier").field(&self.quota()).finish()
    }
}

/// All plans by which the words of one limiter are read.
pub(crate) struct Tiers {
    layout: Layout,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The rates that have a mark of their own, for good: the credit of a rate is exact only in words that
    /// the same rate wrote.
    rates: Vec<Rate>,
    /// By all of these a bucket must be full before it can be dropped unnoticed: every plan there has been, but
    /// those that another one outlasts.
    plans: Vec<Plan>,
}

/// So many plans are kept apart; of more, two are made one that is slower than both.
const MOST_PLANS: usize = 32;

impl Tiers {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, state: Mutex::new(State::default()) }
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Whatever panicked, the lists are whole: nothing in here does.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the terms for a quota.
    pub(crate) fn make(&self, quota: &Quota) -> Result<Arc<Terms>, QuotaError> {
        self.with_state(|state| {
            let plan = state.admit(&self.layout, quota)?;
            Ok(Arc::new(Terms::new(self.layout, &plan, quota)))
        })
    }

    /// Changes the quota of `terms`.
    pub(crate) fn change(&self, terms: &Terms, quota: &Quota) -> Result<(), QuotaError> {
        self.with_state(|state| {
            // Known before it is in force: so whoever drops full keys asks it, too.
            let plan = state.admit(&self.layout, quota)?;
            terms.replace(plan, quota, |_, _| ());
            Ok(())
        })
    }

    /// The plans by all of which a bucket must be full before it can be dropped unnoticed.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        self.with_state(|state| state.plans.clone())
    }

    /// Lends those plans, and no quota changes meanwhile: a key that is judged by them would else be dropped although
    /// somebody has just taken from it by another one.
    pub(crate) fn with_plans<T>(&self, run: impl FnOnce(&[Plan]) -> T) -> T {
        if crate::planted::judge_by_an_old_list() {
            return run(&self.plans());
        }
        self.with_state(|state| run(&state.plans))
    }
}

/// In a tick, a plan that is not the only one may refill this share of its capacity.
///
/// A word tells the level at the start of its tick, by the plan that wrote it. Another plan, of a higher rate, takes
/// its own refill since then for granted: what the first one takes while the second one's bucket is so seen to
/// overflow, it does not miss. That is less than a tick's refill, once.
const TICK_SHARE: u64 = 4;

impl State {
    /// Makes a quota's plan one of those there have been.
    fn admit(&mut self, layout: &Layout, quota: &Quota) -> Result<Plan, QuotaError> {
        let plan = Plan::new(layout, quota)?;
        self.check(layout, &plan)?;
        let plan = self.mark(layout, plan);
        if !self.plans.iter().any(|other| other.outlasts(&plan)) {
            self.plans.retain(|other| !plan.outlasts(other));
            self.plans.push(plan);
        }
        if self.plans.len() > MOST_PLANS
            && let (Some(one), Some(other)) = (self.plans.pop(), self.plans.pop())
        {
            self.plans.push(one.slower_than_both(&other));
        }
        Ok(plan)
    }

    /// Checks that a tick is short, by a further plan and by those that are there.
    fn check(&self, layout: &Layout, plan: &Plan) -> Result<(), QuotaError> {
        let too_fast = |plan: &&Plan| {
            let tick_units = plan.rate.credit(0, layout.tick_mask());
            tick_units > plan.capacity_units / TICK_SHARE
        };
        let mut plans = self.plans.iter().chain([plan]);
        match plans.find(too_fast) {
            Some(plan) if !self.plans.is_empty() => Err(QuotaError::TooFastForTiers {
                tick: layout.tick(),
                fill: Duration::from_nanos(plan.rate.time_to_credit(0, plan.capacity_units)),
            }),
            _ => Ok(()),
        }
    }

    /// Gives the plan its rate's mark. There are 14; further rates share one, and are rounded down to a unit
    /// whenever they read what any of them wrote.
    fn mark(&mut self, layout: &Layout, plan: Plan) -> Plan {
        let step = layout.mark_mask & layout.mark_mask.wrapping_neg();
        let marks = layout.mark_mask.checked_div(step).unwrap_or(0);
        let at = self.rates.iter().position(|rate| *rate == plan.rate).unwrap_or_else(|| {
            self.rates.push(plan.rate);
            self.rates.len().saturating_sub(1)
        });
        // Mark 0 is that of words that no plan wrote.
        let mark = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        if mark < marks {
            return plan.with_mark(mark.saturating_mul(step), false);
        }
        // The rates that share the last mark need no place of their own.
        self.rates.truncate(usize::try_from(marks).unwrap_or(usize::MAX).saturating_sub(1));
        plan.with_mark(layout.mark_mask, true)
    }
}
