//! A quota in whole numbers that a script can count with.
//!
//! A script of Redis knows no numbers but doubles, which hold whole ones exactly up to 2^53. So amounts are counted in *grains*, a
//! decimal fraction of a token, and time in microseconds. If `grains_per_period` arrive in `period_us`, and the two have no
//! common divisor, then a *level* in 1/`period_us` of a grain rises by the whole number `grains_per_period` each microsecond: nothing
//! is ever rounded, as long as a full bucket and the deepest debt are below 2^53 together.

use core::time::Duration;

use crate::algorithm::layout::{LONGEST_FILL_NS, MAX_PLACES};
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::{NANOS_PER_TOKEN, Tokens};

/// Whole numbers below this are exact in a script.
pub(crate) const EXACT: u64 = 1 << 53;

/// A bucket may be so many capacities in debt, if there is room for them, and one at least.
const MOST_DEBT_CAPACITIES: u64 = 8;

const LONGEST_FILL_US: u64 = LONGEST_FILL_NS / 1_000;

/// A quota, counted in grains and microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    grains_per_token: u64,
    capacity_grains: u64,
    debt_grains: u64,
    grains_per_period: u64,
    period_us: u64,
}

impl Scale {
    /// Counts a quota in grains of 10^-`places` tokens, or of the coarsest decimal part of a token of which burst and rate are
    /// whole numbers. `extra_tokens` may be had beyond the burst.
    pub(crate) fn new(
        quota: &Quota,
        extra_tokens: u64,
        places: Option<u32>,
    ) -> Result<Self, QuotaError> {
        quota.check()?;
        let capacity = quota.capacity().saturating_add(Tokens::new(extra_tokens));
        let places = match places {
            Some(places) => check_places(places)?,
            None => places_of(quota.capacity()).max(places_of(quota.tokens())),
        };
        let grains_per_token = 10_u64.pow(places);
        // A billion is a multiple of it.
        let nanos_per_grain = u128::from(u64::from(NANOS_PER_TOKEN) / grains_per_token);
        // Grains per microsecond: both are below 2^104.
        let grains = quota.tokens().to_nanos().saturating_mul(1_000);
        let micros = nanos_per_grain.saturating_mul(quota.period().as_nanos());
        let divisor = greatest_common_divisor(grains, micros);
        let (grains, micros) = (reduced(grains, divisor), reduced(micros, divisor));

        let refuse = |largest_grains: u64| QuotaError::AboveExact {
            field: "burst",
            value: quota.capacity(),
            largest: Tokens::from_units(largest_grains, grains_per_token)
                .saturating_sub(Tokens::new(extra_tokens)),
        };
        // What fills it, and the debt, and two microseconds of refill: the script's largest sum.
        let room = EXACT.saturating_sub(1).saturating_sub(grains.saturating_mul(2));
        let largest_grains = room.checked_div(micros.saturating_mul(2)).unwrap_or(0);
        let capacity_grains = floor_grains(capacity, nanos_per_grain);
        if capacity_grains > largest_grains.into() {
            return Err(refuse(largest_grains));
        }
        let capacity_grains = u64::try_from(capacity_grains).unwrap_or(u64::MAX);
        if capacity_grains == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        let in_time = u128::from(LONGEST_FILL_US).saturating_mul(grains.into());
        let in_time = in_time.checked_div(micros.into()).unwrap_or(0);
        let in_time = u64::try_from(in_time).unwrap_or(u64::MAX);
        let Some(most_debt_in_time) = in_time.checked_sub(capacity_grains) else {
            let seconds = quota.fill_time().as_nanos().div_ceil(1_000_000_000);
            return Err(QuotaError::FillTooSlow {
                seconds: u64::try_from(seconds).unwrap_or(u64::MAX),
            });
        };
        let most_debt = room.checked_div(micros).unwrap_or(0).saturating_sub(capacity_grains);
        let debt_grains = capacity_grains
            .saturating_mul(MOST_DEBT_CAPACITIES)
            .min(most_debt)
            .min(most_debt_in_time);
        Ok(Self {
            grains_per_token,
            capacity_grains,
            debt_grains,
            grains_per_period: grains,
            period_us: micros,
        })
    }

    /// The same rate, with a smaller bucket; `None` if it is not smaller, or empty.
    pub(crate) fn with_capacity(self, capacity_grains: u64) -> Option<Self> {
        let fits = (1..=self.capacity_grains).contains(&capacity_grains);
        fits.then_some(Self { capacity_grains, ..self })
    }

