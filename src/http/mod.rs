//! Limits in front of a service: a [tower](https://docs.rs/tower) layer, for axum, hyper, tonic and whatever else is made of
//! services.
//!
//! * [`RateLimitLayer`]: put around a service. It is made of a limiter, or of a [`LimitSet`](crate::LimitSet).
//! * [`ClientIp`], [`HeaderKey`], or a [`Key`] of one's own: whose request it is.
//! * [`Answer`] and [`Headers`]: what a client is told. gRPC calls are answered in gRPC's own way.
//! * [`RequestPermit`]: with which a handler says what a request really used.
//! * [`Observe`]: who is told of decisions; `Metrics` and `Tracing` are there.

// `layer` builds what `service` asks of each request: `gate`, which finds its key, its cost and its limits, and decides. What is let
// through goes on in `future`. All of it uses the crate's public calls, but for one cell that counts who waits (`room`).

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
mod lasting;
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
pub use client_ip::{ClientIp, Forwarding, PeerAddr, PeerBy, UsualPeer};
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
