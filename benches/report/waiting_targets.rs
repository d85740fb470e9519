//! What waiting must reach.

use crate::keyed::{figure, grouped};
use crate::targets::{Bound, Target};
use crate::waiting::{CROWDS, PREFIX};

/// Those beside ours, and what they are called here.
const RIVALS: [(&str, &str); 4] = [
    ("waiting_governor", "governor"),
    ("waiting_governor_jitter", "governor, jitter"),
    ("waiting_leaky_fair", "leaky-bucket, fair"),
    ("waiting_leaky_unfair", "leaky-bucket, unfair"),
];

const OURS: [(&str, &str); 2] = [("waiting_tokio", "TokioTimer"), ("waiting_any", "AnyRuntime")];

pub(crate) fn all() -> Vec<Target> {
    let ready = |what: &str, row| {
        Target::ratio(
            what,
            Bound::TimeAtMost(1.2),
            ("waiting_ready", 1, row),
            ("waiting_ready", 1, "ready_try"),
            "`try_consume`",
        )
    };
    let mut all = vec![
        ready("`consume(1).await` that need not wait", "ready_consume"),
        ready("`wait_with(TokioTimer).consume(1).await` that need not wait", "ready_wait_with"),
    ];
    let crowd = CROWDS[2];
    for (figure_name, what, most) in [
        ("bytes", "resident memory per waiter", 1.0),
        ("paced_processor_ns", "processor time per wait", 0.5),
        ("flood_each_ns", "a flood, time per decision", 0.5),
    ] {
        for (ours, timer) in OURS {
            for (theirs, rival) in RIVALS {
                let path = figure(&format!("{PREFIX}{figure_name}"), crowd);
                all.push(Target::ratio(
                    &format!("{} waiters, {timer}: {what}", grouped(&crowd.to_string())),
                    Bound::FigureAtMost(most),
                    (&path, 1, ours),
                    (&path, 1, theirs),
                    rival,
                ));
            }
        }
    }
    all
}
