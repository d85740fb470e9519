//! Pacing a sink.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use pin_project_lite::pin_project;

use super::source::Source;
use super::timer::Timer;
use super::turn::Turn;
use super::unpaid::Unpaid;
use super::waiting::Waiting;
use crate::tokens::Tokens;

/// Paces what goes into any sink.
pub trait PaceSink<I>: Sink<I> {
    /// Passes each item on when a token is good for it.
    ///
    /// `waiting` is what [`wait_with`](crate::Limiter::wait_with) returns, of any limiter; or, with the feature `async`, a
    /// limiter without keys, by reference or in an `Arc`. See [`PacedSink`].
    fn paced_sink<'j, S, T>(
        self,
        waiting: impl Into<Waiting<'j, S, T>>,
    ) -> PacedSink<'j, Self, I, S, T, fn(&I) -> Tokens>
    where
        Self: Sized,
        S: Source<Cost = Tokens>,
    {
        PacedSink::new(self, waiting.into(), |_| Tokens::ONE)
    }

    /// Passes each item on when what it costs is good. See [`PacedSink`].
    fn paced_sink_by<'j, S, T, F, C>(
        self,
        waiting: impl Into<Waiting<'j, S, T>>,
        cost_of: F,
    ) -> PacedSink<'j, Self, I, S, T, F>
    where
        Self: Sized,
        S: Source,
        F: FnMut(&I) -> C,
        C: Into<S::Cost>,
    {
        PacedSink::new(self, waiting.into(), cost_of)
    }
}

impl<I, Si: Sink<I>> PaceSink<I> for Si {}

pin_project! {
    /// A sink that passes items on when their tokens are good, never before, and in their order. Made by [`PaceSink`].
    ///
    /// * An item that is sent goes on at once if its tokens are there. Else it waits here, and the sink takes no other one
    ///   until it is gone: flushing waits for it, and passes on meanwhile what came before it.
    /// * Tokens are taken for an item that is there: a sink that is ready, and is sent nothing, has taken none.
    /// * Dropping it drops the item that waits, and gives back what is held for it. Closing passes it on first.
    ///   [`into_inner`](Self::into_inner) returns it.
    /// * An item that never gets its tokens comes back as [`PacedSinkError::Unpaid`]; the sink goes on.
    /// * An item that must wait allocates once; one that need not, never.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// use std::time::Duration;
    /// use flowgate::{PaceSink, Quota, TokenBucket, TokioClock, TokioTimer};
    /// use futures_util::SinkExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let limiter = TokenBucket::with_clock(Quota::per_second(10).burst(5), TokioClock::new())?;
    /// let start = tokio::time::Instant::now();
    /// let mut sink = Vec::new().paced_sink_by(limiter.wait_with(TokioTimer), |text: &&str| text.len() as u64);
    /// sink.send("hello").await?;
    /// sink.send("sink").await?;
    /// assert_eq!(start.elapsed(), Duration::from_millis(400));
    /// // It would wait for ever.
    /// assert!(sink.send("good day").await.is_err());
    /// assert_eq!(sink.get_ref(), &["hello", "sink"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a sink does nothing unless it is polled"]
    pub struct PacedSink<'j, Si, I, S: Source, T, F> {
        #[pin]
        sink: Si,
        waiting: Waiting<'j, S, T>,
        cost_of: F,
        turn: Turn<'j, S>,
        // There while its turn is.
        item: Option<I>,
    }
}

/// Why an item was not passed on by a [`PacedSink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacedSinkError<I, D, E> {
    /// It never gets its tokens; here it is.
    Unpaid(Unpaid<I, D>),
    /// Another one still waits: it was sent before the sink was ready. Here it is.
    NotReady(I),
    /// The sink within failed.
    Sink(E),
}

impl<I, D: fmt::Display, E: fmt::Display> fmt::Display for PacedSinkError<I, D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpaid(unpaid) => unpaid.fmt(f),
            Self::NotReady(_) => f.write_str("an item was sent before the sink was ready"),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<I: fmt::Debug, D: core::error::Error, E: core::error::Error> core::error::Error
    for PacedSinkError<I, D, E>
{
}

