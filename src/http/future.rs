//! What becomes of a request over time.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::Limited;
use super::gate::Pending;
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
        Serving { #[pin] future: F, fields: Option<Fields> },
        Refused { response: Option<Response<Bytes>> },
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
    pub(super) fn serving(future: S::Future, fields: Fields) -> Self {
        Self { state: State::Serving { future, fields: Some(fields) } }
    }

    pub(super) fn refused(response: Response<Bytes>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn waiting(pending: Pending, request: Request<B>, service: S) -> Self {
        let waiting = Box::new(Waiting { pending, request, service });
        Self { state: State::Waiting { waiting: Some(waiting) } }
    }
}

impl<S, B, R> Future for RateLimitFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<Limited<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Serving { future, fields } => {
                    let mut response = ready!(future.poll(cx))?;
                    if let Some(fields) = fields.take() {
                        fields.add_to(response.headers_mut());
                    }
                    return Poll::Ready(Ok(response.map(Limited::served)));
                }
                StateProj::Refused { response } => {
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response.map(Limited::refused))),
                        // It has been answered: as a future that is polled again, it may do anything but this harm.
                        None => Poll::Pending,
                    };
                }
                StateProj::Waiting { waiting } => {
                    let Some(held) = waiting else { return Poll::Pending };
                    let decided = ready!(held.pending.as_mut().poll(cx));
                    let Some(held) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut request, mut service, .. } = *held;
                    state.set(match decided {
                        Err(response) => State::Refused { response: Some(response) },
                        Ok(passed) => {
                            if let Some(permit) = passed.permit {
                                request.extensions_mut().insert(permit);
                            }
                            let future = service.call(request);
                            State::Serving { future, fields: Some(passed.fields) }
                        }
                    });
                }
            }
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
