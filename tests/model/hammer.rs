//! Threads that take as fast as they can.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Every thread takes as fast as it can until the time is up. Returns what was granted, and the time
/// from before the limiter was made to after the last thread stopped.
pub(crate) fn hammer<L: Sync>(
    make: impl FnOnce() -> L,
    threads: usize,
    run: Duration,
    take: impl Fn(&L) -> u64 + Sync,
) -> (u64, Duration) {
    let started = Instant::now();
    let limiter = make();
    let stop = AtomicBool::new(false);
    let granted = thread::scope(|scope| {
        let count = || {
            let mut granted = 0;
            while !stop.load(Relaxed) {
                granted += take(&limiter);
            }
            granted
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        thread::sleep(run);
        stop.store(true, Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (granted, started.elapsed())
}
