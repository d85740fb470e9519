//! A rate and a burst. No clock, no atomics.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::error::{Excerpt, QuotaError};
use crate::tokens::Tokens;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How much may pass: a rate, and a burst that may pass at once after a rest.
///
/// The rate is an exact ratio (tokens over a period), so one per 3 seconds is not 0.333 per second.
/// Unless [`burst`](Self::burst) says otherwise the burst is one period's worth of tokens, and at
/// least one.
///
/// A quota is only a value: what cannot be kept is refused when a limiter is built from it, or when
/// it is read from text.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{Quota, Tokens};
///
/// let api = Quota::per_second(100).burst(20);
/// assert_eq!(api, "100/s burst 20".parse()?);
/// assert_eq!(api.to_string(), "100/s burst 20");
///
/// let model = Quota::per_hour(50_000);
/// assert_eq!(model.capacity(), 50_000);
///
/// let slow = Quota::new(Tokens::decimal(13_888, 3), Duration::from_secs(1));
/// assert_eq!(slow, "13.888/s".parse()?);
/// assert_eq!("5/10s".parse::<Quota>()?, Quota::new(5, Duration::from_secs(10)));
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    tokens: Tokens,
    period: Duration,
    capacity: Tokens,
}

impl Quota {
    /// Allows `tokens` per `period`.
    #[must_use]
    pub fn new(tokens: impl Into<Tokens>, period: Duration) -> Self {
        let tokens = tokens.into();
        Self { tokens, period, capacity: default_capacity(tokens) }
    }

    /// Allows `tokens` per second.
    #[must_use]
    pub fn per_second(tokens: impl Into<Tokens>) -> Self {
        Self::new(tokens, SECOND)
    }

    /// Allows `tokens` per minute.
    #[must_use]
    pub fn per_minute(tokens: impl Into<Tokens>) -> Self {
        Self::new(tokens, MINUTE)
    }

    /// Allows `tokens` per hour.
    #[must_use]
    pub fn per_hour(tokens: impl Into<Tokens>) -> Self {
        Self::new(tokens, HOUR)
    }

    /// Allows `tokens` per day of 24 hours.
    #[must_use]
    pub fn per_day(tokens: impl Into<Tokens>) -> Self {
        Self::new(tokens, DAY)
    }

    /// Sets how much may pass at once after a rest: the bucket's capacity.
    #[must_use]
    pub fn burst(self, tokens: impl Into<Tokens>) -> Self {
        Self { capacity: tokens.into(), ..self }
    }

    /// The tokens that arrive in one [`period`](Self::period).
    #[must_use]
    pub const fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The time in which [`tokens`](Self::tokens) arrive.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The most that can pass at once: the burst.
    #[must_use]
    pub const fn capacity(&self) -> Tokens {
        self.capacity
    }

