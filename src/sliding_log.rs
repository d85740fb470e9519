//! The exact sliding window: a ring of entries, and a clock.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;

use crossbeam_utils::CachePadded;

use crate::algorithm::Wait;
use crate::algorithm::sliding_log::{LogLayout, Moment, count_first};
use crate::answer::Granted;
use crate::bucket::{Grant, Leaves, Left};
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::error::{Denied, Never, NotYet, QuotaError};
use crate::primitive::step_aside;
use crate::tokens::Tokens;

/// An exact sliding window, lock-free: **never more than `limit` tokens in any time as long as the window.**
///
/// It is the sliding-window log: each call that is granted is noted with its time, and counts until it is as old as
/// the window. No burst at the border of two windows, as [`FixedWindow`](crate::FixedWindow) lets through, and no
/// estimate, as [`SlidingWindow`](crate::SlidingWindow) makes. For a limit per key, see `KeyedSlidingLog`; where a
/// burst and a rate will do, a [`TokenBucket`](crate::TokenBucket) is one word.
///
/// # Guarantee
///
/// Let a grant count at its call's time, or that of the grant before it if that is later. For every `t`
///
/// > tokens granted in [t, t + window) ≤ limit
///
/// with nothing added to it: a stamp is rounded up to a [`tick`](Self::tick), so that it expires late and never early.
/// The price: whatever an exact log with a window that is two ticks longer would grant is granted (one tick, if times
/// do not go back). A tick is 16 ns up to a limit of 127, 128 ns up to 1,023, and 16.4 µs at 65,536; a window is 64
/// ticks at least, so that is less than 1/32 of it.
///
/// * A wait is exact to the nanosecond by those stamps, so a tick later than an exact log would say, at most.
/// * **Memory**: `limit` × 8 bytes, and less than 1 KB, all of it taken when the log is made. The limit is 65,536 at
///   most ([`LARGEST_LOG`](crate::limits::LARGEST_LOG)).
/// * Lock-free: no call waits for another thread. One that is stopped midway is helped by whoever comes next. Denials
///   write nothing. No allocation and no system call on any path but construction.
/// * A call takes a few loads and, if granted, up to three compare-and-swaps; after a time without grants the entries
///   that have expired since are searched by halves: 2 × log2(limit) loads.
/// * Nothing is misread after up to 9.1 years without a grant, nor after a step back of the clock by as much (see
///   [`LONGEST_IDLE`](crate::limits::LONGEST_IDLE)).
///
/// Costs are whole tokens. Each call reads the clock once (a second time if it was denied while others were
/// granted). Its twin `*_at` is given the time in nanoseconds on the log's clock.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{ManualClock, SlidingLog};
///
/// let clock = ManualClock::new();
/// let log = SlidingLog::with_clock(100, Duration::from_secs(60), &clock)?;
/// assert!(log.try_consume(40).is_ok());
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(log.try_consume(60).unwrap().remaining(), 0);
///
/// // The first forty leave the window a minute after they came, the others a minute after them.
/// let denied = log.try_consume(1).unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(log.available(), 40);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct SlidingLog<C = SystemClock> {
    ring: Ring,
    clock: C,
}

impl SlidingLog {
    /// Makes a log in which nothing is noted, on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if the limit is 0 or above [`LARGEST_LOG`](crate::limits::LARGEST_LOG), or if the window is
    /// shorter than 64 ticks or longer than [`LONGEST_FILL`](crate::limits::LONGEST_FILL).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::SlidingLog;
    ///
    /// let log = SlidingLog::new(2, Duration::from_secs(3_600))?;
    /// assert!(log.is_allowed() && log.is_allowed() && !log.is_allowed());
    ///
    /// let error = SlidingLog::new(1_000_000, Duration::from_secs(1)).unwrap_err();
    /// assert!(error.to_string().starts_with("limit 1000000 is above 65536"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn new(limit: u64, window: Duration) -> Result<Self, QuotaError> {
        Self::with_clock(limit, window, SystemClock::new())
    }
}

