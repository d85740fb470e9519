//! The numbers of a leased limiter, worked out once.

use super::batch::Bounds;
use crate::redis::scale::Scale;

/// What all accounts of a limiter go by.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Of the bucket in the store, whose capacity is less by what is refilled in a lease's time.
    pub(crate) scale: Scale,
    /// The most that one call may take.
    pub(crate) largest_cost: u64,
    pub(crate) bounds: Bounds,
    /// For so long after it was asked for a lease may be used.
    pub(crate) usable_ns: u64,
    /// Between two asks for a key of which the store has too little, on average.
    pub(crate) pause_ns: u64,
    /// In which every ask ends.
    pub(crate) timeout_us: u64,
}

impl Terms {
    /// A pause of half to one and a half times the usual length, by a number that is another one each time.
    ///
    /// Each process that asks takes what has been refilled since the one before it. At equal pauses they would come in the same order for
    /// seconds, and the one with the longest gap before it would have nearly all.
    pub(crate) fn pause_of(&self, seed: u64) -> u64 {
        (self.pause_ns / 2).saturating_add(below(self.pause_ns, seed))
    }

    /// How long a process waits that was told that `least` grains are there in `wait_ns`: up to a half more.
    ///
    /// All others are told the same. Would all ask then, the one with the shortest way to the store had everything. But the bucket does not
    /// get full meanwhile: what is refilled is not lost.
    pub(crate) fn wait_of(&self, wait_ns: u64, least: u64, seed: u64) -> u64 {
        let wait_ns = wait_ns.max(self.pause_ns);
        let room_ns = fills_in_ns(&self.scale, self.scale.capacity_grains().saturating_sub(least));
        wait_ns.saturating_add(below((wait_ns / 2).min(room_ns), seed))
    }

    /// The most that a level can be after some microseconds, in the store's units.
    pub(crate) fn level_after(&self, level: i64, elapsed_us: u64) -> i64 {
        let refilled = i128::from(elapsed_us).saturating_mul(self.scale.refill().into());
        let level = i128::from(level).saturating_add(refilled);
        i64::try_from(level).unwrap_or(i64::MAX).min(self.scale.full_level())
    }
}

/// The time in which so many grains are refilled.
pub(crate) fn fills_in_ns(scale: &Scale, grains: u64) -> u64 {
    let level = u128::from(grains).saturating_mul(scale.period_us().into());
    let ns = level.saturating_mul(1_000).checked_div(scale.refill().into());
    u64::try_from(ns.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// A number below `end`, or 0, that is another one for each seed.
fn below(end: u64, seed: u64) -> u64 {
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    spread.checked_rem(end).unwrap_or(0)
}