    pub(crate) fn grains_per_token(&self) -> u64 {
        self.grains_per_token
    }

    /// The decimal places of a grain.
    pub(crate) fn places(&self) -> u32 {
        self.grains_per_token.ilog10()
    }

    pub(crate) fn capacity_grains(&self) -> u64 {
        self.capacity_grains
    }

    #[cfg(test)]
    pub(crate) fn debt_grains(&self) -> u64 {
        self.debt_grains
    }

    /// The units of level in a grain.
    pub(crate) fn period_us(&self) -> u64 {
        self.period_us
    }

    /// What a level rises by in a microsecond.
    pub(crate) fn refill(&self) -> u64 {
        self.grains_per_period
    }

    /// A cost in grains, rounded up; `u64::MAX` if 64 bits do not count it.
    pub(crate) fn grains(&self, cost: Tokens) -> u64 {
        cost.to_units_ceil(self.grains_per_token)
    }

    pub(crate) fn tokens(&self, grains: u64) -> Tokens {
        Tokens::from_units(grains, self.grains_per_token)
    }

    /// Grains as a level. No more than what fills the bucket from its deepest debt, which is the most that anybody asks for.
    pub(crate) fn level_of(&self, grains: u64) -> i64 {
        let most = self.capacity_grains.saturating_add(self.debt_grains);
        let level = grains.min(most).saturating_mul(self.period_us);
        i64::try_from(level).unwrap_or(i64::MAX)
    }

    /// The level of a full bucket.
    pub(crate) fn full_level(&self) -> i64 {
        self.level_of(self.capacity_grains)
    }

    /// The level of the deepest debt.
    pub(crate) fn lowest_level(&self) -> i64 {
        self.level_of(self.debt_grains).saturating_neg()
    }

    /// The whole grains of a level: none in debt.
    pub(crate) fn available(&self, level: i64) -> u64 {
        let level = u64::try_from(level).unwrap_or(0);
        level.checked_div(self.period_us).unwrap_or(0).min(self.capacity_grains)
    }

    /// How long until a level has risen to another: exact, so that a microsecond less is too early.
    pub(crate) fn wait_us(&self, level: i64, wanted: i64) -> u64 {
        let missing = u64::try_from(wanted.saturating_sub(level)).unwrap_or(0);
        missing.div_ceil(self.grains_per_period.max(1))
    }

    /// The grains that arrive in a time, rounded up.
    pub(crate) fn grains_in(&self, time: Duration) -> u64 {
        // In nanoseconds, below 2^94; a rate is below 2^53.
        let levels = time.as_nanos().saturating_mul(self.grains_per_period.into());
        let grains = levels.div_ceil(u128::from(self.period_us).saturating_mul(1_000).max(1));
        u64::try_from(grains).unwrap_or(u64::MAX)
    }
}

/// The grains of an amount, rounded down; below 2^94.
pub(crate) fn floor_grains(tokens: Tokens, nanos_per_grain: u128) -> u128 {
    tokens.to_nanos().checked_div(nanos_per_grain).unwrap_or(0)
}

pub(crate) fn check_places(places: u32) -> Result<u32, QuotaError> {
    if places > MAX_PLACES {
        return Err(QuotaError::UnitTooSmall { places, largest: MAX_PLACES });
    }
    Ok(places)
}

/// The decimal places of an amount.
pub(crate) fn places_of(tokens: Tokens) -> u32 {
    let nanos = tokens.subsec_nanos();
    (0..=MAX_PLACES)
        .find(|places| nanos.is_multiple_of(NANOS_PER_TOKEN / 10_u32.pow(*places)))
        .unwrap_or(MAX_PLACES)
}

/// At least 1 for numbers that are not 0.
fn greatest_common_divisor(mut one: u128, mut other: u128) -> u128 {
    while let Some(rest) = one.checked_rem(other) {
        (one, other) = (other, rest);
    }
    one
}

