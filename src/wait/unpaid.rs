//! An item whose cost is refused.

use core::fmt;

/// An item that never gets its tokens, handed back, and why: as a rule its cost is above the capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpaid<I, D> {
    /// The item.
    pub item: I,
    /// Why: a [`Denied`](crate::Denied), or of a set of limits a [`Rejected`](crate::Rejected).
    pub denied: D,
}

impl<I, D: fmt::Display> fmt::Display for Unpaid<I, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an item is not paid for: {}", self.denied)
    }
}

impl<I: fmt::Debug, D: core::error::Error> core::error::Error for Unpaid<I, D> {}
