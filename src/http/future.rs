//! What becomes of a request over time.

use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::Limited;
use super::gate::{Answered, Pending};
use super::headers::Fields;

pin_project! {
    /// The response of a [`RateLimit`](super::RateLimit): the inner service's, or a refusal.
    pub struct RateLimitFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Serving { #[pin] future: F, fields: Fields },
        Refused { response: Option<Answered> },
        Waiting { waiting: Option<Box<Waiting<S, B>>> },
    }
}

/// A request that waits for its turn, with the service that is ready for it. Boxed: few do.
struct Waiting<S, B> {
    pending: Pending,
    request: Request<B>,
    service: S,
}

impl<S: Service<Request<B>>, B> RateLimitFuture<S, B> {
    #[inline]
    pub(super) fn serving(future: S::Future, fields: Fields) -> Self {
        Self { state: State::Serving { future, fields } }
    }

    pub(super) fn refused(response: Answered) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    #[cold]
    pub(super) fn waiting(pending: Pending, request: Request<B>, service: S) -> Self {
        let waiting = Box::new(Waiting { pending, request, service });
        Self { state: State::Waiting { waiting: Some(waiting) } }
    }
}

impl<S: Service<Request<B>>, B> State<S, B, S::Future> {
    /// What is next, when the wait is over.
    #[cold]
    #[inline(never)]
    fn after(waiting: &mut Option<Box<Waiting<S, B>>>, cx: &mut Context<'_>) -> Poll<Self> {
        let Some(held) = waiting else { return Poll::Pending };
        let decided = ready!(held.pending.as_mut().poll(cx));
        let Some(held) = waiting.take() else { return Poll::Pending };
        let Waiting { mut request, mut service, .. } = *held;
        Poll::Ready(match decided {
            Err(response) => Self::Refused { response: Some(response) },
            Ok(passed) => {
                if let Some(permit) = passed.permit {
                    request.extensions_mut().insert(permit);
                }
                Self::Serving { future: service.call(request), fields: passed.fields }
            }
        })
    }
}

impl<S, B, R> Future for RateLimitFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<Limited<R>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if let StateProj::Waiting { waiting } = state.as_mut().project() {
            let next = ready!(State::after(waiting, cx));
            state.set(next);
        }
        match state.project() {
            StateProj::Serving { future, fields } => match future.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                // A response that nobody refers to goes on without being moved.
                Poll::Ready(Ok(response)) if fields.are_none() => {
                    Poll::Ready(Ok(response.map(Limited::served)))
                }
                Poll::Ready(Ok(response)) => {
                    let response = mem::take(fields).added_to(response);
                    Poll::Ready(Ok(response.map(Limited::served)))
                }
            },
            // One that was answered may do anything but harm when it is polled again.
            StateProj::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |answered| Poll::Ready(Ok(Limited::refused(answered)))),
            StateProj::Waiting { .. } => Poll::Pending,
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for RateLimitFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Serving { .. } => "Serving",
            State::Refused { .. } => "Refused",
            State::Waiting { .. } => "Waiting",
        };
        f.debug_tuple("RateLimitFuture").field(&format_args!("{state}")).finish()
    }
}
