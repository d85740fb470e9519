//! The algorithms, and the one way in which they are asked.

use std::error::Error;
use std::time::Duration;

use flowgate::{
    Algorithm, Denied, FixedWindow, Gcra, Granted, LeakyBucket, LeakyQueue, Limiter, ManualClock,
    SlidingLog, SlidingWindow,
};

use crate::arguments::Settings;

/// What a call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It may go after that time.
    Admitted(Duration),
    /// It may come again after that time.
    Rejected(Option<Duration>),
}

impl Answer {
    /// Of a limiter whose calls go at once.
    fn of<T>(answer: Result<T, Denied>) -> Self {
        match answer {
            Ok(_) => Self::Admitted(Duration::ZERO),
            Err(denied) => Self::Rejected(denied.retry_after()),
        }
    }

    fn of_queue(answer: Result<Granted<'_>, Denied>) -> Self {
        match answer {
            Ok(granted) => Self::Admitted(granted.departs_after()),
            Err(_) => Self::of(answer),
        }
    }
}

/// One key's limiter: asked for one token at a time, in nanoseconds.
pub(crate) type Decide = Box<dyn FnMut(u64) -> Answer>;

type Made = Result<Decide, Box<dyn Error>>;

/// One row of the comparison.
pub(crate) struct Compared {
    pub(crate) name: &'static str,
    /// Makes a limiter for a key whose first call is at that time.
    pub(crate) make: fn(Settings, u64) -> Made,
    /// Whether those that are let in leave later.
    pub(crate) is_queue: bool,
}

const fn row(name: &'static str, make: fn(Settings, u64) -> Made) -> Compared {
    Compared { name, make, is_queue: false }
}

/// In the order of the table.
pub(crate) const ALL: &[Compared] = &[
    row("token bucket", |at, now_ns| limiter(at.quota(), now_ns)),
    row("token bucket, small burst", |at, now_ns| limiter(at.quota().burst(at.few()), now_ns)),
    row("GCRA", |at, now_ns| limiter(Gcra::new(at.quota()), now_ns)),
    row("leaky bucket", |at, now_ns| limiter(LeakyBucket::new(at.quota()), now_ns)),
    Compared {
        name: "leaky queue, as they leave",
        make: |at, now_ns| {
            let quota = at.quota().burst(at.few());
            let queue = Limiter::with_clock(LeakyQueue::new(quota), ManualClock::at(now_ns))?;
            Ok(Box::new(move |now_ns| Answer::of_queue(queue.try_consume_at(1, now_ns))))
        },
        is_queue: true,
    },
    row("fixed window", |at, now_ns| limiter(FixedWindow::new(at.limit, at.period), now_ns)),
    row("fixed, from first call", |at, now_ns| {
        limiter(FixedWindow::new(at.limit, at.period).from_first_call(), now_ns)
    }),
    row("sliding window", |at, now_ns| limiter(SlidingWindow::new(at.limit, at.period), now_ns)),
    row("exact log", |at, now_ns| {
        let log = SlidingLog::with_clock(at.limit, at.period, ManualClock::at(now_ns))?;
        Ok(Box::new(move |now_ns| Answer::of(log.try_consume_at(1, now_ns))))
    }),
];

fn limiter<A: Algorithm>(algorithm: A, first_ns: u64) -> Made {
    // A limiter that is made at zero would take a trace of this decade for a clock that jumped.
    let limiter = Limiter::with_clock(algorithm, ManualClock::at(first_ns))?;
    Ok(Box::new(move |now_ns| Answer::of(limiter.try_consume_at(1, now_ns))))
}