    /// Computes in what time an empty bucket fills, rounded up to a nanosecond; at most 584 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::Quota;
    ///
    /// assert_eq!(Quota::per_minute(60).burst(10).fill_time(), Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn fill_time(&self) -> Duration {
        let period = self.period.as_nanos();
        // Of whole tokens it is a division of 64 bits as a rule, which takes a fifth of the time.
        if self.capacity.subsec_nanos() == 0
            && self.tokens.subsec_nanos() == 0
            && let Some(product) =
                u64::try_from(period).ok().and_then(|ns| self.capacity.whole().checked_mul(ns))
        {
            return Duration::from_nanos(product.div_ceil(self.tokens.whole().max(1)));
        }
        let (mut capacity, mut tokens) = (self.capacity.to_nanos(), self.tokens.to_nanos());
        // Their ratio counts: of both as many bits are left out as the product has too many.
        while capacity.checked_mul(period).is_none() {
            (capacity, tokens) = (capacity >> 1, tokens >> 1);
        }
        let nanos = capacity.saturating_mul(period).div_ceil(tokens.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A bucket that cannot hold one token is rarely meant, so a rate below one per period gets one.
fn default_capacity(tokens: Tokens) -> Tokens {
    tokens.max(Tokens::new(1))
}

/// The units of time a quota is written in, the largest first.
const UNITS: [(&str, Duration); 5] =
    [("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND), ("ms", Duration::from_millis(1))];

fn unit_named(name: &str) -> Option<Duration> {
    Some(match name {
        "ms" | "millisecond" | "milliseconds" => Duration::from_millis(1),
        "s" | "sec" | "second" | "seconds" => SECOND,
        "m" | "min" | "minute" | "minutes" => MINUTE,
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        _ => return None,
    })
}

/// Writes `100/s`, `60/min burst 10` or `5/10s`: the form that is read back as the same quota.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.tokens)?;
        match UNITS.iter().find(|(_, unit)| *unit == self.period) {
            Some((name, _)) => f.write_str(name)?,
            None => {
                let nanos = Tokens::from_nanos_saturating(self.period.as_nanos());
                write!(f, "{nanos}s")?;
            }
        }
        if self.capacity != default_capacity(self.tokens) {
            write!(f, " burst {}", self.capacity)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({self})")
    }
}

/// Reads `count/period`, with ` burst count` after it if wished.
///
/// A count is a decimal (`50_000`, `13.888`); a period is a unit (`ms`, `s`, `min`, `h`, `d`, or
/// their English names), with a count before it if wished (`10s`, `1.5h`).
///
/// # Errors
///
/// [`QuotaError`] for any other form, for a rate, burst or period of zero, and for a period no
/// bucket can measure.
impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let refuse = || QuotaError::NotAQuota { text: Excerpt::new(text) };
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) if rate.ends_with(char::is_whitespace) => (rate, Some(burst)),
            Some(_) => return Err(refuse()),
            None => (text, None),
        };
        let (count, period) = rate.split_once('/').ok_or_else(refuse)?;
        let tokens: Tokens = count.trim().parse()?;

        let period = period.trim();
        let name_at =
            period.find(|c: char| !matches!(c, '0'..='9' | '.' | '_')).unwrap_or(period.len());
        let (multiple, name) = period.split_at(name_at);
        let unit = unit_named(name.trim_start()).ok_or_else(|| QuotaError::UnknownUnit {
            unit: Excerpt::new(name.trim_start()),
            text: Excerpt::new(text.trim()),
        })?;
        let period = match multiple {
            "" => unit,
            multiple => times(unit, multiple.parse()?),
        };

        let mut quota = Self::new(tokens, period);
        if let Some(burst) = burst {
            quota = quota.burst(burst.trim().parse::<Tokens>()?);
        }
        quota.check()?;
        Ok(quota)
    }
}

