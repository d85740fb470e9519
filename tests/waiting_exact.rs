//! Reserving, cancelling, settling and all that changes a bucket, in any order, against exact arithmetic: no token is lost
//! and none is made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod model;

use std::mem::forget;
use std::time::Duration;

use flowgate::{
    Adjustable, Denied, Fill, Gcra, LeakyBucket, LeakyQueue, Limiter, ManualClock, Of, OnDrop,
    Quota, Reservable, Reservation, TokenBucket, Tokens,
};
use model::{Exact, nanos};
use num_bigint::BigInt;
use proptest::prelude::*;

const CASES: u32 = 400;

type Held<'a, A> = Reservation<Of<'static, &'a Limiter<A, ManualClock>>>;

fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// Costs are thousandths of the capacity, waits thousandths of the time in which that fills. Of the reservations that
/// there are, `pick` names one.
#[derive(Clone, Debug)]
enum Op {
    Reserve {
        cost: u64,
        most_wait: u64,
    },
    Consume(u64),
    Refund(u64),
    Charge(u64),
    Cancel {
        pick: usize,
    },
    Drop {
        pick: usize,
    },
    Keep {
        pick: usize,
    },
    Forget {
        pick: usize,
    },
    Look {
        pick: usize,
    },
    Settle {
        pick: usize,
        actual: u64,
    },
    /// A new rate and a new capacity, in thousandths of the first.
    SetQuota {
        rate: u64,
        capacity: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let cost = || prop_oneof![4 => 0..1_100_u64, 1 => Just(1_000), 1 => Just(1)];
    let pick = || any::<prop::sample::Index>().prop_map(|index| index.index(64));
    prop_oneof![
        6 => (cost(), prop_oneof![0..3_000_u64, Just(u64::MAX)])
            .prop_map(|(cost, most_wait)| Op::Reserve { cost, most_wait }),
        3 => cost().prop_map(Op::Consume),
        1 => cost().prop_map(Op::Refund),
        1 => cost().prop_map(Op::Charge),
        2 => pick().prop_map(|pick| Op::Cancel { pick }),
        2 => pick().prop_map(|pick| Op::Drop { pick }),
        1 => pick().prop_map(|pick| Op::Keep { pick }),
        1 => pick().prop_map(|pick| Op::Forget { pick }),
        1 => pick().prop_map(|pick| Op::Look { pick }),
        3 => (pick(), 0..2_000_u64).prop_map(|(pick, actual)| Op::Settle { pick, actual }),
        1 => (1..=1_000_u64, 1..=1_000_u64)
            .prop_map(|(rate, capacity)| Op::SetQuota { rate, capacity }),
    ]
}

/// How the clock moves before an operation: on, by thousandths of the time in which a capacity fills; or the operation alone is
/// that much earlier.
#[derive(Clone, Copy, Debug)]
enum Step {
    Forward(u64),
    Stale(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_u64).prop_map(Step::Forward),
        3 => Just(Step::Forward(0)),
        1 => (0..5_000_u64).prop_map(Step::Stale),
    ]
}

fn history() -> impl Strategy<Value = Vec<(Step, Op)>> {
    prop::collection::vec((step(), op()), 1..60)
}

fn quota() -> impl Strategy<Value = Quota> {
    let awkward =
        ["3/7s burst 5", "0.5/3s burst 0.5", "999983/s burst 1000", "7/s burst 2.5", "10/s"];
    prop_oneof![
        1 => prop::sample::select(awkward.to_vec()).prop_map(|text| text.parse::<Quota>().unwrap()),
        2 => (1..1_000_000_u64, 1..1_000_000_u64, 1..1_u64 << 36).prop_map(|(tokens, burst, period_ns)| {
            Quota::new(tokens, Duration::from_nanos(period_ns)).burst(burst)
        }),
    ]
}

fn of_nanos(nanos: &BigInt) -> Tokens {
    let billion = BigInt::from(1_000_000_000);
    let part = |part: BigInt| u64::try_from(part).unwrap();
    Tokens::new(part(nanos / &billion)).saturating_add(Tokens::decimal(part(nanos % &billion), 9))
}

fn share(of: Tokens, thousandths: u64) -> Tokens {
    of_nanos(&(nanos(of) * thousandths / 1_000_u64))
}

/// A token bucket and what it is to be. The model's level is below none while there is debt.
struct Bench<'a> {
    limiter: &'a TokenBucket<ManualClock>,
    exact: Exact,
    unit: BigInt,
    /// Each change of quota may cost a unit.
    changes: u32,
    /// What each reservation has taken.
    all: Vec<(Held<'a, Quota>, BigInt)>,
}

