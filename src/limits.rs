#![doc = include_str!("../docs/limits.md")]
use core::time::Duration;

use crate::algorithm::layout;

/// The longest time between two grants of a bucket after which it still knows how long ago that was,
/// and the longest step back of a clock that is recognised as one: 9.1 years.
pub const LONGEST_IDLE: Duration = Duration::from_nanos(layout::LONGEST_IDLE_NS);

/// The longest time that a bucket may take to fill from its deepest debt: 4.5 years.
pub const LONGEST_FILL: Duration = Duration::from_nanos(layout::LONGEST_FILL_NS);

/// The highest rate: 15 tokens per nanosecond. Count larger things in thousands.
pub const HIGHEST_RATE_PER_SECOND: u64 = 15_000_000_000;

/// The largest capacity and debt together, at rates up to 1 token per nanosecond: 2.5 × 10^14 tokens.
pub const LARGEST_CAPACITY: u64 = 250_000_000_000_000;

/// The largest limit of a [`SlidingLog`](crate::SlidingLog), which takes eight bytes per token: 65,536 tokens per
/// window, 512 KB.
#[cfg(feature = "std")]
pub const LARGEST_LOG: u64 = 65_536;

/// The most stripes of a [`StripedBucket`](crate::StripedBucket): 1,024, which are 128 KB.
#[cfg(feature = "std")]
pub const MOST_STRIPES: usize = 1_024;

/// The most keys that a [`KeyedLimiter`](crate::KeyedLimiter) holds unless it is told otherwise: 2^24, some
/// 0.5 GB of `u64` keys.
#[cfg(feature = "keyed")]
pub const DEFAULT_MAX_KEYS: u64 = 1 << 24;

/// The most buckets that keys share for which there is no room, see [`WhenFull`](crate::WhenFull): 4,096, which
/// are 32 KB.
#[cfg(feature = "keyed")]
pub const SHARED_BUCKETS: u64 = crate::keyed::SHARED_BUCKETS;
