//! How one limiter divides its 64 bits between time and tokens.

use core::time::Duration;

use super::Rate;
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::{NANOS_PER_TOKEN, Tokens};

/// The bits of nanoseconds that a word's stamp spans: 2^59 ns are 18 years, and a stamp is read
/// right for half of that on either side.
pub(crate) const TIME_BITS: u32 = 59;

/// The bits of a word that are not time: a stamp in its place is the time shifted left by as many, with
/// the bits of mark and level cleared.
pub(crate) const SPARE_BITS: u32 = u64::BITS - TIME_BITS;

/// The longest time between two grants of a bucket, and the longest step back of a clock: half the range,
/// 9.1 years, less the longest tick, since a stamp is the start of its tick.
pub(crate) const LONGEST_IDLE_NS: u64 = (1 << (TIME_BITS - 1)) - (1 << MAX_TICK_SHIFT);

/// The longest time in which a bucket may fill from its deepest debt: 4.5 years, so that any bucket
/// idle for half the range is full.
pub(crate) const LONGEST_FILL_NS: u64 = 1 << (TIME_BITS - 2);

/// The coarsest tick: 2^44 ns, 4.9 hours, which leaves 15 bits of stamp and 48 of level.
pub(crate) const MAX_TICK_SHIFT: u32 = 44;

/// The most decimal places a unit can have, since an amount of tokens has no more.
pub(crate) const MAX_PLACES: u32 = 9;

/// A tick is at most this fraction of the time in which the bucket fills, where the bits allow it.
const TICKS_PER_FILL: u64 = 1024;

/// The bits of mark that tell two plans apart.
pub(crate) const MARK_OF_TWO: u32 = 1;

/// The bits of mark that tell apart the tiers of a keyed limiter.
pub(crate) const MARK_OF_MANY: u32 = 4;

/// Room for this many times the quota, so that a live change seldom meets the layout's limits; and, where keys
/// have tiers, so that other tiers seldom do.
const HEADROOM: [u64; 3] = [8, 2, 1];
const HEADROOM_FOR_TIERS: [u64; 4] = [64, 8, 2, 1];

/// Debt is unlike a capacity: no tier asks for more. By default there is room for this many capacities of it.
const DEBT_HEADROOM: u64 = 8;

/// How one limiter divides its 64 bits, chosen when it is built and fixed from then on.
///
/// ```text
///  63 ........ tick_shift + 5 | ............ | ......................... 0
///  stamp, in ticks            | mark         | level, in units, plus `zero`
///    59 - tick_shift bits     |  1 or 4 bits |   the rest
/// ```
///
/// * The **stamp** is a count of ticks of 2^`tick_shift` ns on the limiter's clock, modulo its width.
/// * The **level** is what the bucket held at that tick's *start*. The credit that has arrived since
///   is added on reading, to the nanosecond: the tick is where the level is counted from, not the
///   grain at which tokens arrive. So a level can be below the deepest debt by one tick of refill,
///   and `zero`, the pattern of level 0, leaves room for that.
/// * The **mark** tells which plan wrote the word. A direct limiter has two plans and one bit of mark, and
///   a word is read by the plan that it names, so that a change of quota is one swap. A keyed limiter has
///   as many plans as it has tiers, any of which may read the word; four bits tell whether it wrote it.
/// * The pattern with all level bits zero is below every level that can occur and marks a dead
///   bucket.
///
/// Since none of this depends on the quota in force, a changed quota reads the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// All but the stamp: 2^(`tick_shift` + 5) − 1.
    pub(crate) low_mask: u64,
    /// The bits of the mark, the highest of those.
    pub(crate) mark_mask: u64,
    /// The bits of the level: those below it.
    pub(crate) level_mask: u64,
    pub(crate) units_per_token: u64,
    /// The pattern of level 0. Levels below it are debt.
    pub(crate) zero: u64,
    pub(crate) debt_units: u64,
    pub(crate) largest_capacity_units: u64,
    pub(crate) largest_rate: Rate,
}

