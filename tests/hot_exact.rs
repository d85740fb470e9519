//! Hot keys against exact arithmetic: random quotas, random histories of hot handles that come and go, calls by key, by
//! handles and by tiers, sweeps, changes of quota, and a clock that may go back.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use flowgate::{Clock, HotHandle, KeyedLimiter, ManualClock, Quota};
use proptest::prelude::*;

const CASES: u32 = 400;
const KEY: u64 = 7;

type Users = KeyedLimiter<u64, Quota, ManualClock>;
type Hot = HotHandle<ManualClock>;

/// Rates are in tokens per second, times in nanoseconds: so tokens × 10^9 are whole.
const SCALE: u128 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Way {
    Hot,
    Key,
    Handle,
    Tier,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Thousandths of the guaranteed burst, and from which of the threads, which have stripes of their own.
    Take(Way, u64, usize),
    UpTo(Way, u64, usize),
    GiveBack(Way, u64, usize),
    DropHot,
    Sweep,
    /// Thousandths of the time to fill.
    Rest(u64),
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Hot), Just(Way::Hot), Just(Way::Key), Just(Way::Handle), Just(Way::Tier)]
}

fn op() -> impl Strategy<Value = Op> {
    let share = || prop_oneof![1_u64..30, 1_u64..1_000];
    prop_oneof![
        6 => (way(), share(), 0..3_usize).prop_map(|(way, share, on)| Op::Take(way, share, on)),
        3 => (way(), share(), 0..3_usize).prop_map(|(way, share, on)| Op::UpTo(way, share, on)),
        1 => (way(), share(), 0..3_usize).prop_map(|(way, share, on)| Op::GiveBack(way, share, on)),
        1 => Just(Op::DropHot),
        1 => Just(Op::Sweep),
        4 => prop_oneof![0_u64..40, 0_u64..2_000].prop_map(Op::Rest),
    ]
}

/// What runs on one of the threads.
type Job = Box<dyn FnOnce() -> u64 + Send>;

/// Threads that call one after the other, so that more stripes than one are used.
struct Threads(Vec<(Sender<Job>, Receiver<u64>)>);

impl Threads {
    fn start(count: usize) -> Self {
        let start = |_| {
            let (ask, asked) = channel::<Job>();
            let (answer, answers) = channel();
            thread::spawn(move || asked.iter().all(|job| answer.send(job()).is_ok()));
            (ask, answers)
        };
        Self((0..count).map(start).collect())
    }

    fn run(&self, on: usize, job: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        self.0[on].0.send(Box::new(job)).unwrap();
        self.0[on].1.recv().unwrap()
    }
}

fn take(users: &Users, hot: &Hot, way: Way, cost: u64) -> bool {
    match way {
        Way::Hot => hot.try_consume(cost).is_ok(),
        Way::Key => users.try_consume(&KEY, cost).is_ok(),
        Way::Handle => users.handle(&KEY).try_consume(cost).is_ok(),
        Way::Tier => users.on(&users.tier(users.quota()).unwrap()).try_consume(&KEY, cost).is_ok(),
    }
}

fn up_to(users: &Users, hot: &Hot, way: Way, max: u64) -> u64 {
    match way {
        Way::Hot => hot.consume_up_to(max),
        Way::Key => users.consume_up_to(&KEY, max),
        Way::Handle => users.handle(&KEY).consume_up_to(max),
        Way::Tier => users.on(&users.tier(users.quota()).unwrap()).consume_up_to(&KEY, max),
    }
}

fn give_back(users: &Users, hot: &Hot, way: Way, cost: u64) {
    match way {
        Way::Hot => hot.refund(cost),
        Way::Key => users.refund(&KEY, cost),
        Way::Handle => users.handle(&KEY).refund(cost),
        Way::Tier => users.on(&users.tier(users.quota()).unwrap()).refund(&KEY, cost),
    }
}

fn signed(scaled: u128) -> i128 {
    i128::try_from(scaled).unwrap()
}

/// Between what a bucket of the guaranteed burst would hold and one of the whole capacity: the same, as long as the
/// bucket does not overflow. In 10^-9 tokens.
#[derive(Debug)]
struct Exact {
    least: u128,
    /// A unit that is almost complete may be granted: so it may be below zero, by less than that.
    most: i128,
}

