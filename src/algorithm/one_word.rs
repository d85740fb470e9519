//! The algorithms that callers choose from, and what they have in common.

use core::fmt::Debug;

use super::layout::{MARK_OF_MANY, MARK_OF_TWO};
use super::{Layout, Room, Rules};
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::tokens::Tokens;

/// How a limiter decides: [`Quota`], which is the token bucket, and its siblings.
///
/// | algorithm | in any window of its period at most | after a rest | says how long to wait |
/// |---|---|---|---|
/// | [`Quota`] (token bucket) | burst + rate × window | a burst | to the nanosecond |
/// | [`Gcra`](crate::Gcra) | the same | a burst | to the nanosecond |
/// | [`LeakyBucket`](crate::LeakyBucket) | the same | a bucketful | to the nanosecond |
/// | [`LeakyQueue`](crate::LeakyQueue) | leave: 1 + rate × window | one at once, the rest paced | for each its departure |
/// | [`FixedWindow`](crate::FixedWindow) | 2 × limit | the limit | to the end of the window |
/// | [`SlidingWindow`](crate::SlidingWindow) | 2 × limit, as a rule little above the limit | the limit | to the nanosecond |
///
/// `docs/choosing.md` says when to take which. The trait is sealed: an algorithm is part of this crate, with its
/// proof. All of them keep their state in one word, and are run by the same compare-and-swap loop.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one of flowgate's algorithms",
    note = "algorithms are `Quota` (the token bucket), `Gcra`, `LeakyBucket`, `LeakyQueue`, `FixedWindow` and `SlidingWindow`"
)]
pub trait Algorithm: OneWord {}

impl Algorithm for Quota {}

/// An [`Algorithm`] that decides about any word by the numbers in force: so its limit, or its burst, can change by
/// itself, through [`Limiter::set`](crate::Limiter::set).
///
/// All but [`Quota`], whose rate and burst change together, through
/// [`set_quota`](crate::TokenBucket::set_quota).
pub trait Adjustable: Algorithm {}

/// An [`Algorithm`] from which can be taken ahead of time, through [`Limiter::reserve`](crate::Limiter::reserve).
///
/// All but windows: their words keep what was counted in the present one, and nothing of those to come.
pub trait Reservable: Algorithm {}

impl Reservable for Quota {}

/// Seals [`Algorithm`].
pub trait OneWord: Copy + Debug + Send + Sync + 'static {
    #[cfg(not(feature = "keyed"))]
    type Rules: Rules;
    #[cfg(feature = "keyed")]
    type Rules: Rules + super::ManyRules;

    /// How its words lie.
    fn rules(&self, extras: &Extras) -> Result<Self::Rules, QuotaError>;

    fn config(&self) -> <Self::Rules as Rules>::Config;

    fn from_config(config: <Self::Rules as Rules>::Config) -> Self;

    /// Which one it is, for a store that does not keep words.
    #[cfg(feature = "redis")]
    fn kind(&self) -> super::Kind;

    /// The same, on a clock that showed zero so long after 1970.
    #[must_use]
    fn since_1970(self, _zero_at_unix_ns: u64) -> Self {
        self
    }
}

/// What words must have room for besides an algorithm's own numbers: all of it is about token buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// The largest quota of its life, if the caller knows; otherwise some headroom is left.
    pub(crate) largest: Option<Quota>,
    pub(crate) debt: Option<Tokens>,
    pub(crate) places: Option<u32>,
    /// Many words share their plans.
    pub(crate) of_many: bool,
}

impl OneWord for Quota {
    type Rules = Layout;

    fn rules(&self, extras: &Extras) -> Result<Layout, QuotaError> {
        let Extras { largest, debt, places, of_many } = *extras;
        let mark_bits = if of_many { MARK_OF_MANY } else { MARK_OF_TWO };
        Layout::choose(&Room { quota: *self, largest, debt, places, mark_bits })
    }

    fn config(&self) -> Quota {
        *self
    }

    fn from_config(quota: Quota) -> Self {
        quota
    }

    #[cfg(feature = "redis")]
    fn kind(&self) -> super::Kind {
        super::Kind::TokenBucket(*self)
    }
}

/// An algorithm on one instant: a quota, and how many tokens beyond its burst may be under way.
macro_rules! on_an_instant {
    ($algorithm:ident, $extra_tokens:literal, $(#[$new:meta])*) => {
        impl $algorithm {
            $(#[$new])*
            #[must_use]
            pub const fn new(quota: crate::Quota) -> Self {
                Self { quota }
            }

            /// The quota.
            #[must_use]
            pub const fn quota(&self) -> crate::Quota {
                self.quota
            }
        }

        impl From<crate::Quota> for $algorithm {
            fn from(quota: crate::Quota) -> Self {
                Self::new(quota)
            }
        }

        impl crate::algorithm::OneWord for $algorithm {
            type Rules = crate::algorithm::Instants;

            fn rules(&self, _: &crate::algorithm::Extras) -> Result<Self::Rules, crate::QuotaError> {
                crate::algorithm::Instants::choose(&self.quota, $extra_tokens)
            }

            fn config(&self) -> crate::Quota {
                self.quota
            }

            fn from_config(quota: crate::Quota) -> Self {
                Self { quota }
            }

            #[cfg(feature = "redis")]
            fn kind(&self) -> crate::algorithm::Kind {
                crate::algorithm::Kind::$algorithm(self.quota)
            }
        }

        impl crate::algorithm::Algorithm for $algorithm {}
        impl crate::algorithm::Adjustable for $algorithm {}
        impl crate::algorithm::Reservable for $algorithm {}
    };
}

/// An algorithm on counts of windows, and whether the window before weighs.
macro_rules! on_windows {
    ($algorithm:ident, $weighs:literal) => {
        impl $algorithm {
            /// Allows `limit` per window of `period`, at multiples of the period.
            #[must_use]
            pub fn new(limit: impl Into<crate::Tokens>, period: core::time::Duration) -> Self {
                Self { per: crate::algorithm::PerPeriod::new(limit.into(), period) }
            }

            /// The limit.
            #[must_use]
            pub const fn limit(&self) -> crate::Tokens {
                self.per.limit
            }

            /// The length of a window.
            #[must_use]
            pub const fn period(&self) -> core::time::Duration {
                self.per.period
            }
        }

        impl crate::algorithm::OneWord for $algorithm {
            type Rules = crate::algorithm::Windows;

            fn rules(
                &self,
                _: &crate::algorithm::Extras,
            ) -> Result<Self::Rules, crate::QuotaError> {
                crate::algorithm::Windows::choose(&self.per, $weighs)
            }

            fn config(&self) -> crate::algorithm::PerPeriod {
                self.per
            }

            fn from_config(per: crate::algorithm::PerPeriod) -> Self {
                Self { per }
            }

            #[cfg(feature = "redis")]
            fn kind(&self) -> crate::algorithm::Kind {
                crate::algorithm::Kind::$algorithm(self.per)
            }

            fn since_1970(self, zero_at_unix_ns: u64) -> Self {
                Self { per: self.per.since_1970(zero_at_unix_ns) }
            }
        }

        impl crate::algorithm::Algorithm for $algorithm {}
        impl crate::algorithm::Adjustable for $algorithm {}
    };
}

pub(crate) use {on_an_instant, on_windows};
