//! The keyed limiter's promises, those among them that other limiters broke (rows of the project's list of pitfalls).
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowgate::{
    Clock, Denied, KeyedBuilder, KeyedLimiter, ManualClock, Quota, QuotaError, Tokens, WhenFull,
};

const SECOND_NS: u64 = 1_000_000_000;

fn builder<K>(quota: &str) -> KeyedBuilder<K>
where
    K: Eq + Hash,
{
    KeyedLimiter::<K>::builder(quota.parse().unwrap())
}

fn limiter(quota: &str) -> KeyedLimiter<u64, Quota, ManualClock> {
    builder(quota).build_with_clock(ManualClock::new()).unwrap()
}

/// The same promise by both maps.
fn by_both_maps(check: impl Fn(KeyedBuilder<u64>)) {
    check(builder("10/s"));
    #[cfg(feature = "papaya")]
    check(builder("10/s").lock_free());
}

/// Row 27: a flood of new keys.
#[test]
fn a_flood_of_keys_stays_bounded_and_resets_no_victim() {
    by_both_maps(|builder| {
        let limiter = builder.max_keys(100).build_with_clock(ManualClock::new()).unwrap();
        let victim = u64::MAX;
        limiter.charge_at(&victim, 15, 0);
        let mut now_ns = 0;
        for key in 0..20_000 {
            now_ns += 50_000;
            limiter.is_allowed_at(&key, now_ns);
            assert!(limiter.len() <= 100);
            let owed = 5 * SECOND_NS / 10 > now_ns;
            if owed {
                assert!(!limiter.is_allowed_at(&victim, now_ns), "at {now_ns} ns");
            }
        }
        // 15 were taken of 10; 10 arrive in the second that has passed.
        assert_eq!(limiter.available_at(&victim, now_ns), 5);
        assert_eq!(limiter.iter_at(now_ns).count(), limiter.len());
    });
}

/// Row 28: a cap of zero is refused, and the smallest cap is enforced.
#[test]
fn a_cap_of_zero_never_means_not_enforced() {
    for when_full in [WhenFull::Share, WhenFull::DenyNew, WhenFull::GrantNew] {
        let refused = builder::<u64>("1/s").max_keys(0).when_full(when_full).build();
        assert_eq!(refused.unwrap_err(), QuotaError::ZeroKeys);
    }
    let limiter = builder::<u64>("2/s").max_keys(1).build_with_clock(ManualClock::new()).unwrap();
    let granted = (0..1_000).filter(|key| limiter.is_allowed(key)).count();
    // One key of its own, which takes one, and one bucket that all others share.
    assert_eq!(granted, 3);
    assert_eq!(limiter.len(), 1);
}

/// Row 29: a clock is the caller's code, and may call the limiter.
#[test]
fn no_lock_is_held_while_the_callers_code_runs() {
    struct Meddling {
        limiter: OnceLock<KeyedLimiter<u64, Quota, Arc<Meddling>>>,
        calls: AtomicU64,
    }
    impl Clock for Meddling {
        fn now_ns(&self) -> u64 {
            if let Some(limiter) = self.limiter.get() {
                let key = self.calls.fetch_add(1, Relaxed) % 8;
                limiter.is_allowed_at(&key, 0);
                limiter.refund_at(&key, 1, 0);
                limiter.sweep_at(0);
                assert!(limiter.iter_at(0).count() <= 8);
            }
            0
        }
    }
    by_both_maps(|builder| {
        let clock = Arc::new(Meddling { limiter: OnceLock::new(), calls: AtomicU64::new(0) });
        let limiter = builder.max_keys(4).build_with_clock(Arc::clone(&clock)).unwrap();
        clock.limiter.set(limiter.clone()).map_err(|_| ()).unwrap();
        let gold = limiter.tier(Quota::per_second(20)).unwrap();
        for key in 0..8 {
            limiter.is_allowed(&key);
            limiter.on_each(|_: &u64| &gold).is_allowed(&key);
            limiter.charge(&key, 1);
            limiter.consume_up_to(&key, 2);
            limiter.handle(&key).is_allowed();
            let _ = (limiter.available(&key), limiter.retry_after(&key, 1), limiter.snapshot(&key));
            limiter.reset(&key);
            limiter.sweep();
            limiter.restore_after(&limiter.save(), Duration::ZERO).unwrap();
            for _ in limiter.iter() {
                limiter.is_allowed(&key);
            }
        }
    });
}

