//! An algorithm with its numbers, for a store that keeps them otherwise than in a word.

use super::window::PerPeriod;
use crate::quota::Quota;

/// Which algorithm, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    TokenBucket(Quota),
    Gcra(Quota),
    LeakyBucket(Quota),
    LeakyQueue(Quota),
    FixedWindow(PerPeriod),
    SlidingWindow(PerPeriod),
}
