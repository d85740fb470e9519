//! Hot keys: one bucket, however it is called; what it costs, and what becomes of it when quotas change and handles go.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{HotHandle, KeyedBuilder, KeyedLimiter, ManualClock, Quota};

const SECOND_NS: u64 = 1_000_000_000;
const HOUR_NS: u64 = 3_600 * SECOND_NS;

type Users = KeyedLimiter<String, Quota, ManualClock>;
type Hot = HotHandle<ManualClock>;

/// All at one rate, so that what a tier has written another one reads to the unit.
fn per_hour(capacity: u64) -> Quota {
    Quota::per_hour(1_024).burst(capacity)
}

fn build(settings: KeyedBuilder<String>) -> Users {
    settings.stripes(2).build_with_clock(ManualClock::at(SECOND_NS)).unwrap()
}

/// Two stripes.
fn users(quota: Quota) -> Users {
    build(KeyedLimiter::builder(quota))
}

/// A limiter on each of the maps.
fn on_each_map(quota: Quota) -> Vec<Users> {
    let mut all = vec![users(quota)];
    #[cfg(feature = "papaya")]
    all.push(build(KeyedLimiter::builder(quota).lock_free()));
    all
}

/// Calls from a thread of its own, which so has a stripe of its own.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(call).join().unwrap())
}

/// Fills both stripes, each by a call from a thread that goes there: of so many threads some do.
/// Returns how many tokens that took.
fn fill(hot: &Hot) -> u64 {
    (0..16).map(|_| u64::from(elsewhere(|| hot.is_allowed()))).sum()
}

#[test]
fn a_hot_key_is_one_bucket_however_it_is_called() {
    for users in on_each_map(per_hour(1_024)) {
        let before = users.handle("alice");
        let hot = users.hot_handle("alice");
        let after = users.handle("alice");
        let gold = users.tier(per_hour(2_048)).unwrap();
        assert_eq!(hot.stripes(), 2);
        let mut taken = 0;
        for round in 0..300 {
            let allowed = match round % 5 {
                0 => hot.is_allowed(),
                1 => users.is_allowed("alice"),
                2 => before.is_allowed(),
                3 => after.try_consume(1).is_ok(),
                _ => users.on(&gold).is_allowed("alice"),
            };
            assert!(allowed);
            taken += 1;
        }
        // One bucket of 960 beside stripes that were filled out of it.
        for left in [hot.available(), before.available(), users.available("alice")] {
            assert_eq!(left, 960 - taken);
        }
        let rest = hot.consume_up_to(10_000);
        assert_eq!(rest, 960 - taken);
        assert!(!hot.is_allowed() && !before.is_allowed() && !users.is_allowed("alice"));
        assert!(!after.is_allowed() && !users.on(&gold).is_allowed("alice"));
        assert_eq!(users.len(), 1);
    }
}

#[test]
fn a_single_caller_gets_what_all_tokens_together_cover() {
    for cost in [1_u64, 7, 32, 60] {
        let takers: [fn(&Users, &Hot, u64) -> bool; 5] = [
            |_, hot, cost| hot.try_consume(cost).is_ok(),
            |users, _, cost| users.try_consume("alice", cost).is_ok(),
            |users, _, cost| users.handle("alice").try_consume(cost).is_ok(),
            |users, _, cost| users.consume_up_to("alice", cost) == cost,
            |users, _, cost| users.reserve("alice", cost, Duration::ZERO).is_ok(),
        ];
        for take in takers {
            let users = users(per_hour(1_024));
            let hot = users.hot_handle("alice");
            let taken = fill(&hot);
            // All that is left lies in stripes, but for less than one cost.
            let in_stripes = 60;
            assert!(users.try_consume("alice", 960 - taken - in_stripes).is_ok());
            let left = hot.available().whole();
            assert_eq!(left, in_stripes);
            for _ in 0..left / cost {
                assert!(take(&users, &hot, cost), "cost {cost}");
            }
            assert_eq!(hot.available(), left % cost);
            assert!(!take(&users, &hot, cost));
        }
    }
}

