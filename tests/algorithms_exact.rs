//! The algorithms on one word against exact models: random limits over the whole range, random histories, and times
//! that also go back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod model;
#[path = "model/instant.rs"]
mod model_instant;
#[path = "model/window.rs"]
mod model_window;

use std::fmt::Debug;
use std::time::Duration;

use flowgate::{
    Adjustable, Algorithm, Denied, FixedWindow, Gcra, LeakyBucket, LeakyQueue, Limiter,
    ManualClock, Quota, QuotaError, SlidingWindow, TokenBucket, Tokens, limits,
};
use model::{Exact, nanos};
use model_instant::Virtual;
use model_window::Counts;
use num_bigint::BigInt;
use proptest::prelude::*;

const CASES: u32 = 1_000;
const SECOND_NS: u64 = 1_000_000_000;
const YEAR_NS: u64 = 365 * 86_400 * SECOND_NS;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// An amount that is as often tiny as huge: uniform in its logarithm.
fn log_uniform(largest_bits: u32) -> impl Strategy<Value = u64> {
    (0..=largest_bits, any::<u64>()).prop_map(|(bits, noise)| {
        let top = 1_u64 << bits;
        top | (noise & (top - 1))
    })
}

fn tokens(nanos: &BigInt) -> Tokens {
    let whole: BigInt = nanos / SECOND_NS;
    let rest: BigInt = nanos % SECOND_NS;
    Tokens::new(u64::try_from(whole).unwrap())
        .saturating_add(Tokens::decimal(u64::try_from(rest).unwrap(), 9))
}

fn amount(largest_bits: u32) -> impl Strategy<Value = Tokens> {
    prop_oneof![
        4 => log_uniform(largest_bits).prop_map(Tokens::new),
        1 => log_uniform(largest_bits).prop_map(|digits| Tokens::decimal(digits, 3)),
        1 => log_uniform(largest_bits).prop_map(|digits| Tokens::decimal(digits, 9)),
        1 => Just(Tokens::decimal(5, 1)),
        1 => Just(Tokens::decimal(7, 1)),
    ]
}

fn period_ns() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(SECOND_NS),
        2 => Just(7 * SECOND_NS),
        1 => Just(86_400 * SECOND_NS),
        1 => Just(60 * SECOND_NS),
        2 => log_uniform(56),
    ]
}

