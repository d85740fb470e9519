//! Quotas as text: every quota reads back, no text panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{Quota, Tokens};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quota_reads_back_as_it_was_written(
        digits in 1..u64::MAX, places in 0..9_u32, burst in 1..u64::MAX, burst_places in 0..9_u32,
        period_ns in 1..1_u64 << 56, named in 0..4_usize,
    ) {
        let period = [Duration::from_nanos(period_ns), Duration::from_secs(1), Duration::from_secs(60),
            Duration::from_secs(86_400)][named];
        let quota = Quota::new(Tokens::decimal(digits, places), period).burst(Tokens::decimal(burst, burst_places));
        prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = text.parse::<Quota>();
        let _ = text.parse::<Tokens>();
    }

    #[test]
    fn no_text_that_looks_like_a_quota_panics(
        text in "[0-9._]{0,25}/[0-9._]{0,25}(ms|s|min|h|d|fortnight)?( burst [0-9._]{0,25})?"
    ) {
        if let Ok(quota) = text.parse::<Quota>() {
            prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn serde_reads_and_writes_texts() {
    let quota: Quota = serde_json::from_str(r#""100/s burst 20""#).unwrap();
    assert_eq!(serde_json::to_string(&quota).unwrap(), r#""100/s burst 20""#);
    assert_eq!(serde_json::from_str::<Tokens>("5").unwrap(), 5);
    assert_eq!(serde_json::from_str::<Tokens>(r#""0.5""#).unwrap(), Tokens::decimal(5, 1));
    let error = serde_json::from_str::<Quota>(r#""3/fortnight""#).unwrap_err();
    assert!(
        error.to_string().starts_with(r#"unknown unit "fortnight" in "3/fortnight""#),
        "{error}"
    );
    assert!(serde_json::from_str::<Tokens>("-5").is_err());
}
