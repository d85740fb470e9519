//! One key's account with the store: what is leased, when to ask for more, and what was told. Given the time.

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::ask::{Ask, Hint, Told};
use super::batch::Batch;
use super::share::Share;
use super::terms::Terms;
use crate::algorithm::{LARGEST_LEASE, Lease};
use crate::cell::{Cell, Step};
use crate::leased::Local;

/// Whether somebody asks the store.
const NOBODY_ASKS: u64 = 0;
const ASKED: u64 = 1;

/// What the store holds under the key: what can be leased from, or something else.
const A_BUCKET: u64 = 0;
const NO_BUCKET: u64 = 1;

/// No cost was denied.
const NONE_DENIED: u64 = u64::MAX;

/// What a process knows and holds of one key.
///
/// A decision that finds tokens reads two words and swaps one. All else is read when there are too few, and written by the task that
/// asks the store.
pub(crate) struct Account {
    /// The name of the bucket in the store.
    pub(crate) key: Box<[u8]>,
    local: Local,
    /// With less than this left of a lease the next one is asked for.
    low: Cell,
    asked: Cell,
    /// The store is not asked before this time, for a cost of `until_cost` or more.
    until_ns: Cell,
    until_cost: Cell,
    /// [`A_BUCKET`] or [`NO_BUCKET`], as the store told last.
    holds: Cell,
    /// The least and the most that was denied since it was asked.
    least: Cell,
    most: Cell,
    /// Grains that were used and not taken from any lease; the store is told with the next ask.
    owed: Cell,
    /// Wakes those who wait for the store's answer.
    pub(crate) answered: Notify,
    course: Mutex<Course>,
    /// While the store is away, and each process has a share of the quota.
    share: RwLock<Option<Share>>,
}

/// How it went since the last ask; only the task that asks looks at it.
#[derive(Debug, Default)]
struct Course {
    batch: Batch,
    /// What was here after the last answer.
    brought: u64,
    since_ns: u64,
    known: Option<Known>,
    /// Of the share, when it was asked last: what had been used, and what was told of it.
    share_used: u64,
    share_told: u64,
}

/// What the store told last.
#[derive(Clone, Copy, Debug)]
struct Known {
    level: i64,
    server_us: u64,
    /// When it was asked, by the local clock: not later than it looked.
    sent_ns: u64,
}

impl Account {
    pub(crate) fn new(key: Box<[u8]>) -> Self {
        Self {
            key,
            local: Local::new(),
            low: Cell::new(0),
            asked: Cell::new(NOBODY_ASKS),
            until_ns: Cell::new(0),
            until_cost: Cell::new(0),
            holds: Cell::new(A_BUCKET),
            least: Cell::new(NONE_DENIED),
            most: Cell::new(0),
            owed: Cell::new(0),
            answered: Notify::new(),
            course: Mutex::new(Course::default()),
            share: RwLock::new(None),
        }
    }

    /// Takes grains that are here.
    #[inline(always)]
    pub(crate) fn take(&self, wanted: u64, now_ns: u64) -> Option<Lease> {
        self.local.take(wanted, now_ns)
    }

    /// Whether the next lease is due, after a grant left so much.
    #[inline(always)]
    pub(crate) fn is_low(&self, left: Lease, now_ns: u64) -> bool {
        left.grains() < self.low.load() && self.may_ask(1, now_ns) && !self.local.has_next(now_ns)
    }

    /// Notes a cost that was denied. Of a flood of the same cost only the first writes.
    pub(crate) fn note_denied(&self, wanted: u64) {
        if wanted < self.least.load() {
            self.least.update(self.least.load(), |least| match wanted < least {
                true => Step::Store(wanted, ()),
                false => Step::Keep(()),
            });
        }
        if wanted > self.most.load() {
            self.most.update(self.most.load(), |most| match wanted > most {
                true => Step::Store(wanted, ()),
                false => Step::Keep(()),
            });
        }
    }

    /// Whether nobody asks, and the store may have as much by now.
    pub(crate) fn may_ask(&self, wanted: u64, now_ns: u64) -> bool {
        self.asked.load() == NOBODY_ASKS
            && (self.until_ns.load() <= now_ns || wanted < self.until_cost.load())
    }

