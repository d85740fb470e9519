//! Units per nanosecond, and the credit they add up to.

use core::time::Duration;

/// A rate in units per nanosecond, as a 64.64 fixed-point number, rounded up.
///
/// With `G(t) = floor(t × rate)`, the credit from `u` to `v` is `G(v) − G(u)`. Over any sequence of
/// refills this telescopes, so polling at any interval gains and loses nothing. Rounding the rate up,
/// by less than 2^-64 units per nanosecond, makes the credit at an exact boundary exact: 2 tokens per
/// second are 2 tokens after one second, not 1.999. Over the life of a bucket (2^58 ns) it adds less
/// than 2^-6 units.
///
/// `G` is never computed whole: `G(v) − G(u)` is `floor((phase(u) + (v − u) × rate) / 2^64)`, where
/// `phase(u)` is the fraction in `u × rate`, and that is one wrapping multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub(crate) whole: u64,
    pub(crate) fraction: u64,
}

impl Rate {
    /// The bits of [`whole`](Self::whole) that a rate can use: below 2^32 units per nanosecond.
    const WHOLE_LIMIT: u128 = 1 << 32;

    /// Makes `numerator / denominator` units per nanosecond, rounded up; `None` from 2^32 on.
    ///
    /// `denominator` is not zero and below 2^126.
    pub(crate) fn from_ratio(numerator: u128, denominator: u128) -> Option<Self> {
        let whole = numerator.checked_div(denominator)?;
        if whole >= Self::WHOLE_LIMIT {
            return None;
        }
        // Long division, one bit a step: `rest × 2^64` does not fit 128 bits.
        let mut rest = numerator.wrapping_rem(denominator);
        let mut fraction = 0_u128;
        for _ in 0..64 {
            rest = rest.wrapping_mul(2);
            fraction = fraction.wrapping_mul(2);
            if rest >= denominator {
                rest = rest.wrapping_sub(denominator);
                fraction = fraction.wrapping_add(1);
            }
        }
        let raw = (whole << 64).wrapping_add(fraction).wrapping_add(u128::from(rest != 0));
        Some(Self::from_raw(raw))
    }

    /// Splits a 64.64 number; `raw` is below 2^96 by construction.
    fn from_raw(raw: u128) -> Self {
        #[allow(clippy::cast_possible_truncation)]
        Self { whole: (raw >> 64) as u64, fraction: raw as u64 }
    }

    pub(crate) fn raw(self) -> u128 {
        (u128::from(self.whole) << 64) | u128::from(self.fraction)
    }

    /// The units credited from `from_ns` to `from_ns + elapsed_ns`.
    ///
    /// Correct while the credit fits 64 bits, which callers see to by treating a long time as
    /// "full" first. `from_ns` may be a wrapped negative time: only its phase matters.
    #[inline]
    pub(crate) fn credit(self, from_ns: u64, elapsed_ns: u64) -> u64 {
        let fractions = u128::from(elapsed_ns)
            .wrapping_mul(u128::from(self.fraction))
            .wrapping_add(u128::from(self.phase(from_ns)));
        // The high half of a 128-bit number fits 64 bits.
        #[allow(clippy::cast_possible_truncation)]
        let carried = (fractions >> 64) as u64;
        carried.wrapping_add(elapsed_ns.wrapping_mul(self.whole))
    }

    /// Tells whether `units` are credited in a microsecond, give or take one: in 2^10 ns.
    #[inline]
    pub(crate) fn credits_in_a_microsecond(self, units: u64) -> bool {
        units <= (self.whole << 10).wrapping_add(self.fraction >> 54)
    }

    /// Tells whether a part of the next unit has been counted at `at_ns`.
    pub(crate) fn is_amid_a_unit(self, at_ns: u64) -> bool {
        self.phase(at_ns) != 0
    }

    /// The fraction of a unit, in 2^-64, that `at_ns × rate` has beyond its whole units.
    #[inline]
    fn phase(self, at_ns: u64) -> u64 {
        at_ns.wrapping_mul(self.fraction)
    }

