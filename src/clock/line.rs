//! A line, which turns values of the processor's counter into nanoseconds for a while.

/// From `counter`, for `span` counts, the time is `ns` plus the counts since times `slope` / 2^32. `span` is 0 while there is no line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) counter: u64,
    pub(super) span: u64,
    pub(super) ns: u64,
    pub(super) slope: u64,
}

impl Line {
    pub(super) const NONE: Self = Self { counter: 0, span: 0, ns: 0, slope: 0 };

    #[inline]
    pub(super) fn from_words([counter, span, ns, slope]: [u64; 4]) -> Self {
        Self { counter, span, ns, slope }
    }

    pub(super) fn words(self) -> [u64; 4] {
        [self.counter, self.span, self.ns, self.slope]
    }

    #[inline]
    pub(super) fn covers(self, counter: u64) -> bool {
        // A counter below the line's start wraps to a large number and fails the test too.
        counter.wrapping_sub(self.counter) < self.span
    }

    /// The time at `counter`, which is on the line or at its end.
    #[inline]
    pub(super) fn at(self, counter: u64) -> u64 {
        let counts = counter.wrapping_sub(self.counter);
        let ns = (u128::from(counts) * u128::from(self.slope)) >> 32;
        // A span is a second at most.
        #[allow(clippy::cast_possible_truncation)]
        self.ns.wrapping_add(ns as u64)
    }

    /// The latest time that somebody can have been told by this line when the counter is at `counter`;
    /// 0 if the line has not begun.
    pub(super) fn shown_by(self, counter: u64) -> u64 {
        let counts = counter.wrapping_sub(self.counter);
        if self.span == 0 || counts > u64::MAX / 2 {
            return 0;
        }
        self.at(self.counter.wrapping_add(counts.min(self.span)))
    }
}

/// Both clocks at one moment.
pub(super) struct Reading {
    /// The counter before the time was read, and how far it went on meanwhile.
    pub(super) counter: u64,
    pub(super) took: u64,
    pub(super) ns: u64,
}

/// Reads the counter and a clock: of four tries, the one that took least.
pub(super) fn read_both(counter: &quanta::Clock, now_ns: impl Fn() -> u64) -> Reading {
    let read = || {
        let before = counter.raw();
        let ns = now_ns();
        Reading { counter: before, took: counter.raw().wrapping_sub(before), ns }
    };
    let mut best = read();
    for _ in 0..3 {
        let again = read();
        if again.took < best.took {
            best = again;
        }
    }
    best
}
