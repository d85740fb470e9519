//! What is counted by windows of time: a fixed window, and two whose counts are weighed.
//!
//! The fixed window is the plain counter of, for instance, GitHub's hourly API limits. The sliding counter is the
//! approximation that Cloudflare described in "How we built rate limiting capable of scaling to millions of
//! domains" (2017): the window before counts for the part of it that a sliding window would still cover.

use core::time::Duration;

use super::layout::{LONGEST_IDLE_NS, units_floor};
use super::{Closeness, Rules, Unused, Wait};
use crate::error::QuotaError;
use crate::tokens::Tokens;

/// A limit per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerPeriod {
    pub(crate) limit: Tokens,
    pub(crate) period: Duration,
    pub(crate) start: Start,
}

/// Where windows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At multiples of the period, counted from so long before the clock's zero.
    Aligned { offset_ns: u64 },
    /// With the first call that finds the window before over.
    FirstCall,
}

/// How windows lie in a word, chosen when a limiter is built.
///
/// ```text
///  63 ....................... | .............. | .............. | 0
///  index of the window,       | count of the   | count          | 1
///  modulo its width           | window before  |                |
/// ```
///
/// * The **index** is the number of the window since the clock's zero, or, where a window starts with its first
///   call, that call's tick. More than half its range behind is ahead. The range is 18 years at least.
/// * The **counts** are in units, below 2^`count_bits`. A fixed window has one.
/// * The lowest bit is 0 in a word that holds no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    period_ns: u64,
    offset_ns: u64,
    /// floor(2^64 / `period_ns`), so that a division is a multiplication.
    reciprocal: u64,
    count_bits: u32,
    /// The bits below the index.
    index_shift: u32,
    /// The tick of a window's start; `None` where windows are aligned.
    tick_shift: Option<u32>,
    /// So many ticks a window lasts that starts in the tick of its first call; in the index's place.
    ticks: u64,
    /// Whether the window before counts, too.
    weighs: bool,
    units_per_token: u64,
}

/// A limit in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    limit_units: u64,
}

/// What a word says at some time.
#[derive(Clone, Copy, Debug)]
pub struct WindowReading {
    now_ns: u64,
    /// Since the present window's start.
    elapsed_ns: u64,
    /// Until a call counts into the window of the word: that lies ahead, and nothing can be had.
    until_ns: u64,
    /// Until the present window, or the word's, is over.
    rest_ns: u64,
    /// The index of the present window, or of the word's, in its place.
    index: u64,
    /// The counts of the present window and of the one before.
    count: u64,
    before: u64,
}

const ALIVE: u64 = 1;
const ALIVE_BITS: u32 = 1;

/// A window that starts with its first call lasts for whole ticks, of which up to two are too many. There are so many
/// in a period, if there is room for that, and so many at least.
const TICKS_PER_PERIOD: u64 = 4_096;
const LEAST_TICKS_PER_PERIOD: u64 = 64;

impl Windows {
    /// The layout with the finest unit that has room for this limit, and, so that it can be raised later, for eight
    /// times as much if possible.
    pub(crate) fn choose(per: &PerPeriod, weighs: bool) -> Result<Self, QuotaError> {
        per.check()?;
        let period_ns = u64::try_from(per.period.as_nanos()).unwrap_or(u64::MAX);
        let fits = |headroom: u128, least_ticks: u64, places: u32| {
            let units_per_token = 10_u64.checked_pow(places)?;
            let units = units_floor(per.limit, units_per_token).checked_mul(headroom)?;
            if units == 0 {
                return None;
            }
            let count_bits = u128::BITS.saturating_sub(units.leading_zeros());
            Self::fit(per, period_ns, least_ticks, weighs, count_bits, units_per_token)
        };
        let wishes =
            [(8, TICKS_PER_PERIOD), (8, LEAST_TICKS_PER_PERIOD), (1, LEAST_TICKS_PER_PERIOD)];
        for (headroom, least_ticks) in wishes {
            let finest = (0..=9).rev().find_map(|places| fits(headroom, least_ticks, places));
            if let Some(windows) = finest {
                return Ok(windows);
            }
        }
        let most_bits = (1..u64::BITS).rev().find(|bits| {
            Self::fit(per, period_ns, LEAST_TICKS_PER_PERIOD, weighs, *bits, 1).is_some()
        });
        let largest = most_bits.map_or(0, |bits| (1_u64 << bits).wrapping_sub(1));
        if per.limit < 1 && largest > 0 {
            return Err(QuotaError::ZeroLimit { limit: per.limit });
        }
        let largest = Tokens::new(largest);
        Err(QuotaError::LimitTooLarge { limit: per.limit, period: per.period, largest })
    }

