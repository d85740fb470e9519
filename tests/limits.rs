//! `docs/limits.md` says what the code says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use flowgate::{ManualClock, Quota, QuotaError, StripedBucket, TokenBucket, Tokens, limits};

const PAGE: &str = include_str!("../docs/limits.md");

/// The cells of the row that starts with `first`.
fn row(first: &str) -> Vec<&'static str> {
    let line = PAGE.lines().find(|line| line.starts_with(&format!("| {first} |")));
    let line = line.unwrap_or_else(|| panic!("no row {first:?} in docs/limits.md"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The digits at the start of a cell: `30,000,000,000 tokens/s`.
fn number(cell: &str) -> u64 {
    let digits: String = cell
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(|c| *c != ',')
        .collect();
    digits.parse().unwrap()
}

fn build(quota: Quota) -> Result<TokenBucket<ManualClock>, QuotaError> {
    TokenBucket::with_clock(quota, ManualClock::new())
}

#[test]
fn the_page_names_the_constants() {
    assert_eq!(number(row("highest rate")[1]), limits::HIGHEST_RATE_PER_SECOND);
    assert_eq!(number(row("largest capacity and debt together")[1]), limits::LARGEST_CAPACITY);
    assert_eq!(
        number(row("longest time to fill from the deepest debt")[1]),
        limits::LONGEST_FILL.as_secs()
    );
    let idle = row("longest time between two grants, longest step back of a clock")[1];
    assert_eq!(number(idle), limits::LONGEST_IDLE.as_secs());
    assert!(row("largest amount in a text or a cost")[1].starts_with(&Tokens::MAX.to_string()));
    assert!(row("smallest amount told apart")[1].starts_with(&Tokens::decimal(1, 9).to_string()));
}

#[test]
fn the_page_names_the_precision_of_each_quota() {
    let rows = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains('/') && !line.contains("Clock"));
    let mut checked = 0;
    for line in rows {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [quota, unit, tick, capacity, debt] = cells[..] else { panic!("{line}") };
        let resolution = build(quota.trim_matches('`').parse().unwrap()).unwrap().resolution();
        assert_eq!(resolution.unit().to_string(), unit, "{line}");
        assert_eq!(format!("{:?}", resolution.tick()), tick, "{line}");
        assert_eq!(resolution.max_capacity().to_string(), capacity, "{line}");
        assert_eq!(resolution.max_debt().to_string(), debt, "{line}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}

#[test]
fn the_page_names_what_holds_of_stripes() {
    let stripes = number(row("most stripes of a `StripedBucket`")[1]);
    assert_eq!(stripes, limits::MOST_STRIPES as u64);
    let smallest = number(row("smallest capacity that is divided, for each stripe")[1]);
    let part_of = |capacity| StripedBucket::guaranteed_burst_of(&Quota::per_second(capacity), 1);
    assert!(part_of(smallest) < smallest && part_of(smallest - 1) == smallest - 1);
    let largest = number(row("tokens that a stripe holds at most")[1]);
    assert_eq!(part_of(u64::MAX), u64::MAX - largest);
}

#[cfg(feature = "keyed")]
#[test]
fn the_page_names_what_holds_with_keys() {
    use flowgate::KeyedLimiter;
    assert_eq!(number(row("keys, unless told otherwise")[1]), limits::DEFAULT_MAX_KEYS);
    assert_eq!(number(row("buckets shared when there is no room")[1]), limits::SHARED_BUCKETS);
    let built = |quota: Quota| {
        let builder = KeyedLimiter::<u64>::builder(quota).largest_quota(quota).max_debt(0);
        builder.build_with_clock(ManualClock::new())
    };
    let rate = number(row("highest rate, with keys")[1]);
    assert!(built(Quota::per_second(rate)).is_ok());
    let refused = built(Quota::per_second(rate * 12 / 10));
    assert!(matches!(refused, Err(QuotaError::RateTooHigh { .. })), "{refused:?}");
    let largest = number(row("largest capacity and debt together, with keys")[1]);
    assert!(built(Quota::per_second(1_000_000_000).burst(largest)).is_ok());
    assert!(built(Quota::per_second(1_000_000_000).burst(largest * 2)).is_err());
    let mut checked = 0;
    for line in PAGE.lines().filter(|line| line.starts_with("| keyed `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [quota, unit, tick, capacity, debt] = cells[..] else { panic!("{line}") };
        let quota = quota.trim_start_matches("keyed ").trim_matches('`').parse().unwrap();
        let limiter = KeyedLimiter::<u64, _, _>::with_clock(quota, ManualClock::new()).unwrap();
        let resolution = limiter.resolution();
        assert_eq!(resolution.unit().to_string(), unit, "{line}");
        assert_eq!(format!("{:?}", resolution.tick()), tick, "{line}");
        assert_eq!(resolution.max_capacity().to_string(), capacity, "{line}");
        assert_eq!(resolution.max_debt().to_string(), debt, "{line}");
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[test]
fn each_limit_is_reached_and_not_passed() {
    let rate = limits::HIGHEST_RATE_PER_SECOND;
    assert!(build(Quota::per_second(rate)).is_ok());
    assert!(matches!(
        build(Quota::per_second(rate * 11 / 10)),
        Err(QuotaError::RateTooHigh { .. })
    ));

    let largest = limits::LARGEST_CAPACITY;
    let built =
        |quota| TokenBucket::builder(quota).max_debt(0).build_with_clock(ManualClock::new());
    let limiter = built(Quota::per_second(1_000_000_000).burst(largest)).unwrap();
    assert_eq!(limiter.drain(), largest);
    let refused = built(Quota::per_second(1_000_000_000).burst(largest * 2));
    assert!(matches!(refused, Err(QuotaError::CapacityTooLarge { .. })), "{refused:?}");

    let slowest = Duration::from_secs(144_100_000);
    let limiter = build(Quota::new(1, slowest)).unwrap();
    assert!(limiter.is_allowed());
    let wait = limiter.try_consume(1).unwrap_err().retry_after().unwrap();
    // 1/64 of a unit early at the most, and a unit is 144 ms here.
    assert!(wait <= slowest && wait > slowest - Duration::from_millis(3), "{wait:?}");
    let refused = build(Quota::new(1, limits::LONGEST_FILL + Duration::from_nanos(1)));
    assert!(matches!(refused, Err(QuotaError::PeriodTooLong { .. })));
    assert!(matches!(build(Quota::new(1, slowest).burst(2)), Err(QuotaError::FillTooSlow { .. })));

    let named = TokenBucket::builder(Quota::per_second(1_000_000))
        .places(9)
        .build_with_clock(ManualClock::new());
    assert!(matches!(named, Err(QuotaError::UnitTooSmall { places: 9, .. })), "{named:?}");
    let above =
        build(Quota::per_second(1)).unwrap().set_quota(Quota::per_second(9), flowgate::Fill::Keep);
    assert!(matches!(above, Err(QuotaError::AboveBuilt { field: "burst", .. })));
}

/// Each message names the field, the value and the limit.
#[test]
fn every_refusal_is_a_sentence() {
    for (quota, message) in [
        (
            "40000000000/s",
            "rate 40000000000/s is above 15000000000/s, the highest that one word can count",
        ),
        (
            "1/h burst 6000000",
            "filling this bucket from the lowest level it may have would take 21600000000 s, above 144115188 s, the longest a bucket can measure: use a higher rate, a smaller burst or a smaller debt",
        ),
        (
            "1000000000/s burst 1000000000000000",
            "burst and debt of 1000000000000000 together are above 263882790666236, the most that one word can count",
        ),
    ] {
        assert_eq!(build(quota.parse().unwrap()).unwrap_err().to_string(), message);
    }
}

/// Each number is the largest that builds.
#[test]
fn the_page_names_the_largest_limits_of_windows() {
    use flowgate::{Algorithm, FixedWindow, Limiter, SlidingWindow};
    fn is_largest<A: Algorithm>(limit: u64, with: impl Fn(u64) -> A) -> bool {
        let builds = |limit| Limiter::with_clock(with(limit), ManualClock::new());
        let refused = builds(limit + 1);
        let named = match refused {
            Err(QuotaError::LimitTooLarge { largest, .. }) => largest == limit,
            _ => false,
        };
        builds(limit).is_ok() && named
    }
    let mut checked = 0;
    for line in PAGE.lines().filter(|line| line.starts_with("| windows of `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [period, fixed, first, sliding] = cells[..] else { panic!("{line}") };
        let period = period.trim_start_matches("windows of ").trim_matches('`');
        // A quota of one per period knows how to read one.
        let period = format!("1/{period}").parse::<Quota>().unwrap().period();
        assert!(is_largest(number(fixed), |n| FixedWindow::new(n, period)), "{line}");
        let from_first = |n| FixedWindow::new(n, period).from_first_call();
        assert!(is_largest(number(first), from_first), "{line}");
        assert!(is_largest(number(sliding), |n| SlidingWindow::new(n, period)), "{line}");
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn the_page_names_what_an_instant_holds() {
    use flowgate::{Gcra, Limiter};
    let build = |quota| Limiter::with_clock(Gcra::new(quota), ManualClock::new());
    let any = number(row("highest rate of an instant")[1]);
    for rate in any - 1_000..=any {
        assert!(build(Quota::per_second(rate)).is_ok(), "{rate}");
    }
    let refused = build(Quota::per_second(any * 2 + 1_234_567));
    assert!(matches!(refused, Err(QuotaError::RateRounded { .. })), "{refused:?}");
    let exact = number(
        row("highest rate of an instant, if a token takes whole sixteenths of a nanosecond")[1],
    );
    assert!(build(Quota::per_second(exact).burst(1)).is_ok());
    let burst = number(row("largest burst of an instant")[1]);
    assert!(build(Quota::per_second(1_000_000).burst(burst)).is_ok());
    assert!(build(Quota::per_second(1_000_000).burst(burst + 1)).is_err());
}
