//! Models of the bucket under loom: each runs every interleaving of two or three threads (up to the
//! preemptions given) and checks one invariant.
//!
//! Time is `ManualClock`, which is a loom atomic here, so it moves while a thread is between its clock
//! and its compare-and-swap. `tests/models.rs` runs the models; `tests/planted.rs` runs them with a bug
//! switched on, and each must fail.
#![cfg(flowgate_loom)]

// Not loom's: it counts the runs of a model and is not part of one.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use flowgate::{Clock, Fill, ManualClock, Quota, TokenBucket, Tokens};
use loom::sync::Arc;
use loom::thread;

mod algorithms;
mod hot;
mod keyed;
mod leased;
mod sliding_log;
mod striped;
mod waiting;
mod witness;
// `tests/` and `ci/loom.sh` know a model by its name alone.
pub use algorithms::*;
pub use hot::*;
pub use keyed::*;
pub use leased::*;
pub use sliding_log::*;
pub use striped::*;
pub use waiting::*;

const SECOND: Duration = Duration::from_secs(1);

type Bucket = TokenBucket<ManualClock>;

/// Runs `model` twice: with loads as they are, in every order that loom tries; and with loads that loom
/// keeps track of, in every order with at most `preemptions` forced switches (each bug planted here
/// needs one or two). `src/primitive.rs` of the crate says why.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    explore_within([None, Some(preemptions)], model);
}

/// [`explore`], with bounds for the first way and the second, for models with too many orders.
fn explore_within(bounds: [Option<usize>; 2], model: impl Fn() + Sync + Send + 'static) {
    let model = std::sync::Arc::new(model);
    for (tracked, bound) in [false, true].into_iter().zip(bounds) {
        explore_one_way(tracked, bound, std::sync::Arc::clone(&model));
    }
}

/// One of the two ways, within a bound.
fn explore_one_way(
    tracked: bool,
    bound: Option<usize>,
    model: std::sync::Arc<impl Fn() + Sync + Send + 'static>,
) {
    let runs = std::sync::Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    builder.check({
        let runs = std::sync::Arc::clone(&runs);
        move || {
            flowgate::planted::control::track_loads(tracked);
            runs.fetch_add(1, Relaxed);
            model();
        }
    });
    println!("{} orders, every access tracked: {tracked}", runs.load(Relaxed));
}

fn bucket(quota: Quota) -> Arc<Bucket> {
    Arc::new(TokenBucket::with_clock(quota, ManualClock::at(1_000_000_000)).unwrap())
}

/// Runs `here` and `there` at the same time and returns what both returned.
fn race<A, B: 'static>(
    limiter: &Arc<Bucket>,
    here: impl Fn(&Bucket) -> A,
    there: impl Fn(&Bucket) -> B + Send + 'static,
) -> (A, B) {
    let other = thread::spawn({
        let limiter = Arc::clone(limiter);
        move || there(&limiter)
    });
    let here = here(limiter);
    (here, other.join().unwrap())
}

/// Two threads and one token: one of them gets it.
pub fn two_consume_one() {
    explore(3, || {
        let limiter = bucket(Quota::per_hour(1));
        let (here, there) = race(&limiter, Bucket::is_allowed, Bucket::is_allowed);
        assert_eq!(u64::from(here) + u64::from(there), 1);
    });
}

/// Three threads and two tokens: exactly two are granted.
pub fn three_consume_two() {
    explore(2, || {
        let limiter = bucket(Quota::per_hour(2));
        let spawn = || {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || limiter.is_allowed())
        };
        let (one, two) = (spawn(), spawn());
        let granted = u64::from(limiter.is_allowed())
            + u64::from(one.join().unwrap())
            + u64::from(two.join().unwrap());
        assert_eq!(granted, 2);
    });
}

/// The clock moves on by a second's refill while both are between their clock and their swap: at most
/// the capacity and that second's token are granted, and all that is not granted is still there.
pub fn consume_across_a_moving_clock() {
    explore(3, || {
        let limiter = bucket(Quota::per_second(1).burst(2));
        assert_eq!(limiter.consume_up_to(1), 1);
        let (here, there) = race(
            &limiter,
            |limiter| {
                limiter.clock().advance(SECOND);
                limiter.consume_up_to(2)
            },
            |limiter| limiter.consume_up_to(2),
        );
        assert!(here + there <= 2, "granted {here} + {there}");
        assert_eq!(limiter.available(), 2 - here - there);
    });
}

