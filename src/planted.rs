//! Bugs that can be switched on under loom, to show that the models catch them.
//!
//! In every other build each function is a constant `false` and the branch on it is gone.

macro_rules! planted {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        $(
            $(#[$doc])*
            // Some are asked only with a feature on.
            #[allow(dead_code)]
            #[inline(always)]
            pub(crate) fn $name() -> bool {
                #[cfg(flowgate_loom)]
                return control::is_planted($bit);
                #[cfg(not(flowgate_loom))]
                false
            }
        )*

        /// Every bug by name, with the bit to give to [`control::plant`].
        #[cfg(flowgate_loom)]
        pub const ALL: &[(&str, u32)] = &[$((stringify!($name), $bit)),*];
    };
}

planted! {
    /// The loop stores without comparing.
    load_then_store = 0;
    /// A stamp in the future is subtracted with wrapping arithmetic, as if it were ages ago.
    wrapping_elapsed = 1;
    /// A refund goes above the capacity, and nothing cuts it.
    refund_above_capacity = 2;
    /// A change of quota flips the plan of a word and leaves its level as it was stored.
    flip_without_restating = 3;
    /// A change of quota leaves the level, and what the fast path allows, above the new capacity.
    keep_above_new_capacity = 4;
    /// A charge below the floor wraps around.
    charge_below_floor = 5;
    /// `consume_up_to` returns what it was asked for and takes what is there.
    promise_more_than_taken = 6;
    /// Words are read without checking that they did not change meanwhile.
    half_written = 7;
    /// A writer goes on although another has the turn.
    take_anothers_turn = 8;
    /// The word is read by the first plan, whatever its bit says.
    read_by_the_first_plan = 9;
    /// A plan reads what another has written as if it were its own.
    trust_every_mark = 10;
    /// A key is dropped from a lock-free map whatever others made of its word meanwhile.
    drop_without_killing = 11;
    /// A key that is not there takes from a shared bucket without the lock under which it would be added.
    share_without_the_lock = 12;
    /// A key that overflowed gets a full bucket when there is room again.
    forget_what_was_shared = 13;
    /// A bucket goes back to its map although a handle to it is left.
    bring_home_in_use = 14;
    /// A key that was dropped comes back as full at an earlier time than that.
    come_back_earlier = 15;
    /// A sweep goes on by the quotas that were there when it began.
    judge_by_an_old_list = 16;
    /// A bucket can be found by its second map before its word says that it is there.
    show_a_bucket_too_early = 17;
    /// A change to a faster quota lets words go over to it while refusals are still told by the old rate.
    refuse_by_the_old_rate = 18;
    /// An entry is written to a log's slot whatever has been written there meanwhile.
    log_without_comparing = 19;
    /// An entry that is there is taken for the one that it replaced.
    forget_the_lap = 20;
    /// A call with a time before the window that a word is of counts into its own window, as if that were empty.
    count_in_a_past_window = 24;
    /// What was counted in the window before is not carried over.
    forget_the_window_before = 21;
    /// A snapshot reads the word by one plan and tells the algorithm of another.
    tell_another_plan = 22;
    /// A reservation takes nothing.
    reserve_without_taking = 25;
    /// A reservation is good when it was told so at first, however the quota was changed since.
    trust_an_old_promise = 26;
    /// What was taken for a decision that fell through is not given back.
    lose_a_rollback = 27;
    /// A reservation that is called off gives back nothing.
    cancel_gives_back_nothing = 28;
    /// A reservation that is settled gives back what was used, too.
    settle_gives_back_all = 29;
    /// A reservation that has ended is dropped as if it had not.
    end_twice = 30;
    /// A reservation that would be good too late is refused, and taken all the same.
    refuse_and_take = 31;
    /// A reservation notes how often the quota was changed after it has taken, and not before.
    note_changes_late = 32;
    /// An instant that is further ahead than a burst is taken for one that has passed.
    start_over_when_far_ahead = 23;
    /// Tokens are brought to a stripe without keeping room for them.
    bring_without_the_mark = 40;
    /// Tokens are lifted out of a stripe without keeping their room.
    lift_without_the_mark = 41;
    /// The clock is read before room is kept for what is moved as of that time.
    move_as_of_an_earlier_time = 42;
    /// What is brought to a stripe is what was asked for, not what was there.
    land_what_was_asked_for = 43;
    /// A cost is taken centrally first as far as it goes, and the rest from the stripes.
    spend_in_two_swaps = 44;
    /// A refund to a stripe goes above its cap.
    put_above_the_cap = 45;
    /// A change of quota does not wait for what is under way.
    change_under_way = 46;
    /// A word beside stripes is read as if nothing could lie in them.
    read_the_whole_beside_stripes = 47;
    /// A bucket is divided by copying its word: whoever looked at it before takes from it as before.
    leave_the_word_behind = 48;
    /// A divided bucket goes home as of the sweep's time, which may be before what stripes were taken from.
    go_home_in_the_past = 49;
    /// Stripes stay open when the quota is lowered to less than they may hold.
    lower_without_closing = 50;
    /// Tiers to which stripes are a large part take from them, too.
    let_everybody_reach = 51;
    /// What was leased is spent after its end.
    spend_what_has_ended = 56;
    /// What is left of a lease lasts as long as the next one.
    stretch_what_is_left = 57;
    /// The next lease is spent by whoever sees it, without making it its own first.
    spend_what_is_not_claimed = 58;
    /// What is given back goes to whatever lease is there.
    give_back_to_a_later_lease = 59;
    /// What was taken from two leases is said to last as long as the later one.
    tell_the_later_end = 60;
}

