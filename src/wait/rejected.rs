//! Why a set of limits said no.

use core::fmt;
use core::time::Duration;

use crate::error::Denied;
use crate::held::Refused;

/// Which limits of a [`LimitSet`](super::LimitSet) said no, and how long to wait. Nothing was taken from any.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "keyed")] {
/// use flowgate::{LimitSet, Quota};
///
/// let quotas = [("requests", Quota::per_second(1)), ("tokens", Quota::per_minute(1_000))];
/// let budget = LimitSet::<str, 2>::per_key(quotas)?;
/// assert!(budget.try_consume("alice", [1, 1_000]).is_ok());
/// let rejected = budget.try_consume("alice", [1, 500]).unwrap_err();
/// assert_eq!(rejected.names().collect::<Vec<_>>(), ["requests", "tokens"]);
/// // The longest of their waits.
/// assert!(rejected.retry_after().unwrap().as_secs() >= 29);
/// assert!(rejected.wait_of("requests").unwrap().unwrap().as_secs() < 1);
/// # }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected<const N: usize> {
    names: [&'static str; N],
    said: [Said; N],
}

/// What one limit said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Yes,
    NotYet(Duration),
    Never,
    /// It cannot say: its store does not answer. The time until that is tried again.
    Unavailable(Duration),
}

impl Said {
    pub(super) fn of(refused: Option<&Refused>) -> Self {
        match refused.map(|refused| refused.denied) {
            None => Self::Yes,
            Some(denied @ (Denied::NotYet(_) | Denied::NoRoom(_))) => {
                Self::NotYet(denied.retry_after().unwrap_or_default())
            }
            Some(Denied::Never(_)) => Self::Never,
            Some(Denied::Unavailable(unavailable)) => Self::Unavailable(unavailable.retry_after()),
        }
    }
}

impl<const N: usize> Rejected<N> {
    pub(crate) fn new(names: [&'static str; N], said: [Said; N]) -> Self {
        Self { names, said }
    }

    fn no(&self) -> impl Iterator<Item = (&'static str, Option<Duration>)> + '_ {
        self.names.iter().zip(&self.said).filter_map(|(name, said)| match said {
            Said::Yes => None,
            Said::NotYet(wait) | Said::Unavailable(wait) => Some((*name, Some(*wait))),
            Said::Never => Some((*name, None)),
        })
    }

    fn said_unavailable(&self, name: &str) -> bool {
        let mut all = self.names.iter().zip(&self.said);
        all.any(|(of, said)| *of == name && matches!(said, Said::Unavailable(_)))
    }

    /// The limits that said no, in the order of the set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.no().map(|(name, _)| name)
    }

    /// How long the limit of this name said to wait: nothing if it did not say no, and for ever is an inner `None`.
    #[must_use]
    pub fn wait_of(&self, name: &str) -> Option<Option<Duration>> {
        self.no().find(|(of, _)| *of == name).map(|(_, wait)| wait)
    }

    /// The time after which the same call would succeed if nobody else took tokens: the longest of those that the limits
    /// said; `None` if one of them never will.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.no()
            .map(|(_, wait)| wait)
            .try_fold(Duration::ZERO, |longest, wait| Some(longest.max(wait?)))
    }

    /// Tells whether no wait would help.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.retry_after().is_none()
    }

    /// Tells whether no limit said no for its quota's sake: those that did cannot say, since the store that they share with
    /// other servers does not answer ([`Denied::Unavailable`]).
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        let mut no = self.said.iter().filter(|said| !matches!(said, Said::Yes)).peekable();
        no.peek().is_some() && no.all(|said| matches!(said, Said::Unavailable(_)))
    }

    pub(super) fn is_close(&self, close_ns: u64) -> bool {
        self.retry_after().is_some_and(|wait| wait <= Duration::from_nanos(close_ns))
    }
}

impl<const N: usize> fmt::Display for Rejected<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied by ")?;
        for (at, (name, wait)) in self.no().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            if self.said_unavailable(name) {
                write!(f, "`{name}`: its store does not answer")?;
                continue;
            }
            match wait {
                Some(wait) => write!(f, "`{name}`: retry after {wait:?}")?,
                None => write!(f, "`{name}`: the cost is above its capacity")?,
            }
        }
        Ok(())
    }
}

impl<const N: usize> core::error::Error for Rejected<N> {}
