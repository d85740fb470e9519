//! An exact sliding window: a log of what was granted, one word per call.
//!
//! The sliding-window log is a textbook algorithm (an entry per request, those older than the window are struck off).
//! Here an entry carries a running count, so that what a window holds is one subtraction and not a sum, and the
//! entries lie in a ring of a fixed size.

use core::time::Duration;

use super::layout::{LONGEST_FILL_NS, LONGEST_IDLE_NS};
use crate::error::QuotaError;
use crate::tokens::Tokens;

/// How entries lie in words, and how places in the ring are numbered: chosen when a log is built.
///
/// ```text
///  63 ............................ | b ................... 1 | 0
///  stamp, in ticks, rounded up,    | tokens granted up to    | lap
///  modulo its width                | this one, modulo 2^b    |
/// ```
///
/// * The **stamp** is not before that of the entry before it. Its range is 18 years at least.
/// * The **count** tells entries apart by up to 2 × limit tokens: 2^b is above that.
/// * The **lap** is the parity of the rounds through the ring: it tells a new entry from the one that it replaced.
///
/// A *place* is a round and a slot, `round << place_bits | slot`. Places grow for ever: 2^63 of them, 2,900 years at
/// 100 million grants a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogLayout {
    limit: u64,
    window_ns: u64,
    count_bits: u32,
    tick_shift: u32,
    place_bits: u32,
}

/// A time to decide at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The stamp of an entry made now, in its place.
    stamp: u64,
    /// The age from which an entry has expired, in the stamp's place.
    expires_at: u64,
}

const LAP: u64 = 1;
const LAP_BITS: u32 = 1;

/// A window is this many ticks long at least: what an entry is kept too long is a small part of it.
const TICKS_PER_WINDOW: u64 = 64;

