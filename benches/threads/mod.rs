//! Makes one call from several threads at once, and times it by the wall.

// Whoever includes this file uses a part of it.
#![allow(dead_code)]

use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// How much later each call is told it is than the one before, unless that is what is to be measured.
pub(crate) const STEP_NS: u64 = 20;

/// The calls that a thread fetches at once: so many that fetching them costs nothing.
const BATCH: u64 = 1024;

/// [`numbered`], with calls that are given a time in place of a number: `from_ns` and `step_ns` more for each.
pub(crate) fn time<T>(
    threads: usize,
    calls: u64,
    from_ns: u64,
    step_ns: u64,
    call: impl Fn(u64) -> T + Sync,
) -> Duration {
    numbered(threads, calls, 0, |number| call(from_ns + number * step_ns))
}

/// Makes `calls` calls from `threads` threads that start together, and returns the time from when the
/// first of them started until the last was done. Each call is given its number, from `from` on.
///
/// The threads fetch their calls in batches from one heap in place of a fixed share each: so all of
/// them are at it until the end, and none is left alone with the subject because others were luckier.
///
/// Several threads are kept on a core each, as far as there are cores. Left alone, the operating system
/// has them share one now and then for tens of milliseconds, and what shares a core does not contend.
pub(crate) fn numbered<T>(
    threads: usize,
    calls: u64,
    from: u64,
    call: impl Fn(u64) -> T + Sync,
) -> Duration {
    let fetched = CachePadded::new(AtomicU64::new(0));
    let together = Barrier::new(threads);
    let work = |thread| {
        if threads > 1 {
            keep_to_core(thread);
        }
        together.wait();
        let began = Instant::now();
        loop {
            let first = fetched.fetch_add(BATCH, Ordering::Relaxed);
            let batch = BATCH.min(calls.saturating_sub(first));
            if batch == 0 {
                return (began, Instant::now());
            }
            let first = from + first;
            for number in first..first + batch {
                black_box(call(number));
            }
        }
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let began = spans.iter().map(|(began, _)| *began).min();
    let ended = spans.iter().map(|(_, ended)| *ended).max();
    began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended.duration_since(began))
}

/// Keeps the calling thread to the core whose turn it is, of those that the process may use. Where this
/// is refused, the threads stay free.
#[cfg(target_os = "linux")]
fn keep_to_core(thread: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    if let Some(core) = cores.cycle().nth(thread) {
        let mut one = CpuSet::new();
        one.set(core);
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_to_core(_thread: usize) {}