#[test]
fn a_capacity_too_small_to_divide_is_one_word_and_says_so() {
    for (capacity, stripes) in [(1, 1), (255, 1), (256, 2), (100_000, 2)] {
        let users = users(per_hour(capacity));
        let hot = users.hot_handle("alice");
        assert_eq!(hot.stripes(), stripes, "{capacity}");
        if stripes == 1 {
            assert_eq!(hot.guaranteed_burst(), capacity);
            assert!(users.try_consume("alice", capacity).is_ok());
            assert!(!hot.is_allowed());
        }
    }
}

#[test]
fn the_guaranteed_burst_is_there_after_a_rest_and_more_is_denied_to_all() {
    for users in on_each_map(per_hour(1_024)) {
        let (handle, hot) = (users.handle("alice"), users.hot_handle("alice"));
        let most = hot.guaranteed_burst().whole();
        assert_eq!(most, 1_024 - 2 * 32);
        for _ in 0..3 {
            users.clock().advance(Duration::from_nanos(2 * HOUR_NS));
            for denied in [
                hot.try_consume(most + 1).map(|_| ()),
                handle.try_consume(most + 1).map(|_| ()),
                users.try_consume("alice", most + 1).map(|_| ()),
            ] {
                assert!(denied.unwrap_err().is_never());
            }
            assert_eq!(handle.time_until_available(most + 1), None);
            assert_eq!(users.time_until_available("alice", most), Some(Duration::ZERO));
            assert_eq!(hot.try_consume(most).unwrap().remaining(), hot.available());
            fill(&hot);
        }
    }
}

#[test]
fn a_denial_tells_the_wait_until_word_and_stripes_hold_the_cost() {
    let users = users(Quota::per_second(1_024));
    let (handle, hot) = (users.handle("alice"), users.hot_handle("alice"));
    let taken = fill(&hot);
    assert!(users.try_consume("alice", 960 - taken - 40).is_ok());
    let in_ten = Duration::from_nanos(10 * SECOND_NS / 1_024);
    let wait = Some(in_ten);
    assert_eq!(hot.try_consume(50).unwrap_err().retry_after(), wait);
    assert_eq!(handle.try_consume(50).unwrap_err().retry_after(), wait);
    assert_eq!(users.try_consume("alice", 50).unwrap_err().retry_after(), wait);
    assert_eq!(users.time_until_available("alice", 50), wait);
    users.clock().advance(in_ten - Duration::from_nanos(1));
    assert!(users.try_consume("alice", 50).is_err() && hot.try_consume(50).is_err());
    users.clock().advance(Duration::from_nanos(1));
    assert!(users.try_consume("alice", 50).is_ok());
}

#[test]
fn the_whole_capacity_comes_back_when_the_last_handle_is_swept() {
    for users in on_each_map(per_hour(1_024)) {
        let hot = users.hot_handle("alice");
        let taken = fill(&hot);
        let also_hot = hot.clone();
        drop(hot);
        users.sweep();
        // Still divided.
        assert!(users.try_consume("alice", 1_000).unwrap_err().is_never());
        drop(also_hot);
        assert!(users.try_consume("alice", 1_000).unwrap_err().is_never());
        users.sweep();
        // What lay in stripes has come along.
        assert_eq!(users.available("alice"), 960 - taken);
        users.clock().advance(Duration::from_nanos(HOUR_NS));
        assert!(users.try_consume("alice", 1_024).is_ok());
        users.clock().advance(Duration::from_nanos(HOUR_NS));
        assert_eq!((users.sweep(), users.len()), (1, 0));
        assert_eq!(users.hot_handle("alice").stripes(), 2);
    }
}

