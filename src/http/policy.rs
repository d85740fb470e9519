//! A set of limits with its names, as header fields and reports need them.

use core::{array, fmt};
use std::borrow::ToOwned;
use std::format;
use std::string::String;
use std::sync::Arc;

use http::header::HeaderName;

use crate::wait::LimitSet;

/// A set of limits, and what is made of their names once.
pub(super) struct Policy<Q: ?Sized, const N: usize> {
    pub(super) set: LimitSet<Q, N>,
    pub(super) names: Arc<[Name; N]>,
}

impl<Q: ?Sized, const N: usize> Clone for Policy<Q, N> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone(), names: Arc::clone(&self.names) }
    }
}

/// A limit's name, in the forms in which others read it.
pub(super) struct Name {
    pub(super) plain: &'static str,
    /// As an sf-string (RFC 9651, 3.3.3), quotes included. JSON has the same form for these characters.
    pub(super) quoted: String,
    /// `x-ratelimit-limit-<name>`, and its siblings. None if the name is too long for them.
    pub(super) fields: Option<NamedFields>,
}

pub(super) struct NamedFields {
    pub(super) limit: HeaderName,
    pub(super) remaining: HeaderName,
    pub(super) reset: HeaderName,
}

impl<Q: ?Sized, const N: usize> Policy<Q, N> {
    pub(super) fn new(set: LimitSet<Q, N>) -> Result<Self, NameError> {
        let mut plain = [""; N];
        for (to, name) in plain.iter_mut().zip(set.names()) {
            *to = name;
        }
        for (at, name) in plain.iter().enumerate() {
            if name.is_empty() {
                return Err(NameError::Empty);
            }
            // What an sf-string can hold.
            if !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err(NameError::NotAscii { name });
            }
            if plain.iter().take(at).any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(NameError::Twice { name });
            }
        }
        Ok(Self::with_names(set, plain))
    }

    /// The names are known to be good.
    pub(super) fn with_names(set: LimitSet<Q, N>, plain: [&'static str; N]) -> Self {
        let names = array::from_fn(|at| Name::new(plain[at]));
        Self { set, names: Arc::new(names) }
    }

    pub(super) fn plain_names(&self) -> [&'static str; N] {
        array::from_fn(|at| self.names[at].plain)
    }
}

impl Name {
    fn new(plain: &'static str) -> Self {
        let escaped = plain.replace('\\', "\\\\").replace('"', "\\\"");
        Self { plain, quoted: format!("\"{escaped}\""), fields: NamedFields::new(plain) }
    }
}

impl NamedFields {
    fn new(plain: &str) -> Option<Self> {
        // What cannot be in a field's name becomes a hyphen.
        let suffix = plain.to_owned().to_ascii_lowercase();
        let suffix = suffix.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let field = |what: &str| HeaderName::try_from(format!("x-ratelimit-{what}-{suffix}")).ok();
        Some(Self {
            limit: field("limit")?,
            remaining: field("remaining")?,
            reset: field("reset")?,
        })
    }
}

/// A name of a limit that header fields cannot have.
///
/// # Examples
///
/// ```
/// use flowgate::http::RateLimitLayer;
/// use flowgate::{LimitSet, Quota};
///
/// let set = LimitSet::<str, 1>::per_key([("größe", Quota::per_second(1))])?;
/// let error = RateLimitLayer::of(set).unwrap_err();
/// assert_eq!(error.to_string(), r#"limit "größe": a name in header fields has visible ASCII characters and spaces only"#);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    Empty,
    /// It has other characters than visible ASCII and spaces.
    NotAscii {
        /// The name.
        name: &'static str,
    },
    /// Two limits of one set have it, whichever their case.
    Twice {
        /// The name.
        name: &'static str,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a limit without a name: header fields tell limits by name"),
            Self::NotAscii { name } => write!(
                f,
                "limit \"{name}\": a name in header fields has visible ASCII characters and spaces only"
            ),
            Self::Twice { name } => {
                write!(f, "limit \"{name}\": two limits of one set have this name")
            }
        }
    }
}

impl core::error::Error for NameError {}
