//! What the single-word algorithms refuse, they refuse with a sentence that is true; just below it works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{
    Algorithm, FixedWindow, Gcra, LeakyBucket, LeakyQueue, Limiter, ManualClock, Quota, QuotaError,
    SlidingWindow, Tokens, limits,
};

fn build<A: Algorithm>(algorithm: A) -> Result<Limiter<A, ManualClock>, QuotaError> {
    Limiter::with_clock(algorithm, ManualClock::new())
}

fn refusal<A: Algorithm>(algorithm: A) -> QuotaError {
    build(algorithm).map(|_| ()).unwrap_err()
}

/// The next larger amount.
fn next(tokens: Tokens) -> Tokens {
    tokens.saturating_add(Tokens::ONE)
}

#[test]
fn nothing_is_refused_by_name() {
    let second = Duration::from_secs(1);
    for quota in [
        Quota::per_second(0).burst(1),
        Quota::new(1, Duration::ZERO),
        Quota::per_second(1).burst(0),
    ] {
        let refused = refusal(Gcra::new(quota));
        assert_eq!(refused, refusal(LeakyBucket::new(quota)));
        assert_eq!(refused, refusal(LeakyQueue::new(quota)));
        let zero = matches!(
            refused,
            QuotaError::ZeroRate | QuotaError::ZeroPeriod | QuotaError::ZeroBurst
        );
        assert!(zero, "{refused}");
    }
    for refused in [
        refusal(FixedWindow::new(0, second)),
        refusal(FixedWindow::new(0, second).from_first_call()),
        refusal(SlidingWindow::new(0, second)),
    ] {
        assert_eq!(
            refused.to_string(),
            "limit 0: less than the smallest amount that this limiter counts, so it could never allow a request"
        );
    }
    assert_eq!(refusal(FixedWindow::new(1, Duration::ZERO)), QuotaError::ZeroPeriod);
    assert_eq!(refusal(SlidingWindow::new(1, Duration::ZERO)), QuotaError::ZeroPeriod);
}

#[test]
fn a_period_is_as_long_as_it_may_be() {
    let longest = limits::LONGEST_FILL;
    let above = longest + Duration::from_nanos(1);
    assert!(build(Gcra::new(Quota::new(1, longest))).is_ok());
    assert!(build(FixedWindow::new(1_000, longest)).is_ok());
    assert!(build(FixedWindow::new(1_000, longest).from_first_call()).is_ok());
    assert!(build(SlidingWindow::new(1_000, longest)).is_ok());
    for refused in [
        refusal(Gcra::new(Quota::new(1, above))),
        refusal(FixedWindow::new(1_000, above)),
        refusal(FixedWindow::new(1_000, above).from_first_call()),
        refusal(SlidingWindow::new(1_000, above)),
    ] {
        assert_eq!(refused, QuotaError::PeriodTooLong { period: above });
    }
    // A queue of one has one more place.
    assert!(matches!(
        refusal(LeakyQueue::new(Quota::new(1, longest))),
        QuotaError::FillTooSlow { .. }
    ));
    assert!(build(LeakyQueue::new(Quota::new(1, longest / 2))).is_ok());
}

/// Every rate up to 16 million a second is kept to a thousandth; above, those that are; and what a refusal says would be
/// kept, is.
#[test]
fn a_rate_is_kept_to_a_thousandth_or_refused() {
    for rate in
        [1, 7, 999_983, 15_999_989, 15_999_999, 16_000_000, 1_000_000_000, 16_000_000_000_u64]
    {
        assert!(build(Gcra::new(Quota::per_second(rate))).is_ok(), "{rate}/s");
    }
    let mut refusals = 0;
    for rate in [
        19_000_000,
        17_777_777,
        123_456_789,
        999_999_999,
        1_100_000_000,
        20_000_000_000_u64,
        1 << 62,
    ] {
        let QuotaError::RateRounded { per_second, kept } =
            refusal(Gcra::new(Quota::per_second(rate).burst(5)))
        else {
            panic!("{rate}/s")
        };
        refusals += 1;
        assert_eq!(per_second, rate);
        assert!(kept < per_second.saturating_sub((rate / 1_000).into()), "{rate}/s as {kept}");
        let limiter = build(Gcra::new(Quota::per_second(kept).burst(1))).unwrap();
        assert!(limiter.set(Gcra::new(Quota::per_second(kept).burst(9))).is_ok());
    }
    assert_eq!(refusals, 7);
    assert_eq!(
        refusal(Gcra::new(Quota::per_second(1_100_000_000))).to_string(),
        "rate 1100000000 per second would be kept as 1066666666.666666667, more than a thousandth less, since a token takes a whole number of 1/16 ns here: ask for that rate, or use a token bucket"
    );
}

