//! The token bucket: a level that refills at a steady rate up to a capacity.
//!
//! The algorithm is the "token bucket meter" of network traffic policing; see for instance J. Turner,
//! "New directions in communications", IEEE Communications Magazine 24(10), 1986, and RFC 2697.

use super::layout::{
    HALF_RANGE_NS, LONGEST_FILL_NS, Layout, fill_ns, per_second, rate_ratio, units_floor,
};
use super::{Rate, Wait};
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// One quota, in a layout's units: all that a decision needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) rate: Rate,
    pub(crate) capacity_units: u64,
    /// After this long even a bucket in its deepest debt is full.
    pub(crate) full_after_ns: u64,
}

impl Plan {
    pub(crate) fn new(layout: &Layout, quota: &Quota) -> Result<Self, QuotaError> {
        quota.check()?;
        let above = |field, value, units: u64| QuotaError::AboveBuilt {
            field,
            value,
            largest: Tokens::from_units(units, layout.units_per_token),
        };
        let capacity_units = units_floor(quota.capacity(), layout.units_per_token);
        let capacity_units = u64::try_from(capacity_units)
            .ok()
            .filter(|units| *units <= layout.largest_capacity_units)
            .ok_or_else(|| above("burst", quota.capacity(), layout.largest_capacity_units))?;
        if capacity_units == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        let rate = rate_ratio(quota, layout.units_per_token)
            .and_then(|(units, ns)| Rate::from_ratio(units, ns))
            .filter(|rate| rate.raw() <= layout.largest_rate.raw())
            .ok_or_else(|| {
                let largest = (layout.largest_rate.raw().saturating_mul(1_000_000_000)) >> 64;
                let largest = u64::try_from(largest).unwrap_or(u64::MAX);
                above("rate per second", Tokens::new(per_second(quota)), largest)
            })?;
        // From the lowest pattern to full, with a nanosecond for the phase.
        let lowest_to_full = layout.zero.saturating_add(capacity_units);
        let full_after_ns = rate.time_to_credit(0, lowest_to_full).saturating_add(1);
        if full_after_ns > LONGEST_FILL_NS {
            let tokens = Tokens::from_units(lowest_to_full, layout.units_per_token);
            let seconds = fill_ns(quota, tokens.to_nanos()).div_ceil(1_000_000_000);
            return Err(QuotaError::FillTooSlow {
                seconds: u64::try_from(seconds).unwrap_or(u64::MAX),
            });
        }
        Ok(Self { rate, capacity_units, full_after_ns })
    }

    /// Tells whether `units` arrive in a microsecond (1,024 ns).
    #[inline]
    pub(crate) fn refills_in_a_microsecond(&self, units: u64) -> bool {
        units <= self.rate.credit(0, 1_024)
    }
}

/// What a word says at some time: the level then, and how to write a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The level, not above the capacity, plus `Layout::zero`.
    pub(crate) level: u64,
    /// The tick a new level would be stamped with.
    pub(crate) tick: u64,
    /// That tick's start, and the credit between it and now.
    pub(crate) tick_start_ns: u64,
    pub(crate) in_tick_units: u64,
    /// The start of the stored tick, and the level there.
    pub(crate) stored_from_ns: u64,
    pub(crate) stored_level: u64,
    /// The stored stamp is the present tick and the level was not cut to the capacity.
    in_place: bool,
}

/// The word after a decision, and what it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) word: u64,
    pub(crate) level: u64,
}

impl Layout {
    /// The word of a bucket that holds `level` (plus `zero`) at `now_ns`.
    pub(crate) fn word_at(&self, plan: &Plan, now_ns: u64, level: u64) -> u64 {
        let in_tick_ns = now_ns & self.in_tick_mask();
        let in_tick_units = plan.rate.credit(now_ns.wrapping_sub(in_tick_ns), in_tick_ns);
        self.pack(now_ns >> self.tick_shift, level.wrapping_sub(in_tick_units))
    }

    /// Reads the level at `now_ns`.
    ///
    /// Time is modular with a half-range rule: a stamp that seems to be more than half the range in
    /// the past is in the future (another thread stored a later time, or the clock went back).
    /// Nothing is credited then and the stamp stays.
    #[inline]
    pub(crate) fn read(&self, plan: &Plan, word: u64, now_ns: u64) -> Reading {
        let capacity = self.zero.wrapping_add(plan.capacity_units);
        let tick = now_ns >> self.tick_shift;
        let in_tick_ns = now_ns & self.in_tick_mask();
        let tick_start_ns = now_ns.wrapping_sub(in_tick_ns);
        let in_tick_units = plan.rate.credit(tick_start_ns, in_tick_ns);

        let stored_level = word & self.level_mask();
        // Modular: see above.
        let ticks_since = tick.wrapping_sub(word >> self.level_bits()) & self.tick_mask();
        if ticks_since == 0 {
            let level = stored_level.wrapping_add(in_tick_units);
            return Reading {
                level: level.min(capacity),
                tick,
                tick_start_ns,
                in_tick_units,
                stored_from_ns: tick_start_ns,
                stored_level,
                in_place: level <= capacity,
            };
        }
        self.read_from_other_tick(
            plan,
            capacity,
            tick,
            tick_start_ns,
            in_tick_units,
            stored_level,
            ticks_since,
        )
    }