impl<'a> Bench<'a> {
    fn new(limiter: &'a TokenBucket<ManualClock>, now_ns: u64) -> Self {
        let exact = Exact::full(limiter.quota(), now_ns);
        Self {
            limiter,
            exact,
            unit: nanos(limiter.resolution().unit()),
            changes: 0,
            all: Vec::new(),
        }
    }

    /// In whole units.
    fn up(&self, cost: Tokens) -> BigInt {
        (nanos(cost) + &self.unit - 1) / &self.unit * &self.unit
    }

    fn down(&self, cost: Tokens) -> BigInt {
        nanos(cost) / &self.unit * &self.unit
    }

    fn compare(&mut self, now_ns: u64) -> Result<(), TestCaseError> {
        let snapshot = self.limiter.snapshot_at(now_ns);
        let ours = self.exact.scaled(nanos(snapshot.available()) - nanos(snapshot.debt()));
        let unit = self.exact.scaled(self.unit.clone());
        let level = self.exact.clone().level_at(now_ns).clone();
        prop_assert!(ours <= &level + &unit * 2, "over: {ours} > {level}");
        // A capacity is rounded down to whole units.
        let below = unit * (3 + self.changes);
        prop_assert!(ours >= &level - &below, "under: {ours} < {level} by more than {below}");
        Ok(())
    }

    fn take(&mut self, cost: BigInt, now_ns: u64) {
        self.exact.level_at(now_ns);
        self.exact.take(cost);
    }

    fn give(&mut self, cost: BigInt, now_ns: u64) {
        self.exact.level_at(now_ns);
        self.exact.give(cost);
    }

    fn pick(&mut self, pick: usize) -> Option<(Held<'a, Quota>, BigInt)> {
        let at = pick.checked_rem(self.all.len())?;
        Some(self.all.swap_remove(at))
    }

    /// Whoever is told to wait finds it there then, and not a nanosecond earlier.
    fn told(&mut self, cost: &BigInt, now_ns: u64, wait_ns: u64) -> Result<(), TestCaseError> {
        let wanted = self.exact.scaled(cost.clone());
        let slack = self.exact.scaled(&self.unit * (3 + self.changes));
        let then = self.exact.clone().level_at(now_ns) + self.exact.credit(wait_ns);
        prop_assert!(then >= &wanted - &slack, "good too early, after {wait_ns} ns");
        if wait_ns > 0 {
            let before = then - self.exact.credit(1);
            prop_assert!(before <= &wanted + &slack, "good too late, after {wait_ns} ns");
        }
        Ok(())
    }

    fn apply(&mut self, op: &Op, now_ns: u64, fill_ns: u64) -> Result<(), TestCaseError> {
        let capacity = self.limiter.quota().capacity();
        match *op {
            Op::Reserve { cost, most_wait } => {
                let cost = share(capacity, cost);
                let most = match most_wait {
                    u64::MAX => Duration::MAX,
                    share => Duration::from_nanos(fill_ns / 1_000 * share),
                };
                let units = self.up(cost);
                match self.limiter.reserve(cost, most) {
                    Ok(mut held) => {
                        let wait = held.wait();
                        prop_assert!(wait <= most);
                        self.told(&units, now_ns, u64::try_from(wait.as_nanos()).unwrap())?;
                        self.take(units.clone(), now_ns);
                        self.all.push((held, units));
                    }
                    Err(Denied::NotYet(not_yet)) => {
                        let retry = not_yet.retry_after();
                        prop_assert!(retry > Duration::ZERO);
                        let retry_ns = u64::try_from(retry.as_nanos()).unwrap();
                        // Tight: then it is made, and not a nanosecond before.
                        prop_assert!(
                            self.limiter.reserve_at(cost, most, now_ns + retry_ns - 1).is_err()
                        );
                    }
                    Err(_) => prop_assert!(cost > self.capacity()),
                }
            }
            Op::Consume(cost) => {
                let cost = share(capacity, cost);
                if self.limiter.try_consume(cost).is_ok() {
                    self.take(self.up(cost), now_ns);
                }
            }
            Op::Refund(cost) => {
                let cost = share(capacity, cost);
                self.limiter.refund(cost);
                self.give(self.down(cost), now_ns);
            }
            Op::Charge(cost) => {
                let cost = share(capacity, cost);
                let unpaid = self.limiter.charge(cost);
                let paid =
                    if unpaid.is_zero() { self.up(cost) } else { nanos(cost) - nanos(unpaid) };
                self.take(paid, now_ns);
            }
            Op::Cancel { pick } => {
                if let Some((held, units)) = self.pick(pick) {
                    held.cancel();
                    self.give(units, now_ns);
                }
            }
            Op::Drop { pick } => {
                if let Some((mut held, units)) = self.pick(pick) {
                    let is_good = held.is_good();
                    drop(held);
                    if !is_good {
                        self.give(units, now_ns);
                    }
                }
            }
            Op::Keep { pick } => {
                if let Some((held, _)) = self.pick(pick) {
                    held.keep();
                }
            }
            Op::Forget { pick } => {
                if let Some((held, _)) = self.pick(pick) {
                    forget(held);
                }
            }
            Op::Look { pick } => {
                if let Some(at) = pick.checked_rem(self.all.len()) {
                    let (held, _) = &mut self.all[at];
                    let wait = held.wait();
                    prop_assert_eq!(held.wait(), wait);
                    prop_assert_eq!(held.is_good(), wait.is_zero());
                }
            }
            Op::Settle { pick, actual } => {
                if let Some((held, units)) = self.pick(pick) {
                    let actual = share(of_nanos(&units), actual);
                    let unpaid = held.settle(actual);
                    let kept = if unpaid.is_zero() {
                        self.up(actual)
                    } else {
                        nanos(actual) - nanos(unpaid)
                    };
                    if kept <= units {
                        self.give(units - kept, now_ns);
                    } else {
                        self.take(kept - units, now_ns);
                    }
                }
            }
            Op::SetQuota { .. } => {}
        }
        Ok(())
    }

