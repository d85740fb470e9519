//! Settings of a striped bucket beyond its quota.

use crossbeam_utils::CachePadded;

use super::stripes::Stripes;
use super::{StripedBucket, central_plan};
use crate::algorithm::layout::MARK_OF_TWO;
use crate::algorithm::{Layout, Room, Split};
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::error::QuotaError;
use crate::limits::MOST_STRIPES;
use crate::quota::Quota;
use crate::seqlock::Seqlock;
use crate::terms::Terms;
use crate::tokens::Tokens;

/// Settings of a [`StripedBucket`] beyond its quota.
///
/// # Examples
///
/// ```
/// use flowgate::{ManualClock, Quota, StripedBucket};
///
/// let hot = StripedBucket::builder(Quota::per_second(10_000))
///     .stripes(4)
///     .largest_quota(Quota::per_second(100_000))
///     .build_with_clock(ManualClock::new())?;
/// assert_eq!(hot.stripes(), 4);
/// assert_eq!(hot.resolution().max_capacity(), 100_000);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StripedBuilder {
    room: Room,
    stripes: Option<usize>,
    full: bool,
}

impl StripedBuilder {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            room: Room { quota, largest: None, debt: None, places: None, mark_bits: MARK_OF_TWO },
            stripes: None,
            full: true,
        }
    }

    /// Sets how many stripes there are: rounded up to a power of two, at least 1 and at most
    /// [`MOST_STRIPES`]. By default as many as the process may use processors. Each takes 128 bytes.
    #[must_use]
    pub fn stripes(mut self, stripes: usize) -> Self {
        self.stripes = Some(stripes);
        self
    }

    /// As [`Builder::largest_quota`](crate::Builder::largest_quota).
    #[must_use]
    pub fn largest_quota(mut self, quota: Quota) -> Self {
        self.room.largest = Some(quota);
        self
    }

    /// As [`Builder::max_debt`](crate::Builder::max_debt).
    #[must_use]
    pub fn max_debt(mut self, tokens: impl Into<Tokens>) -> Self {
        self.room.debt = Some(tokens.into());
        self
    }

    /// As [`Builder::places`](crate::Builder::places).
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

    /// Makes the bucket on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if one word cannot hold all that: see [`limits`](crate::limits).
    pub fn build(self) -> Result<StripedBucket, QuotaError> {
        self.build_with_clock(SystemClock::new())
    }

    /// Makes the bucket on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As `build`.
    pub fn build_with_clock<C: Clock>(self, clock: C) -> Result<StripedBucket<C>, QuotaError> {
        let quota = self.room.quota;
        let layout = Layout::choose(&self.room)?;
        let count = stripes_of(self.stripes);
        let split = Split::of(quota.capacity(), count);
        let plan = central_plan(&layout, &quota, split)?;
        let terms = Terms::new(layout, &plan, &quota);
        let level = layout.zero.wrapping_add(if self.full { plan.capacity_units } else { 0 });
        let word = layout.word_at(&plan, clock.now_ns(), level);
        Ok(StripedBucket {
            stripes: Stripes::new(count, split, self.full),
            word: CachePadded::new(Cell::new(word)),
            terms,
            clock,
            changes: Seqlock::new([]),
        })
    }
}

/// How many stripes are made if so many are asked for: a power of two.
pub(crate) fn stripes_of(stripes: Option<usize>) -> u64 {
    let stripes = stripes.unwrap_or_else(processors);
    stripes.clamp(1, MOST_STRIPES).next_power_of_two() as u64
}

/// How many the process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, core::num::NonZeroUsize::get)
}