/// What a limiter must have room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) quota: Quota,
    /// The largest quota of its life, if the caller knows; otherwise some headroom is left.
    pub(crate) largest: Option<Quota>,
    pub(crate) debt: Option<Tokens>,
    pub(crate) places: Option<u32>,
    /// [`MARK_OF_TWO`] or [`MARK_OF_MANY`].
    pub(crate) mark_bits: u32,
}

impl Layout {
    /// The stamp for a time, in its place in the word. What it has no room for is shifted out.
    #[inline]
    pub(crate) fn stamp(&self, now_ns: u64) -> u64 {
        (now_ns << SPARE_BITS) & !self.low_mask
    }

    /// The nanoseconds between the start of the tick and `now_ns`.
    #[inline]
    pub(crate) fn in_tick_ns(&self, now_ns: u64) -> u64 {
        now_ns & self.tick_mask()
    }

    /// The nanoseconds within a tick.
    #[inline]
    pub(crate) fn tick_mask(&self) -> u64 {
        self.low_mask >> SPARE_BITS
    }

    /// Whether a word is to be read by the plan that its mark names.
    #[inline]
    pub(crate) fn mark_names_plan(&self) -> bool {
        self.mark_mask.is_power_of_two()
    }

    /// Whether a word holds no bucket: the pattern below every level.
    #[inline]
    pub(crate) fn is_gone(&self, word: u64) -> bool {
        word & self.level_mask == 0
    }

    /// The pattern of the deepest debt, as it can be read; what is stored can be one tick of refill
    /// lower.
    pub(crate) fn floor(&self) -> u64 {
        self.zero.wrapping_sub(self.debt_units)
    }

    pub(crate) fn unit(&self) -> Tokens {
        Tokens::from_units(1, self.units_per_token)
    }

    pub(crate) fn tick(&self) -> Duration {
        Duration::from_nanos(self.tick_mask().saturating_add(1))
    }

    /// Finds the layout with the finest unit, and for that unit the finest tick, that has room.
    ///
    /// Fine units make decimals exact, fine ticks keep the level when the quota changes; the bits
    /// are shared between them. The rule: a tick is at most 1/1024 of the time to fill, and the unit
    /// as fine as that allows. Only a bucket too large for this takes whole tokens and coarser ticks.
    pub(crate) fn choose(room: &Room) -> Result<Self, QuotaError> {
        room.quota.check()?;
        if let Some(largest) = room.largest {
            largest.check()?;
        }
        let tick_limit_shift = room.tick_limit_shift();
        let headrooms: &[u64] =
            if room.mark_bits == MARK_OF_TWO { &HEADROOM } else { &HEADROOM_FOR_TIERS };
        for &headroom in headrooms {
            if headroom > 1 && room.largest.is_some() {
                continue;
            }
            for places in room.places_to_try().rev() {
                if let Some(needs) = room.needs(headroom, places)
                    && let Some(layout) = needs.fit(0..=tick_limit_shift)
                {
                    return Ok(layout);
                }
            }
        }
        // Coarser ticks then; and no debt, if none was asked for.
        let without_debt = Room { debt: Some(room.debt.unwrap_or(Tokens::ZERO)), ..*room };
        [*room, without_debt]
            .iter()
            .filter_map(|room| room.needs(1, room.places.unwrap_or(0)))
            .find_map(|needs| needs.fit(tick_limit_shift..=MAX_TICK_SHIFT))
            .ok_or_else(|| without_debt.why_not())
    }
}

const fn level_bits(tick_shift: u32, mark_bits: u32) -> u32 {
    tick_shift + SPARE_BITS - mark_bits
}

impl Room {
    /// The decimal places a unit may have: what was asked for, or any.
    fn places_to_try(&self) -> core::ops::RangeInclusive<u32> {
        self.places.map_or(0..=MAX_PLACES, |places| places..=places)
    }

