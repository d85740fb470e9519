//! A tower layer: limits in front of a service.
//!
//! [`layer`] builds what [`service`] asks of each request: [`gate`], which finds the request's key, its cost and its
//! limits, and decides. What it lets through goes on in [`future`]; what it refuses is answered there, before the body
//! is read. How that looks is up to [`answer`] and [`headers`], and for gRPC to [`grpc`].
//!
//! All of it uses the crate's public calls, but for one cell that counts who waits.

mod answer;
mod body;
mod client_ip;
mod forwarded;
mod future;
mod gate;
mod grpc;
mod head;
mod header_key;
mod headers;
mod key;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod observe;
mod permit;
mod policy;
mod refusal;
mod room;
mod service;
mod text;
#[cfg(feature = "tracing")]
mod tracing;

pub use answer::Answer;
pub use body::Limited;
pub use client_ip::{ClientIp, Forwarding, PeerAddr};
pub use future::RateLimitFuture;
pub use head::RequestHead;
pub use header_key::{HeaderKey, LoggedKey};
pub use headers::Headers;
pub use key::{Key, KeyBy, KeyText, NoKey, WithoutKey};
pub use layer::RateLimitLayer;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use observe::{Event, Observe};
pub use permit::{PermitError, RequestPermit};
pub use policy::NameError;
pub use refusal::{Reason, Refusal};
pub use service::RateLimit;
#[cfg(feature = "tracing")]
pub use tracing::Tracing;
