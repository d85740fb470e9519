//! What goes wrong: a denial on the hot path, or a quota that cannot be kept.

use core::fmt;
use core::time::Duration;

use crate::algorithm::Wait;
use crate::tokens::Tokens;

/// Why nothing was taken: not yet, or never.
///
/// A denial changes nothing and writes nothing. It is `Copy` and holds no text; the wait is computed
/// when it is asked for.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{Denied, ManualClock, Quota, TokenBucket};
///
/// let clock = ManualClock::new();
/// let limiter = TokenBucket::with_clock(Quota::per_second(2).burst(10), &clock)?;
/// limiter.try_consume(10).unwrap();
///
/// let denied = limiter.try_consume(1).unwrap_err();
/// assert!(matches!(denied, Denied::NotYet(_)));
/// assert_eq!(denied.retry_after(), Some(Duration::from_millis(500)));
///
/// let denied = limiter.try_consume(11).unwrap_err();
/// assert!(matches!(denied, Denied::Never(_)));
/// assert_eq!(denied.retry_after(), None);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There are too few tokens now; waiting helps.
    NotYet(NotYet),
    /// The cost is above the capacity; no wait helps.
    Never(Never),
    /// A keyed limiter holds as many keys as it may, and this one is not among them: see `WhenFull::DenyNew`.
    NoRoom(NoRoom),
    /// The store that several servers share does not answer, and the caller chose to be denied then: see
    /// `redis::WhenDown`. It says nothing of the quota.
    Unavailable(Unavailable),
}

impl Denied {
    /// Computes how long to wait until the same call would succeed if nobody else took tokens, or
    /// `None` if it never would.
    ///
    /// The wait is exact to the nanosecond: after it the call succeeds, a nanosecond earlier it does
    /// not. It is never zero. (Of [`NoRoom`](Self::NoRoom) and [`Unavailable`](Self::Unavailable) it is an estimate: see there.)
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotYet(not_yet) => Some(not_yet.retry_after()),
            Self::Never(_) => None,
            Self::NoRoom(no_room) => Some(no_room.retry_after()),
            Self::Unavailable(unavailable) => Some(unavailable.retry_after()),
        }
    }

    /// Tells whether no wait would help.
    #[must_use]
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Never(_))
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(not_yet) => write!(f, "denied: retry after {:?}", not_yet.retry_after()),
            Self::Never(never) => write!(
                f,
                "denied: a cost of {} is above the capacity of {}, so it can never be allowed",
                never.cost, never.capacity
            ),
            Self::NoRoom(no_room) => {
                write!(
                    f,
                    "denied: no room for another key; retry after {:?}",
                    no_room.retry_after()
                )
            }
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl core::error::Error for Denied {}

/// Too few tokens now. See [`Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYet {
    pub(crate) wait: Wait,
}

impl NotYet {
    pub(crate) fn after(now_ns: u64, wait_ns: u64) -> Self {
        Self { wait: Wait::after(now_ns, wait_ns) }
    }

    /// Computes how long to wait. See [`Denied::retry_after`].
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        // None at all if the quota was changed between the decision and this question.
        self.wait.duration().max(Duration::from_nanos(1))
    }
}

/// A cost above the capacity. See [`Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Never {
    pub(crate) cost: Tokens,
    pub(crate) capacity: Tokens,
}

impl Never {
    /// The cost that was asked for.
    #[must_use]
    pub const fn cost(&self) -> Tokens {
        self.cost
    }

    /// The most that one call can take.
    #[must_use]
    pub const fn capacity(&self) -> Tokens {
        self.capacity
    }
}

/// No room for another key. See [`Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    pub(crate) wait: Wait,
}

impl NoRoom {
    /// Computes the time in which an empty bucket fills: each key that is not used for so long makes room.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.wait.duration()
    }
}

/// A store that does not answer. See [`Denied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Of the kind of error, which only some features name.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    code: u64,
    wait: Wait,
}