/// Awkward ones, and any.
fn quota() -> impl Strategy<Value = Quota> {
    prop_oneof![
        prop::sample::select(vec![
            "3/7s",
            "1/d",
            "1000000/s",
            "0.5/s",
            "0.5/3s burst 0.5",
            "3/7s burst 0.7",
            "10/s burst 3",
            "16000000/s",
            "1/0.000000001s burst 1000",
            "7/s burst 2.5",
            "1/4y",
            "999983/s burst 1000",
        ])
        .prop_map(|text| match text {
            "1/4y" => Quota::new(1, Duration::from_nanos(4 * YEAR_NS)),
            text => text.parse().unwrap(),
        }),
        (amount(34), amount(34), period_ns()).prop_map(|(tokens, burst, period_ns)| {
            Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
        }),
        // A rate that is kept, whatever it is.
        (1..16_000_000_u64, amount(30))
            .prop_map(|(rate, burst)| Quota::per_second(rate).burst(burst)),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Take(Cost),
    UpTo(u64),
    Refund(Cost),
}

/// A cost as a share of the limit, or a fixed one.
#[derive(Clone, Debug)]
enum Cost {
    Thousandths(u64),
    Fixed(Tokens),
}

impl Cost {
    fn of(&self, limit: Tokens) -> Tokens {
        match self {
            Self::Fixed(tokens) => *tokens,
            Self::Thousandths(share) => tokens(&(nanos(limit) * *share / 1_000)),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let cost = || {
        prop_oneof![
            3 => (0..1_100_u64).prop_map(Cost::Thousandths),
            1 => Just(Cost::Thousandths(1_000)),
            4 => Just(Cost::Fixed(Tokens::new(1))),
            1 => Just(Cost::Fixed(Tokens::ZERO)),
            1 => Just(Cost::Fixed(Tokens::MAX)),
            1 => amount(20).prop_map(Cost::Fixed),
        ]
    };
    prop_oneof![
        10 => cost().prop_map(Op::Take),
        2 => log_uniform(40).prop_map(Op::UpTo),
        2 => cost().prop_map(Op::Refund),
    ]
}

/// How the clock moves before an operation.
#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    /// A stale thread, or a clock set back: this operation alone is that much earlier.
    Stale(u64),
    /// A share of the time in which all is there again.
    Share(u64),
    /// To the moment that the last denial named.
    Retry,
    /// As long as a limiter may be idle.
    Idle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => log_uniform(40).prop_map(Step::Forward),
        3 => Just(Step::Forward(0)),
        2 => log_uniform(56).prop_map(Step::Stale),
        2 => log_uniform(20).prop_map(Step::Stale),
        6 => (0..1_500_u64).prop_map(Step::Share),
        4 => Just(Step::Retry),
        1 => Just(Step::Idle),
    ]
}

/// The clock of a history: it never leaves a limiter idle for longer than it may be.
struct History {
    clock_ns: u64,
    /// When something was last written, at the latest time so far.
    written_ns: u64,
    retry_ns: u64,
    span_ns: u64,
}

impl History {
    fn new(start_ns: u64, span_ns: u64) -> Self {
        Self { clock_ns: start_ns, written_ns: start_ns, retry_ns: start_ns, span_ns }
    }

    fn now_ns(&mut self, step: &Step) -> u64 {
        let longest_ns = u64::try_from(limits::LONGEST_IDLE.as_nanos()).unwrap();
        let to_ns = match step {
            Step::Forward(ns) => self.clock_ns + ns,
            Step::Stale(ns) => return self.clock_ns.saturating_sub(*ns),
            Step::Share(share) => {
                let ns = u128::from(self.span_ns) * u128::from(*share) / 1_000;
                self.clock_ns + u64::try_from(ns).unwrap()
            }
            Step::Retry => self.retry_ns.max(self.clock_ns),
            Step::Idle => u64::MAX,
        };
        self.clock_ns = to_ns.min(self.written_ns + longest_ns);
        self.clock_ns
    }

    fn written(&mut self, now_ns: u64) {
        self.written_ns = self.written_ns.max(now_ns);
    }
}

/// What a denial says, from both sides; it changes nothing.
fn check_denial<A: Algorithm + Debug>(
    limiter: &Limiter<A, ManualClock>,
    cost: Tokens,
    now_ns: u64,
    denied: Denied,
) -> Result<Option<u64>, TestCaseError> {
    let before = limiter.snapshot_at(now_ns);
    let Some(wait) = denied.retry_after() else {
        prop_assert_eq!(limiter.time_until_available_at(cost, now_ns), None);
        return Ok(None);
    };
    let wait_ns = u64::try_from(wait.as_nanos()).unwrap();
    prop_assert!(wait_ns > 0);
    prop_assert_eq!(limiter.time_until_available_at(cost, now_ns), Some(wait));
    let early = limiter.try_consume_at(cost, now_ns + wait_ns - 1);
    prop_assert!(early.is_err(), "{wait_ns} ns after {now_ns} is not the first moment");
    prop_assert_eq!(
        limiter.time_until_available_at(cost, now_ns + wait_ns),
        Some(Duration::ZERO),
        "not there {} ns after {}",
        wait_ns,
        now_ns
    );
    let after = limiter.snapshot_at(now_ns);
    prop_assert_eq!(after.available(), before.available());
    prop_assert_eq!(after.full_after(), before.full_after());
    Ok(Some(now_ns + wait_ns))
}

/// What is there, is there: exactly so much, and all of it when it is said to be.
fn check_snapshot<A: Algorithm + Debug>(
    limiter: &Limiter<A, ManualClock>,
    full: Tokens,
    now_ns: u64,
) -> Result<(), TestCaseError> {
    let snapshot = limiter.snapshot_at(now_ns);
    prop_assert_eq!(snapshot.available(), limiter.available_at(now_ns));
    prop_assert_eq!(snapshot.debt(), 0);
    if !snapshot.available().is_zero() {
        prop_assert_eq!(
            limiter.time_until_available_at(snapshot.available(), now_ns),
            Some(Duration::ZERO)
        );
    }
    let full_ns = u64::try_from(snapshot.full_after().as_nanos()).unwrap();
    prop_assert_eq!(limiter.available_at(now_ns + full_ns), full);
    if full_ns > 0 {
        prop_assert!(limiter.available_at(now_ns + full_ns - 1) < full);
    } else {
        prop_assert_eq!(snapshot.available(), full);
    }
    Ok(())
}

/// The time in which `quota` fills, or an hour if that is longer than what fits.
fn fill_ns(quota: &Quota) -> u64 {
    let ns = nanos(quota.capacity()) * quota.period().as_nanos() / nanos(quota.tokens());
    u64::try_from(ns).unwrap_or(3_600 * SECOND_NS).min(1 << 56)
}

/// An algorithm that keeps an instant, against both models.
struct InstantBench<A: Algorithm> {
    limiter: Limiter<A, ManualClock>,
    quota: Quota,
    /// What a token bucket that holds as much would say: never less.
    bucket: Exact,
    /// What GCRA says.
    instant: Virtual,
    /// What rounding may have taken so far, in 1/16 ns × billionths of a token.
    lost: BigInt,
    /// Whether nothing was rounded so far.
    exact: bool,
}

impl<A: Algorithm + Debug> InstantBench<A> {
    fn new(algorithm: A, quota: Quota, extra_tokens: u64, start_ns: u64) -> Option<Self> {
        let limiter = Limiter::with_clock(algorithm, ManualClock::at(start_ns)).ok()?;
        let capacity = quota.capacity().saturating_add(Tokens::new(extra_tokens));
        let instant = Virtual::new(quota, extra_tokens, start_ns);
        let exact = instant.is_exact() && capacity.subsec_nanos() == 0;
        let quota = quota.burst(capacity);
        let bucket = Exact::full(quota, start_ns);
        Some(Self { limiter, quota, bucket, instant, lost: BigInt::ZERO, exact })
    }

    /// The tokens, in billionths and rounded up, that come in a span given in 1/16 ns × billionths of a token.
    fn in_sixteenths(&self, span: &BigInt) -> BigInt {
        let rate = span * nanos(self.quota.tokens());
        rate / (BigInt::from(16_u64 * SECOND_NS) * self.quota.period().as_nanos()) + 1
    }

    fn rounded(&mut self, cost: &BigInt) {
        self.exact &= cost % SECOND_NS == BigInt::ZERO;
        self.lost += cost + SECOND_NS;
    }

    fn compare(&mut self, now_ns: u64) -> Result<(), TestCaseError> {
        let ours = nanos(self.limiter.available_at(now_ns));
        let exact = self.instant.available(now_ns);
        if self.exact {
            prop_assert_eq!(&ours, &exact.clone().max(BigInt::ZERO));
        }
        let bucket = self.bucket.clone().level_at(now_ns).clone();
        // A burst that is no whole number of tokens is rounded up, by less than 1/16 ns.
        let over = if self.quota.capacity().subsec_nanos() == 0 {
            BigInt::ZERO
        } else {
            self.bucket.scaled(self.in_sixteenths(&SECOND_NS.into()))
        };
        prop_assert!(self.bucket.scaled(ours.clone()) <= bucket + over, "over at {now_ns}");
        let under = &exact - self.in_sixteenths(&self.lost) - 1;
        prop_assert!(ours >= under, "under at {now_ns}: {ours} < {exact}");
        Ok(())
    }

    /// Returns the billionths of a token that were granted, and the moment to come again.
    fn apply(&mut self, op: &Op, now_ns: u64) -> Result<(BigInt, Option<u64>), TestCaseError> {
        let granted = match op {
            Op::Take(cost) => {
                let cost = cost.of(self.quota.capacity());
                let holds = self.instant.holds(&nanos(cost), now_ns);
                match self.limiter.try_consume_at(cost, now_ns) {
                    Ok(granted) => {
                        prop_assert!(holds || !self.exact, "granted {cost} at {now_ns}");
                        // Above the burst by less than it is rounded up by.
                        let above = cost.saturating_sub(self.quota.capacity());
                        prop_assert!(nanos(above) < self.in_sixteenths(&SECOND_NS.into()));
                        prop_assert!(above.is_zero() || self.quota.capacity().subsec_nanos() > 0);
                        prop_assert_eq!(granted.remaining(), self.limiter.available_at(now_ns));
                        nanos(cost)
                    }
                    Err(denied) => {
                        prop_assert!(!holds || !self.exact, "denied {cost} at {now_ns}");
                        prop_assert_eq!(denied.is_never(), cost > self.quota.capacity());
                        let retry_ns = check_denial(&self.limiter, cost, now_ns, denied)?;
                        return Ok((BigInt::ZERO, retry_ns));
                    }
                }
            }
            Op::UpTo(max) => {
                let whole = self.limiter.available_at(now_ns).whole();
                let taken = self.limiter.consume_up_to_at(*max, now_ns);
                prop_assert_eq!(taken, whole.min(*max));
                if taken == 0 {
                    return Ok((BigInt::ZERO, None));
                }
                nanos(Tokens::new(taken))
            }
            Op::Refund(cost) => {
                let cost = nanos(cost.of(self.quota.capacity()));
                self.limiter.refund_at(tokens(&cost), now_ns);
                self.bucket.level_at(now_ns);
                self.bucket.give(cost.clone());
                self.instant.give(&cost, now_ns);
                // No more than all is given back, nor lost by it.
                self.rounded(&cost.min(nanos(self.quota.capacity())));
                return Ok((BigInt::ZERO, None));
            }
        };
        self.bucket.level_at(now_ns);
        self.bucket.take(granted.clone());
        self.instant.take(&granted, now_ns);
        self.rounded(&granted);
        Ok((granted, None))
    }
}

fn runs_as_the_models<A: Algorithm + Debug>(
    algorithm: A,
    (quota, extra_tokens): (Quota, u64),
    start_ns: u64,
    steps: &[(Step, Op)],
) -> Result<(), TestCaseError> {
    let Some(mut bench) = InstantBench::new(algorithm, quota, extra_tokens, start_ns) else {
        return Ok(());
    };
    let mut history = History::new(start_ns, fill_ns(&bench.quota));
    for (step, op) in steps {
        let now_ns = match (step, op) {
            // A stale refund is a case of its own, below.
            (Step::Stale(_), Op::Refund(_)) => history.clock_ns,
            _ => history.now_ns(step),
        };
        let (granted, retry_ns) = bench.apply(op, now_ns)?;
        history.retry_ns = retry_ns.unwrap_or(history.clock_ns);
        if granted > BigInt::ZERO || matches!(op, Op::Refund(_)) {
            history.written(now_ns);
        }
        bench.compare(now_ns)?;
        bench.compare(history.clock_ns)?;
        check_snapshot(&bench.limiter, bench.quota.capacity(), now_ns)?;
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<(Step, Op)>> {
    prop::collection::vec((step(), op()), 1..40)
}

/// A step back beyond the first moment would be one behind zero.
fn start_ns() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), log_uniform(58), log_uniform(61)]
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn gcra_is_the_exact_one(quota in quota(), start_ns in start_ns(), steps in steps()) {
        runs_as_the_models(Gcra::new(quota), (quota, 0), start_ns, &steps)?;
    }

    #[test]
    fn the_leaky_bucket_is_the_exact_one(quota in quota(), start_ns in start_ns(), steps in steps()) {
        runs_as_the_models(LeakyBucket::new(quota), (quota, 0), start_ns, &steps)?;
    }

    #[test]
    fn the_leaky_queue_lets_in_exactly_so_many(quota in quota(), start_ns in start_ns(), steps in steps()) {
        runs_as_the_models(LeakyQueue::new(quota), (quota, 1), start_ns, &steps)?;
    }

    /// In every window of the history: granted is at most burst + rate × window. Each grant counts at its own time, or
    /// at that of the latest grant before it, if it was stale.
    #[test]
    fn no_window_grants_more_than_burst_plus_rate_times_time(
        quota in quota(), start_ns in start_ns(), steps in steps(),
    ) {
        let Some(mut bench) = InstantBench::new(Gcra::new(quota), quota, 0, start_ns) else { return Ok(()) };
        let mut history = History::new(start_ns, fill_ns(&quota));
        let mut grants: Vec<(u64, BigInt)> = Vec::new();
        for (step, op) in &steps {
            if matches!(op, Op::Refund(_)) {
                continue;
            }
            let now_ns = history.now_ns(step);
            let (granted, retry_ns) = bench.apply(op, now_ns)?;
            history.retry_ns = retry_ns.unwrap_or(history.clock_ns);
            if granted > BigInt::ZERO {
                history.written(now_ns);
                grants.push((now_ns.max(grants.last().map_or(0, |last| last.0)), granted));
            }
        }
        let rounding = if quota.capacity().subsec_nanos() == 0 {
            BigInt::ZERO
        } else {
            bench.bucket.scaled(bench.in_sixteenths(&SECOND_NS.into()))
        };
        for (first, (from_ns, _)) in grants.iter().enumerate() {
            let mut sum = BigInt::ZERO;
            for (to_ns, granted) in grants.iter().skip(first) {
                sum += granted;
                let allowed = bench.bucket.scaled(nanos(quota.capacity())) + bench.bucket.credit(to_ns - from_ns);
                prop_assert!(bench.bucket.scaled(sum.clone()) <= allowed + &rounding);
            }
        }
    }

    /// What leaves a queue leaves evenly: item by item by the share of the period that it takes, to the nanosecond.
    #[test]
    fn a_queue_lets_go_at_its_pace(
        quota in quota(), start_ns in start_ns(),
        calls in prop::collection::vec((step(), prop_oneof![3 => Just(1_u64), 1 => 1..4_u64]), 1..60),
    ) {
        let Ok(queue) = Limiter::with_clock(LeakyQueue::new(quota), ManualClock::at(start_ns)) else { return Ok(()) };
        let mut history = History::new(start_ns, fill_ns(&quota));
        // The tokens that left, and when the last of each item did.
        let mut departures: Vec<(u64, u64)> = Vec::new();
        for (step, cost) in &calls {
            let now_ns = history.now_ns(step);
            match queue.try_consume_at(*cost, now_ns) {
                Ok(granted) => {
                    history.written(now_ns);
                    let wait_ns = u64::try_from(granted.departs_after().as_nanos()).unwrap();
                    // At most the burst waits: here in time × rate, in tokens × period; a thousandth for the rounding
                    // of the interval, and a nanosecond.
                    let waited = nanos(quota.tokens()) * wait_ns.saturating_sub(2);
                    let longest = nanos(quota.capacity()) * quota.period().as_nanos() * 1_001 / 1_000;
                    prop_assert!(waited <= longest, "waits for {wait_ns} ns");
                    departures.push((*cost, now_ns + wait_ns));
                }
                Err(denied) => {
                    history.retry_ns = check_denial(&queue, (*cost).into(), now_ns, denied)?.unwrap_or(0);
                }
            }
        }
        for pair in departures.windows(2) {
            let [(_, before_ns), (cost, at_ns)] = pair else { unreachable!() };
            prop_assert!(at_ns > before_ns || quota.tokens().whole() > 1);
            let paced = nanos(quota.tokens()) * (at_ns.wrapping_sub(*before_ns) + 1);
            prop_assert!(at_ns >= before_ns);
            prop_assert!(paced > nanos(Tokens::new(*cost)) * quota.period().as_nanos(), "{pair:?} is too close");
        }
        // And over any number of them: a nanosecond in all, not one for each.
        for (first, (_, from_ns)) in departures.iter().enumerate() {
            let mut sum = 0;
            for (cost, to_ns) in departures.iter().skip(first + 1) {
                sum += cost;
                let passed = nanos(quota.tokens()) * (to_ns - from_ns + 1);
                prop_assert!(passed > nanos(Tokens::new(sum)) * quota.period().as_nanos());
            }
        }
    }

    /// Where a token takes whole sixteenths of a nanosecond, and time does not go back, all that say so decide alike.
    #[test]
    fn gcra_and_the_leaky_bucket_decide_as_the_token_bucket(
        tokens in prop::sample::select(vec![1_u64, 2, 5, 8, 10, 16, 1_000, 64_000, 1_000_000]),
        period in prop::sample::select(vec![1_u64, 3, 7, 60, 3_600]), burst in 1..2_000_u64,
        steps in prop::collection::vec((0..1_500_u64, any::<bool>(), 0..2_100_u64), 1..80),
    ) {
        let quota = Quota::new(tokens, Duration::from_secs(period)).burst(burst);
        // By whole tokens, so that what comes is a whole number of the token bucket's units, too.
        let token_ns = period * SECOND_NS / tokens;
        prop_assume!(token_ns * tokens == period * SECOND_NS);
        let bucket = TokenBucket::with_clock(quota, ManualClock::new()).unwrap();
        let gcra = Limiter::with_clock(Gcra::new(quota), ManualClock::new()).unwrap();
        let leaky = Limiter::with_clock(LeakyBucket::new(quota), ManualClock::new()).unwrap();
        let mut now_ns = 0;
        for (share, by_token, cost) in steps {
            now_ns += token_ns * if by_token { share } else { burst * share / 1_000 };
            let by_bucket = bucket.try_consume_at(cost, now_ns).map(|granted| granted.remaining());
            let by_gcra = gcra.try_consume_at(cost, now_ns).map(|granted| granted.remaining());
            let by_leaky = leaky.try_consume_at(cost, now_ns).map(|granted| granted.remaining());
            prop_assert_eq!(by_bucket.is_ok(), by_gcra.is_ok(), "{} at {}", cost, now_ns);
            if let (Err(by_bucket), Err(by_gcra)) = (by_bucket, by_gcra) {
                // The token bucket's rate is rounded up: over days, that is a nanosecond.
                let waits = by_bucket.retry_after().zip(by_gcra.retry_after());
                prop_assert_eq!(by_bucket.is_never(), by_gcra.is_never());
                prop_assert!(waits.is_none_or(|(one, other)| one.abs_diff(other) <= Duration::from_nanos(1) + one / (1 << 20)));
            }
            prop_assert_eq!(&by_gcra, &by_leaky);
            prop_assert_eq!(bucket.available_at(now_ns), gcra.available_at(now_ns));
            let level = leaky.level_at(now_ns);
            prop_assert_eq!(level.saturating_add(gcra.available_at(now_ns)), quota.capacity());
        }
    }

    /// A changed burst: the level stays as it is, and the new burst holds from then on.
    #[test]
    fn a_changed_burst_is_the_exact_one(
        rate in prop::sample::select(vec![1_u64, 10, 1_000, 1_000_000]), first in 1..1_000_u64,
        changes in prop::collection::vec((1..1_000_u64, 0..2_000_u64, 0..1_200_u64), 1..30),
    ) {
        let quota = Quota::per_second(rate).burst(first);
        let gcra = Limiter::with_clock(Gcra::new(quota), ManualClock::new()).unwrap();
        let mut exact = Virtual::new(quota, 0, 0);
        let mut now_ns = 0;
        let mut largest = first;
        let mut grants: Vec<(u64, u64)> = Vec::new();
        for (burst, share, cost) in changes {
            gcra.set(Gcra::new(quota.burst(burst))).unwrap();
            prop_assert_eq!(gcra.algorithm(), Gcra::new(quota.burst(burst)));
            exact.set_burst(burst.into());
            largest = largest.max(burst);
            now_ns += fill_ns(&quota.burst(burst)) / 1_000 * share;
            let holds = exact.holds(&nanos(cost.into()), now_ns);
            match gcra.try_consume_at(cost, now_ns) {
                Ok(_) => {
                    prop_assert!(holds);
                    exact.take(&nanos(cost.into()), now_ns);
                    grants.push((now_ns, cost));
                }
                Err(denied) => {
                    prop_assert!(!holds);
                    check_denial(&gcra, cost.into(), now_ns, denied)?;
                }
            }
            prop_assert_eq!(nanos(gcra.available_at(now_ns)), exact.available(now_ns).max(BigInt::ZERO));
            for (from_ns, _) in &grants {
                let sum: u64 = grants.iter().filter(|(at_ns, _)| at_ns >= from_ns).map(|grant| grant.1).sum();
                let came = u128::from(now_ns - from_ns) * u128::from(rate) / u128::from(SECOND_NS);
                prop_assert!(u128::from(sum) <= u128::from(largest) + came);
            }
        }
    }
}

