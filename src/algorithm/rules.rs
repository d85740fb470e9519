//! What the algorithms on one word have in common.

use core::fmt::Debug;
use core::time::Duration;

use super::Wait;
use crate::error::QuotaError;

/// How words are read and changed, fixed when a limiter is built: pure transitions
/// `(word, now, cost, plan) → new word | denial`.
///
/// A cost is given as the level that is *wanted*: the cost in units, above whatever pattern is level 0. A
/// transition is a plan, a reading that was made by it, and what is done; the word that comes out is not
/// larger than any layout of bits can hold.
pub trait Rules: Copy + Debug + Send + Sync + 'static {
    /// What a caller sets, and may change while words live.
    type Config: Copy + Debug + Send + Sync;
    /// The same, in units: all that a decision needs to know of it.
    type Plan: Copy + Debug + Send + Sync;
    /// What a word says at some time, by some plan.
    type Reading: Copy;

    /// The plan of a configuration, if words have room for it.
    fn plan(&self, config: &Self::Config) -> Result<Self::Plan, QuotaError>;

    /// Plans and configurations as words that are read and written together.
    fn plan_words(plan: &Self::Plan) -> [u64; 5];
    fn plan_from_words(words: [u64; 5]) -> Self::Plan;
    fn config_words(config: &Self::Config) -> [u64; 5];
    fn config_from_words(words: [u64; 5]) -> Self::Config;

    /// In what time the capacity comes back: a bucket fills, or a window passes.
    fn window(config: &Self::Config) -> Duration;

    fn units_per_token(&self) -> u64;

    /// The pattern of level 0, to be added to a cost.
    #[inline]
    fn zero(&self) -> u64 {
        0
    }

    /// The most units that one call can take.
    fn capacity_units(&self, plan: &Self::Plan) -> u64;

    /// Whether a word holds no bucket.
    fn is_gone(&self, word: u64) -> bool;

    /// The word of a bucket from which nothing was taken.
    fn fresh(&self, plan: &Self::Plan, now_ns: u64) -> u64;

    fn read(&self, plan: &Self::Plan, word: u64, now_ns: u64) -> Self::Reading;

    fn holds(&self, plan: &Self::Plan, reading: &Self::Reading, wanted: u64) -> bool;

    /// The word after taking what it holds.
    fn take(&self, plan: &Self::Plan, reading: &Self::Reading, wanted: u64) -> u64;

    /// What a reservation of `wanted` waits for; `None` of words that keep nothing of what is still to come.
    fn ahead(&self, _plan: &Self::Plan, _reading: &Self::Reading, _wanted: u64) -> Option<Ahead> {
        None
    }

    /// Whether what is there goes at its own pace, and not at once: see [`departs_ns`](Self::departs_ns).
    #[inline]
    fn paces(&self) -> bool {
        false
    }

    /// The word after giving back; the level ends at the capacity.
    fn give(&self, plan: &Self::Plan, reading: &Self::Reading, units: u64) -> u64;

    /// The word after all but `keep` units of a call that took `taken`, and left the word `left`, are given back;
    /// `None` if nothing of them is owed any more.
    ///
    /// Unlike `give` it is exact: taking and taking back leaves what was there before.
    fn take_back(
        &self,
        plan: &Self::Plan,
        reading: &Self::Reading,
        left: u64,
        units: Unused,
    ) -> Option<u64>;

    /// The word after taking units that may not be there, as deep as words can tell, and how many that were.
    fn charge(&self, plan: &Self::Plan, reading: &Self::Reading, units: u64) -> (u64, u64);

    /// The plan by which a word is read while up to `aside_units` of its bucket may lie in stripes beside it.
    fn beside(&self, plan: Self::Plan, _aside_units: u64) -> Self::Plan {
        plan
    }

    /// The units that one call could take.
    fn available(&self, plan: &Self::Plan, reading: &Self::Reading) -> u64;

    /// The units that must arrive before there are any.
    fn debt(&self, _reading: &Self::Reading) -> u64 {
        0
    }

    /// When `wanted`, which is not above the capacity, will be held.
    fn wait(&self, plan: &Self::Plan, reading: &Self::Reading, wanted: u64) -> Wait;

    /// When nothing will be left of what was taken.
    fn wait_full(&self, plan: &Self::Plan, reading: &Self::Reading) -> Wait;

    /// In how many nanoseconds what was taken last may go: at once, but from a queue.
    fn departs_ns(&self, _plan: &Self::Plan, _reading: &Self::Reading) -> u64 {
        0
    }

    /// How close a refusal was.
    fn closeness(&self, plan: &Self::Plan, reading: &Self::Reading, wanted: u64) -> Closeness;

    // The rest are short ways. Each has an answer that is always right, and slower.

    /// Whether a word names the one of two plans that it is to be read by.
    #[inline]
    fn names_plan(&self) -> bool {
        false
    }

    /// Which of two plans a word names.
    #[inline]
    fn named_by(&self, _word: u64) -> u64 {
        0
    }

    /// The plan as the one of two.
    fn in_slot(&self, plan: Self::Plan, _is_other: bool) -> Self::Plan {
        plan
    }

    /// One word of a plan, for [`take_in_place`](Self::take_in_place).
    fn brim(&self, _plan: &Self::Plan) -> u64 {
        0
    }

    /// One word of a plan, for [`lacks`](Self::lacks).
    fn pace(&self, _plan: &Self::Plan) -> u64 {
        0
    }

    /// The word after taking, if that takes no more than a plan's brim to know.
    #[inline]
    fn take_in_place(&self, _word: u64, _now_ns: u64, _wanted: u64, _brim: u64) -> Option<u64> {
        None
    }

    /// The word after taking, if that is found without looking at every case.
    #[inline]
    fn take_by(
        &self,
        (_plan, _brim): (&Self::Plan, u64),
        _word: u64,
        _now_ns: u64,
        _wanted: u64,
    ) -> Option<u64> {
        None
    }

    /// Whether a word may hold `wanted` whatever the time is.
    #[inline]
    fn may_hold_as_stored(&self, _word: u64, _wanted: u64) -> bool {
        true
    }

    /// Whether a word surely holds `wanted` whatever the time is, which takes no more than a plan's brim to know.
    #[inline]
    fn surely_holds(&self, _word: u64, _wanted: u64, _brim: u64) -> bool {
        false
    }

    /// Whether a word surely does not hold `wanted` at `now_ns`, nor a moment later.
    #[inline]
    fn lacks(&self, _word: u64, _now_ns: u64, _wanted: u64, _pace: u64) -> bool {
        false
    }
}

