//! A bucket with a clock: the calls that may read it twice.

use crate::answer::Granted;
use crate::bucket::{Bucket, Refusal, Taken};
use crate::clock::Clock;
use crate::error::{Denied, Never, NotYet};
use crate::terms::Terms;
use crate::tokens::Tokens;

/// A bucket with a clock.
///
/// A thread that others overtake between its clock and its compare-and-swap is answered as of its own, earlier
/// time, when less had arrived. Out of a full bucket of ten, ten threads at once could so be granted nine.
/// So the word is read before the clock: then the time is later than whatever is in the word, unless somebody
/// changes the word from there on, which the compare-and-swap notices; and a denial is decided once more, at a
/// later time.
#[derive(Debug)]
pub(crate) struct Clocked<'a, C> {
    pub(crate) bucket: Bucket<'a>,
    pub(crate) clock: &'a C,
}

impl<'a, C: Clock> Clocked<'a, C> {
    #[inline(always)]
    pub(crate) fn try_consume(&self, cost: Tokens) -> Result<Granted<'a>, Denied> {
        let seen = self.bucket.load();
        let now_ns = self.clock.now_ns();
        let cost_units = self.bucket.terms.units(cost);
        let mut refusal = None;
        match self.bucket.take(seen, cost_units, now_ns, &mut refusal) {
            Taken::Granted(left) => Ok(Granted::new(self.bucket.grant(left, now_ns))),
            _ => self.try_consume_again(cost, cost_units, refusal),
        }
    }

    /// Decides once more if a later time may help. Also after a near miss: a processor may read its counter before
    /// an earlier load is done.
    fn try_consume_again(
        &self,
        cost: Tokens,
        cost_units: u64,
        mut refusal: Option<Refusal>,
    ) -> Result<Granted<'a>, Denied> {
        if refusal.is_some_and(|refusal| refusal.is_hasty()) {
            let seen = self.bucket.load();
            let now_ns = self.clock.now_ns();
            let taken = self.bucket.take(seen, cost_units, now_ns, &mut refusal);
            if let Taken::Granted(left) = taken {
                return Ok(Granted::new(self.bucket.grant(left, now_ns)));
            }
        }
        Err(denied(self.bucket.terms, cost, refusal))
    }

    pub(crate) fn consume_up_to(&self, max: u64) -> u64 {
        let up_to = |max| {
            let seen = self.bucket.load();
            self.bucket.take_up_to(seen, max, self.clock.now_ns()).unwrap_or_default()
        };
        let (taken, overtaken) = up_to(max);
        if !overtaken || taken == max {
            return taken;
        }
        taken.saturating_add(up_to(max.saturating_sub(taken)).0)
    }

    pub(crate) fn drain(&self) -> Tokens {
        let all = || {
            let seen = self.bucket.load();
            self.bucket.drain(seen, self.clock.now_ns()).unwrap_or_default()
        };
        let (taken, overtaken) = all();
        if overtaken { taken.saturating_add(all().0) } else { taken }
    }
}

/// Takes `cost` at `now_ns`.
#[inline(always)]
pub(crate) fn try_consume_at(
    bucket: Bucket<'_>,
    cost: Tokens,
    now_ns: u64,
) -> Result<Granted<'_>, Denied> {
    let mut refusal = None;
    match bucket.take(bucket.load(), bucket.terms.units(cost), now_ns, &mut refusal) {
        Taken::Granted(left) => Ok(Granted::new(bucket.grant(left, now_ns))),
        _ => Err(denied(bucket.terms, cost, refusal)),
    }
}

/// What a caller is told of a refusal. There is one, but for a bucket that is gone, which is never so of a word that
/// its limiter, or its handle, owns.
pub(crate) fn denied(terms: &Terms, cost: Tokens, refusal: Option<Refusal>) -> Denied {
    match refusal {
        Some(Refusal::NotYet { wait, .. }) => Denied::NotYet(NotYet { wait }),
        Some(Refusal::Never { capacity_units }) => {
            Denied::Never(Never { cost, capacity: terms.tokens(capacity_units) })
        }
        None => Denied::Never(Never { cost, capacity: Tokens::ZERO }),
    }
}
