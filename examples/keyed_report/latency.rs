//! How long calls take, each by itself.

use std::time::Instant;

use crate::jobs::Child;

/// A count of calls for each time that they took, to 3 %.
pub(crate) struct Latency {
    counts: Vec<u64>,
    worst_ns: u64,
}

/// The bits of a time that are told apart, from its highest on.
const BITS: u32 = 6;
const SLOTS: usize = (u64::BITS as usize + 1) << (BITS - 1);

impl Latency {
    /// Makes so many calls, with their numbers from `from` on, and times each of them.
    ///
    /// A time includes one reading of `Instant`, which is not the limiter's clock.
    pub(crate) fn of_calls(
        child: &mut Child,
        calls: u64,
        from: u64,
        mut call: impl FnMut(u64),
    ) -> Self {
        let mut latency = Self { counts: vec![0; SLOTS], worst_ns: 0 };
        for number in from..from + calls {
            let began = Instant::now();
            call(number);
            let took = began.elapsed();
            latency.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            child.is_one_further();
        }
        latency
    }

    fn add(&mut self, ns: u64) {
        let shift = Self::shift(ns);
        let slot = ((shift as usize) << (BITS - 1)) + usize::try_from(ns >> shift).unwrap_or(0);
        self.counts[slot] += 1;
        self.worst_ns = self.worst_ns.max(ns);
    }

    /// The lowest bits, which are not told apart.
    fn shift(ns: u64) -> u32 {
        (u64::BITS - ns.leading_zeros()).saturating_sub(BITS)
    }

    pub(crate) fn worst_ns(&self) -> u64 {
        self.worst_ns
    }

    /// The time that all but one in `one_in` calls did not exceed.
    pub(crate) fn all_but_one_in(&self, one_in: u64) -> u64 {
        let slowest = self.counts.iter().sum::<u64>() / one_in;
        let mut slower = 0;
        for (slot, count) in self.counts.iter().enumerate().rev() {
            slower += count;
            if slower > slowest {
                return Self::longest_in(slot).min(self.worst_ns);
            }
        }
        self.worst_ns
    }

    fn longest_in(slot: usize) -> u64 {
        let shift = (slot >> (BITS - 1)).saturating_sub(1);
        let highest = slot - (shift << (BITS - 1));
        ((highest as u64 + 1) << shift) - 1
    }
}
