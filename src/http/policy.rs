//! A set of limits with its names, as header fields and reports need them.

use core::{array, fmt};
use std::borrow::ToOwned;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HeaderName;

use super::lasting::First;
use crate::wait::LimitSet;

/// A set of limits, and what is made of their names once.
pub(super) struct Policy<Q: ?Sized, const N: usize> {
    pub(super) set: LimitSet<Q, N>,
    pub(super) names: Arc<[Name; N]>,
    pub(super) first: First,
}

impl<Q: ?Sized, const N: usize> Clone for Policy<Q, N> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone(), names: Arc::clone(&self.names), first: First::default() }
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

#[derive(PartialEq)]
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
        let mut names = plain.map(Name::new);
        // Two names may differ in what is a hyphen in a field's name: the first one has it.
        for at in 1..N {
            let (earlier, rest) = names.split_at_mut(at);
            if let Some(name) = rest.first_mut()
                && earlier.iter().any(|other| other.fields == name.fields)
            {
                name.fields = None;
            }
        }
        Self { set, names: Arc::new(names), first: First::default() }
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
        let field = |what: &str| for_ever(format!("x-ratelimit-{what}-{suffix}"));
        Some(Self {
            limit: field("limit")?,
            remaining: field("remaining")?,
            reset: field("reset")?,
        })
    }
}

/// A field's name that is copied without counting its copies, which all threads would do in one place. It is kept for ever,
/// once: what it is made of, a limit's name, is part of the program.
fn for_ever(name: String) -> Option<HeaderName> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

    // As it will be read, and not too long.
    let name = HeaderName::try_from(name).ok()?;
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = match names.get(name.as_str()) {
        Some(kept) => kept,
        None => {
            let kept: &'static str = String::leak(name.as_str().to_owned());
            names.insert(kept);
            kept
        }
    };
    Some(HeaderName::from_static(kept))
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
