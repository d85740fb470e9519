//! The keyed limiter beside its rivals: one hot key and up to ten million, one thread and two.
//!
//! A benchmark is called `path/threads/row`, for instance `keyed_uniform_1m/2/governor_keyed`.
//! `ci/bench-report.sh` runs this file several times over and makes `docs/performance.md` of it, with what
//! `examples/keyed_report` measures: memory, and the slowest calls.

// A rival that does not take a quota should be seen at once.
#![allow(clippy::expect_used)]

mod baseline;
mod draws;
mod rivals;
mod rounds;
mod threads;

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use crossbeam_utils::CachePadded;
use draws::Draw;
use flowgate::{KeyedLimiter, TokenBucket};
use rivals::{
    DEEP, Flowgate, FlowgateLockFree, Governor, Key, Limit, MutexMap, RateNet, Rival, SPENT,
};

/// One an hour: what is left of it once one is taken is nothing.
const DENIED: Limit = Limit { tokens: 1, period: Duration::from_secs(3600), burst: 1 };

/// Drawn of so many keys, and what that is called. Keys that are more than this are left out with
/// `BENCH_MOST_KEYS`, for trying things out.
const SIZES: [(u64, &str); 3] = [(100_000, "100k"), (1_000_000, "1m"), (10_000_000, "10m")];

/// So many keys are drawn that a measurement does not come around to the first ones, as long as it is of
/// numbers. Powers of two.
const DRAWS: usize = 1 << 23;
const NAME_DRAWS: usize = 1 << 21;

fn main() {
    let mut criterion = rounds::criterion();
    hot_key(&mut criterion);
    handle(&mut criterion);
    let most_keys = rounds::from_env("BENCH_MOST_KEYS").unwrap_or(u64::MAX);
    for (keys, size) in SIZES.into_iter().filter(|(keys, _)| *keys <= most_keys) {
        numbers(&mut criterion, keys, size);
    }
    names(&mut criterion);
    criterion.final_summary();
}

/// Limiters that hold the same keys, and what they are asked.
struct Round<'a, K> {
    limit: Limit,
    keys: u64,
    /// Taken from each key beforehand.
    spent: u32,
    /// What every call is answered.
    allowed: bool,
    cases: &'a [Case<'a, K>],
}

/// One measurement of each limiter.
struct Case<'a, K> {
    path: &'a str,
    threads: usize,
    draws: &'a [K],
}

impl<K> Case<'_, K> {
    fn drawn(&self, number: u64) -> &K {
        &self.draws[usize::try_from(number).unwrap_or(0) & (self.draws.len() - 1)]
    }
}

/// All calls for one key.
fn hot_key(criterion: &mut Criterion) {
    let hot = [u64::of(0)];
    for threads in [1, 2] {
        let cases = [Case { path: "keyed_hot", threads, draws: &hot }];
        let allowed = Round { limit: DEEP, keys: 1, spent: SPENT, allowed: true, cases: &cases };
        compare(criterion, &allowed);
        let cases = [Case { path: "keyed_hot_denied", threads, draws: &hot }];
        let denied = Round { limit: DENIED, keys: 1, spent: 1, allowed: false, cases: &cases };
        compare(criterion, &denied);
    }
}

/// A handle to a key beside a limiter that has no keys.
fn handle(criterion: &mut Criterion) {
    let users = KeyedLimiter::<u64>::new(DEEP.quota()).expect("flowgate takes this quota");
    let handle = CachePadded::new(users.handle(&u64::of(0)));
    let direct = TokenBucket::new(DEEP.quota()).expect("flowgate takes this quota");
    let direct = CachePadded::new(direct);
    let mut rows: [(&str, &dyn Fn(u64) -> Duration); 2] = [
        ("handle", &|calls| {
            let handle = black_box(&*handle);
            threads::numbered(1, calls, 0, |_| handle.is_allowed())
        }),
        ("direct", &|calls| {
            let direct = black_box(&*direct);
            threads::numbered(1, calls, 0, |_| direct.is_allowed())
        }),
    ];
    rounds::in_turn(&mut rows);
    for (row, time) in rows {
        measure(criterion, "keyed_handle", 1, row, time);
    }
    assert!(handle.is_allowed() && direct.is_allowed());
}

