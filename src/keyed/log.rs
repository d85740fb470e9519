//! An exact sliding window per key: a log for each, in a map in parts, each with a lock.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::PoisonError;

use crossbeam_utils::CachePadded;

use super::calls::{Log, Noted, Refused, Rule};
use super::hash::SeededHash;
use super::room::Room;
use crate::algorithm::Wait;
use crate::algorithm::sliding_log::check;
use crate::answer::Granted;
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::error::{Denied, NoRoom, QuotaError};
use crate::limits::DEFAULT_MAX_KEYS;
use crate::primitive::Mutex;
use crate::sliding_log::{denied, told};

/// An exact sliding window per key: **never more than `limit` tokens of a key in any time as long as the window.**
///
/// Each key has a log of its own, of the calls that were granted and are younger than the window; see
/// [`SlidingLog`](crate::SlidingLog) for one without keys, which is lock-free. This one takes the lock of a part of
/// the keys for each call. For a limit that eight bytes a key are enough for, see
/// [`KeyedLimiter`](crate::KeyedLimiter).
///
/// # Guarantees
///
/// Let a grant count at its call's time, or that of its key's grant before it if that is later. For every key and `t`
///
/// > tokens granted in [t, t + window) ≤ limit
///
/// and what an exact log grants is granted: both to the nanosecond. A key that was dropped counts as called no earlier
/// than it was dropped. A wait is exact to the nanosecond.
///
/// * **Memory follows use**: 64 bytes at most for each call that is in a key's window at its last grant (calls of the
///   same nanosecond are one), and some 200 bytes and the key itself for each key; the limit is 65,536 at most
///   ([`LARGEST_LOG`](crate::limits::LARGEST_LOG)). A key with nothing in its window is dropped: each new key pays for
///   looking at four others. No thread in the background.
/// * At most [`max_keys`](Self::max_keys) keys; one more is denied, [`Denied::NoRoom`], after a search among 64 others
///   for one to drop.
/// * Denials change nothing but the lock, and add no key.
/// * No lock is held while the caller's clock is called. The caller's `Hash`, `Eq`, `Clone` and `Drop` of keys are
///   called under one: they must not call the limiter, and had better not panic.
///
/// Keys are looked up by a borrowed form, such as `&str` for `String`. Costs are whole tokens.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use flowgate::{KeyedSlidingLog, ManualClock};
///
/// let clock = ManualClock::new();
/// // Three mails an hour, in any hour.
/// let senders = KeyedSlidingLog::<String, _>::with_clock(3, Duration::from_secs(3_600), &clock)?;
/// assert!(senders.try_consume("alice", 2).is_ok());
/// clock.advance(Duration::from_secs(3_000));
/// assert!(senders.is_allowed("alice") && !senders.is_allowed("alice"));
///
/// let denied = senders.try_consume("alice", 1).unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_secs(600)));
/// assert_eq!(senders.available("bob"), 3);
///
/// // An hour later she is like one who never came.
/// clock.advance(Duration::from_secs(3_600));
/// assert_eq!(senders.sweep(), 1);
/// assert!(senders.is_empty());
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct KeyedSlidingLog<K, C = SystemClock, H = SeededHash> {
    rule: Rule,
    room: Room,
    parts: Box<[LockedPart<K, H>]>,
    search: Search,
    hasher: H,
    clock: C,
}

/// The search for room, where there is none.
#[derive(Debug)]
struct Search {
    /// The part that is next.
    next: Cell,
    /// How many keys may be looked at for what new ones have paid.
    paid: Cell,
}

type LockedPart<K, H> = CachePadded<Mutex<Part<K, H>>>;

/// A part of the keys.
struct Part<K, H> {
    logs: HashMap<K, Log, H>,
    /// How many new keys have come since the last sweep.
    came: u64,
    /// The latest time at which a key was dropped: who comes with an earlier one comes late, and a key may have been
    /// dropped meanwhile that still had something in its window at that time.
    swept_ns: u64,
}

/// A part is swept when as many new keys have come as it holds, divided by this: so a new key pays for looking at
/// four others.
const SWEEP_SHARE: u64 = 4;

/// Smaller parts are not worth sweeping more often than every so many new keys.
const SWEEP_LEAST: u64 = 4;

/// How many others a new key pays for looking at when there is no room.
const SEARCH_SHARE: u64 = 64;

/// How many parts are searched at once, at most.
const SEARCH_PARTS: u64 = 8;

/// A part holds some hundred keys at least, before there are more parts.
const KEYS_A_PART: u64 = 256;

/// As many parts as a [`KeyedLimiter`](crate::KeyedLimiter) has at most.
const MOST_PARTS: u64 = 768;