    fn set_quota(&mut self, first: &Quota, (rate, capacity): (u64, u64), now_ns: u64) {
        let tokens = share(first.tokens(), rate);
        let quota = Quota::new(tokens, first.period()).burst(share(first.capacity(), capacity));
        if self.limiter.set_quota(quota, Fill::Keep).is_ok() {
            self.exact.level_at(now_ns);
            self.exact.set_quota(quota);
            self.changes += 2;
        }
    }

    fn capacity(&self) -> Tokens {
        of_nanos(&self.down(self.limiter.quota().capacity()))
    }
}

fn nanos_of(fill: Option<Duration>) -> u64 {
    u64::try_from(fill.unwrap_or_default().as_nanos()).unwrap()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_becomes_of_reservations_no_token_is_lost_and_none_is_made(
        quota in quota(), start_ns in 1_u64 << 40..1 << 60, history in history(),
    ) {
        let Ok(limiter) = TokenBucket::with_clock(quota, ManualClock::at(start_ns)) else { return Ok(()) };
        let fill_ns = nanos_of(quota.period().checked_mul(1)) / 1_000 * 1_000;
        let fill_ns = u64::try_from(
            u128::from(fill_ns.max(1)) * u128::from(quota.capacity().whole().max(1))
                / u128::from(quota.tokens().whole().max(1)),
        ).unwrap().min(1 << 50);
        let mut bench = Bench::new(&limiter, start_ns);
        let mut clock_ns = start_ns;
        for (step, op) in &history {
            if let Step::Forward(share) = step {
                clock_ns += fill_ns / 1_000 * share;
            }
            limiter.clock().set_ns(clock_ns);
            match (op, step) {
                (Op::SetQuota { rate, capacity }, _) => {
                    bench.set_quota(&quota, (*rate, *capacity), clock_ns);
                }
                // From an earlier time a level looks lower, by a tick at most: only what is taken is exact then.
                (Op::Consume(_) | Op::Charge(_), Step::Stale(share)) => {
                    let tick_ns = u64::try_from(limiter.resolution().tick().as_nanos()).unwrap();
                    let stale_ns = clock_ns.saturating_sub(fill_ns / 1_000 * share) / tick_ns * tick_ns;
                    limiter.clock().set_ns(stale_ns);
                    bench.apply(op, stale_ns, fill_ns)?;
                    limiter.clock().set_ns(clock_ns);
                }
                _ => bench.apply(op, clock_ns, fill_ns)?,
            }
            bench.compare(clock_ns)?;
        }
        // All that is left goes back.
        for (held, units) in std::mem::take(&mut bench.all) {
            held.cancel();
            bench.give(units, clock_ns);
        }
        bench.compare(clock_ns)?;
    }

    /// At any time, with any cost, and any patience: what is refused is refused, and what is given back is.
    #[test]
    fn no_time_and_no_cost_is_too_odd(
        calls in prop::collection::vec((any_ns(), any_ns(), any_cost(), any_ns(), any_cost(), 0..6_u8), 1..30),
    ) {
        let quota: Quota = "0.5/3s burst 2.5".parse().unwrap();
        odd(quota, &calls);
        odd(Quota::per_second(1_000_000_000).burst(1_000_000_000), &calls);
        odd(Gcra::new(quota), &calls);
        odd(LeakyBucket::new(quota), &calls);
        odd(LeakyQueue::new(quota), &calls);
    }

    #[test]
    fn instants_are_exact_to_the_nanosecond_whatever_becomes_of_reservations(history in history()) {
        let quota = Quota::per_second(10);
        instants(Gcra::new(quota), |burst| Gcra::new(quota.burst(burst)), false, &history)?;
        instants(LeakyBucket::new(quota), |burst| LeakyBucket::new(quota.burst(burst)), false, &history)?;
        instants(LeakyQueue::new(quota), |burst| LeakyQueue::new(quota.burst(burst)), true, &history)?;
    }
}

