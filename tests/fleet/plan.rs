//! What each process does, and how it is told.

use std::time::Duration;

use flowgate::Quota;
use flowgate::redis::{Lease, WhenDown};

/// What each process of a fleet does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Several are those of a cluster.
    pub(crate) urls: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) quota: Quota,
    pub(crate) timeout: Duration,
    pub(crate) traffic: Traffic,
}

/// When all of a fleet begin and end, by the clock of `time.rs`: they are told when they are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) begins_us: u64,
    pub(crate) ends_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// A round trip each.
    Remote,
    Leased {
        lifetime: Duration,
        when_down: WhenDown,
        kind: Kind,
    },
}

/// What is set of a lease beside its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Strict,
    Relaxed,
    EmptyAfterRestart,
}

impl Mode {
    pub(crate) fn leased(lifetime: Duration) -> Self {
        Self::Leased { lifetime, when_down: WhenDown::Deny, kind: Kind::Strict }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Leased { .. } => "leased",
        }
    }

    pub(crate) fn lease(self) -> Option<Lease> {
        let Self::Leased { lifetime, when_down, kind } = self else { return None };
        let lease = Lease::when_down(when_down).lifetime(lifetime);
        Some(match kind {
            Kind::Strict => lease,
            Kind::Relaxed => lease.relaxed(),
            Kind::EmptyAfterRestart => lease.empty_after_restart(),
        })
    }
}

/// How a process asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Traffic {
    /// For more than there is, all the time.
    Saturated,
    /// For half of what there is, evenly: leases last for a while.
    Steady,
    /// As saturated, with rests of its own in between.
    Bursty,
    /// At a pace, and all rest at the same times, but for a moment in the middle in which they lease: so they hold leases, and the
    /// store is full again, when they begin together.
    InStep,
}

impl Traffic {
    /// Whether a process asks now.
    pub(crate) fn is_on(self, since_begin: Duration, process: u32) -> bool {
        let ms = since_begin.as_millis();
        match self {
            Self::Saturated | Self::Steady => true,
            // A quarter of the time, or all of it, each in a round of its own.
            Self::Bursty => {
                let round_ms = 170 + u128::from(process % 7) * 30;
                (ms / round_ms).is_multiple_of(3) || ms % round_ms < round_ms / 4
            }
            Self::InStep => matches!(ms % 600, 0..150 | 420..422 | 576..600),
        }
    }

    /// How long it rests after each call that was granted, and after each that was not.
    pub(crate) fn pauses(self) -> (Duration, Duration) {
        match self {
            Self::InStep => (Duration::from_micros(10), Duration::from_micros(10)),
            Self::Steady => (Duration::from_millis(4), Duration::from_millis(4)),
            _ => (Duration::ZERO, Duration::from_micros(150)),
        }
    }
}

impl Plan {
    pub(crate) fn to_words(&self) -> String {
        let (lifetime_ms, when_down, kind) = match self.mode {
            Mode::Remote => (0, "none".to_string(), Kind::Strict),
            Mode::Leased { lifetime, when_down, kind } => {
                let when_down = match when_down {
                    WhenDown::Share { processes } => processes.to_string(),
                    other => format!("{other:?}"),
                };
                (lifetime.as_millis(), when_down, kind)
            }
        };
        [
            self.urls.join(","),
            lifetime_ms.to_string(),
            when_down,
            format!("{kind:?}"),
            self.quota.to_string(),
            self.timeout.as_millis().to_string(),
            format!("{:?}", self.traffic),
        ]
        .join("|")
    }

    pub(crate) fn from_words(text: &str) -> Self {
        let words: Vec<&str> = text.split('|').collect();
        let [urls, lifetime, when_down, kind, quota, timeout, traffic] = words[..] else {
            panic!("{text} is no plan")
        };
        let number = |word: &str| word.parse::<u64>().unwrap();
        let lifetime = Duration::from_millis(number(lifetime));
        let when_down = match when_down {
            "Deny" | "none" => WhenDown::Deny,
            "Allow" => WhenDown::Allow,
            processes => WhenDown::Share { processes: processes.parse().unwrap() },
        };
        let kind = match kind {
            "Relaxed" => Kind::Relaxed,
            "EmptyAfterRestart" => Kind::EmptyAfterRestart,
            _ => Kind::Strict,
        };
        Self {
            urls: urls.split(',').map(String::from).collect(),
            mode: match lifetime.is_zero() {
                true => Mode::Remote,
                false => Mode::Leased { lifetime, when_down, kind },
            },
            quota: quota.parse().unwrap(),
            timeout: Duration::from_millis(number(timeout)),
            traffic: match traffic {
                "Saturated" => Traffic::Saturated,
                "Steady" => Traffic::Steady,
                "Bursty" => Traffic::Bursty,
                _ => Traffic::InStep,
            },
        }
    }
}