/// What was taken from stripes after a sweep began is missing when that sweep takes the bucket home.
#[test]
fn a_bucket_that_goes_home_by_a_stale_sweep_gains_nothing() {
    let users = users(per_hour(1_024));
    let hot = users.hot_handle("alice");
    let taken = fill(&hot);
    let swept_ns = SECOND_NS;
    // Long enough for the word to be full: nobody looks at it.
    users.clock().advance(Duration::from_nanos(2 * HOUR_NS));
    // From this thread's stripe, which holds as much for sure.
    let from_stripes = 32 - taken;
    assert!(hot.try_consume(from_stripes).is_ok());
    drop(hot);
    users.sweep_at(swept_ns);
    let rest = users.consume_up_to("alice", 10_000);
    assert!(from_stripes + rest <= 1_024, "{from_stripes} + {rest}");
}

#[test]
fn a_forgotten_handle_keeps_its_key_and_grants_nothing() {
    let users = users(per_hour(1_024));
    std::mem::forget(users.hot_handle("alice"));
    let hot = users.hot_handle("alice");
    let taken = fill(&hot);
    drop(hot);
    users.sweep();
    assert_eq!(users.consume_up_to("alice", 10_000), 960 - taken);
    users.clock().advance(Duration::from_nanos(100 * HOUR_NS));
    assert_eq!((users.sweep(), users.len()), (0, 1));
    assert!(users.consume_up_to("alice", 10_000) <= 1_024);
}

#[test]
fn a_quota_lowered_below_what_can_be_divided_closes_the_stripes_until_it_is_raised() {
    for users in on_each_map(per_hour(1_024)) {
        let hot = users.hot_handle("alice");
        let taken = fill(&hot);
        assert_eq!(hot.available(), 960 - taken);
        // 64 may lie in stripes.
        users.set_quota(per_hour(513)).unwrap();
        assert_eq!((hot.stripes(), hot.guaranteed_burst()), (2, (513 - 64).into()));
        users.set_quota(per_hour(512)).unwrap();
        assert_eq!((hot.stripes(), hot.guaranteed_burst()), (1, (7 * 64).into()));
        users.set_quota(per_hour(100)).unwrap();
        assert_eq!((hot.stripes(), hot.guaranteed_burst()), (1, 100.into()));
        assert_eq!(hot.available(), 100);
        assert!(users.try_consume("alice", 60).is_ok());
        assert!(hot.try_consume(40).is_ok());
        assert!(!elsewhere(|| hot.is_allowed()) && !users.is_allowed("alice"));
        users.set_quota(per_hour(2_048)).unwrap();
        assert_eq!((hot.stripes(), hot.guaranteed_burst()), (2, (2_048 - 64).into()));
        users.clock().advance(Duration::from_nanos(2 * HOUR_NS));
        fill(&hot);
        assert!(users.consume_up_to("alice", 10_000) <= 2_048);
    }
}

/// However much lay in stripes, what a lowered quota grants from then on is no more than its capacity.
#[test]
fn a_lowered_quota_holds_from_then_on() {
    for capacity in [1, 10, 63, 64, 65, 400, 448, 449, 512, 513, 700] {
        let users = users(per_hour(1_024));
        let gold = users.tier(per_hour(4_096)).unwrap();
        let hot = users.hot_handle("alice");
        fill(&hot);
        users.set_quota(per_hour(capacity)).unwrap();
        let mut granted: u64 = (0..4).map(|_| elsewhere(|| hot.consume_up_to(40))).sum();
        granted += hot.consume_up_to(10_000) + users.consume_up_to("alice", 10_000);
        granted += users.handle("alice").consume_up_to(10_000);
        assert!(granted <= capacity, "{granted} of {capacity}");
        // Of what is there only the next quota's share is lost.
        let least = if capacity > 512 { capacity - 64 } else { capacity.min(448) };
        assert!(granted + 1 >= least, "{granted} of {capacity}");
        drop((hot, gold));
    }
}

