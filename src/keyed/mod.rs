//! The keyed limiter: a bucket per key.
//!
//! Given the time in [`buckets`], with a clock in [`on`] and [`limiter`].

mod away;
mod buckets;
mod builder;
mod calls;
mod divided;
mod handle;
mod hash;
mod held;
mod hot;
mod limiter;
mod log;
mod manage;
mod on;
mod part;
mod room;
mod saved;
mod tiers;
mod words;

pub use builder::KeyedBuilder;
pub use handle::Handle;
pub use hash::{SeededHash, SeededHasher};
pub use hot::HotHandle;
pub use limiter::KeyedLimiter;
pub use log::KeyedSlidingLog;
pub use on::{On, OnEach};
pub(crate) use room::SHARED_BUCKETS;
pub use room::WhenFull;
pub use saved::SavedKeys;
pub use tiers::Tier;
