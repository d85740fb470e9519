//! The default clock: the time-stamp counter, held to the operating system's clock.
//!
//! Counting ticks of the processor is the fastest way to tell the time, but a counter calibrated once
//! drifts for ever: 10 parts in a million are a second a day, and a limiter on it grants that much too
//! much. So the counter is not trusted for longer than a second. A *line* turns counter values into
//! nanoseconds; it is valid for a span of counter values, and whoever reads the clock past its end
//! asks the operating system and draws the next line. A line starts where the last one ended, and is
//! sloped so as to meet the operating system's clock at its end.
//!
//! ```text
//!   ns │            ____╱   each line meets `Instant` at its end
//!      │       __╱╱
//!      │   _╱╱              10 ms, 20 ms, 40 ms, … up to 1 s long
//!      │ ╱
//!      └─────────────────── counter
//! ```
//!
//! Until the first line is drawn (the first 10 ms or so of the process's use of this clock) the time
//! is `Instant`'s, at `Instant`'s price. Nobody ever waits for a calibration.

use core::fmt;

#[cfg(feature = "std")]
use super::Clock;

/// The fastest trustworthy monotonic clock of this machine. It is the default.
///
/// With feature `tsc`, and where the processor's time-stamp counter is invariant (x86-64 with that
/// flag; the system counter on AArch64), a read takes about 10 ns and stays within a few hundred
/// nanoseconds of the operating system's monotonic clock, for as long as the process runs: by up to
/// 0.5 ms while a time server slews that clock by the 500 parts in a million it commonly may. Elsewhere,
/// and if the counter is found unsteady three times (stopped, reset, moved), it reads [`std::time::Instant`], 25 ns.
///
/// **First use** does not stall: it starts a thread that makes sure of the counter, which takes 1 ms
/// as a rule and 200 ms at worst and then ends. Until then, and for 10 ms more, reads cost what
/// `Instant` costs. About once a second one read takes 0.3 µs, to compare with `Instant`.
///
/// Origin: the first use of any `SystemClock` in the process, so all instances agree.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use flowgate::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let earlier_ns = clock.now_ns();
/// assert!(clock.now_ns() >= earlier_ns);
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct SystemClock {
    // Cannot be made without the feature `std`.
    _private: (),
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemClock")
    }
}

#[cfg(feature = "std")]
impl SystemClock {
    /// Makes a handle to the clock. All handles show the same time.
    #[must_use]
    pub fn new() -> Self {
        source::start();
        Self { _private: () }
    }
}

#[cfg(feature = "std")]
impl SystemClock {
    /// How long after 1970, by the system's time now, this clock showed zero: 0 if that was before 1970.
    pub(crate) fn zero_at_unix_ns(&self) -> u64 {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let unix_ns = u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        unix_ns.saturating_sub(self.now_ns())
    }
}

/// For other clocks on the counter: its thread, and the counter once that has made sure of it.
#[cfg(all(feature = "redis", feature = "tsc", not(flowgate_loom)))]
pub(super) use source::{counter, start};

#[cfg(feature = "std")]
impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Clock for SystemClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        source::now_ns()
    }
}

/// Without the counter: `Instant`, from the first use on.
#[cfg(all(feature = "std", any(not(feature = "tsc"), flowgate_loom)))]
mod source {
    use super::super::{Clock, InstantClock};
    use std::sync::OnceLock;

    static CLOCK: OnceLock<InstantClock> = OnceLock::new();

    pub(super) fn start() {
        CLOCK.get_or_init(InstantClock::new);
    }

    pub(super) fn now_ns() -> u64 {
        CLOCK.get_or_init(InstantClock::new).now_ns()
    }
}

#[cfg(all(feature = "tsc", not(flowgate_loom)))]
mod source {
    use super::super::line::{self, Line};
    use super::super::{Clock, InstantClock};
    use crate::seqlock::Seqlock;
    use std::sync::OnceLock;

    /// The first line is drawn over this much time, each next one over twice as much.
    const FIRST_SPAN_NS: u64 = 10_000_000;
    const LONGEST_SPAN_NS: u64 = 1_000_000_000;
    /// A line that ends further ahead than this, or a slope that changes by more than one part in
    /// this many, means that the counter was stopped, reset or moved. (Time servers slew the system
    /// clock by one part in 2,000 at most.)
    const LARGEST_AHEAD_NS: u64 = 1_000_000;
    const STEADY_TO_ONE_IN: u64 = 1_000;
    /// A counter found unsteady this often is not used again.
    const STRIKES: u64 = 3;

