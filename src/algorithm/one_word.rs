//! The algorithms that callers choose from, and what they have in common.

use core::fmt::Debug;

use super::layout::{MARK_OF_MANY, MARK_OF_TWO};
use super::{Layout, Room, Rules};
use crate::error::QuotaError;
use crate::quota::Quota;

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
#[allow(private_bounds)]
pub trait Algorithm: OneWord {}

impl<A: OneWord> Algorithm for A {}

/// An [`Algorithm`] that decides about any word by the numbers in force: so one of them can change by itself.
pub trait Adjustable: Algorithm {}

/// Seals [`Algorithm`].
pub trait OneWord: Copy + Debug + Send + Sync + 'static {
    type Rules: Rules;

    /// How its words lie, for one bucket or for many that share their plans.
    fn rules(&self, of_many: bool) -> Result<Self::Rules, QuotaError>;

    fn config(&self) -> <Self::Rules as Rules>::Config;

    fn from_config(config: <Self::Rules as Rules>::Config) -> Self;

    /// The same, on a clock that showed zero so long after 1970.
    #[must_use]
    fn since_1970(self, _zero_at_unix_ns: u64) -> Self {
        self
    }
}

impl OneWord for Quota {
    type Rules = Layout;

    fn rules(&self, of_many: bool) -> Result<Layout, QuotaError> {
        let mark_bits = if of_many { MARK_OF_MANY } else { MARK_OF_TWO };
        Layout::choose(&Room { quota: *self, largest: None, debt: None, places: None, mark_bits })
    }

    fn config(&self) -> Quota {
        *self
    }

    fn from_config(quota: Quota) -> Self {
        quota
    }
}
