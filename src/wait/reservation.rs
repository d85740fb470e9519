//! Tokens taken ahead of time.

use core::fmt;
use core::time::Duration;

use super::limit::Sealed as _;
use super::source::{Lend, Of, Source};
use crate::answer::Granted;

/// Tokens that were taken now and are good from some moment on: at once, or when the debt up to them is repaid.
///
/// Made by [`reserve`](crate::Limiter::reserve) and by what waits. It begins when it is good. Until then it can be
/// called off by dropping it: exactly its tokens go back. From then on whoever holds it may have used them, so
/// dropping it keeps them, unless [`on_drop`](Self::on_drop) says otherwise. Each of these ends it:
///
/// | | not begun | begun |
/// |---|---|---|
/// | dropped | all goes back | all is kept: what was used is not known ([`OnDrop`]) |
/// | [`cancel`](Self::cancel) | all goes back | all goes back |
/// | [`keep`](Self::keep) | all is kept | all is kept |
/// | [`settle`](Self::settle) | the rest goes back, or what is missing is charged | the same |
/// | forgotten (`mem::forget`) | all is kept; nobody is held up | the same |
///
/// What goes back goes back when it does: a window of time that begins after a reservation, and sees it given back or
/// settled, may grant that much more. Never over means granted − given back.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{ManualClock, Quota, TokenBucket};
///
/// let clock = ManualClock::new();
/// let limiter = TokenBucket::with_clock(Quota::per_second(10), &clock)?;
/// limiter.try_consume(10).unwrap();
///
/// let second = Duration::from_secs(1);
/// let mut five = limiter.reserve(5, second).unwrap();
/// let mut two = limiter.reserve(2, second).unwrap();
/// assert_eq!(five.wait(), Duration::from_millis(500));
/// assert_eq!(two.wait(), Duration::from_millis(700));
/// // Who would have to wait for longer is refused at once, at nobody's cost.
/// assert!(limiter.reserve(4, second).is_err());
///
/// clock.advance(Duration::from_millis(500));
/// assert!(five.is_good());
/// // An estimate of 5, of which 3 were used: the rest goes back.
/// assert_eq!(five.settle(3), 0);
/// drop(two);
/// assert_eq!(limiter.available(), 2);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[must_use = "dropping a reservation that has not begun gives it back"]
pub struct Reservation<S: Source> {
    source: S,
    held: S::Held,
    has_ended: bool,
    has_begun: bool,
    on_drop: OnDrop,
}

/// What becomes of a [`Reservation`] that is dropped after it has begun, so that what was used of it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDrop {
    /// All of it counts as used: an estimate that is not settled is never taken for zero.
    #[default]
    Keep,
    /// All of it goes back: for who surely has used nothing unless it says so, by [`keep`](Reservation::keep) or
    /// [`settle`](Reservation::settle).
    GiveBack,
}

impl<S: Source> Reservation<S> {
    pub(crate) fn new(source: S, held: S::Held) -> Self {
        let has_begun = S::is_good_at_once(&held);
        Self { source, held, has_ended: false, has_begun, on_drop: OnDrop::Keep }
    }

    /// Of what was seen to be good.
    #[cfg(feature = "std")]
    pub(crate) fn begun(source: S, held: S::Held) -> Self {
        let mut reservation = Self::new(source, held);
        reservation.has_begun = true;
        reservation
    }

    /// Tells whether it was let through without being counted: see [`Granted::is_degraded`](crate::Granted::is_degraded).
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.source.is_degraded(&self.held)
    }

    /// Says what becomes of it if it is dropped after it has begun.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, OnDrop, Quota, TokenBucket};
    ///
    /// let limiter = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// drop(limiter.reserve(4, Duration::ZERO).unwrap());
    /// assert_eq!(limiter.available(), 6);
    /// drop(limiter.reserve(4, Duration::ZERO).unwrap().on_drop(OnDrop::GiveBack));
    /// assert_eq!(limiter.available(), 6);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Computes how long until it is good: zero once it is.
    ///
    /// A quota that is lowered meanwhile may make it longer, never shorter. What has been seen to be good stays so.
    pub fn wait(&mut self) -> Duration {
        Duration::from_nanos(self.wait_ns())
    }

    fn wait_ns(&mut self) -> u64 {
        if self.has_begun {
            return 0;
        }
        let wait_ns = self.source.wait_ns(&mut self.held);
        self.has_begun = wait_ns == 0;
        wait_ns
    }

    /// Whether it is good by what was told last, whatever has become of the quota since.
    fn has_begun_as_told(&self) -> bool {
        self.has_begun || self.source.told_ns(&self.held) == 0
    }

    /// Tells whether it is good now.
    pub fn is_good(&mut self) -> bool {
        self.wait_ns() == 0
    }

    /// Calls it off: exactly its tokens go back, whether it has begun or not.
    pub fn cancel(mut self) {
        self.has_ended = true;
        self.source.take_back(&self.held);
    }

    /// Ends it, keeps all of it, and tells of it. Whoever does so before it is good waits all the same, or sees to it that
    /// nothing is used before.
    pub fn keep(mut self) -> S::Granted {
        self.has_ended = true;
        self.source.granted(&self.held)
    }

    /// Ends it at what was really used: what was estimated too high goes back, what was estimated too low is charged,
    /// into debt. Returns what could not be charged, since it would be below the deepest debt: zero as a rule.
    ///
    /// Of a window that is over nothing goes back.
    pub fn settle(mut self, actual: impl Into<S::Cost>) -> S::Cost {
        self.has_ended = true;
        self.source.settle(&self.held, actual.into())
    }
}

impl<P: Lend<Q>, Q: ?Sized> Reservation<Of<'_, P, Q>> {
    /// What it took, and what it left.
    pub fn granted(&self) -> Granted<'_> {
        self.source.limiter.limit().granted(&self.held)
    }
}

impl<S: Source> Drop for Reservation<S> {
    fn drop(&mut self) {
        if self.has_ended && !crate::planted::end_twice() {
            return;
        }
        // Whoever holds it may have used it if it was seen to be good, or is by what was told last.
        if self.on_drop == OnDrop::GiveBack || !self.has_begun_as_told() {
            self.source.take_back(&self.held);
        }
    }
}

impl<S: Source> fmt::Debug for Reservation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("on_drop", &self.on_drop).finish_non_exhaustive()
    }
}
