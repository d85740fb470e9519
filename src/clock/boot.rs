//! A clock that goes on while the machine sleeps: what a lease's time is measured by.
//!
//! A monotonic clock stands still while the machine is suspended. Tokens that were leased before would be found still good after it, though
//! the store has given others as many meanwhile. So the end of a lease is a time of `CLOCK_BOOTTIME`, which goes on.
//!
//! That clock takes 20 to 40 ns to read. So, as in [`system`](super::system), the processor's counter tells how much time has gone by since
//! it was read last, but for a millisecond at most. A counter that went on while the machine slept is past that millisecond, one that was
//! reset is before its start; either way the operating system is asked.

use super::Clock;

/// Where `CLOCK_BOOTTIME` is not to be had (other systems than Linux and Android) it is [`std::time::Instant`], which goes on during sleep
/// on some of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootClock(());

impl BootClock {
    pub(crate) fn new() -> Self {
        #[cfg(all(feature = "tsc", not(flowgate_loom)))]
        super::system::start();
        system::now_ns();
        Self(())
    }
}

impl Clock for BootClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        #[cfg(all(feature = "tsc", not(flowgate_loom)))]
        return counted::now_ns();
        #[cfg(not(all(feature = "tsc", not(flowgate_loom))))]
        system::now_ns()
    }
}

/// The operating system's clock.
mod system {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn now_ns() -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Time since boot: not negative, and 2^63 ns are 292 years.
        #[allow(clippy::cast_sign_loss)]
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn now_ns() -> u64 {
        use crate::clock::{Clock, InstantClock};
        static CLOCK: std::sync::OnceLock<InstantClock> = std::sync::OnceLock::new();
        CLOCK.get_or_init(InstantClock::new).now_ns()
    }
}

#[cfg(all(feature = "tsc", not(flowgate_loom)))]
mod counted {
    use super::super::line::{self, Line};
    use super::super::system::counter;
    use super::system;
    use crate::seqlock::Seqlock;

    /// For so long the counter is believed.
    const SPAN_NS: u64 = 1_000_000;
    /// A slope is measured over this much time at least.
    const LEAST_MEASURED_NS: u64 = 20_000_000;
    /// A slope that changes by more than one part in so many means that the counter was stopped, reset or moved. (Time servers slew the
    /// system's clock by one part in 2,000 at most.)
    const STEADY_TO_ONE_IN: u64 = 1_000;

    /// A line, and what it was measured from: its slope since `first_counter` showed `first_ns`. The slope is 0 until then, and so is
    /// the span.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(super) struct Measured {
        pub(super) line: Line,
        pub(super) first_counter: u64,
        pub(super) first_ns: u64,
    }

    static MEASURED: Seqlock<6> = Seqlock::new([0; 6]);

    impl Measured {
        #[inline]
        fn from_words([counter, span, ns, slope, first_counter, first_ns]: [u64; 6]) -> Self {
            Self { line: Line::from_words([counter, span, ns, slope]), first_counter, first_ns }
        }

        fn words(self) -> [u64; 6] {
            let [counter, span, ns, slope] = self.line.words();
            [counter, span, ns, slope, self.first_counter, self.first_ns]
        }

        /// The time at `counter`, if it is on the line.
        #[inline]
        pub(super) fn at(self, counter: u64) -> Option<u64> {
            self.line.covers(counter).then(|| self.line.at(counter))
        }

        /// The line that begins at a reading of both clocks.
        pub(super) fn next(self, counter: u64, now_ns: u64) -> Self {
            let here = Line { counter, span: 0, ns: now_ns, slope: 0 };
            let begun = Self { line: here, first_counter: counter, first_ns: now_ns };
            if self.first_ns == 0 {
                return begun;
            }
            let elapsed_ns = now_ns.saturating_sub(self.first_ns);
            if elapsed_ns < LEAST_MEASURED_NS {
                return Self { line: Line { counter, ns: now_ns, ..self.line }, ..self };
            }
            // A counter that went back has wrapped to above 2^63, and the slope comes out near zero.
            let counts = counter.wrapping_sub(self.first_counter);
            let slope = (u128::from(elapsed_ns) << 32).checked_div(counts.into()).unwrap_or(0);
            let slope = u64::try_from(slope).unwrap_or(0);
            let old = self.line.slope;
            let is_steady = old == 0 || old.abs_diff(slope) <= old / STEADY_TO_ONE_IN;
            if slope == 0 || !is_steady {
                return begun;
            }
            let span = (u128::from(SPAN_NS) << 32).checked_div(slope.into()).unwrap_or(0);
            let span = u64::try_from(span).unwrap_or(0);
            Self { line: Line { span, slope, ..here }, ..self }
        }
    }

    #[inline]
    pub(super) fn now_ns() -> u64 {
        if let Some(counter) = counter() {
            // The counter first: it takes longest, and the line is read meanwhile.
            let now = counter.raw();
            let measured = MEASURED.try_read().map(Measured::from_words);
            if let Some(now_ns) = measured.and_then(|measured| measured.at(now)) {
                return now_ns;
            }
        }
        off_the_line()
    }

    /// The operating system's time. Begins the next line with it, unless somebody else is at that.
    #[cold]
    fn off_the_line() -> u64 {
        let Some(counter) = counter() else { return system::now_ns() };
        let Some(mut turn) = MEASURED.try_turn() else { return system::now_ns() };
        // The counter before: if this thread is stopped in between, the line is ahead by that, for its millisecond, and leases end early.
        let line::Reading { counter: at, ns: now_ns, .. } =
            line::read_both(counter, system::now_ns);
        let next = Measured::from_words(turn.read()).next(at, now_ns);
        turn.write(next.words());
        now_ns
    }
}