/// A reader stalls with its time in hand while another stores a time many ticks later.
pub fn a_stalled_reader_mints_nothing() {
    explore(3, || {
        let limiter = bucket(Quota::per_second(1).burst(2));
        assert_eq!(limiter.consume_up_to(2), 2);
        let (here, there) = race(
            &limiter,
            |limiter| {
                limiter.clock().advance(SECOND);
                u64::from(limiter.is_allowed())
            },
            |limiter| limiter.consume_up_to(2),
        );
        assert!(here + there <= 1, "granted {here} + {there}");
    });
}

/// A refund races a grant: whichever is first, the bucket never holds more than its capacity.
pub fn refund_never_fills_above_the_capacity() {
    explore(3, || {
        let limiter = bucket(Quota::per_hour(2));
        assert!(limiter.is_allowed());
        let (granted, ()) =
            race(&limiter, |limiter| limiter.consume_up_to(2), |limiter| limiter.refund(2));
        // Granted the one that was left, then refilled; or refilled to two, then granted both.
        let left = limiter.available().whole();
        assert!([(1, 2), (2, 0)].contains(&(granted, left)), "granted {granted}, {left} left");
    });
}

/// A charge races a grant: nothing is lost, and debt stops at the floor.
pub fn charge_and_consume_add_up() {
    explore(3, || {
        let limiter = TokenBucket::builder(Quota::per_hour(2))
            .max_debt(1)
            .build_with_clock(ManualClock::at(1_000_000_000))
            .unwrap();
        let limiter = Arc::new(limiter);
        let (granted, left_over) =
            race(&limiter, |limiter| limiter.consume_up_to(1), |limiter| limiter.charge(4).whole());
        let snapshot = limiter.snapshot();
        let taken = granted + 4 - left_over;
        assert_eq!(snapshot.available().whole() + taken, 2 + snapshot.debt().whole());
        assert_eq!(snapshot.debt(), 1);
        assert!(!limiter.is_allowed());
    });
}

/// Two threads take what there is: together exactly that.
pub fn consume_up_to_shares_what_there_is() {
    explore(3, || {
        let limiter = bucket(Quota::per_hour(3));
        let (here, there) =
            race(&limiter, |limiter| limiter.consume_up_to(2), |limiter| limiter.consume_up_to(2));
        assert_eq!(here + there, 3);
        assert_eq!(limiter.available(), 0);
    });
}

/// A drain races a grant: together exactly what there was.
pub fn drain_takes_each_token_once() {
    explore(3, || {
        let limiter = bucket(Quota::per_hour(3));
        let (granted, drained) =
            race(&limiter, |limiter| limiter.consume_up_to(2), |limiter| limiter.drain().whole());
        assert_eq!(granted + drained, 3);
    });
}

/// The capacity is lowered while another takes: from then on no more than the new one is there, and
/// all in all no more than the old one was granted.
pub fn a_lowered_quota_holds_from_then_on() {
    explore(2, || {
        let limiter = bucket(Quota::per_hour(4));
        let (granted, after) = race(
            &limiter,
            |limiter| limiter.consume_up_to(1),
            |limiter| {
                limiter.set_quota(Quota::per_hour(2), Fill::Keep).unwrap();
                // Starts after the change: held to the new capacity.
                assert!(limiter.try_consume(Tokens::decimal(25, 1)).is_err());
                limiter.consume_up_to(9)
            },
        );
        assert!(after <= 2, "{after} after the change");
        // One was taken before, or two were there after.
        assert!(granted + after + limiter.available().whole() <= 3);
        limiter.clock().advance(10 * 3_600 * SECOND);
        assert_eq!(limiter.available(), 2);
    });
}