#[test]
fn tokens_of_stripes_that_close_are_not_lost() {
    let users = users(per_hour(1_024));
    let hot = users.hot_handle("alice");
    let taken = fill(&hot);
    assert!(users.try_consume("alice", 960 - taken - 60).is_ok());
    users.set_quota(per_hour(400)).unwrap();
    let left = hot.available();
    assert_eq!(left, 60);
    assert_eq!(users.consume_up_to("alice", 100), 60);
}

#[test]
fn tiers_of_all_sizes_take_from_a_hot_key() {
    let users = users(per_hour(1_024));
    let large = users.tier(per_hour(8_192)).unwrap();
    let small = users.tier(per_hour(100)).unwrap();
    let hot = users.hot_handle("alice");
    let taken = fill(&hot);
    assert_eq!(users.on(&large).available("alice"), 960 - taken);
    // Those of a small tier have what lies beside the stripes, to the brim of their own.
    assert_eq!(users.on(&small).available("alice"), 100);
    assert_eq!(users.on(&small).consume_up_to("alice", 1_000), 100);
    assert_eq!(users.on(&small).consume_up_to("alice", 1_000), 0);
    let left = hot.consume_up_to(10_000);
    assert!((1..=64).contains(&left), "{left}");

    fill(&hot);
    users.clock().advance(Duration::from_nanos(10 * HOUR_NS));
    let most = users.on(&large).snapshot("alice").unwrap().available();
    assert!((8_192 - 64..=8_192).contains(&most.whole()), "{most}");
    // By the larger one.
    let granted = users.on(&large).consume_up_to("alice", 10_000) + hot.consume_up_to(10_000);
    assert!(granted <= 8_192, "{granted}");
}

#[test]
fn a_hot_handle_of_another_tier_fills_no_stripes_and_strands_nothing() {
    let users = users(per_hour(1_024));
    let (gold, small) = (users.tier(per_hour(2_048)).unwrap(), users.tier(per_hour(200)).unwrap());
    let hot = users.hot_handle("alice");
    let taken = fill(&hot);
    let golden = users.on(&gold).hot_handle("alice");
    let tiny = users.on(&small).hot_handle("alice");
    assert_eq!((hot.stripes(), golden.stripes(), tiny.stripes()), (2, 1, 1));
    assert_eq!((golden.guaranteed_burst(), tiny.guaranteed_burst()), (1_984.into(), 200.into()));
    assert_eq!(golden.available(), 960 - taken);
    drop(hot);
    assert_eq!(golden.consume_up_to(10_000), 960 - taken);
    assert!(!tiny.is_allowed() && !golden.is_allowed());
    for _ in 0..100 {
        users.clock().advance(Duration::from_nanos(HOUR_NS / 10));
        elsewhere(|| tiny.is_allowed());
    }
    users.clock().advance(Duration::from_nanos(9 * HOUR_NS));
    let granted: u64 = (0..4).map(|_| elsewhere(|| tiny.consume_up_to(1_000))).sum();
    assert_eq!(granted, 200);
}

#[test]
fn debt_is_paid_by_what_lies_in_stripes_whoever_charges() {
    for by_key in [true, false] {
        let users = users(per_hour(1_024));
        let hot = users.hot_handle("alice");
        let taken = fill(&hot);
        let cost = 960 - taken;
        let charge = |cost: u64| {
            if by_key { users.charge("alice", cost) } else { users.handle("alice").charge(cost) }
        };
        assert_eq!(charge(cost), 0);
        assert_eq!((hot.available(), hot.snapshot().debt()), (0.into(), 0.into()));
        assert_eq!(charge(5), 0);
        assert_eq!(users.snapshot("alice").unwrap().debt(), 5);
        assert!(!hot.is_allowed());
        users.refund("alice", 6);
        assert_eq!(hot.consume_up_to(10), 1);
    }
}

