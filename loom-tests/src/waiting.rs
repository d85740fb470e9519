//! Models of what is taken ahead of time: reservations, how they end, and sets of limits.

// A set holds its limits in the standard library's: they are shared before the threads are, and counted by nobody.
use std::sync::Arc as StdArc;
use std::time::Duration;

use flowgate::{
    Algorithm, Clock, Fill, FixedWindow, Gcra, LeakyBucket, LeakyQueue, LimitSet, Limiter,
    ManualClock, Quota, Reservable, SlidingWindow, Tokens,
};
use loom::sync::Arc;
use loom::thread;

use super::algorithms::{HOUR, limiter, race};
use super::keyed::{KEY, explore_maps, race as keyed_race};
use super::{SECOND, bucket, explore};

type Any<A> = Limiter<A, ManualClock>;

/// Who is willing to wait for as long as it takes.
const PATIENT: Duration = Duration::from_secs(100 * 3_600);

/// An algorithm that takes into debt, with a capacity of `limit` that comes back within `period`.
macro_rules! each_in_debt {
    ($run:ident($limit:expr, $period:expr)) => {
        let quota = Quota::new($limit, $period);
        $run(quota);
        $run(Gcra::new(quota));
        $run(LeakyBucket::new(quota));
    };
}

/// Takes `cost` ahead of time, and tells how long until that is good.
fn reserve<A: Reservable>(limiter: &Any<A>, cost: u64) -> Duration {
    let mut reservation = limiter.reserve(cost, PATIENT).unwrap();
    let wait = reservation.wait();
    let _ = reservation.keep();
    wait
}

/// A reservation and a call, and one token: one of them gets it.
pub fn a_reservation_and_a_call_share_no_token() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(1), 1);
            let (reserved, granted) = race(
                &limiter,
                |limiter| limiter.reserve(1, Duration::ZERO).map(|one| one.keep()).is_ok(),
                Limiter::is_allowed,
            );
            assert_eq!(u64::from(reserved) + u64::from(granted), 1);
        });
    }
    each_in_debt!(run(2, HOUR));
}

/// A reservation into debt races a call: each token is taken once, and what was granted is waited for.
pub fn a_reservation_waits_for_what_others_took() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            let (wait, granted) =
                race(&limiter, |limiter| reserve(limiter, 2), |limiter| limiter.consume_up_to(2));
            // All that was there before, or nothing after.
            assert!([(0, 0), (2, 2)].contains(&(wait.as_secs(), granted)), "{wait:?}, {granted}");
            assert_eq!(reserve(&limiter, 1), Duration::from_secs(granted + 1));
        });
    }
    each_in_debt!(run(2, 2 * SECOND));
}

/// Two reserve: the second swap is good as much later than the first as its own cost takes to arrive.
pub fn two_reservations_are_good_one_after_the_other() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(2), 2);
            let (one, two) =
                race(&limiter, |limiter| reserve(limiter, 1), |limiter| reserve(limiter, 2));
            let waits = (one, two);
            assert!([(SECOND, 3 * SECOND), (3 * SECOND, 2 * SECOND)].contains(&waits), "{waits:?}");
        });
    }
    each_in_debt!(run(2, 2 * SECOND));
}

/// Two reserve within a wait that one fits in: one is refused, which delays nobody.
pub fn a_refused_reservation_delays_nobody() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            assert_eq!(limiter.consume_up_to(2), 2);
            let reserve_soon =
                |limiter: &Any<A>| limiter.reserve(1, SECOND).map(|one| one.keep()).is_ok();
            let (here, there) = race(&limiter, reserve_soon, reserve_soon);
            assert_eq!(u64::from(here) + u64::from(there), 1);
            assert_eq!(reserve(&limiter, 1), 2 * SECOND);
        });
    }
    each_in_debt!(run(2, 2 * SECOND));
}

/// Two come to a queue with one more place: they leave it an interval after each other, or one is refused and the
/// queue goes on as if it had not come.
pub fn two_reserve_the_last_place_of_a_queue() {
    explore(3, || {
        let limiter = limiter(LeakyQueue::new(Quota::per_second(1).burst(1)));
        let reserve = |limiter: &Any<LeakyQueue>| {
            let mut reservation = limiter.reserve(1, PATIENT).ok()?;
            let wait = reservation.wait();
            let _ = reservation.keep();
            Some(wait)
        };
        let ((first, second), other) =
            race(&limiter, |limiter| (reserve(limiter), reserve(limiter)), reserve);
        let mut waits = [first, second, other];
        waits.sort();
        assert_eq!(waits, [None, Some(Duration::ZERO), Some(SECOND)]);
        limiter.clock().advance(2 * SECOND);
        assert_eq!(reserve(&limiter), Some(Duration::ZERO));
    });
}

