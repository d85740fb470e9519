//! What the layer tells of what it does.

use core::fmt;
use std::sync::Arc;
use std::vec::Vec;

/// Is told of each decision, by the names of the limits, never by key.
///
/// It is called on the request's way: it should be quick. `Metrics` (feature `metrics`) and `Tracing` (feature
/// `tracing`) are such.
///
/// # Examples
///
/// ```
/// use flowgate::http::{Event, Observe};
///
/// struct Print;
///
/// impl Observe for Print {
///     fn observe(&self, event: Event, policies: &[&'static str]) {
///         if event == Event::Denied {
///             println!("denied by {}", policies.join(", "));
///         }
///     }
/// }
/// ```
pub trait Observe: Send + Sync + 'static {
    /// `policies` are the names of all limits of a request that was let through, and of those that said no otherwise.
    fn observe(&self, event: Event, policies: &[&'static str]);
}

/// What the layer did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// It was let through.
    Allowed,
    /// It was refused by limits.
    Denied,
    /// It was let through, and would have been refused by limits if this were not shadow mode.
    ShadowDenied,
    /// It was refused since a limit's store does not answer.
    Unavailable,
    /// It was let through without being counted, since a limit's store does not answer and it was told to do so then.
    Degraded,
    /// It had no key; it was refused, or let through in shadow mode. There are no policies to name.
    WithoutKey,
    /// It began to wait. One of the next two follows.
    Waiting,
    /// It waits no longer. It is `Allowed` or `Denied` next.
    Waited,
    /// Its client went away while it waited.
    GaveUp,
}

impl Event {
    /// A short name in lower case, as in metrics: `allowed`, `denied`, `shadow_denied`, `unavailable`, `degraded`, `without_key`, `waiting`, `waited`,
    /// `gave_up`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::ShadowDenied => "shadow_denied",
            Self::Unavailable => "unavailable",
            Self::Degraded => "degraded",
            Self::WithoutKey => "without_key",
            Self::Waiting => "waiting",
            Self::Waited => "waited",
            Self::GaveUp => "gave_up",
        }
    }
}

/// Who is told.
#[derive(Clone, Default)]
pub(super) struct Observers {
    all: Vec<Arc<dyn Observe>>,
}

impl Observers {
    pub(super) fn add(&mut self, observer: impl Observe) {
        self.all.push(Arc::new(observer));
    }

    /// Whether there is anybody to be told, for whom names are to be gathered.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty()
    }

    #[inline]
    pub(super) fn tell(&self, event: Event, policies: &[&'static str]) {
        for observer in &self.all {
            observer.observe(event, policies);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of them", self.all.len())
    }
}
