//! A bucket outside of the maps, where handles find it: one word, or divided between stripes.

use core::fmt;
use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use super::divided::{Caller, Divided};
use crate::algorithm::{ManyRules, Wait};
use crate::bucket::{Bucket, Gone, Read};
use crate::cell::Cell;
use crate::held::{Held, Refused};
use crate::primitive::Arc;
use crate::striped::{Hold as _, Spread as _, Striped as _, Take};
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A bucket outside of the maps, for as long as there are handles to it, or a call with its key is on its way.
pub(crate) type Away = Arc<AwayBucket>;

/// A word of its own; or, once the key is known to be hot, a word beside stripes.
///
/// | `word` | `divided` | the bucket is |
/// |---|---|---|
/// | a bucket | not there, or not yet begun | `word` |
/// | away | there | `divided` |
///
/// It goes one way: a bucket that was divided is so until it goes home.
pub(crate) struct AwayBucket {
    word: CachePadded<Cell>,
    // Not tracked by loom: it is written before the word that says so.
    divided: OnceLock<std::sync::Arc<Divided>>,
}

impl AwayBucket {
    pub(crate) fn new() -> Self {
        Self { word: CachePadded::new(Cell::new(0)), divided: OnceLock::new() }
    }

    #[inline(always)]
    pub(crate) fn word(&self) -> &Cell {
        &self.word
    }

    pub(crate) fn divided(&self) -> Option<&std::sync::Arc<Divided>> {
        self.divided.get()
    }

    /// Lends the bucket to `visit`, wherever it is. `visit` may be called twice.
    pub(crate) fn lend<T>(
        &self,
        mut visit: impl FnMut(Lent<'_>) -> Result<T, Gone>,
    ) -> Result<T, Gone> {
        visit(Lent::Word(&self.word)).or_else(|Gone| match self.divided() {
            Some(divided) => visit(Lent::Divided(divided)),
            None => Err(Gone),
        })
    }

    /// Moves the bucket to the word beside the stripes of `divided`, which are empty, and leaves `away_word` behind.
    ///
    /// Whoever looked at the word before, and so at the whole capacity, loses the swap to that mark, and comes to the
    /// word beside the stripes to find less. Nobody else divides this bucket.
    pub(crate) fn divide(&self, divided: &std::sync::Arc<Divided>, away_word: u64) {
        if self.divided.set(std::sync::Arc::clone(divided)).is_err() {
            return;
        }
        loop {
            let word = self.word.load();
            divided.word.set(word);
            if crate::planted::leave_the_word_behind() || self.word.change_over(word, away_word) {
                return;
            }
        }
    }

    /// The word of the bucket as one, for who is the only one to have it.
    pub(crate) fn word_at_home(&self, now_ns: u64) -> u64 {
        match self.divided() {
            Some(divided) => divided.go_home(now_ns),
            None => self.word.load(),
        }
    }
}

/// A bucket that is lent for the length of one decision.
#[derive(Clone, Copy)]
pub(crate) enum Lent<'a> {
    Word(&'a Cell),
    Divided(&'a Divided),
}

impl<'a> Lent<'a> {
    pub(crate) fn by<R: ManyRules>(self, terms: &'a Terms<R>) -> By<'a, R> {
        By { terms, lent: self }
    }
}

/// A bucket that is lent, with the terms to read it by.
#[derive(Clone, Copy)]
pub(crate) struct By<'a, R: ManyRules> {
    terms: &'a Terms<R>,
    lent: Lent<'a>,
}

impl<'a, R: ManyRules> By<'a, R> {
    /// The bucket, if it is one word.
    #[inline]
    pub(crate) fn bucket(&self) -> Result<Bucket<'a, R>, Gone> {
        match self.lent {
            Lent::Word(word) => Ok(Bucket::new(self.terms, word)),
            Lent::Divided(_) => Err(Gone),
        }
    }

    /// The bucket, if it is divided.
    #[inline]
    pub(crate) fn divided(&self) -> Option<Caller<'a>> {
        match self.lent {
            Lent::Word(_) => None,
            // Only token buckets are ever divided.
            Lent::Divided(divided) => self.terms.of_token_bucket().map(|terms| divided.by(terms)),
        }
    }