    /// What the next line is measured from: a pair of readings, the slope found then (0: none yet)
    /// and how often the counter was found unsteady.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(super) struct Measured {
        pub(super) counter: u64,
        pub(super) ns: u64,
        pub(super) slope: u64,
        pub(super) strikes: u64,
    }

    impl Measured {
        fn from_words([counter, ns, slope, strikes]: [u64; 4]) -> Self {
            Self { counter, ns, slope, strikes }
        }

        fn words(self) -> [u64; 4] {
            [self.counter, self.ns, self.slope, self.strikes]
        }
    }

    static LINE: Seqlock<4> = Seqlock::new([0; 4]);
    /// Written by the thread at the start, and from then on by whoever has the turn at `LINE`.
    static MEASURED: Seqlock<4> = Seqlock::new([0; 4]);
    static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();
    static INSTANT: OnceLock<InstantClock> = OnceLock::new();

    fn instant_ns() -> u64 {
        INSTANT.get_or_init(InstantClock::new).now_ns()
    }

    /// The counter, if it is known to be a good one.
    #[cfg(feature = "redis")]
    #[inline]
    pub(in crate::clock) fn counter() -> Option<&'static quanta::Clock> {
        COUNTER.get()
    }

    /// Fixes the origin, and makes sure of the counter in a thread of its own.
    pub(in crate::clock) fn start() {
        static STARTED: OnceLock<()> = OnceLock::new();
        STARTED.get_or_init(|| {
            instant_ns();
            // If no thread can be had, the clock stays with `Instant`.
            let _ = std::thread::Builder::new().name("flowgate-clock".into()).spawn(|| {
                // Finds out whether the counter is invariant. Where it is not, `raw` is a system
                // clock, and the lines follow that one.
                let counter = quanta::Clock::new();
                let (at, ns) = read_both(&counter);
                if let Some(mut turn) = MEASURED.try_turn() {
                    turn.write(Measured { counter: at, ns, slope: 0, strikes: 0 }.words());
                    drop(turn);
                    let _ = COUNTER.set(counter);
                }
            });
        });
    }

    #[inline]
    pub(super) fn now_ns() -> u64 {
        if let Some(counter) = COUNTER.get() {
            // The counter first: it takes longest, and the line is read meanwhile.
            let now = counter.raw();
            if let Some(words) = LINE.try_read() {
                let line = Line::from_words(words);
                if line.covers(now) {
                    return line.at(now);
                }
            }
        }
        off_the_line()
    }

    /// The time where no line tells it: `Instant`'s. Draws the next line on the way if it is due.
    #[cold]
    fn off_the_line() -> u64 {
        let now_ns = instant_ns();
        let Some(counter) = COUNTER.get() else { return now_ns };
        let due = |measured: [u64; 4]| {
            now_ns.saturating_sub(Measured::from_words(measured).ns) >= FIRST_SPAN_NS
        };
        if !MEASURED.try_read().is_some_and(due) {
            return now_ns.max(shown_ns(counter));
        }
        // If somebody else is drawing it, `Instant` will do for this once. `LINE` itself is locked only
        // while it is written.
        let Some(mut measured_turn) = MEASURED.try_turn() else {
            return now_ns.max(shown_ns(counter));
        };
        let Some(old) = LINE.try_read().map(Line::from_words) else { return now_ns };
        let (now, now_ns) = read_both(counter);
        if old.covers(now) {
            // It was drawn while we came here.
            return old.at(now);
        }
        let then = Measured::from_words(measured_turn.read());
        let (line, measured) = next_line(old, then, now, now_ns);
        measured_turn.write(measured.words());
        LINE.turn().write(line.words());
        if line.span == 0 { now_ns } else { line.ns }
    }

    /// The time by the line if there is one by now, or else the most that it can have shown: its end.
    /// Whoever is told `Instant`'s time in its place must not be told less.
    fn shown_ns(counter: &quanta::Clock) -> u64 {
        // Written for some nanoseconds once a second, at other times read at once.
        for _ in 0..100 {
            if let Some(words) = LINE.try_read() {
                return Line::from_words(words).shown_by(counter.raw());
            }
            std::hint::spin_loop();
        }
        0
    }

    /// Reads both clocks at one moment.
    fn read_both(counter: &quanta::Clock) -> (u64, u64) {
        let reading = line::read_both(counter, instant_ns);
        // In the middle of what it took.
        (reading.counter.wrapping_add(reading.took / 2), reading.ns)
    }

    /// The line from `now` on, and what the one after it is measured from.
    pub(super) fn next_line(old: Line, then: Measured, now: u64, now_ns: u64) -> (Line, Measured) {
        let strike = || {
            let strikes = then.strikes.saturating_add(1);
            // A measurement from the end of time never has a span behind it.
            let ns = if strikes < STRIKES { now_ns } else { u64::MAX };
            (Line::NONE, Measured { counter: now, ns, slope: 0, strikes })
        };
        let counts = now.wrapping_sub(then.counter);
        let elapsed_ns = now_ns.saturating_sub(then.ns);
        // A counter that went back has wrapped to above 2^63, and the slope comes out near zero.
        let Some(slope) = scale(1 << 32, elapsed_ns, counts).filter(|slope| *slope > 0) else {
            return strike();
        };
        if then.slope != 0 && then.slope.abs_diff(slope) > then.slope / STEADY_TO_ONE_IN {
            return strike();
        }
        // The clock has shown at most the old line's end, and must not step back from it.
        let shown_ns = old.shown_by(now);
        let ahead_ns = shown_ns.saturating_sub(now_ns);
        if ahead_ns > LARGEST_AHEAD_NS {
            return strike();
        }
        // Aim at where `Instant` will be when the line ends.
        let span_ns = elapsed_ns.saturating_mul(2).min(LONGEST_SPAN_NS);
        let Some(span) = scale(span_ns, 1 << 32, slope) else { return strike() };
        let Some(aimed) = scale(span_ns.saturating_sub(ahead_ns), 1 << 32, span) else {
            return strike();
        };
        (
            Line { counter: now, span, ns: now_ns.max(shown_ns), slope: aimed },
            Measured { counter: now, ns: now_ns, slope, strikes: then.strikes },
        )
    }

    /// `value × by / over`, if it fits and `over` is not 0.
    fn scale(value: u64, by: u64, over: u64) -> Option<u64> {
        let product = u128::from(value) * u128::from(by);
        u64::try_from(product.checked_div(u128::from(over))?).ok()
    }
}