/// The clock moves on while both are between their clock and their swap: their tokens are good when they have
/// arrived, a second apart, whoever of them has the older time.
pub fn reserve_across_a_moving_clock() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            // The limiter's own clock stands still, so each wait is counted from the start.
            let limiter = limiter(algorithm);
            let clock = Arc::new(ManualClock::at(limiter.clock().now_ns()));
            assert_eq!(limiter.consume_up_to(2), 2);
            let reserve = |limiter: &Any<A>, now_ns| {
                let mut reservation = limiter.reserve_at(1, PATIENT, now_ns).unwrap();
                let wait = reservation.wait();
                let _ = reservation.keep();
                wait
            };
            let (here, there) = race(
                &limiter,
                {
                    let clock = Arc::clone(&clock);
                    move |limiter| reserve(limiter, clock.advance(SECOND))
                },
                move |limiter| reserve(limiter, clock.now_ns()),
            );
            assert_eq!((here.min(there), here.max(there)), (SECOND, 2 * SECOND));
        });
    }
    each_in_debt!(run(2, 2 * SECOND));
}

/// A reservation is called off while another is made: exactly its own tokens come back.
pub fn a_cancel_gives_back_its_own() {
    fn run<A: Reservable>(algorithm: A) {
        for is_dropped in [false, true] {
            explore(3, move || {
                let limiter = limiter(algorithm);
                assert_eq!(limiter.consume_up_to(2), 2);
                let two = limiter.reserve(2, PATIENT).unwrap();
                let cancel = |_: &Any<A>| if is_dropped { drop(two) } else { two.cancel() };
                let ((), wait) = race(&limiter, cancel, |limiter| reserve(limiter, 1));
                assert!([3 * SECOND, SECOND].contains(&wait), "{wait:?}");
                assert_eq!(reserve(&limiter, 1), 2 * SECOND);
            });
        }
    }
    each_in_debt!(run(2, 2 * SECOND));
}

/// A reservation that has begun is called off while others take: they get its tokens, or those stay.
pub fn a_cancel_and_calls_add_up() {
    fn run<A: Reservable>(algorithm: A) {
        explore(2, move || {
            let limiter = limiter(algorithm);
            let two = limiter.reserve(2, Duration::ZERO).unwrap();
            let spawn = || {
                let limiter = Arc::clone(&limiter);
                thread::spawn(move || limiter.consume_up_to(2))
            };
            let (here, there) = (spawn(), spawn());
            two.cancel();
            let granted = here.join().unwrap() + there.join().unwrap();
            assert!((1..=3).contains(&granted), "granted {granted}");
            assert_eq!(granted + limiter.available().whole(), 3);
        });
    }
    each_in_debt!(run(3, HOUR));
}

/// What is called off and what is refunded come at once: there is never more than the capacity.
pub fn a_cancel_never_fills_above_the_capacity() {
    fn run<A: Reservable>(algorithm: A) {
        explore(3, move || {
            let limiter = limiter(algorithm);
            let two = limiter.reserve(2, Duration::ZERO).unwrap();
            race(&limiter, |_| two.cancel(), |limiter| limiter.refund(1));
            assert_eq!(limiter.consume_up_to(9), 2);
        });
    }
    each_in_debt!(run(2, HOUR));
}

/// A reservation is settled, at less or at more, while another takes: what was used is missing, once.
pub fn settle_and_consume_add_up() {
    fn run<A: Reservable>(algorithm: A) {
        for used in [1_u64, 3] {
            explore(3, move || {
                let limiter = limiter(algorithm);
                let two = limiter.reserve(2, Duration::ZERO).unwrap();
                let (not_charged, granted) = race(
                    &limiter,
                    |_| two.settle(used).whole(),
                    |limiter| limiter.consume_up_to(4),
                );
                assert_eq!(not_charged, 0);
                // Before it was settled, or after.
                assert!([2, 4 - used].contains(&granted), "granted {granted}");
                // All of the four that are missing must come first.
                assert_eq!(reserve(&limiter, 4), Duration::from_secs(used + granted));
            });
        }
    }
    each_in_debt!(run(4, 4 * SECOND));
}