thread_local! {
    static COPIES: Cell<u64> = const { Cell::new(0) };
}

#[derive(PartialEq, Eq, Hash)]
struct Name(String);

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Clone for Name {
    fn clone(&self) -> Self {
        COPIES.set(COPIES.get() + 1);
        Self(self.0.clone())
    }
}

#[test]
fn a_hit_copies_no_key_and_a_miss_copies_it_once() {
    let limiter =
        KeyedLimiter::<Name, _, _>::with_clock("9/s".parse::<Quota>().unwrap(), ManualClock::new())
            .unwrap();
    let alice = Name("alice".into());
    assert!(limiter.is_allowed(&alice));
    assert_eq!(COPIES.get(), 1);
    for _ in 0..20 {
        limiter.is_allowed(&alice);
        limiter.available("alice");
        limiter.refund("alice", 1);
        limiter.try_consume(&alice, 100).unwrap_err();
    }
    assert_eq!(COPIES.get(), 1);
}

#[test]
fn keys_are_found_by_any_borrowed_form() {
    let limiter = KeyedLimiter::<String, _, _>::with_clock(
        "2/s".parse::<Quota>().unwrap(),
        ManualClock::new(),
    );
    let limiter = limiter.unwrap();
    assert!(limiter.is_allowed("alice"));
    assert!(limiter.is_allowed(&String::from("alice")));
    assert!(!limiter.is_allowed("alice"));
    assert_eq!(limiter.len(), 1);
}

#[test]
fn denials_and_looks_add_no_key() {
    let limiter = limiter("5/s");
    assert!(matches!(limiter.try_consume(&1, 6), Err(Denied::Never(_))));
    assert!(limiter.try_consume(&2, 0).is_ok());
    assert_eq!(limiter.available(&3), 5);
    assert_eq!(limiter.retry_after(&3, 5), Some(Duration::ZERO));
    assert!(limiter.snapshot(&3).is_none());
    limiter.refund(&4, 1);
    assert_eq!(limiter.consume_up_to(&5, 0), 0);
    assert!(limiter.is_empty());
}

#[test]
fn a_full_key_is_dropped_and_one_in_debt_is_not() {
    by_both_maps(|builder| {
        let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
        for key in 0..10 {
            limiter.try_consume(&key, key + 1).unwrap();
        }
        // One arrives each tenth of a second.
        for tenth in 0..=10 {
            limiter.clock().set_ns(tenth * SECOND_NS / 10);
            limiter.sweep();
            assert_eq!(limiter.len() as u64, 10 - tenth);
            let left: Vec<_> = limiter.iter().map(|(key, _)| key).collect();
            assert!(left.iter().all(|key| *key >= tenth));
            assert_eq!(left.len() as u64, 10 - tenth);
        }
    });
}

#[test]
fn keys_that_are_full_disappear_as_new_ones_come() {
    by_both_maps(|builder| {
        let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
        for key in 0..100_000 {
            limiter.try_consume(&key, 1).unwrap();
        }
        assert_eq!(limiter.len(), 100_000);
        limiter.clock().advance(Duration::from_secs(1));
        for key in 100_000..200_000 {
            limiter.try_consume(&key, 1).unwrap();
        }
        // The old ones are gone; of the new ones none is full.
        assert_eq!(limiter.len(), 100_000);
    });
}

