//! Pure state transitions on a 64-bit word: `(word, now, cost, plan) → new word | denial`.
//!
//! No atomics, no clock, no `std`. The unit of account is a *unit* (a decimal fraction of a token,
//! chosen per limiter), the unit of time a nanosecond.

// What the sealed, public trait `Algorithm` names must be public, here where nobody else can name it.
#![allow(unreachable_pub)]

mod fixed_window;
mod gcra;
mod instant;
#[cfg(feature = "redis")]
mod kind;
pub(crate) mod layout;
mod leaky_bucket;
mod leaky_queue;
#[cfg(any(feature = "redis", flowgate_loom))]
mod lease;
mod one_word;
mod rate;
mod rules;
#[cfg(feature = "std")]
pub(crate) mod sliding_log;
mod sliding_window;
#[cfg(feature = "std")]
mod stripe;
mod token_bucket;
mod window;

pub use fixed_window::FixedWindow;
pub use gcra::Gcra;
pub(crate) use instant::Instants;
#[cfg(feature = "redis")]
pub use kind::Kind;
pub(crate) use layout::{Layout, Room};
pub use leaky_bucket::LeakyBucket;
pub use leaky_queue::LeakyQueue;
#[cfg(feature = "redis")]
pub(crate) use lease::LARGEST_LEASE;
#[cfg(any(feature = "redis", flowgate_loom))]
pub(crate) use lease::Lease;
pub use one_word::{Adjustable, Algorithm, Reservable};
pub(crate) use one_word::{Extras, OneWord, on_an_instant, on_windows};
pub(crate) use rate::{Rate, Wait};
#[cfg(feature = "keyed")]
pub(crate) use rules::ManyRules;
pub(crate) use rules::{Ahead, Closeness, Rules, Unused};
pub use sliding_window::SlidingWindow;
#[cfg(feature = "std")]
pub(crate) use stripe::{Split, Stripe};
pub(crate) use token_bucket::Plan;
#[cfg(feature = "redis")]
pub(crate) use window::Start;
pub(crate) use window::{PerPeriod, Windows};
