//! The stripes of a bucket: one word each, on cache lines of their own.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::lane::{lane, move_on};
use crate::algorithm::{Split, Stripe};
use crate::cell::{Cell, Step};
use crate::primitive::yield_now;

/// A clone is another name for the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Stripes {
    /// A power of two of them.
    words: Arc<[CachePadded<Cell>]>,
}

/// What lies in all stripes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lying {
    pub(crate) tokens: u64,
    /// Somebody is bringing tokens, or spending some that lay here.
    pub(crate) under_way: bool,
}

impl Stripes {
    /// `count` is a power of two.
    pub(crate) fn new(count: u64, split: Split, full: bool) -> Self {
        let tokens = if full { split.each() } else { 0 };
        let word = || CachePadded::new(Cell::new(Stripe::holding(split.exponent, tokens).0));
        Self { words: (0..count).map(|_| word()).collect() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.len() as u64
    }

    /// The calling thread's stripe.
    #[inline(always)]
    pub(crate) fn here(&self) -> &Cell {
        // There is one at least, and the mask keeps the lane below their number.
        &self.words[lane() & self.words.len().wrapping_sub(1)]
    }

    /// All stripes, the calling thread's first.
    pub(crate) fn all_from_here(&self) -> impl Iterator<Item = &Cell> {
        let here = lane() & self.words.len().wrapping_sub(1);
        let (before, after) = self.words.split_at(here);
        after.iter().chain(before).map(|word| &**word)
    }

    /// Takes `cost` tokens from the calling thread's stripe, if they are all there.
    ///
    /// This is the fast path: a load, a comparison and a swap of a word that as a rule nobody else touches.
    #[inline(always)]
    pub(crate) fn take(&self, cost: u64) -> bool {
        let word = self.here();
        let seen = word.load();
        let Some(left) = Stripe(seen).take(cost) else { return false };
        word.replace(seen, left.0).is_ok() || self.take_in_a_crowd(cost)
    }

    /// Somebody else is on this stripe: moves on to the next one, for this call and those after it. So threads that
    /// run at the same time find stripes of their own, however many more of them there are.
    #[cold]
    #[inline(never)]
    fn take_in_a_crowd(&self, cost: u64) -> bool {
        loop {
            move_on();
            let word = self.here();
            let seen = word.load();
            let Some(left) = Stripe(seen).take(cost) else { return false };
            if word.replace(seen, left.0).is_ok() {
                return true;
            }
        }
    }

    /// What lies in all of them; each is read at a moment of its own.
    #[inline]
    pub(crate) fn lying(&self) -> Lying {
        let (mut tokens, mut seen) = (0_u64, 0);
        for word in &*self.words {
            let word = word.load();
            // A thousand numbers of 29 bits.
            tokens = tokens.wrapping_add(Stripe(word).tokens());
            seen |= word;
        }
        Lying { tokens, under_way: Stripe(seen).under_way() > 0 }
    }

    /// Closes all stripes and lifts what lies in them, and waits until nothing else is under way. Tells how much was
    /// lifted: nobody else has any of it, nor can get any, until [`open`](Self::open).
    pub(crate) fn close(&self) -> u64 {
        let mut lifted = 0_u64;
        for word in &*self.words {
            let mut lifted_here = 0_u64;
            loop {
                let seen = Stripe(word.load_to_read());
                if seen.cap() > 0 || seen.tokens() > 0 {
                    let more = change(word, Stripe::close);
                    lifted_here = lifted_here.saturating_add(more);
                } else if seen.under_way() == lifted_here || crate::planted::change_under_way() {
                    break;
                } else {
                    yield_now();
                }
            }
            lifted = lifted.saturating_add(lifted_here);
        }
        lifted
    }

    /// Opens all stripes after [`close`](Self::close), with `tokens` in them: not more than they hold.
    pub(crate) fn open(&self, split: Split, mut tokens: u64) {
        for word in &*self.words {
            let here = tokens.min(split.each());
            tokens = tokens.saturating_sub(here);
            end(word, |_| Stripe::holding(split.exponent, here));
        }
    }
}

/// Changes a stripe, and tells what its transition tells: room, or tokens.
///
/// Whoever finds room here that another one has given back sees all that this one did before: see [`end`].
pub(crate) fn change(word: &Cell, transition: impl Fn(Stripe) -> (Stripe, u64)) -> u64 {
    word.update(word.load(), |seen| {
        let (new, told) = transition(Stripe(seen));
        if new.0 == seen { Step::Keep(told) } else { Step::Store(new.0, told) }
    })
}

/// Ends what was under way, for whoever comes after to see all that was done before.
pub(crate) fn end(word: &Cell, transition: impl Fn(Stripe) -> Stripe) {
    loop {
        let seen = word.load();
        if word.change_over(seen, transition(Stripe(seen)).0) {
            return;
        }
    }
}
