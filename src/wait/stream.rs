//! Pacing a stream.

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

/// Paces the items of any stream.
pub trait PaceStream: Stream {
    /// Yields each item when a token is good for it.
    ///
    /// `waiting` is what [`wait_with`](crate::Limiter::wait_with) returns, of any limiter; or, with the feature `async`, a
    /// limiter without keys, by reference or in an `Arc`. See [`Paced`].
    fn paced<'j, S, T>(
        self,
        waiting: impl Into<Waiting<'j, S, T>>,
    ) -> Paced<'j, Self, S, T, fn(&Self::Item) -> Tokens>
    where
        Self: Sized,
        S: Source<Cost = Tokens>,
    {
        Paced::new(self, waiting.into(), |_| Tokens::ONE)
    }

    /// Yields each item when what it costs is good. See [`Paced`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "async")] {
    /// use flowgate::{PaceStream, Quota, TokenBucket};
    /// use futures_util::{StreamExt, stream};
    ///
    /// let bytes = TokenBucket::new(Quota::per_second(1_000_000).burst(1_500))?;
    /// let packets = stream::iter([vec![0_u8; 1_500], vec![0; 64], vec![0; 9_000]]);
    /// let mut paced = packets.paced_by(&bytes, |packet| packet.len() as u64);
    /// # async_io::block_on(async {
    /// assert_eq!(paced.next().await.unwrap().unwrap().len(), 1_500);
    /// assert_eq!(paced.next().await.unwrap().unwrap().len(), 64);
    /// // Above the burst: it would wait for ever, so it comes back, and the next one goes on.
    /// let unpaid = paced.next().await.unwrap().unwrap_err();
    /// assert_eq!(unpaid.item.len(), 9_000);
    /// assert!(unpaid.denied.is_never());
    /// assert!(paced.next().await.is_none());
    /// # });
    /// # }
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    fn paced_by<'j, S, T, F, C>(
        self,
        waiting: impl Into<Waiting<'j, S, T>>,
        cost_of: F,
    ) -> Paced<'j, Self, S, T, F>
    where
        Self: Sized,
        S: Source,
        F: FnMut(&Self::Item) -> C,
        C: Into<S::Cost>,
    {
        Paced::new(self, waiting.into(), cost_of)
    }
}

impl<St: Stream> PaceStream for St {}

pin_project! {
    /// A stream whose items come when their tokens are good, never before, and in their order. Made by
    /// [`PaceStream`].
    ///
    /// * The next item is taken from the stream within when the last one was yielded, and no earlier: one item waits at
    ///   most, and tokens are taken for an item that is there.
    /// * Who paces several streams by one limiter serves them first come, first served.
    /// * Dropping it gives back what is held for an item that was not yielded. [`into_inner`](Self::into_inner) does, too,
    ///   and returns the item.
    /// * An item that never gets its tokens is yielded as an [`Unpaid`], and the next one goes on.
    /// * An item that must wait allocates once; one that need not, never.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// use std::time::Duration;
    /// use flowgate::{PaceStream, Quota, TokenBucket, TokioClock, TokioTimer};
    /// use futures_util::{StreamExt, stream};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
    /// let limiter = TokenBucket::with_clock(Quota::per_second(10).burst(1), TokioClock::new())?;
    /// let start = tokio::time::Instant::now();
    /// let paced = stream::iter(["a", "b", "c"]).paced(limiter.wait_with(TokioTimer));
    /// let times: Vec<_> = paced.map(|item| (item.unwrap(), start.elapsed().as_millis())).collect().await;
    /// assert_eq!(times, [("a", 0), ("b", 100), ("c", 200)]);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Paced<'j, St: Stream, S: Source, T, F> {
        #[pin]
        stream: St,
        waiting: Waiting<'j, S, T>,
        cost_of: F,
        turn: Turn<'j, S>,
        // There while its turn is.
        item: Option<St::Item>,
    }
}

impl<'j, St: Stream, S: Source, T, F> Paced<'j, St, S, T, F> {
    fn new(stream: St, waiting: Waiting<'j, S, T>, cost_of: F) -> Self {
        Self { stream, waiting, cost_of, turn: Turn::Idle, item: None }
    }

    /// Borrows the stream within.
    pub fn get_ref(&self) -> &St {
        &self.stream
    }

    /// Borrows the stream within. An item that is taken from it is not paced.
    pub fn get_mut(&mut self) -> &mut St {
        &mut self.stream
    }

    /// Borrows the stream within, pinned. An item that is taken from it is not paced.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut St> {
        self.project().stream
    }

    /// Returns the stream within, and the item that still waits, whose tokens are given back.
    pub fn into_inner(self) -> (St, Option<St::Item>) {
        (self.stream, self.item)
    }
}

impl<'j, St, S, T, F, C> Stream for Paced<'j, St, S, T, F>
where
    St: Stream,
    S: Source + Clone + Send + Sync + 'j,
    T: Timer + Clone + Send + Sync + 'j,
    F: FnMut(&St::Item) -> C,
    C: Into<S::Cost>,
{
    type Item = Result<St::Item, Unpaid<St::Item, S::Denied>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if this.item.is_none() {
            let Some(item) = ready!(this.stream.poll_next(context)) else {
                return Poll::Ready(None);
            };
            this.turn.begin(this.waiting, (this.cost_of)(&item).into());
            *this.item = Some(item);
        }
        let outcome = ready!(this.turn.poll(context));
        this.turn.keep();
        Poll::Ready(this.item.take().map(|item| match outcome {
            Ok(()) => Ok(item),
            Err(denied) => Err(Unpaid { item, denied }),
        }))
    }

    /// One more than the stream within, while an item waits.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let waits = usize::from(self.item.is_some());
        let (least, most) = self.stream.size_hint();
        (least.saturating_add(waits), most.and_then(|most| most.checked_add(waits)))
    }
}

impl<'j, St, S, T, F, C> FusedStream for Paced<'j, St, S, T, F>
where
    St: FusedStream,
    S: Source + Clone + Send + Sync + 'j,
    T: Timer + Clone + Send + Sync + 'j,
    F: FnMut(&St::Item) -> C,
    C: Into<S::Cost>,
{
    fn is_terminated(&self) -> bool {
        self.item.is_none() && self.stream.is_terminated()
    }
}

/// What is sent is not paced: see [`PaceSink`](super::PaceSink).
impl<I, St, S, T, F> Sink<I> for Paced<'_, St, S, T, F>
where
    St: Stream + Sink<I>,
    S: Source,
{
    type Error = St::Error;

    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.project().stream.poll_ready(context)
    }

    fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), Self::Error> {
        self.project().stream.start_send(item)
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.project().stream.poll_flush(context)
    }

    fn poll_close(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.project().stream.poll_close(context)
    }
}

impl<St, S, T, F> fmt::Debug for Paced<'_, St, S, T, F>
where
    St: Stream + fmt::Debug,
    St::Item: fmt::Debug,
    S: Source,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced")
            .field("stream", &self.stream)
            .field("turn", &self.turn)
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}
