//! Reservations, on the manual clock: who is told what, and that what is given back is exactly what was taken. The rows
//! are those of the project's list of pitfalls; see `docs/design.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::mem::forget;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use flowgate::{
    Denied, Fill, Gcra, LeakyBucket, LeakyQueue, Limiter, ManualClock, OnDrop, Quota, Reservable,
    TokenBucket, Tokens, Waiting,
};

const SECOND: Duration = Duration::from_secs(1);
const SECOND_NS: u64 = 1_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);
const YEAR_NS: u64 = 365 * 86_400 * SECOND_NS;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn bucket(quota: &str) -> TokenBucket<ManualClock> {
    limiter(quota.parse().unwrap())
}

fn limiter<A: Reservable>(algorithm: A) -> Limiter<A, ManualClock> {
    Limiter::with_clock(algorithm, ManualClock::new()).unwrap()
}

/// The same for each algorithm that can reserve, at 10 a second and 10 at once.
macro_rules! for_each_algorithm {
    ($check:ident) => {
        let quota = Quota::per_second(10);
        $check(quota);
        $check(Gcra::new(quota));
        $check(LeakyBucket::new(quota));
        $check(LeakyQueue::new(quota));
    };
}

/// How long one token more would have to wait, found out without leaving a trace.
fn wait_of_one<A: Reservable>(limiter: &Limiter<A, ManualClock>) -> Duration {
    let mut one = limiter.reserve(1, DAY).unwrap();
    let wait = one.wait();
    one.cancel();
    wait
}

/// Takes until one more would have to wait: all that there is, or from a queue the first.
fn use_up<A: Reservable>(limiter: &Limiter<A, ManualClock>) {
    while wait_of_one(limiter).is_zero() {
        assert!(limiter.is_allowed());
    }
}

/// Row 13.
#[test]
fn a_cost_above_the_capacity_is_refused_and_nothing_is_lent_ahead() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        let full = limiter.available();
        for max_wait in [Duration::ZERO, DAY, Duration::MAX] {
            assert!(limiter.reserve(5_000, max_wait).unwrap_err().is_never());
            assert!(limiter.reserve(Tokens::MAX, max_wait).unwrap_err().is_never());
        }
        assert_eq!(limiter.available(), full);
        limiter.clock().advance(1_000 * SECOND);
        assert_eq!(limiter.consume_up_to(5_000), full.whole());
    }
    for_each_algorithm!(check);
}

/// Row 14.
#[test]
fn cancelling_with_later_reservations_restores_exactly_its_own_tokens() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        use_up(&limiter);
        let empty = wait_of_one(&limiter);
        let mut waits = Vec::new();
        let mut all = Vec::new();
        for cost in [3, 4, 2] {
            let mut reserved = limiter.reserve(cost, DAY).unwrap();
            waits.push(reserved.wait());
            all.push(reserved);
        }
        assert_eq!(wait_of_one(&limiter), empty + millis(900));
        all.remove(1).cancel();
        assert_eq!(wait_of_one(&limiter), empty + millis(500));
        // Those before and after it keep the moment that they were told.
        assert_eq!((all[0].wait(), all[1].wait()), (waits[0], waits[2]));
        all.remove(1).cancel();
        assert_eq!(wait_of_one(&limiter), empty + millis(300));
        all.remove(0).cancel();
        assert_eq!(wait_of_one(&limiter), empty);
    }
    for_each_algorithm!(check);
}

/// Row 15.
#[test]
fn a_refused_reservation_delays_nobody() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        use_up(&limiter);
        let before = wait_of_one(&limiter);
        for _ in 0..1_000 {
            let denied = limiter.reserve(9, millis(100)).unwrap_err();
            assert!(matches!(denied, Denied::NotYet(_)));
        }
        assert_eq!(wait_of_one(&limiter), before);
    }
    for_each_algorithm!(check);
}

/// Row 16.
#[test]
fn cancelling_an_immediate_grant_gives_it_back() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        let full = limiter.available();
        let mut one = limiter.reserve(1, Duration::ZERO).unwrap();
        assert!(one.is_good());
        assert_eq!(limiter.available(), full.whole() - 1);
        one.cancel();
        assert_eq!(limiter.available(), full);
    }
    for_each_algorithm!(check);
}