#[cfg(all(test, feature = "tsc", not(flowgate_loom)))]
mod tests {
    use super::super::line::Line;
    use super::source::{Measured, next_line};
    use super::*;
    use std::time::{Duration, Instant};

    /// 2.6 counts a nanosecond, as on a 2.6 GHz machine.
    const fn counts(ns: u64) -> u64 {
        ns / 10 * 26
    }

    fn first() -> (Line, Measured) {
        let measured = Measured { counter: 5_000, ns: 1_000, slope: 0, strikes: 0 };
        next_line(Line::NONE, measured, 5_000 + counts(10_000_000), 10_001_000)
    }

    #[test]
    fn a_line_follows_the_counter() {
        let (line, measured) = first();
        assert_eq!(measured.strikes, 0);
        assert_eq!(line.at(line.counter), 10_001_000);
        let later = line.at(line.counter + counts(20_000_000));
        assert!(later.abs_diff(30_001_000) <= 1, "{later}");
    }

    #[test]
    fn a_line_that_ended_ahead_is_followed_by_a_flatter_one_and_never_by_a_step_back() {
        let (line, measured) = first();
        // The counter ran 10 parts in a million fast: 200 ns in 20 ms.
        let (end, end_ns) = (line.counter + line.span, 30_001_000 - 200);
        let (next, _) = next_line(line, measured, end, end_ns);
        assert_eq!(next.at(end), line.at(end));
        let met = next.at(next.counter + next.span);
        assert!(met.abs_diff(end_ns + 40_000_000) < 1_000, "{met}");
    }

    #[test]
    fn a_line_shows_no_time_before_it_begins_and_none_after_it_ends() {
        let (line, _) = first();
        assert_eq!(line.shown_by(line.counter - 1), 0);
        assert_eq!(line.shown_by(line.counter), line.ns);
        let end_ns = line.at(line.counter + line.span);
        assert_eq!(line.shown_by(line.counter + line.span * 5), end_ns);
        assert_eq!(Line::NONE.shown_by(7), 0);
    }

    #[test]
    fn a_counter_that_jumps_is_not_believed() {
        let (line, measured) = first();
        for (now, now_ns) in [
            // Reset to zero, as by a suspend; ten times too fast; stopped.
            (17, 40_000_000),
            (line.counter + counts(300_000_000), 40_001_000),
            (line.counter + 1, 40_001_000),
        ] {
            let (next, struck) = next_line(line, measured, now, now_ns);
            assert_eq!((next.span, struck.strikes, struck.ns), (0, 1, now_ns));
        }
        let last = Measured { strikes: 2, ..measured };
        assert_eq!(next_line(line, last, 17, 40_000_000).1.ns, u64::MAX);
    }

    #[test]
    fn it_keeps_to_the_operating_systems_clock_and_never_steps_back() {
        let clock = SystemClock::new();
        let origin = Instant::now();
        let origin_ns = clock.now_ns();
        let mut last_ns = 0;
        let mut worst_ahead_ns = 0;
        while origin.elapsed() < Duration::from_millis(1_500) {
            let now_ns = clock.now_ns();
            let limit_ns = u64::try_from(origin.elapsed().as_nanos()).unwrap();
            // A microsecond for the off-line readers; the bound in the documentation is for ever.
            assert!(now_ns + 1_000 >= last_ns, "stepped back by {} ns", last_ns - now_ns);
            worst_ahead_ns = worst_ahead_ns.max((now_ns - origin_ns).saturating_sub(limit_ns));
            last_ns = last_ns.max(now_ns);
        }
        assert!(worst_ahead_ns < 20_000, "ran {worst_ahead_ns} ns ahead of Instant");
    }
}