    fn fit(
        per: &PerPeriod,
        period_ns: u64,
        least_ticks: u64,
        weighs: bool,
        count_bits: u32,
        units_per_token: u64,
    ) -> Option<Self> {
        let counts = if weighs { 2 } else { 1 };
        let index_bits =
            u64::BITS.checked_sub(ALIVE_BITS)?.checked_sub(count_bits.checked_mul(counts)?)?;
        // The ticks, or windows, in half the range, less one: from within the first to within the last.
        let half = 1_u128.checked_shl(index_bits.checked_sub(1)?)?.checked_sub(1)?;
        if half == 0 {
            return None;
        }
        let needed_ns = u128::from(LONGEST_IDLE_NS);
        let (offset_ns, tick_shift) = match per.start {
            Start::Aligned { offset_ns } => (offset_ns, None),
            Start::FirstCall => {
                // What is stored is the start, and the last grant may be a period after it.
                let needed_ns = needed_ns.saturating_add(period_ns.into());
                let tick_shift = needed_ns.div_ceil(half).max(1).next_power_of_two().ilog2();
                (0, Some(tick_shift))
            }
        };
        let has_range = match tick_shift {
            None => half.saturating_mul(period_ns.into()) >= needed_ns,
            Some(shift) => period_ns >> shift >= least_ticks,
        };
        // For a period of 1 ns, of which 2^64 / 1 does not fit, one less will do.
        let reciprocal = u64::try_from((1_u128 << 64).checked_div(period_ns.into())?);
        let reciprocal = reciprocal.unwrap_or(u64::MAX);
        let index_shift = u64::BITS.checked_sub(index_bits)?;
        // Its first call may come at the end of its first tick: one more, so that it is never too short.
        let tick_ns = 1_u64.checked_shl(tick_shift.unwrap_or(0))?;
        let ticks = period_ns.div_ceil(tick_ns).saturating_add(1);
        has_range.then_some(Self {
            period_ns,
            offset_ns,
            reciprocal,
            count_bits,
            index_shift,
            tick_shift,
            ticks: if tick_shift.is_some() { ticks.checked_shl(index_shift)? } else { 0 },
            weighs,
            units_per_token,
        })
    }

    #[inline]
    fn count_mask(&self) -> u64 {
        (1_u64 << self.count_bits).wrapping_sub(1)
    }

    #[inline]
    fn count(&self, word: u64) -> u64 {
        (word >> ALIVE_BITS) & self.count_mask()
    }

    #[inline]
    fn before(&self, word: u64) -> u64 {
        if !self.weighs {
            return 0;
        }
        (word >> (ALIVE_BITS.wrapping_add(self.count_bits))) & self.count_mask()
    }

    /// The number of the aligned window of `now_ns`, and what has passed of it.
    #[inline]
    fn window(&self, now_ns: u64) -> (u64, u64) {
        let (number, elapsed_ns) = self.window_or_one_less(now_ns);
        if elapsed_ns < self.period_ns {
            (number, elapsed_ns)
        } else {
            (number.wrapping_add(1), elapsed_ns.wrapping_sub(self.period_ns))
        }
    }

    /// The same, or the number before it, of whose window more than all has passed: the reciprocal is rounded down.
    #[inline]
    fn window_or_one_less(&self, now_ns: u64) -> (u64, u64) {
        let since_ns = now_ns.wrapping_add(self.offset_ns);
        let product = u128::from(since_ns).wrapping_mul(self.reciprocal.into());
        // The high half fits.
        #[allow(clippy::cast_possible_truncation)]
        let number = (product >> 64) as u64;
        (number, since_ns.wrapping_sub(number.wrapping_mul(self.period_ns)))
    }

