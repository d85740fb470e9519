//! One instant: GCRA by virtual scheduling, and with it the leaky bucket, as a meter and as a queue.
//!
//! The word says when all that was granted will have gone, at the quota's pace. ITU-T Recommendation I.371 (and
//! the ATM Forum's Traffic Management 4.0, 4.4.2) defines the generic cell rate algorithm twice, by a theoretical
//! arrival time ("virtual scheduling") and by a counter that leaks ("continuous-state leaky bucket"), and shows
//! that both decide alike. So the three algorithms here are one: they differ in what they say of the instant.

use super::layout::{LONGEST_FILL_NS, per_second};
use super::{Ahead, Closeness, Rules, Unused, Wait};
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::{NANOS_PER_TOKEN, Tokens};

/// How an instant lies in its word.
///
/// ```text
///  63 ................................ 1 | 0
///  instant, in 1/16 ns, modulo 2^63      | 1
/// ```
///
/// Modulo 2^59 ns, as in a token bucket's stamp, with the same half-range rule: an instant that seems to be
/// more than 9.1 years ahead has passed. The lowest bit is 0 in a word that holds no bucket.
///
/// Instants that were reached at different rates do not compare: how many tokens one is ahead depends on the rate.
/// So the rate is fixed when a limiter is built, and only the burst may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// From one token to the next, in 2^-5 ns, as it is added to a word: a multiple of 2, and not 0.
    interval: u64,
    /// Tokens beyond the burst: none; or, in a queue, one, which does not wait.
    extra_tokens: u64,
}

/// A nanosecond, in its place in a word.
const NANOSECOND: u64 = 1 << NANOSECOND_SHIFT;
const NANOSECOND_SHIFT: u32 = 5;

/// What a word has in its lowest bit while it holds a bucket.
const ALIVE: u64 = 1;

/// A quota's burst, in spans of 2^-5 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstantPlan {
    /// How far ahead the instant may be.
    tolerance: u64,
    /// What one call can take, in billionths of a token.
    capacity_units: u64,
}

/// What a word says at some time.
#[derive(Clone, Copy, Debug)]
pub struct InstantReading {
    now_ns: u64,
    /// How far ahead the instant is, in 2^-5 ns: nothing if it has passed.
    ahead: u64,
}

impl Instants {
    /// What `units` take at the quota's pace, rounded up; a multiple of 2.
    ///
    /// The interval of one token is a whole number, so that as many of them as one likes take exactly as many
    /// intervals; only fractions of a token are rounded.
    #[inline]
    fn span(&self, units: u64) -> u64 {
        let (whole, rest) = split(units);
        let whole_span = whole.saturating_mul(self.interval);
        if rest == 0 {
            return whole_span;
        }
        let rest_span = halves(u128::from(rest).wrapping_mul(u128::from(self.interval >> 1)), true);
        whole_span.saturating_add(rest_span)
    }

    /// How far ahead an instant is that was `ahead`, once `units` more were taken.
    #[inline]
    fn ahead_after(&self, ahead: u64, units: u64) -> u64 {
        ahead.saturating_add(self.span(units))
    }

    /// The same as [`span`](Self::span), rounded down.
    fn span_floor(&self, units: u64) -> u64 {
        let (whole, rest) = split(units);
        let rest_span =
            halves(u128::from(rest).wrapping_mul(u128::from(self.interval >> 1)), false);
        whole.saturating_mul(self.interval).saturating_add(rest_span)
    }

    /// The units that take no longer than `span`.
    fn units_in(&self, span: u64) -> u64 {
        // An interval is never 0.
        let whole = span.checked_div(self.interval).unwrap_or(0);
        let rest = span.wrapping_sub(whole.wrapping_mul(self.interval));
        let rest_units =
            u128::from(rest).wrapping_mul(NANOS.into()).checked_div(self.interval.into());
        // Less than one token's.
        let rest_units = u64::try_from(rest_units.unwrap_or(0)).unwrap_or(0);
        whole.saturating_mul(NANOS).saturating_add(rest_units)
    }
}

const NANOS: u64 = NANOS_PER_TOKEN as u64;

/// Whole tokens, and billionths.
#[inline]
fn split(units: u64) -> (u64, u64) {
    (units / NANOS, units % NANOS)
}

/// A billionth of `span`, which is in 1/16 ns, in 2^-5 ns.
fn halves(span: u128, up: bool) -> u64 {
    let nanos = u128::from(NANOS);
    let sixteenths = if up { span.div_ceil(nanos) } else { span / nanos };
    u64::try_from(sixteenths).unwrap_or(u64::MAX / 2).saturating_mul(2)
}

