//! The buckets of many keys against exact arithmetic: random quotas, tiers, caps, sweeps and handles, random
//! histories.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "model/apart.rs"]
mod apart;
// Not all of it is needed here.
#[allow(dead_code)]
mod model;

use std::collections::HashMap;
use std::time::Duration;

use apart::Apart;
use flowgate::{Handle, KeyedLimiter, ManualClock, Quota, Tier, Tokens};
use model::{Exact, nanos};
use num_bigint::BigInt;
use proptest::prelude::*;

const CASES: u32 = 1_500;
const KEYS: u8 = 6;

type Limiter = KeyedLimiter<u8, Quota, ManualClock, Apart>;

/// An amount that is as often tiny as huge: uniform in its logarithm.
fn log_uniform(largest_bits: u32) -> impl Strategy<Value = u64> {
    (0..=largest_bits, any::<u64>()).prop_map(|(bits, noise)| {
        let top = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
        (top | (noise & (top - 1))).max(1)
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    (log_uniform(30), log_uniform(30), prop_oneof![Just(1_000_000_000), log_uniform(45)]).prop_map(
        |(tokens, burst, period_ns)| {
            Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
        },
    )
}

/// A share of a quota, in thousandths.
fn share(quota: &Quota, (rate, burst): (u64, u64)) -> Quota {
    let of = |tokens: Tokens, share: u64| Tokens::new((tokens.whole() * share / 1_000).max(1));
    Quota::new(of(quota.tokens(), rate), quota.period()).burst(of(quota.capacity(), burst))
}

#[derive(Clone, Debug)]
enum Op {
    /// A share of the capacity, in thousandths.
    Take(u64),
    UpTo(u64),
    Refund(u64),
    Charge(u64),
    TakeByHandle(u64),
    DropHandle,
    Sweep,
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..1_100_u64).prop_map(Op::Take),
        2 => log_uniform(30).prop_map(Op::UpTo),
        1 => (0..1_100_u64).prop_map(Op::Refund),
        1 => (0..1_100_u64).prop_map(Op::Charge),
        2 => (0..1_100_u64).prop_map(Op::TakeByHandle),
        1 => Just(Op::DropHandle),
        3 => Just(Op::Sweep),
        1 => Just(Op::Look),
    ]
}

/// How time goes before an operation: a share of the time in which a bucket fills, in thousandths; or the
/// operation comes from a thread whose clock reading is that much older.
#[derive(Clone, Debug)]
enum Step {
    Forward(u64),
    Nanos(u64),
    Stale(u64),
}

impl Step {
    /// The time of the operation. Not before the beginning: a limiter is full from there on.
    fn from(&self, clock_ns: u64, fill_ns: u64, start_ns: u64) -> u64 {
        match self {
            Self::Forward(share) => clock_ns + fill_ns / 1_000 * share,
            Self::Nanos(ns) => clock_ns + ns,
            Self::Stale(share) => clock_ns.saturating_sub(fill_ns / 1_000 * share).max(start_ns),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..1_500_u64).prop_map(Step::Forward),
        2 => Just(Step::Nanos(0)),
        2 => log_uniform(24).prop_map(Step::Nanos),
        2 => (0..1_500_u64).prop_map(Step::Stale),
    ]
}

fn fill_ns(quota: &Quota) -> u64 {
    let ns = nanos(quota.capacity()) * quota.period().as_nanos() / nanos(quota.tokens());
    u64::try_from(ns).unwrap_or(1 << 55).min(1 << 55)
}

fn tokens(nanos: &BigInt) -> Tokens {
    let (whole, rest): (BigInt, BigInt) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    Tokens::new(u64::try_from(whole).unwrap())
        .saturating_add(Tokens::decimal(u64::try_from(rest).unwrap(), 9))
}

/// A limiter, and what each key may have by exact arithmetic.
struct Bench {
    limiter: Limiter,
    /// The quota that bounds all.
    quota: Quota,
    exact: HashMap<u8, Exact>,
    handles: HashMap<u8, Handle<Quota, ManualClock>>,
    swept_ns: HashMap<u8, u64>,
    unit: BigInt,
}

impl Bench {
    fn new(limiter: Limiter, quota: Quota, start_ns: u64) -> Self {
        let unit = nanos(limiter.resolution().unit());
        let exact = (0..KEYS).map(|key| (key, Exact::full(quota, start_ns))).collect();
        Self { limiter, quota, exact, handles: HashMap::new(), swept_ns: HashMap::new(), unit }
    }

    fn exact(&mut self, key: u8) -> &mut Exact {
        self.exact.get_mut(&key).unwrap()
    }

