//! Models of the striped bucket: two stripes of eight tokens beside a central bucket of 240, so 256 in all.
//!
//! Each thread of a model chooses its stripe. Time is a loom atomic, and a clock that remembers for each thread what it
//! told last: that is when a grant counts that was not made by a stripe alone.
//!
//! Where a model asks what was granted in a window of time, every access is tracked: a load that may be old is a clock
//! that lags, and by as much a limiter may be late.

use flowgate::planted::control::set_lane;
use flowgate::{Clock, Fill, ManualClock, Quota, StripedBucket};
use loom::sync::Arc;
use loom::thread;

use crate::witness::{Witness, told};
use crate::{SECOND, explore_one_way, explore_within};

/// Two stripes of 8, and 240.
const CAPACITY: u64 = 256;

type Striped = StripedBucket<Witness>;

fn quota() -> Quota {
    Quota::per_hour(CAPACITY)
}

/// With `lanes` in the two stripes, and `central` in the central bucket.
fn striped(lanes: [u64; 2], central: u64) -> Arc<Striped> {
    striped_of(quota(), lanes, central)
}

fn striped_of(quota: Quota, lanes: [u64; 2], central: u64) -> Arc<Striped> {
    let clock = Witness(ManualClock::at(1_000_000_000));
    let limiter = StripedBucket::builder(quota).stripes(2).build_with_clock(clock).unwrap();
    // It begins full. A cost above a stripe's cap is taken from the central bucket.
    let (each, all) = (quota.capacity().whole() / 32, limiter.guaranteed_burst().whole());
    for (lane, tokens) in lanes.into_iter().enumerate() {
        set_lane(lane);
        assert!(tokens == each || limiter.try_consume(each - tokens).is_ok());
    }
    assert!(all - central > each || central == all);
    assert!(central == all || limiter.try_consume(all - central).is_ok());
    assert_eq!(limiter.available(), lanes.iter().sum::<u64>() + central);
    set_lane(0);
    Arc::new(limiter)
}

/// Long enough to fill any bucket here. Returns the time then.
fn rest(limiter: &Striped) -> u64 {
    limiter.clock().0.advance(4 * 3_600 * SECOND);
    limiter.clock().0.now_ns()
}

/// Runs `here` on the first stripe and `there` on another, at the same time, and returns what both returned.
fn race<A, B: 'static>(
    limiter: &Arc<Striped>,
    here: impl Fn(&Striped) -> A,
    (lane, there): (usize, impl Fn(&Striped) -> B + Send + 'static),
) -> (A, B) {
    let other = thread::spawn({
        let limiter = Arc::clone(limiter);
        move || {
            set_lane(lane);
            there(&limiter)
        }
    });
    set_lane(0);
    let here = here(limiter);
    (here, other.join().unwrap())
}

/// Takes `cost`, and tells when, as the clock told it last.
fn take(limiter: &Striped, cost: u64) -> Option<u64> {
    told(limiter.try_consume(cost).is_ok())
}

/// Runs a model with every access tracked.
fn explore_tracked(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    explore_one_way(true, Some(preemptions), std::sync::Arc::new(model));
}

/// Two threads on one stripe with its last token: one of them gets it.
pub fn two_take_the_last_of_a_stripe() {
    explore_within([Some(3), Some(3)], || {
        let limiter = striped([1, 0], 0);
        let (here, there) =
            race(&limiter, Striped::is_allowed, (0, |limiter: &Striped| limiter.is_allowed()));
        assert_eq!(u64::from(here) + u64::from(there), 1);
    });
}

/// Two threads fill one stripe at the same time: it holds no more than its cap, and no token is lost or made.
pub fn two_leases_share_the_room_of_a_stripe() {
    explore_within([Some(3), Some(3)], || {
        let limiter = striped([0, 8], 240);
        let (here, there) =
            race(&limiter, Striped::is_allowed, (0, |limiter: &Striped| limiter.is_allowed()));
        assert!(here && there);
        assert_eq!(limiter.available(), 246);
        rest(&limiter);
        assert!(limiter.available() <= CAPACITY, "{}", limiter.available());
    });
}

/// Less is there than a lease asks for: what lands is what was taken.
pub fn a_lease_lands_what_it_took() {
    explore_within([Some(3), Some(3)], || {
        let limiter = striped([0, 0], 6);
        let (here, there) =
            race(&limiter, Striped::is_allowed, (1, |limiter: &Striped| limiter.consume_up_to(4)));
        let granted = u64::from(here) + there;
        assert_eq!(limiter.available(), 6 - granted);
    });
}

