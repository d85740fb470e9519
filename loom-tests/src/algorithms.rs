//! Models of the algorithms on one word: each is run for every algorithm, with the same loop around another word.

use std::fmt::Debug;
use std::time::Duration;

use flowgate::{
    Adjustable, Algorithm, FixedWindow, Gcra, LeakyBucket, LeakyQueue, Limiter, ManualClock, Quota,
    SlidingWindow,
};
use loom::sync::Arc;
use loom::thread;

use super::{SECOND, explore};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn limiter<A: Algorithm>(algorithm: A) -> Arc<Limiter<A, ManualClock>> {
    Arc::new(Limiter::with_clock(algorithm, ManualClock::at(1_000_000_000)).unwrap())
}

/// Runs `here` and `there` at the same time and returns what both returned.
pub(super) fn race<A: Algorithm, T, U: 'static>(
    limiter: &Arc<Limiter<A, ManualClock>>,
    here: impl FnOnce(&Limiter<A, ManualClock>) -> T,
    there: impl Fn(&Limiter<A, ManualClock>) -> U + Send + 'static,
) -> (T, U) {
    let other = thread::spawn({
        let limiter = Arc::clone(limiter);
        move || there(&limiter)
    });
    let here = here(limiter);
    (here, other.join().unwrap())
}

/// An algorithm that allows `limit` per `period`. (Of a queue one more than may wait is let in.)
macro_rules! each {
    ($run:ident($limit:expr, $period:expr), $($more:expr),* $(,)?) => {
        let (limit, period) = ($limit, $period);
        let more = ($($more,)*);
        $run(Gcra::new(Quota::new(limit, period)), more.0);
        $run(LeakyBucket::new(Quota::new(limit, period)), more.0);
        $run(LeakyQueue::new(Quota::new(limit, period).burst(limit - 1)), more.0);
        $run(FixedWindow::new(limit, period), more.1);
        $run(FixedWindow::new(limit, period).from_first_call(), more.1);
        $run(SlidingWindow::new(limit, period), more.2);
    };
}

/// Two threads and one token: one of them gets it.
pub fn two_consume_one_by_each_algorithm() {
    fn run<A: Adjustable>(algorithm: A, _: ()) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(1), 1);
            let (here, there) = race(&limiter, Limiter::is_allowed, Limiter::is_allowed);
            assert_eq!(u64::from(here) + u64::from(there), 1);
        });
    }
    each!(run(2, HOUR), (), (), ());
}

/// The clock moves on to the next token, or the next window, while both are between their clock and their swap.
pub fn consume_across_a_moving_clock_by_each_algorithm() {
    fn run<A: Adjustable>(algorithm: A, (step, most): (Duration, u64)) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(1), 1);
            let (here, there) = race(
                &limiter,
                |limiter| {
                    limiter.clock().advance(step);
                    limiter.consume_up_to(2)
                },
                |limiter| limiter.consume_up_to(2),
            );
            assert!(here + there <= most, "granted {here} + {there}");
            // Nobody's are lost: what was not granted is there.
            assert!(here + there + limiter.available().whole() >= most.min(2));
        });
    }
    // One is left and two come, or one that is lost in a full bucket; the same, by windows; one is left, and is taken
    // before or after.
    each!(run(2, SECOND), (SECOND, 3), (SECOND + SECOND / 32, 3), (SECOND, 1));
}

/// A reader stalls with its time in hand while another goes on to the next token, or the next window.
pub fn a_stalled_reader_mints_nothing_by_any_algorithm() {
    fn run<A: Adjustable>(algorithm: A, (step, most): (Duration, u64)) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(2), 2);
            let (here, there) = race(
                &limiter,
                |limiter| {
                    limiter.clock().advance(step);
                    u64::from(limiter.is_allowed())
                },
                |limiter| limiter.consume_up_to(2),
            );
            assert!(here + there <= most, "granted {here} + {there}");
            assert_eq!(here + there + limiter.available().whole(), most);
        });
    }
    // One comes; two; and half of the two that were taken in the window before still count.
    let then = SECOND + SECOND / 2;
    each!(run(2, SECOND), (SECOND / 2, 1), (then, 2), (then, 1));
}

/// The limit is lowered while another takes: from then on no more than the new one is there.
pub fn a_lowered_limit_holds_from_then_on_by_each_algorithm() {
    fn run<A: Adjustable>(first: A, lowered: A) {
        explore(2, move || {
            let limiter = limiter(first);
            let (granted, after) = race(
                &limiter,
                |limiter| limiter.consume_up_to(1),
                move |limiter| {
                    limiter.set(lowered).unwrap();
                    assert!(limiter.try_consume(3).is_err());
                    limiter.consume_up_to(9)
                },
            );
            assert!(after <= 2, "{after} after the change");
            assert!(granted + after + limiter.available().whole() <= 3);
        });
    }
    let quota = Quota::per_hour(4);
    run(Gcra::new(quota), Gcra::new(quota.burst(2)));
    run(LeakyBucket::new(quota), LeakyBucket::new(quota.burst(2)));
    run(LeakyQueue::new(quota.burst(3)), LeakyQueue::new(quota.burst(1)));
    let (four, two) = (FixedWindow::new(4, HOUR), FixedWindow::new(2, HOUR));
    run(four, two);
    run(four.from_first_call(), two.from_first_call());
    run(SlidingWindow::new(4, HOUR), SlidingWindow::new(2, HOUR));
}

/// A refund races a grant: whichever is first, there is never more than the limit.
pub fn refund_never_goes_above_the_limit_by_any_algorithm() {
    fn run<A: Adjustable>(algorithm: A, _: ()) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert!(limiter.is_allowed());
            let (granted, ()) =
                race(&limiter, |limiter| limiter.consume_up_to(2), |limiter| limiter.refund(2));
            let left = limiter.available().whole();
            assert!([(1, 2), (2, 0)].contains(&(granted, left)), "granted {granted}, {left} left");
        });
    }
    each!(run(2, HOUR), (), (), ());
}

/// A snapshot is of one algorithm: what it says is there is what that one has when nothing was taken.
pub fn a_snapshot_is_of_one_algorithm() {
    fn run<A: Adjustable + Debug + PartialEq>(first: A, second: A, full: fn(A) -> u64) {
        explore(3, move || {
            let limiter = limiter(first);
            let (snapshot, ()) =
                race(&limiter, Limiter::snapshot, move |limiter| limiter.set(second).unwrap());
            assert_eq!(
                snapshot.available(),
                full(snapshot.algorithm()),
                "{:?}",
                snapshot.algorithm()
            );
        });
    }
    let quota = Quota::per_hour(2);
    run(Gcra::new(quota), Gcra::new(quota.burst(1)), |gcra| gcra.quota().capacity().whole());
    let windows = (SlidingWindow::new(2, HOUR), SlidingWindow::new(1, HOUR));
    run(windows.0, windows.1, |window| window.limit().whole());
}
