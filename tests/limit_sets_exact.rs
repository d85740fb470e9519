//! Sets of limits against a model in whole numbers: any calls, by any keys, with one limit that is in the set twice.
#![cfg(feature = "keyed")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flowgate::{
    FixedWindow, Gcra, KeyedLimiter, LimitSet, ManualClock, OfKeys, Quota, Reservation,
    SlidingWindow, Tokens,
};
use proptest::prelude::*;

/// The limits of the set; the last is the first once more.
const NAMES: [&str; 5] = ["bucket", "gcra", "fixed", "sliding", "bucket again"];
const KEYS: [&str; 2] = ["alice", "bob"];
const BURST: i64 = 50;
const DEBT: i64 = 100;
const PERIOD_MS: i64 = 100;

type Costs = [i64; 5];
type Keys = [usize; 5];

/// A thousand tokens a second: one a millisecond.
#[derive(Clone, Debug)]
struct Bucket {
    level: i64,
    at_ms: i64,
}

#[derive(Clone, Debug, Default)]
struct Key {
    bucket: Option<Bucket>,
    gcra_due_ms: i64,
    /// By the number of the window.
    fixed: HashMap<i64, i64>,
    sliding: HashMap<i64, i64>,
}

impl Key {
    fn bucket(&mut self, now_ms: i64) -> &mut Bucket {
        let bucket = self.bucket.get_or_insert(Bucket { level: BURST, at_ms: now_ms });
        bucket.level = (bucket.level + now_ms - bucket.at_ms).min(BURST);
        bucket.at_ms = now_ms;
        bucket
    }

    fn count(windows: &HashMap<i64, i64>, window: i64) -> i64 {
        windows.get(&window).copied().unwrap_or(0)
    }

    /// What a sliding window has used, rounded up.
    fn slid(&self, now_ms: i64) -> i64 {
        let (window, rest_ms) = (now_ms / PERIOD_MS, PERIOD_MS - now_ms % PERIOD_MS);
        let before = Self::count(&self.sliding, window - 1);
        Self::count(&self.sliding, window) + (before * rest_ms + PERIOD_MS - 1) / PERIOD_MS
    }

    /// In how many milliseconds `cost` is good, if it is taken now; `None` if it may not be.
    fn take(&mut self, limit: usize, cost: i64, most_ms: i64, now_ms: i64) -> Option<i64> {
        match limit {
            0 | 4 => {
                let bucket = self.bucket(now_ms);
                let wait_ms = (cost - bucket.level).max(0);
                if cost > BURST || wait_ms > most_ms || wait_ms > 0 && bucket.level - cost < -DEBT {
                    return None;
                }
                bucket.level -= cost;
                Some(wait_ms)
            }
            1 => {
                let ahead_ms = (self.gcra_due_ms - now_ms).max(0) + cost;
                let wait_ms = (ahead_ms - BURST).max(0);
                if cost > BURST || wait_ms > most_ms {
                    return None;
                }
                self.gcra_due_ms = now_ms + ahead_ms;
                Some(wait_ms)
            }
            _ => {
                let window = now_ms / PERIOD_MS;
                let used =
                    if limit == 2 { Self::count(&self.fixed, window) } else { self.slid(now_ms) };
                if used + cost > BURST {
                    return None;
                }
                let windows = if limit == 2 { &mut self.fixed } else { &mut self.sliding };
                *windows.entry(window).or_default() += cost;
                Some(0)
            }
        }
    }

    /// Makes what was taken at `then_ms` cost `actual`.
    fn settle(&mut self, limit: usize, taken: i64, actual: i64, (then_ms, now_ms): (i64, i64)) {
        match limit {
            0 | 4 => {
                let bucket = self.bucket(now_ms);
                bucket.level = (bucket.level + taken - actual).min(BURST);
            }
            1 => {
                self.gcra_due_ms =
                    now_ms + ((self.gcra_due_ms - now_ms).max(0) - taken + actual).max(0)
            }
            _ => {
                let windows = if limit == 2 { &mut self.fixed } else { &mut self.sliding };
                // Less goes back to its own window, more is counted in the present one.
                let window = if actual <= taken { then_ms } else { now_ms } / PERIOD_MS;
                *windows.entry(window).or_default() += actual - taken;
            }
        }
    }