/// The switches: the bugs are switched on for the whole process, the tracking of loads for a thread.
#[cfg(flowgate_loom)]
pub mod control {
    extern crate std;

    // Not loom's atomic: the switch is not part of the model.
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread_local;

    static PLANTED: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        // loom runs all threads of a model on one thread of the process.
        static TRACK_LOADS: Cell<bool> = const { Cell::new(false) };
    }

    /// Switches the models of this thread to loads that loom keeps track of: see `src/primitive.rs`.
    pub fn track_loads(on: bool) {
        TRACK_LOADS.set(on);
    }

    pub(crate) fn loads_are_tracked() -> bool {
        TRACK_LOADS.get()
    }

    // Each thread of a model has its own, and chooses it: see `src/striped/lane.rs`.
    loom::thread_local! {
        static LANE: Cell<usize> = Cell::new(0);
    }

    /// Puts the calling thread of a model on a stripe.
    pub fn set_lane(lane: usize) {
        LANE.with(|held| held.set(lane));
    }

    #[cfg(feature = "std")]
    pub(crate) fn lane() -> usize {
        LANE.with(Cell::get)
    }

    /// Switches on the bugs in `bits`, and all others off, for the whole process.
    pub fn plant(bits: u64) {
        PLANTED.store(bits, Ordering::SeqCst);
    }

    pub(crate) fn is_planted(bit: u32) -> bool {
        PLANTED.load(Ordering::SeqCst) & (1 << bit) != 0
    }
}

/// The clock's sequence lock, which no public type reaches without a processor's counter.
#[cfg(flowgate_loom)]
#[derive(Debug)]
pub struct TwoWords(crate::seqlock::Seqlock<2>);

#[cfg(flowgate_loom)]
impl TwoWords {
    pub fn zeroed() -> Self {
        Self(crate::seqlock::Seqlock::new([0; 2]))
    }

    pub fn try_read(&self) -> Option<[u64; 2]> {
        self.0.try_read()
    }

    /// Adds one to both, unless somebody else is writing.
    pub fn try_add_one(&self) -> bool {
        let Some(mut turn) = self.0.try_turn() else { return false };
        let [one, two] = turn.read();
        turn.write([one.wrapping_add(1), two.wrapping_add(1)]);
        true
    }
}