/// A limit, a period and where windows start.
#[derive(Clone, Debug)]
struct Windows {
    limit: Tokens,
    period_ns: u64,
}

fn windows() -> impl Strategy<Value = Windows> {
    (amount(40), prop_oneof![3 => period_ns(), 1 => 1..200_u64, 1 => Just((1 << 30) - (1 << 16))])
        .prop_map(|(limit, period_ns)| Windows { limit, period_ns })
}

/// The smallest amount that a limiter tells apart: what a billionth of a token costs.
fn unit<A: Algorithm>(algorithm: A) -> u128 {
    let limiter = Limiter::with_clock(algorithm, ManualClock::new()).unwrap();
    let full = limiter.available_at(0);
    limiter.try_consume_at(Tokens::decimal(1, 9), 0).unwrap();
    u128::try_from(nanos(full.saturating_sub(limiter.available_at(0)))).unwrap()
}

fn billionths(tokens: Tokens) -> u128 {
    u128::from(tokens.whole()) * u128::from(SECOND_NS) + u128::from(tokens.subsec_nanos())
}

/// Aligned windows against their counts, and, by the log of all grants, what they guarantee.
fn counts_exactly<A: Algorithm + Debug>(
    algorithm: A,
    windows: &Windows,
    weighs: bool,
    start_ns: u64,
    steps: &[(Step, Op)],
) -> Result<(), TestCaseError> {
    let Ok(limiter) = Limiter::with_clock(algorithm, ManualClock::at(start_ns)) else {
        return Ok(());
    };
    let unit = unit(algorithm);
    let limit_units = billionths(windows.limit) / unit;
    let limit = tokens(&BigInt::from(limit_units * unit));
    let mut counts = Counts::new(windows.period_ns, limit_units, weighs, start_ns);
    let mut history = History::new(start_ns, windows.period_ns);
    let mut log: Vec<(u64, u128)> = Vec::new();
    for (step, op) in steps {
        let now_ns = history.now_ns(step);
        match op {
            Op::Take(cost) => {
                let cost = cost.of(limit);
                let units = billionths(cost).div_ceil(unit);
                match limiter.try_consume_at(cost, now_ns) {
                    Ok(granted) => {
                        prop_assert!(counts.holds(units, now_ns), "granted {cost} at {now_ns}");
                        prop_assert_eq!(granted.remaining(), limiter.available_at(now_ns));
                        prop_assert_eq!(granted.departs_after(), Duration::ZERO);
                        counts.take(units, now_ns);
                        log.push((now_ns, units));
                        history.written(now_ns);
                    }
                    Err(denied) => {
                        prop_assert!(!counts.holds(units, now_ns), "denied {cost} at {now_ns}");
                        prop_assert_eq!(denied.is_never(), units > limit_units);
                        let retry_ns = check_denial(&limiter, cost, now_ns, denied)?;
                        history.retry_ns = retry_ns.unwrap_or(0);
                    }
                }
            }
            Op::UpTo(max) => {
                let taken = limiter.consume_up_to_at(*max, now_ns);
                let per_token = u128::from(SECOND_NS) / unit;
                let whole = counts.available(now_ns) / per_token;
                prop_assert_eq!(u128::from(taken), whole.min((*max).into()));
                if taken > 0 {
                    counts.take(u128::from(taken) * per_token, now_ns);
                    log.push((now_ns, u128::from(taken) * per_token));
                    history.written(now_ns);
                }
            }
            Op::Refund(cost) => {
                // A refund of more than was taken would need a log that goes below zero.
                let cost = cost.of(limit);
                limiter.refund_at(cost, now_ns);
                counts.give(billionths(cost) / unit, now_ns);
                log.clear();
                history.written(now_ns);
            }
        }
        for at_ns in [now_ns, history.clock_ns] {
            let available = tokens(&BigInt::from(counts.available(at_ns) * unit));
            prop_assert_eq!(limiter.available_at(at_ns), available, "at {}", at_ns);
        }
        check_snapshot(&limiter, limit, now_ns)?;
    }
    audit(&log, windows.period_ns, limit_units, weighs)
}

