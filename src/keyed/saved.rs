//! Buckets on their way from one process to the next.

use core::time::Duration;
use std::time::SystemTime;
use std::vec::Vec;

use crate::algorithm::Layout;
use crate::algorithm::layout::units_floor;
use crate::error::QuotaError;
use crate::tokens::Tokens;

/// The keys of a [`KeyedLimiter`](crate::KeyedLimiter) that were not full, for another process to
/// [`restore`](crate::KeyedLimiter::restore). With the feature `serde` it is written in any format.
///
/// Times in it are counted from when it was saved, so that the clock of the other process may start anywhere.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{KeyedLimiter, ManualClock, Quota};
///
/// let clock = ManualClock::new();
/// let before = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(60), &clock)?;
/// before.try_consume("alice", 50).unwrap();
/// let saved = before.save();
///
/// // Another process, with another clock, ten seconds later.
/// let after = KeyedLimiter::<String, _, _>::with_clock(Quota::per_minute(60), ManualClock::at(1 << 40))?;
/// after.restore_after(&saved, Duration::from_secs(10))?;
/// assert_eq!(after.available("alice").whole(), 19); // 20, less a tick and a unit of rounding
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedKeys<K> {
    /// By the system's wall clock, in nanoseconds since 1970.
    saved_at_unix_ns: u64,
    keys: Vec<SavedKey<K>>,
}

/// One bucket: what it held some time before it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct SavedKey<K> {
    key: K,
    available: Tokens,
    debt: Tokens,
    /// Negative if it is from a later time than that of saving: the clock had gone back.
    age_ns: i64,
}

impl<K> SavedKeys<K> {
    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tells whether all keys were full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The wall clock's time since these were saved; nothing if it went back meanwhile.
    #[must_use]
    pub fn age(&self) -> Duration {
        let saved_at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_nanos(self.saved_at_unix_ns))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        SystemTime::now().duration_since(saved_at).unwrap_or_default()
    }

    pub(super) fn of(layout: &Layout, now_ns: u64, words: impl Iterator<Item = (K, u64)>) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let saved_at_unix_ns = u64::try_from(since_1970.unwrap_or_default().as_nanos());
        Self {
            saved_at_unix_ns: saved_at_unix_ns.unwrap_or(u64::MAX),
            keys: words.map(|(key, word)| SavedKey::of(layout, now_ns, key, word)).collect(),
        }
    }

    /// Each key, with its word for a limiter of this layout, `downtime` after saving. None, if one of them does
    /// not fit it.
    pub(super) fn words(
        &self,
        layout: &Layout,
        now_ns: u64,
        downtime: Duration,
    ) -> Result<Vec<(&K, u64)>, QuotaError> {
        let downtime_ns = u64::try_from(downtime.as_nanos()).unwrap_or(u64::MAX);
        self.keys
            .iter()
            .map(|saved| Ok((&saved.key, saved.word(layout, now_ns, downtime_ns)?)))
            .collect()
    }
}

impl<K> SavedKey<K> {
    fn of(layout: &Layout, now_ns: u64, key: K, word: u64) -> Self {
        let level = word & layout.level_mask;
        let tokens = |units| Tokens::from_units(units, layout.units_per_token);
        let (stored_from_ns, _) = layout.stored_from(word, now_ns);
        Self {
            key,
            available: tokens(level.saturating_sub(layout.zero)),
            debt: tokens(layout.zero.saturating_sub(level)),
            // Less than half the range apart.
            age_ns: now_ns.wrapping_sub(stored_from_ns).cast_signed(),
        }
    }

    /// Rounded against the key: the level down to a unit, the time up to a tick.
    fn word(&self, layout: &Layout, now_ns: u64, downtime_ns: u64) -> Result<u64, QuotaError> {
        let available_units = units_floor(self.available, layout.units_per_token);
        let available_units = u64::try_from(available_units).unwrap_or(u64::MAX);
        let debt_units = self.debt.to_units_ceil(layout.units_per_token);
        let level = layout
            .zero
            .checked_sub(debt_units)
            .filter(|level| *level > 0)
            .ok_or_else(|| QuotaError::AboveBuilt {
                field: "debt",
                value: self.debt,
                largest: Tokens::from_units(layout.debt_units, layout.units_per_token),
            })?
            .saturating_add(available_units.min(layout.largest_capacity_units));
        // What is older than any bucket takes to fill is full, however much older.
        let longest_ns = crate::algorithm::layout::LONGEST_FILL_NS.cast_signed();
        let downtime_ns = i64::try_from(downtime_ns).unwrap_or(i64::MAX);
        let age_ns = self.age_ns.saturating_add(downtime_ns).clamp(-longest_ns, longest_ns);
        let from_ns = now_ns.wrapping_sub(age_ns.cast_unsigned());
        let next_tick_ns = from_ns.wrapping_add(layout.tick_mask());
        Ok(layout.stamp(next_tick_ns) | layout.mark_mask | level)
    }
}
