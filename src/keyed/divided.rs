//! The bucket of a hot key: one word, and stripes beside it, which hot handles take from.

use std::vec::Vec;

use crossbeam_utils::CachePadded;

use crate::algorithm::layout::LONGEST_IDLE_NS;
use crate::algorithm::{Layout, Split};
use crate::bucket::{Beside, Bucket};
use crate::cell::{Cell, Step};
use crate::error::Denied;
use crate::held::{Held, Refused};
use crate::primitive::{Arc, Mutex};
use crate::seqlock::Seqlock;
use crate::striped::{Hold as _, Lying, Striped, Stripes, Take as _};
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A bucket that is divided between a word and stripes, for as long as it is away.
///
/// How much may lie in stripes is decided when it is made, and by what quota; both stay. By that quota stripes are open
/// or closed. Everybody else reads the word as [`Plan::beside`](crate::algorithm::Plan::beside) says.
#[derive(Debug)]
pub(crate) struct Divided {
    /// The quota of the first hot handle. Handles of another quota do not fill stripes.
    terms: Arc<Terms>,
    split: Split,
    aside_units: u64,
    stripes: Stripes,
    /// For who may not have what lies in stripes: one that is closed for good.
    none: Stripes,
    pub(crate) word: CachePadded<Cell>,
    /// A time at which hot handles were dropped, and no call of theirs was later.
    left_ns: Cell,
    /// 1 while stripes are open.
    is_open: Cell,
    /// 1 once it is no bucket any more.
    is_home: Cell,
    /// Its turn is the right to open stripes and to close them.
    turn: Seqlock<0>,
}

impl Divided {
    /// Makes one with closed stripes and without a bucket.
    pub(crate) fn new(terms: &Arc<Terms>, stripes: u64, now_ns: u64) -> Self {
        let split = Split::of(terms.config().capacity(), stripes);
        Self {
            terms: Arc::clone(terms),
            split,
            aside_units: terms.units(Tokens::new(split.aside())),
            stripes: Stripes::new(split.stripes(), Split::NONE, false),
            none: Stripes::new(1, Split::NONE, false),
            word: CachePadded::new(Cell::new(0)),
            left_ns: Cell::new(now_ns),
            is_open: Cell::new(0),
            is_home: Cell::new(0),
            turn: Seqlock::new([]),
        }
    }

    /// The bucket for a caller who reads it by `terms`.
    pub(crate) fn by<'a>(&'a self, terms: &'a Terms) -> Caller<'a> {
        Caller { divided: self, terms }
    }

    /// Whether stripes are filled by who reads by `terms`.
    pub(crate) fn is_of(&self, terms: &Terms) -> bool {
        core::ptr::eq::<Terms>(&*self.terms, terms)
    }

    /// The stripes of which who reads by `terms` may have what lies there; or none.
    pub(crate) fn within_reach_of(&self, terms: &Terms) -> &Stripes {
        let reaches = crate::planted::let_everybody_reach();
        let reaches = reaches || terms.plan().reaches(self.aside_units);
        if reaches { &self.stripes } else { &self.none }
    }

    pub(crate) fn central<'a>(&'a self, terms: &'a Terms) -> Bucket<'a, Layout, Beside> {
        Bucket { terms, word: &self.word, share: Beside { aside_units: self.aside_units } }
    }

    pub(crate) fn stripes(&self) -> &Stripes {
        &self.stripes
    }

    pub(crate) fn none(&self) -> &Stripes {
        &self.none
    }

    /// How many stripes are open: 1, if all calls go to one word.
    pub(crate) fn open_stripes(&self) -> u64 {
        if self.is_open.load() == 1 { self.split.stripes() } else { 1 }
    }

    /// Opens the stripes or closes them, as the quota in force asks.
    ///
    /// Closing waits, with yields, for tokens that others are moving. What lies in stripes then goes to the word, where
    /// whoever reads it cuts it to what may be there.
    pub(crate) fn refit(&self) {
        let turn = self.turn.turn();
        let opens = self.split.exponent > 0 && self.terms.plan().reaches(self.aside_units);
        match (self.is_open.load() == 1, opens) {
            (false, true) => {
                self.stripes.open(self.split, 0);
                self.is_open.set(1);
            }
            (true, false) if !crate::planted::lower_without_closing() => {
                self.pour(self.stripes.close());
                self.stripes.open(Split::NONE, 0);
                self.is_open.set(0);
            }
            _ => {}
        }
        drop(turn);
    }

    /// Puts tokens of stripes into the word, whatever the time is.
    fn pour(&self, tokens: u64) {
        let (layout, units) = (&self.terms.layout, self.central(&self.terms).units(tokens));
        self.word.update(self.word.load(), |word| Step::Store(layout.raise(word, units), ()));
    }

    /// Makes the bucket hold no more than a word of another bucket says. Waits as [`refit`](Self::refit) does.
    pub(crate) fn lower_to(&self, other: u64) {
        let layout = &self.terms.layout;
        let turn = self.turn.turn();
        self.pour(self.stripes.close());
        self.word.update(self.word.load(), |word| Step::Store(layout.lower_of(word, other), ()));
        let split = if self.is_open.load() == 1 { self.split } else { Split::NONE };
        self.stripes.open(split, 0);
        drop(turn);
    }