    /// The word with a count added, in the window of a reading.
    #[inline]
    fn store(&self, reading: &WindowReading, count: u64) -> u64 {
        let mut word = reading.index | (count << ALIVE_BITS) | ALIVE;
        if self.weighs {
            word |= reading.before << (ALIVE_BITS.wrapping_add(self.count_bits));
        }
        word
    }

    /// Whether what still counts of `before`, that much of a window later, is at most `room`: exactly.
    #[inline(always)]
    fn weighs_at_most(&self, before: u64, elapsed_ns: u64, room: u64) -> bool {
        if before == 0 {
            return true;
        }
        let rest_ns = self.period_ns.wrapping_sub(elapsed_ns);
        u128::from(before).wrapping_mul(rest_ns.into())
            <= u128::from(room).wrapping_mul(self.period_ns.into())
    }

    /// What of the window before still counts, rounded up.
    #[inline]
    fn weighed(&self, reading: &WindowReading) -> u64 {
        if reading.before == 0 {
            return 0;
        }
        let rest_ns = self.period_ns.wrapping_sub(reading.elapsed_ns);
        let weighed = u128::from(reading.before).wrapping_mul(rest_ns.into());
        // At most `before`.
        let weighed = weighed.div_ceil(u128::from(self.period_ns).max(1));
        u64::try_from(weighed).unwrap_or(u64::MAX)
    }

    fn used(&self, reading: &WindowReading) -> u64 {
        reading.count.saturating_add(self.weighed(reading))
    }

    /// The word of the window of `now_ns`, in which nothing is counted.
    fn empty(&self, now_ns: u64) -> u64 {
        let number = match self.tick_shift {
            Some(tick_shift) => now_ns >> tick_shift,
            None => self.window(now_ns).0,
        };
        number << self.index_shift | ALIVE
    }

    fn read_aligned(&self, word: u64, now_ns: u64) -> WindowReading {
        let shift = self.index_shift;
        let (number, elapsed_ns) = self.window(now_ns);
        let index = number << shift;
        let stored = word >> shift << shift;
        // Modular, in the index's place: the top bit tells what is ahead.
        let behind = index.wrapping_sub(stored);
        let at = |index, count, before| WindowReading {
            now_ns,
            elapsed_ns,
            until_ns: 0,
            rest_ns: self.period_ns.wrapping_sub(elapsed_ns),
            index,
            count,
            before,
        };
        if behind == 0 {
            return at(index, self.count(word), self.before(word));
        }
        let is_ahead = behind > u64::MAX / 2;
        if is_ahead && !crate::planted::count_in_a_past_window() {
            let ahead = behind.wrapping_neg() >> shift;
            let until_ns = ahead.saturating_mul(self.period_ns).saturating_sub(elapsed_ns);
            let ahead = at(stored, self.count(word), self.before(word));
            let rest_ns = until_ns.saturating_add(self.period_ns);
            return WindowReading { until_ns, elapsed_ns: 0, rest_ns, ..ahead };
        }
        let carries = self.weighs && !crate::planted::forget_the_window_before();
        let before = if behind >> shift == 1 && carries { self.count(word) } else { 0 };
        at(index, 0, before)
    }

