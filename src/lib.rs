//! A lock-free rate limiter for the hottest request path: it never grants more than capacity + rate ×
//! time.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "std", test))]
extern crate std;

mod algorithm;
mod bucket;
mod builder;
mod cell;
mod clock;
mod error;
mod fill;
mod limiter;
pub mod limits;
mod primitive;
mod published;
mod quota;
#[cfg(any(feature = "tsc", flowgate_loom))]
mod seqlock;
mod tokens;

#[cfg(flowgate_loom)]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod planted;
#[cfg(not(flowgate_loom))]
mod planted;

pub use builder::Builder;
#[cfg(all(feature = "coarse", target_os = "linux"))]
pub use clock::CoarseClock;
#[cfg(feature = "std")]
pub use clock::InstantClock;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Denied, Excerpt, Never, NotYet, QuotaError};
pub use fill::Fill;
pub use limiter::{Granted, Resolution, Snapshot, TokenBucket};
pub use quota::Quota;
pub use tokens::Tokens;