    pub(crate) fn available(&self, now_ns: u64) -> Result<Tokens, Gone> {
        match self.divided() {
            Some(caller) => Ok(caller.read(now_ns).available),
            None => self.bucket()?.available(now_ns),
        }
    }

    pub(crate) fn read(&self, now_ns: u64) -> Result<Read<R::Config>, Gone> {
        let Some(caller) = self.divided() else { return self.bucket()?.read(now_ns) };
        let Read { available, debt, full, .. } = caller.read(now_ns);
        Ok(Read { available, debt, full, config: self.terms.config() })
    }

    pub(crate) fn wait_for(
        &self,
        cost: Tokens,
        now_ns: u64,
    ) -> Result<Option<core::time::Duration>, Gone> {
        match self.divided() {
            Some(caller) => Ok(Take::wait_for(&caller, cost, now_ns)),
            None => Ok(self.bucket()?.wait_for(cost, now_ns)?.map(|wait| wait.duration())),
        }
    }

    /// Takes whole tokens as of `now_ns`; out of stripes as of what `later_ns` tells then.
    pub(crate) fn take_up_to(
        &self,
        max: u64,
        now_ns: u64,
        later_ns: impl Fn() -> u64,
    ) -> Result<u64, Gone> {
        if let Some(caller) = self.divided() {
            return Ok(caller.take_up_to(max, later_ns));
        }
        let bucket = self.bucket()?;
        Ok(bucket.take_up_to(bucket.load(), max, now_ns)?.0)
    }

    pub(crate) fn refund(&self, cost: Tokens, now_ns: u64) -> Result<(), Gone> {
        match self.divided() {
            Some(caller) => {
                caller.give_back(cost, || now_ns);
                Ok(())
            }
            None => self.bucket()?.refund(cost, now_ns),
        }
    }

    /// Takes `cost` as deep as words can tell, and returns what was not taken. See [`take_up_to`](Self::take_up_to).
    pub(crate) fn charge(
        &self,
        cost: Tokens,
        now_ns: u64,
        later_ns: impl Fn() -> u64,
    ) -> Result<Tokens, Gone> {
        match self.divided() {
            Some(caller) => Ok(caller.take_anyway(cost, later_ns)),
            None => self.bucket()?.charge(cost, now_ns),
        }
    }

    pub(crate) fn charge_units(&self, units: u64, now_ns: u64) -> Result<u64, Gone> {
        match self.divided() {
            Some(caller) => Ok(caller.charge_units_in_all(units, || now_ns)),
            None => self.bucket()?.charge_units(units, now_ns),
        }
    }

    pub(crate) fn hold(
        &self,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Result<Held, Refused>, Gone> {
        if let Some(caller) = self.divided() {
            return Ok(caller.hold(cost, most_wait_ns, now_ns));
        }
        let bucket = self.bucket()?;
        bucket.hold(bucket.load(), self.terms.wanted(cost), most_wait_ns, now_ns)
    }

    pub(crate) fn would_refuse(
        &self,
        cost: Tokens,
        most_wait_ns: u64,
        now_ns: u64,
    ) -> Result<Option<Refused>, Gone> {
        match self.divided() {
            Some(caller) => Ok(caller.would_refuse_in_all(cost, most_wait_ns, now_ns)),
            None => self.bucket()?.would_refuse(self.terms.wanted(cost), most_wait_ns, now_ns),
        }
    }

    pub(crate) fn wait_held(&self, held: &mut Held, now_ns: u64) -> Result<u64, Gone> {
        match self.divided() {
            Some(caller) => caller.central().wait_held(held, now_ns),
            None => self.bucket()?.wait_held(held, now_ns),
        }
    }

    pub(crate) fn take_back(&self, held: &Held, keep: u64, now_ns: u64) -> Result<(), Gone> {
        match self.divided() {
            Some(caller) => {
                caller.take_back_in_all(held, keep, now_ns);
                Ok(())
            }
            None => self.bucket()?.take_back(held, keep, now_ns),
        }
    }

    /// What can be taken, and when nothing is missing.
    pub(crate) fn look(&self, now_ns: u64) -> Result<(Tokens, Wait), Gone> {
        let read = self.read(now_ns)?;
        Ok((read.available, read.full))
    }
}

impl fmt::Debug for AwayBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwayBucket").field("divided", &self.divided()).finish_non_exhaustive()
    }
}
