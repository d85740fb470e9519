//! Several limits in one decision, on the manual clock: all or nothing, whatever says no, and permits that are settled.
//! The rows are those of the project's list of pitfalls; see `docs/design.md`.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::mem::forget;
use std::sync::Arc;
use std::time::Duration;

use flowgate::{
    Algorithm, FixedWindow, Gcra, KeyedLimiter, LeakyQueue, Limit, LimitSet, Limiter, ManualClock,
    OnDrop, Quota, SlidingWindow, Tokens, WhenFull,
};

type Users<A = Quota> = KeyedLimiter<String, A, Arc<ManualClock>>;
type Boxed = Box<dyn Limit<str> + Send + Sync>;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn users<A: Algorithm>(algorithm: A, clock: &Arc<ManualClock>) -> Users<A> {
    KeyedLimiter::with_clock(algorithm, Arc::clone(clock)).unwrap()
}

/// Requests and tokens per minute, by key.
fn budget(clock: &Arc<ManualClock>) -> (LimitSet<str, 2>, Users, Users) {
    let requests = users(Quota::per_minute(60), clock);
    let tokens = users(Quota::per_minute(6_000), clock);
    let set = LimitSet::of([
        ("requests", Box::new(requests.clone())),
        ("tokens", Box::new(tokens.clone())),
    ]);
    (set, requests, tokens)
}

fn names<const N: usize>(rejected: &flowgate::Rejected<N>) -> Vec<&'static str> {
    rejected.names().collect()
}

/// Row 44: what was used beyond the estimate is charged, and nobody is admitted until it has been repaid.
#[test]
fn concurrent_calls_cannot_go_over_a_budget_by_estimating_low() {
    let clock = Arc::new(ManualClock::new());
    let (set, _, tokens) = budget(&clock);
    let mut used = 0;
    let mut began_ms = Vec::new();
    for now_ms in 0..600_000_u64 {
        clock.set_ns(now_ms * 1_000_000);
        if !now_ms.is_multiple_of(50) {
            continue;
        }
        // Five at once, each of which says 100 and uses 1,500.
        let permits: Vec<_> = (0..5).map_while(|_| set.reserve("alice", [1, 100]).ok()).collect();
        for permit in permits {
            began_ms.push(now_ms);
            let unpaid = permit.settle([1, 1_500]);
            assert_eq!(unpaid.0, [Tokens::ZERO; 2]);
            used += 1_500;
        }
        // Never more than the budget so far, but for the five that were told too little of.
        assert!(used <= 6_000 + now_ms / 10 + 5 * 1_500, "{used} by {now_ms} ms");
        assert!(tokens.snapshot("alice").unwrap().debt() <= 7_500);
    }
    // Ten minutes bring 60,000.
    assert!(used >= 60_000, "{used}");
    // Who declares the most that a call may use can never go over.
    clock.advance(DAY);
    let admitted = (0..10).filter_map(|_| set.reserve("bob", [1, 1_500]).ok()).collect::<Vec<_>>();
    assert_eq!(admitted.len(), 4);
}

/// Row 45.
#[test]
fn unknown_usage_never_settles_as_zero() {
    let clock = Arc::new(ManualClock::new());
    let (set, ..) = budget(&clock);
    drop(set.reserve("alice", [1, 1_000]).unwrap());
    assert_eq!(set.available("alice"), [59, 5_000].map(Tokens::new));
    set.reserve("alice", [1, 1_000]).unwrap().keep();
    forget(set.reserve("alice", [1, 1_000]).unwrap());
    assert_eq!(set.available("alice"), [57, 3_000].map(Tokens::new));
    // Unless that is what is wished for.
    drop(set.reserve("alice", [1, 1_000]).unwrap().on_drop(OnDrop::GiveBack));
    assert_eq!(set.available("alice"), [57, 3_000].map(Tokens::new));
    // The same for one that had to wait, and has begun.
    let permit = set.reserve_within("alice", [1, 4_000], MINUTE).unwrap();
    clock.advance(10 * SECOND);
    drop(permit);
    assert_eq!(set.available("alice"), [Tokens::new(60), Tokens::ZERO]);
    assert!(set.try_consume("alice", [0, 1]).is_err());
}