fn any_ns() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        0..1_u64 << 40,
        (0..64_u32).prop_map(|bit| 1 << bit)
    ]
}

fn any_cost() -> impl Strategy<Value = Tokens> {
    prop_oneof![
        1 => Just(Tokens::ZERO),
        1 => Just(Tokens::MAX),
        1 => any::<u64>().prop_map(Tokens::new),
        3 => (0..3_000_u64).prop_map(|thousandths| Tokens::decimal(thousandths, 3)),
        1 => any::<u64>().prop_map(|digits| Tokens::decimal(digits, 9)),
    ]
}

fn odd<A: Reservable>(algorithm: A, calls: &[(u64, u64, Tokens, u64, Tokens, u8)]) {
    let limiter = Limiter::with_clock(algorithm, ManualClock::new()).unwrap();
    for (clock_ns, now_ns, cost, most_ns, actual, end) in calls {
        limiter.clock().set_ns(*clock_ns);
        let most =
            if *most_ns == u64::MAX { Duration::MAX } else { Duration::from_nanos(*most_ns) };
        let Ok(mut held) = limiter.reserve_at(*cost, most, *now_ns) else { continue };
        let (wait, granted) = (held.wait(), format!("{:?}", held.granted()));
        assert!(held.wait() <= wait && !granted.is_empty());
        match end {
            0 => held.cancel(),
            1 => assert!(held.settle(*actual) <= *actual),
            2 => assert!(held.keep().remaining() <= Tokens::MAX),
            3 => drop(held.on_drop(OnDrop::GiveBack)),
            4 => forget(held),
            _ => drop(held),
        }
    }
}

/// A reservation in the model below.
struct Turn<'a, A: Reservable> {
    held: Held<'a, A>,
    span_ns: i128,
    good_ns: i128,
    begun: bool,
    changes: u32,
}

const TOKEN_NS: i128 = 100_000_000;
const MILLI_NS: i128 = TOKEN_NS / 1_000;
/// As far as a burst may reach.
const FURTHEST_NS: i128 = 1 << 57;