/// A thread stalls amid a lease while the clock moves and others take: what it brings was counted all the time.
pub fn a_stalled_lease_mints_nothing() {
    explore_tracked(3, || {
        let limiter = striped([7, 8], 240);
        let ((from_ns, drained), taken) = race(
            &limiter,
            |limiter| {
                let from_ns = rest(limiter);
                // From both stripes, which have no time.
                let near = limiter.consume_up_to(7);
                set_lane(1);
                (from_ns, near + u64::from(limiter.try_consume(8).is_ok()) * 8)
            },
            // More than its stripe holds, so it leases.
            (0, |limiter: &Striped| take(limiter, 8)),
        );
        let taken = if taken >= Some(from_ns) { 8 } else { 0 };
        let rest = limiter.drain().whole();
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// A thread stalls with tokens of a stripe in hand while others fill that stripe again: their room was kept.
pub fn a_stalled_gather_mints_nothing() {
    explore_tracked(3, || {
        let limiter = striped([0, 8], 0);
        let ((from_ns, drained), taken) = race(
            &limiter,
            |limiter| {
                rest(limiter);
                // Both stripes are filled.
                for lane in [0, 1] {
                    set_lane(lane);
                    limiter.is_allowed();
                }
                (rest(limiter), limiter.drain().whole())
            },
            (0, |limiter: &Striped| take(limiter, 8)),
        );
        let taken = if taken >= Some(from_ns) { 8 } else { 0 };
        let rest = limiter.drain().whole();
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// A cost that takes all there is, centrally and in stripes, while the clock moves: it is granted at one instant.
pub fn a_gathered_grant_is_of_one_instant() {
    explore_tracked(3, || {
        let limiter = striped([8, 8], 4);
        let ((from_ns, drained), taken) = race(
            &limiter,
            |limiter| (rest(limiter), limiter.drain().whole()),
            (1, |limiter: &Striped| take(limiter, 20)),
        );
        let taken = if taken >= Some(from_ns) { 20 } else { 0 };
        let rest = limiter.drain().whole();
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// Two threads gather more than half of what there is: one of them gets it, and the rest is still there.
pub fn of_two_that_gather_one_is_granted() {
    explore_within([Some(2), Some(2)], || {
        let limiter = striped([8, 8], 0);
        let (here, there) = race(
            &limiter,
            |limiter| limiter.try_consume(12).is_ok(),
            (1, |limiter: &Striped| limiter.try_consume(12).is_ok()),
        );
        assert_eq!(u64::from(here) + u64::from(there), 1);
        assert_eq!(limiter.available(), 4);
    });
}

/// Three threads, one on a stripe of its own: none of four tokens is lost or granted twice.
pub fn three_take_four_tokens() {
    explore_within([Some(2), Some(2)], || {
        let limiter = striped([1, 2], 1);
        let spawn = |lane| {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || {
                set_lane(lane);
                u64::from(limiter.is_allowed())
            })
        };
        let (one, two) = (spawn(0), spawn(1));
        set_lane(0);
        let granted = u64::from(limiter.is_allowed()) + one.join().unwrap() + two.join().unwrap();
        assert_eq!(limiter.available(), 4 - granted);
        assert!(granted >= 2);
    });
}

/// A refund races a take from the same stripe, which ends at its cap: what does not fit goes elsewhere.
pub fn a_refund_fills_no_stripe_above_its_cap() {
    explore_within([Some(3), Some(3)], || {
        let limiter = striped([6, 8], 100);
        let (taken, ()) = race(
            &limiter,
            |limiter| limiter.consume_up_to(4),
            (0, |limiter: &Striped| limiter.refund(10)),
        );
        assert_eq!(limiter.available(), 124 - taken);
        rest(&limiter);
        assert!(limiter.available() <= CAPACITY, "{}", limiter.available());
    });
}

/// The quota is halved while another has tokens of a stripe in hand: from then on the new one holds.
pub fn a_lowered_quota_takes_all_stripes_in() {
    explore_tracked(2, || {
        let limiter = striped_of(Quota::per_hour(2 * CAPACITY), [0, 16], 0);
        let ((from_ns, drained), taken) = race(
            &limiter,
            |limiter| {
                limiter.set_quota(quota(), Fill::Keep).unwrap();
                rest(limiter);
                for lane in [0, 1] {
                    set_lane(lane);
                    limiter.is_allowed();
                }
                (rest(limiter), limiter.drain().whole())
            },
            (0, |limiter: &Striped| take(limiter, 16)),
        );
        let taken = if taken >= Some(from_ns) { 16 } else { 0 };
        let rest = limiter.drain().whole();
        assert!(drained + taken + rest <= CAPACITY, "{drained} + {taken} + {rest}");
    });
}

/// The quota is changed while another takes: no token is lost, and none is made.
pub fn a_changed_quota_keeps_every_token() {
    explore_within([Some(2), Some(3)], || {
        let limiter = striped([8, 8], 100);
        let (taken, ()) = race(
            &limiter,
            |limiter| limiter.consume_up_to(9),
            (1, |limiter: &Striped| {
                limiter.set_quota(Quota::per_hour(4 * CAPACITY), Fill::Keep).unwrap();
            }),
        );
        // What was on its way in stripes may not have been found; what was taken is gone, no less and no more. The new
        // quota rounds down by a unit.
        let left = limiter.available();
        assert!(left <= 116 - taken && left.whole() + 1 >= 116 - taken, "{taken} and {left}");
    });
}