#[test]
fn a_permit_is_settled_on_every_limit() {
    let clock = Arc::new(ManualClock::new());
    let (set, _, tokens) = budget(&clock);
    let left = |requests, left| [requests, left].map(Tokens::new);
    set.reserve("alice", [1, 1_000]).unwrap().settle([1, 300]);
    assert_eq!(set.available("alice"), left(59, 5_700));
    set.reserve("alice", [1, 1_000]).unwrap().settle([2, 1_200]);
    assert_eq!(set.available("alice"), left(57, 4_500));
    set.reserve("alice", [3, 4_500]).unwrap().cancel();
    assert_eq!(set.available("alice"), left(57, 4_500));
    // One that has not begun is called off by dropping it.
    set.try_consume("alice", [0, 4_500]).unwrap();
    drop(set.reserve_within("alice", [1, 1_000], MINUTE).unwrap());
    assert_eq!(set.available("alice"), left(57, 0));
    // The deepest debt is the floor: the rest is told.
    let deepest = tokens.resolution().max_debt();
    let unpaid = set.reserve("alice", [1, 0]).unwrap().settle([1_u64, u64::MAX]);
    assert_eq!(unpaid.0[0], 0);
    assert_eq!(unpaid.0[1], Tokens::new(u64::MAX).saturating_sub(deepest));
}

/// Wherever in the order the one is that says no.
#[test]
fn a_rejected_call_spends_nothing_on_any_limit() {
    let clock = Arc::new(ManualClock::new());
    for refusing in 0..6 {
        let small = |at: u64| if at == refusing { 2_u64 } else { 5 };
        let quota = |at| Quota::per_minute(60).burst(small(at));
        let limits: [Boxed; 6] = [
            Box::new(users(quota(0), &clock)),
            Box::new(users(Gcra::new(quota(1)), &clock)),
            Box::new(users(FixedWindow::new(small(2), DAY), &clock)),
            Box::new(users(SlidingWindow::new(small(3), DAY), &clock)),
            Box::new(users(LeakyQueue::new(quota(4)), &clock)),
            Box::new(Limiter::with_clock(quota(5), Arc::clone(&clock)).unwrap()),
        ];
        let mut at = 0;
        let set = LimitSet::<str, 6>::of(limits.map(|limit| {
            at += 1;
            (["a", "b", "c", "d", "e", "f"][at - 1], limit)
        }));
        // Of a queue one goes at once, the others later.
        let costs = |cost| [cost, cost, cost, cost, 0, cost];
        if refusing == 4 {
            set.try_consume("alice", [0, 0, 0, 0, 1, 0]).unwrap();
            let before = set.available("alice");
            for _ in 0..100 {
                let rejected = set.try_consume("alice", [1; 6]).unwrap_err();
                assert_eq!(names(&rejected), ["e"]);
            }
            assert_eq!(set.available("alice"), before);
            continue;
        }
        set.try_consume("alice", costs(1)).unwrap();
        let before = set.available("alice");
        for cost in [2, 3] {
            for _ in 0..100 {
                let rejected = set.try_consume("alice", costs(cost)).unwrap_err();
                assert_eq!(
                    names(&rejected),
                    [["a", "b", "c", "d", "e", "f"][usize::try_from(refusing).unwrap()]]
                );
                // Above the capacity it never will be.
                assert_eq!(rejected.is_never(), cost == 3);
                assert!(set.reserve("alice", costs(cost)).is_err());
            }
        }
        assert_eq!(set.available("alice"), before);
        // What is left can be had, all of it.
        set.try_consume("alice", costs(1)).unwrap();
    }
}