impl<'j, Si, I, S: Source, T, F> PacedSink<'j, Si, I, S, T, F> {
    fn new(sink: Si, waiting: Waiting<'j, S, T>, cost_of: F) -> Self {
        Self { sink, waiting, cost_of, turn: Turn::Idle, item: None }
    }

    /// Borrows the sink within.
    pub fn get_ref(&self) -> &Si {
        &self.sink
    }

    /// Borrows the sink within. What is sent to it is not paced.
    pub fn get_mut(&mut self) -> &mut Si {
        &mut self.sink
    }

    /// Borrows the sink within, pinned. What is sent to it is not paced.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut Si> {
        self.project().sink
    }

    /// Returns the sink within, and the item that still waits, whose tokens are given back.
    pub fn into_inner(self) -> (Si, Option<I>) {
        (self.sink, self.item)
    }
}

type Outcome<Si, I, S> =
    Result<(), PacedSinkError<I, <S as super::source::Sealed>::Denied, <Si as Sink<I>>::Error>>;

impl<Si: Sink<I>, I, S: Source, T, F> PacedSink<'_, Si, I, S, T, F> {
    /// Passes on the item that waits, once it may go and the sink within is ready.
    fn poll_pass_on(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<Si, I, S>> {
        let mut this = self.project();
        if this.item.is_none() {
            return Poll::Ready(Ok(()));
        }
        let paid = ready!(this.turn.poll(context));
        if paid.is_ok() {
            ready!(this.sink.as_mut().poll_ready(context)).map_err(PacedSinkError::Sink)?;
        }
        let Some(item) = this.item.take() else { return Poll::Ready(Ok(())) };
        Poll::Ready(match paid {
            Ok(()) => {
                this.turn.keep();
                this.sink.start_send(item).map_err(PacedSinkError::Sink)
            }
            Err(denied) => Err(PacedSinkError::Unpaid(Unpaid { item, denied })),
        })
    }
}

impl<'j, Si, I, S, T, F, C> Sink<I> for PacedSink<'j, Si, I, S, T, F>
where
    Si: Sink<I>,
    S: Source + Clone + Send + Sync + 'j,
    T: Timer + Clone + Send + Sync + 'j,
    F: FnMut(&I) -> C,
    C: Into<S::Cost>,
{
    type Error = PacedSinkError<I, S::Denied, Si::Error>;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        ready!(self.as_mut().poll_pass_on(context))?;
        self.project().sink.poll_ready(context).map_err(PacedSinkError::Sink)
    }

    fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), Self::Error> {
        let this = self.project();
        if this.item.is_some() {
            return Err(PacedSinkError::NotReady(item));
        }
        this.turn.begin(this.waiting, (this.cost_of)(&item).into());
        if this.turn.is_good() {
            this.turn.keep();
            return this.sink.start_send(item).map_err(PacedSinkError::Sink);
        }
        *this.item = Some(item);
        Ok(())
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        let passed_on = self.as_mut().poll_pass_on(context)?;
        // What came before an item that waits does not wait with it.
        let flushed = self.project().sink.poll_flush(context).map_err(PacedSinkError::Sink)?;
        if passed_on.is_pending() { Poll::Pending } else { flushed.map(Ok) }
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        if self.as_mut().poll_pass_on(context)?.is_pending() {
            let _ = self.project().sink.poll_flush(context).map_err(PacedSinkError::Sink)?;
            return Poll::Pending;
        }
        self.project().sink.poll_close(context).map_err(PacedSinkError::Sink)
    }
}

/// What comes is not paced: see [`PaceStream`](super::PaceStream).
impl<Si, I, S, T, F> Stream for PacedSink<'_, Si, I, S, T, F>
where
    Si: Stream,
    S: Source,
{
    type Item = Si::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().sink.poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.sink.size_hint()
    }
}

impl<Si, I, S, T, F> FusedStream for PacedSink<'_, Si, I, S, T, F>
where
    Si: FusedStream,
    S: Source,
{
    fn is_terminated(&self) -> bool {
        self.sink.is_terminated()
    }
}

impl<Si, I, S, T, F> fmt::Debug for PacedSink<'_, Si, I, S, T, F>
where
    Si: fmt::Debug,
    I: fmt::Debug,
    S: Source,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedSink")
            .field("sink", &self.sink)
            .field("turn", &self.turn)
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}
