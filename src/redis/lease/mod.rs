//! Tokens leased from a store in batches, and spent by a local word.
//!
//! | file | what is in it |
//! |---|---|
//! | `algorithm/lease.rs` | the word of a lease |
//! | `leased.rs`, of the crate | the two words of a key, and their swaps |
//! | `batch.rs`, `breaker.rs`, `terms.rs` | how much to ask for, whether to ask, and by which numbers |
//! | `account.rs` | one key: its words, and what was told of it |
//! | `leases.rs` | all keys, and the decision; given the time |
//! | `ask.rs`, `task.rs` | what the store is asked, and the one task that asks |
//! | `share.rs` | what is granted while the store is away |
//! | `settings.rs`, `admitted.rs`, `stats.rs`, `limiter.rs` | what users see |
//! | `limit.rs` | the same in sets of limits, waits and layers |
//! | `shared.rs`, `watch.rs` | what callers and task have in common; who is told of outages |

mod account;
mod admitted;
mod ask;
mod batch;
mod breaker;
mod leases;
mod limit;
mod limiter;
mod settings;
mod share;
mod shared;
#[cfg(test)]
mod simulated;
mod stats;
mod task;
mod terms;
mod watch;

pub use admitted::Admitted;
pub(crate) use ask::{Ask, Hint, Lessor, Told};
pub use limiter::{LeasedHandle, LeasedLimiter};
pub use settings::{Lease, LeaseError, WhenDown};
pub use stats::LeaseStats;
