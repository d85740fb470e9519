//! What becomes of the tokens when the quota changes.

use crate::algorithm::{Layout, Plan};

/// What becomes of the tokens in a bucket when [`set_quota`](crate::TokenBucket::set_quota) changes its
/// capacity. None of them leaves more than the new capacity.
///
/// # Examples
///
/// ```
/// use flowgate::{Fill, ManualClock, Quota, TokenBucket};
///
/// // 4 of 10 are left when the capacity is doubled.
/// for (fill, left) in [(Fill::Keep, 4), (Fill::Proportional, 8), (Fill::Added, 14), (Fill::Reset, 20)] {
///     let limiter = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
///     limiter.try_consume(6).unwrap();
///     limiter.set_quota(Quota::per_second(20), fill)?;
///     assert_eq!(limiter.available(), left);
/// }
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fill {
    /// The tokens stay as they are, up to the new capacity.
    #[default]
    Keep,
    /// The bucket stays as full as it was, by share, rounded down. Debt stays as it is.
    Proportional,
    /// What the capacity gained is added to the tokens, or what it lost is taken from them, into debt
    /// if need be.
    Added,
    /// The bucket is full.
    Reset,
}

impl Fill {
    /// The new level for `level`; both plus the layout's `zero`.
    pub(crate) fn apply(self, layout: &Layout, old: &Plan, new: &Plan, level: u64) -> u64 {
        let full = layout.zero.wrapping_add(new.capacity_units);
        if crate::planted::keep_above_new_capacity() {
            return level;
        }
        let level = match self {
            Self::Keep => level,
            Self::Proportional => match level.checked_sub(layout.zero) {
                Some(available) => {
                    let share = u128::from(available)
                        .saturating_mul(new.capacity_units.into())
                        .checked_div(old.capacity_units.into())
                        .unwrap_or(0);
                    u64::try_from(share).map_or(full, |share| layout.zero.saturating_add(share))
                }
                None => level,
            },
            // A level already below the floor (seen from an earlier time) is not raised to it.
            Self::Added => level
                .saturating_add(new.capacity_units)
                .saturating_sub(old.capacity_units)
                .max(layout.floor().min(level)),
            Self::Reset => full,
        };
        level.min(full)
    }
}
