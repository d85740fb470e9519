//! Waiting for a striped bucket: what its stripes hold is spent before anybody waits, and nobody overtakes who does.

#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{Fill, ManualClock, OnDrop, Quota, StripedBucket};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const PATIENT: Duration = Duration::from_secs(1_000);

fn hot(clock: &ManualClock) -> StripedBucket<&ManualClock> {
    let builder = StripedBucket::builder(Quota::per_second(1_000)).stripes(4).max_debt(5_000);
    builder.build_with_clock(clock).unwrap()
}

#[test]
fn what_lies_in_stripes_is_spent_before_anybody_waits() {
    let clock = ManualClock::new();
    let hot = hot(&clock);
    assert_eq!(hot.stripes(), 4);
    hot.try_consume(900).unwrap();
    // 68 are central, 32 lie in stripes.
    let mut there = hot.reserve(100, Duration::ZERO).unwrap();
    assert!(there.is_good());
    there.cancel();
    assert_eq!(hot.available(), 100);
    let mut later = hot.reserve(300, SECOND).unwrap();
    assert_eq!(later.wait(), Duration::from_millis(200));
    assert_eq!(hot.snapshot().debt(), 200);
    let _ = later.keep();
}

#[test]
fn who_comes_later_is_later_and_a_large_cost_is_not_overtaken() {
    let clock = ManualClock::new();
    let hot = hot(&clock);
    hot.drain();
    let mut large = hot.reserve(800, SECOND).unwrap();
    // Refills are the large one's, whichever stripe is asked.
    for _ in 0..8 {
        assert!(!hot.is_allowed());
        thread::scope(|scope| {
            scope.spawn(|| assert!(!hot.is_allowed()));
        });
        clock.advance(Duration::from_millis(99));
    }
    let mut small = hot.reserve(1, SECOND).unwrap();
    assert_eq!(large.wait(), Duration::from_millis(8));
    assert_eq!(small.wait(), Duration::from_millis(9));
    clock.advance(Duration::from_millis(8));
    assert!(large.is_good() && !small.is_good());
    large.cancel();
    assert_eq!(hot.available(), 799);
}

#[test]
fn what_would_take_too_long_costs_nobody_anything() {
    let clock = ManualClock::new();
    let hot = hot(&clock);
    hot.try_consume(900).unwrap();
    let denied = hot.reserve(600, Duration::from_millis(499)).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(1)));
    assert_eq!(hot.available(), 100);
    assert_eq!(hot.consume_up_to(1_000), 100);
    assert!(hot.reserve(969, PATIENT).unwrap_err().is_never());
    // As deep as the debt goes.
    for _ in 0..5 {
        let _ = hot.reserve(968, PATIENT).unwrap().keep();
    }
    assert!(hot.reserve(968, PATIENT).is_err());
}

#[test]
fn a_lowered_quota_holds_for_what_is_reserved() {
    let clock = ManualClock::new();
    let hot = hot(&clock);
    hot.drain();
    let mut one = hot.reserve(500, SECOND).unwrap();
    hot.set_quota(Quota::per_second(500), Fill::Keep).unwrap();
    assert_eq!(one.wait(), SECOND);
    clock.advance(SECOND);
    assert!(one.is_good());
    assert_eq!(hot.available(), 0);
}

#[test]
fn waits_keep_the_pace_and_are_never_early() {
    let hot = StripedBucket::builder(Quota::per_second(10_000).burst(1_000)).build().unwrap();
    hot.drain();
    let (start, waited) = (Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    hot.consume_blocking(10).unwrap();
                    let taken = 10 * (waited.fetch_add(1, Relaxed) + 1);
                    // All that arrived since the start, and what arrived between the drain and the start.
                    let arrived = start.elapsed().as_secs_f64() * 10_000.0;
                    assert!(taken as f64 <= arrived + 20.0, "{taken} of {arrived}");
                }
            });
        }
    });
    let took = start.elapsed();
    assert!(took < Duration::from_millis(400), "2,000 tokens at 10,000/s took {took:?}");
}

proptest! {
    /// Whatever is reserved, given back, settled and taken: a bucket that is never full loses and gains nothing.
    #[test]
    fn tokens_are_conserved(steps in prop::collection::vec((0..6_u8, 1..200_u64, 0..4_usize), 1..80)) {
        let clock = ManualClock::new();
        let hot = hot(&clock);
        hot.try_consume(900).unwrap();
        let mut left: i64 = 100;
        let mut held = Vec::new();
        for (what, cost, which) in steps {
            let signed = cost.cast_signed();
            match what {
                // Never full, even if all that is held comes back.
                0 if left + held.iter().map(|(_, taken)| taken).sum::<i64>() < 700 => {
                    clock.advance(Duration::from_millis(cost));
                    left += signed;
                }
                1 => if hot.try_consume(cost).is_ok() { left -= signed } else { prop_assert!(left < signed) },
                2 => if let Ok(reservation) = hot.reserve(cost, PATIENT) {
                    held.push((reservation.on_drop(OnDrop::Keep), signed));
                    left -= signed;
                },
                3 if !held.is_empty() => {
                    let (reservation, taken) = held.swap_remove(which % held.len());
                    reservation.cancel();
                    left += taken;
                }
                4 if !held.is_empty() => {
                    let (reservation, taken) = held.swap_remove(which % held.len());
                    let not_charged = reservation.settle(cost);
                    // Only what would be below the deepest debt.
                    prop_assert!(not_charged.is_zero() || left + taken - signed < -5_000);
                    left += taken - signed + not_charged.whole().cast_signed();
                }
                5 => left -= signed - hot.charge(cost).whole().cast_signed(),
                _ => {}
            }
            let snapshot = hot.snapshot();
            let seen = snapshot.available().whole().cast_signed() - snapshot.debt().whole().cast_signed();
            prop_assert_eq!(seen, left);
        }
        for (reservation, _) in held {
            let _ = reservation.keep();
        }
    }
}
