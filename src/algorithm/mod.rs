//! Pure state transitions on a 64-bit word: `(word, now, cost, plan) → new word | denial`.
//!
//! No atomics, no clock, no `std`. The unit of account is a *unit* (a decimal fraction of a token,
//! chosen per limiter), the unit of time a nanosecond.

pub(crate) mod layout;
mod rate;
mod token_bucket;

pub(crate) use layout::{Layout, Room};
pub(crate) use rate::{Rate, Wait};
pub(crate) use token_bucket::{Plan, Reading};