impl LogLayout {
    /// The layout with the finest tick that has the range.
    pub(crate) fn choose(limit: u64, window: Duration) -> Result<Self, QuotaError> {
        check(limit, window)?;
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let count_bits = u64::BITS.saturating_sub(limit.saturating_mul(2).leading_zeros());
        let stamp_bits = u64::BITS.saturating_sub(LAP_BITS).saturating_sub(count_bits);
        let range_ns = u128::from(LONGEST_IDLE_NS).saturating_mul(2);
        let tick_shift = (range_ns >> stamp_bits).saturating_add(1).next_power_of_two().ilog2();
        let shortest = Duration::from_nanos(TICKS_PER_WINDOW << tick_shift);
        if window < shortest {
            return Err(QuotaError::WindowTooShort { window, shortest });
        }
        let place_bits = u64::BITS.saturating_sub(limit.saturating_sub(1).leading_zeros());
        Ok(Self { limit, window_ns, count_bits, tick_shift, place_bits })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn window(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    pub(crate) fn tick(&self) -> Duration {
        Duration::from_nanos(1 << self.tick_shift)
    }

    #[inline]
    fn stamp_shift(&self) -> u32 {
        self.count_bits.wrapping_add(LAP_BITS)
    }

    #[inline]
    fn stamp(&self, entry: u64) -> u64 {
        entry >> self.stamp_shift() << self.stamp_shift()
    }

    /// `now_ns` as a stamp in its place, rounded up, and by how much it was.
    #[inline]
    fn stamp_of(&self, now_ns: u64) -> (u64, u64) {
        let whole = now_ns >> self.tick_shift;
        let ticks = whole.wrapping_add(u64::from(whole << self.tick_shift != now_ns));
        // Modular: what a stamp has no bits for is shifted out. The difference is less than a tick.
        (ticks << self.stamp_shift(), (ticks << self.tick_shift).wrapping_sub(now_ns))
    }

    /// The moment of a call at `now_ns`, or of the entry before it if that is later.
    #[inline]
    pub(crate) fn moment(&self, before: Option<u64>, now_ns: u64) -> Moment {
        let (stamp, early_ns) = self.stamp_of(now_ns);
        match before {
            // More than half the range behind is ahead.
            Some(entry) if stamp.wrapping_sub(self.stamp(entry)) > u64::MAX / 2 => {
                self.moment_of(entry)
            }
            _ => self.moment_at(stamp, early_ns),
        }
    }

    /// The earliest moment that an entry may be of.
    #[inline]
    pub(crate) fn moment_of(&self, entry: u64) -> Moment {
        self.moment_at(self.stamp(entry), (1_u64 << self.tick_shift).wrapping_sub(1))
    }

    /// The moment so long before a stamp.
    #[inline]
    fn moment_at(&self, stamp: u64, early_ns: u64) -> Moment {
        let tick_ns = 1_u64 << self.tick_shift;
        // A window is at most a quarter of the range: no overflow here, nor when it is shifted.
        let age_ns = self.window_ns.wrapping_add(early_ns);
        let ticks = age_ns.wrapping_add(tick_ns.wrapping_sub(1)) >> self.tick_shift;
        Moment { stamp, expires_at: ticks << self.stamp_shift() }
    }

    /// Whether an entry made before a moment has left the window that ends with it. An entry counts as made at the
    /// end of its tick.
    #[inline]
    pub(crate) fn has_expired(&self, moment: &Moment, entry: u64) -> bool {
        // Entries are never later than the moment: the whole range is behind.
        moment.stamp.wrapping_sub(self.stamp(entry)) >= moment.expires_at
    }

    /// The nanoseconds from `now_ns` until an entry has left the window; none if it has.
    pub(crate) fn until_expired(&self, entry: u64, now_ns: u64) -> u64 {
        let (stamp, early_ns) = self.stamp_of(now_ns);
        let ahead = self.stamp(entry).wrapping_sub(stamp).cast_signed() >> self.stamp_shift();
        // Half the range is less than 2^62 ns, and a window less than 2^58.
        let ahead_ns = (ahead << self.tick_shift).wrapping_add_unsigned(early_ns);
        u64::try_from(ahead_ns.wrapping_add_unsigned(self.window_ns)).unwrap_or(0)
    }

    /// The tokens that were granted by `last`, and whatever came between it and `base`: at most 2 × limit.
    #[inline]
    pub(crate) fn granted_since(&self, base: u64, last: u64) -> u64 {
        (last >> LAP_BITS).wrapping_sub(base >> LAP_BITS) & self.count_mask()
    }

    /// The entry of a grant of `cost` tokens at a moment, after `last`.
    #[inline]
    pub(crate) fn entry(&self, place: u64, moment: &Moment, last: u64, cost: u64) -> u64 {
        let count = (last >> LAP_BITS).wrapping_add(cost) & self.count_mask();
        moment.stamp | (count << LAP_BITS) | self.lap(place)
    }

    #[inline]
    fn count_mask(&self) -> u64 {
        (1_u64 << self.count_bits).wrapping_sub(1)
    }

    /// Whether the word in the slot of `place` is the entry of that place, and not the one of a round before.
    #[inline]
    pub(crate) fn is_entry_of(&self, place: u64, word: u64) -> bool {
        if crate::planted::forget_the_lap() {
            return false;
        }
        word & LAP == self.lap(place)
    }

    #[inline]
    fn lap(&self, place: u64) -> u64 {
        (place >> self.place_bits) & LAP
    }

    /// The first place. The round before is of words that are no entries, all zero.
    #[inline]
    pub(crate) fn first_place(&self) -> u64 {
        1 << self.place_bits
    }

    /// The slot of a place: below the limit.
    #[inline]
    pub(crate) fn slot(&self, place: u64) -> u64 {
        place & self.first_place().wrapping_sub(1)
    }

    #[inline]
    pub(crate) fn next(&self, place: u64) -> u64 {
        // 2^63 places are not used up.
        let next = place.wrapping_add(1);
        if self.slot(place).wrapping_add(1) < self.limit {
            return next;
        }
        (place >> self.place_bits).wrapping_add(1) << self.place_bits
    }

    /// The place so many before; at most the limit.
    #[inline]
    pub(crate) fn back(&self, place: u64, places: u64) -> u64 {
        let slot = self.slot(place);
        if places <= slot {
            return place.wrapping_sub(places);
        }
        // Places begin with the second round: there is one before.
        let round = (place >> self.place_bits).wrapping_sub(1);
        (round << self.place_bits) | slot.wrapping_add(self.limit).wrapping_sub(places)
    }

    /// How many places one is after another; the limit, if it is more than that.
    #[inline]
    pub(crate) fn places_between(&self, earlier: u64, later: u64) -> u64 {
        let rounds = (later >> self.place_bits).saturating_sub(earlier >> self.place_bits);
        let slots = rounds.saturating_mul(self.limit).saturating_add(self.slot(later));
        slots.saturating_sub(self.slot(earlier)).min(self.limit)
    }
}

/// What both kinds of log refuse.
pub(crate) fn check(limit: u64, window: Duration) -> Result<(), QuotaError> {
    let largest = crate::limits::LARGEST_LOG;
    if limit == 0 {
        return Err(QuotaError::ZeroLimit { limit: Tokens::ZERO });
    }
    if limit > largest {
        return Err(QuotaError::LogTooLong { limit, largest });
    }
    if window.is_zero() {
        return Err(QuotaError::WindowTooShort { window, shortest: Duration::from_nanos(1) });
    }
    if window > Duration::from_nanos(LONGEST_FILL_NS) {
        return Err(QuotaError::PeriodTooLong { period: window });
    }
    Ok(())
}

/// How many of `0..many` are `true`, if those come first. Looks near the beginning first: 1 step if there is none,
/// 2 log2 of how many there are at most.
#[inline]
pub(crate) fn count_first(many: u64, mut is_true: impl FnMut(u64) -> bool) -> u64 {
    let mut from = 0_u64;
    let mut to = many;
    let mut stride = 1_u64;
    // Doubling strides, until one goes too far.
    while from < to {
        let at = from.saturating_add(stride).min(to).saturating_sub(1);
        if !is_true(at) {
            to = at;
            break;
        }
        from = at.saturating_add(1);
        stride = stride.saturating_mul(2);
    }
    while from < to {
        let at = from.midpoint(to);
        if is_true(at) {
            from = at.saturating_add(1);
        } else {
            to = at;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(limit: u64) -> LogLayout {
        LogLayout::choose(limit, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn ticks_are_as_fine_as_documented() {
        for (limit, tick_ns) in [(1, 1), (10, 2), (100, 16), (1_000, 128), (65_536, 16_384)] {
            assert_eq!(layout(limit).tick(), Duration::from_nanos(tick_ns), "limit {limit}");
        }
    }

    proptest! {
        #[test]
        fn fields_round_trip(
            limit in 1_u64..=65_536, now_ns: u64, counts in (0_u64..=65_536, 0_u64..=65_536),
            place in 0_u64..1 << 62,
        ) {
            let layout = layout(limit);
            let moment = layout.moment(None, now_ns);
            let (one, two) = (counts.0 % limit + 1, counts.1 % limit + 1);
            let last = layout.entry(place, &moment, 0, one);
            let entry = layout.entry(place, &moment, last, two);
            prop_assert_eq!(layout.granted_since(0, entry), one + two);
            prop_assert_eq!(layout.granted_since(last, entry), two);
            prop_assert_eq!(layout.stamp(entry), moment.stamp);
            prop_assert!(layout.is_entry_of(place, entry));
            let round_later = place.wrapping_add(layout.first_place());
            prop_assert!(!layout.is_entry_of(round_later, entry));
        }

        #[test]
        fn expiry_is_to_the_nanosecond_from_the_end_of_a_tick(
            limit in 1_u64..=65_536, window_ns in 2_000_000_u64..1 << 57, made_ns in 0_u64..1 << 62,
            near_ns in -5_i64..5,
        ) {
            let layout = LogLayout::choose(limit, Duration::from_nanos(window_ns)).unwrap();
            let tick_ns = 1 << layout.tick_shift;
            let entry = layout.entry(0, &layout.moment(None, made_ns), 0, 1);
            let expires_ns = made_ns.next_multiple_of(tick_ns) + window_ns;
            let now_ns = expires_ns.checked_add_signed(near_ns).unwrap();
            let moment = layout.moment(Some(entry), now_ns);
            prop_assert_eq!(layout.has_expired(&moment, entry), now_ns >= expires_ns);
            prop_assert_eq!(layout.until_expired(entry, now_ns), expires_ns.saturating_sub(now_ns));
        }

        #[test]
        fn a_time_before_the_last_entry_is_that_entrys(
            limit in 1_u64..=65_536, made_ns in 1_u64 << 58..1 << 62, back_ns in 0_u64..1 << 58,
        ) {
            let layout = layout(limit);
            let entry = layout.entry(0, &layout.moment(None, made_ns), 0, 1);
            let moment = layout.moment(Some(entry), made_ns - back_ns);
            prop_assert_eq!(moment.stamp, layout.stamp(entry));
            prop_assert!(!layout.has_expired(&moment, entry));
        }

        #[test]
        fn places_go_round_the_ring(limit in 1_u64..300, steps in 0_u64..1_000, back in 0_u64..300) {
            let layout = layout(limit);
            let mut place = layout.first_place();
            for _ in 0..steps {
                place = layout.next(place);
            }
            prop_assert_eq!(layout.slot(place), steps % limit);
            prop_assert_eq!(layout.places_between(layout.first_place(), place), steps.min(limit));
            let back = back.min(limit);
            let before = layout.back(place, back);
            prop_assert_eq!(layout.places_between(before, place), back);
            prop_assert_eq!(layout.slot(before), (steps + limit - back) % limit);
        }

        #[test]
        fn count_first_counts(many in 0_u64..200, first in 0_u64..200) {
            let first = first.min(many);
            let mut steps = 0;
            let counted = count_first(many, |at| {
                steps += 1;
                assert!(at < many);
                at < first
            });
            prop_assert_eq!(counted, first);
            prop_assert!(steps <= 2 * (first + 1).next_power_of_two().ilog2() + 1, "{steps}");
        }
    }
}
