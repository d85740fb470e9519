//! The bucket against exact arithmetic: random quotas over the whole range, random histories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod model;

use std::time::Duration;

use flowgate::{Clock, ManualClock, Quota, TokenBucket, Tokens, limits};
use model::{Exact, nanos};
use num_bigint::BigInt;
use proptest::prelude::*;

const CASES: u32 = 3_000;

/// An amount that is as often tiny as huge: uniform in its logarithm.
fn log_uniform(largest_bits: u32) -> impl Strategy<Value = u64> {
    (0..=largest_bits, any::<u64>()).prop_map(|(bits, noise)| {
        let top = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
        (top | (noise & (top - 1))).max(1)
    })
}

fn amount(largest_bits: u32) -> impl Strategy<Value = Tokens> {
    (log_uniform(largest_bits), 0..4_u32, any::<bool>()).prop_map(|(digits, places, small)| {
        if small { Tokens::decimal(digits, 9) } else { Tokens::decimal(digits, places * 3) }
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    (
        amount(45),
        amount(45),
        prop_oneof![Just(1_u64), Just(1_000_000_000), Just(3_600_000_000_000), log_uniform(56)],
    )
        .prop_map(|(tokens, burst, period_ns)| {
            Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
        })
}

#[derive(Clone, Debug)]
enum Op {
    Take(Cost),
    UpTo(u64),
    Refund(Cost),
    Charge(Cost),
    Drain,
}

fn tokens(nanos: BigInt) -> Tokens {
    let (whole, rest): (BigInt, BigInt) = (&nanos / 1_000_000_000, nanos % 1_000_000_000);
    Tokens::new(u64::try_from(whole).unwrap())
        .saturating_add(Tokens::decimal(u64::try_from(rest).unwrap(), 9))
}

/// A cost as a share of the capacity, or a fixed small one.
#[derive(Clone, Debug)]
enum Cost {
    Thousandths(u64),
    Fixed(Tokens),
}

impl Cost {
    fn of(&self, quota: &Quota) -> Tokens {
        match self {
            Self::Fixed(tokens) => *tokens,
            Self::Thousandths(share) => {
                let nanos = nanos(quota.capacity()) * *share / 1_000;
                tokens(nanos)
            }
        }
    }
}

/// How the clock moves before an operation.
#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    /// A stale thread, or a clock set back: this operation alone is that much earlier.
    Stale(u64),
    /// A share of the time in which the bucket fills.
    FillThousandths(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => log_uniform(40).prop_map(Step::Forward),
        1 => log_uniform(56).prop_map(Step::Forward),
        2 => Just(Step::Forward(0)),
        3 => log_uniform(57).prop_map(Step::Stale),
        3 => log_uniform(20).prop_map(Step::Stale),
        6 => (0..1_500_u64).prop_map(Step::FillThousandths),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let cost = || {
        prop_oneof![
            3 => (0..1_100_u64).prop_map(Cost::Thousandths),
            3 => Just(Cost::Fixed(Tokens::new(1))),
            1 => amount(20).prop_map(Cost::Fixed),
        ]
    };
    prop_oneof![
        10 => cost().prop_map(Op::Take),
        2 => log_uniform(40).prop_map(Op::UpTo),
        1 => cost().prop_map(Op::Refund),
        1 => cost().prop_map(Op::Charge),
        1 => Just(Op::Drain),
    ]
}

/// Everything is compared in units of the level: billionths × period.
struct Bench {
    limiter: TokenBucket<ManualClock>,
    exact: Exact,
    quota: Quota,
    unit: BigInt,
    capacity_lost: BigInt,
}

impl Bench {
    /// `None` if the quota is refused, which `limits.rs` is about.
    fn new(quota: Quota, start_ns: u64) -> Option<Self> {
        let limiter = TokenBucket::with_clock(quota, ManualClock::at(start_ns)).ok()?;
        let exact = Exact::full(quota, start_ns);
        let unit = exact.scaled(nanos(limiter.resolution().unit()));
        // A capacity is rounded down to whole units.
        let capacity_lost = nanos(quota.capacity()) % nanos(limiter.resolution().unit());
        let capacity_lost = exact.scaled(capacity_lost);
        Some(Self { limiter, exact, quota, unit, capacity_lost })
    }

    fn rounded_up(&self, cost: Tokens) -> BigInt {
        let unit = nanos(self.limiter.resolution().unit());
        (nanos(cost) + &unit - 1) / &unit * unit
    }

    /// Compares the levels at `now_ns`, and returns the difference allowed below.
    fn compare(&mut self, now_ns: u64) -> Result<(), TestCaseError> {
        let snapshot = self.limiter.snapshot_at(now_ns);
        let ours = self.exact.scaled(nanos(snapshot.available()) - nanos(snapshot.debt()));
        let exact = self.exact.clone().level_at(now_ns).clone();
        let tick_ns = u64::try_from(self.limiter.resolution().tick().as_nanos()).unwrap();
        let stale_ns = self.exact.last_ns().saturating_sub(now_ns).min(tick_ns);
        let below = self.exact.credit(stale_ns) + &self.unit * 2 + &self.capacity_lost;
        prop_assert!(ours <= &exact + &self.unit * 2, "over: {ours} > {exact} at {now_ns}");
        prop_assert!(ours >= &exact - below, "under: {ours} < {exact} at {now_ns}");
        Ok(())
    }

    fn apply(&mut self, op: &Op, now_ns: u64) -> Result<BigInt, TestCaseError> {
        let limiter = &self.limiter;
        let granted;
        match op {
            Op::Take(cost) => {
                let cost = cost.of(&self.quota);
                match limiter.try_consume_at(cost, now_ns) {
                    Ok(_) => granted = self.rounded_up(cost),
                    // A denial leaves everything as it was.
                    Err(denied) => {
                        if let Some(wait) = denied.retry_after() {
                            let wait_ns = u64::try_from(wait.as_nanos()).unwrap();
                            prop_assert!(wait_ns > 0);
                            // Tight on both sides. A probe that succeeds is put back.
                            let early = limiter.try_consume_at(cost, now_ns + wait_ns - 1);
                            prop_assert!(early.is_err(), "{wait_ns} ns is not the first moment");
                            prop_assert_eq!(
                                limiter.time_until_available_at(cost, now_ns),
                                Some(wait)
                            );
                            prop_assert_eq!(
                                limiter.time_until_available_at(cost, now_ns + wait_ns),
                                Some(Duration::ZERO)
                            );
                        }
                        return Ok(BigInt::ZERO);
                    }
                }
            }
            Op::UpTo(max) => {
                let taken = limiter.consume_up_to_at(*max, now_ns);
                prop_assert!(taken <= *max);
                granted = nanos(Tokens::new(taken));
                if taken == 0 {
                    return Ok(BigInt::ZERO);
                }
            }
            Op::Drain => {
                granted = nanos(limiter.drain_at(now_ns));
                if granted == BigInt::ZERO {
                    return Ok(granted);
                }
            }
            Op::Refund(cost) => {
                let cost = cost.of(&self.quota);
                limiter.refund_at(cost, now_ns);
                // Less than a unit is not given back.
                let cost = nanos(cost) - nanos(cost) % nanos(limiter.resolution().unit());
                self.exact.level_at(now_ns);
                self.exact.give(cost);
                return Ok(BigInt::ZERO);
            }
            Op::Charge(cost) => {
                let cost = cost.of(&self.quota);
                let left_over = limiter.charge_at(cost, now_ns);
                let charged = if left_over.is_zero() {
                    self.rounded_up(cost)
                } else {
                    nanos(cost) - nanos(left_over)
                };
                self.exact.level_at(now_ns);
                self.exact.take(charged);
                return Ok(BigInt::ZERO);
            }
        }
        self.exact.level_at(now_ns);
        self.exact.take(granted.clone());
        Ok(granted)
    }
}

/// The time the bucket takes to fill, or an hour if that is longer than what fits.
fn fill_ns(quota: &Quota) -> u64 {
    let ns = nanos(quota.capacity()) * quota.period().as_nanos() / nanos(quota.tokens());
    u64::try_from(ns).unwrap_or(3_600_000_000_000).min(1 << 55)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never over and never under, whatever the quota, the history, and how the clock goes.
    #[test]
    fn the_level_is_the_exact_one(
        quota in quota(), start_ns in log_uniform(61),
        history in prop::collection::vec((step(), op()), 1..60),
    ) {
        let Some(mut bench) = Bench::new(quota, start_ns) else { return Ok(()) };
        let fill_ns = fill_ns(&quota);
        let mut clock_ns = start_ns;
        for (step, op) in &history {
            let now_ns = match step {
                Step::Forward(ns) => { clock_ns += ns; clock_ns }
                Step::FillThousandths(share) => {
                    clock_ns += u64::try_from(u128::from(fill_ns) * u128::from(*share) / 1_000).unwrap();
                    clock_ns
                }
                // A stale refund is a case of its own, below.
                Step::Stale(_) if matches!(op, Op::Refund(_)) => clock_ns,
                Step::Stale(ns) => clock_ns.saturating_sub(*ns),
            };
            bench.apply(op, now_ns)?;
            bench.compare(now_ns)?;
            bench.compare(clock_ns)?;
        }
    }

    /// In every window of the history: granted, less what was given back, is at most capacity + rate ×
    /// window + two units. Each grant counts at its own time, or at the start of the stored tick if
    /// that is later.
    #[test]
    fn no_window_grants_more_than_capacity_plus_rate_times_time(
        quota in quota(), start_ns in log_uniform(61),
        history in prop::collection::vec((step(), prop_oneof![
            4 => Just(Op::Take(Cost::Fixed(Tokens::new(1)))),
            4 => (1..1_000_u64).prop_map(|share| Op::Take(Cost::Thousandths(share))),
            2 => Just(Op::UpTo(u64::MAX)),
            1 => Just(Op::Drain),
        ], any::<bool>()), 1..80),
    ) {
        let Some(mut bench) = Bench::new(quota, start_ns) else { return Ok(()) };
        let fill_ns = fill_ns(&quota);
        let tick_ns = u64::try_from(bench.limiter.resolution().tick().as_nanos()).unwrap();
        let mut clock_ns = start_ns;
        let mut grants: Vec<(u64, BigInt)> = Vec::new();
        for (step, op, give_back) in &history {
            let now_ns = match step {
                Step::Forward(ns) => { clock_ns += ns; clock_ns }
                Step::FillThousandths(share) => {
                    clock_ns += u64::try_from(u128::from(fill_ns) * u128::from(*share) / 1_000).unwrap();
                    clock_ns
                }
                Step::Stale(ns) => clock_ns.saturating_sub(*ns),
            };
            let granted = bench.apply(op, now_ns)?;
            if granted == BigInt::ZERO {
                continue;
            }
            let stored_ns = bench.exact.last_ns() / tick_ns * tick_ns;
            let counted_ns = now_ns.max(stored_ns);
            if *give_back {
                // All of it, at once and at the same stale time: it counts as not granted.
                if matches!(op, Op::Take(_)) {
                    bench.limiter.refund_at(tokens(granted), now_ns);
                    continue;
                }
            }
            grants.push((counted_ns, granted));
        }
        let capacity = bench.exact.scaled(nanos(quota.capacity()));
        for (from_ns, _) in &grants {
            for (to_ns, _) in grants.iter().filter(|(to_ns, _)| to_ns >= from_ns) {
                let granted: BigInt = grants
                    .iter()
                    .filter(|(at_ns, _)| (from_ns..=to_ns).contains(&at_ns))
                    .map(|(_, granted)| granted)
                    .sum();
                let over = bench.exact.scaled(granted) - &capacity - bench.exact.credit(to_ns - from_ns);
                prop_assert!(over <= &bench.unit * 2, "over by {over}");
            }
        }
    }

    /// Live changes keep the level, and never leave more than the new capacity.
    #[test]
    fn a_changed_quota_keeps_the_level_and_the_bound(
        first in (1..1_000_000_u64, 1..1_000_000_u64), changes in prop::collection::vec(
            (1..1_000_000_u64, 1..1_000_000_u64, 0..3_000_000_000_u64, 0..1_000_u64), 1..20),
    ) {
        let largest = Quota::per_second(1_000_000).burst(1_000_000);
        let limiter = TokenBucket::builder(Quota::per_second(first.0).burst(first.1))
            .largest_quota(largest)
            .build_with_clock(ManualClock::new()).unwrap();
        let mut exact = Exact::full(limiter.quota(), 0);
        for (rate, burst, elapsed_ns, share) in changes {
            limiter.clock().advance(Duration::from_nanos(elapsed_ns));
            let now_ns = limiter.clock().now_ns();
            let cost = Cost::Thousandths(share).of(&limiter.quota());
            if limiter.try_consume(cost).is_ok() {
                exact.level_at(now_ns);
                exact.take(nanos(cost));
            }
            let quota = Quota::per_second(rate).burst(burst);
            limiter.set_quota(quota, flowgate::Fill::Keep).unwrap();
            exact.level_at(now_ns);
            exact.set_quota(quota);
            let ours = exact.scaled(nanos(limiter.available()));
            let level = exact.level_at(now_ns).clone();
            // A unit of rounding for each change so far, at most.
            let unit = exact.scaled(nanos(limiter.resolution().unit()));
            prop_assert!(ours <= &level + &unit * 40 && ours >= &level - &unit * 40, "{ours} against {level}");
            prop_assert!(limiter.available() <= quota.capacity());
            exact.set_level(ours);
        }
    }

    /// The word round-trips: what a bucket was set to is what it says, at any time and any level.
    #[test]
    fn what_is_stored_is_what_is_read(quota in quota(), start_ns in log_uniform(61), share in 0..=1_000_u64) {
        let Some(bench) = Bench::new(quota, start_ns) else { return Ok(()) };
        let limiter = &bench.limiter;
        let before = limiter.available();
        let cost = Cost::Thousandths(share).of(&quota);
        if let Ok(granted) = limiter.try_consume(cost) {
            let taken = bench.rounded_up(cost);
            prop_assert_eq!(nanos(granted.remaining()), nanos(before) - &taken);
            prop_assert_eq!(granted.remaining(), limiter.available());
            limiter.refund(tokens(taken));
            prop_assert_eq!(limiter.available(), before);
        }
        prop_assert_eq!(limiter.quota(), quota);
    }
}

/// 10^7 polls at awkward intervals: the credit is within one unit of exact at each of the checks.
#[test]
fn polling_ten_million_times_loses_and_gains_no_credit() {
    for (quota, interval_ns) in [
        ("1/s burst 100000", 1_999),
        ("13.888/s burst 1000000", 7_919),
        ("3/7s burst 1000000", 104_729),
        ("999983/s burst 100000000", 17),
    ] {
        let quota: Quota = quota.parse().unwrap();
        let limiter = TokenBucket::builder(quota)
            .start_empty()
            .build_with_clock(ManualClock::at(12_345))
            .unwrap();
        let unit = nanos(limiter.resolution().unit());
        let mut taken = BigInt::ZERO;
        for poll in 1..=2_500_000_u64 {
            let now_ns = 12_345 + poll * interval_ns;
            // Takes what is there whenever a token is, so that every tick and every level is met.
            if limiter.try_consume_at(1, now_ns).is_ok() {
                taken += 1_000_000_000;
            }
            if poll % 100_000 == 0 {
                let exact =
                    nanos(quota.tokens()) * (poll * interval_ns) / quota.period().as_nanos();
                let ours = &taken + nanos(limiter.available_at(now_ns));
                let off: BigInt = ours - exact;
                assert!(off <= unit && off >= -&unit, "{quota} is off by {off} after {poll} polls");
            }
        }
    }
}

/// Years pass without aliasing, up to the documented limit.
#[test]
fn an_idle_of_years_fills_the_bucket_and_no_more() {
    let limiter = TokenBucket::with_clock(Quota::per_hour(1), ManualClock::new()).unwrap();
    let mut now_ns = 0;
    let longest_ns = u64::try_from(limits::LONGEST_IDLE.as_nanos()).unwrap();
    for idle_ns in [1 << 50, 1 << 55, 1 << 57, longest_ns - 1, 3, longest_ns] {
        assert!(limiter.try_consume_at(1, now_ns).is_ok());
        assert!(limiter.try_consume_at(1, now_ns).is_err());
        now_ns += idle_ns;
        if idle_ns > 3_600_000_000_000 {
            assert_eq!(limiter.available_at(now_ns), 1, "after {idle_ns} ns");
        } else {
            now_ns += 3_600_000_000_000;
        }
    }
}