#[test]
fn a_dropped_key_does_not_come_back_at_an_earlier_time() {
    let limiter = limiter("1/s burst 2");
    assert_eq!(limiter.consume_up_to_at(&7, 2, 10 * SECOND_NS), 2);
    limiter.sweep_at(12 * SECOND_NS);
    assert!(limiter.is_empty());
    // A thread that read its clock just after the first call takes two more; they count at the sweep.
    assert_eq!(limiter.consume_up_to_at(&7, 2, 10 * SECOND_NS + 1), 2);
    assert_eq!(limiter.consume_up_to_at(&7, 2, 12 * SECOND_NS), 0);
    assert_eq!(limiter.consume_up_to_at(&7, 2, 13 * SECOND_NS + SECOND_NS / 2), 1);
}

#[test]
fn a_policy_counts_only_when_every_key_is_in_use() {
    let limiter = builder::<u64>("10/s")
        .max_keys(2)
        .when_full(WhenFull::DenyNew)
        .build_with_clock(ManualClock::new())
        .unwrap();
    assert!(limiter.is_allowed(&1) && limiter.is_allowed(&2));
    let denied = limiter.try_consume(&3, 1).unwrap_err();
    assert!(matches!(denied, Denied::NoRoom(_)));
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(denied.to_string(), "denied: no room for another key; retry after 1s");
    assert_eq!(limiter.available(&3), 0);
    // Those that are there are served.
    assert!(limiter.is_allowed(&1));
    limiter.clock().advance(Duration::from_millis(100));
    assert!(limiter.is_allowed(&3));
    assert_eq!(limiter.len(), 2);
}

#[test]
fn who_shared_a_bucket_begins_with_what_is_left_of_it() {
    let limiter = builder::<u64>("10/h").max_keys(1).build_with_clock(ManualClock::new()).unwrap();
    let minute_ns = 60 * SECOND_NS;
    limiter.try_consume_at(&1, 1, 0).unwrap();
    // No room: 2 takes of the shared bucket. Then 1 is full again, and 2 gets its place.
    limiter.try_consume_at(&2, 8, 0).unwrap();
    assert!(limiter.try_consume_at(&2, 3, 0).is_err());
    assert_eq!(limiter.available_at(&2, 6 * minute_ns), 3);
    limiter.try_consume_at(&2, 3, 6 * minute_ns).unwrap();
    assert!(limiter.snapshot_at(&2, 6 * minute_ns).is_some(), "it has a bucket of its own");
    assert!(!limiter.is_allowed_at(&2, 6 * minute_ns));
}

#[test]
fn a_key_keeps_its_fill_from_tier_to_tier() {
    let limiter = limiter("10/s");
    let gold = limiter.tier(Quota::per_second(100)).unwrap();
    limiter.on(&gold).try_consume(&7, 95).unwrap();
    assert_eq!((limiter.available(&7), limiter.on(&gold).available(&7)), (5.into(), 5.into()));
    limiter.try_consume(&7, 5).unwrap();
    assert!(!limiter.on(&gold).is_allowed(&7));
    // Full by the limiter's own quota, not by the tier's: it is kept.
    limiter.clock().advance(Duration::from_millis(999));
    limiter.sweep();
    assert_eq!(limiter.len(), 1);
    limiter.clock().advance(Duration::from_millis(1));
    limiter.sweep();
    assert_eq!(limiter.len(), 0);
}

#[test]
fn a_tier_that_is_dropped_and_made_again_forgets_nothing() {
    let limiter = limiter("10/s");
    let slow = limiter.tier("1/s burst 100".parse().unwrap()).unwrap();
    limiter.on(&slow).try_consume(&7, 100).unwrap();
    drop(slow);
    for _ in 0..50 {
        // By the limiter's own quota it is full after a second.
        limiter.clock().advance(Duration::from_secs(1));
        limiter.sweep();
    }
    assert_eq!(limiter.len(), 1);
    let slow = limiter.tier("1/s burst 100".parse().unwrap()).unwrap();
    assert!(limiter.on(&slow).available(&7) <= 50);
    drop(slow);
    // Out of use for as long as it takes to fill from its deepest debt: forgotten.
    limiter.clock().advance(Duration::from_secs(1_000));
    limiter.sweep();
    limiter.sweep();
    assert_eq!(limiter.len(), 0);
}

