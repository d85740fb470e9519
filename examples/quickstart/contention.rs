//! How many decisions a second, when threads share one bucket: the one word beside two mutexes.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use flowgate::{Clock, Quota, SystemClock, TokenBucket};

use crate::baseline::{Baseline, ParkingLotBucket, StdMutexBucket};
use crate::screen::Screen;
use crate::{progress, threads};

/// Two thousand seconds from empty and, since half of it is taken first, as far from full: all
/// calls are allowed, and all take the same path.
const RATE_PER_SECOND: u64 = 1_000_000;
const CAPACITY: u64 = 4_000_000_000;

/// What is measured at a time: 10 to 100 milliseconds.
const CALLS: u64 = 1_000_000;
/// Measured again for so long, and so often at least.
const TIME: Duration = Duration::from_secs(5);
const FEWEST_ROUNDS: usize = 3;

/// The columns of a bar.
const BAR: usize = 32;

/// Runs a limiter from so many threads, and returns its decisions per second.
type Run<'a> = &'a dyn Fn(usize) -> Result<u64, Box<dyn Error>>;

/// Compares the bucket with the baselines from one thread to `most_threads`.
pub(crate) fn compare(screen: &mut Screen, most_threads: usize) -> Result<(), Box<dyn Error>> {
    let clock = SystemClock::new();
    let one_word = TokenBucket::new(Quota::per_second(RATE_PER_SECOND).burst(CAPACITY))?;
    let parking_lot = CachePadded::new(behind_a_mutex::<ParkingLotBucket>());
    let std_mutex = CachePadded::new(behind_a_mutex::<StdMutexBucket>());
    let now_ns = clock.now_ns();
    let _ = one_word.try_consume(CAPACITY / 2)?;
    parking_lot.try_consume_at(CAPACITY / 2, now_ns);
    std_mutex.try_consume_at(CAPACITY / 2, now_ns);
    // All three read the same clock; those with a mutex do so before they lock it.
    let limiters: [(&str, Run); 3] = [
        ("flowgate, one word", &|threads| run(threads, || one_word.try_consume(1).is_ok())),
        ("parking_lot mutex", &|threads| {
            run(threads, || parking_lot.try_consume_at(1, clock.now_ns()))
        }),
        ("std mutex", &|threads| run(threads, || std_mutex.try_consume_at(1, clock.now_ns()))),
    ];
    let thread_counts = thread_counts(most_threads);

    screen.title("Threads that share one bucket", "million decisions a second")?;
    let bar = progress::bar(u64::try_from(TIME.as_millis())?)?;
    let started = Instant::now();
    let mut measured = vec![[const { Vec::new() }; 3]; thread_counts.len()];
    let mut rounds = 0;
    // In turns, so that a slow moment of the machine falls on all alike.
    while rounds < FEWEST_ROUNDS || started.elapsed() < TIME {
        rounds += 1;
        for (threads, row) in thread_counts.iter().zip(&mut measured) {
            for ((name, run), cell) in limiters.iter().zip(row) {
                bar.set_message(format!("{}: {name}", counted(*threads)));
                cell.push(run(*threads)?);
                bar.set_position(u64::try_from(started.elapsed().as_millis())?);
            }
        }
    }
    bar.finish_and_clear();

    let medians: Vec<_> = measured.into_iter().map(|row| row.map(median)).collect();
    let fastest = medians.iter().flatten().copied().max().unwrap_or(0);
    for (threads, [one_word, mutexes @ ..]) in thread_counts.iter().zip(medians) {
        let bar = screen.bar(one_word, fastest, BAR, true);
        let (threads, name) = (counted(*threads), limiters[0].0);
        screen.line(&format!("   {threads:<11} {name:<18}  {bar}  {}", millions(one_word)))?;
        for ((name, _), mutex) in limiters.iter().skip(1).zip(mutexes) {
            let bar = screen.bar(mutex, fastest, BAR, false);
            let ratio = one_word as f64 / mutex.max(1) as f64;
            screen.line(&format!(
                "   {:<11} {name:<18}  {bar}  {}   flowgate does {ratio:.1} ×",
                "",
                millions(mutex)
            ))?;
        }
    }
    screen.note(
        "   Every call is allowed (a deep bucket, half full). All three read the same clock.",
    )?;
    screen.note(&format!(
        "   Medians of {rounds} rounds, each limiter in turn, the threads spread over the cores."
    ))?;
    Ok(())
}

fn behind_a_mutex<B: Baseline>() -> B {
    B::new(RATE_PER_SECOND, 1_000_000_000, CAPACITY)
}

/// 1, 2, 4, … and at last `most`.
fn thread_counts(most: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|power| 1 << power).take_while(|threads| *threads < most);
    powers.chain([most]).collect()
}

fn run(threads: usize, allow: impl Fn() -> bool + Sync) -> Result<u64, Box<dyn Error>> {
    let ran_dry = AtomicBool::new(false);
    let took = threads::numbered(threads, CALLS, 0, |_| {
        if !allow() {
            ran_dry.store(true, Ordering::Relaxed);
        }
    });
    if ran_dry.into_inner() {
        return Err("a call on a bucket two thousand seconds deep was denied".into());
    }
    Ok(u64::try_from(u128::from(CALLS) * 1_000_000_000 / took.as_nanos().max(1))?)
}

fn median(mut rounds: Vec<u64>) -> u64 {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().unwrap_or(0)
}

fn counted(threads: usize) -> String {
    if threads == 1 { "1 thread".to_string() } else { format!("{threads} threads") }
}

fn millions(per_second: u64) -> String {
    format!("{:>6.1}", per_second as f64 / 1e6)
}
