//! Limits that several servers share, in Redis or Valkey.

#![allow(dead_code)] // until its parts are there

mod error;
mod lease;

pub use error::{StoreError, StoreErrorKind};
