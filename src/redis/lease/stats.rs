//! What a leased limiter counts.

use crate::cell::Cell;

/// Written by the task that asks the store, once an ask; decisions count nothing.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) asked: Cell,
    pub(crate) failed: Cell,
    pub(crate) unknown: Cell,
    pub(crate) late: Cell,
    pub(crate) leased: Cell,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let none = || Cell::new(0);
        Self { asked: none(), failed: none(), unknown: none(), late: none(), leased: none() }
    }
}

/// What became of the calls to the store since the limiter was made. From
/// [`LeasedLimiter::stats`](crate::redis::LeasedLimiter::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseStats {
    /// Calls that were made.
    pub asked: u64,
    /// Those that were not answered.
    pub failed: u64,
    /// Of these, those that may have been carried out: their tokens may be gone, which is the safe side.
    pub unknown: u64,
    /// Answers that came when their tokens could no longer be used.
    pub late: u64,
    /// Leases that were granted.
    pub leased: u64,
    /// How often the store went away: the times that the circuit breaker opened.
    pub outages: u64,
    /// Whether it is away now.
    pub is_down: bool,
    /// The keys that are held.
    pub keys: u64,
}
