//! An exact amount of tokens.

use core::fmt;
use core::str::FromStr;

use crate::error::{Excerpt, QuotaError};

/// Billionths of a token in one token.
pub(crate) const NANOS_PER_TOKEN: u32 = 1_000_000_000;

/// An exact, non-negative amount of tokens, down to a billionth of one.
///
/// Costs, bursts and rates are written in it. A whole number converts by itself, so most code never
/// names this type: `limiter.try_consume(1)`. It is a decimal, not a float, so that ten costs of 0.1
/// are one token and a price such as 0.000003 is that price.
///
/// # Examples
///
/// ```
/// use flowgate::Tokens;
///
/// let cost: Tokens = "0.1".parse()?;
/// assert_eq!(cost, Tokens::decimal(1, 1));
/// assert_eq!(Tokens::from(3), 3);
/// assert_eq!(Tokens::decimal(13_888, 3).to_string(), "13.888");
/// assert_eq!(format!("{:.1}", Tokens::decimal(13_888, 3)), "13.8");
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tokens {
    // Field order is comparison order.
    whole: u64,
    nanos: u32,
}

impl Tokens {
    /// No tokens.
    pub const ZERO: Self = Self { whole: 0, nanos: 0 };
    /// One token.
    pub const ONE: Self = Self { whole: 1, nanos: 0 };

    /// The largest amount: 18446744073709551615.999999999.
    pub const MAX: Self = Self { whole: u64::MAX, nanos: NANOS_PER_TOKEN - 1 };

    /// Makes a whole number of tokens. In other than constants, `from` does the same.
    #[must_use]
    pub const fn new(whole: u64) -> Self {
        Self { whole, nanos: 0 }
    }

    /// Makes `digits` × 10^-`places` tokens: `decimal(13_888, 3)` is 13.888.
    ///
    /// Places past the ninth are rounded up, since an amount is most often a cost and a cost must
    /// not be undercharged.
    #[must_use]
    pub const fn decimal(digits: u64, places: u32) -> Self {
        let Some(per_token) = 10_u64.checked_pow(places) else {
            // A non-zero 64-bit number over 10^20 is below a billionth, or just above two.
            return Self {
                whole: 0,
                nanos: if digits == 0 { 0 } else { Self::tiny(digits, places) },
            };
        };
        let whole = digits / per_token;
        let rest = digits % per_token;
        let nanos = (rest as u128 * NANOS_PER_TOKEN as u128).div_ceil(per_token as u128);
        Self::from_nanos_saturating(whole as u128 * NANOS_PER_TOKEN as u128 + nanos)
    }

    /// Rounds `digits` × 10^-`places` up to a billionth, for `places` ≥ 20.
    const fn tiny(digits: u64, places: u32) -> u32 {
        let mut rest = digits;
        let mut inexact = false;
        let mut place = places;
        while place > 9 {
            inexact |= !rest.is_multiple_of(10);
            rest /= 10;
            place -= 1;
            if rest == 0 {
                break;
            }
        }
        // At most u64::MAX / 10^11, which is below 2^28.
        #[allow(clippy::cast_possible_truncation)]
        let nanos = rest as u32;
        nanos + inexact as u32
    }

    /// Puts together what [`whole`](Self::whole) and [`subsec_nanos`](Self::subsec_nanos) told. Of more billionths than
    /// make a token, one less than that.
    pub(crate) fn from_parts(whole: u64, nanos: u64) -> Self {
        let most = NANOS_PER_TOKEN - 1;
        Self { whole, nanos: u32::try_from(nanos).map_or(most, |nanos| nanos.min(most)) }
    }

    /// Makes `nanos` billionths of a token, or the largest amount if that is more.
    pub(crate) const fn from_nanos_saturating(nanos: u128) -> Self {
        let whole = nanos / NANOS_PER_TOKEN as u128;
        if whole > u64::MAX as u128 {
            return Self::MAX;
        }
        // Both fit: `whole` was just compared, the rest is below 10^9.
        #[allow(clippy::cast_possible_truncation)]
        Self { whole: whole as u64, nanos: (nanos % NANOS_PER_TOKEN as u128) as u32 }
    }

    /// The amount in billionths of a token; below 2^94.
    pub(crate) const fn to_nanos(self) -> u128 {
        self.whole as u128 * NANOS_PER_TOKEN as u128 + self.nanos as u128
    }

    /// The whole tokens in this amount; any fraction is left out.
    #[must_use]
    pub const fn whole(self) -> u64 {
        self.whole
    }

    /// The billionths of a token beyond [`whole`](Self::whole), 0 to 999,999,999.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Tells whether this is no tokens at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.whole == 0 && self.nanos == 0
    }

    /// Adds two amounts; the largest amount if the sum is above it.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self::from_nanos_saturating(self.to_nanos() + other.to_nanos())
    }

    /// Subtracts `other`; zero if `other` is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self::from_nanos_saturating(self.to_nanos().saturating_sub(other.to_nanos()))
    }

    /// Counts this amount in units of which `units_per_token` (a power of ten up to 10^9) make a
    /// token. A rest is rounded up; an amount that 64 bits cannot count becomes `u64::MAX`.
    #[inline]
    pub(crate) fn to_units_ceil(self, units_per_token: u64) -> u64 {
        let units = self.whole.saturating_mul(units_per_token);
        if self.nanos == 0 {
            return units;
        }
        let nanos_per_unit = u64::from(NANOS_PER_TOKEN) / units_per_token;
        units.saturating_add(u64::from(self.nanos).div_ceil(nanos_per_unit))
    }

    /// The inverse of [`to_units_ceil`](Self::to_units_ceil) for a whole number of units.
    #[inline]
    pub(crate) fn from_units(units: u64, units_per_token: u64) -> Self {
        let nanos_per_unit = u64::from(NANOS_PER_TOKEN) / units_per_token;
        // Below 10^9: the remainder is below `units_per_token`.
        #[allow(clippy::cast_possible_truncation)]
        let nanos = (units % units_per_token).wrapping_mul(nanos_per_unit) as u32;
        Self { whole: units / units_per_token, nanos }
    }
}

