//! One very hot limit: how fast it is with more threads, beside one word and a mutex; and an audit of ten seconds at
//! more than ten times the rate.
//!
//! ```text
//! cargo run --release --example hot_limit
//! ```

// An example says so when something is wrong.
#![allow(clippy::expect_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{Quota, StripedBucket, TokenBucket};

const TURN: Duration = Duration::from_millis(150);
const AUDIT: Duration = Duration::from_secs(10);

fn main() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let deep = Quota::per_second(1_000_000).burst(4_000_000_000_u64);
    let striped = StripedBucket::new(deep).expect("this quota fits");
    println!("one limit of {deep}, {cores} cores");
    println!(
        "{} stripes; after a rest at least {} at once\n",
        striped.stripes(),
        striped.guaranteed_burst()
    );

    println!("{:>8}  {:<24} {:>22}", "threads", "", "million decisions a second");
    for threads in [1, 2, 4, 8] {
        let word = TokenBucket::new(deep).expect("this quota fits");
        let locked = Mutex::new(u64::MAX);
        let rows = [
            ("StripedBucket", decide(threads, || striped.is_allowed())),
            ("TokenBucket, one word", decide(threads, || word.is_allowed())),
            ("a number in a std Mutex", decide(threads, || subtract_one(&locked))),
        ];
        for (name, millions) in rows {
            let bar = "█".repeat(usize::try_from(millions / 10).unwrap_or(0));
            println!("{threads:>8}  {name:<24} {millions:>8}  {bar}");
        }
        println!();
    }
    audit();
}

/// What the least of limiters would do, and no refill.
fn subtract_one(locked: &Mutex<u64>) -> bool {
    let Ok(mut left) = locked.lock() else { return false };
    *left -= 1;
    true
}

/// Million decisions a second of all threads together.
fn decide(threads: usize, call: impl Fn() -> bool + Sync) -> u64 {
    let (done, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut made = 0;
                while !done.load(Relaxed) {
                    for _ in 0..1_000 {
                        std::hint::black_box(call());
                    }
                    made += 1_000;
                }
                calls.fetch_add(made, Relaxed);
            });
        }
        thread::sleep(TURN);
        done.store(true, Relaxed);
    });
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    calls.into_inner() / micros.max(1)
}

/// Takes all that two threads get in ten seconds, of far more than they ask for.
fn audit() {
    let quota = Quota::per_second(1_000_000);
    println!("audit: {quota}, two threads that ask without a pause, {AUDIT:?} on the real clock");
    let began = Instant::now();
    let limiter = StripedBucket::new(quota).expect("this quota fits");
    let (granted, asked) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while began.elapsed() < AUDIT {
                    let got = (0..1_000).filter(|_| limiter.is_allowed()).count();
                    granted.fetch_add(got as u64, Relaxed);
                    asked.fetch_add(1_000, Relaxed);
                }
            });
        }
    });
    let granted = granted.into_inner() + limiter.consume_up_to(u64::MAX);
    let bound = quota.capacity().whole() as f64
        + quota.tokens().whole() as f64 * began.elapsed().as_secs_f64()
        + 2.0;
    let share = granted as f64 / bound;
    println!("  asked    {:>12}", asked.into_inner());
    println!("  granted  {granted:>12}");
    println!("  bound    {bound:>12.0}  capacity + rate × time + 2 units");
    println!("  granted / bound = {share:.6}");
    assert!(share <= 1.0, "never over");
    println!("  never over, and within {:.4} % of all there was", (1.0 - share) * 100.0);
}