/// Row 17: in every order, at rates and costs that no unit divides, with time going on.
#[test]
fn cancelling_in_any_order_loses_nothing_to_rounding() {
    fn check<A: Reservable>(algorithm: A) {
        let costs = ["0.1", "1.7", "0.333", "2"];
        for order in permutations() {
            let limiter = limiter(algorithm);
            limiter.clock().set_ns(123_456_789);
            use_up(&limiter);
            let untouched = wait_of_one(&limiter);
            let mut all: Vec<_> = costs
                .iter()
                .map(|cost| Some(limiter.reserve(cost.parse::<Tokens>().unwrap(), DAY).unwrap()))
                .collect();
            for at in order {
                limiter.clock().advance(Duration::from_nanos(7));
                all[at].take().unwrap().cancel();
            }
            let passed = Duration::from_nanos(28);
            assert_eq!(wait_of_one(&limiter), untouched - passed, "{algorithm:?} in {order:?}");
        }
    }
    let quota: Quota = "3/7s burst 5".parse().unwrap();
    check(quota);
    check(Gcra::new(quota));
    check(LeakyBucket::new(quota));
    check(LeakyQueue::new(quota));
}

/// Row 17: what is rounded up when it is taken is given back as it was, however often.
#[test]
fn reserving_and_giving_back_a_thousand_times_leaves_no_trace() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        use_up(&limiter);
        let before = wait_of_one(&limiter);
        for thousandths in 1..1_000 {
            let cost = Tokens::decimal(thousandths, 3);
            limiter.reserve(cost, DAY).unwrap().cancel();
            limiter.reserve(cost, DAY).unwrap().settle(0);
        }
        assert_eq!(wait_of_one(&limiter), before, "{algorithm:?}");
        // Settled a step at a time, or at once.
        let rest = Tokens::decimal(1, 3);
        for thousandths in 1..100 {
            limiter.reserve(Tokens::decimal(thousandths, 3), DAY).unwrap().settle(rest);
            limiter.reserve(rest, DAY).unwrap().keep();
        }
        let stepwise = wait_of_one(&limiter);
        let other = self::limiter(algorithm);
        use_up(&other);
        (1..100).for_each(|_| (0..2).for_each(|_| forget(other.reserve(rest, DAY).unwrap())));
        assert_eq!(wait_of_one(&other), stepwise, "{algorithm:?}");
    }
    let quota: Quota = "3/7s burst 5".parse().unwrap();
    check(quota);
    check(Gcra::new(quota));
    check(LeakyBucket::new(quota));
    check(LeakyQueue::new(quota));
}

fn permutations() -> Vec<[usize; 4]> {
    let mut all = Vec::new();
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| ![a, b].contains(c)) {
                all.push([a, b, c, 6 - a - b - c]);
            }
        }
    }
    all
}

/// Row 19.
#[test]
fn a_forgotten_reservation_stalls_nobody() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        use_up(&limiter);
        let empty = wait_of_one(&limiter);
        forget(limiter.reserve(5, DAY).unwrap());
        // Its tokens are taken, and that is all.
        assert_eq!(wait_of_one(&limiter), empty + millis(500));
        limiter.clock().advance(millis(500) + empty);
        assert!(limiter.is_allowed());
    }
    for_each_algorithm!(check);
}

/// Row 22.
#[test]
fn concurrent_reservations_never_share_tokens() {
    fn check<A: Reservable>(algorithm: A) {
        for _ in 0..20 {
            let limiter = limiter(algorithm);
            use_up(&limiter);
            let empty = wait_of_one(&limiter);
            let (start, waits) = (Barrier::new(4), Mutex::new(Vec::new()));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        // A debt that has room in a word by default.
                        while let Ok(mut one) = limiter.reserve(1, empty + millis(900)) {
                            waits.lock().unwrap().push(one.wait());
                            one.keep();
                        }
                    });
                }
            });
            let mut waits = waits.into_inner().unwrap();
            waits.sort_unstable();
            let turns: Vec<_> =
                (0..waits.len() as u64).map(|at| empty + millis(100 * at)).collect();
            assert_eq!(waits, turns, "{algorithm:?}");
        }
    }
    let quota = Quota::per_second(10);
    check(quota);
    check(Gcra::new(quota));
    check(LeakyBucket::new(quota));
}

