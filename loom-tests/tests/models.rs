//! Every model holds.
#![cfg(flowgate_loom)]

macro_rules! holds {
    ($($model:ident),* $(,)?) => {
        $(#[test] fn $model() { loom_tests::$model(); })*
    };
}

holds! {
    two_consume_one,
    three_consume_two,
    consume_across_a_moving_clock,
    a_stalled_reader_mints_nothing,
    refund_never_fills_above_the_capacity,
    charge_and_consume_add_up,
    consume_up_to_shares_what_there_is,
    drain_takes_each_token_once,
    a_lowered_quota_holds_from_then_on,
    a_raised_rate_is_not_counted_for_the_past,
    a_quota_is_never_torn,
    a_raised_rate_is_not_refused_by_the_old_one,
    two_changes_take_turns,
    words_are_read_as_they_were_written,
    a_change_in_the_deepest_debt_leaves_the_debt,
    two_consume_one_by_each_algorithm,
    consume_across_a_moving_clock_by_each_algorithm,
    a_stalled_reader_mints_nothing_by_any_algorithm,
    a_lowered_limit_holds_from_then_on_by_each_algorithm,
    refund_never_goes_above_the_limit_by_any_algorithm,
    a_snapshot_is_of_one_algorithm,
    two_consume_a_new_key,
    a_swept_key_takes_nothing_with_it,
    a_dropped_key_comes_back_no_fuller_than_it_was,
    a_key_with_no_room_takes_no_second_capacity,
    a_handle_is_made_while_others_take,
    a_bucket_with_a_handle_stays_the_keys,
    a_bucket_comes_home_as_it_was_left,
    a_bucket_that_comes_home_full_is_dropped,
    a_bucket_that_comes_and_goes_is_one_bucket,
    a_lowered_quota_holds_for_every_key,
    tiers_take_from_one_bucket,
    a_sweep_asks_quotas_that_come_meanwhile,
    tiers_by_turns_gain_nothing,
    two_log_the_last_token,
    a_stalled_entry_is_helped,
    a_ring_goes_round,
    three_log_two_tokens,
    a_denial_is_of_one_moment,
}