#[test]
fn a_change_of_quota_is_at_once_for_all_keys() {
    let limiter = limiter("10/s");
    for key in 0..1_000 {
        limiter.try_consume(&key, 4).unwrap();
    }
    limiter.set_quota(Quota::per_second(5)).unwrap();
    assert_eq!(limiter.quota(), Quota::per_second(5));
    for key in 0..1_000 {
        assert_eq!(limiter.available(&key), 5);
        assert_eq!(limiter.consume_up_to(&key, 100), 5);
    }
    limiter.set_quota(Quota::per_second(100)).unwrap();
    limiter.clock().advance(Duration::from_millis(10));
    for key in 0..1_000 {
        assert_eq!(limiter.consume_up_to(&key, 100), 1);
    }
}

#[test]
fn another_limiters_tier_counts_for_nothing() {
    let (limiter, other) = (limiter("10/s"), limiter("10/s burst 100"));
    let gold = other.tier(Quota::per_second(500)).unwrap();
    assert_eq!(limiter.on(&gold).available(&1), 10);
}

#[test]
fn an_error_names_the_tier_that_does_not_fit() {
    let limiter = limiter("10/s");
    let error = limiter.tier(Quota::per_second(1_000)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "burst 1000 is above 640, the largest this limiter was built for: name the largest quota it will ever have with `largest_quota` when building it"
    );
    let error = limiter.tier(Quota::per_second(600).burst("0.01".parse::<Tokens>().unwrap()));
    assert!(matches!(error, Err(QuotaError::TooFastForTiers { .. })), "{error:?}");
}

#[test]
fn a_handle_is_the_same_bucket() {
    by_both_maps(|builder| {
        let limiter = builder.max_keys(1).build_with_clock(ManualClock::new()).unwrap();
        limiter.try_consume(&7, 3).unwrap();
        let handle = limiter.handle(&7);
        let again = limiter.handle(&7);
        assert_eq!(handle.try_consume(2).unwrap().remaining(), 5);
        assert_eq!(limiter.try_consume(&7, 2).unwrap().remaining(), 3);
        assert_eq!((again.available(), limiter.available(&7)), (3.into(), 3.into()));
        limiter.charge(&7, 8);
        assert_eq!(handle.snapshot().debt(), 5);
        assert_eq!(limiter.iter().next().unwrap().1.debt(), 5);
        // Full, but in use.
        limiter.clock().advance(Duration::from_secs(10));
        limiter.sweep();
        assert_eq!(limiter.len(), 1);
        assert!(handle.try_consume(10).is_ok());
        drop((handle, again));
        limiter.sweep();
        assert_eq!(limiter.available(&7), 0);
        limiter.clock().advance(Duration::from_secs(1));
        limiter.sweep();
        limiter.sweep();
        assert_eq!(limiter.len(), 0);
        // Beyond the cap, and still strict.
        assert!(limiter.is_allowed(&1));
        let beyond = limiter.handle(&2);
        assert_eq!((beyond.consume_up_to(20), limiter.len()), (10, 2));
        assert!(!limiter.is_allowed(&2));
    });
}

#[test]
fn a_restart_neither_forgives_debt_nor_doubles_it() {
    let before = builder::<u64>("10/s").build_with_clock(ManualClock::at(1 << 50)).unwrap();
    before.charge(&1, 25);
    before.try_consume(&2, 4).unwrap();
    before.try_consume(&3, 1).unwrap();
    let kept = before.handle(&4);
    kept.try_consume(10).unwrap();
    before.clock().advance(Duration::from_millis(100));
    let saved = before.save();
    assert_eq!(saved.len(), 3, "the third is full again");
    let slack = "0.02".parse::<Tokens>().unwrap();
    for (downtime, levels) in [(0, [0, 7, 1]), (200, [0, 9, 3]), (2_000, [6, 10, 10])] {
        let after = limiter("10/s");
        after.restore_after(&saved, Duration::from_millis(downtime)).unwrap();
        for (key, level) in [1_u64, 2, 4].into_iter().zip(levels) {
            let available = after.available_at(&key, 0);
            assert!(available <= level, "key {key} after {downtime} ms: {available}");
            assert!(
                available.saturating_add(slack) >= level,
                "key {key} after {downtime} ms: {available}"
            );
        }
        // Twice is once, and what was taken meanwhile is not forgotten.
        after.consume_up_to(&2, 100);
        after.restore_after(&saved, Duration::from_millis(downtime)).unwrap();
        assert!(!after.is_allowed(&2));
    }
    // 25 were taken of 10, one has arrived: 14 are owed.
    let small = builder("10/s").max_debt(5).build_with_clock(ManualClock::new()).unwrap();
    let error = small.restore_after(&saved, Duration::ZERO).unwrap_err();
    assert!(matches!(error, QuotaError::AboveBuilt { field: "debt", .. }), "{error}");
    assert!(small.is_empty(), "nothing half-done");
}