impl Instants {
    /// The interval is rounded up to 1/16 ns, so the rate is at most what was asked for; if that takes more than a
    /// thousandth of it, it is refused.
    pub(crate) fn choose(quota: &Quota, extra_tokens: u64) -> Result<Self, QuotaError> {
        quota.check()?;
        // Per token: period × 10^9 / tokens, in 1/16 ns.
        let tokens = quota.tokens().to_nanos();
        let numerator = quota.period().as_nanos().saturating_mul(16).saturating_mul(NANOS.into());
        let sixteenths = numerator.div_ceil(tokens.max(1));
        let rounded_by = sixteenths.saturating_mul(tokens).saturating_sub(numerator);
        if rounded_by.saturating_mul(1_000) > numerator {
            // In billionths a second, rounded up: asked for that one, the interval is the same.
            let kept = SIXTEENTHS_PER_SECOND.saturating_mul(NANOS.into()).div_ceil(sixteenths);
            return Err(QuotaError::RateRounded {
                per_second: per_second(quota),
                kept: Tokens::from_nanos_saturating(kept),
            });
        }
        match u64::try_from(sixteenths) {
            Ok(sixteenths) if sixteenths <= LONGEST_FILL_NS << 4 => {
                Ok(Self { interval: sixteenths.wrapping_mul(2), extra_tokens })
            }
            _ => Err(QuotaError::TokenTooSlow { seconds: seconds(sixteenths / 16) }),
        }
    }

    /// The word of an instant that is `ahead` of `now_ns`.
    #[inline]
    fn word(now_ns: u64, ahead: u64) -> u64 {
        // Modular: an instant has no bits beyond the word's.
        (now_ns << NANOSECOND_SHIFT).wrapping_add(ahead) | ALIVE
    }

    #[inline]
    fn ahead(word: u64, now_ns: u64) -> u64 {
        let ahead = (word & !ALIVE).wrapping_sub(now_ns << NANOSECOND_SHIFT);
        // More than half the range ahead is behind.
        if ahead > u64::MAX / 2 && !crate::planted::wrapping_elapsed() { 0 } else { ahead }
    }
}