    /// A window lasts from the start of the tick of its first call for whole ticks, so that every time belongs to one
    /// window, whoever asks.
    fn read_from_first(&self, word: u64, now_ns: u64, tick_shift: u32) -> WindowReading {
        let shift = self.index_shift;
        let index = now_ns >> tick_shift << shift;
        let stored = word >> shift << shift;
        let in_tick_ns = now_ns & (1_u64 << tick_shift).wrapping_sub(1);
        let fresh = WindowReading {
            now_ns,
            elapsed_ns: in_tick_ns,
            until_ns: 0,
            rest_ns: 0,
            index,
            count: 0,
            before: 0,
        };
        let behind = index.wrapping_sub(stored);
        let stored = WindowReading { index: stored, count: self.count(word), ..fresh };
        // Ahead even if nothing is counted in it: a window before it was, and is forgotten.
        if behind > u64::MAX / 2 {
            if crate::planted::count_in_a_past_window() {
                return fresh;
            }
            let ahead_ns = (behind.wrapping_neg() >> shift) << tick_shift;
            let until_ns = ahead_ns.wrapping_sub(in_tick_ns);
            let rest_ns = until_ns.saturating_add(self.length_ns());
            return WindowReading { elapsed_ns: 0, until_ns, rest_ns, ..stored };
        }
        if stored.count == 0 || behind >= self.ticks {
            return fresh;
        }
        let elapsed_ns = ((behind >> shift) << tick_shift).wrapping_add(in_tick_ns);
        let rest_ns = self.length_ns().saturating_sub(elapsed_ns);
        WindowReading { elapsed_ns, rest_ns, ..stored }
    }

    fn length_ns(&self) -> u64 {
        match self.tick_shift {
            Some(tick_shift) => (self.ticks >> self.index_shift) << tick_shift,
            None => self.period_ns,
        }
    }

    /// How long until `wanted` is held.
    fn wait_ns(&self, plan: &WindowPlan, reading: &WindowReading, wanted: u64) -> u64 {
        // In this window, when the weight of the one before has gone down; else in the next one, where this one's
        // count is what weighs.
        let room = plan.limit_units.checked_sub(reading.count);
        if let Some(room) = room.and_then(|room| room.checked_sub(wanted)) {
            let elapsed_ns = self.until_weighs(reading.before, room);
            return reading.until_ns.saturating_add(elapsed_ns.saturating_sub(reading.elapsed_ns));
        }
        if !self.weighs {
            return reading.rest_ns;
        }
        let room = plan.limit_units.saturating_sub(wanted);
        reading.rest_ns.saturating_add(self.until_weighs(reading.count, room))
    }

    /// After how much of a window its weight for `before` leaves room for `room` units: exactly.
    fn until_weighs(&self, before: u64, room: u64) -> u64 {
        if before <= room {
            return 0;
        }
        // before × (period − elapsed) ≤ room × period
        let rest = u128::from(room).wrapping_mul(self.period_ns.into()) / u128::from(before).max(1);
        self.period_ns.saturating_sub(u64::try_from(rest).unwrap_or(u64::MAX))
    }
}

impl PerPeriod {
    /// In windows that begin at multiples of the period.
    pub(crate) fn new(limit: Tokens, period: Duration) -> Self {
        Self { limit, period, start: Start::Aligned { offset_ns: 0 } }
    }

    /// The same, on a clock that showed zero so long after 1970.
    pub(crate) fn since_1970(self, zero_at_unix_ns: u64) -> Self {
        let Start::Aligned { offset_ns } = self.start else { return self };
        let period_ns = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        // A period of 0 is refused later.
        let since_ns = zero_at_unix_ns.checked_rem(period_ns).unwrap_or(0);
        Self { start: Start::Aligned { offset_ns: offset_ns.wrapping_add(since_ns) }, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), QuotaError> {
        if self.limit.is_zero() {
            return Err(QuotaError::ZeroLimit { limit: self.limit });
        }
        if self.period.is_zero() {
            return Err(QuotaError::ZeroPeriod);
        }
        if self.period > crate::limits::LONGEST_FILL {
            return Err(QuotaError::PeriodTooLong { period: self.period });
        }
        Ok(())
    }
}

impl Rules for Windows {
    type Config = PerPeriod;
    type Plan = WindowPlan;
    type Reading = WindowReading;