/// The table in the documentation: each way to end it, before and after it has begun.
#[test]
fn each_ending_gives_back_what_it_says() {
    fn check<A: Reservable>(algorithm: A) {
        type End<A> = fn(flowgate::Reservation<flowgate::Of<'static, &Limiter<A, ManualClock>>>);
        let endings: [(&str, End<A>, u64, u64); 7] = [
            ("dropped", |four| drop(four), 0, 4),
            ("dropped to give back", |four| drop(four.on_drop(OnDrop::GiveBack)), 0, 0),
            ("cancelled", |four| four.cancel(), 0, 0),
            ("kept", |four| assert!(four.keep().remaining() < 10), 4, 4),
            ("settled at less", |four| assert_eq!(four.settle(1), 0), 1, 1),
            ("settled at more", |four| assert_eq!(four.settle(6), 0), 6, 6),
            ("forgotten", |four| forget(four), 4, 4),
        ];
        for (name, end, not_begun, begun) in endings {
            for waits in [false, true] {
                let limiter = limiter(algorithm);
                use_up(&limiter);
                let empty = wait_of_one(&limiter);
                let mut four = limiter.reserve(4, DAY).unwrap();
                forget(limiter.reserve(4, DAY).unwrap());
                let rest_ms = if waits { 0 } else { 300 };
                let passed = four.wait() - millis(rest_ms);
                limiter.clock().advance(passed);
                assert_eq!(four.is_good(), waits);
                end(four);
                let kept = 4 + if waits { begun } else { not_begun };
                let due = empty + millis(100 * kept) - passed;
                assert_eq!(wait_of_one(&limiter), due, "{name}, {waits}, {algorithm:?}");
            }
        }
    }
    for_each_algorithm!(check);
}

/// The wait that is allowed may be all of it; a nanosecond less is refused, for free, and told by how much.
#[test]
fn the_longest_wait_is_met_to_the_nanosecond() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        limiter.clock().set_ns(987_654_321);
        use_up(&limiter);
        forget(limiter.reserve("2.7".parse::<Tokens>().unwrap(), DAY).unwrap());
        let wait = wait_of_one(&limiter);
        let nanosecond = Duration::from_nanos(1);
        let denied = limiter.reserve(1, wait - nanosecond).unwrap_err();
        assert_eq!(denied.retry_after(), Some(nanosecond));
        let denied = limiter.reserve(1, millis(50)).unwrap_err();
        let retry = denied.retry_after().unwrap();
        assert_eq!(retry, wait - millis(50));
        limiter.clock().advance(retry - nanosecond);
        assert!(limiter.reserve(1, millis(50)).is_err());
        limiter.clock().advance(nanosecond);
        let mut one = limiter.reserve(1, millis(50)).unwrap();
        assert_eq!(one.wait(), millis(50));
        limiter.clock().advance(millis(50) - nanosecond);
        assert!(!one.is_good());
        limiter.clock().advance(nanosecond);
        assert!(one.is_good());
    }
    for_each_algorithm!(check);
}

/// Each of a queue leaves an interval after the one before it.
#[test]
fn a_queue_is_paced_to_the_nanosecond() {
    let queue = limiter(LeakyQueue::new(Quota::per_second(10).burst(20)));
    for turn in 0..=20 {
        let mut one = queue.reserve(1, DAY).unwrap();
        assert_eq!(one.wait(), millis(100 * turn));
        assert_eq!(one.keep().departs_after(), millis(100 * turn));
    }
    let full = queue.reserve(1, DAY).unwrap_err();
    assert_eq!(full.retry_after(), Some(millis(100)));
}

#[test]
fn the_debt_of_reservations_has_a_floor() {
    for (debt, waits) in [(0_u64, 0_u64), (1, 1), (7, 7), (10, 10)] {
        let limiter = TokenBucket::builder(Quota::per_second(10))
            .max_debt(debt)
            .build_with_clock(ManualClock::new())
            .unwrap();
        limiter.drain();
        let reserved: Vec<_> = (0..100).map_while(|_| limiter.reserve(1, DAY).ok()).collect();
        assert_eq!(reserved.len() as u64, waits);
        let denied = limiter.reserve(1, Duration::MAX).unwrap_err();
        // There is room for it when a token has arrived.
        assert_eq!(denied.retry_after(), Some(millis(100)));
        limiter.clock().advance(millis(100));
        assert!(limiter.reserve(1, Duration::MAX).is_ok());
        drop(reserved);
    }
}