    /// Applies an operation by one tier, and to the exact buckets what it really did.
    fn apply(&mut self, tier: &Tier, key: u8, op: &Op, now_ns: u64) {
        let limiter = self.limiter.clone();
        let by = limiter.on(tier);
        let cost_of = |share: u64| tokens(&(nanos(self.quota.capacity()) * share / 1_000));
        let unit = self.unit.clone();
        let rounded_up = move |cost: Tokens| (nanos(cost) + &unit - 1) / &unit * &unit;
        let mut taken = BigInt::ZERO;
        match op {
            Op::Take(share) => {
                let cost = cost_of(*share);
                if by.try_consume_at(&key, cost, now_ns).is_ok() {
                    taken = rounded_up(cost);
                    self.settle_if_held(key, now_ns);
                }
            }
            Op::UpTo(max) => {
                taken = nanos(Tokens::new(by.consume_up_to_at(&key, *max, now_ns)));
            }
            Op::Refund(share) => {
                let cost = cost_of(*share);
                if by.snapshot_at(&key, now_ns).is_none() {
                    // Nothing is given to a key without a bucket of its own.
                    by.refund_at(&key, cost, now_ns);
                    return;
                }
                by.refund_at(&key, cost, now_ns);
                let given = nanos(cost) - nanos(cost) % &self.unit;
                let exact = self.exact(key);
                exact.level_at(now_ns);
                exact.give(given);
            }
            Op::Charge(share) => {
                let cost = cost_of(*share);
                let left_over = by.charge_at(&key, cost, now_ns);
                self.settle_if_held(key, now_ns);
                taken = if left_over.is_zero() {
                    rounded_up(cost)
                } else {
                    nanos(cost) - nanos(left_over)
                };
            }
            Op::TakeByHandle(share) => {
                let cost = cost_of(*share);
                // A handle keeps the tier it was made with.
                self.limiter.clock().set_ns(now_ns);
                if self.limiter.snapshot_at(&key, now_ns).is_none() {
                    // It is added, and full from now on.
                    self.exact(key).level_at(now_ns);
                }
                let handle = self.handles.entry(key).or_insert_with(|| by.handle(&key));
                if handle.try_consume_at(cost, now_ns).is_ok() {
                    taken = rounded_up(cost);
                    self.settle_if_held(key, now_ns);
                }
            }
            Op::DropHandle => {
                self.handles.remove(&key);
            }
            Op::Sweep => {
                let held: Vec<_> = self.limiter.iter_at(now_ns).map(|(key, _)| key).collect();
                self.limiter.sweep_at(now_ns);
                // Whoever was full then begins no earlier than the latest sweep that dropped it.
                for key in held {
                    if self.limiter.snapshot_at(&key, now_ns).is_none() {
                        let swept_ns = self.swept_ns.entry(key).or_default();
                        *swept_ns = now_ns.max(*swept_ns);
                        let swept_ns = *swept_ns;
                        self.exact(key).level_at(swept_ns);
                    }
                }
            }
            Op::Look => {}
        }
        if taken > BigInt::ZERO {
            let exact = self.exact(key);
            exact.level_at(now_ns);
            exact.take(taken);
        }
    }

    /// A call that took nothing may all the same have brought a word up to its time.
    fn settle_if_held(&mut self, key: u8, now_ns: u64) {
        if self.limiter.snapshot_at(&key, now_ns).is_some() {
            self.exact(key).level_at(now_ns);
        }
    }

    /// Whatever any tier sees of a key is at most what is exactly there by the largest quota.
    fn is_not_over(
        &mut self,
        tier: &Tier,
        key: u8,
        now_ns: u64,
        allowed_ns: u64,
    ) -> Result<(), TestCaseError> {
        let limiter = self.limiter.clone();
        let by = limiter.on(tier);
        let (level, least) = match by.snapshot_at(&key, now_ns) {
            Some(snapshot) => (nanos(snapshot.available()) - nanos(snapshot.debt()), None),
            // Of a bucket that it shares it is not told how deep its debt is.
            None => (nanos(by.available_at(&key, now_ns)), Some(BigInt::ZERO)),
        };
        let unit = self.unit.clone();
        let exact = self.exact(key);
        let ours = exact.scaled(level);
        let most =
            exact.clone().level_at(now_ns) + exact.scaled(unit * 2) + exact.credit(allowed_ns);
        let most = least.map_or(most.clone(), |least| most.max(least));
        prop_assert!(ours <= most, "key {key} over: {ours} > {most} at {now_ns}");
        Ok(())
    }

