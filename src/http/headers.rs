//! Header fields that tell of limits.

use core::cmp::Reverse;
use core::time::Duration;
use std::vec::Vec;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

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

    /// The fields for some limits.
    pub(super) fn fields(self, limits: &[Told<'_>]) -> Fields {
        let mut fields = Fields::default();
        if self.are_none() {
            return fields;
        }
        let mut text = Text::with_room(limits.len().saturating_mul(40));
        match self.draft {
            Draft::None => {}
            Draft::Seven => draft_7(limits, &mut text, &mut fields),
            Draft::Eleven => draft_11(limits, &mut text, &mut fields),
        }
        if self.x_ratelimit
            && let Some(limit) = tightest(limits)
        {
            fields.number(X_LIMIT, limit.quota());
            fields.number(X_REMAINING, limit.left());
            fields.number(X_RESET, limit.reset_secs());
        }
        if self.by_name {
            for limit in limits {
                let Some(names) = &limit.name.fields else { continue };
                fields.number(names.limit.clone(), limit.quota());
                fields.number(names.remaining.clone(), limit.left());
                spell(limit.reset(), &mut text);
                fields.text(&names.reset, &mut text);
            }
        }
        fields
    }
}

fn draft_7(limits: &[Told<'_>], text: &mut Text, fields: &mut Fields) {
    for (at, limit) in limits.iter().enumerate() {
        text.add(if at > 0 { ", " } else { "" });
        text.number(limit.quota()).add(";w=").number(limit.window_secs());
    }
    fields.text(&RATELIMIT_POLICY, text);
    if let Some(limit) = tightest(limits) {
        text.add("limit=").number(limit.quota());
        text.add(", remaining=").number(limit.left());
        text.add(", reset=").number(limit.reset_secs());
        fields.text(&RATELIMIT, text);
    }
}

fn draft_11(limits: &[Told<'_>], text: &mut Text, fields: &mut Fields) {
    for (at, limit) in limits.iter().enumerate() {
        text.add(if at > 0 { ", " } else { "" }).add(&limit.name.quoted);
        text.add(";q=").number(limit.quota()).add(";w=").number(limit.window_secs());
    }
    fields.text(&RATELIMIT_POLICY, text);
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
    fields.text(&RATELIMIT, text);
}

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

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
    fn quota(&self) -> u64 {
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
        (Reverse(said_no), left / u128::from(limit.quota().max(1)))
    })
}

/// A duration as Go writes it, and LLM APIs do: `6m0s`, `1h0m5s`, `59s`; below a second `120ms`. Rounded up.
fn spell(duration: Duration, text: &mut Text) {
    if duration < Duration::from_secs(1) && !duration.is_zero() {
        let millis = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
        if millis < 1_000 {
            text.number(millis).add("ms");
        } else {
            text.add("1s");
        }
        return;
    }
    let secs = secs_ceil(duration);
    let (hours, minutes) = (secs / 3_600, secs / 60 % 60);
    if hours > 0 {
        text.number(hours).add("h");
    }
    if secs >= 60 {
        text.number(minutes).add("m");
    }
    text.number(secs % 60).add("s");
}

/// Fields to be added to a response.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Fields {
    /// Takes the text, and leaves an empty one.
    fn text(&mut self, name: &HeaderName, text: &mut Text) {
        // It is visible ASCII.
        if let Ok(value) = HeaderValue::from_str(text.as_str()) {
            self.fields.push((name.clone(), value));
        }
        text.clear();
    }

    fn number(&mut self, name: HeaderName, number: u64) {
        self.fields.push((name, number.into()));
    }

    pub(super) fn retry_after(&mut self, secs: u64) {
        self.number(RETRY_AFTER, secs);
    }

    /// Adds them to what is there: to lists as further elements, otherwise where the name is not taken. What is there
    /// is from a layer further in, or from the service, who know better.
    #[inline]
    pub(super) fn add_to(&mut self, headers: &mut HeaderMap) {
        if !self.fields.is_empty() {
            self.add_all_to(headers);
        }
    }

    #[inline(never)]
    fn add_all_to(&mut self, headers: &mut HeaderMap) {
        headers.reserve(self.fields.len());
        for (name, value) in self.fields.drain(..) {
            let is_list = (name == RATELIMIT || name == RATELIMIT_POLICY)
                && value.as_bytes().starts_with(b"\"");
            if is_list {
                headers.append(name, value);
            } else {
                headers.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No limiter holds as much, so far.
    #[test]
    fn numbers_have_fifteen_digits_at_most() {
        assert_eq!(whole(Tokens::MAX), 999_999_999_999_999);
        assert_eq!(whole(Tokens::new(LARGEST)), LARGEST);
        assert_eq!(whole(Tokens::new(LARGEST - 1)), LARGEST - 1);
    }

    fn spelled(duration: Duration) -> std::string::String {
        let mut text = Text::default();
        spell(duration, &mut text);
        text.as_str().into()
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