    fn tick_limit_shift(&self) -> u32 {
        let fill_ns = fill_ns(&self.quota, self.quota.capacity().to_nanos());
        let limit_ns = fill_ns / u128::from(TICKS_PER_FILL);
        limit_ns.max(1).ilog2().min(MAX_TICK_SHIFT)
    }

    /// What must have room, in units of this many decimal places.
    fn needs(&self, headroom: u64, places: u32) -> Option<Needs> {
        let units_per_token = 10_u64.checked_pow(places).filter(|_| places <= MAX_PLACES)?;
        let largest = self.largest.unwrap_or(self.quota);
        let capacity = self.quota.capacity().max(largest.capacity());
        let own_capacity_units = units_floor(capacity, units_per_token);
        let capacity_units = own_capacity_units.checked_mul(headroom.into())?;
        let (units, ns) = faster(&self.quota, &largest, units_per_token)?;
        let rate = Rate::from_ratio(units.checked_mul(headroom.into())?, ns)?;
        let debt_units = match self.debt {
            Some(debt) => debt.to_units_ceil(units_per_token).into(),
            None => own_capacity_units
                .checked_mul(headroom.min(DEBT_HEADROOM).into())?
                .min(self.affordable_debt_units(units_per_token)),
        };
        Some(Needs { units_per_token, capacity_units, debt_units, rate, mark_bits: self.mark_bits })
    }

    /// The debt that the quota repays within half of what a bucket may take to fill.
    fn affordable_debt_units(&self, units_per_token: u64) -> u128 {
        let nanos_per_token = u128::from(NANOS_PER_TOKEN);
        let in_longest_fill = u128::from(LONGEST_FILL_NS)
            .saturating_mul(self.quota.tokens().to_nanos())
            .checked_div(self.quota.period().as_nanos())
            .unwrap_or(0);
        let spare = in_longest_fill.saturating_sub(self.quota.capacity().to_nanos()) / 2;
        spare.saturating_mul(u128::from(units_per_token)) / nanos_per_token
    }

    /// Names the limit that `choose` ran into.
    fn why_not(&self) -> QuotaError {
        let largest_quota = self.largest.unwrap_or(self.quota);
        let fits = |room: &Self, places| {
            room.needs(1, places).is_some_and(|needs| needs.fit(0..=MAX_TICK_SHIFT).is_some())
        };
        if let Some(places) = self.places {
            let open = Self { places: None, ..*self };
            if let Some(most) = (0..=MAX_PLACES).rev().find(|places| fits(&open, *places)) {
                return QuotaError::UnitTooSmall { places, largest: most };
            }
        }
        let capacity = self.quota.capacity().max(largest_quota.capacity());
        let tokens = capacity.saturating_add(self.debt.unwrap_or(Tokens::ZERO));
        let tiny = Self {
            quota: self.quota.burst(1),
            largest: Some(largest_quota.burst(1)),
            debt: Some(Tokens::ZERO),
            places: Some(0),
            mark_bits: self.mark_bits,
        };
        if !fits(&tiny, 0) {
            return QuotaError::RateTooHigh {
                per_second: per_second(&self.quota).max(per_second(&largest_quota)).whole(),
                largest: crate::limits::HIGHEST_RATE_PER_SECOND >> (self.mark_bits - MARK_OF_TWO),
            };
        }
        // What is left of the widest level once one tick of refill is taken out.
        let rate = faster(&self.quota, &largest_quota, 1)
            .and_then(|rate| Rate::from_ratio(rate.0, rate.1));
        let tick_units = rate.map_or(0, |rate| (rate.raw() << MAX_TICK_SHIFT) >> 64);
        let room_units = (1_u128 << level_bits(MAX_TICK_SHIFT, self.mark_bits))
            .saturating_sub(tick_units)
            .saturating_sub(4);
        QuotaError::CapacityTooLarge {
            tokens,
            largest: Tokens::from_nanos_saturating(
                room_units.saturating_mul(NANOS_PER_TOKEN.into()),
            ),
        }
    }
}

