//! Taking ahead of time, and giving back exactly that.

// What the sealed, public trait `Limit` names must be public, here where nobody else can name it.
#![allow(unreachable_pub)]

use crate::algorithm::{Ahead, Rules, Unused, Wait};
use crate::bucket::{Bucket, Gone, Share, Taken};
use crate::error::{Denied, Never, NotYet};
use crate::terms::Terms;

/// What a bucket was taken from, and when it is good: all it takes to give it back.
///
/// Nothing of it is in the bucket but the units that are missing there, so who forgets one stalls nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// The word that was left.
    pub(crate) left: u64,
    pub(crate) units: u64,
    /// When it was taken.
    pub(crate) now_ns: u64,
    /// From when on it is good.
    pub(crate) good_ns: u64,
    /// How often the quota had been changed before, without the upper half: of as many changes as that leaves out
    /// nobody misses all.
    changes: u32,
    #[cfg(feature = "keyed")]
    pub(crate) place: Place,
}

/// Where it was taken from.
#[cfg(feature = "keyed")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Place {
    /// The bucket of the limiter, or of the key.
    #[default]
    Own,
    /// A bucket that keys share.
    Shared,
    /// A bucket that nobody keeps.
    Nowhere,
}

/// Why nothing was taken ahead.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub(crate) denied: Denied,
    /// For who would wait for so long: nothing is reserved meanwhile.
    pub(crate) nap: Option<Nap>,
}

/// When to try again. Nobody sleeps where there is no `std`.
#[cfg_attr(not(feature = "std"), allow(dead_code))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Nap {
    pub(crate) least_ns: u64,
    /// Those who find no room would all wake at one moment, and one of them be served. So they spread over so much
    /// more, which is not so long that nobody would be left to wait.
    pub(crate) spread_ns: u64,
}

#[cfg(feature = "std")]
impl Nap {
    /// The one that is over later.
    pub(crate) fn later(self, other: Self) -> Self {
        if self.least_ns >= other.least_ns { self } else { other }
    }
}

impl Refused {
    pub(crate) fn for_good(denied: Denied) -> Self {
        Self { denied, nap: None }
    }
}

/// A refusal by less than this may be due to the time at which a thread asked, and others took.
pub(crate) const CLOSE_NS: u64 = 1_000;

impl Refused {
    /// Whether a microsecond later it may be granted.
    pub(crate) fn is_close(&self) -> bool {
        matches!(self.denied, Denied::NotYet(not_yet) if not_yet.wait.nanos() <= CLOSE_NS)
    }
}

impl Held {
    /// Units that were there, and taken without a look at the one word that would tell what was left.
    #[cfg(feature = "std")]
    pub(crate) fn at_once(units: u64, now_ns: u64) -> Self {
        Self { units, now_ns, good_ns: now_ns, ..Self::default() }
    }

    /// What was taken of a word, leaving `left`, and is good at once; when the quota had been changed so often before.
    pub(crate) fn of<R: Rules>(
        terms: &Terms<R>,
        left: u64,
        wanted: u64,
        now_ns: u64,
        changes: u32,
    ) -> Self {
        let late = crate::planted::note_changes_late();
        Self {
            left,
            units: wanted.wrapping_sub(terms.layout.zero()),
            now_ns,
            good_ns: now_ns,
            changes: if late { lower_half(terms.changes()) } else { changes },
            #[cfg(feature = "keyed")]
            place: Place::Own,
        }
    }

    /// Whether it was good when it was taken.
    pub(crate) fn is_good_at_once(&self) -> bool {
        self.good_ns <= self.now_ns
    }

    /// How long it is not good yet, as was told last.
    pub(crate) fn told_ns(&self, now_ns: u64) -> u64 {
        self.good_ns.saturating_sub(now_ns)
    }