impl Unavailable {
    #[cfg(feature = "redis")]
    pub(crate) fn after(code: u64, now_ns: u64, wait_ns: u64) -> Self {
        Self { code, wait: Wait::after(now_ns, wait_ns) }
    }

    /// What is wrong with the store, and what to do about it.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn kind(&self) -> crate::redis::StoreErrorKind {
        // Made from one.
        let kind = crate::redis::StoreErrorKind::from_code(self.code);
        kind.unwrap_or(crate::redis::StoreErrorKind::Unreachable)
    }

    /// Computes the time until the store is tried next.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.wait.duration().max(Duration::from_nanos(1))
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied: the shared store does not answer")?;
        #[cfg(feature = "redis")]
        write!(f, ": {}", self.kind())?;
        write!(f, "; retry after {:?}", self.retry_after())
    }
}

/// A quota or a setting that cannot be kept, found when a limiter is built or changed, never later.
///
/// The message names the field, the value and the limit.
///
/// # Examples
///
/// ```
/// use flowgate::{Quota, TokenBucket};
///
/// let error = TokenBucket::new(Quota::per_second(5).burst(0)).unwrap_err();
/// assert_eq!(error.to_string(), "burst 0: a bucket that holds nothing can never allow a request");
///
/// let error = "3/fortnight".parse::<Quota>().unwrap_err();
/// assert_eq!(error.to_string(), r#"unknown unit "fortnight" in "3/fortnight": use ms, s, min, h or d"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The rate is zero tokens.
    ZeroRate,
    /// The burst is zero, or less than the smallest unit this limiter can count.
    ZeroBurst,
    /// The period is zero.
    ZeroPeriod,
    /// The period is longer than [`limits::LONGEST_FILL`](crate::limits::LONGEST_FILL).
    PeriodTooLong {
        /// The period asked for.
        period: Duration,
    },
    /// The limit of a log is above [`limits::LARGEST_LOG`](crate::limits).
    LogTooLong {
        /// The limit asked for.
        limit: u64,
        /// The largest limit.
        largest: u64,
    },
    /// The window of a log is shorter than it can measure well.
    WindowTooShort {
        /// The window asked for.
        window: Duration,
        /// The shortest window at this limit.
        shortest: Duration,
    },
    /// The rate is above what one word can count.
    RateTooHigh {
        /// The rate asked for, in tokens per second, any fraction left out.
        per_second: u64,
        /// The largest rate at this capacity, in tokens per second.
        largest: u64,
    },
    /// The capacity and the debt together are above what one word can count.
    CapacityTooLarge {
        /// The capacity and debt asked for, together.
        tokens: Tokens,
        /// The largest amount one word can count at this rate.
        largest: Tokens,
    },
    /// An empty bucket, or one in its deepest debt, would take too long to fill.
    FillTooSlow {
        /// How long it would take, in seconds, rounded up.
        seconds: u64,
    },
    /// A live change asks for more than this limiter was built to hold.
    AboveBuilt {
        /// Which field: `"burst"`, `"rate per second"` or `"limit"`.
        field: &'static str,
        /// The value asked for.
        value: Tokens,
        /// The largest value this limiter was built for.
        largest: Tokens,
    },
    /// One token would take too long to come, of a limiter that keeps an instant.
    TokenTooSlow {
        /// How long one token would take, in seconds, rounded up.
        seconds: u64,
    },
    /// The rate would be more than a thousandth below what was asked for: one token takes a whole number of 1/16 ns,
    /// of a limiter that keeps an instant.
    RateRounded {
        /// The rate asked for, in tokens per second.
        per_second: Tokens,
        /// The rate that would be kept.
        kept: Tokens,
    },
    /// The limit is zero, or less than the smallest unit this limiter can count.
    ZeroLimit {
        /// The limit asked for.
        limit: Tokens,
    },
    /// The limit is above what one word can count by windows of this period.
    LimitTooLarge {
        /// The limit asked for.
        limit: Tokens,
        /// The period.
        period: Duration,
        /// The largest limit for it, in whole tokens.
        largest: Tokens,
    },
    /// A live change asks for windows that begin at other times than this limiter was built with.
    StartChanged {
        /// Whether those that were asked for begin with the first call.
        from_first_call: bool,
    },
    /// A live change asks for another rate, of a limiter that can only change its burst.
    RateChanged {
        /// The rate asked for, in tokens per second.
        per_second: Tokens,
    },
    /// A live change asks for another period than this limiter was built with.
    PeriodChanged {
        /// The period asked for.
        period: Duration,
        /// The period it was built with.
        built: Duration,
    },
    /// The smallest unit asked for does not leave room for the rate and the capacity.
    UnitTooSmall {
        /// The decimal places asked for.
        places: u32,
        /// The most decimal places at this rate and capacity.
        largest: u32,
    },
    /// A limit in a store is above what its scripts count exactly at this rate, or in this period.
    AboveExact {
        /// Which field: `"burst"` or `"limit"`.
        field: &'static str,
        /// The value asked for.
        value: Tokens,
        /// The largest value, as fine as it is counted.
        largest: Tokens,
    },
    /// A window of a limit in a store is no whole number of microseconds, in which its clock counts.
    PeriodTooFine {
        /// The period asked for.
        period: Duration,
    },
    /// Two limits of one set have the same name.
    SameName {
        /// The name.
        name: Excerpt,
    },
    /// A keyed limiter may hold no key.
    ZeroKeys,
    /// A keyed limiter can have one quota only: one of several would refill by more than a quarter of its
    /// capacity in a tick of the limiter's.
    TooFastForTiers {
        /// The tick of the limiter's words.
        tick: Duration,
        /// How long the quota's bucket takes to fill, without debt.
        fill: Duration,
    },
    /// A text is not a decimal amount.
    NotANumber {
        /// The text.
        text: Excerpt,
    },
    /// A text is not of the form `count/period` or `count/period burst count`.
    NotAQuota {
        /// The text.
        text: Excerpt,
    },
    /// A unit of time is unknown.
    UnknownUnit {
        /// The unit.
        unit: Excerpt,
        /// The whole text.
        text: Excerpt,
    },
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroRate => {
                f.write_str("rate 0: a bucket that never refills is a counter, not a rate limit")
            }
            Self::ZeroBurst => {
                f.write_str("burst 0: a bucket that holds nothing can never allow a request")
            }
            Self::ZeroPeriod => f.write_str("period 0: a rate needs a time to be counted in"),
            Self::PeriodTooLong { period } => write!(
                f,
                "period {period:?} is above {:?}, the longest a bucket can measure",
                crate::limits::LONGEST_FILL
            ),
            Self::LogTooLong { limit, largest } => write!(
                f,
                "limit {limit} is above {largest}, the most that a log keeps entries for: use a sliding window or a token bucket, or count in larger things"
            ),
            Self::WindowTooShort { window, shortest } => write!(
                f,
                "window {window:?} is below {shortest:?}, the shortest that a log measures at this limit"
            ),
            Self::RateTooHigh { per_second, largest } => write!(
                f,
                "rate {per_second}/s is above {largest}/s, the highest that one word can count"
            ),
            Self::CapacityTooLarge { tokens, largest } => write!(
                f,
                "burst and debt of {tokens} together are above {largest}, the most that one word can count"
            ),
            Self::FillTooSlow { seconds } => write!(
                f,
                "filling this bucket from the lowest level it may have would take {seconds} s, above {} s, the longest a bucket can measure: use a higher rate, a smaller burst or a smaller debt",
                crate::limits::LONGEST_FILL.as_secs()
            ),
            Self::AboveBuilt { field: field @ "limit", value, largest } => write!(
                f,
                "{field} {value} is above {largest}, the most that this limiter was built to count: build it with the largest limit it will ever have, and lower that"
            ),
            Self::AboveBuilt { field, value, largest } => write!(
                f,
                "{field} {value} is above {largest}, the largest this limiter was built for: name the largest quota it will ever have with `largest_quota` when building it"
            ),
            Self::UnitTooSmall { places, largest } => write!(
                f,
                "{places} decimal places are above {largest}, the most that one word has room for at this rate, burst and debt"
            ),
            Self::TokenTooSlow { seconds } => write!(
                f,
                "one token would take {seconds} s to come at this rate, above {} s, the longest that an instant can be ahead",
                crate::limits::LONGEST_FILL.as_secs()
            ),
            Self::RateRounded { per_second, kept } => write!(
                f,
                "rate {per_second} per second would be kept as {kept}, more than a thousandth less, since a token takes a whole number of 1/16 ns here: ask for that rate, or use a token bucket"
            ),
            Self::ZeroLimit { limit } => write!(
                f,
                "limit {limit}: less than the smallest amount that this limiter counts, so it could never allow a request"
            ),
            Self::LimitTooLarge { limit, period, largest } => write!(
                f,
                "limit {limit} is above {largest}, the most that one word can count in windows of {period:?}"
            ),
            Self::StartChanged { from_first_call } => {
                let (asked, built) = if *from_first_call {
                    ("with the first call", "at multiples of the period")
                } else {
                    ("at multiples of the period", "with the first call")
                };
                write!(
                    f,
                    "windows that begin {asked}: those of this limiter begin {built}, and only its limit can change"
                )
            }
            Self::RateChanged { per_second } => write!(
                f,
                "rate {per_second} per second: this limiter keeps an instant, which is ahead by the rate that it was built with, and only its burst can change; a token bucket can change both"
            ),
            Self::PeriodChanged { period, built } => write!(
                f,
                "period {period:?}: this limiter counts in windows of {built:?}, and only its limit can change"
            ),
            Self::AboveExact { field, value, largest } => write!(
                f,
                "{field} {value} is above {largest}, the most that a script counts exactly here, where numbers are whole up to 2^53: use a smaller one, a rounder rate, a shorter period, or fewer decimal places"
            ),
            Self::PeriodTooFine { period } => write!(
                f,
                "period {period:?}: a window of a limit in a store is a whole number of microseconds"
            ),
            Self::SameName { name } => {
                write!(f, "limit {name}: two of one set have this name, and would share a bucket")
            }
            Self::ZeroKeys => {
                f.write_str("max_keys 0: a limiter that may hold no key has none to limit")
            }
            Self::TooFastForTiers { tick, fill } => write!(
                f,
                "a bucket that fills in {fill:?} is too fast to be one of several tiers here, where time is kept in ticks of {tick:?}: use a larger burst, or name a smaller `largest_quota` when building the limiter"
            ),
            Self::NotANumber { text } => {
                write!(f, "{text} is not an amount: write digits, with up to nine after the point")
            }
            Self::NotAQuota { text } => write!(
                f,
                "{text} is not a quota: write \"100/s\", \"60/min burst 10\" or \"5/10s\""
            ),
            Self::UnknownUnit { unit, text } => {
                write!(f, "unknown unit {unit} in {text}: use ms, s, min, h or d")
            }
        }
    }
}

impl core::error::Error for QuotaError {}

/// The first 40 bytes of a text that was refused, kept without allocating.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; 40],
    len: u8,
    cut: bool,
}

impl Excerpt {
    pub(crate) fn new(text: &str) -> Self {
        let mut len = text.len().min(40);
        while !text.is_char_boundary(len) {
            len = len.saturating_sub(1);
        }
        let mut bytes = [0; 40];
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(len)) {
            *to = from;
        }
        // At most 40.
        #[allow(clippy::cast_possible_truncation)]
        Self { bytes, len: len as u8, cut: len < text.len() }
    }

    /// The text, cut after its first 40 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }
}

/// Writes the text in quotes, with control characters escaped and a mark where it was cut.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())?;
        if self.cut { f.write_str("…") } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