/// What takes too long, and how long: by the interval that is kept.
#[test]
fn a_bucket_fills_in_time_or_is_refused() {
    let seconds = limits::LONGEST_FILL.as_secs();
    assert!(build(Gcra::new(Quota::per_second(1).burst(seconds))).is_ok());
    for (refused, takes) in [
        (refusal(Gcra::new(Quota::per_second(1).burst(seconds + 1))), seconds + 1),
        (refusal(LeakyQueue::new(Quota::per_second(1).burst(seconds))), seconds + 1),
        (refusal(LeakyBucket::new(Quota::per_hour(1).burst(6_000_000))), 21_600_000_000),
    ] {
        assert_eq!(refused, QuotaError::FillTooSlow { seconds: takes });
        assert!(refused.to_string().contains(&format!("would take {takes} s, above {seconds} s")));
    }
    // A burst of less than a token, at a rate of one in 30 years.
    let year = Duration::from_secs(365 * 86_400);
    let half = Tokens::decimal(5, 1);
    assert!(build(Gcra::new(Quota::new(half, 2 * year).burst(half))).is_ok());
    let slow = Quota::new(Tokens::decimal(1, 1), 3 * year).burst(Tokens::decimal(1, 1));
    assert_eq!(
        refusal(Gcra::new(slow)).to_string(),
        "one token would take 946080000 s to come at this rate, above 144115188 s, the longest that an instant can be ahead"
    );
}

/// A burst that fills in time but that 64 bits do not count was once said to fill too slowly.
#[test]
fn a_burst_is_counted_in_billionths_or_refused() {
    fn check<A: Algorithm>(make: impl Fn(Quota) -> A) {
        let quota = Quota::per_second(16_000_000);
        let refused = refusal(make(quota.burst(1_u64 << 40)));
        let QuotaError::CapacityTooLarge { tokens, largest } = refused else { panic!("{refused}") };
        assert_eq!(tokens, 1_u64 << 40);
        let limiter = build(make(quota.burst(largest))).unwrap();
        let all = limiter.available_at(0);
        assert!(all >= largest);
        // More than 64 bits count is not less.
        assert!(limiter.try_consume_at(Tokens::MAX, 0).unwrap_err().is_never());
        assert!(limiter.try_consume_at(next(all), 0).unwrap_err().is_never());
        assert!(limiter.try_consume_at(all, 0).is_ok());
        assert_eq!(
            refusal(make(quota.burst(next(largest)))),
            QuotaError::CapacityTooLarge { tokens: next(largest), largest }
        );
    }
    check(Gcra::new);
    check(LeakyBucket::new);
    check(LeakyQueue::new);
}

/// The largest limit that is named can be had, and one more cannot.
#[test]
fn a_limit_is_as_large_as_it_may_be() {
    fn check<A: Algorithm>(make: impl Fn(Tokens, Duration) -> A, period: Duration) -> u64 {
        let refused = refusal(make(Tokens::MAX, period));
        let QuotaError::LimitTooLarge { limit, period: told, largest } = refused else {
            panic!("{refused}")
        };
        assert_eq!((limit, told), (Tokens::MAX, period));
        assert_eq!(
            refused.to_string(),
            format!(
                "limit {limit} is above {largest}, the most that one word can count in windows of {period:?}"
            )
        );
        if largest.is_zero() {
            assert!(build(make(Tokens::ONE, period)).is_err());
            return 0;
        }
        let limiter = build(make(largest, period)).unwrap();
        assert!(limiter.try_consume_at(next(largest), 0).unwrap_err().is_never());
        assert_eq!(limiter.try_consume_at(largest, 0).unwrap().remaining(), 0);
        // Once more in a later window, of which it is not said that it is years away.
        let wait = limiter.try_consume_at(largest, 0).unwrap_err().retry_after().unwrap();
        assert!(wait >= period && wait <= 2 * period, "{wait:?} for {period:?}");
        assert!(limiter.try_consume_at(largest, u64::try_from(wait.as_nanos()).unwrap()).is_ok());
        let above = refusal(make(next(largest), period));
        assert!(matches!(above, QuotaError::LimitTooLarge { .. }), "{above}");
        largest.whole()
    }
    let mut nanos =
        vec![1, 2, 3, 63, 64, 65, 1_000, 1_000_000, 1_000_000_000, (1 << 30) - (1 << 16)];
    nanos.extend([60_000_000_000, 86_400_000_000_000, 31 * 86_400_000_000_000, 1 << 57]);
    for period in nanos.into_iter().map(Duration::from_nanos) {
        let fixed = check(|limit: Tokens, period| FixedWindow::new(limit, period), period);
        let first = check(
            |limit: Tokens, period| FixedWindow::new(limit, period).from_first_call(),
            period,
        );
        let sliding = check(|limit: Tokens, period| SlidingWindow::new(limit, period), period);
        assert!(
            fixed > 0 && sliding > 0 && fixed > sliding && first <= fixed,
            "{period:?}: {fixed}, {first}, {sliding}"
        );
        assert!(first > 0 || period < Duration::from_nanos(64));
    }
}

