//! Why a call to a store did not succeed.

use core::fmt;

use super::error::StoreError;
use crate::error::{Denied, QuotaError};

/// Why nothing was taken: the limit denies it, or the store gave no answer.
///
/// The two are never mixed up: what to do without an answer, the caller decides.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use flowgate::Quota;
/// use flowgate::redis::{RedisError, RedisLimiter};
///
/// let limiter = RedisLimiter::connect("redis://127.0.0.1/", Quota::per_second(100)).await?;
/// match limiter.try_consume("alice", 1).await {
///     Ok(granted) => println!("go, {} left", granted.remaining().whole()),
///     Err(RedisError::Denied(denied)) => println!("429, retry after {:?}", denied.retry_after()),
///     Err(RedisError::Store(error)) => println!("503: {error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisError<D = Denied> {
    /// The limit said no; of several, [`Rejected`](crate::Rejected) names those that did.
    Denied(D),
    /// The store gave no answer. Nothing was granted; whether something was taken, its
    /// [kind](super::StoreErrorKind::may_have_executed) tells.
    Store(StoreError),
}

impl<D> RedisError<D> {
    /// What the limit said, if it did say something.
    #[must_use]
    pub fn denied(&self) -> Option<&D> {
        match self {
            Self::Denied(denied) => Some(denied),
            Self::Store(_) => None,
        }
    }

    /// Why there was no answer, if there was none.
    #[must_use]
    pub fn store(&self) -> Option<&StoreError> {
        match self {
            Self::Denied(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl<D> From<StoreError> for RedisError<D> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<D: fmt::Display> fmt::Display for RedisError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl<D: fmt::Debug + fmt::Display> core::error::Error for RedisError<D> {}

/// Why a limiter was not made: its quota cannot be kept, or there is no store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The quota cannot be kept.
    Quota(QuotaError),
    /// The store does not answer, or does not let us in.
    Store(StoreError),
}

impl From<QuotaError> for ConnectError {
    fn from(error: QuotaError) -> Self {
        Self::Quota(error)
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConnectError {}