    #[inline]
    #[allow(clippy::too_many_arguments)] // The parts of `read`, split where the fast path ends.
    fn read_from_other_tick(
        &self,
        plan: &Plan,
        capacity: u64,
        tick: u64,
        tick_start_ns: u64,
        in_tick_units: u64,
        stored_level: u64,
        ticks_since: u64,
    ) -> Reading {
        // Below 2^59: a count of ticks times their length.
        let since_ns = ticks_since << self.tick_shift;
        if since_ns >= HALF_RANGE_NS && !crate::planted::wrapping_elapsed() {
            // The stamp is ahead by the rest of the range.
            let ahead = self.tick_mask().wrapping_add(1).wrapping_sub(ticks_since);
            let stored_from_ns = tick_start_ns.wrapping_add(ahead << self.tick_shift);
            return Reading {
                level: stored_level.min(capacity),
                tick: tick.wrapping_add(ahead),
                tick_start_ns: stored_from_ns,
                in_tick_units: 0,
                stored_from_ns,
                stored_level,
                in_place: stored_level <= capacity,
            };
        }
        let stored_from_ns = tick_start_ns.wrapping_sub(since_ns);
        let level = if since_ns >= plan.full_after_ns {
            capacity
        } else {
            // At most what fills the deepest debt plus a tick: no overflow. Credit telescopes.
            let to_tick_start = plan.rate.credit(stored_from_ns, since_ns);
            stored_level.wrapping_add(to_tick_start).wrapping_add(in_tick_units).min(capacity)
        };
        Reading {
            level,
            tick,
            tick_start_ns,
            in_tick_units,
            stored_from_ns,
            stored_level,
            in_place: false,
        }
    }

    /// Writes the level of a reading: the same word if nothing changed but the time.
    #[inline]
    pub(crate) fn store(&self, reading: &Reading, level: u64) -> u64 {
        self.pack(reading.tick, level.wrapping_sub(reading.in_tick_units))
    }

    /// Takes `cost_units` if the word holds them at `now_ns`. `cost_units` is not above the capacity.
    #[inline]
    pub(crate) fn take(
        &self,
        plan: &Plan,
        word: u64,
        now_ns: u64,
        cost_units: u64,
    ) -> Result<(Taken, Reading), Reading> {
        let reading = self.read(plan, word, now_ns);
        if reading.level < self.zero.wrapping_add(cost_units) {
            return Err(reading);
        }
        let level = reading.level.wrapping_sub(cost_units);
        // Within a tick the stamp and the credit stay as they are, and the new word is the old one
        // less the cost: one subtraction between the load and the compare-and-swap.
        let word = if reading.in_place {
            word.wrapping_sub(cost_units)
        } else {
            self.store(&reading, level)
        };
        Ok((Taken { word, level }, reading))
    }

    /// When a level read as `reading` will be `level`, if nothing is taken.
    #[inline]
    pub(crate) fn wait_unused(
        &self,
        plan: &Plan,
        reading: &Reading,
        now_ns: u64,
        level: u64,
    ) -> Wait {
        Wait {
            rate: plan.rate,
            from_ns: reading.stored_from_ns,
            units: level.saturating_sub(reading.stored_level),
            now_ns,
        }
    }

    /// When a bucket that was read as `reading` and left at `left` will be full.
    #[inline]
    pub(crate) fn wait_full(&self, plan: &Plan, reading: &Reading, now_ns: u64, left: u64) -> Wait {
        let stored = left.wrapping_sub(reading.in_tick_units);
        Wait {
            rate: plan.rate,
            from_ns: reading.tick_start_ns,
            units: self.zero.wrapping_add(plan.capacity_units).saturating_sub(stored),
            now_ns,
        }
    }

    /// Reads the level under one plan so that it can be stored under another.
    pub(crate) fn read_to_restate(
        &self,
        old: &Plan,
        new: &Plan,
        word: u64,
        now_ns: u64,
    ) -> Reading {
        let reading = self.read(old, word, now_ns);
        let in_tick_ns = now_ns.wrapping_sub(reading.tick_start_ns);
        // A stamp in the future is a tick's start with nothing credited since.
        let in_tick_units = if in_tick_ns <= self.in_tick_mask() {
            new.rate.credit(reading.tick_start_ns, in_tick_ns)
        } else {
            0
        };
        Reading { in_tick_units, ..reading }
    }
}
