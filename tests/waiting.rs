//! Waiting, in virtual time: tokio's paused clock goes on when all tasks sleep, to the next timer.
#![cfg(all(feature = "tokio", feature = "async", feature = "keyed"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::{Future, pending, ready};
use std::mem::forget;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use flowgate::{
    Algorithm, Denied, Fill, FixedWindow, Gcra, Jitter, KeyedLimiter, LeakyBucket, LeakyQueue,
    LimitSet, Limiter, ManualClock, Quota, Reservable, SlidingWindow, Timer, TokenBucket, Tokens,
    TokioClock, TokioTimer, Waiting, WhenFull,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limiter<A: Algorithm>(algorithm: A) -> Arc<Limiter<A, TokioClock>> {
    Arc::new(Limiter::with_clock(algorithm, TokioClock::new()).unwrap())
}

/// A bucket of ten tokens at ten a second, with none left.
fn empty() -> Arc<TokenBucket<TokioClock>> {
    let limiter = limiter(Quota::per_second(10));
    limiter.drain();
    limiter
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Starts a task for each cost, in this order, and says in which order and when they went.
async fn race<A: Algorithm>(
    limiter: &Arc<Limiter<A, TokioClock>>,
    costs: &[u64],
) -> Vec<(usize, Duration)> {
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    let went = Arc::new(Mutex::new(Vec::new()));
    for (at, cost) in costs.iter().copied().enumerate() {
        let (limiter, went) = (Arc::clone(limiter), Arc::clone(&went));
        tasks.spawn(async move {
            limiter.wait_with(TokioTimer).consume(cost).await.unwrap();
            went.lock().unwrap().push((at, start.elapsed()));
        });
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    Arc::into_inner(went).unwrap().into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn first_come_is_first_served_whatever_the_costs() {
    async fn check<A: Reservable>(algorithm: A, first_ms: u64) {
        let limiter = limiter(algorithm);
        limiter.consume_up_to(10);
        let costs = [1, 1, 5, 1, 2];
        let mut due_ms = first_ms;
        let due = costs.iter().enumerate().map(|(at, cost)| {
            due_ms += 100 * cost;
            (at, millis(due_ms))
        });
        assert_eq!(race(&limiter, &costs).await, due.collect::<Vec<_>>(), "{algorithm:?}");
    }
    let quota = Quota::per_second(10);
    check(quota, 0).await;
    check(Gcra::new(quota), 0).await;
    check(LeakyBucket::new(quota), 0).await;
    // Ten are in the queue, of which nine wait.
    check(LeakyQueue::new(quota.burst(20)), 900).await;
}

/// Row 20: while small ones keep coming, a large one goes when its turn has come.
#[tokio::test(start_paused = true)]
async fn a_large_cost_is_not_starved_by_small_ones() {
    let limiter = empty();
    let small = tokio::spawn({
        let limiter = Arc::clone(&limiter);
        async move {
            loop {
                // As many as go through.
                limiter.wait_with(TokioTimer).consume(1).await.unwrap();
            }
        }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    limiter.wait_with(TokioTimer).consume(9).await.unwrap();
    assert_eq!(start.elapsed(), SECOND);
    small.abort();
}

/// Row 20: the last of a hundred goes when a hundred tokens have arrived, though a debt of eighty is the deepest: those
/// beyond it ask again.
#[tokio::test(start_paused = true)]
async fn a_hundred_wait_no_longer_than_their_tokens_take() {
    let deep = TokenBucket::builder(Quota::per_second(10))
        .max_debt(100)
        .build_with_clock(TokioClock::new())
        .unwrap();
    let deep = Arc::new(deep);
    deep.drain();
    let due: Vec<_> = (0..100).map(|at| (at, millis(100 * (at as u64 + 1)))).collect();
    assert_eq!(race(&deep, &[1; 100]).await, due);

    let shallow = empty();
    let went = race(&shallow, &[1; 100]).await;
    let (turns, last) = (went.iter().map(|(_, at)| *at), went[99].1);
    assert!(last >= 10 * SECOND && last <= 12 * SECOND, "{last:?}");
    for (turn, at) in (1..).zip(turns) {
        assert!(at >= millis(100 * turn), "turn {turn} went at {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_polled_takes_nothing() {
    let limiter = empty();
    drop(limiter.wait_with(TokioTimer).consume(5));
    drop(limiter.consume(5));
    forget(limiter.consume(5));
    assert_eq!(limiter.snapshot().debt(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_while_it_waits_gives_back_exactly_its_tokens() {
    async fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        while limiter.is_allowed() && limiter.reserve(1, Duration::ZERO).is_ok() {}
        let waiting = limiter.wait_with(TokioTimer);
        let before = limiter.available();
        let start = Instant::now();
        {
            let mut first = pin!(waiting.consume(2));
            assert!(!poll_once(first.as_mut()));
            let mut second = pin!(waiting.consume(3));
            assert!(!poll_once(second.as_mut()));
            sleep(millis(50)).await;
            assert!(!poll_once(first.as_mut()) && !poll_once(second.as_mut()));
        }
        sleep(millis(50)).await;
        // As if they had never been: what has arrived in a tenth of a second is there.
        limiter.wait_with(TokioTimer).consume(1).await.unwrap();
        assert!(start.elapsed() <= millis(200), "{algorithm:?}: {:?}", start.elapsed());
        assert!(limiter.available() >= before);
    }
    let quota = Quota::per_second(10);
    check(quota).await;
    check(Gcra::new(quota)).await;
    check(LeakyBucket::new(quota)).await;
    check(LeakyQueue::new(quota)).await;
}

/// Its turn has come, and nobody has been told so: it has used nothing.
#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_after_its_turn_gives_back_its_tokens_too() {
    let limiter = empty();
    {
        let waiting = limiter.wait_with(TokioTimer);
        let mut five = pin!(waiting.consume(5));
        assert!(!poll_once(five.as_mut()));
        sleep(millis(700)).await;
    }
    assert_eq!(limiter.available(), 7);
    let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(10), TokioClock::new());
    let users = users.unwrap();
    users.consume_up_to("alice", 10);
    {
        let waiting = users.wait_with("alice", TokioTimer);
        let mut five = pin!(waiting.acquire(5));
        assert!(!poll_once(five.as_mut()));
        sleep(millis(700)).await;
    }
    assert_eq!(users.available("alice"), 7);
    // The same within a jitter, when it is good already.
    let late = Jitter::between(SECOND, 2 * SECOND);
    {
        limiter.drain();
        let waiting = limiter.wait_with(TokioTimer).jitter(&late);
        let mut five = pin!(waiting.consume(5));
        assert!(!poll_once(five.as_mut()));
        sleep(millis(700)).await;
        assert!(!poll_once(five.as_mut()));
    }
    assert_eq!(limiter.available(), 7);
    // What was handed over is kept when it is dropped, or given back if that was wished.
    drop(limiter.wait_with(TokioTimer).acquire(4).await.unwrap());
    assert_eq!(limiter.available(), 3);
    let three = limiter.wait_with(TokioTimer).acquire(3).await.unwrap();
    drop(three.on_drop(flowgate::OnDrop::GiveBack));
    assert_eq!(limiter.available(), 3);
}

/// Row 19.
#[tokio::test(start_paused = true)]
async fn a_forgotten_future_stalls_nobody() {
    let limiter = empty();
    let waiting = limiter.wait_with(TokioTimer);
    let mut forgotten = Box::pin(waiting.consume(5));
    assert!(!poll_once(forgotten.as_mut()));
    // It takes its turn's tokens along, and nothing else.
    let start = Instant::now();
    limiter.wait_with(TokioTimer).consume(1).await.unwrap();
    assert_eq!(start.elapsed(), millis(600));
    forget(forgotten);
    limiter.wait_with(TokioTimer).consume(1).await.unwrap();
    assert_eq!(start.elapsed(), millis(700));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_served_in_time_is_refused_at_once_and_for_free() {
    async fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        while limiter.is_allowed() && limiter.reserve(1, Duration::ZERO).is_ok() {}
        let waiting = limiter.wait_with(TokioTimer);
        let wait = waiting.consume_timeout(3, Duration::ZERO).await.unwrap_err();
        let wait = wait.retry_after().unwrap();
        assert!(wait > Duration::ZERO);
        let (start, before) = (Instant::now(), format!("{:?}", limiter.snapshot()));
        let nanosecond = Duration::from_nanos(1);
        let denied = waiting.consume_timeout(3, wait - nanosecond).await.unwrap_err();
        assert_eq!(denied.retry_after(), Some(nanosecond));
        let denied = limiter.consume_timeout(3, wait / 2).await.unwrap_err();
        assert_eq!(denied.retry_after(), Some(wait - wait / 2));
        assert!(waiting.consume_timeout(100, DAY).await.unwrap_err().is_never());
        let denied = waiting.acquire_blocking_timeout(3, wait - nanosecond).unwrap_err();
        assert_eq!(denied.retry_after(), Some(nanosecond));
        assert!(limiter.consume_blocking_timeout(3, wait - nanosecond).is_err());
        assert!(limiter.consume_blocking(100).unwrap_err().is_never());
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(format!("{:?}", limiter.snapshot()), before);
        // All of the wait is enough.
        waiting.consume_timeout(3, wait).await.unwrap();
        assert_eq!(start.elapsed(), wait);
    }
    let quota = Quota::per_second(10);
    check(quota).await;
    check(Gcra::new(quota)).await;
    check(LeakyBucket::new(quota)).await;
    check(LeakyQueue::new(quota)).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_lets_one_leave_after_the_other() {
    let queue = limiter(LeakyQueue::new(Quota::per_second(10).burst(5)));
    let went = race(&queue, &[1; 6]).await;
    assert_eq!(went, (0..6).map(|at| (at, millis(100 * at as u64))).collect::<Vec<_>>());
    // Beyond what it holds they ask again, and the pace holds for them, too.
    let went = race(&queue, &[1; 30]).await;
    for pair in went.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= millis(99), "{pair:?}");
    }
    assert!(went[29].1 <= millis(4_500), "{:?}", went[29]);
}

#[tokio::test(start_paused = true)]
async fn windows_are_waited_for_and_never_go_over() {
    async fn check<A: Algorithm>(algorithm: A, most: u32) {
        let limiter = limiter(algorithm);
        let went = race(&limiter, &[1; 50]).await;
        for window in 0..20 {
            let from = window * SECOND;
            let inside = |at: &Duration| (from..from + SECOND).contains(at);
            let count = went.iter().filter(|(_, at)| inside(at)).count();
            assert!(count <= 10, "{count} in window {window} of {algorithm:?}");
        }
        assert!(went[49].1 <= most * SECOND, "{algorithm:?} took {:?}", went[49].1);
    }
    check(FixedWindow::new(10, SECOND), 5).await;
    check(SlidingWindow::new(10, SECOND), 10).await;
}

/// Nobody sleeps for more than a day at a time, and a patience of many days is worn out by the clock alone.
#[tokio::test(start_paused = true)]
async fn a_window_of_days_is_waited_for_within_the_patience_for_it() {
    let limiter = limiter(FixedWindow::new(1, 9 * DAY));
    limiter.try_consume(1).unwrap();
    let (start, waiting) = (Instant::now(), limiter.wait_with(TokioTimer));
    assert!(waiting.consume_timeout(1, 9 * DAY - SECOND).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    waiting.consume_timeout(1, 9 * DAY).await.unwrap();
    assert_eq!(start.elapsed(), 9 * DAY);
    // A debt of days, likewise.
    let limiter = self::limiter(Quota::per_day(1));
    limiter.try_consume(1).unwrap();
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    for _ in 0..5 {
        let limiter = Arc::clone(&limiter);
        tasks.spawn(async move { limiter.wait_with(TokioTimer).consume(1).await.map(drop) });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert!(start.elapsed() >= 5 * DAY && start.elapsed() <= 8 * DAY, "{:?}", start.elapsed());
}

/// A timer that is late, or early, by a share of the time.
#[derive(Clone, Copy)]
struct Inexact(f64);

impl Timer for Inexact {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        // tokio's timer, to whole milliseconds.
        sleep(duration.mul_f64(self.0).max(millis(1)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_early_makes_nobody_early_nor_loses_patience() {
    let limiter = empty();
    let (start, early) = (Instant::now(), Inexact(0.5));
    limiter.wait_with(early).consume_timeout(3, millis(300)).await.unwrap();
    assert!(start.elapsed() >= millis(300) && start.elapsed() < millis(303));
    let window = self::limiter(FixedWindow::new(1, SECOND));
    window.try_consume(1).unwrap();
    let start = Instant::now();
    window.wait_with(early).consume_timeout(1, SECOND).await.unwrap();
    assert!(start.elapsed() >= SECOND && start.elapsed() < millis(1_003));
}

/// Others take whatever each window has: who would wait for ten seconds has done so when it is refused.
#[tokio::test(start_paused = true)]
async fn a_timer_that_is_late_wears_out_the_patience_by_the_clock() {
    let window = limiter(FixedWindow::new(1, SECOND));
    let (start, late) = (Instant::now(), Inexact(1.5));
    let greedy = tokio::spawn({
        let window = Arc::clone(&window);
        async move {
            loop {
                window.is_allowed();
                sleep(millis(1)).await;
            }
        }
    });
    tokio::task::yield_now().await;
    assert!(window.wait_with(late).consume_timeout(1, 10 * SECOND).await.is_err());
    assert!((9 * SECOND..millis(11_500)).contains(&start.elapsed()), "{:?}", start.elapsed());
    greedy.abort();
}

/// A quota that is lowered makes those wait longer who wait already: who would not wait for so long is refused when
/// that is known, and for free.
#[tokio::test(start_paused = true)]
async fn who_waits_with_a_timeout_is_not_held_beyond_it_by_a_lower_quota() {
    let limiter = limiter(Quota::per_second(10));
    limiter.drain();
    let waits = |most: Duration| {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move {
            let start = Instant::now();
            let waiting = limiter.wait_with(TokioTimer);
            let went = waiting.consume_timeout(2, most).await.map(drop);
            (went, start.elapsed())
        })
    };
    let (hasty, patient) = (waits(millis(500)), waits(HOUR));
    sleep(millis(100)).await;
    limiter.set_quota(Quota::per_second(1).burst(10), Fill::Keep).unwrap();
    let (refused, after) = hasty.await.unwrap();
    assert!(matches!(refused, Err(Denied::NotYet(_))) && after <= millis(500), "{after:?}");
    // So the other one has only its own before it: one token of two had arrived.
    let (went, after) = patient.await.unwrap();
    assert!(went.is_ok() && after >= millis(1_100) && after <= millis(1_105), "{after:?}");
    let jitter = Jitter::between(HOUR, 2 * HOUR);
    // Nor by a jitter.
    limiter.drain();
    let start = Instant::now();
    let waiting = limiter.wait_with(TokioTimer).jitter(&jitter);
    waiting.consume_timeout(1, 2 * SECOND).await.unwrap();
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn jitter_never_shortens_a_wait_and_holds_up_nobody_who_need_not_wait() {
    let limiter = limiter(Quota::per_second(10));
    let jitter = Jitter::between(millis(20), millis(50)).seeded(7);
    let same = Jitter::between(millis(20), millis(50)).seeded(7);
    let (start, waiting) = (Instant::now(), limiter.wait_with(TokioTimer).jitter(&jitter));
    waiting.consume(10).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    for _ in 0..20 {
        let start = Instant::now();
        let wait = limiter.time_until_available(1).unwrap();
        waiting.consume(1).await.unwrap();
        // In whole milliseconds, as tokio sleeps.
        let late = start.elapsed() - wait;
        assert!(wait.is_zero() || late >= millis(20) && late <= millis(51), "{late:?}");
        assert!(!wait.is_zero() || late.is_zero());
        if !wait.is_zero() {
            assert!(late.abs_diff(same.draw()) <= millis(1));
        }
    }
    // The seconds of a window are waited for with jitter, too, or all would come at its start.
    let window = self::limiter(FixedWindow::new(1, 10 * SECOND));
    window.wait_with(TokioTimer).consume(1).await.unwrap();
    let opens = window.time_until_available(1).unwrap();
    let start = Instant::now();
    window.wait_with(TokioTimer).jitter(&jitter).consume(1).await.unwrap();
    assert!(start.elapsed() >= opens + millis(20), "{:?}", start.elapsed() - opens);
    // But it takes nobody beyond its patience.
    let (long, start) = (Jitter::between(HOUR, 2 * HOUR), Instant::now());
    let opens = window.time_until_available(1).unwrap();
    let waiting = window.wait_with(TokioTimer).jitter(&long);
    waiting.consume_timeout(1, opens + SECOND).await.unwrap();
    assert_eq!(start.elapsed(), opens + SECOND);
}

#[tokio::test(start_paused = true)]
async fn keys_wait_for_themselves_alone_by_every_way_to_call() {
    let clock = TokioClock::new();
    let users = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(10), clock).unwrap();
    let gold = users.tier(Quota::per_second(20)).unwrap();
    for key in ["alice", "bob", "carol"] {
        users.consume_up_to(key, 10);
    }
    let start = Instant::now();
    let handle = users.handle("carol");
    let [alice, bob, carol, dave] = [
        users.wait_with("alice", TokioTimer),
        users.on(&gold).wait_with("bob", TokioTimer),
        users.wait_with("carol", TokioTimer),
        users.wait_with("dave", TokioTimer),
    ];
    let alice = async {
        alice.consume(4).await.unwrap();
        assert_eq!(start.elapsed(), millis(400));
        alice.acquire(2).await.unwrap().settle(1);
        assert_eq!(start.elapsed(), millis(600));
        assert_eq!(users.available("alice"), 1);
    };
    let bob = async {
        bob.consume(4).await.unwrap();
        assert_eq!(start.elapsed(), millis(200));
    };
    let by_handle = async {
        handle.wait_with(TokioTimer).consume(4).await.unwrap();
        assert_eq!(start.elapsed(), millis(400));
    };
    let carol = async {
        carol.consume(2).await.unwrap();
        assert_eq!(start.elapsed(), millis(600));
    };
    let dave = async {
        dave.consume_timeout(10, Duration::ZERO).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        users.consume("dave", 0).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    };
    tokio::join!(alice, bob, by_handle, carol, dave);
}

#[tokio::test(start_paused = true)]
async fn keys_without_room_share_or_are_turned_away_or_go() {
    for when_full in [WhenFull::Share, WhenFull::DenyNew, WhenFull::GrantNew] {
        let users = KeyedLimiter::<u32>::builder(Quota::per_second(10))
            .max_keys(1)
            .when_full(when_full)
            .build_with_clock(TokioClock::new())
            .unwrap();
        users.consume_up_to(&0, 10);
        // Never full while this lasts.
        forget(users.reserve(&0, 10, DAY).unwrap());
        let (start, timer) = (Instant::now(), TokioTimer);
        let took = users.wait_with(&1, timer).consume(10).await;
        let also = users.wait_with(&2, timer).consume_timeout(5, SECOND).await;
        match when_full {
            // Those who share, share.
            WhenFull::Share => {
                assert!(took.is_ok() && also.is_ok());
                assert_eq!(start.elapsed(), millis(500));
                let five = users.reserve(&1, 5, SECOND).unwrap();
                five.cancel();
                let mut again = users.reserve(&2, 5, SECOND).unwrap();
                assert_eq!(again.wait(), millis(500));
            }
            WhenFull::DenyNew => {
                assert!(matches!(took, Err(Denied::NoRoom(_))));
                assert!(matches!(also, Err(Denied::NoRoom(_))));
                assert_eq!(start.elapsed(), Duration::ZERO);
            }
            _ => {
                assert!(took.is_ok() && also.is_ok());
                // Nothing was taken from anybody, and nothing comes back.
                users.reserve(&1, 5, SECOND).unwrap().cancel();
                assert_eq!(start.elapsed(), Duration::ZERO);
            }
        }
        assert_eq!(users.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_waits_for_the_slowest_limit_and_gives_back_to_all() {
    let clock = TokioClock::new();
    let requests = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(10), clock).unwrap();
    let tokens = KeyedLimiter::<String, _, _>::with_clock(Quota::per_second(1_000), clock).unwrap();
    let set = LimitSet::<str, 2>::of([
        ("requests", Box::new(requests.clone())),
        ("tokens", Box::new(tokens.clone())),
    ]);
    set.try_consume("alice", [5, 1_000]).unwrap();
    let (start, waiting) = (Instant::now(), set.wait_with("alice", TokioTimer));
    {
        let mut dropped = pin!(waiting.acquire([2, 500]));
        assert!(!poll_once(dropped.as_mut()));
        assert_eq!(requests.available("alice"), 3);
    }
    assert_eq!((requests.available("alice"), tokens.available("alice")), (5.into(), 0.into()));
    let rejected = waiting.acquire_timeout([1, 500], millis(499)).await.err().unwrap();
    assert_eq!(rejected.names().collect::<Vec<_>>(), ["tokens"]);
    assert_eq!(rejected.retry_after(), Some(millis(1)));
    let permit = waiting.acquire_timeout([1, 500], millis(500)).await.unwrap();
    assert_eq!(start.elapsed(), millis(500));
    permit.settle([1, 200]);
    assert_eq!(tokens.available("alice"), 300);
    assert!(waiting.acquire([1, 5_000]).await.unwrap_err().is_never());
}

/// A set of a window and a bucket waits for both, whichever is later, and takes nothing before that.
#[tokio::test(start_paused = true)]
async fn a_set_with_a_window_waits_for_it_too() {
    let clock = TokioClock::new();
    let window = Limiter::with_clock(FixedWindow::new(2, SECOND), clock).unwrap();
    let bucket = Limiter::with_clock(Quota::per_second(10), clock).unwrap();
    let set = LimitSet::<(), 2>::of([("bucket", Box::new(bucket)), ("window", Box::new(window))]);
    let (start, mut went) = (Instant::now(), Vec::new());
    for _ in 0..7 {
        set.wait_with(&(), TokioTimer).acquire([1, 1]).await.unwrap().keep();
        went.push(start.elapsed().as_secs());
    }
    assert_eq!(went, [0, 0, 1, 1, 2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_in_an_arc_is_waited_for_and_outlived_by_its_reservation() {
    let limiter = empty();
    let waiting = Waiting::of(Arc::clone(&limiter), TokioTimer);
    let permit = waiting.acquire(3).await.unwrap();
    assert_eq!(permit.granted().remaining(), 0);
    let ends = tokio::spawn(async move {
        let permit = permit;
        sleep(SECOND).await;
        permit.cancel();
    });
    drop(waiting);
    ends.await.unwrap();
    assert_eq!(limiter.available(), 10);
}

/// A timer of one's own: it may move a clock of one's own.
#[test]
fn waiting_goes_by_the_clock_of_the_limiter() {
    struct Simulated<'a>(&'a ManualClock);
    impl Timer for Simulated<'_> {
        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
            self.0.advance(duration);
            ready(())
        }
    }
    let clock = ManualClock::new();
    let window = Limiter::with_clock(SlidingWindow::new(3, SECOND), &clock).unwrap();
    let mut all = pin!(async {
        for _ in 0..30 {
            window.wait_with(Simulated(&clock)).consume(1).await.unwrap();
        }
    });
    assert!(poll_once(all.as_mut()));
    let taken = Duration::from_nanos(flowgate::Clock::now_ns(&clock));
    assert!(taken >= 8 * SECOND && taken <= 15 * SECOND, "{taken:?}");
    // Nobody wakes who sleeps for ever, and that is no matter to others.
    struct Never;
    impl Timer for Never {
        fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
            pending()
        }
    }
    let waiting = window.wait_with(Never);
    let mut sleeps = pin!(waiting.consume(3));
    assert!(!poll_once(sleeps.as_mut()));
    clock.advance(2 * SECOND);
    assert!(window.try_consume(3).is_ok());
    assert!(window.try_consume(Tokens::ZERO).is_ok());
}

/// Dropped in any order, at any time, a crowd leaves the bucket as if it had never been.
#[tokio::test(start_paused = true)]
async fn a_crowd_that_is_dropped_in_any_order_leaves_no_trace() {
    for seed in 0..20_u64 {
        let limiter = empty();
        let waiting = limiter.wait_with(TokioTimer);
        let mut crowd: Vec<_> = (0..8).map(|cost| Box::pin(waiting.consume(cost % 3))).collect();
        for future in &mut crowd {
            assert!(!poll_once(future.as_mut()) || limiter.snapshot().debt() == 0);
        }
        let mut rest = seed;
        while !crowd.is_empty() {
            advance(millis(7)).await;
            let at = usize::try_from(rest).unwrap() % crowd.len();
            rest = rest.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            drop(crowd.remove(at));
        }
        let arrived = Tokens::decimal(56, 2);
        assert_eq!((limiter.available(), limiter.snapshot().debt()), (arrived, 0.into()), "{seed}");
    }
}
