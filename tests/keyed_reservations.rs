//! Reservations by key, on the manual clock: wherever the key's bucket is when they end.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/apart.rs"]
mod apart;

use std::mem::forget;
use std::time::Duration;

use apart::Apart;
use flowgate::{
    Gcra, KeyedLimiter, LeakyBucket, LeakyQueue, ManualClock, OnDrop, Quota, Reservable, WhenFull,
};

type Users<A = Quota> = KeyedLimiter<u8, A, ManualClock, Apart>;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn users<A: Reservable>(algorithm: A, max_keys: u64, when_full: WhenFull) -> Users<A> {
    KeyedLimiter::builder(algorithm)
        .max_keys(max_keys)
        .when_full(when_full)
        .hasher(Apart::default())
        .build_with_clock(ManualClock::new())
        .unwrap()
}

/// The rows 14 to 17, 19: each key's reservations are its own.
#[test]
fn keys_reserve_and_give_back_exactly_their_own() {
    fn check<A: Reservable>(algorithm: A) {
        let users = users(algorithm, 100, WhenFull::Share);
        let wait_of_one = |key: &u8| {
            let mut one = users.reserve(key, 1, DAY).unwrap();
            let wait = one.wait();
            one.cancel();
            wait
        };
        for key in [0, 1] {
            while wait_of_one(&key).is_zero() {
                assert!(users.is_allowed(&key));
            }
        }
        let (one, other) = (wait_of_one(&0), wait_of_one(&1));
        let first = users.reserve(&0, 3, DAY).unwrap();
        let second = users.reserve(&0, 2, DAY).unwrap();
        assert!(users.reserve(&0, 5, millis(600)).is_err());
        assert_eq!((wait_of_one(&0), wait_of_one(&1)), (one + millis(500), other));
        first.cancel();
        assert_eq!(wait_of_one(&0), one + millis(200));
        drop(second);
        assert_eq!((wait_of_one(&0), wait_of_one(&1)), (one, other));
        forget(users.reserve(&0, 2, DAY).unwrap());
        assert_eq!(wait_of_one(&0), one + millis(200));
        users.reserve(&0, 2, DAY).unwrap().settle(5);
        assert_eq!(wait_of_one(&0), one + millis(700));
    }
    let quota = Quota::per_second(10);
    check(quota);
    check(Gcra::new(quota));
    check(LeakyBucket::new(quota));
    check(LeakyQueue::new(quota));
}

/// A key that has become full and was dropped owes nothing: giving back does not bring it back, nor fills another.
#[test]
fn giving_back_to_a_key_that_was_dropped_changes_nothing() {
    let users = users(Quota::per_second(10), 100, WhenFull::Share);
    let four = users.reserve(&0, 4, SECOND).unwrap();
    assert_eq!(users.sweep(), 0);
    users.clock().advance(SECOND);
    assert_eq!(users.sweep(), 1);
    four.cancel();
    assert!(users.is_empty());
    // The key has come back since: it is not above its capacity.
    let four = users.reserve(&0, 4, SECOND).unwrap();
    users.clock().advance(SECOND);
    assert_eq!(users.sweep(), 1);
    users.try_consume(&0, 1).unwrap();
    four.cancel();
    assert_eq!(users.available(&0), 10);
}

/// A key in debt is not dropped, however little room there is; so nobody escapes what was reserved.
#[test]
fn a_key_with_a_reservation_is_not_dropped() {
    for when_full in [WhenFull::Share, WhenFull::DenyNew, WhenFull::GrantNew] {
        let users = users(Quota::per_second(10), 1, when_full);
        users.consume_up_to(&0, 10);
        let ten = users.reserve(&0, 10, DAY).unwrap();
        for key in 1..50 {
            users.is_allowed(&key);
        }
        assert_eq!((users.sweep(), users.len()), (0, 1));
        assert_eq!(users.time_until_available(&0, 0), Some(SECOND));
        ten.cancel();
        assert_eq!(users.time_until_available(&0, 0), Some(Duration::ZERO));
    }
}