impl<K: Eq + Hash> KeyedSlidingLog<K> {
    /// Makes a limiter on the [`SystemClock`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] if the limit is 0 or above [`LARGEST_LOG`](crate::limits::LARGEST_LOG), or if the window is 0 or
    /// longer than [`LONGEST_FILL`](crate::limits::LONGEST_FILL).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::KeyedSlidingLog;
    ///
    /// let users = KeyedSlidingLog::<u64>::new(1, Duration::from_secs(3_600))?;
    /// assert!(users.is_allowed(&7) && !users.is_allowed(&7));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn new(limit: u64, window: Duration) -> Result<Self, QuotaError> {
        Self::with_clock(limit, window, SystemClock::new())
    }
}

impl<K: Eq + Hash, C: Clock> KeyedSlidingLog<K, C> {
    /// Makes a limiter on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedSlidingLog::new).
    pub fn with_clock(limit: u64, window: Duration, clock: C) -> Result<Self, QuotaError> {
        Self::with_hasher(limit, window, DEFAULT_MAX_KEYS, SeededHash::new(), clock)
    }

    /// Makes a limiter of at most `max_keys` keys, on a clock of the caller's.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedSlidingLog::new), and [`QuotaError::ZeroKeys`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use flowgate::{Denied, KeyedSlidingLog, ManualClock};
    ///
    /// let minute = Duration::from_secs(60);
    /// let users = KeyedSlidingLog::<u64, _>::with_max_keys(5, minute, 2, ManualClock::new())?;
    /// assert!(users.is_allowed(&1) && users.is_allowed(&2));
    /// assert!(matches!(users.try_consume(&3, 1), Err(Denied::NoRoom(_))));
    ///
    /// users.clock().advance(minute);
    /// assert!(users.is_allowed(&3));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn with_max_keys(
        limit: u64,
        window: Duration,
        max_keys: u64,
        clock: C,
    ) -> Result<Self, QuotaError> {
        Self::with_hasher(limit, window, max_keys, SeededHash::new(), clock)
    }
}

impl<K: Eq + Hash, C: Clock, H: BuildHasher + Clone> KeyedSlidingLog<K, C, H> {
    /// Makes a limiter of at most `max_keys` keys that are hashed in another way than [`SeededHash`], on a clock of
    /// the caller's.
    ///
    /// # Errors
    ///
    /// As [`with_max_keys`](KeyedSlidingLog::with_max_keys).
    pub fn with_hasher(
        limit: u64,
        window: Duration,
        max_keys: u64,
        hasher: H,
        clock: C,
    ) -> Result<Self, QuotaError> {
        check(limit, window)?;
        if max_keys == 0 {
            return Err(QuotaError::ZeroKeys);
        }
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let part = || Part { logs: HashMap::with_hasher(hasher.clone()), came: 0, swept_ns: 0 };
        let parts = (max_keys / KEYS_A_PART).clamp(1, MOST_PARTS);
        let parts = (0..parts).map(|_| CachePadded::new(Mutex::new(part()))).collect();
        let search = Search { next: Cell::new(0), paid: Cell::new(0) };
        let room = Room::deny_new(max_keys);
        Ok(Self { rule: Rule { limit, window_ns }, room, parts, search, hasher, clock })
    }