#[cfg(feature = "serde")]
#[test]
fn saved_keys_survive_a_trip_through_text() {
    let before = limiter("10/s");
    before.charge(&1, 12);
    let text = serde_json::to_string(&before.save()).unwrap();
    assert!(text.contains(r#"{"key":1,"available":"0","debt":"2","age_ns":0}"#), "{text}");
    let after = limiter("10/s");
    after.restore_after(&serde_json::from_str(&text).unwrap(), Duration::ZERO).unwrap();
    let debt = after.snapshot(&1).unwrap().debt();
    assert!(debt >= 2 && debt <= "2.02".parse::<Tokens>().unwrap(), "{debt}");
}

/// All keys in one place: slow, but not wrong.
#[derive(Clone)]
struct Clumsy;

impl BuildHasher for Clumsy {
    type Hasher = Clumsy;
    fn build_hasher(&self) -> Clumsy {
        Clumsy
    }
}

impl Hasher for Clumsy {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, _bytes: &[u8]) {}
}

#[test]
fn a_bad_hash_is_slow_and_not_wrong() {
    let builder = builder::<u64>("10/s").hasher(Clumsy);
    let limiter = builder.max_keys(100).build_with_clock(ManualClock::new()).unwrap();
    for key in 0..100 {
        assert_eq!(limiter.consume_up_to(&key, 20), 10);
    }
    assert_eq!((100..200).filter(|key| limiter.is_allowed(key)).count(), 10);
    limiter.clock().advance(Duration::from_secs(1));
    assert_eq!(limiter.sweep(), 100);
}

#[test]
fn a_restart_keeps_what_only_a_tier_can_tell() {
    // By the limiter's own quota the key would be full at once.
    let with_slow = || {
        let limiter = builder::<u64>("100/s").build_with_clock(ManualClock::new()).unwrap();
        let slow = limiter.tier("100/d burst 100".parse().unwrap()).unwrap();
        (limiter, slow)
    };
    let (before, slow) = with_slow();
    before.on(&slow).charge(&7, 150);
    before.clock().advance(Duration::from_secs(3));
    let saved = before.save();
    let (after, slow) = with_slow();
    after.restore_after(&saved, Duration::ZERO).unwrap();
    assert_eq!(after.on(&slow).available(&7), 0);
    let debt = after.on(&slow).snapshot(&7).unwrap().debt();
    assert!(debt >= "49.9".parse::<Tokens>().unwrap() && debt <= 51, "{debt}");
    // An older state never raises a newer one.
    let (live, slow) = with_slow();
    live.on(&slow).try_consume(&7, 10).unwrap();
    let older = live.save();
    live.on(&slow).try_consume(&7, 80).unwrap();
    live.clock().advance(Duration::from_secs(3));
    live.restore_after(&older, Duration::ZERO).unwrap();
    assert!(live.on(&slow).available(&7) <= 11, "{}", live.on(&slow).available(&7));
}

#[test]
fn a_quota_that_comes_back_finds_its_debts_whenever_others_sweep() {
    by_both_maps(|builder| {
        let slow: Quota = "1/s burst 600".parse().unwrap();
        let builder = builder.largest_quota("10/s burst 600".parse().unwrap());
        let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
        let now_ns = 100_000 * SECOND_NS;
        limiter.set_quota(slow).unwrap();
        assert_eq!(limiter.consume_up_to_at(&7, 450, now_ns), 450);
        limiter.set_quota("10/s".parse().unwrap()).unwrap();
        // A thread that was stalled for a day, one with the time, and one a day ahead.
        for sweep_ns in [0, now_ns, now_ns + 86_400 * SECOND_NS, now_ns] {
            limiter.sweep_at(sweep_ns);
        }
        limiter.set_quota(slow).unwrap();
        let more = limiter.consume_up_to_at(&7, 1_000, now_ns);
        // Dropped by the one that is a day ahead, it is full only as of then: what it gives counts there.
        let counted_later = limiter.snapshot_at(&7, now_ns + 1_000 * SECOND_NS).unwrap();
        assert!(more <= 150 || counted_later.available() == 0, "{more} more");
    });
}

#[test]
fn handles_that_come_and_go_leave_no_keys_behind() {
    by_both_maps(|builder| {
        let limiter = builder.max_keys(100).build_with_clock(ManualClock::new()).unwrap();
        for key in 0..10_000 {
            limiter.clock().advance(Duration::from_millis(1));
            limiter.handle(&key).is_allowed();
            assert!(limiter.len() <= 300, "{} keys", limiter.len());
        }
    });
}

#[test]
fn room_for_any_number_of_keys_can_be_asked_for() {
    let limiter = builder::<u64>("1/s").max_keys(u64::MAX).build_with_clock(ManualClock::new());
    assert!(limiter.unwrap().is_allowed(&1));
}

/// Draws new keys each time it is cloned, which a hasher should not.
#[derive(Default)]
struct Reseeded(std::hash::RandomState);

impl Clone for Reseeded {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl BuildHasher for Reseeded {
    type Hasher = <std::hash::RandomState as BuildHasher>::Hasher;
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[test]
fn a_hasher_whose_copies_differ_finds_its_keys() {
    let builder = builder::<u64>("10/h").hasher(Reseeded::default());
    let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
    for _ in 0..20 {
        for key in 0..1_000 {
            limiter.try_consume_at(&key, 1, 0).ok();
        }
    }
    assert_eq!(limiter.len(), 1_000);
    assert!((0..1_000).all(|key| !limiter.is_allowed_at(&key, 0)));
}

#[derive(PartialEq, Eq, Hash)]
struct Brittle(u64);

thread_local! {
    static BREAKS: Cell<bool> = const { Cell::new(false) };
}

impl Clone for Brittle {
    fn clone(&self) -> Self {
        assert!(!BREAKS.get(), "a copy that fails");
        Self(self.0)
    }
}

#[test]
fn a_copy_of_a_key_that_panics_loses_no_bucket() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let limiter = KeyedLimiter::<Brittle>::builder(Quota::per_hour(10))
        .max_keys(50)
        .when_full(WhenFull::DenyNew)
        .build_with_clock(ManualClock::new())
        .unwrap();
    for key in 0..40 {
        limiter.try_consume_at(&Brittle(key), 10, 0).unwrap();
    }
    BREAKS.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| limiter.iter_at(0).count())).is_err());
    for key in 40..100 {
        let add = || limiter.is_allowed_at(&Brittle(key), 0);
        assert!(catch_unwind(AssertUnwindSafe(add)).is_err());
    }
    BREAKS.set(false);
    assert_eq!((limiter.len(), limiter.iter_at(0).count()), (40, 40));
    assert!((0..40).all(|key| !limiter.is_allowed_at(&Brittle(key), 0)));
    assert!((40..50).all(|key| limiter.is_allowed_at(&Brittle(key), 0)));
}

#[test]
fn a_sweep_that_drops_nothing_leaves_no_trace() {
    let limiter = limiter("10/s");
    limiter.sweep_at(3_600 * SECOND_NS);
    assert_eq!(limiter.consume_up_to_at(&7, 10, 0), 10);
    assert_eq!(limiter.consume_up_to_at(&7, 10, SECOND_NS), 10);
}
