//! The striped bucket: what it promises beyond a token bucket, and that it keeps what a token bucket promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{Denied, Fill, ManualClock, Quota, QuotaError, StripedBucket, Tokens, limits};
use proptest::prelude::*;

const SECOND_NS: u64 = 1_000_000_000;

fn striped(quota: &str, stripes: usize) -> StripedBucket<ManualClock> {
    let builder = StripedBucket::builder(quota.parse().unwrap()).stripes(stripes);
    builder.build_with_clock(ManualClock::new()).unwrap()
}

/// Calls from a thread of its own, which so has a stripe of its own.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(call).join().unwrap())
}

/// Row 7 of the list of pitfalls: a cost of all that is guaranteed is granted, one more never is.
#[test]
fn a_cost_of_the_guaranteed_burst_is_granted_and_one_more_never() {
    for stripes in [1, 2, 8, 64] {
        let limiter = striped("1/s burst 100000", stripes);
        let most = limiter.guaranteed_burst().whole();
        assert_eq!(most, 100_000 - aside(100_000, stripes as u64));
        let refused = limiter.try_consume_at(most + 1, 0).unwrap_err();
        assert!(refused.is_never() && refused.retry_after().is_none());
        let Denied::Never(never) = refused else { panic!("{refused:?}") };
        assert_eq!((never.cost(), never.capacity()), ((most + 1).into(), most.into()));
        assert_eq!(limiter.time_until_available_at(most + 1, 0), None);
        assert!(limiter.try_consume_at(most, 0).is_ok());
        // What lay in stripes is still there.
        assert_eq!(limiter.available_at(0), 100_000 - most);
        assert_eq!(limiter.drain_at(0), 100_000 - most);
    }
}

/// What stripes hold at most: a power of two each, together at most a sixteenth.
fn aside(capacity: u64, stripes: u64) -> u64 {
    let each = (0..=28).rev().map(|e| 1 << e).find(|each| stripes * each * 16 <= capacity);
    each.filter(|each| *each >= 8).map_or(0, |each: u64| each * stripes)
}

#[test]
fn after_any_rest_the_guaranteed_burst_is_there() {
    let limiter = striped("1000/s", 4);
    let guaranteed = limiter.guaranteed_burst();
    assert_eq!(guaranteed, StripedBucket::guaranteed_burst_of(&limiter.quota(), 4));
    let mut now_ns = 0;
    for drained in 0..20 {
        if drained % 2 == 0 {
            limiter.drain_at(now_ns);
        } else {
            limiter.consume_up_to_at(drained * 50, now_ns);
        }
        now_ns += 2 * SECOND_NS;
        assert!(limiter.available_at(now_ns) >= guaranteed);
        assert!(limiter.try_consume_at(guaranteed, now_ns).is_ok());
        now_ns += 2 * SECOND_NS;
    }
}

#[test]
fn a_small_capacity_is_one_word_and_says_so() {
    for (capacity, stripes) in [(1, 1), (127, 1), (128, 1), (255, 1), (256, 2), (1_000, 2)] {
        let limiter = striped(&format!("1/s burst {capacity}"), 2);
        assert_eq!(limiter.stripes(), stripes, "{capacity}");
        assert_eq!(limiter.available_at(0), capacity);
        if stripes == 1 {
            assert_eq!(limiter.guaranteed_burst(), capacity);
            assert!(limiter.try_consume_at(capacity, 0).is_ok());
        }
    }
}

#[test]
fn the_number_of_stripes_is_bounded() {
    let of = |stripes| striped("1/s burst 1000000", stripes).stripes();
    assert_eq!((of(0), of(1), of(3), of(5), of(64)), (1, 1, 4, 8, 64));
    assert_eq!(of(usize::MAX), limits::MOST_STRIPES);
    assert_eq!(of(limits::MOST_STRIPES), limits::MOST_STRIPES);
}

/// Row 25: a cost that is refused takes nothing, from no stripe and not from the central bucket.
#[test]
fn a_refused_cost_moves_nothing() {
    let limiter = striped("1/s burst 1000", 4);
    limiter.try_consume_at(700, 0).unwrap();
    let before = format!("{limiter:?}");
    for cost in [301, 500, 900, 5_000] {
        assert!(limiter.try_consume_at(cost, 0).is_err());
        assert_eq!(format!("{limiter:?}"), before);
        assert_eq!(limiter.available_at(0), 300);
    }
}