    /// The level is the exact one, less rounding; for a stale thread also less what arrived since its time.
    fn is_not_under(
        &mut self,
        key: u8,
        now_ns: u64,
        capacity_lost: &BigInt,
    ) -> Result<(), TestCaseError> {
        let level = match self.limiter.snapshot_at(&key, now_ns) {
            Some(snapshot) => nanos(snapshot.available()) - nanos(snapshot.debt()),
            None => nanos(self.limiter.available_at(&key, now_ns)),
        };
        let slack = &self.unit * 2 + capacity_lost;
        let exact = self.exact(key);
        let stale_ns = exact.last_ns().saturating_sub(now_ns);
        let least = exact.clone().level_at(now_ns) - exact.scaled(slack) - exact.credit(stale_ns);
        let ours = exact.scaled(level);
        prop_assert!(ours >= least, "key {key} under: {ours} < {least} at {now_ns}");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each key's bucket is the exact one, however keys are swept, given handles and used by stale threads.
    #[test]
    fn each_key_has_the_exact_level(
        quota in quota(), start_ns in log_uniform(60),
        history in prop::collection::vec((step(), 0..KEYS, op()), 1..80),
    ) {
        let builder = KeyedLimiter::builder(quota).hasher(Apart::default());
        let built = builder.build_with_clock(ManualClock::at(start_ns));
        let Ok(limiter) = built else { return Ok(()) };
        // A tier of the limiter's own quota.
        let Ok(own) = limiter.tier(quota) else { return Ok(()) };
        let mut bench = Bench::new(limiter, quota, start_ns);
        let capacity_lost = nanos(quota.capacity()) % &bench.unit;
        // Nine years are what a word can tell.
        let fill_ns = fill_ns(&quota).min(1 << 50);
        let mut clock_ns = start_ns;
        for (step, key, op) in &history {
            let mut now_ns = step.from(clock_ns, fill_ns, start_ns);
            clock_ns = clock_ns.max(now_ns);
            if matches!(op, Op::Refund(_)) {
                // What is given back at a stale time fills a bucket as of then, and it goes on filling from there.
                now_ns = clock_ns;
            }
            bench.apply(&own, *key, op, now_ns);
            for key in 0..KEYS {
                bench.is_not_over(&own, key, now_ns, 0)?;
                bench.is_not_under(key, now_ns, &capacity_lost)?;
                bench.is_not_over(&own, key, clock_ns, 0)?;
                bench.is_not_under(key, clock_ns, &capacity_lost)?;
            }
        }
    }

    /// No key is ever granted more than by the largest capacity and the largest rate, whatever the tiers, the
    /// quotas set meanwhile, the cap on keys and the sweeps.
    #[test]
    fn no_key_is_over_whatever_its_tiers_and_the_room(
        quota in quota(), start_ns in log_uniform(60), max_keys in prop_oneof![Just(1_000), 1..6_u64],
        shares in prop::collection::vec((1..=1_000_u64, 1..=1_000_u64), 1..5),
        history in prop::collection::vec((step(), 0..KEYS, op(), 0..8_usize), 1..80),
    ) {
        let built = KeyedLimiter::builder(quota)
            .largest_quota(quota)
            .max_keys(max_keys)
            .hasher(Apart::default())
            .build_with_clock(ManualClock::at(start_ns));
        let Ok(limiter) = built else { return Ok(()) };
        let made: Result<Vec<_>, _> =
            shares.iter().map(|one| limiter.tier(share(&quota, *one))).collect();
        let Ok(mut tiers) = made else { return Ok(()) };
        let Ok(own) = limiter.tier(quota) else { return Ok(()) };
        let tick_ns = u64::try_from(limiter.resolution().tick().as_nanos()).unwrap();
        let mut bench = Bench::new(limiter, quota, start_ns);
        let fill_ns = fill_ns(&quota).min(1 << 50);
        let mut clock_ns = start_ns;
        for (step, key, op, by) in &history {
            let mut now_ns = step.from(clock_ns, fill_ns, start_ns);
            clock_ns = clock_ns.max(now_ns);
            match by {
                // A tier goes and comes back; another one's quota changes.
                6 => {
                    tiers.remove(0);
                    tiers.push(bench.limiter.tier(share(&quota, shares[0])).unwrap());
                }
                7 => tiers[0].set_quota(share(&quota, shares[shares.len() - 1])).unwrap(),
                _ => {}
            }
            if bench.limiter.snapshot_at(key, now_ns).is_none() {
                // If it is added now it begins at the last sweep, which may be later than a stale thread's time. When
                // that was is not known here; the other property is about stale threads.
                now_ns = clock_ns;
            }
            bench.apply(tiers.get(*by).unwrap_or(&own), *key, op, now_ns);
            for key in 0..KEYS {
                for tier in tiers.iter().chain([&own]) {
                    // A tick's refill, where tiers meet. Not at a stale time: a bucket that is shared may have been
                    // used by others since, and is then seen as of that time.
                    bench.is_not_over(tier, key, clock_ns, tick_ns)?;
                }
            }
        }
    }
}
