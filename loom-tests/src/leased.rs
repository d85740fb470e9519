//! Models of what a process holds of one key that several share: two words, and a thread that goes over from one to the next.

use flowgate::modelled::Leases;
use loom::sync::Arc;
use loom::thread;

use crate::explore;

/// A tick of leases' ends.
const TICK_NS: u64 = 1 << 20;
const EARLY_NS: u64 = 10 * TICK_NS;
const LATE_NS: u64 = 20 * TICK_NS;

/// With `grains` in the lease that is spent and in the one after it.
fn leases(grains: [u64; 2]) -> Arc<Leases> {
    let leases = Leases::default();
    // The first call goes over to what was brought.
    leases.bring(grains[0] + 1, EARLY_NS, 0);
    assert!(leases.take(1, 0).is_some());
    leases.bring(grains[1], LATE_NS, 0);
    assert_eq!(leases.usable(0), grains[0] + grains[1]);
    Arc::new(leases)
}

/// Runs `here` and `there` at the same time and returns what both returned.
fn race<A, B: 'static>(
    leases: &Arc<Leases>,
    here: impl Fn(&Leases) -> A,
    there: impl Fn(&Leases) -> B + Send + 'static,
) -> (A, B) {
    let other = thread::spawn({
        let leases = Arc::clone(leases);
        move || there(&leases)
    });
    let mine = here(leases);
    (mine, other.join().unwrap())
}

/// Of three grains in two leases, two who want two each get two together; and nothing is lost.
pub fn two_go_over_to_the_next_lease() {
    explore(3, || {
        let leases = leases([1, 2]);
        let take = |leases: &Leases| leases.take(2, 0).is_some();
        let (one, other) = race(&leases, take, take);
        let granted = 2 * (u64::from(one) + u64::from(other));
        assert!(granted <= 3, "{granted} granted of 3");
        assert_eq!(leases.usable(0), 3 - granted);
    });
}

/// A lease that is brought meanwhile is neither lost nor spent twice, and makes nothing else last longer.
pub fn a_lease_comes_while_another_is_taken_over() {
    explore(3, || {
        let leases = leases([0, 2]);
        let take = |leases: &Leases| u64::from(leases.take(1, 0).is_some());
        let (taken, ()) = race(&leases, take, |leases| leases.bring(3, LATE_NS + TICK_NS, 0));
        assert!(leases.usable(LATE_NS) <= 3, "{} last too long", leases.usable(LATE_NS));
        let mut spent = taken;
        while leases.take(1, 0).is_some() {
            spent += 1;
        }
        assert_eq!(spent, 5);
    });
}

/// A thread whose time is late finds nothing of what has ended, whatever others go over to.
pub fn what_has_ended_is_not_spent() {
    explore(3, || {
        let leases = leases([2, 1]);
        let late = |leases: &Leases| leases.take(2, EARLY_NS).is_some();
        let (late, early) = race(&leases, late, |leases| leases.take(1, 0).is_some());
        assert!(early && !late);
        assert!(leases.usable(EARLY_NS) <= 1);
        assert_eq!(leases.usable(LATE_NS), 0);
    });
}

/// What is left of a lease that ends lasts no longer by being put to one that goes on, and what is given back lasts no longer than it
/// would have.
pub fn nothing_lasts_longer_than_it_was_leased_for() {
    explore(3, || {
        let leases = leases([2, 2]);
        let give = |leases: &Leases| {
            let (left, ended) = leases.take(2, 0).unwrap();
            leases.give_back(1, ended, 0);
            left
        };
        let (left, other) = race(&leases, give, |leases| leases.take(1, 0).unwrap());
        // Who took two in one lease left none there; else one of them was of the later lease. The other took of that, or did not.
        let of_the_later = left + u64::from(other.1 == LATE_NS / TICK_NS);
        let lasts = leases.usable(EARLY_NS);
        assert!(lasts + of_the_later <= 2, "{lasts} last, and {of_the_later} were taken");
    });
}
