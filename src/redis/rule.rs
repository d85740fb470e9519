//! What the script is told of a limit, and what its answers say.

use std::vec::Vec;

use super::counts::{Counted, Counts, Windows};
use super::scale::{Scale, floor_grains};
use crate::algorithm::Kind;
use crate::algorithm::Wait;
use crate::bucket::{Leaves, Left};
use crate::error::QuotaError;
use crate::tokens::{NANOS_PER_TOKEN, Tokens};

/// An algorithm with its numbers, as the script counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Level(Level),
    Counts(Counts),
}

/// A level that refills steadily: a token bucket; or what decides as one, see ITU-T I.371.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) scale: Scale,
    kind: LevelKind,
}

/// Buckets of different kinds do not stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LevelKind {
    TokenBucket,
    Gcra,
    LeakyBucket,
    LeakyQueue,
}

/// What the script found of a key, after what was taken if anything was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A level, and when, by the store's clock.
    Level {
        level: i64,
        at_us: u64,
    },
    Counted(Counted),
}

/// What the script is told of a limit: the bytes by which a bucket says whose it is (the algorithm, the decimal places of a grain,
/// and the period), and three numbers.
pub(crate) const HEAD_BYTES: usize = 10 + 24;

impl Rule {
    pub(crate) fn new(kind: Kind, places: Option<u32>) -> Result<Self, QuotaError> {
        let level = |quota, kind| {
            // A queue holds one that does not wait.
            let extra_tokens = u64::from(kind == LevelKind::LeakyQueue);
            Scale::new(quota, extra_tokens, places).map(|scale| Self::Level(Level { scale, kind }))
        };
        match &kind {
            Kind::TokenBucket(quota) => level(quota, LevelKind::TokenBucket),
            Kind::Gcra(quota) => level(quota, LevelKind::Gcra),
            Kind::LeakyBucket(quota) => level(quota, LevelKind::LeakyBucket),
            Kind::LeakyQueue(quota) => level(quota, LevelKind::LeakyQueue),
            Kind::FixedWindow(per) => Counts::new(per, false, places).map(Self::Counts),
            Kind::SlidingWindow(per) => Counts::new(per, true, places).map(Self::Counts),
        }
    }

    /// A token bucket of that scale.
    pub(crate) fn token_bucket(scale: Scale) -> Self {
        Self::Level(Level { scale, kind: LevelKind::TokenBucket })
    }