impl<C: Clock> SlidingLog<C> {
    /// Makes a log in which nothing is noted, on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`new`](SlidingLog::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(5, Duration::from_secs(1), ManualClock::new())?;
    /// assert_eq!(log.available(), 5);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn with_clock(limit: u64, window: Duration, clock: C) -> Result<Self, QuotaError> {
        Ok(Self { ring: Ring::new(LogLayout::choose(limit, window)?), clock })
    }

    /// Takes `cost` tokens if the window has room for all now; otherwise takes none.
    ///
    /// A cost of zero is always allowed, and notes nothing.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] if waiting would help, [`Denied::Never`] if the cost is above the limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(10, Duration::from_secs(1), ManualClock::new())?;
    /// let granted = log.try_consume(7).unwrap();
    /// assert_eq!(granted.remaining(), 3);
    /// assert_eq!(granted.full_after(), Duration::from_secs(1));
    /// assert!(log.try_consume(4).unwrap_err().retry_after().is_some());
    /// assert!(log.try_consume(11).unwrap_err().is_never());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume(&self, cost: u64) -> Result<Granted<'_>, Denied> {
        answer(&self.ring, cost, self.take(cost, true))
    }

    /// [`try_consume`](Self::try_consume) at `now_ns` on the log's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(1, Duration::from_secs(1), ManualClock::new())?;
    /// assert!(log.try_consume_at(1, 0).is_ok());
    /// assert!(log.try_consume_at(1, 999_999_999).is_err());
    /// assert!(log.try_consume_at(1, 1_000_000_000).is_ok());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn try_consume_at(&self, cost: u64, now_ns: u64) -> Result<Granted<'_>, Denied> {
        answer(&self.ring, cost, (self.ring.take(cost, now_ns, true), now_ns))
    }

    /// Takes one token if the window has room for it now. The short form of [`try_consume`](Self::try_consume).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(1, Duration::from_secs(1), ManualClock::new())?;
    /// assert!(log.is_allowed());
    /// assert!(!log.is_allowed());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.take(1, false).0.is_ok()
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the log's clock.
    #[inline]
    pub fn is_allowed_at(&self, now_ns: u64) -> bool {
        self.ring.take(1, now_ns, false).is_ok()
    }

    /// Takes a cost, and tells as of when.
    ///
    /// The end of the ring is read before the clock: if it is still there, all that was denied for is noted at
    /// earlier times. If it is not, others were granted since, at later ones perhaps, and more may have expired by
    /// now: so a denial is decided once more.
    #[inline]
    fn take(&self, cost: u64, asks_why: bool) -> (Result<Noted, Refused>, u64) {
        let seen = self.ring.end();
        let now_ns = self.clock.now_ns();
        match self.ring.take(cost, now_ns, asks_why) {
            Err(refused) if refused.place != seen => self.take_again(cost, asks_why),
            taken => (taken, now_ns),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_again(&self, cost: u64, asks_why: bool) -> (Result<Noted, Refused>, u64) {
        let now_ns = self.clock.now_ns();
        (self.ring.take(cost, now_ns, asks_why), now_ns)
    }

    /// Reads how many tokens the window has room for now. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(5, Duration::from_secs(1), ManualClock::new())?;
    /// log.try_consume(2).unwrap();
    /// assert_eq!(log.available(), 3);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn available(&self) -> u64 {
        self.available_at(self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the log's clock.
    pub fn available_at(&self, now_ns: u64) -> u64 {
        self.ring.read(now_ns, |view| self.ring.layout.limit().saturating_sub(view.used))
    }

    /// Computes how long until the window has room for `cost` if nobody else takes any: zero if it has now, `None`
    /// if it never has. Changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let clock = ManualClock::new();
    /// let log = SlidingLog::with_clock(5, Duration::from_secs(1), &clock)?;
    /// log.try_consume(3).unwrap();
    /// clock.advance(Duration::from_millis(200));
    /// assert_eq!(log.time_until_available(2), Some(Duration::ZERO));
    /// assert_eq!(log.time_until_available(3), Some(Duration::from_millis(800)));
    /// assert_eq!(log.time_until_available(6), None);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn time_until_available(&self, cost: u64) -> Option<Duration> {
        self.time_until_available_at(cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the log's clock.
    pub fn time_until_available_at(&self, cost: u64, now_ns: u64) -> Option<Duration> {
        let ring = &self.ring;
        if cost > ring.layout.limit() {
            return None;
        }
        Some(Duration::from_nanos(ring.read(now_ns, |view| ring.wait_ns(view, cost, now_ns))))
    }

    /// The most tokens in any window.
    pub fn limit(&self) -> u64 {
        self.ring.layout.limit()
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.ring.layout.window()
    }

    /// The grain of the noted times, to which they are rounded up: by less than this a token comes back late.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{ManualClock, SlidingLog};
    ///
    /// let log = SlidingLog::with_clock(1_000, Duration::from_secs(1), ManualClock::new())?;
    /// assert_eq!(log.tick(), Duration::from_nanos(128));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn tick(&self) -> Duration {
        self.ring.layout.tick()
    }

    /// The clock this log reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C: Clock> fmt::Debug for SlidingLog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlidingLog")
            .field("limit", &self.limit())
            .field("window", &self.window())
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

/// What a caller is told.
#[inline]
fn answer(
    ring: &Ring,
    cost: u64,
    (taken, now_ns): (Result<Noted, Refused>, u64),
) -> Result<Granted<'static>, Denied> {
    match taken {
        Ok(Noted { left, entry }) => {
            let full_ns = entry.map_or(0, |entry| ring.layout.until_expired(entry, now_ns));
            Ok(told(left, full_ns))
        }
        Err(refused) => Err(denied(cost, ring.layout.limit(), refused.wait_ns, now_ns)),
    }
}

/// A denial that was worked out.
pub(crate) fn denied(cost: u64, limit: u64, wait_ns: u64, now_ns: u64) -> Denied {
    if cost > limit {
        return Denied::Never(Never { cost: Tokens::new(cost), capacity: Tokens::new(limit) });
    }
    Denied::NotYet(NotYet { wait: Wait::after(now_ns, wait_ns) })
}

/// A grant that was worked out: of a log, what is left cannot be told later, when others have been noted.
pub(crate) fn told(left: u64, full_ns: u64) -> Granted<'static> {
    Granted::new(Grant { terms: &Told, left, now_ns: full_ns })
}

/// Reads a grant's word as tokens, and its time as the time until all are back.
#[derive(Debug)]
struct Told;

impl Leaves for Told {
    fn left(&self, left: u64, full_ns: u64) -> Left {
        Left { available: Tokens::new(left), full: Wait::after(0, full_ns), departs_ns: 0 }
    }
}

/// The entries, one word per granted call, each in the slot of its place.
///
/// * `end` is the place of the next entry. That an entry is there is told by the word in its slot, though, so a
///   thread that has written it and is stopped before it moves `end` holds nobody up: who sees it moves `end`.
/// * Whatever is `before` the other end has expired for good. As of the last entry before `end`, all that had
///   expired is: so what is looked at is at most a window older than that entry, and no stamp is older than its range.
///
/// The one swap that grants is that of the slot at `end`, from the word that was there when the rest was read. The
/// slots of the other entries are written to only after that one is. So if it succeeds, all that was read was so at
/// that moment. It cannot succeed by mistake: a slot holds the same word again when its stamp has gone through its
/// range, in 18 years, for two entries of one slot have at least `limit` tokens between them and so different stamps.
#[derive(Debug)]
struct Ring {
    layout: LogLayout,
    ends: CachePadded<Ends>,
    slots: Box<[Cell]>,
}

/// Both on one cache line: who writes one writes the other.
#[derive(Debug)]
struct Ends {
    before: Cell,
    end: Cell,
}

/// What the ring holds at some moment.
struct View {
    /// Where the next entry goes, and the word that is there now.
    place: u64,
    word: u64,
    /// Whether `end` is there, or one before.
    is_end: bool,
    moment: Moment,
    /// The last entry, if there has been one; otherwise a word of which only the count is used.
    last: u64,
    /// How many entries are in the window, and their tokens: up to a limit more, if others were granted at a time
    /// that is later within the tick.
    alive: u64,
    used: u64,
}

/// What a grant leaves.
struct Noted {
    left: u64,
    /// The last entry, if one is in the window.
    entry: Option<u64>,
}

/// What a denial tells.
struct Refused {
    place: u64,
    wait_ns: u64,
}

impl Ring {
    fn new(layout: LogLayout) -> Self {
        let first = layout.first_place();
        let ends = Ends { before: Cell::new(first), end: Cell::new(first) };
        let slots = (0..layout.limit()).map(|_| Cell::new(0)).collect();
        Self { layout, ends: CachePadded::new(ends), slots }
    }

    #[inline]
    fn end(&self) -> u64 {
        self.ends.end.load_to_read()
    }

    #[inline]
    fn slot(&self, place: u64) -> &Cell {
        // Below the limit, of which there are as many.
        #[allow(clippy::cast_possible_truncation)]
        &self.slots[self.layout.slot(place) as usize]
    }

    #[inline]
    fn load(&self, place: u64) -> u64 {
        self.slot(place).load_to_read()
    }

    /// Reads the ring. What it finds is so if the word at the place is still there afterwards.
    #[inline]
    fn look(&self, now_ns: u64) -> View {
        let (place, word, is_end) = loop {
            let end = self.end();
            let word = self.load(end);
            // An entry that is there although `end` says that it is next: it is the last one.
            let is_taken = self.layout.is_entry_of(end, word);
            let place = if is_taken { self.layout.next(end) } else { end };
            let word = if is_taken { self.load(place) } else { word };
            // If not, words may be of any round.
            if self.end() == end {
                break (place, word, !is_taken);
            }
        };
        let last = self.load(self.layout.back(place, 1));
        let before = (place != self.layout.first_place()).then_some(last);
        let moment = self.layout.moment(before, now_ns);
        let alive = self.alive_at(place, &moment);
        let used = if alive == self.layout.limit() {
            // No entry is of less than one token.
            alive
        } else {
            let base = self.load(self.layout.back(place, alive.wrapping_add(1)));
            self.layout.granted_since(base, last)
        };
        View { place, word, is_end, moment, last, alive, used }
    }

    /// How many of the entries before `place` are in the window at a moment.
    #[inline]
    fn alive_at(&self, place: u64, moment: &Moment) -> u64 {
        let many = self.layout.places_between(self.ends.before.load_to_read(), place);
        let expired = count_first(many, |at| {
            let entry = self.load(self.layout.back(place, many.wrapping_sub(at)));
            self.layout.has_expired(moment, entry)
        });
        many.wrapping_sub(expired)
    }

    /// Whether what was read was so.
    #[inline]
    fn is_still(&self, view: &View) -> bool {
        self.load(view.place) == view.word
    }

    /// Reads without changing anything.
    fn read<T>(&self, now_ns: u64, read: impl Fn(&View) -> T) -> T {
        loop {
            let view = self.look(now_ns);
            let outcome = read(&view);
            if self.is_still(&view) {
                return outcome;
            }
        }
    }

    /// How long until the window has room for a cost that is not above the limit.
    fn wait_ns(&self, view: &View, cost: u64, now_ns: u64) -> u64 {
        let room = self.layout.limit().saturating_sub(cost);
        if view.used <= room {
            return 0;
        }
        let nth = |at| self.load(self.layout.back(view.place, view.alive.wrapping_sub(at)));
        // With those up to the nth gone, too many are left.
        let too_few =
            count_first(view.alive, |at| self.layout.granted_since(nth(at), view.last) > room);
        // Never all of them, if what was read was so.
        self.layout.until_expired(nth(too_few.min(view.alive.saturating_sub(1))), now_ns)
    }

    /// Notes a cost, if the window has room for it.
    #[inline]
    fn take(&self, cost: u64, now_ns: u64, asks_why: bool) -> Result<Noted, Refused> {
        let limit = self.layout.limit();
        loop {
            let view = self.look(now_ns);
            let left = limit.checked_sub(view.used).and_then(|room| room.checked_sub(cost));
            match left {
                Some(left) if cost > 0 => {
                    if !view.is_end {
                        self.move_end(self.layout.back(view.place, 1), view.last);
                        continue;
                    }
                    if let Some(entry) = self.note(&view, cost) {
                        self.settle(view.place, view.alive);
                        return Ok(Noted { left, entry: Some(entry) });
                    }
                    step_aside();
                }
                Some(left) => {
                    if self.is_still(&view) {
                        return Ok(Noted { left, entry: (view.alive > 0).then_some(view.last) });
                    }
                }
                None => {
                    let asks_why = asks_why && cost <= limit;
                    let wait_ns = if asks_why { self.wait_ns(&view, cost, now_ns) } else { 0 };
                    if self.is_still(&view) {
                        return Err(Refused { place: view.place, wait_ns });
                    }
                }
            }
        }
    }

    /// Grants: writes the entry, if nobody else was faster.
    #[inline]
    fn note(&self, view: &View, cost: u64) -> Option<u64> {
        let entry = self.layout.entry(view.place, &view.moment, view.last, cost);
        self.slot(view.place).replace_to_read(view.word, entry).then_some(entry)
    }

    /// Moves both ends, after the entry of `place` was written, `alive` entries before it being in its window.
    #[inline]
    fn settle(&self, place: u64, alive: u64) {
        let before = self.layout.back(place, alive);
        loop {
            let seen = self.ends.before.load_to_read();
            if seen >= before || self.ends.before.replace_to_read(seen, before) {
                break;
            }
        }
        // If it fails, somebody has helped.
        self.ends.end.replace_to_read(place, self.layout.next(place));
    }

    /// Does what the thread that wrote the entry of `place` has not done yet.
    #[cold]
    #[inline(never)]
    fn move_end(&self, place: u64, entry: u64) {
        let alive = self.alive_at(place, &self.layout.moment_of(entry));
        // It took the place of one that had expired, perhaps later in the tick than we know.
        let alive = alive.min(self.layout.limit().wrapping_sub(1));
        // If not, others have helped, and words may be of any round.
        if self.end() == place {
            self.settle(place, alive);
        }
    }
}

#[cfg(test)]
#[cfg(not(flowgate_loom))]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn ring(limit: u64) -> Ring {
        Ring::new(LogLayout::choose(limit, Duration::from_secs(1)).unwrap())
    }

    #[test]
    fn memory_is_eight_bytes_a_token() {
        for limit in [1, 10, 1_000, 65_536] {
            let ring = ring(limit);
            assert_eq!(size_of_val(&*ring.slots) as u64, 8 * limit);
        }
        assert!(size_of::<SlidingLog>() < 1_024);
    }

    /// A thread is stopped after it wrote its entry, for good: it holds nobody up, and is counted.
    #[test]
    fn a_thread_that_stopped_midway_is_helped() {
        for limit in 1..5 {
            let ring = ring(limit);
            for round in 0..20 {
                let now_ns = round * SECOND_NS;
                let view = ring.look(now_ns);
                assert!(view.is_end);
                ring.note(&view, 1).unwrap();
                let before: [_; 2] = [ring.ends.before.load(), ring.ends.end.load()];
                // Who only looks, or is denied, counts it and writes nothing.
                assert_eq!(ring.look(now_ns).used, 1);
                assert!(ring.take(limit, now_ns, true).is_err());
                assert_eq!([ring.ends.before.load(), ring.ends.end.load()], before);
                for _ in 1..limit {
                    assert!(ring.take(1, now_ns, true).is_ok());
                }
                assert!(ring.take(1, now_ns, true).is_err());
                assert!(ring.take(1, now_ns + SECOND_NS - 1, true).is_err());
                let later_ns = now_ns + SECOND_NS;
                assert!(ring.take(0, later_ns, true).is_ok_and(|noted| noted.left == limit));
                // So that the next round begins with nobody stopped.
                if limit == 1 {
                    ring.move_end(before[1], ring.load(before[1]));
                }
            }
        }
    }

    /// Whoever stopped before the swap fails it, however many rounds later.
    #[test]
    fn a_thread_that_slept_for_rounds_notes_nothing() {
        for limit in 1..5 {
            let ring = ring(limit);
            let stale = ring.look(0);
            for round in 0..20 {
                for _ in 0..limit {
                    assert!(ring.take(1, round * SECOND_NS, true).is_ok());
                    assert!(ring.note(&stale, 1).is_none());
                    assert!(!ring.is_still(&stale));
                }
            }
        }
    }
}
