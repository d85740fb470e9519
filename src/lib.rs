//! A lock-free rate limiter for the hottest request path: **it never grants more than capacity + rate ×
//! time.**
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use flowgate::{Quota, TokenBucket};
//!
//! // 100 requests a second on average, up to 20 at once.
//! let limiter = TokenBucket::new(Quota::per_second(100).burst(20))?;
//!
//! match limiter.try_consume(1) {
//!     Ok(granted) => println!("go, {} left", granted.remaining().whole()),
//!     Err(denied) => println!("wait {:?}", denied.retry_after()), // None: never, the cost is above the burst
//! }
//! # }
//! # Ok::<(), flowgate::QuotaError>(())
//! ```
//!
//! A bucket is one atomic word, changed by compare-and-swap: 10 ns a decision, which is what it takes to
//! read the time. Share it by reference or in an `Arc`.
//!
//! * [`Quota`]: how much may pass. `"100/s burst 20".parse()` reads one.
//! * [`TokenBucket`]: the limiter, with its guarantees as numbers.
//! * `KeyedLimiter`: a bucket per user, address or API key; with tiers, and with memory that stays bounded.
//! * [`Limiter`]: the same by another [`Algorithm`]: [`Gcra`], leaky buckets, windows. `SlidingLog`: never more than
//!   N in any window.
//! * `consume(cost).await` and [`Reservation`]: a turn, first come, first served.
//! * `LimitSet`: several limits, one decision; an estimate reserved, the truth settled.
//! * `StripedBucket`: one bucket that every core takes from at full speed. `HotHandle`: the same of one key.
//! * `http::RateLimitLayer`: limits in front of a service of axum, hyper, tonic or anything of tower's.
//! * [`Denied`]: not yet, and how long to wait; or never.
//! * [`Tokens`]: an exact amount, for costs such as 0.5.
//! * [`SystemClock`] and the others: where the time comes from. Every call has a twin `*_at` that is given
//!   the time.
//!
//! # Features
//!
//! | feature | on by default | what for |
//! |---|---|---|
//! | `std` | yes | clocks that ask the operating system, and `TokenBucket::new` |
//! | `tsc` | yes | [`SystemClock`] reads the processor's counter: 10 ns in place of 25 ns |
//! | `keyed` | yes | `KeyedLimiter`, on [DashMap](https://docs.rs/dashmap) |
//! | `async` | yes | `consume(cost).await` in any runtime, on [async-io](https://docs.rs/async-io)'s timer |
//! | `tokio` | no | `TokioTimer` and `TokioClock` |
//! | `stream` | no | `PaceStream` and `PaceSink`: the items of a stream, or into a sink, each when its tokens are good |
//! | `tower` | no | `http::RateLimitLayer`: a [tower](https://docs.rs/tower) layer for HTTP and gRPC |
//! | `redis` | no | limits that several servers share, in Redis or Valkey |
//! | `metrics` | no | `http::Metrics`: what the layer decided, as counters of the [metrics](https://docs.rs/metrics) crate |
//! | `tracing` | no | `http::Tracing`: the same as events of the [tracing](https://docs.rs/tracing) crate |
//! | `papaya` | no | `KeyedLimiter` without locks, on [papaya](https://docs.rs/papaya): for a few keys that many threads hammer |
//! | `coarse` | no | `CoarseClock`: Linux's coarse clock, 2 ns |
//! | `serde` | no | [`Quota`] and [`Tokens`] as text in configuration files; saved keys |
//! | `portable-atomic` | no | targets without 64-bit atomics, which it emulates, there with a lock |
//!
//! Without default features the crate is `no_std`, allocates nothing, and is given the time.
//!
//! There is no `unsafe` in it. Nothing panics on input: what cannot be kept is refused, with a sentence that
//! names the field and the limit, when a limiter is built.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "std", test))]
extern crate std;

mod algorithm;
mod answer;
mod bucket;
mod builder;
mod cell;
mod clock;
mod clocked;
mod error;
mod fill;
mod held;
#[cfg(feature = "tower")]
pub mod http;
#[cfg(feature = "keyed")]
mod keyed;
#[cfg(any(feature = "redis", flowgate_loom))]
mod leased;
mod limiter;
pub mod limits;
mod primitive;
mod quota;
#[cfg(feature = "redis")]
pub mod redis;
mod resolution;
mod seqlock;
#[cfg(feature = "std")]
mod sliding_log;
#[cfg(feature = "std")]
mod striped;
mod terms;
mod token_bucket;
mod tokens;
mod wait;

#[cfg(flowgate_loom)]
#[doc(hidden)]
pub use leased::modelled;
#[cfg(flowgate_loom)]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod planted;
#[cfg(not(flowgate_loom))]
mod planted;

/// How it is made, and why.
#[doc = include_str!("../docs/design.md")]
pub mod design {}

/// What a caller may assume of memory.
#[doc = include_str!("../docs/orderings.md")]
pub mod orderings {}

pub use algorithm::{
    Adjustable, Algorithm, FixedWindow, Gcra, LeakyBucket, LeakyQueue, Reservable, SlidingWindow,
};
pub use answer::{Granted, Snapshot};
pub use builder::Builder;
#[cfg(all(feature = "coarse", target_os = "linux"))]
pub use clock::CoarseClock;
#[cfg(feature = "std")]
pub use clock::InstantClock;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Denied, Excerpt, Never, NoRoom, NotYet, QuotaError, Unavailable};
pub use fill::Fill;
#[cfg(feature = "keyed")]
pub use keyed::{
    Handle, HotHandle, KeyedBuilder, KeyedLimiter, KeyedSlidingLog, On, OnEach, SavedKeys,
    SeededHash, SeededHasher, Tier, WhenFull,
};
pub use limiter::Limiter;
pub use quota::Quota;
pub use resolution::Resolution;
#[cfg(feature = "std")]
pub use sliding_log::SlidingLog;
#[cfg(feature = "std")]
pub use striped::{StripedBucket, StripedBuilder};
pub use token_bucket::TokenBucket;
pub use tokens::Tokens;
#[cfg(feature = "async")]
pub use wait::AnyRuntime;
#[cfg(feature = "keyed")]
pub use wait::OfKey;
#[cfg(feature = "std")]
pub use wait::{Costs, GrantedSet, Jitter, LimitSet, OfKeys, Rejected, Standing, Timer, Waiting};
pub use wait::{Limit, Of, OnDrop, Reservation, Source};
#[cfg(feature = "stream")]
pub use wait::{PaceSink, PaceStream, Paced, PacedSink, PacedSinkError, Unpaid};
#[cfg(feature = "tokio")]
pub use wait::{TokioClock, TokioTimer};
