//! The body of a response that may be the layer's own.

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::gate::Answered;

pin_project! {
    /// The body of the inner service's response, or that of a refusal.
    ///
    /// A [`Body`] wherever `B` is one of [`Bytes`], as those of axum, hyper and tonic are.
    #[derive(Debug)]
    pub struct Limited<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<B> {
        Served { #[pin] body: B },
        // The answer without its head, in the box that it came in. It lies where a body of two pointers has its second one:
        // then neither that body nor its response is any larger for it, or has to be moved.
        Refused { answered: Answered },
    }
}

impl<B> Limited<B> {
    #[inline]
    pub(super) fn served(body: B) -> Self {
        Self { kind: Kind::Served { body } }
    }

    /// The answer as a response like those of the inner service.
    pub(super) fn refused(mut answered: Answered) -> Response<Self> {
        let (status, version) = (answered.status(), answered.version());
        let headers = mem::take(answered.headers_mut());
        let extensions = mem::take(answered.extensions_mut());
        let mut response = Response::new(Self { kind: Kind::Refused { answered } });
        *response.status_mut() = status;
        *response.version_mut() = version;
        *response.headers_mut() = headers;
        *response.extensions_mut() = extensions;
        response
    }

    /// The body as one of the inner service's kind, for who has use for no other: axum, which puts any other body into a box.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use flowgate::http::{Limited, RateLimitLayer};
    /// use flowgate::{Quota, TokenBucket};
    /// use tower::ServiceExt;
    /// use tower::util::MapResponseLayer;
    ///
    /// let limits = RateLimitLayer::new(TokenBucket::new(Quota::per_hour(1))?);
    /// let plain = MapResponseLayer::new(|response: http::Response<Limited<axum::body::Body>>| {
    ///     response.map(Limited::into_body)
    /// });
    /// // The pair is one layer, whose first one is the outer one.
    /// let app: Router = Router::new().route("/", get(async || "hello")).layer((plain, limits));
    /// # async_io::block_on(async {
    /// for status in [200, 429] {
    ///     let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
    ///     let response = app.clone().oneshot(request).await.unwrap();
    ///     assert_eq!(response.status(), status);
    ///     assert!(!axum::body::to_bytes(response.into_body(), 1_000).await.unwrap().is_empty());
    /// }
    /// # });
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn into_body(self) -> B
    where
        B: From<Bytes>,
    {
        match self.kind {
            Kind::Served { body } => body,
            Kind::Refused { mut answered } => mem::take(answered.body_mut()).into(),
        }
    }

    /// The inner service's body, if the request was let through.
    pub fn into_inner(self) -> Option<B> {
        match self.kind {
            Kind::Served { body } => Some(body),
            Kind::Refused { .. } => None,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Limited<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Served { body } => body.poll_frame(cx),
            KindProj::Refused { answered } => {
                let whole = mem::take(answered.body_mut());
                Poll::Ready(whole.has_remaining().then(|| Ok(Frame::data(whole))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Served { body } => body.is_end_stream(),
            Kind::Refused { answered } => answered.body().is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Served { body } => body.size_hint(),
            Kind::Refused { answered } => {
                SizeHint::with_exact(u64::try_from(answered.body().len()).unwrap_or(u64::MAX))
            }
        }
    }
}
