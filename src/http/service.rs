//! A service with limits in front of it.

use core::fmt;
use core::mem;
use core::task::{Context, Poll};
use std::borrow::ToOwned;
use std::sync::Arc;

use http::{Request, Response};
use tower_service::Service;

use super::body::Limited;
use super::future::RateLimitFuture;
use super::gate::{Decision, Gate};
use super::head::RequestHead;
use super::headers::Fields;
use super::key::{Key, NoKey};

/// A service with limits in front of it. Made by [`RateLimitLayer`](super::RateLimitLayer).
///
/// Clones share the limits.
pub struct RateLimit<S, Q: ?Sized + ToOwned, const N: usize, K = NoKey> {
    inner: S,
    gate: Arc<Gate<Q, N, K>>,
}

impl<S, Q: ?Sized + ToOwned, const N: usize, K> RateLimit<S, Q, N, K> {
    pub(super) fn new(inner: S, gate: Arc<Gate<Q, N, K>>) -> Self {
        Self { inner, gate }
    }

    /// The service behind the limits.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service behind the limits.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service without the limits.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R, Q, const N: usize, K> Service<Request<B>> for RateLimit<S, Q, N, K>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    Q: ?Sized + ToOwned + 'static,
    Q::Owned: Clone + Send + Sync + 'static,
    K: Key<Of = Q>,
{
    type Response = Response<Limited<R>>;
    type Error = S::Error;
    type Future = RateLimitFuture<S, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> RateLimitFuture<S, B> {
        match self.gate.decide(&RequestHead::of(&request)) {
            Decision::Pass => RateLimitFuture::serving(self.inner.call(request), Fields::default()),
            Decision::PassWith(passed) => {
                if let Some(permit) = passed.permit {
                    request.extensions_mut().insert(permit);
                }
                RateLimitFuture::serving(self.inner.call(request), passed.fields)
            }
            Decision::Refuse(response) => RateLimitFuture::refused(response),
            Decision::Wait(pending) => {
                // The one that is ready goes with the request.
                let next = self.inner.clone();
                RateLimitFuture::waiting(pending, request, mem::replace(&mut self.inner, next))
            }
        }
    }
}

impl<S: Clone, Q: ?Sized + ToOwned, const N: usize, K> Clone for RateLimit<S, Q, N, K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<S: fmt::Debug, Q: ?Sized + ToOwned, const N: usize, K> fmt::Debug for RateLimit<S, Q, N, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limits", &self.gate.policy.set)
            .finish_non_exhaustive()
    }
}
