//! Two seconds of as many requests as the machine can make, and then the books.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use flowgate::{Quota, TokenBucket};

use crate::progress;
use crate::screen::{Screen, grouped};

/// Far below what one core asks for, so that the limiter is what holds the threads back; and deep
/// enough for the bucket not to stand full, and lose tokens, while the machine does something else.
const RATE_PER_SECOND: u64 = 1_000_000;
const CAPACITY: u64 = 100_000;
const TIME: Duration = Duration::from_secs(2);

/// Of more threads than this, only some are shown.
const MOST_ROWS: usize = 16;

/// What one thread was told.
#[derive(Default)]
struct Tally {
    granted: u64,
    denied: u64,
}

/// Hammers one bucket from `threads` threads, and fails if it grants one token too many.
pub(crate) fn hammer(screen: &mut Screen, threads: usize) -> Result<(), Box<dyn Error>> {
    let quota = Quota::per_second(RATE_PER_SECOND).burst(CAPACITY);
    screen.title(
        &format!("{threads} threads take what they can: is it ever too much?"),
        &quota.to_string(),
    )?;

    // By the standard library's clock, and around the whole life of the limiter.
    let started = Instant::now();
    let limiter = TokenBucket::new(quota)?;
    let tallies = take_from_all_sides(&limiter, threads, started + TIME)?;
    let left = limiter.consume_up_to(u64::MAX);
    let elapsed = started.elapsed();

    // In whole microseconds, as it is shown, rounded up.
    let micros = u64::try_from(elapsed.as_micros())?.saturating_add(1);
    let arrived = RATE_PER_SECOND * micros / 1_000_000;
    let ceiling = CAPACITY + arrived;
    let taken: u64 = tallies.iter().map(|tally| tally.granted).sum();
    let granted = taken + left;
    let over = granted.saturating_sub(ceiling);

    let seconds = Duration::from_micros(micros).as_secs_f64();
    let used = percent(granted, ceiling);
    let unused = grouped(ceiling.saturating_sub(granted));
    let denied = tallies.iter().map(|tally| tally.denied).sum();
    for (name, tokens, text) in [
        ("capacity", CAPACITY, ""),
        (&format!("+ rate × {seconds:.6} s"), arrived, ""),
        ("= ceiling", ceiling, ""),
        ("granted to the threads", taken, ""),
        ("+ drained at the end", left, ""),
        ("= granted", granted, &format!("{used:.3} % of the ceiling, {unused} below it")),
        ("over the ceiling", over, &screen.verdict(over == 0)),
        ("requests denied", denied, ""),
    ] {
        let line = format!("   {name:<23} {:>13}   {text}", grouped(tokens));
        screen.line(line.trim_end())?;
    }
    if over > 0 {
        return Err(format!("{over} tokens were granted above the ceiling of {ceiling}").into());
    }
    shares(screen, &tallies, taken)?;
    screen.note(
        "   What is missing came while the bucket was full: before the first thread had started,",
    )?;
    screen.note("   or while the machine did something else for longer than the burst lasts.")?;
    Ok(())
}

fn take_from_all_sides(
    limiter: &TokenBucket,
    threads: usize,
    ends: Instant,
) -> Result<Vec<Tally>, Box<dyn Error>> {
    thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|_| scope.spawn(move || take_until(limiter, ends))).collect();
        progress::wait(ends.saturating_duration_since(Instant::now()), "hammering one bucket")?;
        let tallies = running.into_iter().map(thread::ScopedJoinHandle::join);
        tallies.collect::<Result<_, _>>().map_err(|_| "a thread panicked".into())
    })
}

/// Asks for one token after the other until the time is up.
fn take_until(limiter: &TokenBucket, ends: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < ends {
        for _ in 0..64 {
            match limiter.try_consume(1) {
                Ok(_) => tally.granted += 1,
                Err(_) => tally.denied += 1,
            }
        }
    }
    tally
}

/// Draws who got how much of it: of many threads only the first, the middle and the last.
fn shares(screen: &mut Screen, tallies: &[Tally], taken: u64) -> Result<(), Box<dyn Error>> {
    let mut shares: Vec<u64> = tallies.iter().map(|tally| tally.granted).collect();
    shares.sort_unstable_by(|one, other| other.cmp(one));
    let most = shares.first().copied().unwrap_or(0);
    let last = shares.len().saturating_sub(1);
    let is_shown = |index| shares.len() <= MOST_ROWS || [0, last / 2, last].contains(&index);
    for (index, share) in shares.iter().enumerate().filter(|(index, _)| is_shown(*index)) {
        let name = format!("share of thread {}", index + 1);
        let bar = screen.bar(*share, most, 32, true);
        let line = format!("   {name:<23} {:>11.1} %   {bar}", percent(*share, taken));
        screen.line(line.trim_end())?;
    }
    Ok(())
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