#[test]
fn tokens_that_lie_in_other_stripes_are_found() {
    let limiter = striped("1/h burst 4096", 16);
    // Sixteen threads, some of which take what others leave.
    for round in 0..16 {
        elsewhere(|| assert!(limiter.try_consume_at(100 + round, 0).is_ok()));
    }
    let mut left = limiter.available_at(0).whole();
    assert_eq!(left, 4_096 - 16 * 100 - 120);
    while left > 0 {
        let cost = left.min(61);
        assert!(limiter.try_consume_at(cost, 0).is_ok(), "{cost} of {left}");
        left -= cost;
        assert_eq!(limiter.available_at(0), left);
    }
    assert!(!limiter.is_allowed_at(0));
}

/// The last token is found, wherever it lies, by whoever asks.
#[test]
fn the_last_token_is_never_stranded() {
    let limiter = striped("1/h burst 4096", 16);
    for _ in 0..64 {
        limiter.drain_at(0);
        elsewhere(|| limiter.refund_at(1, 0));
        assert!(elsewhere(|| limiter.is_allowed_at(0)));
        assert!(!elsewhere(|| limiter.is_allowed_at(0)));
    }
}

#[test]
fn half_a_token_is_served_beside_the_stripes() {
    let limiter = striped("10/s burst 1000", 2);
    limiter.drain_at(0);
    limiter.refund_at(3, 0);
    let half = Tokens::decimal(5, 1);
    for taken in 1..=6 {
        assert!(limiter.try_consume_at(half, 0).is_ok(), "{taken} halves");
    }
    let denied = limiter.try_consume_at(half, 0).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(50)));
}

#[test]
fn a_debt_is_paid_before_anything_is_granted() {
    let builder = StripedBucket::builder("1/s burst 1000".parse().unwrap()).stripes(4).max_debt(50);
    let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
    assert_eq!(limiter.charge_at(1_020, 0), 0);
    assert_eq!(limiter.snapshot_at(0).debt(), 20);
    assert!(!limiter.is_allowed_at(0));
    assert!(limiter.try_consume_at(0, 0).is_err());
    assert!(!elsewhere(|| limiter.is_allowed_at(20 * SECOND_NS)));
    assert!(limiter.try_consume_at(0, 20 * SECOND_NS).is_ok());
    assert!(limiter.is_allowed_at(21 * SECOND_NS));
    // To the floor, and not further.
    assert_eq!(limiter.charge_at(100, 21 * SECOND_NS), 50);
    assert_eq!(limiter.snapshot_at(21 * SECOND_NS).debt(), 50);
}

/// Row 23: lowering the quota keeps the new one from then on, and it goes on refilling.
#[test]
fn a_lowered_quota_holds_and_refills() {
    let limiter = striped("1000/s burst 100000", 4);
    for (burst, stripes) in [(50_000, 4), (512, 4), (300, 1), (1, 1), (2_000, 4)] {
        let quota = Quota::per_second(1_000).burst(burst);
        limiter.set_quota_at(quota, Fill::Keep, 0).unwrap();
        assert_eq!((limiter.stripes(), limiter.quota()), (stripes, quota));
        assert!(limiter.available_at(0) <= burst);
    }
    limiter.drain_at(0);
    assert_eq!(limiter.available_at(SECOND_NS), 1_000);
    assert_eq!(limiter.available_at(100 * SECOND_NS), limiter.guaranteed_burst());
}