#[test]
fn what_is_given_back_fills_no_more_than_the_capacity() {
    let users = users(per_hour(1_024));
    let (handle, hot) = (users.handle("alice"), users.hot_handle("alice"));
    for round in 0..6 {
        match round % 3 {
            0 => hot.refund(10_000),
            1 => users.reset("alice"),
            _ => handle.refund(10_000),
        }
        assert_eq!(hot.available(), 1_024);
        let taken = users.consume_up_to("alice", 5_000) + hot.consume_up_to(5_000);
        assert_eq!(taken, 1_024);
    }
}

#[test]
fn reservations_are_in_one_order_whoever_makes_them() {
    let users = users(Quota::per_second(1_000));
    let (handle, hot) = (users.handle("alice"), users.hot_handle("alice"));
    hot.consume_up_to(10_000);
    let second = Duration::from_secs(1);
    let mut first = hot.reserve(10, second).unwrap();
    let mut next = users.reserve("alice", 10, second).unwrap();
    let mut last = handle.reserve(10, second).unwrap();
    let millis = |millis| Duration::from_millis(millis);
    assert_eq!((first.wait(), next.wait(), last.wait()), (millis(10), millis(20), millis(30)));
    first.cancel();
    next.cancel();
    assert_eq!(hot.snapshot().debt(), 10);
    users.clock().advance(millis(30));
    assert!(last.is_good());
    last.settle(4);
    assert_eq!(hot.available(), 26);
}

#[test]
fn a_hot_key_is_told_as_one_bucket_and_saved_without_its_stripes() {
    for users in on_each_map(per_hour(1_024)) {
        let hot = users.hot_handle("alice");
        let taken = fill(&hot);
        let told: Vec<_> = users.iter().map(|(key, told)| (key, told.available())).collect();
        assert_eq!(told, [("alice".to_owned(), (960 - taken).into())]);

        let saved = users.save();
        let after = super_users();
        after.restore_after(&saved, Duration::ZERO).unwrap();
        let restored = after.available("alice").whole();
        assert!(restored < 960 - taken && restored + 64 + 1 >= 960 - taken, "{restored}");

        // And back to where the key is hot: it is lowered to what was saved, stripes and all.
        let before = hot.available();
        users.restore_after(&saved, Duration::ZERO).unwrap();
        assert!(hot.available().whole() <= restored + 1 && hot.available() < before);
        assert_eq!(hot.stripes(), 2);
    }
}

fn super_users() -> Users {
    users(per_hour(1_024))
}

/// A clock that goes back stops the refill, and nothing else.
#[test]
fn a_clock_set_back_grants_nothing() {
    let users = users(per_hour(1_024));
    users.clock().set_ns(10 * HOUR_NS);
    let hot = users.hot_handle("alice");
    let mut granted = fill(&hot) + hot.consume_up_to(500) + users.consume_up_to("alice", 200);
    users.clock().set_ns(HOUR_NS);
    granted += fill(&hot) + users.consume_up_to("alice", 10) + hot.consume_up_to(10_000);
    assert!(granted <= 1_024, "{granted}");
    drop(hot);
    users.sweep();
    granted += users.consume_up_to("alice", 10_000);
    assert!(granted <= 1_024, "{granted}");
    users.clock().set_ns(9 * HOUR_NS);
    assert_eq!(users.consume_up_to("alice", 10_000), 0);
    users.clock().set_ns(11 * HOUR_NS);
    assert!(users.consume_up_to("alice", 10_000) >= 1_023);
}

/// Handles that come and go by the thousand leave nothing behind and gain nothing.
#[test]
fn a_storm_of_handles_gains_nothing() {
    for users in on_each_map(per_hour(1_024)) {
        let mut granted = 0;
        for round in 0..2_000 {
            let hot = users.hot_handle("alice");
            granted += u64::from(hot.is_allowed());
            drop(hot);
            if round % 3 == 0 {
                users.sweep();
            }
        }
        granted += users.consume_up_to("alice", 10_000);
        assert!((960..=1_024).contains(&granted), "{granted}");
    }
}
