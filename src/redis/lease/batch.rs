//! How many tokens to lease next. Pure arithmetic on grains and nanoseconds.

/// What bounds the batches of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How long a lease may be used.
    pub(crate) lifetime_ns: u64,
    /// So that one process does not take what others need.
    pub(crate) largest: u64,
}

/// A batch lasts about this part of a lease's lifetime: so it is used before it ends, at twice the rate and at half of it.
const PARTS_OF_LIFETIME: u64 = 4;

/// The next batch is asked for when this part of the last one is left.
const PARTS_LEFT: u64 = 4;

/// The size of a key's batches, which follows what the key uses.
///
/// A key that is asked for now and then gets what each call costs, as if it asked the store itself. One that runs dry gets twice as
/// much each time, until a batch lasts for a quarter of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    grains: u64,
}

impl Batch {
    /// The next size, after `used` grains in `elapsed_ns`; `is_dry` if nothing is left. Enough for `wanted`.
    pub(crate) fn next(
        &mut self,
        bounds: &Bounds,
        used: u64,
        elapsed_ns: u64,
        is_dry: bool,
        wanted: u64,
    ) -> u64 {
        let at_pace = grains_in(used, elapsed_ns, bounds.lifetime_ns / PARTS_OF_LIFETIME);
        let lived_ns = bounds.lifetime_ns / PARTS_OF_LIFETIME;
        // One that ran dry long ago tells nothing of how much would have been used.
        let has_run_dry = is_dry && elapsed_ns <= lived_ns;
        let followed = if has_run_dry {
            at_pace.max(self.grains.saturating_mul(2))
        } else {
            // Half way, rounded up, so that one burst does not decide alone.
            self.grains.midpoint(at_pace).saturating_add((self.grains ^ at_pace) & 1)
        };
        self.grains = followed.clamp(1, bounds.largest.max(1)).max(wanted);
        self.grains
    }

    /// Below this much the next one is asked for.
    pub(crate) fn low(self) -> u64 {
        self.grains / PARTS_LEFT
    }
}

/// `used` in `elapsed_ns` makes so many in `ns`.
fn grains_in(used: u64, elapsed_ns: u64, ns: u64) -> u64 {
    let product = u128::from(used).saturating_mul(u128::from(ns));
    let grains = product / u128::from(elapsed_ns.max(1));
    u64::try_from(grains).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { lifetime_ns: 1_000_000_000, largest: 10_000 };

    #[test]
    fn a_key_that_is_asked_for_now_and_then_gets_what_each_call_costs() {
        let mut batch = Batch::default();
        for _ in 0..10 {
            // One call a second, which uses all of the one grain that was leased for it.
            assert_eq!(batch.next(&BOUNDS, 1, 1_000_000_000, true, 1), 1);
        }
    }

    #[test]
    fn a_key_that_runs_dry_soon_gets_twice_as_much_up_to_the_largest() {
        let mut batch = Batch::default();
        let mut last = batch.next(&BOUNDS, 0, 1, true, 1);
        for _ in 0..20 {
            let next = batch.next(&BOUNDS, last, 200_000_000, true, 1);
            assert!(next >= (2 * last).min(BOUNDS.largest), "{next} after {last}");
            last = next;
        }
        assert_eq!(last, BOUNDS.largest);
    }

    #[test]
    fn a_steady_key_settles_at_a_quarter_of_a_lifetime() {
        let mut batch = Batch::default();
        let mut size = batch.next(&BOUNDS, 0, 1, true, 1);
        // 8,000 a second: a batch is used at that pace, and asked for when a quarter is left.
        for _ in 0..40 {
            let used = size - batch.low();
            size = batch.next(&BOUNDS, used, used * 1_000_000_000 / 8_000, false, 1);
        }
        assert!((1_900..=2_100).contains(&size), "{size}");
    }

    #[test]
    fn a_key_that_calms_down_gets_smaller_batches() {
        let mut batch = Batch { grains: 8_000 };
        for _ in 0..20 {
            batch.next(&BOUNDS, 10, 1_000_000_000, false, 1);
        }
        assert!(batch.grains <= 4, "{batch:?}");
    }

    proptest! {
        #[test]
        fn a_batch_is_never_none_and_holds_what_is_wanted(
            start: u64, used: u64, elapsed_ns: u64, is_dry: bool, wanted in 1..=u64::MAX,
            largest: u64, lifetime_ns: u64,
        ) {
            let mut batch = Batch { grains: start };
            let bounds = Bounds { lifetime_ns, largest };
            let next = batch.next(&bounds, used, elapsed_ns, is_dry, wanted);
            prop_assert!(next >= wanted);
            prop_assert!(next <= largest.max(wanted).max(1));
        }
    }
}
