//! One clock for several processes of one machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LOOKS: u32 = 1_000;

/// The time since a beginning that all of them know. They look at the wall clock at their start only, so it may be set meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct SharedClock {
    began: Instant,
    began_unix_ns: u64,
}

impl SharedClock {
    pub(crate) fn beginning_in(wait: Duration) -> Self {
        Self::began_at(unix_ns().saturating_add(nanos(wait)))
    }

    /// The clock of the process that said when it began.
    pub(crate) fn began_at(began_unix_ns: u64) -> Self {
        let (now, now_unix_ns) = both_now();
        let began = match began_unix_ns.checked_sub(now_unix_ns) {
            Some(ahead_ns) => now + Duration::from_nanos(ahead_ns),
            None => now - Duration::from_nanos(now_unix_ns - began_unix_ns),
        };
        Self { began, began_unix_ns }
    }

    pub(crate) fn began_unix_ns(&self) -> u64 {
        self.began_unix_ns
    }

    /// Zero before the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.now())
    }

    /// How long until it begins.
    pub(crate) fn until_it_begins(&self) -> Duration {
        self.began.saturating_duration_since(Instant::now())
    }
}

/// Both clocks at one moment: of many looks the quickest, for a process that is put aside between the two would be early by milliseconds.
fn both_now() -> (Instant, u64) {
    let look = || {
        let (before, now_unix_ns) = (Instant::now(), unix_ns());
        (before.elapsed(), before, now_unix_ns)
    };
    let first = look();
    let quickest = (0..LOOKS).map(|_| look()).fold(first, |one, other| match other.0 < one.0 {
        true => other,
        false => one,
    });
    (quickest.1, quickest.2)
}

fn unix_ns() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