/// What was used beyond the estimate is charged down to the floor, and the rest is told.
#[test]
fn settling_above_the_estimate_returns_what_is_below_the_floor() {
    let limiter = TokenBucket::builder(Quota::per_second(10))
        .max_debt(5)
        .build_with_clock(ManualClock::new())
        .unwrap();
    let estimate = limiter.reserve(4, Duration::ZERO).unwrap();
    assert_eq!(estimate.settle(100), 100 - 15);
    assert_eq!(limiter.snapshot().debt(), 5);
    limiter.clock().advance(2 * SECOND);
    assert_eq!(limiter.reserve(4, Duration::ZERO).unwrap().settle(Tokens::MAX), {
        Tokens::MAX.saturating_sub(Tokens::new(15))
    });
    // A limiter whose instant reaches for years charges all of it.
    let gcra = limiter_of(Gcra::new(Quota::per_second(10)));
    assert_eq!(gcra.reserve(4, Duration::ZERO).unwrap().settle(1_000), 0);
    assert_eq!(gcra.time_until_available(1), Some(millis(99_100)));
    let huge = gcra.reserve(0, Duration::MAX).unwrap().settle(Tokens::MAX);
    assert!(huge > 0 && huge < Tokens::MAX);
}

fn limiter_of<A: Reservable>(algorithm: A) -> Limiter<A, ManualClock> {
    limiter(algorithm)
}

#[test]
fn extreme_costs_are_taken_exactly_or_refused() {
    let limiter = bucket("10/s burst 10");
    let unit = limiter.resolution().unit();
    let all = limiter.reserve(10, Duration::ZERO).unwrap();
    assert_eq!(limiter.available(), 0);
    // Nothing is there at once, even now; and from debt it waits until that is repaid.
    assert!(limiter.reserve(0, Duration::ZERO).unwrap().is_good());
    let debt = limiter.reserve(unit, DAY).unwrap();
    assert!(limiter.reserve(0, Duration::ZERO).is_err());
    drop(debt);
    all.cancel();
    assert_eq!(limiter.available(), 10);
    let above = Tokens::new(10).saturating_add(unit);
    for cost in [above, Tokens::new(11), Tokens::new(u64::MAX), Tokens::MAX] {
        assert!(limiter.reserve(cost, Duration::MAX).unwrap_err().is_never(), "{cost}");
    }
    // Less than a unit is rounded up, and given back as it was taken.
    if unit > Tokens::decimal(1, 9) {
        let least = limiter.reserve(Tokens::decimal(1, 9), Duration::ZERO).unwrap();
        assert_eq!(limiter.available(), Tokens::new(10).saturating_sub(unit));
        least.cancel();
        assert_eq!(limiter.available(), 10);
    }
}

/// The largest capacity that a word holds, with as much debt as it has room for.
#[test]
fn reservations_at_the_limits_of_a_word_are_exact() {
    for quota in ["1000000000/s burst 1000000000", "1/d burst 100", "1000000/s burst 40000000000"] {
        let limiter = bucket(quota);
        let capacity = limiter.quota().capacity();
        limiter.drain();
        let mut all: Vec<_> =
            (0..64).map_while(|_| limiter.reserve(capacity, Duration::MAX).ok()).collect();
        let fill = limiter.time_until_available(0).unwrap() / u32::try_from(all.len()).unwrap();
        for (turn, one) in (1..).zip(&mut all) {
            assert!(one.wait().abs_diff(turn * fill) < SECOND, "{quota}");
        }
        all.drain(..).for_each(flowgate::Reservation::cancel);
        assert_eq!((limiter.available(), limiter.snapshot().debt()), (Tokens::ZERO, Tokens::ZERO));
    }
}

