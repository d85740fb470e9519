//! The wait for one item of a stream or a sink.

use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;

use super::reservation::{OnDrop, Reservation};
use super::source::Source;
use super::timer::Timer;
use super::waiting::Waiting;

/// How far the wait for the one item at hand has come. Dropping it gives back what is held for that item.
pub(super) enum Turn<'j, S: Source> {
    /// There is no item.
    Idle,
    Waits(Acquiring<'j, S>),
    /// The item may go.
    Good(Reservation<S>),
}

/// Its type has no name, so it lies in a box of its own; there is none for an item that need not wait.
type Acquiring<'j, S> = Pin<Box<dyn Future<Output = Acquired<S>> + Send + 'j>>;

type Acquired<S> = Result<Reservation<S>, <S as super::source::Sealed>::Denied>;

impl<'j, S: Source> Turn<'j, S> {
    /// Takes `cost`, or begins to wait for it.
    pub(super) fn begin<T>(&mut self, waiting: &Waiting<'j, S, T>, cost: S::Cost)
    where
        S: Clone + Send + Sync + 'j,
        T: Timer + Clone + Send + Sync + 'j,
    {
        *self = match waiting.acquire_at_once(cost) {
            Some(reservation) => Self::good(reservation),
            None => {
                let waiting = waiting.clone();
                Self::Waits(Box::pin(async move { waiting.acquire(cost).await }))
            }
        };
    }

    /// What is used says so, by [`keep`](Self::keep).
    fn good(reservation: Reservation<S>) -> Self {
        Self::Good(reservation.on_drop(OnDrop::GiveBack))
    }

    /// Waits until the item may go.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Denied>> {
        if let Self::Waits(acquire) = self {
            // `Idle` if it is refused: it is over, and must not be polled again.
            let acquired = ready!(acquire.as_mut().poll(context));
            *self = Self::Idle;
            *self = Self::good(acquired?);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }

    /// The item goes.
    pub(super) fn keep(&mut self) {
        if let Self::Good(reservation) = mem::replace(self, Self::Idle) {
            let _ = reservation.keep();
        }
    }
}

impl<S: Source> fmt::Debug for Turn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Waits(_) => "Waits",
            Self::Good(_) => "Good",
        })
    }
}
