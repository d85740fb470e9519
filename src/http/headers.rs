//! Header fields that tell of limits.

use core::cmp::Reverse;
use core::time::Duration;
use std::vec::Vec;

use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::lasting::First;
use super::policy::Name;
use super::refusal::secs_ceil;
use super::text::Text;
use crate::tokens::Tokens;
use crate::wait::Standing;

/// Which header fields tell a client of its limits. `Retry-After` is sent whatever this says.
///
/// | | fields |
/// |---|---|
/// | [`draft_11`](Self::draft_11), the default | `RateLimit-Policy: "requests";q=10;w=60` and `RateLimit: "requests";r=3;t=42`, with an element for each limit |
/// | [`draft_7`](Self::draft_7) | `RateLimit-Policy: 10;w=60` and `RateLimit: limit=10, remaining=3, reset=42` |
/// | [`x_ratelimit`](Self::x_ratelimit) | `X-RateLimit-Limit: 10`, `X-RateLimit-Remaining: 3`, `X-RateLimit-Reset: 42` (seconds from now) |
/// | [`by_name`](Self::by_name), as LLM APIs have it | `x-ratelimit-limit-requests: 10`, `x-ratelimit-remaining-requests: 3`, `x-ratelimit-reset-requests: 42s`, for each limit |
///
/// * The quota (`q`, `limit`) is the capacity, and its window `w` is the time in which the capacity comes back: of a bucket,
///   in which it fills from empty; of a window, its length. So whoever spends `q` in each `w` is never refused, and no
///   larger amount can be had at once, which `60 per minute` would promise of a bucket with a burst of 10.
/// * `t` and the resets: of a limit that said no, the time until this request would pass; otherwise the time until
///   nothing is missing. In whole seconds, rounded up. A limit that did not say no has no `t` when another did, since
///   `Retry-After` should not be earlier than any.
/// * The two forms with one number of each are of one limit: of those that said no, the one with the longest wait;
///   otherwise the one with the smallest part left.
/// * Amounts are whole tokens, rounded down, and at most 15 digits, as structured fields have it.
///
/// The syntax is that of [draft-ietf-httpapi-ratelimit-headers](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/),
/// revisions 11 and 7.
///
/// # Examples
///
/// ```
/// use flowgate::http::Headers;
///
/// // On all responses, as the draft has it and as LLM APIs do.
/// let headers = Headers::draft_11().by_name().on_allowed();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    draft: Draft,
    x_ratelimit: bool,
    by_name: bool,
    on_allowed: bool,
}

/// Two revisions of one pair of fields, so there can be one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draft {
    None,
    Seven,
    Eleven,
}

impl Default for Headers {
    fn default() -> Self {
        Self::draft_11()
    }
}

impl Headers {
    /// None, but what the calls that follow add.
    #[must_use]
    pub const fn none() -> Self {
        Self { draft: Draft::None, x_ratelimit: false, by_name: false, on_allowed: false }
    }

    /// `RateLimit` and `RateLimit-Policy` as structured fields, which is the latest form.
    #[must_use]
    pub const fn draft_11() -> Self {
        Self { draft: Draft::Eleven, ..Self::none() }
    }

    /// `RateLimit` and `RateLimit-Policy` in an older form that is still in wide use.
    #[must_use]
    pub const fn draft_7() -> Self {
        Self { draft: Draft::Seven, ..Self::none() }
    }

    /// Adds `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    #[must_use]
    pub const fn x_ratelimit(mut self) -> Self {
        self.x_ratelimit = true;
        self
    }

    /// Adds `x-ratelimit-limit-<name>`, `-remaining-<name>` and `-reset-<name>` for each limit. In names, what is neither a
    /// letter nor a digit becomes a hyphen.
    #[must_use]
    pub const fn by_name(mut self) -> Self {
        self.by_name = true;
        self
    }

    /// Adds them to responses of requests that were let through, too, where the service has not set them itself.
    #[must_use]
    pub const fn on_allowed(mut self) -> Self {
        self.on_allowed = true;
        self
    }

    pub(super) fn are_on_allowed(self) -> bool {
        self.on_allowed && !self.are_none()
    }

