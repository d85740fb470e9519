//! Streams and sinks that are paced, on tokio's paused clock.
#![cfg(all(feature = "stream", feature = "tokio"))]

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flowgate::{
    Denied, Jitter, LeakyQueue, LimitSet, Limiter, PaceSink, PaceStream, PacedSinkError, Quota,
    Rejected, SlidingWindow, TokenBucket, TokioClock, TokioTimer, Unpaid, Waiting,
};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt, stream};
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);

fn bucket(quota: Quota) -> TokenBucket<TokioClock> {
    TokenBucket::with_clock(quota, TokioClock::new()).unwrap()
}

/// Polls once, as a task that nobody wakes.
fn poll<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

/// The milliseconds after `start` at which each item came.
async fn times(start: Instant, items: impl Stream) -> Vec<u128> {
    items.map(|_| start.elapsed().as_millis()).collect().await
}

#[tokio::test(start_paused = true)]
async fn items_come_at_the_rate_and_none_before_its_token() {
    let limiter = bucket(Quota::per_second(10).burst(3));
    let start = Instant::now();
    let paced = stream::iter(0..6).paced(limiter.wait_with(TokioTimer));
    assert_eq!(times(start, paced).await, [0, 0, 0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_items_end_within_a_millisecond_of_their_time() {
    let limiter = bucket(Quota::per_second(333).burst(1));
    let start = Instant::now();
    let paced = stream::iter(0..1_000_u32).paced(limiter.wait_with(TokioTimer));
    let mut paced = pin!(paced.enumerate());
    while let Some((at, item)) = paced.next().await {
        assert_eq!(item.unwrap(), u32::try_from(at).unwrap());
        let due = SECOND * u32::try_from(at).unwrap() / 333;
        let elapsed = start.elapsed();
        assert!(elapsed >= due, "item {at} after {elapsed:?}, due after {due:?}");
        // tokio's timer rounds up to a millisecond, and the debt is reckoned from the clock, so it does not add up.
        assert!(elapsed <= due + Duration::from_millis(2), "item {at} after {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_waits_for_what_it_costs() {
    let limiter = bucket(Quota::per_second(10).burst(10));
    let start = Instant::now();
    let costs = stream::iter([10_u64, 1, 4, 0, 5]);
    let paced = costs.paced_by(limiter.wait_with(TokioTimer), |cost| *cost);
    assert_eq!(times(start, paced).await, [0, 100, 500, 500, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_spaces_items_out() {
    let queue = LeakyQueue::new(Quota::per_second(10).burst(50));
    let limiter = Limiter::with_clock(queue, TokioClock::new()).unwrap();
    let start = Instant::now();
    let paced = stream::iter(0..4).paced(limiter.wait_with(TokioTimer));
    assert_eq!(times(start, paced).await, [0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_window_paces_although_nothing_of_it_is_reserved() {
    let window = SlidingWindow::new(2, SECOND);
    let limiter = Limiter::with_clock(window, TokioClock::new()).unwrap();
    let paced = stream::iter(0..6).paced(limiter.wait_with(TokioTimer));
    let start = Instant::now();
    let times = times(start, paced).await;
    assert_eq!(times.len(), 6);
    assert!(times[5] >= 2_000, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_costly_item_is_not_overtaken_by_another_streams_cheap_ones() {
    let limiter = bucket(Quota::per_second(10).burst(10));
    assert_eq!(limiter.consume_up_to(10), 10);
    let waiting = limiter.wait_with(TokioTimer);
    let start = Instant::now();
    let costly = stream::iter([10_u64]).paced_by(waiting, |cost| *cost);
    let cheap = stream::iter([1_u64; 5]).paced_by(waiting, |cost| *cost);
    let (costly, cheap) = tokio::join!(times(start, costly), times(start, cheap));
    assert_eq!(costly, [1_000]);
    assert_eq!(cheap, [1_100, 1_200, 1_300, 1_400, 1_500]);
}

#[tokio::test(start_paused = true)]
async fn one_item_waits_and_no_other_is_pulled() {
    let limiter = bucket(Quota::per_second(1));
    let pulled = Rc::new(Cell::new(0));
    let source = stream::iter(0..9).inspect({
        let pulled = Rc::clone(&pulled);
        move |_| pulled.set(pulled.get() + 1)
    });
    let mut paced = pin!(source.paced(limiter.wait_with(TokioTimer)));
    assert_eq!(pulled.get(), 0);
    assert_eq!(paced.next().await, Some(Ok(0)));
    assert_eq!(pulled.get(), 1);
    for _ in 0..3 {
        assert!(poll(|context| paced.as_mut().poll_next(context)).is_pending());
        assert_eq!(pulled.get(), 2);
    }
    // The one that waits is counted, too.
    assert_eq!(paced.size_hint(), (8, Some(8)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_for_an_item_that_is_not_there() {
    let limiter = bucket(Quota::per_second(5));
    let mut paced = pin!(stream::pending::<()>().paced(limiter.wait_with(TokioTimer)));
    assert!(poll(|context| paced.as_mut().poll_next(context)).is_pending());
    assert_eq!(limiter.available(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_gives_back_what_was_held_for_its_item() {
    let limiter = bucket(Quota::per_second(1).burst(4));
    assert_eq!(limiter.consume_up_to(4), 4);
    // Before the item's tokens are good, and after, if nobody has looked.
    for slept in [Duration::ZERO, 3 * SECOND] {
        let mut paced =
            Box::pin(stream::iter([2_u64]).paced_by(limiter.wait_with(TokioTimer), |cost| *cost));
        assert!(poll(|context| paced.as_mut().poll_next(context)).is_pending());
        assert_eq!(limiter.snapshot().debt(), 2);
        advance(slept).await;
        drop(paced);
        assert_eq!(limiter.snapshot().debt(), 0);
        assert_eq!(limiter.available(), slept.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn taking_a_stream_apart_gives_back_tokens_and_item() {
    let limiter = bucket(Quota::per_second(1));
    let mut paced = stream::iter(["a", "b", "c"]).paced(limiter.wait_with(TokioTimer));
    assert_eq!(paced.next().await, Some(Ok("a")));
    assert!(paced.next().now_or_never().is_none());
    assert_eq!(limiter.snapshot().debt(), 1);
    let (rest, item) = paced.into_inner();
    assert_eq!(item, Some("b"));
    assert_eq!(rest.collect::<Vec<_>>().await, ["c"]);
    assert_eq!(limiter.snapshot().debt(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_never_can_be_paid_comes_back_and_the_next_goes_on() {
    let limiter = bucket(Quota::per_second(2));
    let paced = stream::iter([1_u64, 3, 1]).paced_by(limiter.wait_with(TokioTimer), |cost| *cost);
    let items: Vec<Result<u64, Unpaid<u64, Denied>>> = paced.collect().await;
    assert_eq!((&items[0], &items[2]), (&Ok(1), &Ok(1)));
    let unpaid = items[1].unwrap_err();
    assert!(unpaid.item == 3 && unpaid.denied.is_never());
    assert!(unpaid.to_string().contains("capacity"), "{unpaid}");
    assert_eq!(limiter.available(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_takes_from_all_limits_of_a_set() {
    let requests = TokenBucket::with_clock(Quota::per_second(10).burst(1), TokioClock::new());
    let tokens = TokenBucket::with_clock(Quota::per_second(100), TokioClock::new());
    let set = LimitSet::<(), 2>::of([
        ("requests", Box::new(requests.unwrap())),
        ("tokens", Box::new(tokens.unwrap())),
    ]);
    let start = Instant::now();
    let sizes = stream::iter([100_u64, 5, 50, 101]);
    let mut paced = pin!(sizes.paced_by(set.wait_with(&(), TokioTimer), |size| [1, *size]));
    for (size, after) in [(100, 0), (5, 100), (50, 550)] {
        assert_eq!(paced.next().await.unwrap().unwrap(), size);
        assert_eq!(start.elapsed().as_millis(), after);
    }
    let unpaid: Unpaid<u64, Rejected<2>> = paced.next().await.unwrap().unwrap_err();
    assert_eq!(unpaid.denied.names().collect::<Vec<_>>(), ["tokens"]);
}

#[tokio::test(start_paused = true)]
async fn jitter_makes_items_late_and_never_early() {
    let limiter = bucket(Quota::per_second(10).burst(1));
    let jitter = Jitter::between(Duration::from_millis(5), Duration::from_millis(20)).seeded(1);
    let start = Instant::now();
    let paced = stream::iter(0..5).paced(limiter.wait_with(TokioTimer).jitter(&jitter));
    let times = times(start, paced).await;
    assert_eq!(times[0], 0);
    for (at, time) in times.iter().enumerate().skip(1) {
        let due = 100 * at as u128;
        assert!((due + 5..due + 22).contains(time), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paced_stream_can_be_sent_to_a_task() {
    let limiter = Arc::new(bucket(Quota::per_second(10).burst(1)));
    let waiting = Waiting::of(Arc::clone(&limiter), TokioTimer);
    let start = Instant::now();
    let task = tokio::spawn(stream::iter(0..3).paced(waiting).count());
    assert_eq!(task.await.unwrap(), 3);
    assert_eq!(start.elapsed().as_millis(), 200);
}

/// Keeps what is sent to it, and counts what is flushed.
#[derive(Debug, Default)]
struct Outbox {
    sent: Vec<u64>,
    flushed: usize,
    is_closed: bool,
    is_stuck: bool,
}

impl Sink<u64> for Outbox {
    type Error = std::convert::Infallible;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn start_send(mut self: Pin<&mut Self>, item: u64) -> Result<(), Self::Error> {
        self.sent.push(item);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.flushed = self.sent.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_goes_on_at_the_rate() {
    let limiter = bucket(Quota::per_second(10).burst(2));
    let start = Instant::now();
    let mut sink = Outbox::default().paced_sink(limiter.wait_with(TokioTimer));
    for (item, after) in [(0, 0), (1, 0), (2, 100), (3, 200)] {
        sink.send(item).await.unwrap();
        assert_eq!(start.elapsed().as_millis(), after);
        assert_eq!(sink.get_ref().sent.last(), Some(&item));
    }
    sink.close().await.unwrap();
    assert_eq!(sink.get_ref().sent, [0, 1, 2, 3]);
    assert!(sink.get_ref().is_closed);
}

#[tokio::test(start_paused = true)]
async fn a_sink_takes_nothing_until_something_is_sent() {
    let limiter = bucket(Quota::per_second(2));
    let mut sink = pin!(Outbox::default().paced_sink(limiter.wait_with(TokioTimer)));
    for _ in 0..3 {
        assert!(poll(|context| sink.as_mut().poll_ready(context)).is_ready());
    }
    assert_eq!(limiter.available(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sink_holds_one_item_and_flushes_what_came_before_it() {
    let limiter = bucket(Quota::per_second(1));
    let mut sink = pin!(Outbox::default().paced_sink(limiter.wait_with(TokioTimer)));
    sink.feed(7).await.unwrap();
    sink.feed(8).await.unwrap();
    assert_eq!((sink.get_ref().sent.as_slice(), sink.get_ref().flushed), ([7].as_slice(), 0));
    assert!(poll(|context| sink.as_mut().poll_flush(context)).is_pending());
    assert_eq!(sink.get_ref().flushed, 1);
    // No third one until the second is gone, whoever sends it.
    assert!(poll(|context| sink.as_mut().poll_ready(context)).is_pending());
    assert_eq!(sink.as_mut().start_send(9), Err(PacedSinkError::NotReady(9)));
    let start = Instant::now();
    sink.close().await.unwrap();
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(sink.get_ref().sent, [7, 8]);
    assert!(sink.get_ref().is_closed);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_sink_gives_back_what_was_held_for_its_item() {
    let limiter = bucket(Quota::per_second(1).burst(2));
    assert_eq!(limiter.consume_up_to(2), 2);
    for slept in [Duration::ZERO, 2 * SECOND] {
        let mut sink = Box::pin(Outbox::default().paced_sink(limiter.wait_with(TokioTimer)));
        sink.feed(7).await.unwrap();
        assert!(poll(|context| sink.as_mut().poll_flush(context)).is_pending());
        advance(slept).await;
        drop(sink);
        assert_eq!(
            (limiter.available().whole(), limiter.snapshot().debt().whole()),
            (slept.as_secs(), 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_keeps_no_tokens_of_an_item_that_it_did_not_take() {
    let limiter = bucket(Quota::per_second(1).burst(9));
    assert_eq!(limiter.consume_up_to(9), 9);
    let mut sink = Outbox::default().paced_sink(limiter.wait_with(TokioTimer));
    sink.feed(7).await.unwrap();
    sink.get_mut().is_stuck = true;
    assert!(tokio::time::timeout(5 * SECOND, sink.flush()).await.is_err());
    assert_eq!(limiter.available(), 4);
    let (outbox, item) = sink.into_inner();
    assert_eq!((outbox.sent.as_slice(), item), ([].as_slice(), Some(7)));
    assert_eq!(limiter.available(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_costly_for_a_sink_comes_back() {
    let limiter = bucket(Quota::per_second(4));
    let mut sink = Outbox::default().paced_sink_by(limiter.wait_with(TokioTimer), |cost| *cost);
    let Err(PacedSinkError::Unpaid(unpaid)) = sink.send(5).await else { panic!("it is sent") };
    assert!(unpaid.item == 5 && unpaid.denied.is_never());
    sink.send(4).await.unwrap();
    assert_eq!(sink.into_inner().0.sent, [4]);
}

#[tokio::test(start_paused = true)]
async fn forwarding_paces_both_ends() {
    let limiter = bucket(Quota::per_second(10).burst(1));
    let start = Instant::now();
    let mut outbox = Outbox::default();
    let sink = (&mut outbox).paced_sink(limiter.wait_with(TokioTimer));
    stream::iter(0..5).map(Ok).forward(sink).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 400);
    assert_eq!(outbox.sent, [0, 1, 2, 3, 4]);
}