/// What was taken from a bucket that is shared goes back there, even when the key has one of its own by then.
#[test]
fn what_was_shared_goes_back_to_the_shared_bucket() {
    let users = users(Quota::per_second(10), 1, WhenFull::Share);
    users.consume_up_to(&0, 10);
    let mut six = users.reserve(&1, 6, SECOND).unwrap();
    assert_eq!((six.wait(), users.len()), (Duration::ZERO, 1));
    six.cancel();
    assert_eq!(users.available(&1), 10);
    let six = users.reserve(&1, 6, SECOND).unwrap();
    // The other one is full, and makes room: the key's own bucket begins as full as the shared one is.
    users.clock().advance(SECOND);
    users.sweep();
    users.try_consume(&1, 5).unwrap();
    assert_eq!(users.len(), 1);
    let left = users.available(&1);
    six.cancel();
    assert_eq!(users.available(&1), left);
    // One whose key had to share, and waits.
    users.consume_up_to(&1, 10);
    users.consume_up_to(&2, 10);
    let mut three = users.reserve(&2, 3, SECOND).unwrap();
    assert_eq!(three.wait(), millis(300));
    drop(three);
    assert_eq!(users.time_until_available(&2, 0), Some(Duration::ZERO));
}

/// Of what is granted out of nothing, nothing comes back.
#[test]
fn what_came_from_nowhere_goes_back_nowhere() {
    let users = users(Quota::per_second(10), 1, WhenFull::GrantNew);
    users.consume_up_to(&0, 10);
    let ten = users.reserve(&1, 10, SECOND).unwrap();
    let four = users.reserve(&1, 4, SECOND).unwrap();
    // There is room, and the key has a bucket of its own.
    users.clock().advance(SECOND);
    users.sweep();
    users.try_consume(&1, 8).unwrap();
    assert_eq!(users.len(), 1);
    ten.cancel();
    drop(four.on_drop(OnDrop::GiveBack));
    assert_eq!(users.available(&1), 2);
}

#[test]
fn tiers_and_handles_reserve_from_the_same_bucket() {
    let users = users(Quota::per_second(10), 100, WhenFull::Share);
    let gold = users.tier(Quota::per_second(20).burst(10)).unwrap();
    users.consume_up_to(&0, 10);
    let handle = users.handle(&0);
    let mut by_tier = users.on(&gold).reserve(&0, 4, DAY).unwrap();
    let mut by_handle = handle.reserve(2, DAY).unwrap();
    let mut by_key = users.reserve(&0, 1, DAY).unwrap();
    // At the rate of each.
    assert_eq!(by_tier.wait(), millis(200));
    assert_eq!(by_handle.wait(), millis(600));
    assert_eq!(by_key.wait(), millis(700));
    // A handle that is there at the end, or only at the beginning.
    by_tier.cancel();
    assert_eq!(users.time_until_available(&0, 0), Some(millis(300)));
    drop(by_handle);
    drop(handle);
    users.sweep();
    assert_eq!(users.time_until_available(&0, 0), Some(millis(100)));
    let late = users.handle(&0);
    by_key.cancel();
    assert_eq!(late.time_until_available(0), Some(Duration::ZERO));
    assert_eq!(users.on(&gold).reserve(&0, 10, SECOND).unwrap().settle(1), 0);
}

/// A quota that is lowered, of the limiter or of a tier, holds for those who wait by it.
#[test]
fn who_waits_by_key_is_held_to_a_quota_that_was_lowered() {
    let users = users(Quota::per_second(10), 100, WhenFull::Share);
    let gold = users.tier(Quota::per_second(10)).unwrap();
    let on = users.on(&gold);
    for key in [0, 1, 2] {
        users.consume_up_to(&key, 10);
    }
    let mut plain = users.reserve(&0, 5, DAY).unwrap();
    let mut golden = on.reserve(&1, 5, DAY).unwrap();
    let mut used = users.reserve(&2, 2, DAY).unwrap();
    assert_eq!((plain.wait(), golden.wait()), (millis(500), millis(500)));
    users.clock().advance(millis(200));
    assert!(used.is_good());
    users.set_quota(Quota::per_second(1).burst(10)).unwrap();
    // What has arrived counts at the new rate, from the key's last call on.
    assert!(plain.wait() >= millis(4_800) && plain.wait() <= millis(4_801));
    assert_eq!(golden.wait(), millis(300));
    gold.set_quota(Quota::per_second(1).burst(10)).unwrap();
    assert!(golden.wait() >= millis(4_800) && golden.wait() <= millis(4_801));
    assert!(used.is_good());
    drop(used);
    assert!(users.time_until_available(&2, 0).unwrap() >= millis(1_800));
    users.clock().advance(millis(4_801));
    assert!(plain.is_good() && golden.is_good());
}