/// A raised rate counts from now on, not from the last use; the clock moves meanwhile.
pub fn a_raised_rate_is_not_counted_for_the_past() {
    explore(2, || {
        let limiter = bucket(Quota::per_second(1).burst(8));
        assert_eq!(limiter.drain(), 8);
        // Late in a tick, so that what has arrived in it shows.
        limiter.clock().advance(SECOND + Duration::from_micros(400));
        let (granted, ()) = race(
            &limiter,
            |limiter| limiter.consume_up_to(8),
            |limiter| limiter.set_quota(Quota::per_second(8), Fill::Keep).unwrap(),
        );
        // A second at one a second, to the unit; whichever came first.
        let arrived = Tokens::decimal(10_004, 4).saturating_add(limiter.resolution().unit());
        assert!(limiter.available().saturating_add(granted.into()) <= arrived);
    });
}

/// A quota is read whole, however often it is changed meanwhile.
pub fn a_quota_is_never_torn() {
    explore(3, || {
        let first = Quota::per_hour(1);
        let limiter = bucket(first);
        let quotas = [Quota::per_hour(2), Quota::per_hour(3)];
        let (seen, ()) = race(
            &limiter,
            |limiter| limiter.quota(),
            move |limiter| {
                for quota in quotas {
                    limiter.set_quota(quota, Fill::Keep).unwrap();
                }
            },
        );
        assert!(seen == first || quotas.contains(&seen), "read {seen}");
    });
}

/// Whoever finds a bucket on a faster quota, and waits for as long as that one says, is granted.
pub fn a_raised_rate_is_not_refused_by_the_old_one() {
    explore(3, || {
        let limiter = bucket(Quota::per_second(1));
        let fast = Quota::per_second(8).burst(1);
        assert!(limiter.is_allowed());
        race(
            &limiter,
            |limiter| {
                let now_ns = limiter.clock().now_ns();
                let wait = limiter.time_until_available_at(1, now_ns).unwrap();
                if wait < SECOND {
                    let then_ns = now_ns + u64::try_from(wait.as_nanos()).unwrap();
                    assert!(limiter.is_allowed_at(then_ns));
                }
            },
            move |limiter| limiter.set_quota(fast, Fill::Keep).unwrap(),
        );
    });
}

/// Two change the quota at the same time: one of them is last, in the quota and in the plan alike.
pub fn two_changes_take_turns() {
    explore(2, || {
        let limiter = bucket(Quota::per_hour(8));
        race(
            &limiter,
            |limiter| limiter.set_quota(Quota::per_hour(2), Fill::Reset).unwrap(),
            |limiter| limiter.set_quota(Quota::per_hour(4), Fill::Reset).unwrap(),
        );
        let snapshot = limiter.snapshot();
        assert_eq!(snapshot.available(), snapshot.quota().capacity());
    });
}

/// Words that are written together are read together, and two writers do not undo each other.
pub fn words_are_read_as_they_were_written() {
    explore(3, || {
        let words = Arc::new(flowgate::planted::TwoWords::zeroed());
        let other = thread::spawn({
            let words = Arc::clone(&words);
            move || u64::from(words.try_add_one()) + u64::from(words.try_add_one())
        });
        if let Some([one, two]) = words.try_read() {
            assert_eq!(one, two);
        }
        let added = u64::from(words.try_add_one()) + other.join().unwrap();
        assert_eq!(words.try_read(), Some([added; 2]));
    });
}

/// A bucket in its deepest debt stays there when the rate is raised while others take: the level does not
/// run out below its bits.
pub fn a_change_in_the_deepest_debt_leaves_the_debt() {
    explore(2, || {
        let (slow, fast) = (Quota::per_second(1).burst(8), Quota::per_second(8).burst(8));
        let limiter = TokenBucket::builder(slow)
            .largest_quota(fast)
            .max_debt(0)
            .build_with_clock(ManualClock::new())
            .unwrap();
        let limiter = Arc::new(limiter);
        limiter.drain();
        // The last nanosecond of a tick.
        limiter.clock().advance(limiter.resolution().tick() - Duration::from_nanos(1));
        race(
            &limiter,
            |limiter| limiter.drain(),
            move |limiter| limiter.set_quota(fast, Fill::Keep).unwrap(),
        );
        assert!(limiter.available() < 1);
    });
}
