//! A token bucket for many cores: one central bucket, and stripes that hold some of its tokens.
//!
//! | file | what is in it |
//! |---|---|
//! | `algorithm/stripe.rs` | the word of a stripe, and how a capacity is divided |
//! | `lane.rs` | which stripe a thread goes to |
//! | `stripes.rs` | the stripes: the fast path, and what is common to all others |
//! | `central.rs` | what the central bucket does for stripes |
//! | `take.rs` | taking where a stripe does not do: lease, gather, refuse |
//! | `spread.rs` | taking and giving in several places |
//! | `hold.rs` | taking ahead of time |
//! | `change.rs` | a change of quota |
//! | `calls.rs`, `builder.rs` | what users see |

mod builder;
mod calls;
mod central;
mod change;
mod hold;
mod lane;
mod spread;
mod stripes;
mod take;

use core::fmt;

use crossbeam_utils::CachePadded;

use crate::algorithm::{Layout, Plan, Split, Wait};
use crate::answer::Granted;
use crate::bucket::{Bucket, Grant, Leaves, Left, Read, Share, Whole};
use crate::cell::Cell;
use crate::clock::{Clock, SystemClock};
use crate::error::{Denied, QuotaError};
use crate::held::{Held, Refused};
use crate::quota::Quota;
use crate::seqlock::Seqlock;
use crate::terms::Terms;
use crate::tokens::Tokens;
use crate::wait::Policy;
pub use builder::StripedBuilder;
#[cfg(feature = "keyed")]
pub(crate) use builder::stripes_of;
pub(crate) use hold::{Hold, is_a_limit};
pub(crate) use spread::Spread;
#[cfg(feature = "keyed")]
pub(crate) use stripes::Lying;
pub(crate) use stripes::Stripes;
pub(crate) use take::Take;

/// Stripes beside a central bucket: all that it takes to take from them.
pub(crate) trait Striped {
    type Share: Share;

    fn central(&self) -> Bucket<'_, Layout, Self::Share>;

    fn beside(&self) -> &Stripes;

    /// Whether a call that takes from the central bucket fills its stripe, too.
    #[inline(always)]
    fn fills(&self) -> bool {
        true
    }

    /// Takes whole tokens from the calling thread's stripe, if they are there.
    #[inline(always)]
    fn take_near(&self, cost: Tokens) -> bool {
        cost.subsec_nanos() == 0 && self.beside().take(cost.whole())
    }
}

impl<C> Striped for StripedBucket<C> {
    type Share = Whole;

    #[inline(always)]
    fn central(&self) -> Bucket<'_> {
        Bucket::new(&self.terms, &self.word)
    }

    #[inline(always)]
    fn beside(&self) -> &Stripes {
        &self.stripes
    }
}

