//! What a refused client is told.

use core::fmt;
use std::format;
use std::string::String;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::refusal::{Reason, Refusal};
use super::text::Text;

/// The answer to a refused request: its status, its type and its body. `Retry-After` and what
/// [`Headers`](super::Headers) asks for are added to it. gRPC calls are answered in their own way, whatever this is.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use flowgate::http::Answer;
///
/// let short = Answer::with(|refusal| {
///     let mut response = http::Response::new(Bytes::from_static(b"slow down\n"));
///     *response.status_mut() = refusal.status();
///     response
/// });
/// ```
#[derive(Clone, Default)]
pub struct Answer {
    kind: Kind,
}

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Json,
    Problem,
    With(Arc<With>),
}

type With = dyn Fn(&Refusal<'_>) -> Response<Bytes> + Send + Sync;

/// Of draft-ietf-httpapi-ratelimit-headers-11, section 5.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const QUOTA_EXCEEDED_TITLE: &str =
    "Request cannot be satisfied as assigned quota has been exceeded";

impl Answer {
    /// `{"error":"rate_limited","retry_after":3}`: the default. Where no wait would help it is `null`.
    #[must_use]
    pub fn json() -> Self {
        Self { kind: Kind::Json }
    }

    /// `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), which names the limits that said
    /// no as `violated-policies`.
    #[must_use]
    pub fn problem() -> Self {
        Self { kind: Kind::Problem }
    }

    /// Whatever a closure makes of the refusal.
    #[must_use]
    pub fn with(answer: impl Fn(&Refusal<'_>) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self { kind: Kind::With(Arc::new(answer)) }
    }

    /// Whether it is none of the caller's, but for gRPC calls.
    pub(super) fn is_own(&self) -> bool {
        !matches!(self.kind, Kind::With(_))
    }

    /// Makes a response that is empty the answer. Takes an empty text to write into, and leaves an empty one.
    pub(super) fn to(
        &self,
        refusal: &Refusal<'_>,
        text: &mut Text,
        response: &mut Response<Bytes>,
    ) {
        let (content_type, body) = match &self.kind {
            Kind::Json => (&JSON, json(refusal, text)),
            Kind::Problem => (&PROBLEM_JSON, problem(refusal)),
            Kind::With(answer) => {
                *response = answer(refusal);
                return;
            }
        };
        *response.body_mut() = body;
        *response.status_mut() = refusal.status();
        // Room for what comes: a map that grows is a map that is made anew.
        response.headers_mut().reserve(6);
        response.headers_mut().append(CONTENT_TYPE, content_type.clone());
    }
}

static JSON: HeaderValue = HeaderValue::from_static("application/json");
static PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

fn json(refusal: &Refusal<'_>, text: &mut Text) -> Bytes {
    match (refusal.reason(), refusal.retry_after_secs()) {
        (Reason::Limited, Some(secs)) => {
            text.add(r#"{"error":"rate_limited","retry_after":"#).number(secs).add("}");
            text.take_body()
        }
        (Reason::Limited, None) => {
            Bytes::from_static(br#"{"error":"rate_limited","retry_after":null}"#)
        }
        (Reason::WithoutKey, _) => Bytes::from_static(br#"{"error":"no_rate_limit_key"}"#),
        (Reason::Unavailable, secs) => {
            let secs = secs.unwrap_or(1);
            text.add(r#"{"error":"rate_limiter_unavailable","retry_after":"#).number(secs).add("}");
            text.take_body()
        }
    }
}

fn problem(refusal: &Refusal<'_>) -> Bytes {
    let status = refusal.status().as_u16();
    match refusal.reason() {
        Reason::Limited => {
            let mut names = String::new();
            for name in refusal.policies() {
                if !names.is_empty() {
                    names.push(',');
                }
                names.push('"');
                // They are visible ASCII and spaces: see `NameError`.
                for letter in name.chars() {
                    if matches!(letter, '"' | '\\') {
                        names.push('\\');
                    }
                    names.push(letter);
                }
                names.push('"');
            }
            format!(
                r#"{{"type":"{QUOTA_EXCEEDED}","title":"{QUOTA_EXCEEDED_TITLE}","status":{status},"violated-policies":[{names}]}}"#
            )
            .into()
        }
        Reason::Unavailable => format!(
            r#"{{"type":"about:blank","title":"Service Unavailable","status":{status},"detail":"the store of rate limits does not answer"}}"#
        )
        .into(),
        Reason::WithoutKey => format!(
            r#"{{"type":"about:blank","title":"Bad Request","status":{status},"detail":"the request has no key to be limited by"}}"#
        )
        .into(),
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Json => "Json",
            Kind::Problem => "Problem",
            Kind::With(_) => "With",
        })
    }
}