/// Many keys that are numbers.
fn numbers(criterion: &mut Criterion, keys: u64, size: &str) {
    let paths = [(Draw::Uniform, "uniform"), (Draw::Zipf, "zipf")].map(|(draw, name)| {
        let draws: Vec<_> = draw.ranks(keys, DRAWS).map(u64::of).collect();
        (format!("keyed_{name}_{size}"), draws)
    });
    compare(criterion, &deep(keys, &one_and_two_threads(&paths)));
}

/// Many keys that are strings.
fn names(criterion: &mut Criterion) {
    let keys = 1_000_000;
    // Each has its own copy of its key, as a request would: it is not looked up by what the map holds.
    let draws: Vec<_> = Draw::Uniform.ranks(keys, NAME_DRAWS).map(String::of).collect();
    let paths = [("keyed_names_1m".to_owned(), draws)];
    compare(criterion, &deep(keys, &one_and_two_threads(&paths)));
}

fn one_and_two_threads<K>(paths: &[(String, Vec<K>)]) -> Vec<Case<'_, K>> {
    let case = |(path, draws)| [1, 2].map(|threads| Case { path, threads, draws });
    paths.iter().map(|(path, draws)| (path.as_str(), draws.as_slice())).flat_map(case).collect()
}

/// Every call is granted, and no key is ever full.
fn deep<'a, K>(keys: u64, cases: &'a [Case<'a, K>]) -> Round<'a, K> {
    Round { limit: DEEP, keys, spent: SPENT, allowed: true, cases }
}

/// Measures one limiter after the other, of which there is never more than one. Those to be compared closely
/// stand close together.
fn compare<K: Key>(criterion: &mut Criterion, round: &Round<'_, K>)
where
    RateNet: Rival<K>,
{
    let mut rivals = [
        no_rival::<K>,
        rival::<K, Flowgate<K>>,
        rival::<K, Governor<K>>,
        rival::<K, FlowgateLockFree<K>>,
        rival::<K, RateNet>,
        rival::<K, MutexMap<K>>,
    ];
    rounds::in_turn(&mut rivals);
    for rival in rivals {
        rival(criterion, round);
    }
}

/// What reading the drawn keys costs by itself, which is in all rows.
fn no_rival<K: Key>(criterion: &mut Criterion, round: &Round<'_, K>) {
    for case in round.cases {
        ask(criterion, case, "keyed_draw", &(), |(), key| key.read());
    }
}

/// Fills a limiter and measures it in all cases.
fn rival<K: Key, R: Rival<K>>(criterion: &mut Criterion, round: &Round<'_, K>) {
    let limiter = CachePadded::new(R::new(round.limit));
    for rank in draws::filling_order(round.keys) {
        assert!(limiter.take(&K::of(rank), round.spent), "{} denied a new key", R::ROW);
    }
    for case in round.cases {
        let holds = |number| {
            let allowed = limiter.take_one(case.drawn(number));
            assert_eq!(allowed, round.allowed, "{} left the path {}", R::ROW, case.path);
            let keys = u64::try_from(limiter.keys()).expect("keys are counted in 64 bits");
            assert_eq!(keys, round.keys, "{} does not hold the keys it was given", R::ROW);
        };
        holds(0);
        let made = ask(criterion, case, R::ROW, &*limiter, R::take_one);
        holds(made);
    }
}

/// Measures `call` with the keys that were drawn, and returns how many of them it was given.
fn ask<K: Key, L: Sync, T>(
    criterion: &mut Criterion,
    case: &Case<'_, K>,
    row: &str,
    limiter: &L,
    call: impl Fn(&L, &K) -> T + Sync,
) -> u64 {
    let made = Cell::new(0);
    measure(criterion, case.path, case.threads, row, &|calls| {
        // From here on the compiler must take the limiter for known elsewhere.
        let limiter = black_box(limiter);
        // Each measurement goes on where the last one ended, or all would ask for the same few keys.
        let from = made.replace(made.get() + calls);
        threads::numbered(case.threads, calls, from, |number| call(limiter, case.drawn(number)))
    });
    made.get()
}

/// Measures `time`, which makes so many calls and returns how long they took.
fn measure(
    criterion: &mut Criterion,
    path: &str,
    threads: usize,
    row: &str,
    time: &dyn Fn(u64) -> Duration,
) {
    let mut group = criterion.benchmark_group(format!("{path}/{threads}"));
    // Samples of equal length, each long against the time in which threads start and are scheduled.
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(row, |bencher| bencher.iter_custom(time));
    group.finish();
}