/// A thread that read the clock long ago is told to wait from then on; nothing is minted.
#[test]
fn a_stale_time_never_mints_tokens_nor_lets_anyone_begin_early() {
    fn check<A: Reservable>(algorithm: A) {
        for stale_ns in [1, SECOND_NS / 2, SECOND_NS, 3_600 * SECOND_NS, YEAR_NS, 4 * YEAR_NS] {
            let limiter = limiter(algorithm);
            let now_ns = 5 * YEAR_NS;
            limiter.clock().set_ns(now_ns);
            use_up(&limiter);
            let empty = wait_of_one(&limiter);
            let then_ns = now_ns - stale_ns;
            let refused = limiter.reserve_at(1, Duration::ZERO, then_ns).unwrap_err();
            let told_ns = u64::try_from(refused.retry_after().unwrap().as_nanos()).unwrap();
            assert!(then_ns + told_ns >= now_ns, "{algorithm:?} stale by {stale_ns}");
            // In a queue that is full until long after then there is no room.
            let Ok(mut one) = limiter.reserve_at(1, Duration::MAX, then_ns) else {
                assert_eq!(wait_of_one(&limiter), empty);
                assert!(told_ns > SECOND_NS);
                continue;
            };
            assert!(one.wait() >= empty);
            assert!(wait_of_one(&limiter) >= empty + millis(100));
            one.cancel();
            assert_eq!(wait_of_one(&limiter), empty);
        }
    }
    for_each_algorithm!(check);
}

/// A clock that steps back makes waits longer, and cancelling is still exact.
#[test]
fn a_clock_that_steps_back_makes_nobody_begin_early() {
    fn check<A: Reservable>(algorithm: A) {
        let limiter = limiter(algorithm);
        limiter.clock().set_ns(YEAR_NS);
        use_up(&limiter);
        let empty = wait_of_one(&limiter);
        let mut five = limiter.reserve(5, DAY).unwrap();
        let wait = five.wait();
        limiter.clock().set_ns(YEAR_NS - 3_600 * SECOND_NS);
        assert_eq!(five.wait(), wait + 3_600 * SECOND);
        five.cancel();
        limiter.clock().set_ns(YEAR_NS);
        assert_eq!(wait_of_one(&limiter), empty);
    }
    for_each_algorithm!(check);
}

/// What has begun may have been used: no step back of the clock makes it unbegun, and so given back.
#[test]
fn what_has_begun_stays_begun_when_the_clock_steps_back() {
    fn check<A: Reservable>(algorithm: A) {
        for looks in [false, true] {
            let limiter = limiter(algorithm);
            limiter.clock().set_ns(YEAR_NS);
            let full = limiter.available();
            let mut one = limiter.reserve(1, Duration::ZERO).unwrap();
            assert!(!looks || one.is_good());
            limiter.clock().set_ns(YEAR_NS - SECOND_NS);
            assert!(one.is_good());
            drop(one);
            limiter.clock().set_ns(YEAR_NS);
            assert_eq!(limiter.available(), full.whole() - 1);
        }
        // The same for one that had to wait, once it was seen to be good.
        let limiter = limiter(algorithm);
        limiter.clock().set_ns(YEAR_NS);
        use_up(&limiter);
        let mut four = limiter.reserve(4, DAY).unwrap();
        limiter.clock().advance(four.wait());
        assert!(four.is_good());
        let then = wait_of_one(&limiter);
        limiter.clock().set_ns(YEAR_NS - SECOND_NS);
        drop(four);
        limiter.clock().set_ns(YEAR_NS);
        assert!(wait_of_one(&limiter) >= then);
    }
    for_each_algorithm!(check);
}