    /// Notes that a hot handle is dropped at `now_ns`, after its last call.
    pub(crate) fn leave(&self, now_ns: u64) {
        self.left_ns.update(self.left_ns.load(), |left_ns| {
            if later(left_ns, now_ns) == left_ns { Step::Keep(()) } else { Step::Store(now_ns, ()) }
        });
    }

    /// The whole bucket as one word, for who is the only one to have it.
    ///
    /// From here on the word may hold the whole capacity. So it is read, and cut, at a time after all that was taken from
    /// stripes, which have no time.
    pub(crate) fn go_home(&self, now_ns: u64) -> u64 {
        self.is_home.set(1);
        let lying = self.stripes.lying().tokens;
        let home_ns = if crate::planted::go_home_in_the_past() {
            now_ns
        } else {
            later(now_ns, self.left_ns.load())
        };
        self.word_with(&self.terms, lying, home_ns)
    }

    /// The bucket as one word for another process: without what lies in stripes, which others are moving.
    pub(crate) fn word_to_save(&self, now_ns: u64) -> u64 {
        self.word_with(&self.terms, 0, later(now_ns, self.left_ns.load()))
    }

    /// A word that says of one bucket what this one holds, with `lying` tokens of stripes, as `terms` read it.
    fn word_with(&self, terms: &Terms, lying: u64, now_ns: u64) -> u64 {
        let (layout, plan) = (&terms.layout, terms.plan());
        let central = self.central(terms);
        let reading = layout.read(&plan.beside(self.aside_units), central.load(), now_ns);
        let full = layout.zero.saturating_add(plan.capacity_units);
        let level = reading.level.saturating_add(central.units(lying)).min(full);
        layout.store(&plan, &reading, level)
    }
}

/// The later of two times on a clock that may go round, or be set.
fn later(one_ns: u64, other_ns: u64) -> u64 {
    if other_ns.wrapping_sub(one_ns) <= LONGEST_IDLE_NS { other_ns } else { one_ns }
}

/// A caller without a hot handle: by key, by a tier, or with a handle to one word.
///
/// Such a call takes from the word. What it misses there it gathers from stripes, if its quota may. It never takes from
/// a stripe as hot handles do, without a look at the clock, and fills none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    divided: &'a Divided,
    terms: &'a Terms,
}

impl Striped for Caller<'_> {
    type Share = Beside;

    fn central(&self) -> Bucket<'_, Layout, Beside> {
        self.divided.central(self.terms)
    }

    fn beside(&self) -> &Stripes {
        self.divided.within_reach_of(self.terms)
    }

    fn fills(&self) -> bool {
        false
    }

    fn take_near(&self, _cost: Tokens) -> bool {
        false
    }
}

impl Caller<'_> {
    /// Takes `cost`. What is told are a word that says what was left, and when.
    pub(crate) fn try_consume(
        &self,
        cost: Tokens,
        now_ns: impl Fn() -> u64,
    ) -> Result<(u64, u64), Denied> {
        let at_ns = self.consume_slow(cost, now_ns)?;
        Ok((self.word_as_seen(at_ns), at_ns))
    }

    /// A word that says of one bucket what this caller finds.
    pub(crate) fn word_as_seen(&self, now_ns: u64) -> u64 {
        let Lying { tokens, .. } = self.beside().lying();
        self.divided.word_with(self.terms, tokens, now_ns)
    }

    /// Takes what will be there within `most_wait_ns`.
    pub(crate) fn hold(
        &self,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Held, Refused> {
        let mut held = self.hold_in_all(cost, most_wait_ns, now_ns)?;
        held.left = self.word_as_seen(now_ns);
        Ok(held)
    }
}

/// The divided buckets of one limiter, for who changes a quota.
#[derive(Debug, Default)]
pub(crate) struct AllDivided {
    buckets: Mutex<Vec<std::sync::Arc<Divided>>>,
}

impl AllDivided {
    /// Adds one that nobody can take from yet, and then opens its stripes: whoever changes the quota from here on finds
    /// it, and a change before is seen.
    pub(crate) fn add(&self, divided: &std::sync::Arc<Divided>) {
        self.with(|buckets| {
            // Also those that have gone home, so that they do not become more and more.
            buckets.retain(|other| other.is_home.load() == 0);
            buckets.push(std::sync::Arc::clone(divided));
        });
        divided.refit();
    }

    /// Opens or closes the stripes that belong to `terms`, whose quota has been changed. May wait: see
    /// [`Divided::refit`].
    pub(crate) fn refit(&self, terms: &Terms) {
        let found: Vec<_> = self.with(|buckets| {
            buckets.iter().filter(|divided| divided.is_of(terms)).cloned().collect()
        });
        // Without the lock: nobody else waits.
        for divided in found {
            divided.refit();
        }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Vec<std::sync::Arc<Divided>>) -> T) -> T {
        let buckets = self.buckets.lock();
        run(&mut buckets.unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