/// By the log of what was granted when: at most the limit by aligned windows; twice as much in any time as long as
/// one, and less than that if they are weighed.
fn audit(
    log: &[(u64, u128)],
    period_ns: u64,
    limit: u128,
    weighs: bool,
) -> Result<(), TestCaseError> {
    let most = if weighs { 2 * limit - 1 } else { 2 * limit };
    for (from_ns, _) in log {
        let sum = |is_in: &dyn Fn(u64) -> bool| -> u128 {
            log.iter().filter(|(at_ns, _)| is_in(*at_ns)).map(|(_, units)| units).sum()
        };
        prop_assert!(sum(&|at_ns| at_ns / period_ns == from_ns / period_ns) <= limit);
        prop_assert!(sum(&|at_ns| at_ns >= *from_ns && at_ns - from_ns < period_ns) <= most);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn a_fixed_window_counts_exactly(windows in windows(), start_ns in start_ns(), steps in steps()) {
        let algorithm = FixedWindow::new(windows.limit, Duration::from_nanos(windows.period_ns));
        counts_exactly(algorithm, &windows, false, start_ns, &steps)?;
    }

    #[test]
    fn a_sliding_window_weighs_exactly(windows in windows(), start_ns in start_ns(), steps in steps()) {
        let algorithm = SlidingWindow::new(windows.limit, Duration::from_nanos(windows.period_ns));
        counts_exactly(algorithm, &windows, true, start_ns, &steps)?;
    }

    /// Against a log: too low by at most before × f, too high by at most before × (1 − f), and a unit of rounding.
    #[test]
    fn a_sliding_window_is_off_by_no_more_than_it_says(
        limit in 1..500_u64, period_ns in prop_oneof![Just(SECOND_NS), Just(7 * SECOND_NS), 1_000..2_000_u64],
        steps in prop::collection::vec((0..400_u64, 1..100_u64), 1..80),
    ) {
        let algorithm = SlidingWindow::new(limit, Duration::from_nanos(period_ns));
        let Ok(limiter) = Limiter::with_clock(algorithm, ManualClock::new()) else { return Ok(()) };
        let unit = unit(algorithm);
        let mut log: Vec<(u64, u128)> = Vec::new();
        let mut now_ns = 0;
        for (share, max) in steps {
            now_ns += period_ns * share / 1_000;
            let taken = limiter.consume_up_to_at(max, now_ns);
            log.push((now_ns, u128::from(taken) * u128::from(SECOND_NS)));
            let (window, elapsed_ns) = (now_ns / period_ns, now_ns % period_ns);
            let sum = |is_in: &dyn Fn(u64) -> bool| -> u128 {
                log.iter().filter(|(at_ns, _)| is_in(*at_ns)).map(|(_, billionths)| billionths).sum()
            };
            // The sliding window ends now, and holds its end but not its beginning.
            let exact = sum(&|at_ns| at_ns + period_ns > now_ns);
            let before = sum(&|at_ns| at_ns / period_ns + 1 == window);
            let told = billionths(limit.into()) - billionths(limiter.available_at(now_ns));
            let period = u128::from(period_ns);
            let low = before * u128::from(elapsed_ns) / period + 1;
            let high = before * u128::from(period_ns - elapsed_ns) / period + 1 + unit;
            prop_assert!(told + low >= exact, "{told} is too low against {exact}");
            prop_assert!(told <= exact + high, "{told} is too high against {exact}");
        }
    }

    /// A window from its first call lasts for its period at least, and for two of its ticks more at most, of which a
    /// period has 64 or more.
    #[test]
    fn a_window_from_the_first_call_is_its_period_long(
        windows in windows(), start_ns in start_ns(), steps in steps(),
    ) {
        let period_ns = windows.period_ns;
        let algorithm = FixedWindow::new(windows.limit, Duration::from_nanos(period_ns)).from_first_call();
        let Ok(limiter) = Limiter::with_clock(algorithm, ManualClock::at(start_ns)) else { return Ok(()) };
        let unit = unit(algorithm);
        let limit_units = billionths(windows.limit) / unit;
        let limit = tokens(&BigInt::from(limit_units * unit));
        let mut history = History::new(start_ns, period_ns);
        // The first call of the present window, and what it has counted.
        let mut window: Option<(u64, u128)> = None;
        let mut written_ns = start_ns;
        let mut log: Vec<(u64, u128)> = Vec::new();
        for (step, op) in &steps {
            let now_ns = history.now_ns(step);
            let available = billionths(limiter.available_at(now_ns)) / unit;
            if available == 0 && now_ns < written_ns {
                // Earlier than what was written last, if only by a cost of nothing.
            } else if let Some((first_ns, count)) = window {
                let after_ns = now_ns.saturating_sub(first_ns);
                prop_assert!(now_ns + period_ns / 64 >= first_ns, "{available} at {now_ns}");
                if after_ns < period_ns {
                    prop_assert_eq!(available, limit_units - count);
                } else if after_ns >= period_ns + period_ns / 32 {
                    prop_assert_eq!(available, limit_units);
                } else {
                    prop_assert!(available == limit_units || available == limit_units - count);
                }
            } else {
                prop_assert_eq!(available, limit_units);
            }
            let units = match op {
                Op::Take(cost) => {
                    let cost = cost.of(limit);
                    let units = billionths(cost).div_ceil(unit);
                    match limiter.try_consume_at(cost, now_ns) {
                        Ok(granted) => {
                            prop_assert!(units <= available);
                            written_ns = written_ns.max(now_ns);
                            prop_assert_eq!(granted.remaining(), limiter.available_at(now_ns));
                            units
                        }
                        Err(denied) => {
                            prop_assert!(units > available || available == 0);
                            prop_assert_eq!(denied.is_never(), units > limit_units);
                            history.retry_ns = check_denial(&limiter, cost, now_ns, denied)?.unwrap_or(0);
                            0
                        }
                    }
                }
                Op::UpTo(max) => {
                    let taken = limiter.consume_up_to_at(*max, now_ns);
                    prop_assert_eq!(u128::from(taken), (available * unit / u128::from(SECOND_NS)).min((*max).into()));
                    u128::from(taken) * u128::from(SECOND_NS) / unit
                }
                Op::Refund(_) => continue,
            };
            check_snapshot(&limiter, limit, now_ns)?;
            if units == 0 {
                // A nothing begins no window, but ends one that is over.
                if available == limit_units && written_ns == now_ns {
                    window = None;
                }
                continue;
            }
            history.written(now_ns);
            written_ns = written_ns.max(now_ns);
            log.push((now_ns, units));
            window = match window {
                Some((first_ns, count)) if available == limit_units - count => Some((first_ns, count + units)),
                _ => Some((now_ns, units)),
            };
        }
        for (from_ns, _) in &log {
            let sum: u128 =
                log.iter().filter(|(at_ns, _)| at_ns >= from_ns && at_ns - from_ns < period_ns).map(|grant| grant.1).sum();
            prop_assert!(sum <= 2 * limit_units);
        }
    }

    /// A changed limit: what was counted stays counted, and no window has more than the larger one.
    #[test]
    fn a_changed_limit_counts_exactly(
        first in 1..1_000_u64, weighs in any::<bool>(),
        changes in prop::collection::vec((0..=1_000_u64, 0..1_200_u64, 0..1_200_u64), 1..30),
    ) {
        fn run<A: Adjustable + Debug>(
            make: impl Fn(u64) -> A, weighs: bool, first: u64, changes: &[(u64, u64, u64)],
        ) -> Result<(), TestCaseError> {
            let period_ns = 7 * SECOND_NS;
            let limiter = Limiter::with_clock(make(first), ManualClock::new()).unwrap();
            let mut counts = Counts::new(period_ns, first.into(), weighs, 0);
            let (mut now_ns, mut largest) = (0, first);
            let mut log: Vec<(u64, u128)> = Vec::new();
            for &(limit, share, cost) in changes {
                // Up to eight times the first limit.
                let limit = (limit % (first * 8)).max(1);
                limiter.set(make(limit)).unwrap();
                counts.limit = limit.into();
                largest = largest.max(limit);
                now_ns += period_ns / 1_000 * share;
                match limiter.try_consume_at(cost, now_ns) {
                    Ok(_) => {
                        prop_assert!(counts.holds(cost.into(), now_ns));
                        counts.take(cost.into(), now_ns);
                        log.push((now_ns, cost.into()));
                    }
                    Err(denied) => {
                        prop_assert!(!counts.holds(cost.into(), now_ns));
                        check_denial(&limiter, cost.into(), now_ns, denied)?;
                    }
                }
                prop_assert_eq!(u128::from(limiter.available_at(now_ns).whole()), counts.available(now_ns));
            }
            audit(&log, period_ns, largest.into(), false)
        }
        let period = Duration::from_secs(7);
        if weighs {
            run(|limit| SlidingWindow::new(limit, period), true, first, &changes)?;
        } else {
            run(|limit| FixedWindow::new(limit, period), false, first, &changes)?;
        }
    }
}

fn on_a_manual_clock<A: Algorithm>(algorithm: A) -> Limiter<A, ManualClock> {
    Limiter::with_clock(algorithm, ManualClock::new()).unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

/// Twice the limit across a boundary: exactly that is reached, and never more.
#[test]
fn a_fixed_window_lets_twice_its_limit_through_across_a_boundary() {
    let limiter = on_a_manual_clock(FixedWindow::new(100, MINUTE));
    let boundary_ns = 60 * SECOND_NS;
    assert_eq!(limiter.consume_up_to_at(1_000, boundary_ns - 1), 100);
    assert_eq!(limiter.consume_up_to_at(1_000, boundary_ns), 100);
    assert_eq!(limiter.consume_up_to_at(1_000, 2 * boundary_ns - 1), 0);
    // Less than that of a sliding one, by one.
    let limiter = on_a_manual_clock(SlidingWindow::new(100, MINUTE));
    let mut granted = limiter.consume_up_to_at(1_000, boundary_ns - 1);
    for at_ns in (boundary_ns..2 * boundary_ns - 1).step_by(100_000_000) {
        granted += limiter.consume_up_to_at(1_000, at_ns);
    }
    granted += limiter.consume_up_to_at(1_000, 2 * boundary_ns - 2);
    assert_eq!(granted, 199);
}

/// The list of pitfalls, row 41: polled at whatever interval, it leaks as fast.
#[test]
fn a_leaky_bucket_leaks_steadily_while_it_is_being_hit() {
    for interval_ns in [1, 7, 999, 1_999, 65_537, 1_000_003] {
        let leaky = on_a_manual_clock(LeakyBucket::new(Quota::per_second(1_000_000).burst(10_000)));
        assert_eq!(leaky.consume_up_to_at(10_000, 0), 10_000);
        let polls = 100_000;
        let granted: u64 =
            (1..=polls).map(|poll| leaky.consume_up_to_at(2_000, poll * interval_ns)).sum();
        let end_ns = polls * interval_ns;
        let leaked = granted + leaky.available_at(end_ns).whole();
        assert_eq!(leaked, end_ns / 1_000, "every {interval_ns} ns");
    }
}

/// The list of pitfalls, row 21.
#[test]
fn after_a_long_idle_only_the_burst_is_free() {
    let idle_ns = 8 * YEAR_NS;
    for extra in [0, 1] {
        let quota = Quota::per_second(10).burst(5);
        let taken = |now_ns| match extra {
            0 => on_a_manual_clock(Gcra::new(quota)).consume_up_to_at(100, now_ns),
            _ => on_a_manual_clock(LeakyQueue::new(quota)).consume_up_to_at(100, now_ns),
        };
        assert_eq!(taken(idle_ns), 5 + extra);
    }
    let queue = on_a_manual_clock(LeakyQueue::new(Quota::per_second(10).burst(5)));
    queue.try_consume_at(6, 0).unwrap();
    let departures: Vec<_> = (0..6)
        .map(|_| queue.try_consume_at(1, idle_ns).unwrap().departs_after().as_millis())
        .collect();
    assert_eq!(departures, [0, 100, 200, 300, 400, 500]);
    assert!(queue.try_consume_at(1, idle_ns).is_err());
    assert!(queue.try_consume_at(1, idle_ns + 100_000_000).is_ok());
    assert!(queue.try_consume_at(1, idle_ns + 100_000_000).is_err());
}

/// The list of pitfalls, rows 7, 10 and 12: for good, and with nothing spent.
#[test]
fn a_cost_above_the_limit_is_never() {
    fn check<A: Algorithm>(limiter: &Limiter<A, ManualClock>, limit: Tokens) {
        let above = limit.saturating_add(Tokens::decimal(1, 9));
        for cost in [above, limit.saturating_add(Tokens::ONE), Tokens::MAX] {
            for now_ns in [0, 10 * SECOND_NS, YEAR_NS] {
                let denied = limiter.try_consume_at(cost, now_ns).unwrap_err();
                let Denied::Never(never) = denied else { panic!("{denied} of {cost}") };
                assert_eq!((never.cost(), never.capacity()), (cost, limit));
                assert_eq!(limiter.time_until_available_at(cost, now_ns), None);
            }
        }
        assert_eq!(limiter.available_at(0), limit);
        assert_eq!(limiter.try_consume_at(limit, 0).unwrap().remaining(), 0);
    }
    let half = Tokens::decimal(5, 1);
    for limit in [half, Tokens::ONE, Tokens::new(7), Tokens::decimal(7, 1)] {
        let quota = Quota::new(3, Duration::from_secs(7)).burst(limit);
        check(&on_a_manual_clock(Gcra::new(quota)), limit);
        check(&on_a_manual_clock(LeakyBucket::new(quota)), limit);
        check(&on_a_manual_clock(LeakyQueue::new(quota)), limit.saturating_add(Tokens::ONE));
        check(&on_a_manual_clock(FixedWindow::new(limit, MINUTE)), limit);
        check(&on_a_manual_clock(FixedWindow::new(limit, MINUTE).from_first_call()), limit);
        check(&on_a_manual_clock(SlidingWindow::new(limit, MINUTE)), limit);
    }
}

/// A burst of which no whole number of 1/16 ns makes a token's span is there, all of it, after a rest: a cost of it
/// was once told to come back in a nanosecond, for ever.
#[test]
fn all_of_a_fractional_burst_can_be_had() {
    let burst = Tokens::decimal(7, 1);
    let limiter = on_a_manual_clock(Gcra::new(Quota::new(3, Duration::from_secs(7)).burst(burst)));
    assert_eq!(limiter.available_at(0), burst);
    assert!(limiter.try_consume_at(burst, 0).is_ok());
    let wait = limiter.try_consume_at(burst, 0).unwrap_err().retry_after().unwrap();
    assert!(limiter.try_consume_at(burst, u64::try_from(wait.as_nanos()).unwrap()).is_ok());
}

/// A window that starts with its first call, rounded up to a tick, ends when the wait says: that was once counted from
/// the call, up to a tick too early.
#[test]
fn a_wait_within_the_first_tick_is_to_the_end_of_the_window() {
    let limiter = on_a_manual_clock(FixedWindow::new(1, MINUTE).from_first_call());
    limiter.try_consume_at(1, 1).unwrap();
    let wait = limiter.try_consume_at(1, 1).unwrap_err().retry_after().unwrap();
    assert!(wait >= MINUTE && wait <= MINUTE + MINUTE / 64);
    let wait_ns = u64::try_from(wait.as_nanos()).unwrap();
    assert!(limiter.try_consume_at(1, wait_ns).is_err());
    assert!(limiter.try_consume_at(1, 1 + wait_ns).is_ok());
    // And from a time before the tick.
    let wait = limiter.try_consume_at(1, 2).unwrap_err().retry_after().unwrap();
    let wait_ns = u64::try_from(wait.as_nanos()).unwrap();
    assert!(limiter.try_consume_at(1, 1 + wait_ns).is_err());
    assert!(limiter.try_consume_at(1, 2 + wait_ns).is_ok());
}

/// A cost of nothing ends a window that is over. A call with a time before that once found neither, and a full one.
#[test]
fn a_window_that_ended_does_not_come_back_empty() {
    let limiter = on_a_manual_clock(FixedWindow::new(10, MINUTE).from_first_call());
    limiter.try_consume_at(10, 0).unwrap();
    assert!(limiter.try_consume_at(0, 62 * SECOND_NS).is_ok());
    assert_eq!(limiter.available_at(59 * SECOND_NS), 0);
    assert_eq!(limiter.consume_up_to_at(10, 59 * SECOND_NS), 0);
    assert_eq!(limiter.consume_up_to_at(10, 62 * SECOND_NS), 10);
}

/// A cost of nothing waits as any other if a lowered limit has been passed: it was once told to come back in a
/// nanosecond, for a whole window.
#[test]
fn a_cost_of_nothing_is_told_the_true_wait_above_a_lowered_limit() {
    let limiter = on_a_manual_clock(FixedWindow::new(10, MINUTE));
    limiter.try_consume_at(10, 0).unwrap();
    limiter.set(FixedWindow::new(5, MINUTE)).unwrap();
    assert_eq!(limiter.try_consume_at(0, 0).unwrap_err().retry_after(), Some(MINUTE));
    assert_eq!(limiter.time_until_available_at(0, 0), Some(MINUTE));
}

/// Idle for as long as may be, wherever in a window and in the range of the words: read as idle.
#[test]
fn an_idle_of_years_is_not_misread() {
    fn check<A: Algorithm>(algorithm: A, limit: u64, start_ns: u64) {
        let longest_ns = u64::try_from(limits::LONGEST_IDLE.as_nanos()).unwrap();
        // What is refused is a matter of `algorithms_limits.rs`.
        let Ok(limiter) = Limiter::with_clock(algorithm, ManualClock::at(start_ns)) else { return };
        let mut now_ns = start_ns;
        for idle_ns in
            [0, longest_ns, longest_ns - 1, longest_ns - 777, longest_ns, (1 << 57) + (1 << 52)]
        {
            now_ns += idle_ns;
            assert_eq!(limiter.consume_up_to_at(limit, now_ns), limit, "{algorithm:?} at {now_ns}");
            assert_eq!(limiter.consume_up_to_at(limit, now_ns), 0);
        }
    }
    for start_ns in [0, 1, 77_777, (1 << 44) + 1, 1 << 60] {
        check(Gcra::new(Quota::per_hour(10)), 10, start_ns);
        check(LeakyBucket::new(Quota::new(1, Duration::from_nanos(4 * YEAR_NS))), 1, start_ns);
        check(LeakyQueue::new(Quota::per_second(10).burst(4)), 5, start_ns);
        // Just above a power of two's share of the longest idle: of those the last window was once ahead.
        let periods_ns =
            [SECOND_NS, (1 << 30) - (1 << 16), (1 << 30) - (1 << 16) + 1, 1 << 30, 1 << 57];
        for period_ns in periods_ns {
            let period = Duration::from_nanos(period_ns);
            for limit in [1, 1_000, 10_000] {
                if period_ns < 1 << 56 {
                    check(SlidingWindow::new(limit, period), limit, start_ns);
                }
            }
            for limit in [1, 1_000, 100_000, 1 << 30] {
                check(FixedWindow::new(limit, period), limit, start_ns);
                check(FixedWindow::new(limit, period).from_first_call(), limit, start_ns);
            }
        }
        let month = Duration::from_secs(30 * 86_400);
        check(FixedWindow::new(100_000, month).from_first_call(), 100_000, start_ns);
    }
}

/// A clock that steps back grants nothing on top, as far as it may: half the range, less the time to fill.
#[test]
fn time_going_back_grants_nothing() {
    let longest_ns = u64::try_from(limits::LONGEST_IDLE.as_nanos()).unwrap();
    fn check<A: Algorithm>(algorithm: A, limit: u64, back_ns: u64) {
        let noon_ns = (1 << 62) + 12_345;
        let limiter = Limiter::with_clock(algorithm, ManualClock::at(noon_ns)).unwrap();
        assert_eq!(limiter.consume_up_to_at(limit, noon_ns), limit);
        for step_ns in [1, SECOND_NS, 3_600 * SECOND_NS, YEAR_NS, back_ns / 2, back_ns] {
            let stale_ns = noon_ns - step_ns.min(back_ns);
            assert_eq!(
                limiter.consume_up_to_at(limit, stale_ns),
                0,
                "{algorithm:?} by {step_ns} ns"
            );
            assert!(limiter.try_consume_at(Tokens::decimal(1, 9), stale_ns).is_err());
        }
        assert_eq!(limiter.consume_up_to_at(limit, noon_ns), 0);
    }
    for quota in [Quota::per_hour(10), Quota::per_second(1_000_000), Quota::per_day(1).burst(100)] {
        let fill_ns = fill_ns(&quota) / 1_000 * 1_001 + fill_ns(&Quota::new(1, quota.period()));
        let limit = quota.capacity().whole();
        check(Gcra::new(quota), limit, longest_ns - fill_ns);
        check(LeakyBucket::new(quota), limit, longest_ns - fill_ns);
        check(LeakyQueue::new(quota), limit + 1, longest_ns - fill_ns);
    }
    for period_ns in [SECOND_NS, (1 << 30) - (1 << 16), 86_400 * SECOND_NS] {
        let period = Duration::from_nanos(period_ns);
        // Within the window nothing more can be had; in one before it, nothing either.
        check(FixedWindow::new(1_000, period), 1_000, longest_ns);
        check(FixedWindow::new(1_000, period).from_first_call(), 1_000, longest_ns);
        check(SlidingWindow::new(1_000, period), 1_000, longest_ns);
    }
}

/// What may not change is named, and nothing has changed.
#[test]
fn a_change_of_rate_or_period_is_refused_and_changes_nothing() {
    let limiter = on_a_manual_clock(Gcra::new(Quota::per_second(10).burst(5)));
    limiter.try_consume_at(2, 0).unwrap();
    let refused = limiter.set(Gcra::new(Quota::per_second(11).burst(50))).unwrap_err();
    assert_eq!(refused, QuotaError::RateChanged { per_second: 11.into() });
    let refused = limiter.set(Gcra::new(Quota::per_second(10).burst(0))).unwrap_err();
    assert_eq!(refused, QuotaError::ZeroBurst);
    assert_eq!(limiter.algorithm(), Gcra::new(Quota::per_second(10).burst(5)));
    assert_eq!(limiter.available_at(0), 3);
    // The same rate in other words is no other rate.
    limiter.set(Gcra::new(Quota::per_minute(600).burst(4))).unwrap();
    assert_eq!(limiter.available_at(0), 2);

    let first = FixedWindow::new(10, MINUTE);
    for (built, asked) in [
        (first, FixedWindow::new(10, 2 * MINUTE)),
        (first, first.from_first_call()),
        (first.from_first_call(), first),
        (first, FixedWindow::new(0, MINUTE)),
        (first, FixedWindow::new(u64::MAX, MINUTE)),
    ] {
        let limiter = on_a_manual_clock(built);
        limiter.try_consume_at(4, 0).unwrap();
        let refused = limiter.set(asked).unwrap_err();
        match refused {
            QuotaError::PeriodChanged { period, built } => assert_eq!(period, 2 * built),
            QuotaError::StartChanged { from_first_call } => {
                assert_eq!(from_first_call, asked == first.from_first_call());
            }
            QuotaError::ZeroLimit { limit } => assert_eq!(limit, 0),
            QuotaError::AboveBuilt { field: "limit", value, largest } => {
                assert_eq!(value, u64::MAX);
                assert!(limiter.set(FixedWindow::new(largest, MINUTE)).is_ok());
                limiter.set(built).unwrap();
            }
            refused => panic!("{refused}"),
        }
        assert_eq!(limiter.algorithm(), built);
        assert_eq!(limiter.available_at(0), 6);
    }
}

/// A refund goes to the window it was taken from or nowhere.
#[test]
fn a_refund_after_the_window_is_lost() {
    for limiter in [FixedWindow::new(10, MINUTE), FixedWindow::new(10, MINUTE).from_first_call()] {
        let limiter = on_a_manual_clock(limiter);
        limiter.try_consume_at(10, 0).unwrap();
        limiter.refund_at(4, 1);
        assert_eq!(limiter.available_at(1), 4);
        let next_ns = 61 * SECOND_NS;
        limiter.try_consume_at(3, next_ns).unwrap();
        limiter.refund_at(10, next_ns + 1);
        assert_eq!(limiter.available_at(next_ns + 1), 10);
        limiter.refund_at(10, next_ns + 1);
        assert_eq!(limiter.available_at(next_ns + 1), 10);
    }
}