impl Exact {
    fn rest(&mut self, rate: u64, ns: u64, guaranteed: u64, capacity: u64) {
        let arrived = u128::from(rate) * u128::from(ns);
        // What lies above the guaranteed burst may be lost, and need not be.
        self.least = (self.least + arrived).min(u128::from(guaranteed) * SCALE);
        self.most = (self.most + signed(arrived)).min(signed(u128::from(capacity) * SCALE));
    }

    fn take(&mut self, tokens: u64) {
        self.least = self.least.saturating_sub(u128::from(tokens) * SCALE);
        self.most -= signed(u128::from(tokens) * SCALE);
    }

    fn give_back(&mut self, tokens: u64, guaranteed: u64, capacity: u64) {
        let given = u128::from(tokens) * SCALE;
        self.least = (self.least + given).min(u128::from(guaranteed) * SCALE);
        self.most = (self.most + signed(given)).min(signed(u128::from(capacity) * SCALE));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// One quota: what is there is what an exact bucket holds, to two units; and a call is granted if, and only if, what
    /// is there covers its cost, wherever it lies and whoever calls.
    #[test]
    fn a_hot_key_is_an_exact_bucket(
        rate in 1_u64..5_000_000,
        capacity in 100_u64..200_000,
        stripes in 1_usize..5,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let quota = Quota::per_second(rate).burst(capacity);
        let settings = KeyedLimiter::<u64>::builder(quota).stripes(stripes);
        let users = settings.build_with_clock(ManualClock::at(1 << 40)).unwrap();
        let threads = Threads::start(3);
        let mut hot = users.hot_handle(&KEY);
        let guaranteed = hot.guaranteed_burst().whole();
        let fill_ns = u64::try_from(quota.fill_time().as_nanos()).unwrap();
        let unit = users.resolution().unit();
        let units = unit.saturating_add(unit);
        let mut exact = Exact {
            least: u128::from(guaranteed) * SCALE,
            most: signed(u128::from(capacity) * SCALE),
        };
        let bounds = |exact: &Exact| {
            let tokens = |scaled: u128| {
                let whole = u64::try_from(scaled / SCALE).unwrap();
                let part = flowgate::Tokens::decimal(u64::try_from(scaled % SCALE).unwrap(), 9);
                part.saturating_add(whole.into())
            };
            (tokens(exact.least).saturating_sub(units), tokens(u128::try_from(exact.most).unwrap_or(0)).saturating_add(units))
        };
        for op in ops {
            let (there, hot_there) = (users.clone(), hot.clone());
            match op {
                Op::Take(way, share, on) => {
                    let cost = guaranteed * share / 1_000;
                    let is_there = hot.available() >= cost;
                    let granted = threads.run(on, move || take(&there, &hot_there, way, cost).into());
                    prop_assert_eq!(granted == 1, is_there, "{:?} of {}", op, cost);
                    exact.take(cost * granted);
                }
                Op::UpTo(way, share, on) => {
                    let max = capacity * share / 1_000;
                    let whole = hot.available().whole();
                    let granted = threads.run(on, move || up_to(&there, &hot_there, way, max));
                    prop_assert_eq!(granted, whole.min(max), "{:?}", op);
                    exact.take(granted);
                }
                Op::GiveBack(way, share, on) => {
                    let cost = guaranteed * share / 1_000;
                    threads.run(on, move || {
                        give_back(&there, &hot_there, way, cost);
                        0
                    });
                    exact.give_back(cost, guaranteed, capacity);
                }
                Op::DropHot => {
                    drop((hot, hot_there));
                    hot = users.hot_handle(&KEY);
                }
                Op::Sweep => {
                    // Home, and divided again.
                    drop((hot, hot_there));
                    users.sweep();
                    hot = users.hot_handle(&KEY);
                }
                Op::Rest(share) => {
                    let ns = fill_ns / 1_000 * share;
                    users.clock().advance(Duration::from_nanos(ns));
                    exact.rest(rate, ns, guaranteed, capacity);
                }
            }
            let (least, most) = bounds(&exact);
            let there = hot.available();
            prop_assert!(least <= there && there <= most, "{op:?}: {least} <= {there} <= {most}");
            prop_assert_eq!(users.available(&KEY), there);
        }
    }

    /// Quotas and tiers of all sizes, and a clock that goes back: in every window, what is granted is at most the largest
    /// capacity, the refill at the highest rate since the window began, and a tick of that.
    #[test]
    fn no_window_is_oversold(
        first in (1_u64..2_000, 200_u64..5_000),
        quotas in prop::collection::vec((1_u64..2_000, 1_u64..5_000), 1..6),
        tier in (1_u64..2_000, 1_u64..5_000),
        ops in prop::collection::vec((op(), 0..12_usize, any::<bool>()), 1..60),
    ) {
        let quota = |(rate, burst)| Quota::per_second(rate).burst(burst);
        let settings = KeyedLimiter::<u64>::builder(quota(first)).stripes(2);
        let users = settings
            .largest_quota(quota((2_000, 5_000)))
            .build_with_clock(ManualClock::at(1 << 40))
            .unwrap();
        let Ok(tier) = users.tier(quota(tier)) else { return Ok(()) };
        let threads = Threads::start(3);
        let mut hot = users.hot_handle(&KEY);
        let tick_ns = u64::try_from(users.resolution().tick().as_nanos()).unwrap();
        // When, and how many.
        let mut grants: Vec<(u64, u64)> = Vec::new();
        let (mut largest, mut highest) = (first.1, first.0);
        let mut now_ns = users.clock().now_ns();
        let mut latest_ns = now_ns;
        for (op, change, by_tier) in ops {
            if let Some(next) = quotas.get(change)
                && users.set_quota(quota(*next)).is_ok()
            {
                (largest, highest) = (largest.max(next.1), highest.max(next.0));
            }
            let (there, hot_there) = (users.clone(), hot.clone());
            let granted = match op {
                Op::Take(_, share, on) if by_tier => {
                    let (tier, cost) = (tier.clone(), share);
                    threads.run(on, move || {
                        cost * u64::from(there.on(&tier).try_consume(&KEY, cost).is_ok())
                    })
                }
                Op::UpTo(_, share, on) if by_tier => {
                    let tier = tier.clone();
                    threads.run(on, move || there.on(&tier).hot_handle(&KEY).consume_up_to(share))
                }
                Op::Take(way, share, on) => threads.run(on, move || {
                    share * u64::from(take(&there, &hot_there, way, share))
                }),
                Op::UpTo(way, share, on) => {
                    threads.run(on, move || up_to(&there, &hot_there, way, share))
                }
                Op::DropHot | Op::GiveBack(..) => {
                    drop((hot, hot_there));
                    hot = users.hot_handle(&KEY);
                    0
                }
                Op::Sweep => {
                    drop((hot, hot_there));
                    // As one that began a while ago.
                    users.sweep_at(now_ns - 10 * u64::try_from(change).unwrap() * 1_000_000);
                    hot = users.hot_handle(&KEY);
                    0
                }
                // Back, a little or much.
                Op::Rest(share) if by_tier && share % 4 == 0 => {
                    now_ns -= share * 1_000_000;
                    users.clock().set_ns(now_ns);
                    0
                }
                Op::Rest(share) => {
                    now_ns += share * 5_000_000;
                    users.clock().set_ns(now_ns);
                    0
                }
            };
            // A clock that has gone back counts from where it was.
            latest_ns = latest_ns.max(now_ns);
            largest = largest.max(tier.quota().capacity().whole());
            highest = highest.max(tier.quota().tokens().whole());
            grants.push((latest_ns, granted));
            let mut in_window = 0;
            for (from_ns, granted) in grants.iter().rev() {
                in_window += granted;
                let refill_ns = u128::from(latest_ns - from_ns + tick_ns);
                let refill = u128::from(highest) * refill_ns / SCALE;
                let bound = u128::from(largest) + refill + 2;
                prop_assert!(u128::from(in_window) <= bound, "{in_window} of {bound} after {op:?}");
            }
        }
    }
}
