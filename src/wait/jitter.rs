//! A little more waiting, to keep those apart who would wake at once.

use core::time::Duration;
use std::hash::{BuildHasher, RandomState};

use crate::cell::Cell;

/// A random time to wait beyond what is needed, so that those who wait for the same moment do not act at the same
/// moment. Whoever need not wait is not held up.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use flowgate::Jitter;
///
/// let jitter = Jitter::up_to(Duration::from_millis(50));
/// assert!(jitter.draw() < Duration::from_millis(50));
/// // The same draws at each run of a test.
/// let jitter = Jitter::between(Duration::from_millis(10), Duration::from_millis(50)).seeded(7);
/// let again = Jitter::between(Duration::from_millis(10), Duration::from_millis(50)).seeded(7);
/// assert_eq!(jitter.draw(), again.draw());
/// ```
#[derive(Debug)]
pub struct Jitter {
    least_ns: u64,
    span_ns: u64,
    state: Cell,
}

impl Jitter {
    /// From nothing up to `most`.
    #[must_use]
    pub fn up_to(most: Duration) -> Self {
        Self::between(Duration::ZERO, most)
    }

    /// From `least` up to `most`.
    #[must_use]
    pub fn between(least: Duration, most: Duration) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (least_ns, most_ns) = (nanos(least), nanos(most));
        // Keys that differ from limiter to limiter and from run to run.
        let seed = RandomState::new().hash_one(least_ns);
        let span_ns = most_ns.saturating_sub(least_ns);
        Self { least_ns, span_ns, state: Cell::new(seed) }
    }

    /// Makes the same draws each time.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.state = Cell::new(seed);
        self
    }

    /// Draws the next time to wait; threads may draw at once.
    pub fn draw(&self) -> Duration {
        // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
        let mut mixed = self.state.add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let drawn = u128::from(mixed).wrapping_mul(self.span_ns.into()) >> 64;
        // Below the span.
        let drawn_ns = u64::try_from(drawn).unwrap_or(0);
        Duration::from_nanos(self.least_ns.saturating_add(drawn_ns))
    }
}
