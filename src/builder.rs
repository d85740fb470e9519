//! Settings of a limiter beyond its quota.

use crate::algorithm::Room;
use crate::algorithm::layout::MARK_OF_TWO;
use crate::clock::Clock;
use crate::error::QuotaError;
use crate::quota::Quota;
use crate::token_bucket::{TokenBucket, make};
use crate::tokens::Tokens;

/// Settings of a [`TokenBucket`] beyond its quota.
///
/// The 64 bits of a bucket are divided when it is built. The less they must hold, the finer they
/// count, so say here what the defaults should not guess.
///
/// # Examples
///
/// ```
/// use flowgate::{ManualClock, Quota, TokenBucket, Tokens};
///
/// let limiter = TokenBucket::builder(Quota::per_second(100))
///     .largest_quota(Quota::per_second(10_000))
///     .max_debt(500)
///     .places(2)
///     .build_with_clock(ManualClock::new())?;
/// assert_eq!(limiter.resolution().max_capacity(), 10_000);
/// assert_eq!(limiter.resolution().max_debt(), 500);
/// assert_eq!(limiter.resolution().unit(), Tokens::decimal(1, 2));
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    room: Room,
    full: bool,
}

impl Builder {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            room: Room { quota, largest: None, debt: None, places: None, mark_bits: MARK_OF_TWO },
            full: true,
        }
    }

    /// Names the largest quota that [`set_quota`](TokenBucket::set_quota) will ever set: its rate and
    /// its capacity are the limits. By default eight times the first quota, or less where the bits do
    /// not allow it.
    #[must_use]
    pub fn largest_quota(mut self, quota: Quota) -> Self {
        self.room.largest = Some(quota);
        self
    }

    /// Bounds the debt that [`charge`](TokenBucket::charge) can run up, and so how much can be
    /// [reserved](TokenBucket::reserve) ahead: who waits beyond it has no place in the order. By default as much as the
    /// largest capacity, or what is repaid in 2.2 years if that is less.
    #[must_use]
    pub fn max_debt(mut self, tokens: impl Into<Tokens>) -> Self {
        self.room.debt = Some(tokens.into());
        self
    }

    /// Sets the smallest amount told apart to 10^-`places` tokens, from 0 to 9. By default as small as
    /// the bits allow.
    #[must_use]
    pub fn places(mut self, places: u32) -> Self {
        self.room.places = Some(places);
        self
    }

    /// Starts with an empty bucket in place of a full one.
    #[must_use]
    pub fn start_empty(mut self) -> Self {
        self.full = false;
        self
    }

    /// Makes the bucket on the [`SystemClock`](crate::SystemClock).
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot hold all that: see [`limits`](crate::limits).
    #[cfg(feature = "std")]
    pub fn build(self) -> Result<TokenBucket, QuotaError> {
        self.build_with_clock(crate::clock::SystemClock::new())
    }

    /// Makes the bucket on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As `build`.
    pub fn build_with_clock<C: Clock>(self, clock: C) -> Result<TokenBucket<C>, QuotaError> {
        make(&self.room, self.full, clock)
    }
}
