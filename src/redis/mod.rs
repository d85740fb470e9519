//! Limits that several servers share, in Redis or Valkey.

#![allow(dead_code)] // until its parts are there

mod bucket_in_store;
mod counts;
mod error;
mod key;
mod lease;
mod rule;
mod scale;
mod script;
mod store;

pub use error::{StoreError, StoreErrorKind};
pub use key::StoreKey;
pub use lease::{Admitted, Lease, LeaseError, LeaseStats, LeasedHandle, LeasedLimiter, WhenDown};
pub use store::RedisStore;
