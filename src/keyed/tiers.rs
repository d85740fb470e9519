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
        self.terms.quota()
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
pub(crate) struct State {
    /// The rates that have a mark of their own, for good: the credit of a rate is exact only in words that
    /// the same rate wrote.
    rates: Vec<Rate>,
    known: Vec<Known>,
    /// The latest time that anybody came with: nobody forgets a plan early for being late.
    latest_ns: u64,
}

/// A plan by which a word may have been read lately, or may be.
struct Known {
    plan: Plan,
    terms: Arc<Terms>,
    /// When it was found to be out of force.
    retired_ns: Option<u64>,
}

impl Tiers {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, state: Mutex::new(State::default()) }
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Whatever panicked, the lists are whole: each change is one push.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the terms for a quota, or finds those of an equal one that nobody uses any more.
    pub(crate) fn make(&self, quota: &Quota) -> Result<Arc<Terms>, QuotaError> {
        let plan = Plan::new(&self.layout, quota)?;
        self.with_state(|state| {
            state.check(&self.layout, &plan)?;
            let plan = state.mark(&self.layout, plan);
            let is_free = |known: &&mut Known| {
                known.plan == plan && !known.is_used() && known.terms.quota() == *quota
            };
            if let Some(known) = state.known.iter_mut().find(is_free) {
                known.retired_ns = None;
                return Ok(Arc::clone(&known.terms));
            }
            let terms = Arc::new(Terms::new(self.layout, &plan, quota));
            state.known.push(Known { plan, terms: Arc::clone(&terms), retired_ns: None });
            Ok(terms)
        })
    }

    /// Changes the quota of `terms`.
    pub(crate) fn change(&self, terms: &Arc<Terms>, quota: &Quota) -> Result<(), QuotaError> {
        let plan = Plan::new(&self.layout, quota)?;
        self.with_state(|state| {
            state.check(&self.layout, &plan)?;
            let plan = state.mark(&self.layout, plan);
            let is_same =
                |known: &&mut Known| known.plan == plan && Arc::ptr_eq(&known.terms, terms);
            match state.known.iter_mut().find(is_same) {
                Some(known) => known.retired_ns = None,
                None => {
                    let terms = Arc::clone(terms);
                    state.known.push(Known { plan, terms, retired_ns: None });
                }
            }
            terms.replace(plan, quota, |_, _| ());
            Ok(())
        })
    }

    /// The plans by all of which a bucket must be full before it can be dropped unnoticed: those in force, and
    /// those that were less than their time to fill ago.
    ///
    /// A plan that is out of force for longer matters no more, for what was taken by it has come back by it.
    pub(crate) fn plans(&self, now_ns: u64) -> Vec<Plan> {
        self.with_state(|state| state.plans(now_ns))
    }

    /// Lends those plans, and no quota changes meanwhile: a key that is judged by them would else be dropped although
    /// somebody has just taken from it by another one.
    pub(crate) fn with_plans<T>(&self, now_ns: u64, run: impl FnOnce(&[Plan]) -> T) -> T {
        if crate::planted::judge_by_an_old_list() {
            return run(&self.plans(now_ns));
        }
        self.with_state(|state| run(&state.plans(now_ns)))
    }
}

/// In a tick, a plan that is not the only one may refill this share of its capacity.
///
/// A word tells the level at the start of its tick, by the plan that wrote it. Another plan, of a higher rate, takes
/// its own refill since then for granted: what the first one takes while the second one's bucket is so seen to
/// overflow, it does not miss. That is less than a tick's refill, once.
const TICK_SHARE: u64 = 4;

impl State {
    fn plans(&mut self, now_ns: u64) -> Vec<Plan> {
        self.latest_ns = self.latest_ns.max(now_ns);
        let latest_ns = self.latest_ns;
        self.known.retain_mut(|known| !known.is_over(latest_ns));
        self.known.iter().map(|known| known.plan).collect()
    }

    /// Checks that a tick is short, by a further plan and by those that are there.
    fn check(&self, layout: &Layout, plan: &Plan) -> Result<(), QuotaError> {
        let too_fast = |plan: &&Plan| {
            let tick_units = plan.rate.credit(0, layout.tick_mask());
            tick_units > plan.capacity_units / TICK_SHARE
        };
        let mut plans = self.known.iter().map(|known| &known.plan).chain([plan]);
        match plans.find(too_fast) {
            Some(plan) if !self.known.is_empty() => Err(QuotaError::TooFastForTiers {
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

impl Known {
    /// Whether anybody has the terms. One reference is this one's; a limiter keeps its own quota's.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.terms) > 1
    }

    /// Whether the plan has been out of force for as long as a bucket takes to fill by it.
    fn is_over(&mut self, now_ns: u64) -> bool {
        if self.is_used() && self.terms.plan() == self.plan {
            self.retired_ns = None;
            return false;
        }
        let retired_ns = *self.retired_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(retired_ns) >= self.plan.full_after_ns
    }
}

impl fmt::Debug for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers").finish_non_exhaustive()
    }
}