    fn available(&mut self, limit: usize, now_ms: i64) -> i64 {
        let available = match limit {
            0 | 4 => self.bucket(now_ms).level,
            1 => BURST - (self.gcra_due_ms - now_ms).max(0),
            2 => BURST - Self::count(&self.fixed, now_ms / PERIOD_MS),
            _ => BURST - self.slid(now_ms),
        };
        available.max(0)
    }
}

type Model = [[Key; 2]; 5];

/// The buckets of a limit: the last one's are the first one's.
fn key(model: &mut Model, limit: usize, key: usize) -> &mut Key {
    &mut model[limit % 4][key]
}

/// The waits of all, or the names of those that said no.
fn hold(
    model: &mut Model,
    keys: Keys,
    costs: Costs,
    most_ms: i64,
    now_ms: i64,
) -> Result<Costs, Vec<&'static str>> {
    // Each by itself, and then one after the other.
    let alone = |limit: &usize| {
        key(&mut model.clone(), *limit, keys[*limit])
            .take(*limit, costs[*limit], most_ms, now_ms)
            .is_none()
    };
    let refused: Vec<_> = (0..5).filter(alone).map(|limit| NAMES[limit]).collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let (mut taken, mut waits) = (model.clone(), [0; 5]);
    for limit in 0..5 {
        let wait = key(&mut taken, limit, keys[limit]).take(limit, costs[limit], most_ms, now_ms);
        waits[limit] = wait.ok_or_else(|| vec![NAMES[limit]])?;
    }
    *model = taken;
    Ok(waits)
}