impl From<u64> for Tokens {
    #[inline]
    fn from(whole: u64) -> Self {
        Self::new(whole)
    }
}

impl PartialEq<u64> for Tokens {
    fn eq(&self, other: &u64) -> bool {
        *self == Self::new(*other)
    }
}

impl PartialOrd<u64> for Tokens {
    fn partial_cmp(&self, other: &u64) -> Option<core::cmp::Ordering> {
        self.partial_cmp(&Self::new(*other))
    }
}

/// Writes the shortest exact decimal, or with a precision (`{:.2}`) that many places, cut off and
/// not rounded, so that nobody is shown a token that is not there.
impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "18446744073709551615.999999999" is 30 bytes.
        let mut text = Text { bytes: [0; 32], len: 0 };
        let places = match f.precision() {
            Some(places) => places.min(9),
            None => {
                let mut places = 9;
                let mut rest = self.nanos;
                while places > 0 && rest.is_multiple_of(10) {
                    rest /= 10;
                    places -= 1;
                }
                places
            }
        };
        fmt::Write::write_fmt(&mut text, format_args!("{}", self.whole))?;
        if places > 0 {
            let mut fraction = self.nanos;
            for _ in places..9 {
                fraction /= 10;
            }
            fmt::Write::write_fmt(&mut text, format_args!(".{fraction:0places$}"))?;
        }
        f.pad_integral(true, "", text.as_str())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A line of text on the stack, so that width and alignment work without an allocator.
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let end = self.len.saturating_add(piece.len());
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(piece.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Reads a decimal such as `50000`, `50_000`, `13.888` or `.5`, with up to nine places.
///
/// # Errors
///
/// [`QuotaError::NotANumber`] for anything else: a sign, an exponent, no digit at all, a tenth
/// place, or more than [`Tokens::MAX`].
impl FromStr for Tokens {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let refuse = || QuotaError::NotANumber { text: Excerpt::new(text) };
        let (whole_text, fraction_text) = text.split_once('.').unwrap_or((text, ""));
        let mut whole = 0_u64;
        let mut digits = 0_u32;
        for byte in whole_text.bytes().filter(|byte| *byte != b'_') {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(refuse());
            }
            whole = whole
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(digit)))
                .ok_or_else(refuse)?;
            digits = digits.saturating_add(1);
        }
        let mut nanos = 0_u32;
        let mut place_value = NANOS_PER_TOKEN;
        for byte in fraction_text.bytes().filter(|byte| *byte != b'_') {
            let digit = byte.wrapping_sub(b'0');
            place_value /= 10;
            if digit > 9 || place_value == 0 {
                return Err(refuse());
            }
            nanos = nanos.saturating_add(place_value.saturating_mul(u32::from(digit)));
            digits = digits.saturating_add(1);
        }
        if digits == 0 {
            return Err(refuse());
        }
        Ok(Self { whole, nanos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn an_amount_reads_back_as_it_was_written() {
        for text in ["0", "1", "0.5", "13.888", "0.000000001", "18446744073709551615.999999999"] {
            let amount: Tokens = text.parse().unwrap();
            assert_eq!(amount.to_string(), text);
        }
        assert_eq!("50_000".parse::<Tokens>().unwrap(), 50_000);
        assert_eq!(".5".parse::<Tokens>().unwrap(), Tokens::decimal(5, 1));
        assert_eq!(
            format!(
                "[{:>8}|{:.2}|{:08.3}]",
                Tokens::new(7),
                Tokens::decimal(1_999, 3),
                Tokens::decimal(5, 1)
            ),
            "[       7|1.99|0000.500]"
        );
    }

    #[test]
    fn an_amount_that_is_no_decimal_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "1.2.3",
            "0.0000000001",
            "18446744073709551616",
            "١",
        ] {
            assert!(text.parse::<Tokens>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn decimals_past_the_ninth_round_up() {
        assert_eq!(Tokens::decimal(1, 10).subsec_nanos(), 1);
        assert_eq!(Tokens::decimal(1, 25).subsec_nanos(), 1);
        assert_eq!(Tokens::decimal(0, 25), Tokens::ZERO);
        assert_eq!(Tokens::decimal(u64::MAX, 20).subsec_nanos(), 184_467_441);
        assert_eq!(Tokens::decimal(1, u32::MAX).subsec_nanos(), 1);
    }

    #[test]
    fn counting_in_units_rounds_up_and_never_wraps() {
        assert_eq!(Tokens::decimal(15, 1).to_units_ceil(1), 2);
        assert_eq!(Tokens::decimal(15, 1).to_units_ceil(10), 15);
        assert_eq!(Tokens::decimal(1, 9).to_units_ceil(100), 1);
        assert_eq!(Tokens::MAX.to_units_ceil(1_000_000_000), u64::MAX);
        assert_eq!(Tokens::from_units(15, 10), Tokens::decimal(15, 1));
    }
}
