//! Every algorithm with a bucket per key: what its own documentation guarantees, per key.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{
    Algorithm, FixedWindow, Gcra, KeyedBuilder, KeyedLimiter, Limiter, ManualClock, Quota,
    SlidingWindow,
};

const SECOND: Duration = Duration::from_secs(1);
const SECOND_NS: u64 = 1_000_000_000;

/// Runs a check on both maps, where there are two.
fn by_both_maps<A: Algorithm>(algorithm: A, check: impl Fn(KeyedBuilder<u64, A>)) {
    check(KeyedLimiter::builder(algorithm));
    #[cfg(feature = "papaya")]
    check(KeyedLimiter::builder(algorithm).lock_free());
}

/// Windows that begin with the first call: of a key's own and of one that it shares, three would else meet in less
/// than a window.
#[test]
fn a_key_that_goes_from_its_window_to_a_shared_one_has_no_third() {
    by_both_maps(FixedWindow::new(10, SECOND).from_first_call(), |builder| {
        let users = builder.max_keys(1).build_with_clock(ManualClock::new()).unwrap();
        let (alice, bob, carol) = (1, 2, 3);
        assert_eq!(users.consume_up_to_at(&alice, 1, 0), 1);
        assert_eq!(users.consume_up_to_at(&bob, 1, SECOND_NS / 2), 1);
        let mut granted = users.consume_up_to_at(&alice, 9, SECOND_NS - 1);
        // Hers is over, and carol has the room.
        users.sweep_at(SECOND_NS + SECOND_NS / 16);
        assert_eq!(users.consume_up_to_at(&carol, 1, SECOND_NS + SECOND_NS / 16), 1);
        granted += users.consume_up_to_at(&alice, 10, SECOND_NS + SECOND_NS / 16);
        granted += users.consume_up_to_at(&alice, 10, SECOND_NS + 5 * SECOND_NS / 8);
        assert!(granted <= 20, "{granted} in less than a window");
    });
}

/// A window in which nothing is counted is one all the same.
#[test]
fn a_stale_call_does_not_reopen_a_window_after_an_empty_one() {
    let window = FixedWindow::new(10, SECOND).from_first_call();
    let limiter = Limiter::with_clock(window, ManualClock::new()).unwrap();
    let mut granted = 0;
    for _ in 0..5 {
        granted += limiter.consume_up_to_at(10, SECOND_NS);
        // A later one is begun, and given back.
        assert!(limiter.try_consume_at(0, 3 * SECOND_NS).is_ok());
    }
    assert!(granted <= 10, "{granted} at once");
    by_both_maps(window, |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        let mut granted = 0;
        for _ in 0..5 {
            granted += users.consume_up_to_at(&7, 10, SECOND_NS);
            users.consume_up_to_at(&7, 1, 3 * SECOND_NS);
            users.refund_at(&7, 1, 3 * SECOND_NS);
            users.sweep_at(SECOND_NS);
        }
        assert!(granted <= 10, "{granted} at once");
    });
}

/// A handle begins no earlier than its key was dropped.
#[test]
fn a_stale_handle_does_not_reopen_a_window() {
    by_both_maps(FixedWindow::new(10, SECOND).from_first_call(), |builder| {
        let users = builder.build_with_clock(ManualClock::new()).unwrap();
        let mut granted = 0;
        for _ in 0..5 {
            granted += users.handle(&7).try_consume_at(10, SECOND_NS).map_or(0, |_| 10);
            users.sweep_at(3 * SECOND_NS);
        }
        assert!(granted <= 20, "{granted} at once");
    });
}

fn serves_new_keys<A: Algorithm>(algorithm: A) {
    by_both_maps(algorithm, |builder| {
        let clock = ManualClock::new();
        let users = builder.max_keys(1).build_with_clock(&clock).unwrap();
        for years in (5..55).step_by(5) {
            clock.set_ns(years * 365 * 86_400 * SECOND_NS);
            users.sweep();
            assert!(users.is_allowed(&1), "{algorithm:?} after {years} years");
            if years > 10 {
                assert!(users.is_allowed(&2), "{algorithm:?} shared after {years} years");
            }
        }
    });
}

/// What nobody has shared is new, however old the limiter is.
#[test]
fn a_limiter_serves_new_keys_after_decades() {
    serves_new_keys(Quota::per_second(10));
    serves_new_keys(FixedWindow::new(10, SECOND).from_first_call());
    serves_new_keys(FixedWindow::new(10, SECOND));
    serves_new_keys(SlidingWindow::new(10, SECOND));
    serves_new_keys(Gcra::new(Quota::per_second(10)));
}
