//! Quotas beside the limiter's own, that read the same words.

use core::fmt;
use std::sync::PoisonError;
use std::vec::Vec;

use super::divided::AllDivided;
use crate::algorithm::{Adjustable, Algorithm, ManyRules};
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
/// let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(10), ManualClock::new())?;
/// let gold = users.tier(Quota::per_minute(60).burst(20))?;
/// assert_eq!(users.available("alice"), 10);
/// assert_eq!(users.on(&gold).available("bob"), 20);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct Tier<A: Algorithm = Quota> {
    pub(super) terms: Arc<Terms<A::Rules>>,
    pub(super) tiers: Arc<Tiers<A::Rules>>,
}

impl<A: Algorithm> Tier<A> {
    /// The algorithm in force, with its numbers.
    #[must_use]
    pub fn algorithm(&self) -> A {
        A::from_config(self.terms.config())
    }
}

impl<A: Adjustable> Tier<A> {
    /// Changes the limit, or the burst, for all keys at once. See [`KeyedLimiter::set`](crate::KeyedLimiter::set).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set(&self, algorithm: A) -> Result<(), QuotaError> {
        self.tiers.change(&self.terms, &algorithm.config())
    }
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
    /// let users = KeyedLimiter::<u64, _, _>::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// let gold = users.tier(Quota::per_second(20))?;
    /// gold.set_quota(Quota::per_second(40))?;
    /// assert_eq!(users.on(&gold).available(&7), 40);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), QuotaError> {
        self.tiers.change(&self.terms, &quota)
    }
}

impl<A: Algorithm> Clone for Tier<A> {
    fn clone(&self) -> Self {
        Self { terms: Arc::clone(&self.terms), tiers: Arc::clone(&self.tiers) }
    }
}

impl<A: Algorithm> fmt::Debug for Tier<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tier").field(&self.algorithm()).finish()
    }
}

/// All plans by which the words of one limiter are read.
pub(crate) struct Tiers<R: ManyRules> {
    rules: R,
    state: Mutex<State<R>>,
    /// The buckets of hot keys: what a change of quota has to be told to.
    pub(crate) divided: AllDivided,
}

struct State<R: ManyRules> {
    marks: R::Marks,
    /// By all of these a bucket must be full before it can be dropped unnoticed: every plan there has been, but
    /// those that another one outlasts.
    plans: Vec<R::Plan>,
}

/// So many plans are kept apart; of more, two are made one that is slower than both.
const MOST_PLANS: usize = 32;

impl<R: ManyRules> Tiers<R> {
    pub(crate) fn new(rules: R) -> Self {
        let state = State { marks: R::Marks::default(), plans: Vec::new() };
        Self { rules, state: Mutex::new(state), divided: AllDivided::default() }
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State<R>) -> T) -> T {
        // Whatever panicked, the lists are whole: nothing in here does.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the terms for a configuration.
    pub(crate) fn make(&self, config: &R::Config) -> Result<Arc<Terms<R>>, QuotaError> {
        self.with_state(|state| {
            let plan = state.admit(&self.rules, config)?;
            Ok(Arc::new(Terms::new(self.rules, &plan, config)))
        })
    }

    /// Changes the configuration of `terms`.
    pub(crate) fn change(&self, terms: &Terms<R>, config: &R::Config) -> Result<(), QuotaError> {
        self.with_state(|state| {
            // Known before it is in force: so whoever drops full keys asks it, too.
            let plan = state.admit(&self.rules, config)?;
            terms.replace(plan, config, |_, _| ());
            Ok(())
        })?;
        if let Some(terms) = terms.of_token_bucket() {
            self.divided.refit(terms);
        }
        Ok(())
    }

    /// The plans by all of which a bucket must be full before it can be dropped unnoticed.
    pub(crate) fn plans(&self) -> Vec<R::Plan> {
        self.with_state(|state| state.plans.clone())
    }

    /// Lends those plans, and no quota changes meanwhile: a key that is judged by them would else be dropped although
    /// somebody has just taken from it by another one.
    pub(crate) fn with_plans<T>(&self, run: impl FnOnce(&[R::Plan]) -> T) -> T {
        if crate::planted::judge_by_an_old_list() {
            return run(&self.plans());
        }
        self.with_state(|state| run(&state.plans))
    }
}

impl<R: ManyRules> State<R> {
    /// Makes a configuration's plan one of those there have been.
    fn admit(&mut self, rules: &R, config: &R::Config) -> Result<R::Plan, QuotaError> {
        let plan = rules.admit(&mut self.marks, &self.plans, config)?;
        if !self.plans.iter().any(|other| rules.outlasts(other, &plan)) {
            self.plans.retain(|other| !rules.outlasts(&plan, other));
            self.plans.push(plan);
        }
        if self.plans.len() > MOST_PLANS
            && let (Some(one), Some(other)) = (self.plans.pop(), self.plans.pop())
        {
            self.plans.push(rules.slower_than_both(&one, &other));
        }
        Ok(plan)
    }
}
