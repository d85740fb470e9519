//! Why a request was refused.

use core::time::Duration;

use http::StatusCode;

/// Why a request is answered without being served, for an [`Answer`](super::Answer) of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    reason: Reason,
    retry_after: Option<Duration>,
    policies: &'a [&'static str],
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A limit said no: `429 Too Many Requests`.
    Limited,
    /// It has no key: `400 Bad Request`.
    WithoutKey,
    /// The store that a limit shares with other servers does not answer: `503 Service Unavailable`, and never 429, for nothing is known of
    /// the client.
    Unavailable,
}

impl<'a> Refusal<'a> {
    pub(super) fn limited(retry_after: Option<Duration>, policies: &'a [&'static str]) -> Self {
        Self { reason: Reason::Limited, retry_after, policies }
    }

    pub(super) fn without_key() -> Self {
        Self { reason: Reason::WithoutKey, retry_after: None, policies: &[] }
    }

    pub(super) fn unavailable(retry_after: Option<Duration>, policies: &'a [&'static str]) -> Self {
        Self { reason: Reason::Unavailable, retry_after, policies }
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Limited => StatusCode::TOO_MANY_REQUESTS,
            Reason::WithoutKey => StatusCode::BAD_REQUEST,
            Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// How long until the same request would pass if there were no others, exactly; `None` if it never would, since it
    /// costs more than a capacity. Of a store that does not answer, until it is asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same as `Retry-After` has it: whole seconds, rounded up, and never 0.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|wait| secs_ceil(wait).max(1))
    }

    /// The names of the limits that said no.
    #[must_use]
    pub fn policies(&self) -> &'a [&'static str] {
        self.policies
    }
}

/// Whole seconds, rounded up.
pub(super) fn secs_ceil(duration: Duration) -> u64 {
    let has_rest = duration.subsec_nanos() > 0;
    duration.as_secs().saturating_add(has_rest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 30 (tower-governor #65).
    #[test]
    fn a_wait_below_a_second_is_one_second_and_never_none() {
        let secs = |wait| Refusal::limited(Some(wait), &[]).retry_after_secs();
        assert_eq!(secs(Duration::from_nanos(1)), Some(1));
        assert_eq!(secs(Duration::ZERO), Some(1));
        assert_eq!(secs(Duration::from_millis(999)), Some(1));
        assert_eq!(secs(Duration::from_secs(1)), Some(1));
        assert_eq!(secs(Duration::from_millis(1_001)), Some(2));
        assert_eq!(secs(Duration::MAX), Some(u64::MAX));
        assert_eq!(Refusal::limited(None, &[]).retry_after_secs(), None);
    }
}
