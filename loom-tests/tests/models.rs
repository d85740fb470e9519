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
    two_changes_take_turns,
    words_are_read_as_they_were_written,
    a_change_in_the_deepest_debt_leaves_the_debt,
}