/// Of any limit that is accepted, the window is as long as was said: with so many counts that few bits were left to the
/// start of a window, one from its first call once lasted for nine years.
#[test]
fn a_large_limit_does_not_make_the_window_longer() {
    for exponent in 0..63 {
        for limit in [1_u64 << exponent, 3 << exponent.min(61), u64::MAX >> (63 - exponent)] {
            for period in [1, 60, 86_400].map(Duration::from_secs) {
                let Ok(limiter) = build(FixedWindow::new(limit, period).from_first_call()) else {
                    continue;
                };
                limiter.try_consume_at(limit, 12_345).unwrap();
                let wait =
                    limiter.try_consume_at(limit, 12_345).unwrap_err().retry_after().unwrap();
                assert!(
                    wait >= period && wait <= period + period / 32,
                    "{limit} per {period:?}: {wait:?}"
                );
            }
        }
    }
}

/// A limit of less than what can be told apart is none.
#[test]
fn a_limit_below_the_unit_is_refused() {
    let short = Duration::from_nanos(2);
    let half = Tokens::decimal(5, 1);
    assert_eq!(refusal(SlidingWindow::new(half, short)), QuotaError::ZeroLimit { limit: half });
    assert_eq!(
        refusal(SlidingWindow::new(half, short)).to_string(),
        "limit 0.5: less than the smallest amount that this limiter counts, so it could never allow a request"
    );
    let limiter = build(SlidingWindow::new(half, Duration::from_secs(1))).unwrap();
    assert_eq!(limiter.available(), half);
}

/// What a change is refused with is true, too, and reads like a sentence.
#[test]
fn every_refused_change_is_a_sentence() {
    let minute = Duration::from_secs(60);
    let window = build(FixedWindow::new(10, minute)).unwrap();
    let first = build(FixedWindow::new(10, minute).from_first_call()).unwrap();
    let gcra = build(Gcra::new(Quota::per_second(10))).unwrap();
    let above = window.set(FixedWindow::new(Tokens::MAX, minute)).unwrap_err();
    let QuotaError::AboveBuilt { largest, .. } = above else { panic!("{above}") };
    assert!(window.set(FixedWindow::new(largest, minute)).is_ok());
    assert!(window.set(FixedWindow::new(next(largest), minute)).is_err());
    for (refused, message) in [
        (
            above,
            format!(
                "limit {} is above {largest}, the most that this limiter was built to count: build it with the largest limit it will ever have, and lower that",
                Tokens::MAX
            ),
        ),
        (
            window.set(FixedWindow::new(10, 2 * minute)).unwrap_err(),
            "period 120s: this limiter counts in windows of 60s, and only its limit can change".into(),
        ),
        (
            window.set(FixedWindow::new(10, minute).from_first_call()).unwrap_err(),
            "windows that begin with the first call: those of this limiter begin at multiples of the period, and only its limit can change".into(),
        ),
        (
            first.set(FixedWindow::new(10, minute)).unwrap_err(),
            "windows that begin at multiples of the period: those of this limiter begin with the first call, and only its limit can change".into(),
        ),
        (
            gcra.set(Gcra::new(Quota::per_second(11))).unwrap_err(),
            "rate 11 per second: this limiter keeps an instant, which is ahead by the rate that it was built with, and only its burst can change; a token bucket can change both".into(),
        ),
    ] {
        assert_eq!(refused.to_string(), message);
    }
}