    pub(super) fn are_none(self) -> bool {
        self.draft == Draft::None && !self.x_ratelimit && !self.by_name
    }

    /// Tells the fields for some limits, one after the other. `text` is empty, and left so.
    pub(super) fn tell(
        self,
        limits: &[Told<'_>],
        first: &First,
        text: &mut Text,
        tell: &mut impl FnMut(&HeaderName, HeaderValue),
    ) {
        first.or_anew(self, limits, |lasting| {
            if let Some(policy) = &lasting.policy {
                tell(&RATELIMIT_POLICY, policy.clone());
            }
            self.tell_draft(limits, text, tell);
            if self.x_ratelimit
                && let Some(limit) = tightest(limits)
            {
                text.number(limit.capacity()).take(&X_LIMIT, tell);
                text.number(limit.left()).take(&X_REMAINING, tell);
                text.number(limit.reset_secs()).take(&X_RESET, tell);
            }
            for (limit, capacity) in limits.iter().zip(&lasting.capacities) {
                let Some(names) = &limit.name.fields else { continue };
                if let Some(capacity) = capacity {
                    tell(&names.limit, capacity.clone());
                }
                text.number(limit.left()).take(&names.remaining, tell);
                spell(limit.reset(), text).take(&names.reset, tell);
            }
        });
    }

    /// How many fields those are for so many limits, at most.
    fn count(self, limits: usize) -> usize {
        let of_one = if self.x_ratelimit { 5_usize } else { 2 };
        of_one.saturating_add(if self.by_name { limits.saturating_mul(3) } else { 0 })
    }

    /// `RateLimit-Policy`.
    pub(super) fn policy(self, limits: &[Told<'_>], text: &mut Text) -> Option<HeaderValue> {
        for (at, limit) in limits.iter().enumerate() {
            text.add(if at > 0 { ", " } else { "" });
            match self.draft {
                Draft::None => return None,
                Draft::Seven => text.number(limit.capacity()),
                Draft::Eleven => text.add(&limit.name.quoted).add(";q=").number(limit.capacity()),
            };
            text.add(";w=").number(limit.window_secs());
        }
        text.take_value()
    }

    /// The capacity of each limit, if they are told by name.
    pub(super) fn capacities(
        self,
        limits: &[Told<'_>],
        text: &mut Text,
    ) -> Vec<Option<HeaderValue>> {
        let by_name = limits.iter().filter(|_| self.by_name);
        by_name.map(|limit| text.number(limit.capacity()).take_value()).collect()
    }

    /// `RateLimit`.
    fn tell_draft(
        self,
        limits: &[Told<'_>],
        text: &mut Text,
        tell: &mut impl FnMut(&HeaderName, HeaderValue),
    ) {
        match self.draft {
            Draft::None => return,
            Draft::Seven => {
                let Some(limit) = tightest(limits) else { return };
                text.add("limit=").number(limit.capacity());
                text.add(", remaining=").number(limit.left());
                text.add(", reset=").number(limit.reset_secs());
            }
            Draft::Eleven => {
                let any_no = limits.iter().any(|limit| limit.said_no.is_some());
                for (at, limit) in limits.iter().enumerate() {
                    text.add(if at > 0 { ", " } else { "" }).add(&limit.name.quoted);
                    text.add(";r=").number(limit.left());
                    let has_time = match limit.said_no {
                        None => !any_no,
                        Some(wait) => wait.is_some(),
                    };
                    if has_time {
                        text.add(";t=").number(limit.reset_secs());
                    }
                }
            }
        }
        text.take(&RATELIMIT, tell);
    }
}

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest integer of a structured field (RFC 9651, 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// One limit, as a client is told of it.
pub(super) struct Told<'a> {
    pub(super) name: &'a Name,
    pub(super) standing: Standing,
    /// How long it said to wait, if it said no; an inner `None` is for ever.
    pub(super) said_no: Option<Option<Duration>>,
}

impl Told<'_> {
    /// What it is made of that a change of quota may change.
    pub(super) fn quota(&self) -> (Tokens, Duration) {
        (self.standing.capacity(), self.standing.window())
    }

    fn capacity(&self) -> u64 {
        whole(self.standing.capacity())
    }

    /// Above zero, as it must be.
    fn window_secs(&self) -> u64 {
        secs_ceil(self.standing.window()).clamp(1, LARGEST)
    }

    fn left(&self) -> u64 {
        whole(self.standing.available())
    }

    /// Where nothing helps, the time until nothing is missing.
    fn reset(&self) -> Duration {
        self.said_no.flatten().unwrap_or(self.standing.full_after())
    }

    fn reset_secs(&self) -> u64 {
        secs_ceil(self.reset()).min(LARGEST)
    }
}

fn whole(tokens: Tokens) -> u64 {
    tokens.whole().min(LARGEST)
}

/// The limit of which a form with room for one tells.
fn tightest<'a, 'b>(limits: &'a [Told<'b>]) -> Option<&'a Told<'b>> {
    limits.iter().min_by_key(|limit| {
        let said_no = limit.said_no.map(|wait| wait.unwrap_or(Duration::MAX));
        let left = u128::from(limit.left()) << 64;
        (Reverse(said_no), left / u128::from(limit.capacity().max(1)))
    })
}

/// A duration as Go writes it, and LLM APIs do: `6m0s`, `1h0m5s`, `59s`; below a second `120ms`. Rounded up.
fn spell(duration: Duration, text: &mut Text) -> &mut Text {
    if duration < Duration::from_secs(1) && !duration.is_zero() {
        let millis = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
        if millis < 1_000 {
            return text.number(millis).add("ms");
        }
        return text.add("1s");
    }
    let secs = secs_ceil(duration);
    let (hours, minutes) = (secs / 3_600, secs / 60 % 60);
    if hours > 0 {
        text.number(hours).add("h");
    }
    if secs >= 60 {
        text.number(minutes).add("m");
    }
    text.number(secs % 60).add("s")
}

/// Fields for a response that is still to come.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Fields {
    pub(super) fn new(headers: Headers, limits: &[Told<'_>], first: &First) -> Self {
        let mut fields = Vec::with_capacity(headers.count(limits.len()));
        let mut text = Text::new();
        headers.tell(limits, first, &mut text, &mut |name, value| {
            fields.push((name.clone(), value));
        });
        Self { fields }
    }

    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.fields.is_empty()
    }

    #[inline(never)]
    pub(super) fn added_to<B>(self, mut response: Response<B>) -> Response<B> {
        let headers = response.headers_mut();
        headers.reserve(self.fields.len());
        for (name, value) in self.fields {
            add_to(headers, name, value);
        }
        response
    }
}

/// Adds a field to what is there: to a list as further elements, otherwise where the name is not taken. What is there is
/// from a layer further in, or from the service, who know better.
pub(super) fn add_to(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let is_list =
        (name == RATELIMIT || name == RATELIMIT_POLICY) && value.as_bytes().starts_with(b"\"");
    if is_list {
        headers.append(name, value);
    } else {
        headers.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    /// No limiter holds as much, so far.
    #[test]
    fn numbers_have_fifteen_digits_at_most() {
        assert_eq!(whole(Tokens::MAX), 999_999_999_999_999);
        assert_eq!(whole(Tokens::new(LARGEST)), LARGEST);
        assert_eq!(whole(Tokens::new(LARGEST - 1)), LARGEST - 1);
    }

    fn spelled(duration: Duration) -> String {
        let mut text = Text::new();
        spell(duration, &mut text);
        String::from_utf8(text.take_body().to_vec()).unwrap()
    }

    #[test]
    fn durations_are_spelled_as_llm_apis_do() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_001, "2s"),
            (59_001, "1m0s"),
            (360_000, "6m0s"),
            (3_605_000, "1h0m5s"),
            (90_000_000, "25h0m0s"),
        ] {
            assert_eq!(spelled(Duration::from_millis(millis)), text);
        }
        assert_eq!(spelled(Duration::from_nanos(1)), "1ms");
        assert_eq!(spelled(Duration::from_nanos(999_999_999)), "1s");
    }
}
