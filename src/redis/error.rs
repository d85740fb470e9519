//! What goes wrong with a store on the network.

use core::fmt;
use std::boxed::Box;

/// Why a store gave no answer, and what to do next.
///
/// # Examples
///
/// ```
/// use flowgate::redis::StoreErrorKind;
///
/// assert!(StoreErrorKind::TimedOut.to_string().contains("may have been carried out"));
/// assert!(StoreErrorKind::Unreachable.is_passing());
/// assert!(!StoreErrorKind::WrongPassword.is_passing());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No connection: the server is down, or the address is wrong.
    Unreachable,
    /// The connection broke before an answer came. The call may have been carried out: its tokens are gone then.
    ConnectionLost,
    /// No answer in time. The call may have been carried out: its tokens are gone then.
    TimedOut,
    /// The server is a replica, which takes no writes: a failover is under way, or the address is that of a replica.
    ReadOnly,
    /// The server is not ready: it loads its data, or its cluster is down.
    NotReady,
    /// The user name or the password is wrong, or missing.
    WrongPassword,
    /// The user may not do this: the permissions lack `EVAL`, `EVALSHA`, or the keys.
    NotPermitted,
    /// The server does not run the script: scripts are off, or it refuses `TIME` in them.
    ScriptRefused,
    /// The keys of one decision are not in one slot of a cluster.
    CrossSlot,
    /// The key holds something else: a bucket of another algorithm, period or unit, or what another program wrote.
    OtherBucket,
    /// The server answered something that the script does not say.
    BadReply,
    /// The address is not one, or names a database that the server does not have.
    BadAddress,
    /// The limiter was shut down, or the runtime that it asks from.
    Stopped,
}

impl StoreErrorKind {
    const ALL: [Self; 13] = [
        Self::Unreachable,
        Self::ConnectionLost,
        Self::TimedOut,
        Self::ReadOnly,
        Self::NotReady,
        Self::WrongPassword,
        Self::NotPermitted,
        Self::ScriptRefused,
        Self::CrossSlot,
        Self::OtherBucket,
        Self::BadReply,
        Self::BadAddress,
        Self::Stopped,
    ];

    /// A number from 1 on, to be kept in a word.
    pub(crate) fn code(self) -> u64 {
        (1..).zip(Self::ALL).find(|(_, kind)| *kind == self).map_or(1, |(code, _)| code)
    }

    /// The kind with this number.
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        let at = usize::try_from(code.checked_sub(1)?).ok()?;
        Self::ALL.get(at).copied()
    }

    /// Tells whether the same call may succeed later with nobody changing a setting.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::ConnectionLost
                | Self::TimedOut
                | Self::ReadOnly
                | Self::NotReady
        )
    }

    /// Tells whether the call may have been carried out although no answer came.
    #[must_use]
    pub const fn may_have_executed(self) -> bool {
        matches!(self, Self::TimedOut | Self::ConnectionLost)
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the server cannot be reached: see that it runs, and that the address is its own",
            Self::ConnectionLost => {
                "the connection broke before the answer: the call may have been carried out; see whether the server restarts"
            }
            Self::TimedOut => {
                "no answer in time: the call may have been carried out; see the server's load, or allow more time"
            }
            Self::ReadOnly => {
                "the server is a replica and takes no writes: connect to the primary, or wait for the failover"
            }
            Self::NotReady => "the server is loading its data, or its cluster is down: wait until it is ready",
            Self::WrongPassword => "the user name or the password is wrong: set them in the address",
            Self::NotPermitted => "the user is not permitted to do this: allow EVAL, EVALSHA and the keys",
            Self::ScriptRefused => {
                "the server refuses the script: allow scripts, or give it the client's time if it refuses TIME"
            }
            Self::CrossSlot => "the keys of one decision are in several slots: they must have the same part in braces",
            Self::OtherBucket => {
                "the key holds something else than a bucket of this limit: name the limit anew if its algorithm, period or unit changed, and see that no other program writes its keys"
            }
            Self::BadReply => "the answer is not the script's: see that the address is that of Redis or Valkey",
            Self::Stopped => "the limiter was shut down, or its runtime was: make it anew in a running one",
            Self::BadAddress => "the address cannot be read, or has no such database: write redis://[user:password@]host[:port]/[database]",
        })
    }
}

/// A store that gave no answer: never a denial, and never a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    kind: StoreErrorKind,
    /// What the server or the connection said.
    said: Box<str>,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, said: impl Into<Box<str>>) -> Self {
        Self { kind, said: said.into() }
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What the server, or the connection to it, said; empty if nothing.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.said.is_empty() { Ok(()) } else { write!(f, " ({})", self.said) }
    }
}

impl core::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_back_from_its_number() {
        for kind in StoreErrorKind::ALL {
            assert_eq!(StoreErrorKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!((StoreErrorKind::from_code(0), StoreErrorKind::from_code(99)), (None, None));
    }
}