#[test]
fn a_rejection_names_all_that_said_no_and_the_longest_wait() {
    let clock = Arc::new(ManualClock::new());
    let (set, ..) = budget(&clock);
    set.try_consume("alice", [60, 6_000]).unwrap();
    let rejected = set.try_consume("alice", [2, 500]).unwrap_err();
    assert_eq!(names(&rejected), ["requests", "tokens"]);
    assert_eq!(rejected.wait_of("requests"), Some(Some(2 * SECOND)));
    assert_eq!(rejected.wait_of("tokens"), Some(Some(5 * SECOND)));
    assert_eq!(rejected.retry_after(), Some(5 * SECOND));
    // That wait is tight: then it is granted, and not a nanosecond before.
    clock.advance(5 * SECOND - Duration::from_nanos(1));
    let rejected = set.try_consume("alice", [2, 500]).unwrap_err();
    assert_eq!(names(&rejected), ["tokens"]);
    assert_eq!(rejected.wait_of("requests"), None);
    clock.advance(Duration::from_nanos(1));
    set.try_consume("alice", [2, 500]).unwrap();
    let rejected = set.try_consume("alice", [1, 6_001]).unwrap_err();
    assert_eq!((rejected.is_never(), rejected.retry_after()), (true, None));
    assert_eq!(rejected.wait_of("tokens"), Some(None));
}

#[test]
fn each_limit_has_its_own_key_and_its_own_cost() {
    let clock = Arc::new(ManualClock::new());
    let (set, requests, tokens) = budget(&clock);
    set.try_consume_each(["alice", "acme"], [1, 5_000]).unwrap();
    assert_eq!((requests.available("alice"), tokens.available("acme")), (59.into(), 1_000.into()));
    assert!(set.try_consume_each(["bob", "acme"], [1, 2_000]).is_err());
    // Who was rejected is not even there.
    assert_eq!((requests.len(), tokens.len()), (1, 1));
    assert_eq!((requests.available("bob"), tokens.available("alice")), (60.into(), 6_000.into()));
    let both = set.on_each(["bob", "acme"]).reserve([1, 2_000], MINUTE).unwrap();
    assert_eq!((requests.available("bob"), tokens.available("acme")), (59.into(), 0.into()));
    both.settle([1, 500]);
    assert_eq!(tokens.available("acme"), 500);
    assert!(set.on("bob").reserve([60, 0], Duration::ZERO).is_err());
}

/// The second asks what the first has taken already: so it is found out after that, and goes back.
#[test]
fn a_set_that_holds_a_limit_twice_takes_both_costs_or_none() {
    fn check<A: Algorithm>(algorithm: A) {
        let clock = Arc::new(ManualClock::new());
        let twice = users(algorithm, &clock);
        let set = LimitSet::<str, 3>::of([
            (
                "all",
                Box::new(Limiter::with_clock(Quota::per_hour(100), Arc::clone(&clock)).unwrap()),
            ),
            ("one", Box::new(twice.clone())),
            ("other", Box::new(twice.clone())),
        ]);
        for _ in 0..100 {
            let rejected = set.try_consume("alice", [1, 6, 6]).unwrap_err();
            assert_eq!(names(&rejected), ["other"]);
        }
        assert_eq!(set.available("alice").map(Tokens::whole), [100, 10, 10]);
        set.reserve("alice", [1, 4, 6]).unwrap().settle([1, 1, 2]);
        assert_eq!(set.available("alice").map(Tokens::whole), [99, 7, 7]);
    }
    check(Quota::per_hour(10));
    check(Gcra::new(Quota::per_hour(10)));
    check(FixedWindow::new(10, DAY));
    check(SlidingWindow::new(10, DAY));
}

/// Two handles to one bucket are one limit, too.
#[test]
fn handles_and_limiters_without_keys_are_limits() {
    let clock = Arc::new(ManualClock::new());
    let (_, requests, _) = budget(&clock);
    let set = LimitSet::<str, 3>::of([
        ("one", Box::new(requests.handle("acme"))),
        ("other", Box::new(requests.handle("acme"))),
        ("all", Box::new(Limiter::with_clock(Quota::per_minute(40), Arc::clone(&clock)).unwrap())),
    ]);
    assert!(set.try_consume("anybody", [31, 31, 1]).is_err());
    assert_eq!(requests.available("acme"), 60);
    let granted = set.try_consume("somebody", [30, 30, 1]).unwrap();
    assert_eq!(granted.remaining().map(Tokens::whole), [30, 0, 39]);
    assert_eq!(requests.available("acme"), 0);
    // A set of nothing refuses nothing.
    let nothing = LimitSet::<str, 0>::of([]);
    assert!(nothing.try_consume("x", [0_u64; 0]).is_ok());
    nothing.reserve("x", [0_u64; 0]).unwrap().settle([0_u64; 0]);
    drop(nothing.reserve("x", [0_u64; 0]).unwrap());
}