/// What has begun may have been used: no change of quota makes it unbegun, and so given back.
#[test]
fn what_has_begun_stays_begun_when_the_quota_changes() {
    for looks in [false, true] {
        let limiter = bucket("10/s burst 10");
        let mut used = limiter.reserve(10, Duration::ZERO).unwrap();
        assert!(!looks || used.is_good());
        forget(limiter.reserve(5, DAY).unwrap());
        limiter.set_quota(Quota::per_second(9).burst(10), Fill::Keep).unwrap();
        assert!(used.is_good());
        drop(used);
        assert_eq!(limiter.snapshot().debt(), 5);
    }
    // The same for one that had to wait, and began before the change.
    let limiter = bucket("10/s burst 10");
    limiter.drain();
    let mut used = limiter.reserve(5, DAY).unwrap();
    limiter.clock().advance(used.wait());
    assert!(used.is_good());
    forget(limiter.reserve(5, DAY).unwrap());
    limiter.set_quota(Quota::per_second(1).burst(10), Fill::Keep).unwrap();
    assert!(used.is_good());
    drop(used);
    assert!(limiter.snapshot().debt() >= 5);
    // And for one whose holder slept for as long as it was told, and did not look again.
    let limiter = bucket("10/s burst 10");
    limiter.drain();
    let mut used = limiter.reserve(5, DAY).unwrap();
    limiter.clock().advance(used.wait());
    limiter.set_quota(Quota::per_second(1).burst(10), Fill::Keep).unwrap();
    forget(limiter.reserve(5, DAY).unwrap());
    drop(used);
    assert!(limiter.snapshot().debt() >= 5);
}

/// A quota that is lowered holds for those who wait already: in any window from the change on, at most the new capacity
/// and the new rate × time begin, each counted between its reserving and its begin.
#[test]
fn who_waits_is_held_to_a_quota_that_was_lowered() {
    let limiter = bucket("10/s burst 10");
    limiter.drain();
    let mut waiting: Vec<_> = (0..10).map(|_| limiter.reserve(1, DAY).unwrap()).collect();
    limiter.clock().advance(millis(200));
    assert_eq!(waiting.iter_mut().filter_map(|one| one.is_good().then_some(())).count(), 2);
    limiter.set_quota(Quota::per_second(1), Fill::Keep).unwrap();
    // The others are told anew: their eight tokens take eight seconds now.
    let waits: Vec<_> = waiting.iter_mut().map(flowgate::Reservation::wait).collect();
    assert_eq!(waits[..2], [Duration::ZERO; 2]);
    for wait in &waits[2..] {
        assert!(*wait >= 8 * SECOND && *wait <= millis(8_001), "{wait:?}");
    }
    // Nobody who comes later begins before them.
    assert!(limiter.reserve(1, DAY).unwrap().wait() > 8 * SECOND);
    // A faster quota does not make them earlier than they were told.
    limiter.set_quota(Quota::per_second(10), Fill::Keep).unwrap();
    assert!(waiting[9].wait() >= 8 * SECOND);
    limiter.clock().advance(millis(8_001));
    assert!(waiting.iter_mut().all(flowgate::Reservation::is_good));
}

#[test]
fn a_burst_that_was_lowered_holds_for_who_waits() {
    let gcra = limiter(Gcra::new(Quota::per_second(10)));
    gcra.consume_up_to(10);
    let mut five = gcra.reserve(5, DAY).unwrap();
    assert_eq!(five.wait(), millis(500));
    gcra.set(Gcra::new(Quota::per_second(10).burst(2))).unwrap();
    // 15 tokens are under way, of which 2 may be.
    assert_eq!(five.wait(), millis(1_300));
    gcra.set(Gcra::new(Quota::per_second(10))).unwrap();
    assert_eq!(five.wait(), millis(1_300));
}

/// The time on the clock counts, however long ago the quota was lowered.
#[test]
fn who_looks_late_after_a_change_is_held_to_it_too() {
    let limiter = bucket("10/s burst 10");
    limiter.drain();
    let mut ten = limiter.reserve(10, DAY).unwrap();
    limiter.set_quota(Quota::per_second(1).burst(10), Fill::Keep).unwrap();
    limiter.clock().advance(SECOND);
    assert!((9 * SECOND..=millis(9_001)).contains(&ten.wait()));
    limiter.clock().advance(millis(9_001));
    assert!(ten.is_good());
}

#[test]
fn a_reservation_may_end_in_another_thread() {
    let limiter = Arc::new(bucket("10/s burst 10"));
    let waiting = Waiting::of(Arc::clone(&limiter), ());
    let _ = &waiting;
    thread::scope(|scope| {
        let four = limiter.reserve(4, Duration::ZERO).unwrap();
        scope.spawn(move || four.settle(1)).join().unwrap();
        let six = limiter.reserve(6, Duration::ZERO).unwrap();
        scope.spawn(move || six.cancel()).join().unwrap();
    });
    assert_eq!(limiter.available(), 9);
}