/// What a map of many words needs of them besides.
#[cfg(feature = "keyed")]
pub trait ManyRules: Rules {
    /// What is remembered of plans beside themselves.
    type Marks: Default + Send;

    /// The plan of one more configuration, whose words the others' plans will read, too.
    fn admit(
        &self,
        _marks: &mut Self::Marks,
        _others: &[Self::Plan],
        config: &Self::Config,
    ) -> Result<Self::Plan, QuotaError> {
        self.plan(config)
    }

    /// Whether a bucket that is full by `plan` is full by `other`, too.
    fn outlasts(&self, _plan: &Self::Plan, _other: &Self::Plan) -> bool {
        true
    }

    /// A plan by which no bucket is full that is not full by both.
    fn slower_than_both(&self, plan: &Self::Plan, _other: &Self::Plan) -> Self::Plan {
        *plan
    }

    /// Whether a bucket is as good as new by `plan`, and nobody can have taken from it at a later time.
    fn is_full(&self, plan: &Self::Plan, word: u64, now_ns: u64) -> bool;

    /// For how long a bucket must have been as good as new before its key may share another one.
    fn lingers_ns(&self) -> u64 {
        0
    }

    /// A word that holds no bucket, and is not 0.
    fn away_word(&self) -> u64;

    /// A word that is full by every plan, for buckets that keys may share.
    fn unshared_word(&self, now_ns: u64) -> u64;

    /// Whether a word that may be one is so no longer.
    fn is_shared(&self, _word: u64) -> bool {
        true
    }

    /// The word of a new key that is as full as the bucket that it may have shared.
    fn like_shared(&self, _plan: &Self::Plan, word: u64, _now_ns: u64) -> u64 {
        word
    }

    /// In what time an empty bucket fills.
    fn wait_to_fill(&self, plan: &Self::Plan, now_ns: u64) -> Wait;
}

/// What a reservation waits for.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// When there is room for it among all that is reserved: it is made then or later.
    pub room: Wait,
    /// When it is good, if it is made now.
    pub good: Wait,
}

/// What a call took, and what of it was used.
#[derive(Clone, Copy, Debug)]
pub struct Unused {
    pub taken: u64,
    pub keep: u64,
}

/// How close a refusal was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closeness {
    /// A moment later it would have been refused, too.
    Far,
    /// It may have been refused only because the word was changed after the time that was given.
    Near,
    /// A microsecond later it would have been granted.
    Hasty,
}
