//! Models of hot keys: 256 tokens, of which two stripes hold eight each and the word beside them 240, with calls by key
//! at the same time.
//!
//! Time, and when a grant counts, are as in the models of the striped bucket.

use flowgate::planted::control::set_lane;
use flowgate::{Clock, HotHandle, KeyedLimiter, ManualClock, Quota};
use loom::thread;

use crate::keyed::{KEY, Map, SameHash};
use crate::witness::{Witness, told};
use crate::{SECOND, explore_one_way, explore_within};

/// Two stripes of 8, and 240.
const CAPACITY: u64 = 256;

type Users = KeyedLimiter<u64, Quota, Witness, SameHash>;
type Hot = HotHandle<Witness>;

fn quota() -> Quota {
    Quota::per_hour(CAPACITY)
}

/// A limiter whose key is not hot yet.
fn users(map: Map) -> Users {
    let settings = KeyedLimiter::builder(quota()).max_keys(1).stripes(2);
    map.settle(settings).build_with_clock(Witness(ManualClock::at(1_000_000_000))).unwrap()
}

/// Long enough to fill any bucket here. Returns the time then.
fn rest(users: &Users) -> u64 {
    users.clock().0.advance(4 * 3_600 * SECOND);
    users.clock().0.now_ns()
}

/// Fills both stripes: nine tokens each, of which one is taken.
fn fill(hot: &Hot) {
    for lane in [0, 1] {
        set_lane(lane);
        assert!(hot.is_allowed());
    }
    set_lane(0);
}

/// A hot key with `lanes` in its stripes and `central` beside them.
fn hot_key(map: Map, lanes: [u64; 2], central: u64) -> (Users, Hot) {
    let users = users(map);
    let hot = users.hot_handle(&KEY);
    fill(&hot);
    for (lane, tokens) in lanes.into_iter().enumerate() {
        set_lane(lane);
        assert!(tokens == 8 || hot.try_consume(8 - tokens).is_ok());
    }
    set_lane(0);
    rest(&users);
    // From the word alone: it holds the cost.
    if central < 240 {
        assert!(users.try_consume(&KEY, 240 - central).is_ok());
        assert_eq!(hot.available(), lanes.iter().sum::<u64>() + central);
    }
    (users, hot)
}

/// Runs `there` on a stripe, at the same time as what the caller does until it joins.
fn meanwhile<T: 'static>(
    users: &Users,
    lane: usize,
    there: impl FnOnce(&Users) -> T + 'static,
) -> thread::JoinHandle<T> {
    let users = users.clone();
    thread::spawn(move || {
        set_lane(lane);
        there(&users)
    })
}

/// Runs a model with every access tracked, on each of the maps.
fn explore_tracked(preemptions: usize, model: impl Fn(Map) + Copy + Sync + Send + 'static) {
    for map in [Map::Locked, Map::LockFree] {
        println!("{map:?}:");
        let model = std::sync::Arc::new(move || model(map));
        explore_one_way(true, Some(preemptions), model);
    }
}

/// Runs a model in both ways. That calls find a key in either map is what the models of keys are about.
fn explore_locked(bounds: [usize; 2], model: impl Fn(Map) + Copy + Sync + Send + 'static) {
    explore_within(bounds.map(Some), move || model(Map::Locked));
}

/// Takes all there is, wherever it is.
fn drain(users: &Users) -> u64 {
    users.consume_up_to(&KEY, 1_000)
}

/// A hot handle and a call by key want all that is there, in a stripe and beside it: no token is lost or granted twice.
pub fn hot_and_by_key_share_no_token() {
    explore_locked([2, 2], |map| {
        let (users, hot) = hot_key(map, [2, 0], 2);
        let there = meanwhile(&users, 1, |users| users.consume_up_to(&KEY, 3));
        let granted = hot.consume_up_to(3) + there.join().unwrap();
        assert!((2..=4).contains(&granted), "{granted}");
        assert_eq!(granted + drain(&users), 4);
    });
}