/// `multiple` × `unit`, rounded up to a nanosecond since a longer period grants less, or the longest `Duration` if it is longer.
fn times(unit: Duration, multiple: Tokens) -> Duration {
    let nanos = unit
        .as_nanos()
        .checked_mul(multiple.to_nanos())
        .map(|product| product.div_ceil(1_000_000_000));
    let Some(nanos) = nanos else { return Duration::MAX };
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

impl Quota {
    /// Refuses what no limiter can keep, whatever else it is built with.
    /// In five words: two amounts, a period, and between them the billionths of both amounts.
    pub(crate) fn to_words(self) -> [u64; 5] {
        let (tokens, capacity, period) = (self.tokens, self.capacity, self.period);
        let billionths =
            (u64::from(tokens.subsec_nanos()) << 32) | u64::from(capacity.subsec_nanos());
        let nanos = u64::from(period.subsec_nanos());
        [tokens.whole(), capacity.whole(), billionths, period.as_secs(), nanos]
    }

    pub(crate) fn from_words([tokens, capacity, billionths, secs, nanos]: [u64; 5]) -> Self {
        Self {
            tokens: Tokens::from_parts(tokens, billionths >> 32),
            capacity: Tokens::from_parts(capacity, billionths & u64::from(u32::MAX)),
            period: Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn check(&self) -> Result<(), QuotaError> {
        if self.tokens.is_zero() {
            return Err(QuotaError::ZeroRate);
        }
        if self.period.is_zero() {
            return Err(QuotaError::ZeroPeriod);
        }
        if self.capacity.is_zero() {
            return Err(QuotaError::ZeroBurst);
        }
        if self.period > crate::limits::LONGEST_FILL {
            return Err(QuotaError::PeriodTooLong { period: self.period });
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod serde_text {
    use super::{Quota, Tokens};
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, Visitor},
    };

    /// Reads a text with `FromStr`, or for an amount also a whole number.
    macro_rules! as_text {
        ($kind:ident, $expecting:literal $(, $number:expr)?) => {
            impl Serialize for $kind {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $kind {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Text;
                    impl Visitor<'_> for Text {
                        type Value = $kind;

                        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                            f.write_str($expecting)
                        }

                        fn visit_str<E: Error>(self, text: &str) -> Result<$kind, E> {
                            text.parse().map_err(E::custom)
                        }

                        $(fn visit_u64<E: Error>(self, number: u64) -> Result<$kind, E> {
                            Ok($number(number))
                        }

                        fn visit_i64<E: Error>(self, number: i64) -> Result<$kind, E> {
                            u64::try_from(number).map($number).map_err(E::custom)
                        })?
                    }
                    // Formats that do not describe themselves hold the text that was written.
                    if deserializer.is_human_readable() {
                        deserializer.deserialize_any(Text)
                    } else {
                        deserializer.deserialize_str(Text)
                    }
                }
            }
        };
    }

    as_text!(Quota, "a quota such as \"100/s burst 20\"");
    as_text!(Tokens, "an amount such as 5 or \"0.5\"", Tokens::new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_quota_reads_back_as_it_was_written() {
        for text in [
            "100/s",
            "100/s burst 20",
            "60/min burst 10",
            "50000/h",
            "1/d",
            "5/10s",
            "3/ms",
            "13.888/s burst 2.5",
            "0.5/s",
            "0.5/s burst 0.5",
            "1/0.000000001s",
            "2/90s burst 7",
        ] {
            assert_eq!(text.parse::<Quota>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_way_of_writing_a_period_is_understood() {
        for (text, quota) in [
            ("50000/h burst 50000", Quota::per_hour(50_000)),
            ("60/minute", Quota::per_minute(60)),
            (" 60 / min  burst  10 ", Quota::per_minute(60).burst(10)),
            ("7/1.5h", Quota::new(7, Duration::from_secs(5_400))),
            ("7/250 ms", Quota::new(7, Duration::from_millis(250))),
            ("1_000/day", Quota::per_day(1_000)),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap(), quota, "{text}");
        }
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        for (text, message) in [
            ("3/fortnight", r#"unknown unit "fortnight" in "3/fortnight": use ms, s, min, h or d"#),
            ("3/", r#"unknown unit "" in "3/": use ms, s, min, h or d"#),
            ("3", r#""3" is not a quota: write "100/s", "60/min burst 10" or "5/10s""#),
            (
                "3/sburst 4",
                r#""3/sburst 4" is not a quota: write "100/s", "60/min burst 10" or "5/10s""#,
            ),
            ("x/s", r#""x" is not an amount: write digits, with up to nine after the point"#),
            ("-3/s", r#""-3" is not an amount: write digits, with up to nine after the point"#),
            ("3/s burst", r#""" is not an amount: write digits, with up to nine after the point"#),
            ("0/s", "rate 0: a bucket that never refills is a counter, not a rate limit"),
            ("3/s burst 0", "burst 0: a bucket that holds nothing can never allow a request"),
            ("3/0s", "period 0: a rate needs a time to be counted in"),
            (
                "3/9000d",
                "period 777600000s is above 144115188.075855872s, the longest a bucket can measure",
            ),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_bucket_fills_in_its_capacity_by_its_rate_rounded_up() {
        let fill_ns = |quota: Quota| quota.fill_time().as_nanos();
        assert_eq!(fill_ns(Quota::per_minute(60).burst(10)), 10_000_000_000);
        assert_eq!(fill_ns(Quota::per_second(3).burst(1)), 333_333_334);
        assert_eq!(fill_ns(Quota::per_second(Tokens::decimal(5, 1)).burst(1)), 2_000_000_000);
        assert_eq!(
            fill_ns(Quota::per_second(Tokens::decimal(3, 9)).burst(Tokens::decimal(1, 9))),
            333_333_334
        );
        // Beyond 64 bits, and beyond 128.
        assert_eq!(fill_ns(Quota::per_day(1_000_000).burst(1_000_000_000)), 86_400_000_000_000_000);
        let year = Duration::from_secs(365 * 86_400);
        let many = Quota::new(Tokens::decimal(5, 1), year).burst(u64::MAX);
        assert_eq!(many.fill_time(), Duration::from_nanos(u64::MAX));
        assert!(Quota::per_second(0).fill_time() > Duration::ZERO);
    }
}
