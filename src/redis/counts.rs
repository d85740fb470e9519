//! A limit per window in whole numbers that a script can count with: see [`Scale`](super::scale::Scale).

use super::scale::{EXACT, check_places, floor_grains, places_of};
use crate::algorithm::{PerPeriod, Start};
use crate::error::QuotaError;
use crate::tokens::{NANOS_PER_TOKEN, Tokens};

/// A limit per window, counted in grains and microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    grains_per_token: u64,
    limit_grains: u64,
    /// The most that is counted in a window: what does not fit is forgotten.
    largest_grains: u64,
    period_us: u64,
    windows: Windows,
}

/// Which windows, and which of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Windows {
    /// At multiples of the period since 1970: the present one counts.
    Aligned,
    /// From the first call on after the one before.
    FromFirstCall,
    /// As `Aligned`, and the one before counts for what a sliding window would still cover of it.
    Weighed,
}

/// What is counted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) start_us: u64,
    pub(crate) count: u64,
    /// In the window before.
    pub(crate) before: u64,
}

impl Counts {
    /// Counts in grains of 10^-`places` tokens, or of the coarsest decimal part of a token of which the limit is a whole number.
    pub(crate) fn new(
        per: &PerPeriod,
        weighs: bool,
        places: Option<u32>,
    ) -> Result<Self, QuotaError> {
        per.check()?;
        let period_ns = per.period.as_nanos();
        if !period_ns.is_multiple_of(1_000) {
            return Err(QuotaError::PeriodTooFine { period: per.period });
        }
        // A window is not longer than 4.5 years.
        let period_us = u64::try_from(period_ns / 1_000).unwrap_or(u64::MAX);
        let places = match places {
            Some(places) => check_places(places)?,
            None => places_of(per.limit),
        };
        let grains_per_token = 10_u64.pow(places);
        let windows = match (weighs, per.start) {
            (true, _) => Windows::Weighed,
            (false, Start::FirstCall) => Windows::FromFirstCall,
            (false, Start::Aligned { .. }) => Windows::Aligned,
        };
        // A weight is a count times a part of the period.
        let factor = if weighs { period_us } else { 1 };
        let largest_grains = (EXACT / 2).checked_div(factor).unwrap_or(0).saturating_sub(1);
        // A billion is a multiple of it.
        let nanos_per_grain = u128::from(u64::from(NANOS_PER_TOKEN) / grains_per_token);
        let limit_grains = floor_grains(per.limit, nanos_per_grain);
        if limit_grains > largest_grains.into() {
            return Err(QuotaError::AboveExact {
                field: "limit",
                value: per.limit,
                largest: Tokens::from_units(largest_grains, grains_per_token),
            });
        }
        if limit_grains == 0 {
            return Err(QuotaError::ZeroLimit { limit: per.limit });
        }
        let limit_grains = u64::try_from(limit_grains).unwrap_or(u64::MAX);
        Ok(Self { grains_per_token, limit_grains, largest_grains, period_us, windows })
    }

    pub(crate) fn windows(&self) -> Windows {
        self.windows
    }

    pub(crate) fn grains_per_token(&self) -> u64 {
        self.grains_per_token
    }

    pub(crate) fn places(&self) -> u32 {
        self.grains_per_token.ilog10()
    }

    pub(crate) fn limit_grains(&self) -> u64 {
        self.limit_grains
    }

    pub(crate) fn largest_grains(&self) -> u64 {
        self.largest_grains
    }

    pub(crate) fn period_us(&self) -> u64 {
        self.period_us
    }

    /// The grains that one call could take.
    pub(crate) fn available(&self, counted: &Counted, now_us: u64) -> u64 {
        let rest_us = self.period_us.saturating_sub(now_us.saturating_sub(counted.start_us));
        let weight = u128::from(counted.before).saturating_mul(rest_us.into());
        let weight = weight.div_ceil(u128::from(self.period_us).max(1));
        let weight = u64::try_from(weight).unwrap_or(u64::MAX);
        self.limit_grains.saturating_sub(counted.count.saturating_add(weight))
    }

    /// How long until `wanted` grains, which are not above the limit, can be had: exactly.
    pub(crate) fn wait_us(&self, counted: &Counted, now_us: u64, wanted: u64) -> u64 {
        // In this window, when the weight of the one before has gone down; else in the next one, where this one's count is what
        // weighs.
        let room = self.limit_grains.checked_sub(counted.count);
        let at_us = if let Some(room) = room.and_then(|room| room.checked_sub(wanted)) {
            counted.start_us.saturating_add(self.until_weighs(counted.before, room))
        } else {
            let next_us = counted.start_us.saturating_add(self.period_us);
            let room = self.limit_grains.saturating_sub(wanted);
            let weighs = self.windows == Windows::Weighed;
            let count = if weighs { counted.count } else { 0 };
            next_us.saturating_add(self.until_weighs(count, room))
        };
        // A clock that went back stands still until the window starts.
        if at_us <= now_us.max(counted.start_us) { 0 } else { at_us.saturating_sub(now_us) }
    }

    /// How long until nothing counts.
    pub(crate) fn full_us(&self, counted: &Counted, now_us: u64) -> u64 {
        let windows = match (counted.count > 0, counted.before > 0) {
            (true, _) if self.windows == Windows::Weighed => 2,
            (false, false) => return 0,
            _ => 1,
        };
        let end_us = counted.start_us.saturating_add(self.period_us.saturating_mul(windows));
        end_us.saturating_sub(now_us)
    }

    /// After how much of a window the weight of `before` leaves room for `room`.
    fn until_weighs(&self, before: u64, room: u64) -> u64 {
        if before <= room {
            return 0;
        }
        // before × (period − elapsed) ≤ room × period
        let rest = u128::from(room).saturating_mul(self.period_us.into());
        let rest = rest.checked_div(before.into()).unwrap_or(0);
        self.period_us.saturating_sub(u64::try_from(rest).unwrap_or(u64::MAX))
    }
}