    #[cfg(feature = "keyed")]
    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

impl<R: Rules, S: Share> Bucket<'_, R, S> {
    /// Takes what will be there within `most_wait_ns`, into debt; decides on the word `seen` first.
    ///
    /// Who comes later finds the debt, and is after this one: the order is that of the swaps.
    pub(crate) fn hold(
        &self,
        seen: u64,
        wanted: u64,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Result<Held, Refused>, Gone> {
        let rules = &self.terms.layout;
        // Read before the word: a change of quota between the two is then seen as one that came after.
        let changes = lower_half(self.terms.changes());
        if self.holds_as_stored(seen, wanted)
            && !crate::planted::reserve_without_taking()
            && let Taken::Granted(left) = self.take(seen, wanted, now_ns)?
        {
            return Ok(Ok(Held::of(self.terms, left, wanted, now_ns, changes)));
        }
        let taken = self.change(seen, now_ns, |_, plan, reading| {
            let good = match self.good(plan, reading, wanted, most_wait_ns, now_ns) {
                Ok(good) => good,
                Err(refused) => {
                    let takes = crate::planted::refuse_and_take()
                        && matches!(refused.denied, Denied::NotYet(_));
                    let stored = takes.then(|| rules.take(plan, reading, wanted));
                    return (stored, Err(refused));
                }
            };
            let left = rules.take(plan, reading, wanted);
            let stored = (!crate::planted::reserve_without_taking()).then_some(left);
            (stored, Ok((left, good)))
        })?;
        Ok(taken.map(|(left, good)| {
            let held = Held::of(self.terms, left, wanted, now_ns, changes);
            Held { good_ns: now_ns.saturating_add(good.map_or(0, |good| good.nanos())), ..held }
        }))
    }

    /// Whether it goes at once, and is there without what has arrived since the word was stored: most often, and then
    /// it is taken as [`take`](Self::take) does, without a look at the plan.
    #[inline]
    fn holds_as_stored(&self, seen: u64, wanted: u64) -> bool {
        let rules = &self.terms.layout;
        !rules.paces() && rules.may_hold_as_stored(seen, wanted)
    }

    /// When `wanted` would be good that is taken now, `None` if at once; or why it is not to be taken.
    fn good(
        &self,
        plan: &R::Plan,
        reading: &R::Reading,
        wanted: u64,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Option<Wait>, Refused> {
        let rules = &self.terms.layout;
        if !self.terms.may_ever_hold(plan, wanted) {
            return Err(self.never(plan, wanted));
        }
        if !rules.paces() && rules.holds(plan, reading, wanted) {
            return Ok(None);
        }
        let Some(Ahead { room, good }) = rules.ahead(plan, reading, wanted) else {
            let wait = rules.wait(plan, reading, wanted);
            let least_ns = wait.nanos();
            let nap = (least_ns <= most_wait_ns).then_some(Nap { least_ns, spread_ns: 0 });
            return Err(Refused { denied: Denied::NotYet(NotYet { wait }), nap });
        };
        let room_ns = room.nanos();
        // How long is asked only by who does not wait for ever.
        let late_ns = match most_wait_ns {
            u64::MAX => 0,
            most => good.nanos().saturating_sub(most),
        };
        if room_ns == 0 && late_ns == 0 {
            return Ok(Some(good));
        }
        let wait = NotYet::after(now_ns, room_ns.max(late_ns));
        // Who would not wait long enough now would not later.
        let spread_ns = good.nanos().saturating_sub(room_ns) / 2;
        let nap = (late_ns == 0 && room_ns <= most_wait_ns)
            .then_some(Nap { least_ns: room_ns, spread_ns });
        Err(Refused { denied: Denied::NotYet(wait), nap })
    }

    #[cold]
    fn never(&self, plan: &R::Plan, wanted: u64) -> Refused {
        let rules = &self.terms.layout;
        let cost = self.terms.tokens(wanted.wrapping_sub(rules.zero()));
        let capacity = self.terms.tokens(rules.capacity_units(plan));
        Refused::for_good(Denied::Never(Never { cost, capacity }))
    }

    /// Why `wanted` would be refused now, without taking anything; `None` if it would not be.
    pub(crate) fn would_refuse(
        &self,
        wanted: u64,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Option<Refused>, Gone> {
        let rules = &self.terms.layout;
        let seen = self.load();
        if self.holds_as_stored(seen, wanted)
            && rules.surely_holds(seen, wanted, self.share.brim(self.terms))
        {
            return Ok(None);
        }
        self.peek(|word, plan| {
            let reading = rules.read(plan, word, now_ns);
            self.good(plan, &reading, wanted, most_wait_ns, now_ns).err()
        })
    }

    /// How long what is held is not good yet.
    ///
    /// A quota that was lowered since does not bring by then what was promised. So it is asked anew, once: it is good
    /// when the whole debt is repaid at the new rate, which is not before everybody's turn who came first.
    pub(crate) fn wait_held(&self, held: &mut Held, now_ns: u64) -> Result<u64, Gone> {
        let changes = lower_half(self.terms.changes());
        if changes != held.changes && !crate::planted::trust_an_old_promise() {
            let rules = &self.terms.layout;
            let wait_ns = self.peek(|word, plan| {
                rules.wait(plan, &rules.read(plan, word, now_ns), rules.zero()).nanos()
            })?;
            held.good_ns = held.good_ns.max(now_ns.saturating_add(wait_ns));
            held.changes = changes;
        }
        Ok(held.told_ns(now_ns))
    }

    /// Gives back all but `keep` units of what is held.
    pub(crate) fn take_back(&self, held: &Held, keep: u64, now_ns: u64) -> Result<(), Gone> {
        if crate::planted::cancel_gives_back_nothing() && keep == 0 {
            return Ok(());
        }
        let keep = if crate::planted::settle_gives_back_all() { 0 } else { keep };
        let units = Unused { taken: held.units, keep };
        self.change(self.load(), now_ns, |_, plan, reading| {
            (self.terms.layout.take_back(plan, reading, held.left, units), ())
        })
    }
}

/// A hundred thousand may hold one, so it is kept in half a word.
pub(crate) fn lower_half(changes: u64) -> u32 {
    u32::try_from(changes & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