/// Above 64 bits it is too large in any case.
fn reduced(number: u128, divisor: u128) -> u64 {
    u64::try_from(number.checked_div(divisor).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scale(quota: &str) -> Scale {
        Scale::new(&quota.parse().unwrap(), 0, None).unwrap()
    }

    #[test]
    fn a_grain_is_the_coarsest_of_which_burst_and_rate_are_whole() {
        let numbers = |quota| {
            let scale = scale(quota);
            (scale.grains_per_token, scale.grains_per_period, scale.period_us)
        };
        assert_eq!(numbers("100/s"), (1, 1, 10_000));
        assert_eq!(numbers("7/h"), (1, 7, 3_600_000_000));
        assert_eq!(numbers("2.5/s burst 10"), (10, 1, 40_000));
        assert_eq!(numbers("3/s burst 0.25"), (100, 3, 10_000));
        assert_eq!(numbers("0.00000005/s burst 1"), (100_000_000, 1, 200_000));
        assert_eq!(numbers("1500000000/s"), (1, 1_500, 1));
        // A period that is no whole number of microseconds is exact, too.
        let odd = Quota::new(1, Duration::from_nanos(1_001));
        let odd = Scale::new(&odd, 0, None).unwrap();
        assert_eq!((odd.grains_per_period, odd.period_us), (1_000, 1_001));
    }

    #[test]
    fn a_cost_is_rounded_up_and_a_capacity_down() {
        let scale = Scale::new(&"10/s burst 2.55".parse().unwrap(), 0, Some(1)).unwrap();
        assert_eq!(scale.capacity_grains(), 25);
        assert_eq!(scale.grains(Tokens::decimal(101, 2)), 11);
        assert_eq!(scale.grains(Tokens::MAX), u64::MAX);
        assert_eq!(scale.tokens(25), Tokens::decimal(25, 1));
        assert_eq!(
            Scale::new(&"10/s burst 0.4".parse().unwrap(), 0, Some(0)),
            Err(QuotaError::ZeroBurst)
        );
    }

    #[test]
    fn a_smaller_bucket_is_never_larger_or_empty() {
        let scale = scale("100/s");
        assert_eq!(scale.with_capacity(100), Some(scale));
        assert_eq!(scale.with_capacity(99).map(|scale| scale.capacity_grains()), Some(99));
        assert_eq!(scale.with_capacity(101), None);
        assert_eq!(scale.with_capacity(0), None);
    }

    #[test]
    fn what_arrives_in_a_time_is_rounded_up() {
        let scale = scale("100/s");
        assert_eq!(scale.grains_in(Duration::from_secs(1)), 100);
        assert_eq!(scale.grains_in(Duration::from_millis(10)), 1);
        assert_eq!(scale.grains_in(Duration::from_nanos(10_000_001)), 2);
        assert_eq!(scale.grains_in(Duration::ZERO), 0);
        assert_eq!(scale.grains_in(Duration::MAX), u64::MAX);
    }

    #[test]
    fn what_fills_too_slowly_is_refused_and_debt_is_bounded_by_it() {
        let year = Duration::from_secs(365 * 86_400);
        let slow = |burst| Scale::new(&Quota::new(1, year).burst(burst), 0, None);
        assert!(matches!(slow(5), Err(QuotaError::FillTooSlow { .. })));
        assert_eq!(slow(4).unwrap().debt_grains, 0);
        assert_eq!(slow(1).unwrap().debt_grains, 3);
        assert_eq!(scale("10/s").debt_grains, 80);
    }

    proptest! {
        #[test]
        fn all_that_a_script_adds_up_is_below_2_to_53(
            tokens in 1_u64..1 << 40, period_ns in 1_u64..1 << 50, burst in 1_u64..1 << 45, places in 0_u32..10,
        ) {
            let quota = Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst);
            let Ok(scale) = Scale::new(&quota, 0, Some(places)) else { return Ok(()) };
            let span = u128::from(scale.capacity_grains() + scale.debt_grains);
            let largest = span * u128::from(scale.period_us()) + 2 * u128::from(scale.refill());
            prop_assert!(largest < u128::from(EXACT));
            prop_assert!(scale.full_level() - scale.lowest_level() <= (EXACT - 1).cast_signed());
        }

        #[test]
        fn a_wait_is_tight_on_both_sides(
            tokens in 1_u64..1 << 20, burst in 1_u64..1 << 20, part in 0_u64..=100, wanted in 0_u64..=100,
        ) {
            let quota = Quota::per_second(tokens).burst(burst);
            let scale = Scale::new(&quota, 0, None).unwrap();
            let level = scale.full_level() / 100 * i64::try_from(part).unwrap();
            let wanted = scale.level_of(burst * wanted / 100);
            let wait_us = i64::try_from(scale.wait_us(level, wanted)).unwrap();
            let refill = i64::try_from(scale.refill()).unwrap();
            prop_assert!(level + wait_us * refill >= wanted);
            prop_assert!(wait_us == 0 || level + (wait_us - 1) * refill < wanted);
        }
    }
}
