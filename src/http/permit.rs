//! What a request took, in the hands of who serves it.

use core::fmt;
use std::borrow::ToOwned;
use std::sync::{Arc, Mutex, PoisonError};

use crate::tokens::Tokens;
use crate::wait::{Costs, OfKeys, Reservation};

/// What a request took, in its extensions, to be settled when it is known what it used: see
/// [`RateLimitLayer::permits`](super::RateLimitLayer::permits).
///
/// A clone is another name for the same one. Whoever speaks first ends it: further calls are an error, and change
/// nothing. If all clones are dropped without a word, or nobody takes it out, it counts whole.
///
/// # Examples
///
/// ```
/// use flowgate::http::{RateLimitLayer, RequestPermit};
/// use flowgate::{LimitSet, Quota};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let quotas = [("requests", Quota::per_hour(10)), ("tokens", Quota::per_hour(50_000))];
/// let budget = LimitSet::<(), 2>::per_key(quotas)?;
/// let layer = RateLimitLayer::of(budget.clone())?.cost(|_| [1, 5_000]).permits();
///
/// let service = layer.layer(service_fn(|request: http::Request<String>| async move {
///     let permit = request.extensions().get::<RequestPermit>().cloned();
///     // The model answers.
///     if let Some(permit) = permit {
///         permit.settle([1, 1_234]).expect("two limits, and nobody else settles");
///     }
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
/// }));
/// # futures_executor(async {
/// service.oneshot(http::Request::new(String::new())).await.unwrap();
/// # });
/// assert_eq!(budget.available(&())[1].whole(), 48_766);
/// # fn futures_executor(run: impl Future<Output = ()>) { async_io::block_on(run) }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RequestPermit {
    held: Arc<dyn Open>,
}

/// What is left of a permit when it is not said of which limits.
trait Open: Send + Sync {
    fn settle(&self, actual: &[Tokens]) -> Result<(), PermitError>;
    fn cancel(&self) -> Result<(), PermitError>;
}

type Held<Q, const N: usize> = Mutex<Option<Reservation<OfKeys<Q, N>>>>;

impl<Q, const N: usize> Open for Held<Q, N>
where
    Q: ?Sized + ToOwned + 'static,
    Q::Owned: Send + 'static,
{
    fn settle(&self, actual: &[Tokens]) -> Result<(), PermitError> {
        let costs = <[Tokens; N]>::try_from(actual);
        let costs = costs.map_err(|_| PermitError::Costs { given: actual.len(), limits: N })?;
        // What could not be charged is below the deepest debt, and nobody's to pay.
        let _ = self.take()?.settle(Costs(costs));
        Ok(())
    }

    fn cancel(&self) -> Result<(), PermitError> {
        self.take()?.cancel();
        Ok(())
    }
}

trait Take {
    type Held;
    fn take(&self) -> Result<Self::Held, PermitError>;
}

impl<T> Take for Mutex<Option<T>> {
    type Held = T;

    fn take(&self) -> Result<T, PermitError> {
        let mut held = self.lock().unwrap_or_else(PoisonError::into_inner);
        held.take().ok_or(PermitError::Ended)
    }
}

impl RequestPermit {
    pub(super) fn new<Q, const N: usize>(reservation: Reservation<OfKeys<Q, N>>) -> Self
    where
        Q: ?Sized + ToOwned + 'static,
        Q::Owned: Send + 'static,
    {
        Self { held: Arc::new(Mutex::new(Some(reservation))) }
    }

    /// Makes the request cost what it really used, of each limit: what was estimated too high goes back, what was
    /// estimated too low is charged, into debt.
    ///
    /// # Errors
    ///
    /// [`PermitError::Costs`] if there are not as many limits; then it is as before. [`PermitError::Ended`] if it has been
    /// settled or called off.
    pub fn settle<T: Into<Tokens>, const N: usize>(
        &self,
        actual: [T; N],
    ) -> Result<(), PermitError> {
        self.held.settle(&actual.map(Into::into))
    }

    /// Calls it off: all goes back, as if the request had not been made.
    ///
    /// # Errors
    ///
    /// [`PermitError::Ended`] if it has been settled or called off.
    pub fn cancel(&self) -> Result<(), PermitError> {
        self.held.cancel()
    }
}

impl fmt::Debug for RequestPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestPermit")
    }
}

/// Why a [`RequestPermit`] is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitError {
    /// It was settled or called off before.
    Ended,
    /// There are not as many limits as costs.
    Costs {
        /// The number of costs.
        given: usize,
        /// The number of limits.
        limits: usize,
    },
}

impl fmt::Display for PermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("this permit was settled or called off before"),
            Self::Costs { given, limits } => {
                write!(f, "{given} costs for {limits} limits: name one for each")
            }
        }
    }
}

impl core::error::Error for PermitError {}
