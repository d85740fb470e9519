//! Models of the keyed limiter, on both of its maps as loom sees them: `src/keyed/words/modelled.rs` of the
//! crate.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use flowgate::{KeyedBuilder, KeyedLimiter, ManualClock, Quota, Tokens};
use loom::thread;

use crate::{SECOND, explore_within};

const HOUR: Duration = Duration::from_secs(3_600);

/// What the clock shows at first.
const START_NS: u64 = 1_000_000_000;

/// The key that is fought over, and one that is in its way.
pub(super) const KEY: u64 = 1;
const OTHER: u64 = 2;

// Not the default hash, whose keys are drawn anew in every run: loom asks that all runs are alike.
pub(super) type SameHash = BuildHasherDefault<DefaultHasher>;
pub(super) type Users = KeyedLimiter<u64, Quota, ManualClock, SameHash>;

/// The two maps that a limiter may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map {
    Locked,
    LockFree,
}

impl Map {
    /// A limiter with room for one key.
    pub(super) fn users(self, quota: Quota) -> Users {
        self.build(KeyedLimiter::builder(quota).max_keys(1))
    }

    /// Settings of a limiter on this map, with a hash that is the same in all runs.
    pub(super) fn settle(self, settings: KeyedBuilder<u64>) -> KeyedBuilder<u64, Quota, SameHash> {
        let settings = settings.hasher(SameHash::default());
        match self {
            Self::Locked => settings,
            Self::LockFree => settings.lock_free(),
        }
    }

    fn build(self, settings: KeyedBuilder<u64>) -> Users {
        self.settle(settings).build_with_clock(ManualClock::at(START_NS)).unwrap()
    }
}

/// [`explore`](crate::explore) on each of the maps.
pub(super) fn explore_maps(preemptions: usize, model: impl Fn(Map) + Copy + Sync + Send + 'static) {
    explore_maps_within([None, Some(preemptions)], model);
}

/// [`explore_within`] on each of the maps.
fn explore_maps_within(
    bounds: [Option<usize>; 2],
    model: impl Fn(Map) + Copy + Sync + Send + 'static,
) {
    for map in [Map::Locked, Map::LockFree] {
        println!("{map:?}:");
        explore_within(bounds, move || model(map));
    }
}

/// Runs `there` at the same time as what the caller does until it joins.
fn meanwhile<T: 'static>(
    users: &Users,
    there: impl FnOnce(&Users) -> T + 'static,
) -> thread::JoinHandle<T> {
    let users = users.clone();
    thread::spawn(move || there(&users))
}

/// Runs `here` and `there` at the same time and returns what both returned.
pub(super) fn race<A, B: 'static>(
    users: &Users,
    here: impl FnOnce(&Users) -> A,
    there: impl FnOnce(&Users) -> B + 'static,
) -> (A, B) {
    let there = meanwhile(users, there);
    let here = here(users);
    (here, there.join().unwrap())
}

fn takes_one(users: &Users) -> u64 {
    users.is_allowed(&KEY).into()
}

/// Two threads bring the same new key, and there is one token for it: one of them gets it.
pub fn two_consume_a_new_key() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        let (here, there) = race(&users, takes_one, takes_one);
        assert_eq!(here + there, 1);
        assert_eq!(users.len(), 1);
    });
}

/// A key is dropped because it is full while another takes from it: what was taken is missing after that, and
/// the key counts as one.
pub fn a_swept_key_takes_nothing_with_it() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        assert_eq!(takes_one(&users), 1);
        let (_, granted) = race(
            &users,
            |users| {
                users.clock().advance(HOUR);
                users.sweep()
            },
            takes_one,
        );
        // One at first, and one for the hour.
        assert_eq!(users.available(&KEY), 1 - granted);
        assert!(users.len() <= 1);
        users.clock().advance(HOUR);
        users.sweep();
        assert!(users.is_empty());
    });
}

/// A thread with a time from before a sweep adds the key that the sweep has dropped: it was not full at that
/// time, so what it takes then is missing after the sweep.
pub fn a_dropped_key_comes_back_no_fuller_than_it_was() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_second(1));
        assert_eq!(takes_one(&users), 1);
        let (granted, ()) = race(&users, takes_one, |users| {
            users.clock().advance(SECOND);
            users.sweep();
        });
        // One at first, and one for the second, whenever it was taken.
        assert_eq!(users.available(&KEY), 1 - granted);
    });
}

/// A key shares a bucket while there is no room for it, and gets its own while there is, at the same time: it
/// takes a capacity in all.
pub fn a_key_with_no_room_takes_no_second_capacity() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        // In the way for 3.6 seconds.
        users.try_consume(&OTHER, Tokens::decimal(1, 3)).unwrap();
        let (here, there) = race(&users, takes_one, |users| {
            users.clock().advance(4 * SECOND);
            users.sweep();
            takes_one(users)
        });
        assert_eq!(here + there, 1);
    });
}

/// A handle is made while another takes by key: they take from one bucket.
pub fn a_handle_is_made_while_others_take() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        let (here, there) =
            race(&users, |users| u64::from(users.handle(&KEY).is_allowed()), takes_one);
        assert_eq!(here + there, 1);
        assert_eq!(users.len(), 1);
    });
}

