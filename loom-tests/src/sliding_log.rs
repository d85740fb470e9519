//! Models of the sliding log: its ring of entries, and the end that whoever comes moves.

use std::time::Duration;

use flowgate::{ManualClock, SlidingLog};
use loom::sync::Arc;
use loom::thread;

use crate::{SECOND, explore, explore_within};

/// What the clock shows at first.
const START_NS: u64 = 1_000_000_000;

type Log = SlidingLog<ManualClock>;

fn log(limit: u64) -> Arc<Log> {
    Arc::new(SlidingLog::with_clock(limit, SECOND, ManualClock::at(START_NS)).unwrap())
}

fn meanwhile<T: 'static>(
    log: &Arc<Log>,
    there: impl FnOnce(&Log) -> T + 'static,
) -> thread::JoinHandle<T> {
    let log = Arc::clone(log);
    thread::spawn(move || there(&log))
}

/// How many of so many calls at a time are granted.
fn grants(log: &Log, calls: u64, now_ns: u64) -> u64 {
    (0..calls).map(|_| u64::from(log.is_allowed_at(now_ns))).sum()
}

/// Two threads and one token left: one of them gets it, and it is in the log.
pub fn two_log_the_last_token() {
    explore(2, || {
        let log = log(2);
        assert!(log.is_allowed_at(START_NS));
        let other = meanwhile(&log, |log| grants(log, 1, START_NS));
        let here = grants(&log, 1, START_NS);
        assert_eq!(here + other.join().unwrap(), 1);
        assert_eq!(log.available_at(START_NS), 0);
    });
}

/// Wherever a thread stops while it notes its entry, another goes on: it is granted just what is left then.
pub fn a_stalled_entry_is_helped() {
    explore_within([Some(3), Some(2)], || {
        let log = log(2);
        let other = meanwhile(&log, |log| grants(log, 1, START_NS));
        // One and no more is left for this one, or two if the other comes later, which then finds none.
        let here = grants(&log, 2, START_NS);
        assert!(here >= 1);
        assert_eq!(here + other.join().unwrap(), 2);
        assert_eq!(log.available_at(START_NS), 0);
    });
}

/// The ring is gone round once while another is somewhere in its call: it never takes an entry of one round for that of
/// another, so no window is granted more than its token.
pub fn a_ring_goes_round() {
    explore_within([Some(3), Some(2)], || {
        let log = log(1);
        let other = meanwhile(&log, Log::is_allowed);
        let first = log.is_allowed();
        log.clock().advance(SECOND);
        let second = log.is_allowed();
        let other = other.join().unwrap();
        // One a second, and there were two.
        assert!(u64::from(first) + u64::from(second) + u64::from(other) <= 2);
        // Whoever was granted last was so at most now: a second later there is room, and not a moment before.
        let now_ns = START_NS + 1_000_000_000;
        if second {
            assert!(!log.is_allowed_at(now_ns + 999_999_999));
        }
        assert!(log.is_allowed_at(now_ns + 1_000_000_000));
    });
}

/// Three threads, and room for two.
pub fn three_log_two_tokens() {
    explore_within([Some(2), Some(1)], || {
        let log = log(2);
        let one = meanwhile(&log, |log| grants(log, 1, START_NS));
        let two = meanwhile(&log, |log| grants(log, 1, START_NS));
        let here = grants(&log, 1, START_NS);
        assert_eq!(here + one.join().unwrap() + two.join().unwrap(), 2);
    });
}

/// Whoever is denied, or only looks, finds the ring as it was at one moment: one entry is always in the window here,
/// the old one or the one that replaced it, and never both.
pub fn a_denial_is_of_one_moment() {
    explore_within([Some(3), Some(2)], || {
        let log = log(1);
        assert!(log.is_allowed_at(START_NS));
        let later_ns = START_NS + 1_000_000_000;
        let other = meanwhile(&log, move |log| log.is_allowed_at(later_ns));
        let wait = log.time_until_available_at(1, START_NS + 1).unwrap();
        let denied = log.try_consume_at(1, START_NS + 1).unwrap_err().retry_after().unwrap();
        let nanosecond = Duration::from_nanos(1);
        for wait in [wait, denied] {
            assert!(wait == SECOND - nanosecond || wait == SECOND * 2 - nanosecond, "{wait:?}");
        }
        assert!(wait <= denied);
        assert!(other.join().unwrap());
    });
}