#[test]
fn each_fill_does_with_all_tokens_what_it_does_with_one_word() {
    let changes = [(10_000, 4_000), (4_000, 10_000), (10_000, 200), (200, 10_000), (900, 1_100)];
    for (from, to) in changes {
        for fill in [Fill::Keep, Fill::Proportional, Fill::Added, Fill::Reset] {
            for taken in [0, from / 3, from] {
                let from_quota = Quota::per_second(1).burst(from);
                let to_quota = Quota::per_second(1).burst(to);
                let largest = Quota::per_second(1).burst(10_000);
                let one = flowgate::TokenBucket::builder(from_quota).largest_quota(largest);
                let one = one.build_with_clock(ManualClock::new()).unwrap();
                let many = StripedBucket::builder(from_quota).largest_quota(largest).stripes(4);
                let many = many.build_with_clock(ManualClock::new()).unwrap();
                assert_eq!(one.consume_up_to_at(taken, 0), many.consume_up_to_at(taken, 0));
                one.set_quota_at(to_quota, fill, 0).unwrap();
                many.set_quota_at(to_quota, fill, 0).unwrap();
                let (one, many) = (one.snapshot_at(0), many.snapshot_at(0));
                assert_eq!(
                    (one.available(), one.debt()),
                    (many.available(), many.debt()),
                    "{from} to {to}, {taken} taken, {fill:?}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_kept_is_refused_and_changes_nothing() {
    let limiter = striped("1000/s", 2);
    let before = format!("{limiter:?}");
    let refused = limiter.set_quota(Quota::per_second(1_000_000), Fill::Keep).unwrap_err();
    assert!(matches!(refused, QuotaError::AboveBuilt { field: "burst", .. }), "{refused}");
    let refused = limiter.set_quota(Quota::per_second(0), Fill::Keep).unwrap_err();
    assert_eq!(refused, QuotaError::ZeroRate);
    assert_eq!(format!("{limiter:?}"), before);
    assert!(StripedBucket::new(Quota::per_second(1_000_000_000_000)).is_err());
}

#[test]
fn the_largest_and_the_smallest_buckets_are_divided() {
    for quota in [
        format!("1000000000/s burst {}", limits::LARGEST_CAPACITY),
        "15000000000/s burst 1000".to_owned(),
        "1/s burst 256.5".to_owned(),
        "0.001/s burst 300".to_owned(),
    ] {
        let builder = StripedBucket::builder(quota.parse().unwrap()).stripes(2).max_debt(0);
        let limiter = builder.build_with_clock(ManualClock::new()).unwrap();
        let capacity = limiter.quota().capacity();
        assert_eq!(limiter.available_at(0), capacity, "{quota}");
        assert!(limiter.try_consume_at(limiter.guaranteed_burst(), 0).is_ok());
        assert_eq!(limiter.drain_at(0).saturating_add(limiter.guaranteed_burst()), capacity);
    }
}

#[test]
fn what_was_left_is_told_as_of_the_call_that_was_given_the_time() {
    let limiter = striped("1000/s", 2);
    let granted = limiter.try_consume_at(1, 0).unwrap();
    assert_eq!(granted.remaining(), 999);
    let granted = limiter.try_consume_at(499, 0).unwrap();
    assert_eq!(granted.remaining(), 500);
    assert_eq!(granted.departs_after(), Duration::ZERO);
    assert!(granted.full_after() <= Duration::from_millis(500));
}

#[derive(Clone, Debug)]
enum Op {
    Take(u64, u32),
    UpTo(u64),
    Refund(u64),
    Charge(u64),
    Drain,
    Change(u64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..40_u64, 0..2_u32).prop_map(|(digits, places)| Op::Take(digits, places)),
        4 => (0..3_000_u64).prop_map(|cost| Op::Take(cost, 0)),
        3 => (0..3_000_u64).prop_map(Op::UpTo),
        3 => (0..200_u64).prop_map(Op::Refund),
        2 => (0..2_000_u64).prop_map(Op::Charge),
        1 => Just(Op::Drain),
        1 => (1..100_000_u64, 100..4_000_u64).prop_map(|(rate, burst)| Op::Change(rate, burst)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Beside a token bucket: for any history from several stripes, all tokens together are what one word would hold,
    /// less only what overflowed the central bucket while stripes had room; a cost is granted exactly if they cover it;
    /// and a wait is tight.
    #[test]
    fn all_tokens_together_are_what_one_bucket_holds(
        stripes in 1..9_usize,
        history in prop::collection::vec((op(), 0..3_000_000_u64, any::<bool>()), 1..60),
    ) {
        let quota = Quota::per_second(100_000).burst(2_000);
        let largest = Quota::per_second(100_000).burst(4_000);
        let limiter = StripedBucket::builder(quota).stripes(stripes).largest_quota(largest).max_debt(500);
        let limiter = limiter.build_with_clock(ManualClock::new()).unwrap();
        let mut now_ns = 0;
        for (op, elapsed_ns, by_another) in history {
            let before = limiter.snapshot_at(now_ns);
            let (rate, period) = (before.quota().tokens(), before.quota().period());
            now_ns += elapsed_ns;
            let snapshot = limiter.snapshot_at(now_ns);
            let arrived = rate.whole() * 1_000 * elapsed_ns / u64::try_from(period.as_nanos() / 1_000).unwrap();
            let arrived = Tokens::decimal(arrived, 6).saturating_add(limiter.resolution().unit());
            let level = |s: &flowgate::Snapshot| (s.available(), s.debt());
            // Nothing but time passed.
            prop_assert!(snapshot.available() <= before.available().saturating_add(arrived));
            prop_assert!(snapshot.available() <= snapshot.quota().capacity());
            let (available, debt) = level(&snapshot);
            match op {
                Op::Take(digits, places) => {
                    let cost = Tokens::decimal(digits, places);
                    let covered = cost <= available && (debt.is_zero());
                    let allowed = cost <= limiter.guaranteed_burst();
                    let take = || limiter.try_consume_at(cost, now_ns).map(|granted| granted.remaining());
                    match if by_another { elsewhere(take) } else { take() } {
                        Ok(remaining) => {
                            prop_assert!(covered);
                            prop_assert_eq!(remaining, available.saturating_sub(cost));
                        }
                        Err(denied) => {
                            // A stripe serves what the central bucket alone never could.
                            prop_assert!(!(covered && allowed), "{cost} of {available} denied");
                            prop_assert_eq!(denied.is_never(), !allowed);
                            prop_assert_eq!(level(&limiter.snapshot_at(now_ns)), (available, debt));
                            if let Some(wait) = denied.retry_after() {
                                prop_assert_eq!(limiter.time_until_available_at(cost, now_ns), Some(wait));
                                let wait_ns = u64::try_from(wait.as_nanos()).unwrap();
                                prop_assert!(limiter.try_consume_at(cost, now_ns + wait_ns - 1).is_err());
                                now_ns += wait_ns;
                                prop_assert!(limiter.try_consume_at(cost, now_ns).is_ok(), "{cost} after {wait:?}");
                            }
                        }
                    }
                }
                Op::UpTo(max) => {
                    let take = || limiter.consume_up_to_at(max, now_ns);
                    let taken = if by_another { elsewhere(take) } else { take() };
                    prop_assert_eq!(taken, max.min(available.whole()));
                    prop_assert_eq!(limiter.available_at(now_ns), available.saturating_sub(taken.into()));
                }
                Op::Refund(cost) => {
                    let give = || limiter.refund_at(cost, now_ns);
                    if by_another { elsewhere(give) } else { give() }
                    let given = available.saturating_add(cost.saturating_sub(debt.whole()).into());
                    if debt.is_zero() {
                        let left = limiter.available_at(now_ns);
                        prop_assert!(left <= given && left <= snapshot.quota().capacity());
                        // Less than a token may find the central bucket full.
                        let due = given.min(snapshot.quota().capacity());
                        prop_assert!(left.saturating_add(Tokens::ONE) > due, "{left} of {due}");
                    }
                }
                Op::Charge(cost) => {
                    let left_over = limiter.charge_at(cost, now_ns);
                    let (after, debt_after) = level(&limiter.snapshot_at(now_ns));
                    let charged = Tokens::new(cost).saturating_sub(left_over);
                    prop_assert_eq!(
                        after.saturating_add(charged).saturating_add(debt),
                        available.saturating_add(debt_after)
                    );
                    prop_assert!(left_over.is_zero() || debt_after == 500);
                }
                Op::Drain => {
                    prop_assert_eq!(limiter.drain_at(now_ns), available);
                    prop_assert_eq!(limiter.available_at(now_ns), 0);
                }
                Op::Change(rate, burst) => {
                    let quota = Quota::per_second(rate).burst(burst);
                    limiter.set_quota_at(quota, Fill::Keep, now_ns).unwrap();
                    let (after, debt_after) = level(&limiter.snapshot_at(now_ns));
                    let due = available.min(Tokens::new(burst));
                    // A unit each for the capacity and for the new rate; in debt likewise.
                    prop_assert!(after <= due);
                    let off = limiter.resolution().unit().saturating_add(limiter.resolution().unit());
                    prop_assert!(after.saturating_add(off) >= due, "{after} of {due}");
                    prop_assert!(debt_after <= debt.saturating_add(off));
                }
            }
        }
    }
}