    /// Takes `cost` tokens if the window of `key` has room for all now; otherwise takes none.
    ///
    /// A cost of zero is always allowed, and notes nothing.
    ///
    /// # Errors
    ///
    /// [`Denied::NotYet`] if waiting would help, [`Denied::Never`] if the cost is above the limit, and
    /// [`Denied::NoRoom`] if there are as many other keys as there may be.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedSlidingLog, ManualClock};
    ///
    /// let second = Duration::from_secs(1);
    /// let users = KeyedSlidingLog::<String, _>::with_clock(10, second, ManualClock::new())?;
    /// let granted = users.try_consume("alice", 7).unwrap();
    /// assert_eq!((granted.remaining(), granted.full_after()), (3.into(), second));
    /// assert_eq!(users.try_consume("alice", 4).unwrap_err().retry_after(), Some(second));
    /// assert!(users.try_consume("alice", 11).unwrap_err().is_never());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn try_consume<Q>(&self, key: &Q, cost: u64) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let now_ns = self.clock.now_ns();
        match self.take(key, cost, now_ns) {
            // Others were granted at later times than this thread has read: more may have expired by now.
            Err(Refused::NotYet { is_late: true, .. }) => {
                self.try_consume_at(key, cost, self.clock.now_ns())
            }
            taken => self.answer(cost, now_ns, taken),
        }
    }

    /// [`try_consume`](Self::try_consume) at `now_ns` on the limiter's clock.
    ///
    /// # Errors
    ///
    /// As `try_consume`.
    pub fn try_consume_at<Q>(&self, key: &Q, cost: u64, now_ns: u64) -> Result<Granted<'_>, Denied>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.answer(cost, now_ns, self.take(key, cost, now_ns))
    }

    /// Takes one token if the window of `key` has room for it now.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedSlidingLog, ManualClock};
    ///
    /// let minute = Duration::from_secs(60);
    /// let users = KeyedSlidingLog::<String, _>::with_clock(1, minute, ManualClock::new())?;
    /// assert!(users.is_allowed("alice"));
    /// assert!(!users.is_allowed("alice"));
    /// assert!(users.is_allowed("bob"));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn is_allowed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.try_consume(key, 1).is_ok()
    }

    /// [`is_allowed`](Self::is_allowed) at `now_ns` on the limiter's clock.
    pub fn is_allowed_at<Q>(&self, key: &Q, now_ns: u64) -> bool
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.take(key, 1, now_ns).is_ok()
    }

    /// Reads how many tokens the window of `key` has room for now. Changes nothing, and adds no key.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedSlidingLog, ManualClock};
    ///
    /// let minute = Duration::from_secs(60);
    /// let users = KeyedSlidingLog::<String, _>::with_clock(5, minute, ManualClock::new())?;
    /// users.try_consume("alice", 2).unwrap();
    /// assert_eq!((users.available("alice"), users.available("bob")), (3, 5));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn available<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.available_at(key, self.clock.now_ns())
    }

    /// [`available`](Self::available) at `now_ns` on the limiter's clock.
    pub fn available_at<Q>(&self, key: &Q, now_ns: u64) -> u64
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        let limit = self.rule.limit;
        self.change(self.part_of(key), |part| {
            let used = part.logs.get(key).map_or(0, |log| log.used_at(&self.rule, now_ns).1);
            limit.saturating_sub(used)
        })
    }

    /// Computes how long until the window of `key` has room for `cost` if nobody else takes any: zero if it has now,
    /// `None` if it never has, or if there are as many other keys as there may be. Changes nothing, and adds no key.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use flowgate::{KeyedSlidingLog, ManualClock};
    ///
    /// let minute = Duration::from_secs(60);
    /// let users = KeyedSlidingLog::<String, _>::with_clock(5, minute, ManualClock::new())?;
    /// users.try_consume("alice", 3).unwrap();
    /// assert_eq!(users.time_until_available("alice", 3), Some(minute));
    /// assert_eq!(users.time_until_available("bob", 3), Some(Duration::ZERO));
    /// assert_eq!(users.time_until_available("bob", 6), None);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    pub fn time_until_available<Q>(&self, key: &Q, cost: u64) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.time_until_available_at(key, cost, self.clock.now_ns())
    }

    /// [`time_until_available`](Self::time_until_available) at `now_ns` on the limiter's clock.
    pub fn time_until_available_at<Q>(&self, key: &Q, cost: u64, now_ns: u64) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        if cost > self.rule.limit {
            return None;
        }
        self.change(self.part_of(key), |part| match part.logs.get(key) {
            Some(log) => Some(Duration::from_nanos(log.wait_ns(&self.rule, cost, now_ns))),
            None => (cost == 0 || !self.room.is_full()).then_some(Duration::ZERO),
        })
    }

    /// Drops all keys that have nothing in their window now, and returns how many. New keys do that in small steps;
    /// this is for who would rather choose the time. It takes the locks one at a time.
    pub fn sweep(&self) -> usize {
        self.sweep_at(self.clock.now_ns())
    }

    /// [`sweep`](Self::sweep) at `now_ns` on the limiter's clock.
    pub fn sweep_at(&self, now_ns: u64) -> usize {
        (0..self.parts.len()).fold(0_usize, |dropped, part| {
            dropped.saturating_add(self.change(part, |part| self.sweep_part(part, now_ns)))
        })
    }

    /// The number of keys that are held.
    pub fn len(&self) -> usize {
        usize::try_from(self.room.keys()).unwrap_or(usize::MAX)
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens of a key in any window.
    pub fn limit(&self) -> u64 {
        self.rule.limit
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.rule.window_ns)
    }

    /// The most keys that are held.
    pub fn max_keys(&self) -> u64 {
        self.room.max_keys()
    }

    /// The clock this limiter reads.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// The part of a key.
    fn part_of<Q: ?Sized + Hash>(&self, key: &Q) -> usize {
        // The middle bits: a table looks at those above and below.
        let fraction = (self.hasher.hash_one(key) >> 24) & u64::from(u32::MAX);
        let part = fraction.wrapping_mul(self.parts.len() as u64) >> 32;
        // Below the number of parts, so below what a usize holds.
        #[allow(clippy::cast_possible_truncation)]
        {
            part as usize
        }
    }

    /// Does something to a part under its lock.
    fn change<T>(&self, part: usize, change: impl FnOnce(&mut Part<K, H>) -> T) -> T {
        // What can panic in there is the caller's own code for keys; what it leaves are whole logs.
        change(&mut self.parts[part].lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take<Q>(&self, key: &Q, cost: u64, now_ns: u64) -> Result<Noted, Refused>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        if cost > self.rule.limit {
            return Err(Refused::NotYet { wait_ns: 0, is_late: false });
        }
        let part = self.part_of(key);
        match self.take_in(part, key, cost, now_ns) {
            // Under no lock, as other parts are looked at.
            Err(Refused::NoRoom) if self.find_room(now_ns) => self.take_in(part, key, cost, now_ns),
            taken => taken,
        }
    }

    fn take_in<Q>(&self, part: usize, key: &Q, cost: u64, now_ns: u64) -> Result<Noted, Refused>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.change(part, |part| {
            if let Some(log) = part.logs.get_mut(key) {
                return log.take(&self.rule, cost, now_ns);
            }
            if cost == 0 {
                return Ok(Noted { left: self.rule.limit, full_ns: 0 });
            }
            part.came = part.came.saturating_add(1);
            if part.came >= (part.logs.len() as u64 / SWEEP_SHARE).max(SWEEP_LEAST) {
                self.sweep_part(part, now_ns);
            }
            let Some(place) = self.room.take() else { return Err(Refused::NoRoom) };
            let mut log = Log::not_before(part.swept_ns);
            let noted = log.take(&self.rule, cost, now_ns)?;
            part.logs.insert(key.to_owned(), log);
            place.keep();
            Ok(noted)
        })
    }

    /// Sweeps the parts that are next, as far as has been paid for. Tells whether there is room.
    fn find_room(&self, now_ns: u64) -> bool {
        let mut paid = self.search.paid.add(SEARCH_SHARE);
        for _ in 0..SEARCH_PARTS {
            // Places come round: the remainder is below the number of parts.
            let next = self.search.next.load().checked_rem(self.parts.len() as u64).unwrap_or(0);
            let next = usize::try_from(next).unwrap_or(0);
            let looked_at = self.change(next, |part| {
                let many = part.logs.len() as u64;
                (many <= paid).then(|| {
                    self.sweep_part(part, now_ns);
                    many.max(1)
                })
            });
            let Some(many) = looked_at else { break };
            self.search.next.add(1);
            // Two threads may pay with the same: then a part is swept sooner than it had to be.
            paid = paid.saturating_sub(many);
            self.search.paid.set(paid);
            if !self.room.is_full() {
                break;
            }
        }
        !self.room.is_full()
    }

    /// Drops what has nothing in its window.
    fn sweep_part(&self, part: &mut Part<K, H>, now_ns: u64) -> usize {
        let before = part.logs.len();
        part.logs.retain(|_, log| !log.is_over(&self.rule, now_ns));
        let dropped = before.saturating_sub(part.logs.len());
        part.came = 0;
        if dropped > 0 {
            part.swept_ns = part.swept_ns.max(now_ns);
            self.room.give_back(dropped as u64);
        }
        // Room for twice as many is kept, so that the next keys do not make it grow at once.
        let twice = part.logs.len().saturating_mul(2);
        if twice < part.logs.capacity() / 2 {
            part.logs.shrink_to(twice);
        }
        dropped
    }

    fn answer(
        &self,
        cost: u64,
        now_ns: u64,
        taken: Result<Noted, Refused>,
    ) -> Result<Granted<'static>, Denied> {
        match taken {
            Ok(Noted { left, full_ns }) => Ok(told(left, full_ns)),
            Err(Refused::NotYet { wait_ns, .. }) => {
                Err(denied(cost, self.rule.limit, wait_ns, now_ns))
            }
            Err(Refused::NoRoom) => {
                let wait = Wait::after(now_ns, self.rule.window_ns);
                Err(Denied::NoRoom(NoRoom { wait }))
            }
        }
    }
}

impl<K, C, H> fmt::Debug for KeyedSlidingLog<K, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedSlidingLog")
            .field("limit", &self.rule.limit)
            .field("window", &Duration::from_nanos(self.rule.window_ns))
            .field("keys", &self.room.keys())
            .finish_non_exhaustive()
    }
}
