//! A header field as the key.

use core::fmt;
use core::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;

use http::header::{AUTHORIZATION, HeaderName, InvalidHeaderName};

use super::head::RequestHead;
use super::key::Key;

/// The value of a header field is the key: an API key, a user's or a tenant's name.
///
/// A request that has the field twice has no key: which of the two the service believes is not known here. A value
/// with other than visible ASCII is none either.
///
/// Put the layer behind the one that checks the key. Before it, whoever makes up names has a bucket for each of them.
///
/// # Examples
///
/// ```
/// use flowgate::http::{HeaderKey, Key, RequestHead};
///
/// let by_api_key = HeaderKey::new("x-api-key")?;
/// let request = http::Request::get("/").header("x-api-key", "k-123").body(())?;
/// assert_eq!(by_api_key.key(&RequestHead::of(&request)), Some("k-123"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeaderKey {
    name: HeaderName,
    is_bearer: bool,
}

impl HeaderKey {
    /// The whole value of this field.
    ///
    /// # Errors
    ///
    /// If no header field can have this name.
    pub fn new(name: &str) -> Result<Self, InvalidHeaderName> {
        Ok(Self { name: HeaderName::try_from(name)?, is_bearer: false })
    }

    /// The token of `Authorization: Bearer <token>`, whichever way `Bearer` is written.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::http::{HeaderKey, Key, RequestHead};
    ///
    /// for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
    ///     let request = http::Request::get("/").header("authorization", value).body(()).unwrap();
    ///     assert_eq!(HeaderKey::bearer().key(&RequestHead::of(&request)), Some("abc"));
    /// }
    /// ```
    #[must_use]
    pub fn bearer() -> Self {
        Self { name: AUTHORIZATION, is_bearer: true }
    }
}

impl Key for HeaderKey {
    type Of = str;
    type Found<'r> = &'r str;

    fn key<'r>(&self, head: &RequestHead<'r>) -> Option<&'r str> {
        let mut values = head.headers().get_all(&self.name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        let key = if self.is_bearer { bearer_token(value)? } else { value };
        let key = key.trim_matches([' ', '\t']);
        (!key.is_empty()).then_some(key)
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim_start_matches([' ', '\t']).split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// A key as logs may have it: a hash by which a reader tells keys apart, and cannot find them.
///
/// The hash is seeded anew by each process: so guesses cannot be tried on a log, and logs of two processes cannot be
/// joined.
///
/// # Examples
///
/// ```
/// use flowgate::http::LoggedKey;
///
/// let logged = LoggedKey::of("k-123").to_string();
/// assert!(logged.starts_with('#') && !logged.contains("k-123"));
/// assert_eq!(logged, LoggedKey::of("k-123").to_string());
/// assert_ne!(logged, LoggedKey::of("k-124").to_string());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoggedKey {
    hash: u64,
}

impl LoggedKey {
    /// Hashes a key.
    pub fn of<Q: core::hash::Hash + ?Sized>(key: &Q) -> Self {
        static SEED: OnceLock<RandomState> = OnceLock::new();
        Self { hash: SEED.get_or_init(RandomState::new).hash_one(key) }
    }
}

impl fmt::Display for LoggedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.hash)
    }
}

impl fmt::Debug for LoggedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn key_of(key: &HeaderKey, values: &[&[u8]]) -> Option<std::string::String> {
        let mut request = Request::get("/");
        for value in values {
            request = request.header(&key.name, *value);
        }
        let request = request.body(()).unwrap();
        key.key(&RequestHead::of(&request)).map(Into::into)
    }

    #[test]
    fn a_field_that_comes_twice_is_no_key() {
        let key = HeaderKey::new("x-api-key").unwrap();
        assert_eq!(key_of(&key, &[b"one"]).as_deref(), Some("one"));
        assert_eq!(key_of(&key, &[b"one", b"two"]), None);
        assert_eq!(key_of(&key, &[]), None);
        assert_eq!(key_of(&key, &[b""]), None);
        assert_eq!(key_of(&key, &[b"\xff"]), None);
        assert!(HeaderKey::new("x api key").is_err());
    }

    #[test]
    fn a_token_has_one_key_however_its_scheme_is_written() {
        let bearer = HeaderKey::bearer();
        for value in ["Bearer t0", "bEaReR t0", "Bearer   t0  "] {
            assert_eq!(key_of(&bearer, &[value.as_bytes()]).as_deref(), Some("t0"));
        }
        assert_eq!(key_of(&bearer, &[b"Basic t0"]), None);
        assert_eq!(key_of(&bearer, &[b"Bearer"]), None);
        assert_eq!(key_of(&bearer, &[b"Bearer  "]), None);
    }
}