    /// If the store holds something else under this key: how long until it is asked again.
    pub(crate) fn barred_ns(&self, now_ns: u64) -> Option<u64> {
        if self.holds.load() == A_BUCKET {
            return None;
        }
        self.until_ns.load().checked_sub(now_ns).filter(|wait_ns| *wait_ns > 0)
    }

    /// Makes the caller the one who asks. Of several at once one is.
    pub(crate) fn begin_to_ask(self: &Arc<Self>) -> Option<Asking> {
        let is_first = self.asked.change_over(NOBODY_ASKS, ASKED);
        is_first.then(|| Asking(Arc::clone(self)))
    }

    /// Waits until the store has answered what it is being asked, if it is, and not while it is away.
    pub(crate) async fn answer(&self, is_away: impl Fn() -> bool) {
        let mut answered = core::pin::pin!(self.answered.notified());
        // From here on nothing is missed.
        answered.as_mut().enable();
        if self.is_asked() && !is_away() {
            answered.await;
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load() == ASKED
    }

    /// How long a cost that is denied should wait: until the store is asked again, or has answered.
    pub(crate) fn wait_ns(&self, now_ns: u64, round_trip_ns: u64) -> u64 {
        self.until_ns.load().saturating_sub(now_ns).max(round_trip_ns).max(1)
    }

    pub(crate) fn usable(&self, now_ns: u64) -> u64 {
        self.local.usable(now_ns)
    }

    /// Gives back grains of a lease that ends at tick `ended`.
    pub(crate) fn give_back(&self, grains: u64, ended: u64, now_ns: u64) -> bool {
        self.local.give_back(grains, ended, now_ns)
    }

    /// Takes grains whether they are here or not: what is not is owed to the store.
    pub(crate) fn charge(&self, grains: u64, now_ns: u64) {
        let taken = self.local.take_up_to(grains, now_ns);
        self.owe(grains.saturating_sub(taken));
    }

    pub(crate) fn owe(&self, grains: u64) {
        self.owed.update(self.owed.load(), |owed| match grains {
            0 => Step::Keep(()),
            more => Step::Store(owed.saturating_add(more), ()),
        });
    }

    /// Whether the store is to be told of something that was used.
    pub(crate) fn owes(&self) -> bool {
        self.owed.load() > 0 || self.share().is_some()
    }

    pub(crate) fn share(&self) -> impl core::ops::Deref<Target = Option<Share>> + '_ {
        self.share.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn share_mut(&self) -> impl core::ops::DerefMut<Target = Option<Share>> + '_ {
        self.share.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is like one that was never there: nothing leased, nothing owed, nobody asks, and what is known of the bucket says
    /// no more than that it may be full.
    pub(crate) fn is_idle(&self, terms: &Terms, now_ns: u64) -> bool {
        self.usable(now_ns) == 0
            && !self.is_asked()
            && !self.owes()
            && self.until_ns.load() <= now_ns
            && lock(&self.course).known.is_none_or(|known| known.may_be_full(terms, now_ns))
    }

    /// What to ask the store for now.
    pub(crate) fn ask(&self, terms: &Terms, now_ns: u64) -> Ask {
        let take = |cell: &Cell, none: u64| {
            cell.update(cell.load(), |word| match word == none {
                true => Step::Keep(word),
                false => Step::Store(none, word),
            })
        };
        let (least, most) = (take(&self.least, NONE_DENIED), take(&self.most, 0));
        let here = self.usable(now_ns);
        let mut course = lock(&self.course);
        let used = course.brought.saturating_sub(here);
        let elapsed_ns = now_ns.saturating_sub(course.since_ns);
        let is_dry = most > 0 || here == 0;
        let batch = course.batch.next(&terms.bounds, used, elapsed_ns, is_dry, most.max(1));
        course.brought = here;
        course.since_ns = now_ns;
        let share = self.share();
        let share = share.as_ref();
        // First what was used: what is owed for it is then not too little.
        course.share_used = share.map_or(0, Share::used);
        course.share_told = share.map_or(0, |share| share.owed(&terms.scale, now_ns));
        Ask {
            least: if least == NONE_DENIED { 1 } else { least.max(1) },
            most: batch.clamp(1, LARGEST_LEASE),
            charge: take(&self.owed, 0).saturating_add(course.share_told),
            hint: course.known.map(|known| known.hint(terms, now_ns)),
        }
    }

    /// What the store told, asked at `sent_ns`. Returns whether what it granted came too late to be used.
    pub(crate) fn told(
        &self,
        terms: &Terms,
        ask: Ask,
        told: Told,
        sent_ns: u64,
        now_ns: u64,
    ) -> bool {
        let ends_ns = sent_ns.saturating_add(terms.usable_ns);
        let is_late = told.granted > 0 && now_ns >= ends_ns;
        {
            let mut course = lock(&self.course);
            course.known = Some(Known { level: told.level, server_us: told.server_us, sent_ns });
            if told.granted > 0 && !is_late {
                self.local.bring(Lease::new(told.granted, ends_ns), now_ns);
                course.brought = course.brought.saturating_add(told.granted);
            }
            self.low.set(course.batch.low());
            // The share is over. What was used of it meanwhile is told next time.
            if let Some(share) = self.share_mut().take() {
                self.owe(share.used().saturating_sub(course.share_used));
            }
        }
        let seed = now_ns ^ told.level.cast_unsigned().rotate_left(32);
        let (until_ns, until_cost) = if told.granted == 0 {
            let wait_ns = terms.wait_of(told.wait_us.saturating_mul(1_000), ask.least, seed);
            (now_ns.saturating_add(wait_ns), ask.least)
        } else if told.granted < ask.most {
            // The store has run dry: what comes next is shared with others, a part of a lease's time at once.
            (sent_ns.saturating_add(terms.pause_of(seed)), 0)
        } else {
            (0, 0)
        };
        self.holds.set(A_BUCKET);
        self.until_cost.set(until_cost);
        self.until_ns.set(until_ns);
        is_late
    }

    /// The store holds something else under this key: whatever is asked for, it is not asked again for a lease's time.
    pub(crate) fn told_of_another(&self, terms: &Terms, ask: Ask, now_ns: u64) {
        self.not_told(ask);
        self.until_cost.set(0);
        self.until_ns.set(now_ns.saturating_add(terms.bounds.lifetime_ns));
        self.holds.set(NO_BUCKET);
    }

    /// An ask was not answered. What it was to take is asked for once more; whether it was carried out nobody knows.
    pub(crate) fn not_told(&self, ask: Ask) {
        // What is owed for the share is worked out anew.
        self.owe(ask.charge.saturating_sub(lock(&self.course).share_told));
        self.note_denied(ask.least);
    }
}

/// The right to ask the store for an account, which one has at a time. Dropped, for whatever reason, it passes to the next one, and those
/// who wait for an answer look again.
#[derive(Debug)]
pub(crate) struct Asking(Arc<Account>);

impl core::ops::Deref for Asking {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.0
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.asked.publish(NOBODY_ASKS);
        self.answered.notify_waiters();
    }
}

impl Known {
    fn may_be_full(self, terms: &Terms, now_ns: u64) -> bool {
        let elapsed_us = now_ns.saturating_sub(self.sent_ns) / 1_000;
        terms.level_after(self.level, elapsed_us) >= terms.scale.full_level()
    }

    fn hint(self, terms: &Terms, now_ns: u64) -> Hint {
        // The call may be carried out until it times out. Rounded up to microseconds at either end.
        let elapsed_us = now_ns.saturating_sub(self.sent_ns) / 1_000;
        let latest_us = elapsed_us.saturating_add(terms.timeout_us).saturating_add(2);
        let ceiling = terms.level_after(self.level, latest_us);
        Hint { level: self.level, server_us: self.server_us, ceiling }
    }
}

/// A lock that somebody panicked under holds numbers that are right all the same: each is written at once.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> impl core::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("key", &self.key).finish_non_exhaustive()
    }
}