#[cfg(all(test, feature = "tsc", not(flowgate_loom)))]
mod tests {
    use super::super::line::Line;
    use super::counted::Measured;
    use super::*;

    const NONE: Measured = Measured { line: Line::NONE, first_counter: 0, first_ns: 0 };

    /// 2.5 counts a nanosecond.
    fn measured() -> Measured {
        let first = NONE.next(1_000, 500);
        assert_eq!(first.at(1_000), None);
        let second = first.next(1_000 + 25_000_000, 500 + 10_000_000);
        assert_eq!(second.at(second.line.counter), None);
        second.next(1_000 + 50_000_000, 500 + 20_000_000)
    }

    #[test]
    fn a_line_tells_the_time_for_a_millisecond_and_not_longer() {
        let measured = measured();
        assert_eq!(measured.at(measured.line.counter), Some(20_000_500));
        assert!(measured.at(measured.line.counter + 2_500).unwrap().abs_diff(20_001_500) <= 1);
        assert!(measured.at(measured.line.counter + 2_499_900).unwrap().abs_diff(21_000_460) <= 1);
        assert_eq!(measured.at(measured.line.counter + 2_500_100), None);
    }

    #[test]
    fn a_machine_that_slept_is_found_out_whether_its_counter_went_on_or_not() {
        let measured = measured();
        // It went on: an hour later.
        assert_eq!(measured.at(measured.line.counter + 9_000_000_000_000), None);
        // It was reset.
        assert_eq!(measured.at(17), None);
        // Then it is measured anew, and not believed until that is done.
        let after = measured.next(17, 3_600_000_000_000);
        assert_eq!(
            (after.line.span, after.first_counter, after.first_ns),
            (0, 17, 3_600_000_000_000)
        );
    }

    #[test]
    fn a_counter_that_changes_its_pace_is_measured_anew() {
        let measured = measured();
        let next = measured.next(measured.line.counter + 25_000_000, measured.line.ns + 20_000_000);
        assert_eq!((next.line.span, next.line.slope), (0, 0));
        let steady =
            measured.next(measured.line.counter + 25_000_000, measured.line.ns + 10_000_000);
        assert_eq!((steady.line.slope, steady.first_ns), (measured.line.slope, 500));
    }

    #[test]
    fn it_keeps_to_the_operating_systems_clock() {
        let clock = BootClock::new();
        let start = std::time::Instant::now();
        let (mut worst_ns, mut last_ns) = (0, 0);
        while start.elapsed().as_millis() < 300 {
            let before = system::now_ns();
            let now_ns = clock.now_ns();
            let after = system::now_ns();
            worst_ns =
                worst_ns.max(before.saturating_sub(now_ns)).max(now_ns.saturating_sub(after));
            assert!(now_ns + 10_000 >= last_ns);
            last_ns = now_ns;
        }
        assert!(worst_ns < 100_000, "{worst_ns} ns off");
    }
}
