//! Every planted bug is caught by a model. Run on one thread: the switch is the process's.
#![cfg(flowgate_loom)]

use flowgate::planted::{ALL, control::plant};

fn catches(bug: &str, model: fn()) {
    let (_, bit) = ALL.iter().find(|(name, _)| *name == bug).expect("a planted bug of that name");
    plant(1 << bit);
    let outcome = std::panic::catch_unwind(model);
    plant(0);
    assert!(outcome.is_err(), "the model did not catch {bug}");
}

macro_rules! catches {
    ($($test:ident: $bug:ident by $($model:ident),+;)*) => {
        $(#[test] fn $test() { $(catches(stringify!($bug), loom_tests::$model);)+ })*
    };
}

catches! {
    catches_load_then_store: load_then_store by two_consume_one, two_consume_one_by_each_algorithm,
        hot_and_by_key_share_no_token,
        two_reservations_are_good_one_after_the_other, a_cancel_gives_back_its_own, settle_and_consume_add_up;
    catches_wrapping_elapsed: wrapping_elapsed by a_stalled_reader_mints_nothing,
        consume_across_a_moving_clock_by_each_algorithm;
    catches_refund_above_capacity: refund_above_capacity by refund_never_fills_above_the_capacity,
        a_cancel_never_fills_above_the_capacity;
    catches_flip_without_restating: flip_without_restating by a_raised_rate_is_not_counted_for_the_past;
    catches_keep_above_new_capacity: keep_above_new_capacity by a_lowered_quota_holds_from_then_on,
        a_lowered_limit_holds_from_then_on_by_each_algorithm;
    catches_charge_below_floor: charge_below_floor by charge_and_consume_add_up;
    catches_promise_more_than_taken: promise_more_than_taken by consume_up_to_shares_what_there_is;
    catches_half_written: half_written by words_are_read_as_they_were_written;
    catches_take_anothers_turn: take_anothers_turn by two_changes_take_turns;
    catches_read_by_the_first_plan: read_by_the_first_plan by a_lowered_quota_holds_from_then_on;
    catches_trust_every_mark: trust_every_mark by tiers_by_turns_gain_nothing;
    catches_drop_without_killing: drop_without_killing by a_swept_key_takes_nothing_with_it;
    catches_share_without_the_lock: share_without_the_lock by a_key_with_no_room_takes_no_second_capacity;
    catches_forget_what_was_shared: forget_what_was_shared by a_key_with_no_room_takes_no_second_capacity;
    catches_bring_home_in_use: bring_home_in_use by a_bucket_with_a_handle_stays_the_keys,
        a_divided_bucket_goes_home_while_another_takes;
    catches_come_back_earlier: come_back_earlier by a_dropped_key_comes_back_no_fuller_than_it_was;
    catches_judge_by_an_old_list: judge_by_an_old_list by a_sweep_asks_quotas_that_come_meanwhile;
    catches_show_a_bucket_too_early: show_a_bucket_too_early by a_bucket_that_comes_and_goes_is_one_bucket;
    catches_refuse_by_the_old_rate: refuse_by_the_old_rate by a_raised_rate_is_not_refused_by_the_old_one;
    catches_log_without_comparing: log_without_comparing by two_log_the_last_token;
    catches_forget_the_lap: forget_the_lap by a_stalled_entry_is_helped;
    catches_count_in_a_past_window: count_in_a_past_window by a_stalled_reader_mints_nothing_by_any_algorithm;
    catches_forget_the_window_before: forget_the_window_before by consume_across_a_moving_clock_by_each_algorithm,
        a_stalled_reader_mints_nothing_by_any_algorithm;
    catches_tell_another_plan: tell_another_plan by a_snapshot_is_of_one_algorithm;
    catches_start_over_when_far_ahead: start_over_when_far_ahead by a_stalled_reader_mints_nothing_by_any_algorithm;
    catches_reserve_without_taking: reserve_without_taking by a_reservation_and_a_call_share_no_token,
        a_reservation_waits_for_what_others_took, two_reservations_are_good_one_after_the_other,
        two_reserve_the_last_place_of_a_queue, reserve_across_a_moving_clock, what_is_reserved_outlives_a_sweep;
    catches_trust_an_old_promise: trust_an_old_promise by a_lowered_rate_holds_for_what_is_reserved;
    catches_lose_a_rollback: lose_a_rollback by a_set_takes_all_or_nothing,
        sets_that_cross_leave_nothing_behind;
    catches_cancel_gives_back_nothing: cancel_gives_back_nothing by a_cancel_gives_back_its_own,
        a_cancel_and_calls_add_up, a_set_gives_back_to_all;
    catches_settle_gives_back_all: settle_gives_back_all by settle_and_consume_add_up;
    catches_end_twice: end_twice by a_cancel_gives_back_its_own;
    catches_refuse_and_take: refuse_and_take by a_refused_reservation_delays_nobody,
        two_reserve_the_last_place_of_a_queue;
    catches_note_changes_late: note_changes_late by a_lowered_rate_holds_for_what_is_reserved;
    catches_read_the_whole_beside_stripes: read_the_whole_beside_stripes by who_calls_by_key_leaves_what_stripes_may_hold;
    catches_leave_the_word_behind: leave_the_word_behind by a_stale_look_at_the_whole_gains_nothing;
    catches_go_home_in_the_past: go_home_in_the_past by a_divided_bucket_goes_home_no_fuller_than_it_was;
    catches_lower_without_closing: lower_without_closing by a_lowered_quota_closes_the_stripes_of_a_hot_key;
    catches_let_everybody_reach: let_everybody_reach by a_small_tier_leaves_stripes_alone;
    catches_bring_without_the_mark: bring_without_the_mark by two_leases_share_the_room_of_a_stripe;
    catches_lift_without_the_mark: lift_without_the_mark by a_stalled_gather_mints_nothing,
        a_stalled_gather_by_key_mints_nothing;
    catches_move_as_of_an_earlier_time: move_as_of_an_earlier_time by a_stalled_lease_mints_nothing;
    catches_land_what_was_asked_for: land_what_was_asked_for by a_lease_lands_what_it_took;
    catches_spend_in_two_swaps: spend_in_two_swaps by a_gathered_grant_is_of_one_instant;
    catches_put_above_the_cap: put_above_the_cap by a_refund_fills_no_stripe_above_its_cap;
    catches_change_under_way: change_under_way by a_lowered_quota_takes_all_stripes_in,
        a_lowered_quota_closes_the_stripes_of_a_hot_key;
    catches_spend_what_has_ended: spend_what_has_ended by what_has_ended_is_not_spent;
    catches_stretch_what_is_left: stretch_what_is_left by a_lease_comes_while_another_is_taken_over;
    catches_spend_what_is_not_claimed: spend_what_is_not_claimed by two_go_over_to_the_next_lease;
    catches_tell_the_later_end: tell_the_later_end by nothing_lasts_longer_than_it_was_leased_for;
    catches_give_back_to_a_later_lease: give_back_to_a_later_lease by nothing_lasts_longer_than_it_was_leased_for;
}