/// While there is a handle, a sweep does not tear its bucket from its key.
pub fn a_bucket_with_a_handle_stays_the_keys() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        let handle = users.handle(&KEY);
        let (here, there) = race(
            &users,
            |users| {
                users.sweep();
                takes_one(users)
            },
            move |_| u64::from(handle.is_allowed()),
        );
        assert_eq!(here + there, 1);
    });
}

/// The last handle is dropped and a sweep brings the bucket home while another takes by key: what was taken is
/// missing after that.
pub fn a_bucket_comes_home_as_it_was_left() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(2));
        let handle = users.handle(&KEY);
        assert!(handle.is_allowed());
        let ((), granted) = race(
            &users,
            move |users| {
                drop(handle);
                users.sweep();
            },
            takes_one,
        );
        assert_eq!(granted, 1);
        assert_eq!(users.available(&KEY), 0);
        assert_eq!(users.len(), 1);
    });
}

/// A full bucket without a handle goes with the next sweep, whoever looked at it meanwhile.
pub fn a_bucket_that_comes_home_full_is_dropped() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(1));
        drop(users.handle(&KEY));
        race(&users, KeyedLimiter::sweep, takes_one);
        users.clock().advance(HOUR);
        users.sweep();
        assert!(users.is_empty());
    });
}

/// A bucket comes home and gets a handle again while two take by key, of whom one was about to take from it
/// while it was away.
pub fn a_bucket_that_comes_and_goes_is_one_bucket() {
    // With four threads there are too many orders to try all, and with tracked loads two switches show what
    // is to be shown.
    explore_maps_within([Some(1), Some(2)], |map| {
        let users = map.users(Quota::per_hour(2));
        assert!(users.handle(&KEY).is_allowed());
        let other = meanwhile(&users, takes_one);
        let handle = meanwhile(&users, |users| {
            users.sweep();
            users.handle(&KEY)
        });
        let third = meanwhile(&users, takes_one);
        assert_eq!(other.join().unwrap() + third.join().unwrap(), 1);
        let handle = handle.join().unwrap();
        assert_eq!(handle.available(), 0);
    });
}

/// The capacity is lowered for all keys while another takes: from then on no more than the new one is there,
/// and all in all no more than the old one was granted.
pub fn a_lowered_quota_holds_for_every_key() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(4));
        let (granted, after) = race(
            &users,
            |users| users.consume_up_to(&KEY, 1),
            |users| {
                users.set_quota(Quota::per_hour(2)).unwrap();
                users.consume_up_to(&KEY, 9)
            },
        );
        assert!(after <= 2, "{after} after the change");
        // One was taken before, or two were there after.
        assert!(granted + after + users.available(&KEY).whole() <= 3);
    });
}

/// Two tiers take from one key: no more than the larger one's capacity, and no less than the smaller one's.
pub fn tiers_take_from_one_bucket() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(2));
        let gold = users.tier(Quota::per_hour(4)).unwrap();
        let (here, there) = race(&users, |users| users.consume_up_to(&KEY, 9), {
            let gold = gold.clone();
            move |users| users.on(&gold).consume_up_to(&KEY, 9)
        });
        assert!((2..=4).contains(&(here + there)), "granted {here} + {there}");
        assert!(users.on(&gold).available(&KEY) < 1);
    });
}

/// A key that is full by the quotas of the moment when a sweep began is less than that by one that came since, and
/// has been taken from: it is not dropped.
pub fn a_sweep_asks_quotas_that_come_meanwhile() {
    explore_maps(3, |map| {
        let users = map.users(Quota::per_hour(4));
        assert_eq!(users.consume_up_to(&KEY, 1), 1);
        users.clock().advance(10 * HOUR);
        let (_, granted) = race(&users, KeyedLimiter::sweep, |users| {
            users.set_quota(Quota::per_hour(10)).unwrap();
            users.consume_up_to(&KEY, 5)
        });
        // Not more than the larger capacity at one moment.
        assert!(users.available(&KEY).whole() + granted <= 10);
    });
}

/// Two tiers take from one key by turns, each whenever its own rate completes a token: together no more than what
/// the higher rate brings.
///
/// One thread: what is to be shown is in the arithmetic of the word, and takes more turns than a race could.
pub fn tiers_by_turns_gain_nothing() {
    explore_maps(3, |map| {
        let every_second = Quota::per_second(1).burst(8);
        let period = Duration::from_nanos(1_000_000_100);
        let settings = KeyedLimiter::builder(every_second).max_keys(1);
        // Whole tokens: of small units one is not missed.
        let users = map.build(settings.largest_quota(every_second).places(0).max_debt(0));
        let slower = users.tier(Quota::new(1, period).burst(8)).unwrap();
        assert_eq!(users.consume_up_to_at(&KEY, 9, START_NS), 8);
        // All seconds, and all periods, are counted from zero.
        let seconds = 2..=6;
        let granted: u64 = seconds
            .map(|at| {
                users.consume_up_to_at(&KEY, 9, at * 1_000_000_000)
                    + users.on(&slower).consume_up_to_at(&KEY, 9, at * 1_000_000_100)
            })
            .sum();
        // Five seconds have passed, and a window may be granted two units more.
        assert!(granted <= 5 + 2, "granted {granted}");
    });
}