    /// The shortest time after `from_ns` in which `units` are credited: exact, so that one
    /// nanosecond less credits fewer.
    pub(crate) fn time_to_credit(self, from_ns: u64, units: u64) -> u64 {
        if units == 0 {
            return 0;
        }
        // units ≥ 1 and phase < 2^64, so the difference is positive.
        let missing = (u128::from(units) << 64).wrapping_sub(u128::from(self.phase(from_ns)));
        let ns = missing.div_ceil(self.raw().max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// When something will be so: kept as it was seen, and computed (one 128-bit division, about
/// 30 ns) only if it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub(crate) rate: Rate,
    /// Where the units are counted from: the start of a tick, before or after `now_ns`.
    pub(crate) from_ns: u64,
    /// The units that must have arrived since.
    pub(crate) units: u64,
    pub(crate) now_ns: u64,
}

impl Wait {
    /// A time that is known: in so many nanoseconds.
    pub(crate) fn after(now_ns: u64, ns: u64) -> Self {
        Self { rate: Rate { whole: 1, fraction: 0 }, from_ns: now_ns, units: ns, now_ns }
    }

    pub(crate) fn nanos(&self) -> u64 {
        let until = self.rate.time_to_credit(self.from_ns, self.units);
        // Less than half the range apart, whichever comes first.
        let ahead_ns = self.from_ns.wrapping_sub(self.now_ns);
        if ahead_ns <= u64::MAX / 2 {
            return until.saturating_add(ahead_ns);
        }
        until.saturating_sub(ahead_ns.wrapping_neg())
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_a_second_is_two_after_one_second_at_every_phase() {
        let rate = Rate::from_ratio(2, 1_000_000_000).unwrap();
        for from_ns in (0..5_000_000_000).step_by(7_777_777) {
            assert_eq!(rate.credit(from_ns, 1_000_000_000), 2);
        }
    }

    proptest! {
        #[test]
        fn credit_telescopes(
            numerator in 1_u64..=u64::MAX, denominator in 1_u64..=u64::MAX,
            from_ns: u64, first_ns in 0_u64..1 << 58, second_ns in 0_u64..1 << 58,
        ) {
            let Some(rate) = Rate::from_ratio(u128::from(numerator), u128::from(denominator)) else {
                return Ok(());
            };
            let at_once = rate.credit(from_ns, first_ns + second_ns);
            let in_two = rate
                .credit(from_ns, first_ns)
                .wrapping_add(rate.credit(from_ns.wrapping_add(first_ns), second_ns));
            prop_assert_eq!(at_once, in_two);
        }

        #[test]
        fn credit_is_within_one_unit_of_exact(
            numerator in 1_u64..1 << 32, denominator in 1_u64..1 << 50,
            from_ns in 0_u64..1 << 58, elapsed_ns in 0_u64..1 << 58,
        ) {
            let rate = Rate::from_ratio(u128::from(numerator), u128::from(denominator)).unwrap();
            let exact_times_denominator = u128::from(elapsed_ns) * u128::from(numerator);
            let credit = u128::from(rate.credit(from_ns, elapsed_ns));
            // Never under at an exact boundary; over by less than 1 + 2^-6.
            prop_assume!(exact_times_denominator / u128::from(denominator) < 1 << 63);
            prop_assert!(credit >= exact_times_denominator / u128::from(denominator));
            prop_assert!(
                credit * u128::from(denominator) * 64
                    < exact_times_denominator * 64 + 65 * u128::from(denominator)
            );
        }

        #[test]
        fn a_wait_is_tight_on_both_sides(
            numerator in 1_u64..1 << 20, denominator in 1_u64..1 << 40,
            from_ns: u64, units in 1_u64..1 << 20,
        ) {
            let rate = Rate::from_ratio(u128::from(numerator), u128::from(denominator)).unwrap();
            let wait_ns = rate.time_to_credit(from_ns, units);
            prop_assume!(wait_ns < 1 << 58);
            prop_assert!(rate.credit(from_ns, wait_ns) >= units);
            prop_assert!(rate.credit(from_ns, wait_ns - 1) < units);
        }
    }
}