    /// The limit may change; where windows begin and end may not.
    fn plan(&self, per: &PerPeriod) -> Result<WindowPlan, QuotaError> {
        per.check()?;
        if per.period.as_nanos() != self.period_ns.into() {
            return Err(QuotaError::PeriodChanged {
                period: per.period,
                built: Duration::from_nanos(self.period_ns),
            });
        }
        let from_first_call = per.start == Start::FirstCall;
        if from_first_call != self.tick_shift.is_some() {
            return Err(QuotaError::StartChanged { from_first_call });
        }
        let largest = self.count_mask();
        let limit_units = u64::try_from(units_floor(per.limit, self.units_per_token))
            .ok()
            .filter(|units| *units <= largest)
            .ok_or_else(|| QuotaError::AboveBuilt {
                field: "limit",
                value: per.limit,
                largest: Tokens::from_units(largest, self.units_per_token),
            })?;
        if limit_units == 0 {
            return Err(QuotaError::ZeroLimit { limit: per.limit });
        }
        Ok(WindowPlan { limit_units })
    }

    fn plan_words(plan: &WindowPlan) -> [u64; 5] {
        [plan.limit_units, 0, 0, 0, 0]
    }

    #[inline]
    fn plan_from_words([limit_units, ..]: [u64; 5]) -> WindowPlan {
        WindowPlan { limit_units }
    }

    fn config_words(per: &PerPeriod) -> [u64; 5] {
        let billionths =
            (u64::from(per.limit.subsec_nanos()) << 32) | u64::from(per.period.subsec_nanos());
        // What a window is counted from is the layout's, and nothing that a caller sets.
        let is_aligned = u64::from(per.start != Start::FirstCall);
        [per.limit.whole(), per.period.as_secs(), billionths, is_aligned, 0]
    }

    fn config_from_words([whole, secs, billionths, is_aligned, _]: [u64; 5]) -> PerPeriod {
        let limit = Tokens::new(whole).saturating_add(Tokens::decimal(billionths >> 32, 9));
        let nanos = Duration::from_nanos(billionths & u64::from(u32::MAX));
        PerPeriod {
            limit,
            period: Duration::from_secs(secs).saturating_add(nanos),
            start: if is_aligned == 0 { Start::FirstCall } else { Start::Aligned { offset_ns: 0 } },
        }
    }

    fn window(per: &PerPeriod) -> Duration {
        per.period
    }

    #[inline]
    fn units_per_token(&self) -> u64 {
        self.units_per_token
    }

    #[inline]
    fn capacity_units(&self, plan: &WindowPlan) -> u64 {
        plan.limit_units
    }

    #[inline]
    fn is_gone(&self, word: u64) -> bool {
        word & ALIVE == 0
    }

    fn fresh(&self, _plan: &WindowPlan, now_ns: u64) -> u64 {
        self.empty(now_ns)
    }

    #[inline]
    fn read(&self, _plan: &WindowPlan, word: u64, now_ns: u64) -> WindowReading {
        match self.tick_shift {
            Some(tick_shift) => self.read_from_first(word, now_ns, tick_shift),
            None => self.read_aligned(word, now_ns),
        }
    }

    #[inline]
    fn holds(&self, plan: &WindowPlan, reading: &WindowReading, wanted: u64) -> bool {
        let Some(room) = plan.limit_units.checked_sub(reading.count) else { return false };
        let Some(room) = room.checked_sub(wanted) else { return false };
        if reading.until_ns > 0 {
            return false;
        }
        self.weighs_at_most(reading.before, reading.elapsed_ns, room)
    }

    #[inline]
    fn take(&self, _plan: &WindowPlan, reading: &WindowReading, wanted: u64) -> u64 {
        // At most the limit, which a count has room for.
        self.store(reading, reading.count.wrapping_add(wanted))
    }

    /// In the window in which it was taken, or, while that one weighs, in the one after it; later nothing is owed.
    fn take_back(
        &self,
        _plan: &WindowPlan,
        reading: &WindowReading,
        left: u64,
        units: Unused,
    ) -> Option<u64> {
        let unused = units.taken.saturating_sub(units.keep);
        let index = left >> self.index_shift << self.index_shift;
        // Modular, in the index's place.
        match reading.index.wrapping_sub(index) >> self.index_shift {
            0 => Some(self.store(reading, reading.count.saturating_sub(unused))),
            1 if self.weighs => {
                let before = reading.before.saturating_sub(unused);
                Some(self.store(&WindowReading { before, ..*reading }, reading.count))
            }
            _ => None,
        }
    }