/// Of a window that is over nothing goes back; of one that still weighs, its weight.
#[test]
fn what_a_window_took_goes_back_to_that_window_alone() {
    let clock = Arc::new(ManualClock::new());
    let fixed = users(FixedWindow::new(10, SECOND), &clock);
    let sliding = users(SlidingWindow::new(10, SECOND), &clock);
    let set = LimitSet::<str, 2>::of([
        ("fixed", Box::new(fixed.clone())),
        ("sliding", Box::new(sliding.clone())),
    ]);
    let left = || set.available("alice").map(Tokens::whole);
    set.reserve("alice", [4, 4]).unwrap().cancel();
    assert_eq!(left(), [10, 10]);
    let eight = set.reserve("alice", [8, 8]).unwrap();
    clock.set_ns(1_500_000_000);
    assert_eq!(left(), [10, 6]);
    set.try_consume("alice", [5, 5]).unwrap();
    eight.settle([2, 2]);
    assert_eq!(left(), [5, 4]);
    let four = set.reserve("alice", [4, 4]).unwrap();
    // Two windows later nothing of it is owed.
    clock.set_ns(3_000_000_000);
    set.try_consume("alice", [3, 3]).unwrap();
    four.cancel();
    assert_eq!(left(), [7, 7]);
    // What was used beyond the estimate counts in the window in which that is known.
    let one = set.reserve("alice", [1, 1]).unwrap();
    clock.set_ns(4_999_999_999);
    one.settle([8, 8]);
    // Of the four in the window before, a nanosecond weighs, and is rounded up.
    assert_eq!(left(), [3, 2]);
}

/// A thread that took, was held up, and gives back as of then, when others have begun the next window.
#[test]
fn a_rollback_of_a_window_that_has_turned_over_gives_nothing_to_the_next() {
    let clock = Arc::new(ManualClock::at(900_000_000));
    let fixed = users(FixedWindow::new(10, SECOND), &clock);
    let sliding = users(SlidingWindow::new(10, SECOND), &clock);
    let set = LimitSet::<str, 2>::of([
        ("fixed", Box::new(fixed.clone())),
        ("sliding", Box::new(sliding.clone())),
    ]);
    let six = set.reserve("alice", [6, 6]).unwrap();
    // Somebody whose clock is ahead.
    assert!(fixed.try_consume_at("alice", 7, 1_500_000_000).is_ok());
    assert!(sliding.try_consume_at("alice", 7, 1_500_000_000).is_ok());
    six.cancel();
    assert_eq!(fixed.available_at("alice", 1_500_000_000), 3);
    assert_eq!(sliding.available_at("alice", 1_500_000_000), 3);
    assert_eq!(fixed.available_at("alice", 2_000_000_000), 10);
    assert_eq!(sliding.available_at("alice", 2_000_000_000), 3);
}

/// What has begun on the limit that was ready first is called off with the rest.
#[test]
fn a_reservation_begins_when_its_last_limit_does() {
    let clock = Arc::new(ManualClock::new());
    let (set, requests, tokens) = budget(&clock);
    set.try_consume("alice", [60, 6_000]).unwrap();
    let mut permit = set.reserve_within("alice", [3, 1_000], MINUTE).unwrap();
    assert_eq!(permit.wait(), 10 * SECOND);
    clock.advance(5 * SECOND);
    assert_eq!(permit.wait(), 5 * SECOND);
    drop(permit);
    assert_eq!((requests.available("alice"), tokens.available("alice")), (5.into(), 500.into()));
    // Each limit's wait is within what is allowed, or nothing is taken.
    let rejected = set.reserve_within("alice", [6, 1_500], 10 * SECOND - Duration::from_nanos(1));
    let rejected = rejected.unwrap_err();
    assert_eq!(
        (names(&rejected), rejected.retry_after()),
        (vec!["tokens"], Some(Duration::from_nanos(1)))
    );
    assert_eq!((requests.available("alice"), tokens.available("alice")), (5.into(), 500.into()));
}

