//! Traces that are made here: the same calls on each run and on each machine, since they are made of integers alone.

use crate::arguments::Settings;
use crate::trace::{Arrival, Trace};

/// Their names.
pub(crate) const BUILT_IN: [&str; 5] = ["steady", "bursty", "boundary", "flash", "day"];

/// Makes the trace of that name for a limit, which all of them grow with.
pub(crate) fn made(name: &str, settings: Settings) -> Option<Trace> {
    let mut calls = Calls { settings, random: Random(7), arrivals: Vec::new() };
    let (keys, about) = match name {
        "steady" => calls.steady(),
        "bursty" => calls.bursty(),
        "boundary" => calls.boundary(),
        "flash" => calls.flash(),
        "day" => calls.day(),
        _ => return None,
    };
    calls.arrivals.sort_unstable();
    Some(Trace { name: name.to_owned(), about: about.to_owned(), arrivals: calls.arrivals, keys })
}

struct Calls {
    settings: Settings,
    random: Random,
    arrivals: Vec<Arrival>,
}

/// The number of keys, and a title.
type About = (usize, &'static str);

/// Of a period, in which a burst comes.
const BURST: u64 = 60;

impl Calls {
    /// A quarter more than the limit, evenly: the time of each is off by up to half the time between two.
    fn steady(&mut self) -> About {
        let calls = 10 * self.settings.limit * 5 / 4;
        self.evenly(0, calls, 0, 10 * self.settings.period_ns);
        (1, "a quarter more than the limit, evenly")
    }

    /// Four users who come with up to one and a half times the limit at once, and then rest.
    fn bursty(&mut self) -> About {
        let Settings { limit, period_ns, .. } = self.settings;
        for key in 0..4 {
            let mut at_ns = self.random.below(period_ns);
            while at_ns < 10 * period_ns {
                let calls = limit / 2 + self.random.below(limit + 1);
                self.evenly(key, calls, at_ns, period_ns / (BURST / 2));
                at_ns += period_ns / 2 + self.random.below(period_ns * 3 / 2);
            }
        }
        (4, "four users, each with bursts of 0.5 to 1.5 × the limit, and rests")
    }

    /// Two attackers. One knows that windows start at multiples of the period: the limit before such a moment, and
    /// the limit after it. The other one starts windows with a call of its own, and does the same at their end.
    fn boundary(&mut self) -> About {
        let Settings { limit, period_ns, .. } = self.settings;
        let burst_ns = period_ns / BURST;
        for boundary in [1, 3, 5] {
            let boundary_ns = boundary * period_ns;
            self.evenly(0, limit, boundary_ns - burst_ns, burst_ns);
            self.evenly(0, limit, boundary_ns, burst_ns);
        }
        for probe_ns in [0, 3 * period_ns].map(|start_ns| start_ns + period_ns / 4) {
            self.evenly(1, 1, probe_ns, 1);
            let end_ns = probe_ns + period_ns;
            self.evenly(1, limit - 1, end_ns - burst_ns, burst_ns);
            // A window from the first call is up to 1/32 longer than its period.
            self.evenly(1, limit, end_ns + period_ns / 32 + 2, burst_ns);
        }
        (2, "two attackers with the limit before a window ends, and again after")
    }

    /// A third of the limit, then eight times the limit at once, which fades over four periods.
    fn flash(&mut self) -> About {
        let usual = 300;
        let peak = 8_000;
        self.at_random(0, 3, |_| usual);
        self.at_random(3, 4, |permille| peak - (peak - usual) * permille / 1_000);
        self.at_random(7, 3, |_| usual);
        (1, "a third of the limit, then a crowd of 8 × the limit that fades")
    }

    /// 1440 periods: where they are minutes, a day.
    fn day(&mut self) -> About {
        // Each hour's calls, in thousandths of the limit.
        let hours = [
            250, 180, 130, 100, 100, 150, 300, 550, 850, 1_050, 1_150, 1_200, 1_100, 1_050, 1_150,
            1_200, 1_150, 1_050, 950, 1_000, 1_150, 950, 650, 400,
        ];
        for (hour, permille) in (0..).zip(hours) {
            self.at_random(hour * 60, 60, |_| permille);
        }
        (1, "1440 periods, a tenth of the limit at night and 1.2 × it at noon")
    }

    /// So many calls of a key in that time, one in each part of it, somewhere in the first half of the part.
    fn evenly(&mut self, key: usize, calls: u64, start_ns: u64, length_ns: u64) {
        for call in 0..calls {
            let part_ns = length_ns / calls;
            let jitter_ns = self.random.below(part_ns / 2 + 1);
            let time_ns = start_ns + share(length_ns, call, calls) + jitter_ns;
            self.arrivals.push(Arrival { time_ns, key });
        }
    }

    /// Calls that do not know of each other, for some periods. Their number in a period is `permille` thousandths of
    /// the limit, given how far into the time that is, in thousandths.
    fn at_random(&mut self, start_periods: u64, periods: u64, permille_at: impl Fn(u64) -> u64) {
        let Settings { limit, period_ns, .. } = self.settings;
        let slots = periods * limit * SLOTS;
        for slot in 0..slots {
            let permille = permille_at(slot * 1_000 / slots);
            if self.random.below(1_000 * SLOTS) < permille {
                let time_ns = start_periods * period_ns + share(periods * period_ns, slot, slots);
                self.arrivals.push(Arrival { time_ns, key: 0 });
            }
        }
    }
}

/// Into how many slots the time of a token is divided, in each of which there is a call or not.
const SLOTS: u64 = 64;

/// length × part / parts.
fn share(length_ns: u64, part: u64, parts: u64) -> u64 {
    let share_ns = u128::from(length_ns) * u128::from(part) / u128::from(parts.max(1));
    u64::try_from(share_ns).unwrap_or(u64::MAX)
}

/// `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Wrapping is what it is made of.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let scaled = (u128::from(mixed) * u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_in_order_and_the_same_each_time() {
        for settings in [("100", "60s"), ("1", "1ms"), ("7", "1h")] {
            let settings = Settings::new(settings.0, settings.1).unwrap();
            for name in BUILT_IN {
                let trace = made(name, settings).unwrap();
                assert!(trace.arrivals.is_sorted());
                assert!(trace.arrivals.iter().all(|call| call.key < trace.keys));
                assert_eq!(trace, made(name, settings).unwrap());
            }
        }
    }

    #[test]
    fn the_day_has_the_calls_it_says() {
        let trace = made("day", Settings::new("100", "60s").unwrap()).unwrap();
        // The hours add up to 17,810 thousandths, times 60 minutes, times 100.
        let calls = trace.arrivals.len();
        assert!((105_000..109_000).contains(&calls), "{calls}");
    }
}