    /// Above the limit, as far as words can count: it is forgotten with its window.
    fn charge(&self, _plan: &WindowPlan, reading: &WindowReading, units: u64) -> (u64, u64) {
        let taken = units.min(self.count_mask().saturating_sub(reading.count));
        (self.store(reading, reading.count.saturating_add(taken)), taken)
    }

    /// What was counted in a window that is over is not given back.
    fn give(&self, _plan: &WindowPlan, reading: &WindowReading, units: u64) -> u64 {
        self.store(reading, reading.count.saturating_sub(units))
    }

    fn available(&self, plan: &WindowPlan, reading: &WindowReading) -> u64 {
        if reading.until_ns > 0 {
            return 0;
        }
        plan.limit_units.saturating_sub(self.used(reading))
    }

    fn wait(&self, plan: &WindowPlan, reading: &WindowReading, wanted: u64) -> Wait {
        Wait::after(reading.now_ns, self.wait_ns(plan, reading, wanted))
    }

    fn wait_full(&self, _plan: &WindowPlan, reading: &WindowReading) -> Wait {
        let ns = if reading.count > 0 && self.weighs {
            reading.rest_ns.saturating_add(self.period_ns)
        } else if reading.count > 0 || reading.before > 0 {
            reading.rest_ns
        } else {
            reading.until_ns
        };
        Wait::after(reading.now_ns, ns)
    }

    #[inline]
    fn closeness(&self, plan: &WindowPlan, reading: &WindowReading, wanted: u64) -> Closeness {
        let wait_ns = self.wait_ns(plan, reading, wanted);
        if reading.until_ns > 0 || wait_ns < 1 << 10 {
            Closeness::Hasty
        } else if wait_ns < self.period_ns {
            Closeness::Near
        } else {
            Closeness::Far
        }
    }

    fn brim(&self, plan: &WindowPlan) -> u64 {
        plan.limit_units
    }

    /// In the window of the word.
    #[inline(always)]
    fn take_in_place(&self, word: u64, now_ns: u64, wanted: u64, limit_units: u64) -> Option<u64> {
        let stored = word >> self.index_shift << self.index_shift;
        let room = limit_units.checked_sub(self.count(word))?.checked_sub(wanted)?;
        if let Some(tick_shift) = self.tick_shift {
            // What is ahead wraps to a large number. A window with nothing in it has not begun.
            let since = (now_ns >> tick_shift << self.index_shift).wrapping_sub(stored);
            if since >= self.ticks || self.count(word) == 0 || word & ALIVE == 0 {
                return None;
            }
        } else {
            let (number, elapsed_ns) = self.window_or_one_less(now_ns);
            if number << self.index_shift != stored
                || elapsed_ns >= self.period_ns
                || word & ALIVE == 0
            {
                return None;
            }
            if !self.weighs_at_most(self.before(word), elapsed_ns, room) {
                return None;
            }
        }
        // At most the limit, which a count has room for.
        Some(word.wrapping_add(wanted << ALIVE_BITS))
    }
}

/// Whatever the limit, a window that is over is forgotten.
#[cfg(feature = "keyed")]
impl super::ManyRules for Windows {
    type Marks = ();

    fn is_full(&self, plan: &WindowPlan, word: u64, now_ns: u64) -> bool {
        let reading = self.read(plan, word, now_ns);
        reading.until_ns == 0 && reading.count == 0 && reading.before == 0
    }

    /// Of windows that each bucket begins anew, a key's own and those of a bucket that it shares overlap. A
    /// window between them makes up for that.
    fn lingers_ns(&self) -> u64 {
        if self.tick_shift.is_some() { self.length_ns() } else { 0 }
    }

    fn away_word(&self) -> u64 {
        ALIVE << 1
    }

    fn unshared_word(&self, now_ns: u64) -> u64 {
        self.empty(now_ns)
    }

    fn wait_to_fill(&self, _plan: &WindowPlan, now_ns: u64) -> Wait {
        Wait::after(now_ns, self.period_ns.saturating_mul(if self.weighs { 2 } else { 1 }))
    }
}
