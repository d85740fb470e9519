//! The one-word bucket against a bucket behind a mutex: the same decisions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../benches/baseline/mod.rs"]
mod baseline;

use baseline::{Baseline, ParkingLotBucket, StdMutexBucket};
use flowgate::{ManualClock, Quota, TokenBucket};
use proptest::prelude::*;
use std::time::Duration;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// In whole tokens, with a period that divides evenly, the rounding to units does not show: all
    /// three decide alike.
    #[test]
    fn the_word_and_the_mutexes_decide_alike(
        tokens in prop::sample::select(vec![1_u64, 2, 5, 10, 50, 100, 1_000]), capacity in 1..2_000_u64,
        steps in prop::collection::vec((0..2_000_000_000_u64, 1..2_500_u64), 1..100),
    ) {
        let quota = Quota::new(tokens, Duration::from_secs(1)).burst(capacity);
        let word = TokenBucket::with_clock(quota, ManualClock::new()).unwrap();
        let std_mutex = StdMutexBucket::new(tokens, 1_000_000_000, capacity);
        let parking_lot = ParkingLotBucket::new(tokens, 1_000_000_000, capacity);
        let mut now_ns = 0;
        for (elapsed_ns, cost) in steps {
            // Off the exact boundary of a token by more than a unit: there, who rounds up is a unit early.
            now_ns += elapsed_ns / 1_000_000 * 1_000_000;
            let by_word = word.try_consume_at(cost, now_ns).is_ok();
            prop_assert_eq!(by_word, std_mutex.try_consume_at(cost, now_ns));
            prop_assert_eq!(by_word, parking_lot.try_consume_at(cost, now_ns));
            prop_assert_eq!(word.available_at(now_ns).whole(), std_mutex.available_at(now_ns));
            prop_assert_eq!(std_mutex.available_at(now_ns), parking_lot.available_at(now_ns));
        }
    }
}
