//! What a leased limiter answers when it does not deny.

use crate::answer::Granted;

/// A request that may pass: because its tokens were granted, or although nobody could be asked.
#[derive(Clone, Copy, Debug)]
pub enum Admitted<'a> {
    /// The tokens were leased, or are of this process's share.
    Granted(Granted<'a>),
    /// The store is away, and [`WhenDown::Allow`](crate::redis::WhenDown::Allow) was chosen: nothing was counted, and the bound does
    /// not hold for this one.
    Degraded,
}

impl<'a> Admitted<'a> {
    /// What was granted; `None` if nothing was counted.
    #[must_use]
    pub const fn granted(self) -> Option<Granted<'a>> {
        match self {
            Self::Granted(granted) => Some(granted),
            Self::Degraded => None,
        }
    }

    /// Tells whether nothing was counted.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        matches!(self, Self::Degraded)
    }
}
