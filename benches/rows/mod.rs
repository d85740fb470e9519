//! Limiters without keys, measured side by side: each is a row of a path.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use crossbeam_utils::CachePadded;

use crate::{rounds, threads};

/// A way through a limiter.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) path: &'static str,
    pub(crate) answer: Answer,
    /// How much later each call is told it is than the one before.
    pub(crate) step_ns: u64,
}

/// What calls are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed,
    Denied,
    /// Some are allowed and some denied.
    Both,
}

impl Answer {
    /// The number of calls that show it.
    fn seen_within(self) -> u64 {
        if self == Self::Both { 10_000_000 } else { 1_000 }
    }

    fn is_kept_by(self, mut answers: impl Iterator<Item = Self>) -> bool {
        match self {
            Self::Both => {
                let first = answers.next();
                answers.any(|answer| Some(answer) != first)
            }
            _ => answers.all(|answer| answer == self),
        }
    }
}

pub(crate) type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// One benchmark: run in a group, with so many threads.
pub(crate) type Row = Box<dyn Fn(&mut Group<'_>, usize)>;

/// Measures the rows of a path, those to be compared closely close together.
pub(crate) fn run(criterion: &mut Criterion, path: &str, threads: usize, mut rows: Vec<Row>) {
    rounds::in_turn(&mut rows);
    let mut group = criterion.benchmark_group(format!("{path}/{threads}"));
    // Samples of equal length, each long against the time in which threads start and are scheduled.
    group.sampling_mode(SamplingMode::Flat);
    for row in rows {
        row(&mut group, threads);
    }
    group.finish();
}

/// Measures `call` on a limiter that has its cache lines to itself, and makes sure that the calls take the path they
/// should.
pub(crate) fn decision<L: Sync>(
    way: Way,
    name: &'static str,
    make: impl Fn() -> L + 'static,
    call: impl Fn(&L, u64) -> bool + Sync + 'static,
) -> Row {
    Box::new(move |group, threads| {
        let limiter = CachePadded::new(make());
        // From a time on, until the time that is returned.
        let checked = |from_ns| {
            let answers = (0..way.answer.seen_within()).map(|number| {
                let now_ns = from_ns + number * way.step_ns;
                if call(&limiter, now_ns) { Answer::Allowed } else { Answer::Denied }
            });
            assert!(way.answer.is_kept_by(answers), "{name} left the path {}", way.path);
            from_ns + way.answer.seen_within() * way.step_ns
        };
        let now_ns = checked(0);
        let now_ns = measure(group, threads, name, (now_ns, way.step_ns), &limiter, &call);
        checked(now_ns);
    })
}

/// Measures, from a time on and in steps of time, and returns the time that the subject would be told next.
pub(crate) fn measure<L: Sync, T>(
    group: &mut Group<'_>,
    threads: usize,
    name: &str,
    (mut now_ns, step_ns): (u64, u64),
    subject: &CachePadded<L>,
    call: impl Fn(&L, u64) -> T + Sync,
) -> u64 {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            // From here on the compiler must take the subject for known elsewhere: whatever a call
            // reads of it is read anew each time.
            let subject: &L = black_box(subject);
            let took =
                threads::time(threads, calls, now_ns, step_ns, |now_ns| call(subject, now_ns));
            now_ns += calls * step_ns;
            took
        });
    });
    now_ns
}