/// A handle of before looked at the whole bucket and stalls, while the key becomes hot, stripes are filled, and time
/// fills the rest: it then finds no more than lies beside the stripes.
pub fn a_stale_look_at_the_whole_gains_nothing() {
    explore_tracked(2, |map| {
        let users = users(map);
        let handle = users.handle(&KEY);
        rest(&users);
        let there = meanwhile(&users, 1, move |_| told(handle.try_consume(250).is_ok()));
        let hot = users.hot_handle(&KEY);
        // The other one may have taken the most of it.
        for lane in [0, 1] {
            set_lane(lane);
            hot.is_allowed();
        }
        let from_ns = rest(&users);
        let drained: u64 = (0..2)
            .map(|lane| {
                set_lane(lane);
                (0..8).filter(|_| hot.is_allowed()).count() as u64
            })
            .sum();
        let taken = if there.join().unwrap() >= Some(from_ns) { 250 } else { 0 };
        let rest = drain(&users);
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// Stripes and the word beside them are full: calls by key and hot ones together take no more than the capacity.
pub fn who_calls_by_key_leaves_what_stripes_may_hold() {
    explore_tracked(2, |map| {
        let (users, hot) = hot_key(map, [8, 8], 240);
        let there = meanwhile(&users, 1, |users| users.consume_up_to(&KEY, 1_000));
        let near = u64::from(hot.try_consume(8).is_ok()) * 8;
        let granted = near + there.join().unwrap();
        assert_eq!(granted + drain(&users), CAPACITY);
    });
}

/// A call by key stalls with tokens of a stripe in hand while stripes are filled again: their room was kept, and it
/// spends them as of a time after it took them.
pub fn a_stalled_gather_by_key_mints_nothing() {
    explore_tracked(2, |map| {
        let (users, hot) = hot_key(map, [0, 8], 0);
        let there = meanwhile(&users, 0, |users| told(users.try_consume(&KEY, 8).is_ok()));
        rest(&users);
        fill(&hot);
        let from_ns = rest(&users);
        let drained = drain(&users);
        let taken = if there.join().unwrap() >= Some(from_ns) { 8 } else { 0 };
        let rest = drain(&users);
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// The last hot handle takes what lies in stripes, at no time, and is dropped, while a sweep that began before takes the
/// bucket home: there, the whole capacity begins after what was taken.
pub fn a_divided_bucket_goes_home_no_fuller_than_it_was() {
    explore_tracked(3, |map| {
        let (users, hot) = hot_key(map, [8, 8], 240);
        let there = meanwhile(&users, 1, |users| users.sweep());
        rest(&users);
        let mut drained = 0;
        for lane in [0, 1] {
            set_lane(lane);
            drained += u64::from(hot.try_consume(8).is_ok()) * 8;
        }
        assert_eq!(drained, 16);
        drop(hot);
        there.join().unwrap();
        let rest = drain(&users);
        assert!(drained + rest <= CAPACITY, "{drained} + {rest}");
    });
}

/// The last hot handle is dropped, and a sweep takes the bucket home while another takes by key, part of it from
/// stripes: what was taken is missing, and nothing else is.
pub fn a_divided_bucket_goes_home_while_another_takes() {
    explore_locked([2, 2], |map| {
        let (users, hot) = hot_key(map, [8, 8], 4);
        let there = meanwhile(&users, 1, |users| users.consume_up_to(&KEY, 15));
        drop(hot);
        users.sweep();
        assert_eq!(there.join().unwrap(), 15);
        assert_eq!(drain(&users), 5);
    });
}

/// A key gets a hot handle again while a sweep takes its bucket home and another takes by key.
pub fn a_divided_bucket_that_comes_and_goes_is_one_bucket() {
    explore_locked([1, 2], |map| {
        let (users, hot) = hot_key(map, [2, 0], 1);
        drop(hot);
        let other = meanwhile(&users, 1, |users| users.consume_up_to(&KEY, 2));
        let again = meanwhile(&users, 0, |users| {
            users.sweep();
            users.hot_handle(&KEY).consume_up_to(2)
        });
        let granted = other.join().unwrap() + again.join().unwrap();
        assert_eq!(granted + drain(&users), 3);
    });
}

/// Two make a key hot at the same time: it is one bucket, divided once.
pub fn two_make_a_key_hot() {
    explore_locked([2, 2], |map| {
        let users = users(map);
        let there = meanwhile(&users, 1, |users| users.hot_handle(&KEY).consume_up_to(200));
        let here = users.hot_handle(&KEY).consume_up_to(200);
        let granted = here + there.join().unwrap();
        assert_eq!(granted + drain(&users), 240);
    });
}

/// The quota is lowered below what can be divided while another has tokens of stripes in hand: from then on the new
/// quota holds.
pub fn a_lowered_quota_closes_the_stripes_of_a_hot_key() {
    explore_tracked(2, |map| {
        let (users, hot) = hot_key(map, [8, 8], 0);
        let there = meanwhile(&users, 1, |users| told(users.try_consume(&KEY, 16).is_ok()));
        users.set_quota(Quota::per_hour(64)).unwrap();
        let from_ns = rest(&users);
        let mut drained = 0;
        for lane in [0, 1] {
            set_lane(lane);
            drained += hot.consume_up_to(8);
        }
        drained += drain(&users);
        let taken = if there.join().unwrap() >= Some(from_ns) { 16 } else { 0 };
        let rest = drain(&users);
        assert!(drained + taken + rest <= 64, "{drained} + {taken} + {rest}");
    });
}

/// A quota is raised to where the key can be divided, and lowered again, while another takes from stripes: no token is
/// made, and the stripes end as the last quota says.
pub fn changes_of_quota_take_turns_at_the_stripes() {
    explore_locked([1, 2], |map| {
        let (users, hot) = hot_key(map, [3, 4], 5);
        let there = meanwhile(&users, 1, |users| {
            users.set_quota(Quota::per_hour(100)).unwrap();
            users.set_quota(quota()).unwrap();
        });
        let granted = hot.consume_up_to(6);
        users.set_quota(Quota::per_hour(99)).unwrap();
        there.join().unwrap();
        let is_divided = users.quota() == quota();
        assert_eq!(hot.stripes(), if is_divided { 2 } else { 1 });
        // A change of rate rounds down by a unit.
        let left = hot.available();
        assert!(left <= 12 - granted, "{granted} and {left}");
    });
}

/// A tier to which stripes are a large part takes while they are full: it is granted its own capacity, and no more.
pub fn a_small_tier_leaves_stripes_alone() {
    explore_locked([2, 2], |map| {
        let (users, hot) = hot_key(map, [8, 8], 240);
        let small = users.tier(Quota::per_hour(64)).unwrap();
        let there = meanwhile(&users, 1, move |users| users.on(&small).consume_up_to(&KEY, 100));
        let near = hot.consume_up_to(8);
        let small = there.join().unwrap();
        assert!(near == 8 && small <= 64, "{near} and {small}");
    });
}
