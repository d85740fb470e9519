//! What is looked at of a request.

use core::fmt;

use http::header::{AsHeaderName, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Extensions, HeaderMap, Method, Request, Uri};

/// A request without its body: what keys, costs and rules are found in.
///
/// # Examples
///
/// ```
/// use flowgate::http::RequestHead;
///
/// let request = http::Request::get("/v1/chat?stream=1").header("x-plan", "gold").body(()).unwrap();
/// let head = RequestHead::of(&request);
/// assert_eq!((head.path(), head.header("x-plan")), ("/v1/chat", Some("gold")));
/// ```
#[derive(Clone, Copy)]
pub struct RequestHead<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r> RequestHead<'r> {
    /// The head of a request.
    #[must_use]
    pub fn of<B>(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// The address that was asked for.
    #[must_use]
    pub fn uri(&self) -> &'r Uri {
        self.uri
    }

    /// The path of the address, as it was sent.
    #[must_use]
    pub fn path(&self) -> &'r str {
        self.uri.path()
    }

    /// All header fields.
    #[must_use]
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// The first value of a header field, if it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> Option<&'r str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the server, and the layers before this one, put in.
    #[must_use]
    pub fn extensions(&self) -> &'r Extensions {
        self.extensions
    }

    /// How long the body will be, if the client says so. It may send less, and never more.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// Tells whether it is a gRPC call: a `POST` of such a type.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        // They all are; most other requests are not, and need not be searched.
        if self.method != Method::POST {
            return false;
        }
        let kind = self.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
        kind.is_some_and(|kind| {
            // `application/grpc`, with a suffix such as `+proto` or `-web+proto`, or with parameters.
            kind.strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b'-' | b';' | b' ')))
        })
    }
}

impl fmt::Debug for RequestHead<'_> {
    /// No header fields, and no query: there may be secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