#[derive(Clone, Debug)]
enum Op {
    Try { keys: Keys, costs: Costs },
    Reserve { keys: Keys, costs: Costs, most_ms: i64 },
    Settle { pick: usize, actual: Costs },
    Cancel(usize),
    Drop(usize),
    Keep(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let costs = |most: i64| prop::array::uniform5(prop_oneof![4 => 0..12_i64, 1 => 0..most]);
    let keys = || prop::array::uniform5(0..2_usize);
    prop_oneof![
        3 => (keys(), costs(52)).prop_map(|(keys, costs)| Op::Try { keys, costs }),
        3 => (keys(), costs(52), prop_oneof![Just(0), 0..100_i64])
            .prop_map(|(keys, costs, most_ms)| Op::Reserve { keys, costs, most_ms }),
        2 => (any::<usize>(), costs(30)).prop_map(|(pick, actual)| Op::Settle { pick, actual }),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => any::<usize>().prop_map(Op::Drop),
        1 => any::<usize>().prop_map(Op::Keep),
    ]
}

struct Permit {
    held: Reservation<OfKeys<str, 5>>,
    keys: Keys,
    costs: Costs,
    made_ms: i64,
    good_ms: i64,
}

fn tokens(costs: Costs) -> [Tokens; 5] {
    costs.map(|cost| Tokens::new(u64::try_from(cost).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_decides_and_gives_back_as_its_limits_would(
        history in prop::collection::vec((prop_oneof![2 => Just(0), 3 => 0..40_i64], op()), 1..80),
    ) {
        let mut now_ms = 1_000_000_000;
        let clock = Arc::new(ManualClock::new());
        let set_clock = |now_ms: i64| clock.set_ns(u64::try_from(now_ms).unwrap() * 1_000_000);
        set_clock(now_ms);
        let (quota, period) = (Quota::per_second(1_000).burst(50), Duration::from_millis(100));
        let bucket = KeyedLimiter::<String>::builder(quota).max_debt(100);
        let bucket = bucket.build_with_clock(Arc::clone(&clock)).unwrap();
        let gcra = KeyedLimiter::with_clock(Gcra::new(quota), Arc::clone(&clock)).unwrap();
        let fixed = KeyedLimiter::with_clock(FixedWindow::new(50, period), Arc::clone(&clock)).unwrap();
        let sliding = KeyedLimiter::with_clock(SlidingWindow::new(50, period), Arc::clone(&clock)).unwrap();
        let set = LimitSet::<str, 5>::of([
            (NAMES[0], Box::new(bucket.clone())),
            (NAMES[1], Box::<KeyedLimiter<String, _, _>>::new(gcra)),
            (NAMES[2], Box::<KeyedLimiter<String, _, _>>::new(fixed)),
            (NAMES[3], Box::<KeyedLimiter<String, _, _>>::new(sliding)),
            (NAMES[4], Box::new(bucket)),
        ]);
        let (mut model, mut permits) = (Model::default(), Vec::<Permit>::new());
        for (step_ms, op) in &history {
            now_ms += step_ms;
            set_clock(now_ms);
            let pick = |pick: usize, permits: &mut Vec<Permit>| {
                pick.checked_rem(permits.len()).map(|at| permits.swap_remove(at))
            };
            match *op {
                Op::Try { keys, costs } => {
                    let due = hold(&mut model, keys, costs, 0, now_ms);
                    let ours = set.try_consume_each(keys.map(|key| KEYS[key]), tokens(costs));
                    prop_assert_eq!(
                        ours.map(drop).map_err(|rejected| rejected.names().collect::<Vec<_>>()),
                        due.map(drop)
                    );
                }
                Op::Reserve { keys, costs, most_ms } => {
                    let due = hold(&mut model, keys, costs, most_ms, now_ms);
                    let most = Duration::from_millis(u64::try_from(most_ms).unwrap());
                    let ours = set.on_each(keys.map(|key| KEYS[key])).reserve(tokens(costs), most);
                    match (ours, due) {
                        (Ok(mut held), Ok(waits)) => {
                            let wait_ms = waits.into_iter().max().unwrap();
                            let due = Duration::from_millis(u64::try_from(wait_ms).unwrap());
                            // A unit of a token bucket is a part of a microsecond.
                            let wait = held.wait();
                            prop_assert!(wait.abs_diff(due) < Duration::from_micros(1), "{wait:?} for {due:?}");
                            let good_ms = now_ms + wait_ms;
                            permits.push(Permit { held, keys, costs, made_ms: now_ms, good_ms });
                        }
                        (Err(rejected), Err(due)) => prop_assert_eq!(rejected.names().collect::<Vec<_>>(), due),
                        (ours, due) => prop_assert!(false, "{ours:?} for {due:?}"),
                    }
                }
                Op::Settle { pick: at, actual } => {
                    let Some(permit) = pick(at, &mut permits) else { continue };
                    // What is below the floor is not charged.
                    let mut unpaid = [0; 5];
                    for limit in 0..5 {
                        let (taken, key) = (permit.costs[limit], key(&mut model, limit, permit.keys[limit]));
                        let mut actual = actual[limit];
                        if limit % 4 == 0 && actual > taken {
                            unpaid[limit] = (actual - taken - (key.bucket(now_ms).level + DEBT)).max(0);
                            actual -= unpaid[limit];
                        }
                        key.settle(limit, taken, actual, (permit.made_ms, now_ms));
                    }
                    prop_assert_eq!(permit.held.settle(tokens(actual)).0, tokens(unpaid));
                }
                Op::Cancel(at) | Op::Drop(at) => {
                    let Some(permit) = pick(at, &mut permits) else { continue };
                    let goes_back = matches!(op, Op::Cancel(_)) || now_ms < permit.good_ms;
                    if matches!(op, Op::Cancel(_)) { permit.held.cancel() } else { drop(permit.held) }
                    if goes_back {
                        for limit in 0..5 {
                            let key = key(&mut model, limit, permit.keys[limit]);
                            key.settle(limit, permit.costs[limit], 0, (permit.made_ms, now_ms));
                        }
                    }
                }
                Op::Keep(at) => {
                    if let Some(permit) = pick(at, &mut permits) {
                        permit.held.keep();
                    }
                }
            }
            for (at, name) in KEYS.iter().enumerate() {
                let due: Vec<_> = (0..5).map(|limit| key(&mut model, limit, at).available(limit, now_ms)).collect();
                let ours = set.available(name).map(|left| i64::try_from(left.whole()).unwrap());
                prop_assert_eq!(ours.to_vec(), due, "of {} after {:?}", name, op);
            }
        }
        permits.into_iter().for_each(|permit| permit.held.cancel());
    }
}