/// The rate is halved while a reservation is made and asks how long it is to wait: from then on no more is good
/// than arrives at the new rate.
pub fn a_lowered_rate_holds_for_what_is_reserved() {
    explore(2, || {
        let limiter = bucket(Quota::per_second(2).burst(2));
        assert_eq!(limiter.drain(), 2);
        let (mut two, ()) = race(
            &limiter,
            |_| {
                let mut two = limiter.reserve(2, PATIENT).unwrap();
                assert!(two.wait() >= SECOND);
                two
            },
            |limiter| limiter.set_quota(Quota::per_second(1).burst(2), Fill::Keep).unwrap(),
        );
        // Within so much of each other two and then one are good.
        let (two_wait, one_wait) = (two.wait(), reserve(&limiter, 1));
        assert!(two_wait >= 2 * SECOND, "two after {two_wait:?}");
        assert!(one_wait >= 3 * SECOND, "one more after {one_wait:?}");
    });
}

/// Two take from two limits, of which the second is enough for either, the first for both: one of them is granted, and
/// the other leaves both limits as they were.
pub fn a_set_takes_all_or_nothing() {
    fn run(first: impl Algorithm) {
        explore(3, move || {
            let set = set(first);
            let other = thread::spawn({
                let set = set.clone();
                move || set.try_consume(&(), [1, 1]).is_ok()
            });
            let here = set.try_consume(&(), [1, 2]).is_ok();
            let there = other.join().unwrap();
            assert!(here != there, "granted: {here}, {there}");
            assert_eq!(set.available(&()), if here { [1, 0] } else { [1, 1] }.map(Tokens::from));
        });
    }
    run(Quota::per_hour(2));
    run(Gcra::new(Quota::per_hour(2)));
    run(FixedWindow::new(2, HOUR));
    run(SlidingWindow::new(2, HOUR));
}

/// Two take from the same two limits in opposite orders: one of them is granted or none, and whoever is refused leaves
/// both as they were.
pub fn sets_that_cross_leave_nothing_behind() {
    explore(3, || {
        let [one, other] = [HOUR; 2].map(|period| StdArc::new(by_hand(Quota::new(1, period))));
        let set = |first: &StdArc<_>, second: &StdArc<_>| -> LimitSet<(), 2> {
            let (first, second) = (StdArc::clone(first), StdArc::clone(second));
            LimitSet::of([("first", Box::new(first)), ("second", Box::new(second))])
        };
        let (here, there) = (set(&one, &other), set(&other, &one));
        let there = thread::spawn(move || there.try_consume(&(), [1, 1]).is_ok());
        let granted = u64::from(here.try_consume(&(), [1, 1]).is_ok());
        let granted = granted + u64::from(there.join().unwrap());
        assert!(granted <= 1);
        assert_eq!(here.available(&()), [1 - granted; 2].map(Tokens::from));
    });
}

/// What was reserved from a set is called off while another takes from it: both limits get it back.
pub fn a_set_gives_back_to_all() {
    fn run(first: impl Algorithm) {
        explore(3, move || {
            let set = set(first);
            let permit = set.reserve(&(), [2, 1]).unwrap();
            let other = thread::spawn({
                let set = set.clone();
                move || set.try_consume(&(), [1, 1]).is_ok()
            });
            permit.cancel();
            let granted = u64::from(other.join().unwrap());
            assert_eq!(set.available(&()), [2 - granted; 2].map(Tokens::from));
        });
    }
    run(Quota::per_hour(2));
    run(FixedWindow::new(2, HOUR));
}

fn by_hand<A: Algorithm>(algorithm: A) -> Any<A> {
    Limiter::with_clock(algorithm, ManualClock::at(1_000_000_000)).unwrap()
}

/// Two of each, an hour.
fn set(first: impl Algorithm) -> LimitSet<(), 2> {
    let second = by_hand(Quota::per_hour(2));
    LimitSet::of([("first", Box::new(by_hand(first))), ("second", Box::new(second))])
}

/// A key is reserved from, into debt, while it is full and swept: what was reserved is missing after that.
pub fn what_is_reserved_outlives_a_sweep() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_second(1));
        assert!(users.is_allowed(&KEY));
        keyed_race(
            &users,
            |users| {
                let one = users.reserve(&KEY, 1, PATIENT).unwrap();
                let _ = one.keep();
            },
            |users| {
                users.clock().advance(SECOND);
                users.sweep();
            },
        );
        // One at first, and one for the second.
        assert_eq!(users.available(&KEY), 0);
        let mut next = users.reserve(&KEY, 1, PATIENT).unwrap();
        assert_eq!(next.wait(), SECOND);
    });
}