    /// Writes what the script is told of the limit itself.
    pub(crate) fn write_head(&self, to: &mut Vec<u8>) {
        let (letter, places, period_us, numbers) = match self {
            Self::Level(Level { scale, kind }) => {
                let letter = match kind {
                    LevelKind::TokenBucket => b't',
                    LevelKind::Gcra => b'g',
                    LevelKind::LeakyBucket => b'l',
                    LevelKind::LeakyQueue => b'q',
                };
                let refill = i64::try_from(scale.refill()).unwrap_or(i64::MAX);
                let numbers = [scale.full_level(), refill, scale.lowest_level()];
                (letter, scale.places(), scale.period_us(), numbers)
            }
            Self::Counts(counts) => {
                let letter = match counts.windows() {
                    Windows::Aligned => b'f',
                    Windows::FromFirstCall => b'c',
                    Windows::Weighed => b's',
                };
                let numbers = [counts.limit_grains(), counts.period_us(), counts.largest_grains()]
                    .map(|number| i64::try_from(number).unwrap_or(i64::MAX));
                (letter, counts.places(), counts.period_us(), numbers)
            }
        };
        let places = u8::try_from(places).unwrap_or(u8::MAX).saturating_add(b'0');
        to.extend_from_slice(&[letter, places]);
        to.extend_from_slice(&period_us.to_le_bytes());
        for number in numbers {
            to.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Grains in the numbers that the script counts this rule's amounts in.
    pub(crate) fn amount(&self, grains: u64) -> i64 {
        match self {
            Self::Level(Level { scale, .. }) => scale.level_of(grains),
            Self::Counts(counts) => {
                i64::try_from(grains.min(counts.largest_grains())).unwrap_or(i64::MAX)
            }
        }
    }

    /// Three numbers of an answer.
    pub(crate) fn found(&self, [first, second, third]: [i64; 3]) -> Option<Found> {
        let natural = |number| u64::try_from(number).ok();
        Some(match self {
            Self::Level(_) => Found::Level { at_us: natural(first)?, level: second },
            Self::Counts(_) => Found::Counted(Counted {
                start_us: natural(first)?,
                count: natural(second)?,
                before: natural(third)?,
            }),
        })
    }

    pub(crate) fn grains_per_token(&self) -> u64 {
        match self {
            Self::Level(Level { scale, .. }) => scale.grains_per_token(),
            Self::Counts(counts) => counts.grains_per_token(),
        }
    }

    /// The most grains that one call can take.
    pub(crate) fn capacity_grains(&self) -> u64 {
        match self {
            Self::Level(Level { scale, .. }) => scale.capacity_grains(),
            Self::Counts(counts) => counts.limit_grains(),
        }
    }

    /// A cost in grains, rounded up.
    pub(crate) fn grains(&self, cost: Tokens) -> u64 {
        cost.to_units_ceil(self.grains_per_token())
    }

    /// What is given back, in grains, rounded down.
    pub(crate) fn grains_floor(&self, tokens: Tokens) -> u64 {
        // A billion is a multiple of it.
        let nanos_per_grain = u128::from(u64::from(NANOS_PER_TOKEN) / self.grains_per_token());
        u64::try_from(floor_grains(tokens, nanos_per_grain)).unwrap_or(u64::MAX)
    }

    /// What of a cost is left, of which `taken` was taken, as the script counts.
    pub(crate) fn not_taken(&self, cost: Tokens, taken: u64) -> Tokens {
        let taken_grains = match self {
            Self::Level(Level { scale, .. }) => taken.checked_div(scale.period_us()).unwrap_or(0),
            Self::Counts(_) => taken,
        };
        cost.saturating_sub(self.tokens(taken_grains))
    }

    pub(crate) fn tokens(&self, grains: u64) -> Tokens {
        Tokens::from_units(grains, self.grains_per_token())
    }

    /// The grains that one call could take.
    pub(crate) fn available(&self, found: &Found, now_us: u64) -> u64 {
        match (self, found) {
            (Self::Level(Level { scale, .. }), Found::Level { level, .. }) => {
                scale.available(*level)
            }
            (Self::Counts(counts), Found::Counted(counted)) => counts.available(counted, now_us),
            _ => 0,
        }
    }

    /// How long until `wanted` grains, which are not above the capacity, can be had.
    pub(crate) fn wait_us(&self, found: &Found, now_us: u64, wanted: u64) -> u64 {
        match (self, found) {
            (Self::Level(Level { scale, .. }), Found::Level { level, at_us }) => {
                let ahead_us = at_us.saturating_sub(now_us);
                let wait_us = scale.wait_us(*level, scale.level_of(wanted));
                // A clock that went back stands still until then.
                if wait_us == 0 { 0 } else { wait_us.saturating_add(ahead_us) }
            }
            (Self::Counts(counts), Found::Counted(counted)) => {
                counts.wait_us(counted, now_us, wanted)
            }
            _ => 0,
        }
    }

    /// How long until nothing is missing.
    fn full_us(&self, found: &Found, now_us: u64) -> u64 {
        match (self, found) {
            (Self::Level(Level { scale, .. }), Found::Level { level, at_us }) => {
                let wait_us = scale.wait_us(*level, scale.full_level());
                wait_us.saturating_add(at_us.saturating_sub(now_us))
            }
            (Self::Counts(counts), Found::Counted(counted)) => counts.full_us(counted, now_us),
            _ => 0,
        }
    }

    /// The two words from which [`Leaves`] tells what is left: of a level itself, and by how much its time is ahead; of windows
    /// the grains that are left, and in what time nothing counts.
    pub(crate) fn words(&self, found: &Found, now_us: u64) -> (u64, u64) {
        match found {
            Found::Level { level, at_us } => {
                // As bits, to be read back as such.
                (u64::from_le_bytes(level.to_le_bytes()), at_us.saturating_sub(now_us))
            }
            Found::Counted(_) => (self.available(found, now_us), self.full_us(found, now_us)),
        }
    }
}

impl Leaves for Rule {
    fn left(&self, word: u64, time_us: u64) -> Left {
        let nanos = |us: u64| us.saturating_mul(1_000);
        match self {
            Self::Level(Level { scale, kind }) => {
                let level = i64::from_le_bytes(word.to_le_bytes());
                let full_us = scale.wait_us(level, scale.full_level()).saturating_add(time_us);
                // The last one leaves a token's time before the bucket is full.
                let token = scale.level_of(scale.grains_per_token());
                let departs_us = scale.wait_us(level, scale.full_level().saturating_sub(token));
                Left {
                    available: scale.tokens(scale.available(level)),
                    full: Wait::after(0, nanos(full_us)),
                    departs_ns: if *kind == LevelKind::LeakyQueue { nanos(departs_us) } else { 0 },
                }
            }
            Self::Counts(_) => Left {
                available: self.tokens(word),
                full: Wait::after(0, nanos(time_us)),
                departs_ns: 0,
            },
        }
    }
}