fn seconds(ns: u128) -> u64 {
    u64::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

/// The time that a span of 2^-5 ns takes, rounded up.
fn nanos_of(span: u64) -> u64 {
    span.div_ceil(NANOSECOND)
}

impl Rules for Instants {
    type Config = Quota;
    type Plan = InstantPlan;
    type Reading = InstantReading;

    fn plan(&self, quota: &Quota) -> Result<InstantPlan, QuotaError> {
        if Self::choose(quota, self.extra_tokens)? != *self {
            return Err(QuotaError::RateChanged { per_second: per_second(quota) });
        }
        let capacity = quota.capacity().saturating_add(Tokens::new(self.extra_tokens));
        let longest = LONGEST_FILL_NS << NANOSECOND_SHIFT;
        let fill_ns = capacity.to_nanos().saturating_mul(self.interval.into())
            / u128::from(NANOS << NANOSECOND_SHIFT);
        if fill_ns > LONGEST_FILL_NS.into() {
            return Err(QuotaError::FillTooSlow { seconds: seconds(fill_ns) });
        }
        // A cost that 64 bits cannot count is `u64::MAX` units: that must be above every capacity.
        match u64::try_from(capacity.to_nanos()) {
            Ok(capacity_units) if capacity.whole() <= LARGEST_CAPACITY => {
                // Rounded up as a cost is: else one of all that is there would never be.
                let tolerance = self.span(capacity_units).min(longest);
                Ok(InstantPlan { tolerance, capacity_units })
            }
            _ => Err(QuotaError::CapacityTooLarge {
                tokens: quota.capacity(),
                largest: Tokens::new(LARGEST_CAPACITY.saturating_sub(self.extra_tokens)),
            }),
        }
    }

    fn plan_words(plan: &InstantPlan) -> [u64; 5] {
        [plan.tolerance, plan.capacity_units, 0, 0, 0]
    }

    #[inline]
    fn plan_from_words([tolerance, capacity_units, ..]: [u64; 5]) -> InstantPlan {
        InstantPlan { tolerance, capacity_units }
    }

    fn config_words(quota: &Quota) -> [u64; 5] {
        quota.to_words()
    }

    fn config_from_words(words: [u64; 5]) -> Quota {
        Quota::from_words(words)
    }

    fn window(quota: &Quota) -> core::time::Duration {
        quota.fill_time()
    }

    #[inline]
    fn units_per_token(&self) -> u64 {
        NANOS
    }

    #[inline]
    fn capacity_units(&self, plan: &InstantPlan) -> u64 {
        plan.capacity_units
    }

    #[inline]
    fn is_gone(&self, word: u64) -> bool {
        word & ALIVE == 0
    }

    fn fresh(&self, _plan: &InstantPlan, now_ns: u64) -> u64 {
        Self::word(now_ns, 0)
    }

    #[inline]
    fn read(&self, plan: &InstantPlan, word: u64, now_ns: u64) -> InstantReading {
        let ahead = Self::ahead(word, now_ns);
        if ahead > plan.tolerance && crate::planted::start_over_when_far_ahead() {
            return InstantReading { now_ns, ahead: 0 };
        }
        InstantReading { now_ns, ahead }
    }

    #[inline]
    fn holds(&self, plan: &InstantPlan, reading: &InstantReading, wanted: u64) -> bool {
        self.ahead_after(reading.ahead, wanted) <= plan.tolerance
    }

    #[inline]
    fn take(&self, _plan: &InstantPlan, reading: &InstantReading, wanted: u64) -> u64 {
        Self::word(reading.now_ns, self.ahead_after(reading.ahead, wanted))
    }

    /// Of a meter, good once the instant is near enough; of a queue, when it departs. There is room until an instant
    /// is further ahead than words can tell, or in a queue until that is full.
    fn ahead(&self, plan: &InstantPlan, reading: &InstantReading, wanted: u64) -> Option<Ahead> {
        let ahead = self.ahead_after(reading.ahead, wanted);
        let in_time = |span: u64| Wait::after(reading.now_ns, nanos_of(span));
        let over = in_time(ahead.saturating_sub(plan.tolerance));
        if self.paces() {
            let departs = in_time(ahead.saturating_sub(self.interval));
            return Some(Ahead { room: over, good: departs });
        }
        Some(Ahead { room: in_time(ahead.saturating_sub(FURTHEST)), good: over })
    }

    #[inline]
    fn paces(&self) -> bool {
        self.extra_tokens > 0
    }

    fn take_back(
        &self,
        _plan: &InstantPlan,
        reading: &InstantReading,
        _left: u64,
        units: Unused,
    ) -> Option<u64> {
        // As they were rounded when they were taken.
        let span = self.span(units.taken).saturating_sub(self.span(units.keep));
        Some(Self::word(reading.now_ns, reading.ahead.saturating_sub(span)))
    }

    fn charge(&self, _plan: &InstantPlan, reading: &InstantReading, units: u64) -> (u64, u64) {
        let room_units = self.units_in(FURTHEST.saturating_sub(reading.ahead));
        let taken = units.min(room_units);
        (Self::word(reading.now_ns, self.ahead_after(reading.ahead, taken)), taken)
    }

    fn give(&self, _plan: &InstantPlan, reading: &InstantReading, units: u64) -> u64 {
        Self::word(reading.now_ns, reading.ahead.saturating_sub(self.span_floor(units)))
    }

    fn available(&self, plan: &InstantPlan, reading: &InstantReading) -> u64 {
        self.units_in(plan.tolerance.saturating_sub(reading.ahead)).min(plan.capacity_units)
    }

    fn wait(&self, plan: &InstantPlan, reading: &InstantReading, wanted: u64) -> Wait {
        let over = self.ahead_after(reading.ahead, wanted).saturating_sub(plan.tolerance);
        Wait::after(reading.now_ns, nanos_of(over))
    }

    fn wait_full(&self, _plan: &InstantPlan, reading: &InstantReading) -> Wait {
        Wait::after(reading.now_ns, nanos_of(reading.ahead))
    }

    /// The last token leaves an interval before the instant at which the next one could; but from a meter, at once.
    fn departs_ns(&self, _plan: &InstantPlan, reading: &InstantReading) -> u64 {
        if !self.paces() {
            return 0;
        }
        nanos_of(reading.ahead.saturating_sub(self.interval))
    }

    #[inline]
    fn closeness(&self, plan: &InstantPlan, reading: &InstantReading, wanted: u64) -> Closeness {
        let over = self.ahead_after(reading.ahead, wanted).saturating_sub(plan.tolerance);
        if over <= NANOSECOND << 10 {
            Closeness::Hasty
        } else if over <= plan.tolerance {
            Closeness::Near
        } else {
            Closeness::Far
        }
    }

    fn brim(&self, plan: &InstantPlan) -> u64 {
        plan.tolerance
    }

    #[inline(always)]
    fn take_in_place(&self, word: u64, now_ns: u64, wanted: u64, tolerance: u64) -> Option<u64> {
        if word & ALIVE == 0 {
            return None;
        }
        let ahead = self.ahead_after(Self::ahead(word, now_ns), wanted);
        (ahead <= tolerance).then(|| Self::word(now_ns, ahead))
    }
}

/// Whatever the burst, an instant that has passed is forgotten.
#[cfg(feature = "keyed")]
impl super::ManyRules for Instants {
    type Marks = ();

    fn is_full(&self, _plan: &InstantPlan, word: u64, now_ns: u64) -> bool {
        Self::ahead(word, now_ns) == 0
    }

    fn away_word(&self) -> u64 {
        ALIVE << 1
    }

    fn unshared_word(&self, now_ns: u64) -> u64 {
        Self::word(now_ns, 0)
    }

    fn wait_to_fill(&self, plan: &InstantPlan, now_ns: u64) -> Wait {
        Wait::after(now_ns, nanos_of(plan.tolerance))
    }
}

/// How far ahead an instant may be reserved, or charged: as far as a burst may reach.
const FURTHEST: u64 = LONGEST_FILL_NS << NANOSECOND_SHIFT;

const SIXTEENTHS_PER_SECOND: u128 = 16 * 1_000_000_000;

/// The most whole tokens of which 64 bits count the billionths, with some to spare: 1.8 × 10^10.
const LARGEST_CAPACITY: u64 = u64::MAX / NANOS - 1;
