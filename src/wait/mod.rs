//! Waiting for a turn: reservations, and what sleeps until they are good.
//!
//! A reservation is taken from the bucket at once, into debt, and is good when the debt up to it is repaid. Who comes
//! later finds the deeper debt and is after it: first come, first served, by the order of the swaps alone. There is
//! no queue, no lock and no list of who waits, so a hundred thousand waits cost their timers and nothing else.

mod direct;
#[cfg(feature = "std")]
mod drive;
#[cfg(feature = "std")]
mod jitter;
#[cfg(feature = "keyed")]
mod keyed;
#[cfg(feature = "std")]
mod known;
mod limit;
#[cfg(feature = "std")]
mod of_keys;
#[cfg(feature = "std")]
mod rejected;
mod reservation;
#[cfg(feature = "std")]
mod set;
#[cfg(feature = "stream")]
mod sink;
mod source;
#[cfg(feature = "std")]
mod standing;
#[cfg(feature = "stream")]
mod stream;
#[cfg(feature = "std")]
mod timer;
#[cfg(feature = "stream")]
mod turn;
#[cfg(feature = "stream")]
mod unpaid;
#[cfg(feature = "std")]
mod waiting;

#[cfg(feature = "std")]
pub use jitter::Jitter;
#[cfg(feature = "keyed")]
pub use keyed::OfKey;
#[cfg(feature = "redis")]
pub(crate) use limit::Answered;
pub use limit::Limit;
#[cfg(feature = "std")]
pub(crate) use limit::{Policy, Sealed};
#[cfg(feature = "std")]
pub use of_keys::OfKeys;
#[cfg(feature = "std")]
pub use rejected::Rejected;
#[cfg(feature = "redis")]
pub(crate) use rejected::Said;
pub use reservation::{OnDrop, Reservation};
#[cfg(feature = "std")]
pub use set::{Costs, GrantedSet, LimitSet};
#[cfg(feature = "stream")]
pub use sink::{PaceSink, PacedSink, PacedSinkError};
pub use source::{Of, Source};
#[cfg(feature = "std")]
pub use standing::Standing;
#[cfg(feature = "stream")]
pub use stream::{PaceStream, Paced};
#[cfg(feature = "async")]
pub use timer::AnyRuntime;
#[cfg(feature = "std")]
pub use timer::Timer;
#[cfg(feature = "tokio")]
pub use timer::{TokioClock, TokioTimer};
#[cfg(feature = "stream")]
pub use unpaid::Unpaid;
#[cfg(feature = "std")]
pub use waiting::Waiting;