/// A quota that is lowered holds back the whole reservation; what has begun stays begun.
#[test]
fn a_quota_of_one_limit_that_is_lowered_holds_for_the_set() {
    let clock = Arc::new(ManualClock::new());
    let (set, _, tokens) = budget(&clock);
    set.try_consume("alice", [0, 6_000]).unwrap();
    let mut begun = set.reserve_within("alice", [1, 1_000], MINUTE).unwrap();
    let mut waits = set.reserve_within("alice", [1, 1_000], MINUTE).unwrap();
    clock.advance(10 * SECOND);
    assert!(begun.is_good() && !waits.is_good());
    tokens.set_quota(Quota::per_minute(600).burst(6_000)).unwrap();
    // What has arrived since a key's last call counts at the new rate, too: 100 of the 2,000.
    assert!((190 * SECOND..191 * SECOND).contains(&waits.wait()), "{:?}", waits.wait());
    assert!(begun.is_good());
    drop(begun);
    clock.advance(191 * SECOND);
    assert!(waits.is_good());
}

#[test]
fn a_set_with_no_room_for_a_key_spends_nothing_elsewhere() {
    let clock = Arc::new(ManualClock::new());
    let full = KeyedLimiter::<String>::builder(Quota::per_minute(10))
        .max_keys(1)
        .when_full(WhenFull::DenyNew)
        .build_with_clock(Arc::clone(&clock))
        .unwrap();
    let requests = users(Quota::per_minute(60), &clock);
    full.try_consume("somebody", 1).unwrap();
    let set = LimitSet::<str, 2>::of([
        ("requests", Box::new(requests.clone())),
        ("full", Box::new(full.clone())),
    ]);
    for _ in 0..10 {
        let rejected = set.try_consume("alice", [1, 1]).unwrap_err();
        assert_eq!(names(&rejected), ["full"]);
        assert!(!rejected.is_never());
    }
    assert_eq!((requests.available("alice"), requests.len()), (60.into(), 0));
}

/// Others give back while it is being found out who said no: somebody is named all the same.
#[test]
fn a_rejection_always_names_somebody() {
    use std::hash::{BuildHasher, DefaultHasher};
    use std::sync::Mutex;

    /// At each look at a key, somebody takes what is in its bucket, or gives it back.
    #[derive(Clone, Default)]
    struct Meddler(Arc<Mutex<Option<Meddling>>>);
    type Meddling = (flowgate::Handle<Quota, Arc<ManualClock>>, u64);
    impl BuildHasher for Meddler {
        type Hasher = DefaultHasher;
        fn build_hasher(&self) -> DefaultHasher {
            if let Some((bucket, looks)) = &mut *self.0.lock().unwrap() {
                // In no order.
                *looks = looks.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                if *looks >> 63 == 0 {
                    bucket.refund(1);
                } else {
                    bucket.is_allowed();
                }
            }
            DefaultHasher::new()
        }
    }
    let (clock, meddler) = (Arc::new(ManualClock::new()), Meddler::default());
    let limiter = KeyedLimiter::<String>::builder(Quota::per_hour(1))
        .hasher(meddler.clone())
        .build_with_clock(Arc::clone(&clock))
        .unwrap();
    let first = Limiter::with_clock(Quota::per_hour(10_000), Arc::clone(&clock)).unwrap();
    let handle = limiter.handle("alice");
    *meddler.0.lock().unwrap() = Some((handle, 1));
    let set = LimitSet::<str, 2>::of([("first", Box::new(first)), ("second", Box::new(limiter))]);
    for _ in 0..2_000 {
        if let Err(rejected) = set.try_consume("alice", [1, 1]) {
            assert_eq!(names(&rejected), ["second"]);
        }
    }
}