/// What a word must have room for, in units.
struct Needs {
    units_per_token: u64,
    capacity_units: u128,
    debt_units: u128,
    rate: Rate,
    mark_bits: u32,
}

impl Needs {
    /// The layout with the finest of these ticks that leaves room for all levels.
    fn fit(&self, tick_shifts: core::ops::RangeInclusive<u32>) -> Option<Layout> {
        tick_shifts.into_iter().find_map(|tick_shift| self.fit_tick(tick_shift))
    }

    fn fit_tick(&self, tick_shift: u32) -> Option<Layout> {
        // rate × 2^tick_shift, of which the low 64 bits are fraction.
        let tick_units =
            self.rate.raw().checked_shr(64_u32.saturating_sub(tick_shift))?.checked_add(1)?;
        // One pattern, all zeros, is the dead mark.
        let zero = self.debt_units.checked_add(tick_units)?.checked_add(1)?;
        let patterns = zero.checked_add(self.capacity_units)?.checked_add(1)?;
        let level_bits = level_bits(tick_shift, self.mark_bits);
        if patterns > 1 << level_bits {
            return None;
        }
        let low_mask = (1_u64 << (tick_shift + SPARE_BITS)).wrapping_sub(1);
        let level_mask = (1_u64 << level_bits).wrapping_sub(1);
        Some(Layout {
            low_mask,
            mark_mask: low_mask & !level_mask,
            level_mask,
            units_per_token: self.units_per_token,
            zero: u64::try_from(zero).ok()?,
            debt_units: u64::try_from(self.debt_units).ok()?,
            largest_capacity_units: u64::try_from(self.capacity_units).ok()?,
            largest_rate: self.rate,
        })
    }
}

/// The quota's rate in units per nanosecond, as a ratio below 2^126 on both sides.
pub(crate) fn rate_ratio(quota: &Quota, units_per_token: u64) -> Option<(u128, u128)> {
    let nanos_per_unit = u128::from(NANOS_PER_TOKEN).checked_div(units_per_token.into())?;
    let denominator = nanos_per_unit.checked_mul(quota.period().as_nanos())?;
    (denominator != 0 && denominator < 1 << 126).then_some((quota.tokens().to_nanos(), denominator))
}

/// The larger of two rates.
fn faster(one: &Quota, other: &Quota, units_per_token: u64) -> Option<(u128, u128)> {
    if (one.tokens(), one.period()) == (other.tokens(), other.period()) {
        return rate_ratio(one, units_per_token);
    }
    let (one, other) = (rate_ratio(one, units_per_token)?, rate_ratio(other, units_per_token)?);
    let one_rate = Rate::from_ratio(one.0, one.1)?;
    let other_rate = Rate::from_ratio(other.0, other.1)?;
    Some(if one_rate.raw() >= other_rate.raw() { one } else { other })
}

/// A capacity is rounded down to whole units, so that it is never exceeded.
pub(crate) fn units_floor(tokens: Tokens, units_per_token: u64) -> u128 {
    tokens.to_nanos().saturating_mul(units_per_token.into()) / u128::from(NANOS_PER_TOKEN)
}

/// How long the quota takes to refill `nanos` billionths of a token, rounded up.
pub(crate) fn fill_ns(quota: &Quota, nanos: u128) -> u128 {
    nanos.saturating_mul(quota.period().as_nanos()).div_ceil(quota.tokens().to_nanos().max(1))
}

/// The quota's rate in tokens per second, rounded down to a billionth.
pub(crate) fn per_second(quota: &Quota) -> Tokens {
    let per_second_ns = quota.tokens().to_nanos().saturating_mul(1_000_000_000);
    let nanos = per_second_ns.checked_div(quota.period().as_nanos()).unwrap_or(u128::MAX);
    Tokens::from_nanos_saturating(nanos)
}
