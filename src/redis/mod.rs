//! Limits that several servers share, in Redis or Valkey.

mod bucket_in_store;
mod counts;
mod error;
mod failure;
mod key;
mod lease;
mod limit;
mod limiter;
mod reservation;
mod rule;
mod scale;
mod script;
mod set;
mod store;

pub use error::{StoreError, StoreErrorKind};
pub use failure::{ConnectError, RedisError};
pub use key::StoreKey;
pub use lease::{Admitted, Lease, LeaseError, LeaseStats, LeasedHandle, LeasedLimiter, WhenDown};
pub use limit::RedisLimit;
pub use limiter::RedisLimiter;
pub use reservation::RedisReservation;
pub use set::RedisLimitSet;
pub use store::RedisStore;