/// A token bucket that every core takes from at full speed, and which **never grants more than capacity + rate × time**
/// all the same.
///
/// A [`TokenBucket`](crate::TokenBucket) is one word, and threads that take from it at the same time wait for its
/// cache line: two do no more than one. Here each core has a *stripe*, a word of its own that holds some of the tokens,
/// and a call takes from there with one compare-and-swap and no look at the clock. A stripe that has run dry is filled
/// from the *central bucket*, which is where tokens arrive. Take this for one limit that several cores ask for millions
/// of times a second; for all else a `TokenBucket` does the same with less.
///
/// # Guarantees
///
/// * **Never over.** In every window of time, whatever the threads and the clock do, what is granted less what is
///   refunded is at most capacity + rate × window + two units, as with a `TokenBucket`. What stalled threads have in
///   hand is counted: `docs/design.md` has the proof.
/// * **Never stranded.** If all tokens together cover a cost that is not above the
///   [`guaranteed_burst`](Self::guaranteed_burst), a call gets it, wherever they are; it gathers them. (But those that
///   other calls are moving at that moment: they are in nobody's reach until these are done.)
/// * **Tight waits**: as a `TokenBucket`, where nobody else takes.
/// * **Denials write nothing**: they read one word for each stripe, and the clock once.
/// * No lock, no allocation and no system call on any path but construction. No call waits for another, but
///   [`set_quota`](Self::set_quota).
///
/// # What it costs
///
/// **Burst.** Stripes are filled by calls, not by time: after a rest there are at least
/// [`guaranteed_burst`](Self::guaranteed_burst) tokens, which is 15/16 of the capacity or more, and not always all of
/// it. A cost above that is denied for good ([`Denied::Never`]).
///
/// **Order.** Without waiting, a call takes what lies near. So it may be granted while one that came earlier, elsewhere,
/// was denied a moment ago. Whoever waits ([`reserve`](Self::reserve), `consume`) has the stripes emptied first, and is
/// served in order, as with a `TokenBucket`.
///
/// A capacity below 128 tokens a stripe is too small to be divided: then [`stripes`](Self::stripes) is 1, and it is one
/// word, as a `TokenBucket` is.
///
/// # Given times
///
/// Calls that are given the time (`*_at`) should come soon after that time. If the latest of them comes by *d* later
/// than the time it is given says, when others have been granted at later times, the bound is capacity + rate ×
/// (window + *d*). A grant out of a stripe counts when it is made: tokens in a stripe have no time.
///
/// # Memory ordering
///
/// None may be assumed. See `docs/orderings.md`.
///
/// # Examples
///
/// ```
/// use flowgate::{Quota, StripedBucket};
///
/// let hot = StripedBucket::new(Quota::per_second(5_000_000))?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| assert!(hot.is_allowed()));
///     }
/// });
/// assert!(hot.guaranteed_burst() >= 4_687_500);
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct StripedBucket<C = SystemClock> {
    stripes: Stripes,
    /// The word of the central bucket, alone on its cache lines.
    word: CachePadded<Cell>,
    /// The quota as the caller has set it; the plan that goes with it is of the central bucket, whose capacity is
    /// less by what is set aside for the stripes.
    terms: Terms,
    clock: C,
    /// Its turn is the right to change the quota.
    changes: Seqlock<0>,
}

/// The plan of the central bucket, for a quota of all.
fn central_plan(layout: &Layout, quota: &Quota, split: Split) -> Result<Plan, QuotaError> {
    // Refused as a whole, so that an error tells the caller's numbers.
    Plan::new(layout, quota)?;
    let central = quota.capacity().saturating_sub(Tokens::new(split.aside()));
    Plan::new(layout, &quota.burst(central))
}

impl<C: Clock> StripedBucket<C> {
    /// How the capacity of a quota is divided.
    fn split_of(&self, quota: &Quota) -> Split {
        Split::of(quota.capacity(), self.stripes.count())
    }
}

impl<C: Clock + Sync> StripedBucket<C> {
    /// What a call was granted, at a time if it was given or has read one.
    #[inline(always)]
    fn granted(&self, at_ns: Option<u64>) -> Granted<'_> {
        // Stripes have no time, so there is no word that says what was left: the first of the numbers tells whether
        // there is a second one.
        let (left, now_ns) = at_ns.map_or((0, 0), |now_ns| (1, now_ns));
        Granted::new(Grant { terms: self, left, now_ns })
    }
}

impl<C: Clock + Sync> Leaves for StripedBucket<C> {
    fn left(&self, is_at: u64, now_ns: u64) -> Left {
        let now_ns = if is_at == 0 { self.clock.now_ns() } else { now_ns };
        let Read { available, full, .. } = self.read(now_ns);
        Left { available, full, departs_ns: 0 }
    }
}

is_a_limit!([C: Clock + Sync] StripedBucket<C>);

impl<C: Clock> fmt::Debug for StripedBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Read { available, debt, config, .. } = self.read(self.clock.now_ns());
        f.debug_struct("StripedBucket")
            .field("quota", &config)
            .field("available", &available)
            .field("debt", &debt)
            .field("stripes", &self.split_of(&config).stripes())
            .finish_non_exhaustive()
    }
}
