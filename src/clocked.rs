//! A bucket with a clock: the calls that may read it twice.

use crate::algorithm::{Layout, Rules};
use crate::answer::Granted;
use crate::bucket::{Bucket, Gone, Grant, Taken, denied};
use crate::clock::Clock;
use crate::error::{Denied, Never};
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
pub(crate) struct Clocked<'a, C, R: Rules = Layout> {
    pub(crate) bucket: Bucket<'a, R>,
    pub(crate) clock: &'a C,
}

impl<'a, C: Clock, R: Rules> Clocked<'a, C, R> {
    #[inline(always)]
    pub(crate) fn try_consume(&self, cost: Tokens) -> Result<Granted<'a>, Denied> {
        let (taken, now_ns) = self.take(self.bucket.terms.wanted(cost));
        answer(self.bucket.terms, cost, taken, now_ns)
    }

    /// As `try_consume`, for who does not ask why not.
    #[inline(always)]
    pub(crate) fn granted(&self, cost: Tokens) -> Option<Granted<'a>> {
        let terms = self.bucket.terms;
        match self.take(terms.wanted(cost)) {
            (Ok(Taken::Granted(left)), now_ns) => Some(Granted::new(Grant { terms, left, now_ns })),
            _ => None,
        }
    }

    /// As `try_consume`, for who only asks whether.
    #[inline(always)]
    pub(crate) fn is_allowed(&self, cost: Tokens) -> bool {
        let (taken, _) = self.take(self.bucket.terms.wanted(cost));
        matches!(taken, Ok(Taken::Granted(_)))
    }

    /// Takes a cost, and tells as of when.
    #[inline(always)]
    fn take(&self, wanted: u64) -> (Result<Taken, Gone>, u64) {
        let seen = self.bucket.load();
        let now_ns = self.clock.now_ns();
        match self.bucket.take(seen, wanted, now_ns) {
            Ok(Taken::RefusedInHaste(_)) => self.take_again(wanted),
            taken => (taken, now_ns),
        }
    }

    /// Decides once more, since a later time may help. Also after a near miss: a processor may read its counter
    /// before an earlier load is done.
    #[cold]
    #[inline(never)]
    fn take_again(&self, wanted: u64) -> (Result<Taken, Gone>, u64) {
        let seen = self.bucket.load();
        let now_ns = self.clock.now_ns();
        (self.bucket.take(seen, wanted, now_ns), now_ns)
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
}

impl<C: Clock> Clocked<'_, C> {
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
pub(crate) fn try_consume_at<R: Rules>(
    bucket: Bucket<'_, R>,
    cost: Tokens,
    now_ns: u64,
) -> Result<Granted<'_>, Denied> {
    let taken = bucket.take(bucket.load(), bucket.terms.wanted(cost), now_ns);
    answer(bucket.terms, cost, taken, now_ns)
}

/// As [`try_consume_at`], for who does not ask why not.
#[inline(always)]
pub(crate) fn is_allowed_at<R: Rules>(bucket: Bucket<'_, R>, cost: Tokens, now_ns: u64) -> bool {
    let taken = bucket.take(bucket.load(), bucket.terms.wanted(cost), now_ns);
    matches!(taken, Ok(Taken::Granted(_)))
}

/// What a caller is told. A word that its limiter, or its handle, owns is never gone.
#[inline(always)]
fn answer<R: Rules>(
    terms: &Terms<R>,
    cost: Tokens,
    taken: Result<Taken, Gone>,
    now_ns: u64,
) -> Result<Granted<'_>, Denied> {
    match taken {
        Ok(Taken::Granted(left)) => Ok(Granted::new(Grant { terms, left, now_ns })),
        Ok(taken) => Err(denied(terms, taken.word(), cost, now_ns)),
        Err(Gone) => Err(Denied::Never(Never { cost, capacity: Tokens::ZERO })),
    }
}
