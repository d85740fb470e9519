//! Refusals as gRPC has them: trailers alone, in the header fields of a response without a body.
//!
//! By [PROTOCOL-HTTP2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): the status is in `grpc-status`, its
//! details are a `google.rpc.Status` in `grpc-status-details-bin`, encoded here by hand, since it has five fields.

use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::head::RequestHead;
use super::refusal::{Reason, Refusal};

const INVALID_ARGUMENT: u8 = 3;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNAVAILABLE: u8 = 14;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// When a client that retries by itself may do so, and -1 if it had better not
/// ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Makes a response that is empty the answer.
pub(super) fn answer(
    head: &RequestHead<'_>,
    refusal: &Refusal<'_>,
    response: &mut Response<Bytes>,
) {
    let (status, message) = match (refusal.reason(), refusal.retry_after()) {
        (Reason::Limited, Some(_)) => (RESOURCE_EXHAUSTED, "rate limited"),
        (Reason::Limited, None) => {
            (RESOURCE_EXHAUSTED, "rate limited: the call costs more than can ever be taken")
        }
        (Reason::Unavailable, _) => (UNAVAILABLE, "the store of rate limits does not answer"),
        (Reason::WithoutKey, _) => (INVALID_ARGUMENT, "the call has no key to be limited by"),
    };
    let headers = response.headers_mut();
    headers.reserve(8);
    // As it was asked: gRPC-Web is answered so, too.
    let content_type = head.headers().get(CONTENT_TYPE).cloned();
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/grpc"));
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(STATUS, HeaderValue::from(u16::from(status)));
    headers.insert(MESSAGE, HeaderValue::from_static(message));
    if refusal.reason() == Reason::WithoutKey {
        return;
    }
    match refusal.retry_after() {
        Some(wait) => {
            let details = base64(&status_proto(status, message, wait));
            if let Ok(details) = HeaderValue::try_from(details) {
                headers.insert(DETAILS, details);
            }
            let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            headers.insert(PUSHBACK, millis.into());
        }
        None => {
            headers.insert(PUSHBACK, HeaderValue::from_static("-1"));
        }
    }
}

/// `google.rpc.Status { code: 1, message: 2, details: 3 }`, of which the detail is an
/// `Any { type_url: 1, value: 2 }` of a `RetryInfo { retry_delay: 1 }`, a `Duration { seconds: 1, nanos: 2 }`.
fn status_proto(code: u8, message: &str, wait: Duration) -> Vec<u8> {
    let mut duration = Vec::new();
    // The largest that a `Duration` may be, some 10,000 years.
    put_number(&mut duration, 1, wait.as_secs().min(315_576_000_000));
    put_number(&mut duration, 2, wait.subsec_nanos().into());
    let mut retry_info = Vec::new();
    put_bytes(&mut retry_info, 1, &duration);
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes(&mut any, 2, &retry_info);
    let mut status = Vec::new();
    put_number(&mut status, 1, code.into());
    put_bytes(&mut status, 2, message.as_bytes());
    put_bytes(&mut status, 3, &any);
    status
}

/// A field that is a number; zero is left out, as the default.
fn put_number(to: &mut Vec<u8>, field: u8, number: u64) {
    if number > 0 {
        to.push(field << 3);
        put_varint(to, number);
    }
}

/// A field that is text, bytes or a message.
fn put_bytes(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push((field << 3) | 2);
    put_varint(to, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    to.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; all but the last are marked.
fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            to.push(low & 0x7f);
            return;
        }
        to.push(low | 0x80);
    }
}

/// Base64 of RFC 4648, without padding, as gRPC asks of senders.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for letter in 0..=group.len() {
            let shift = 18_usize.saturating_sub(letter.saturating_mul(6));
            let index = usize::try_from((bits >> shift) & 63).unwrap_or(0);
            text.push(char::from(LETTERS[index]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tonic::metadata::MetadataMap;
    use tonic::{Code, Status};
    use tonic_types::StatusExt;

    fn read_back(wait: Option<Duration>) -> Status {
        let request = http::Request::post("/").header(CONTENT_TYPE, "application/grpc+proto");
        let request = request.body(()).unwrap();
        let mut response = Response::new(Bytes::new());
        let refusal = Refusal::limited(wait, &["calls"]);
        answer(&RequestHead::of(&request), &refusal, &mut response);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc+proto");
        Status::from_header_map(response.headers()).unwrap()
    }

    proptest! {
        #[test]
        fn tonic_reads_the_retry_info_back(secs in 0..315_576_000_000_u64, nanos in 0..1_000_000_000_u32) {
            let wait = Duration::new(secs, nanos);
            let status = read_back(Some(wait));
            prop_assert_eq!(status.code(), Code::ResourceExhausted);
            prop_assert_eq!(status.message(), "rate limited");
            let info = status.get_details_retry_info().unwrap();
            prop_assert_eq!(info.retry_delay, Some(wait));
        }
    }

    #[test]
    fn where_no_wait_helps_there_is_no_retry_info() {
        let status = read_back(None);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_none());
        let metadata: &MetadataMap = status.metadata();
        assert_eq!(metadata.get("grpc-retry-pushback-ms").unwrap(), "-1");
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