/// One instant, in whole nanoseconds: at ten a second a thousandth of a token takes 100,000 of them.
fn instants<A: Reservable + Adjustable>(
    algorithm: A,
    with_burst: impl Fn(u64) -> A,
    queue: bool,
    history: &[(Step, Op)],
) -> Result<(), TestCaseError> {
    let start_ns = 1_i128 << 50;
    let clock = |now_ns: i128| u64::try_from(now_ns).unwrap();
    let limiter = Limiter::with_clock(algorithm, ManualClock::at(clock(start_ns))).unwrap();
    let extra = i128::from(queue);
    let (mut due_ns, mut clock_ns, mut burst, mut changes) = (start_ns, start_ns, 10_i128, 0);
    let mut all: Vec<Turn<'_, A>> = Vec::new();
    for (step, op) in history {
        let now_ns = match step {
            Step::Forward(share) => {
                clock_ns += i128::from(*share) * 1_000_000 + 1;
                clock_ns
            }
            Step::Stale(share) => clock_ns - i128::from(*share) * 1_000_000,
        };
        limiter.clock().set_ns(clock(now_ns));
        let ahead_ns = (due_ns - now_ns).max(0);
        let tolerance_ns = (burst + extra) * TOKEN_NS;
        let milli = |thousandths: u64| {
            (Tokens::decimal(thousandths, 2), i128::from(thousandths) * 10 * MILLI_NS)
        };
        let picked = match op {
            Op::Cancel { pick }
            | Op::Drop { pick }
            | Op::Keep { pick }
            | Op::Forget { pick }
            | Op::Look { pick }
            | Op::Settle { pick, .. } => match pick.checked_rem(all.len()) {
                Some(at) => Some(all.swap_remove(at)),
                None => continue,
            },
            _ => None,
        };
        let ns = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap();
        match (op, picked) {
            (Op::Reserve { cost, most_wait }, _) => {
                let (cost, span_ns) = milli(*cost);
                let most = match *most_wait {
                    u64::MAX => Duration::MAX,
                    share => Duration::from_millis(share),
                };
                let after_ns = ahead_ns + span_ns;
                let over_ns = (after_ns - tolerance_ns).max(0);
                let (room_ns, wait_ns) = if queue {
                    (over_ns, (after_ns - TOKEN_NS).max(0))
                } else {
                    ((after_ns - FURTHEST_NS).max(0), over_ns)
                };
                let late_ns = if most == Duration::MAX { 0 } else { (wait_ns - ns(most)).max(0) };
                match limiter.reserve(cost, most) {
                    Ok(mut held) => {
                        prop_assert_eq!((room_ns, late_ns), (0, 0));
                        prop_assert_eq!(ns(held.wait()), wait_ns);
                        due_ns = now_ns + after_ns;
                        let (good_ns, begun) = (now_ns + wait_ns, wait_ns == 0);
                        all.push(Turn { held, span_ns, good_ns, begun, changes });
                    }
                    Err(denied) => match denied.retry_after() {
                        None => prop_assert!(span_ns > tolerance_ns),
                        Some(retry) => prop_assert_eq!(ns(retry), room_ns.max(late_ns)),
                    },
                }
            }
            (Op::Consume(cost), _) => {
                let (cost, span_ns) = milli(*cost);
                let holds = ahead_ns + span_ns <= tolerance_ns;
                prop_assert_eq!(limiter.try_consume(cost).is_ok(), holds);
                if holds {
                    due_ns = now_ns + ahead_ns + span_ns;
                }
            }
            (Op::Refund(cost), _) => {
                let (cost, span_ns) = milli(*cost);
                limiter.refund(cost);
                due_ns = now_ns + (ahead_ns - span_ns).max(0);
            }
            (Op::Cancel { .. }, Some(turn)) => {
                turn.held.cancel();
                due_ns = now_ns + (ahead_ns - turn.span_ns).max(0);
            }
            (Op::Drop { .. }, Some(turn)) => {
                let begun = turn.begun || now_ns >= turn.good_ns;
                drop(turn.held);
                if !begun {
                    due_ns = now_ns + (ahead_ns - turn.span_ns).max(0);
                }
            }
            (Op::Keep { .. }, Some(turn)) => {
                turn.held.keep();
            }
            (Op::Forget { .. }, Some(turn)) => forget(turn.held),
            (Op::Look { .. }, Some(mut turn)) => {
                if !turn.begun && turn.changes != changes {
                    turn.good_ns = turn.good_ns.max(now_ns + (ahead_ns - tolerance_ns).max(0));
                    turn.changes = changes;
                }
                let wait_ns = if turn.begun { 0 } else { (turn.good_ns - now_ns).max(0) };
                prop_assert_eq!(ns(turn.held.wait()), wait_ns);
                turn.begun |= wait_ns == 0;
                all.push(turn);
            }
            (Op::Settle { actual, .. }, Some(turn)) => {
                let (actual, actual_ns) = milli(*actual);
                prop_assert_eq!(turn.held.settle(actual), 0);
                if actual_ns <= turn.span_ns {
                    due_ns = now_ns + (ahead_ns - (turn.span_ns - actual_ns)).max(0);
                } else {
                    due_ns = now_ns + ahead_ns + actual_ns - turn.span_ns;
                }
            }
            (Op::SetQuota { capacity, .. }, _) => {
                let new = capacity % 10 + 1;
                limiter.set(with_burst(new)).unwrap();
                burst = i128::from(new);
                changes += 1;
            }
            _ => {}
        }
        // What is to come is the same at any time.
        limiter.clock().set_ns(clock(clock_ns));
        let full_ns = ns(limiter.snapshot().full_after());
        prop_assert_eq!(full_ns, (due_ns - clock_ns).max(0), "after {:?}", op);
    }
    all.into_iter().for_each(|turn| forget(turn.held));
    Ok(())
}
