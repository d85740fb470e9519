//! Nothing fails: and the judge finds what is over by design.

use crate::fleet::{Fleet, Grant, Kind, Mode, Traffic, granted_between, micros, over};
use crate::redis_server::Server;
use crate::suite::{PER_SECOND, PROCESSES, Seen, Suite, both_modes, least_rate, ms, plan};
use crate::table::Row;
use flowgate::Quota;
use flowgate::redis::WhenDown;

pub(crate) fn none(suite: &Suite) -> Vec<Row> {
    let mut rows = Vec::new();
    for mode in both_modes() {
        for traffic in [Traffic::Saturated, Traffic::Bursty] {
            let server = Server::start();
            let mut plan = plan(server.url(), mode);
            plan.traffic = traffic;
            // No server hangs here: what is late is late since the machine does other things.
            plan.timeout = ms(5_000);
            let run = suite.run(1_000, 8_000);
            let seen = Seen::of(Fleet::start(PROCESSES, &plan, run).finish());
            let rate = seen.granted as f64 / run.as_secs_f64() / PER_SECOND as f64;
            rows.push(Row::new(
                format!("{}, {}", mode.name(), name(traffic)),
                "never over, no error; leased, most of the rate is used",
                format!(
                    "{}; errors: {}; {:.0} % of the rate",
                    seen.figure(),
                    seen.kinds(),
                    rate * 100.0
                ),
                seen.over <= 0.0 && seen.errors.is_empty() && rate > least_rate(mode),
            ));
        }
    }
    rows
}

/// All ask for more than there is, all the time, and have about as much. The longer a lease, the less often they ask.
pub(crate) fn fair(suite: &Suite) -> Vec<Row> {
    let (per_second, burst) = (5_000, 20_000);
    let server = Server::start();
    let mut plan = plan(server.url(), Mode::leased(ms(1_000)));
    plan.quota = Quota::per_second(per_second).burst(burst);
    let fleet = Fleet::start(PROCESSES, &plan, suite.run(4_000, 8_000));
    // When the burst has been used up.
    let (from_us, to_us) = (fleet.span.begins_us + micros(ms(1_000)), fleet.span.ends_us);
    let records = fleet.finish();
    let mut shares: Vec<u64> =
        records.iter().map(|record| granted_between(&record.grants, from_us, to_us)).collect();
    shares.sort_unstable();
    let grants: Vec<Grant> = records.into_iter().flat_map(|record| record.grants).collect();
    let over = over(&grants, burst, per_second);
    vec![Row::new(
        "leased, saturated",
        "never over; none has less than a third of what another has",
        format!("{over:+.0} tokens; {shares:?} after the burst"),
        over <= 0.0 && shares[0] > shares[PROCESSES - 1] / 3,
    )]
}

/// A lease that lasts longer, so that there is more to be over by.
const LIFETIME_MS: u64 = 180;

/// The judge bites: tokens that are leased beside a bucket of the whole capacity are too many, and it says so.
pub(crate) fn relaxed(suite: &Suite) -> Vec<Row> {
    let of = |kind| {
        let server = Server::start();
        let mode = Mode::Leased { lifetime: ms(LIFETIME_MS), when_down: WhenDown::Deny, kind };
        let mut plan = plan(server.url(), mode);
        plan.traffic = Traffic::InStep;
        Seen::of(Fleet::start(PROCESSES, &plan, suite.run(1_900, 8_000)).finish())
    };
    let (relaxed, strict) = (of(Kind::Relaxed), of(Kind::Strict));
    let most = (PER_SECOND * LIFETIME_MS / 1_000) as f64;
    vec![
        Row::new(
            "leased, relaxed",
            "over, by rate × lifetime at most: the judge bites",
            format!("{} of {most}", relaxed.figure()),
            relaxed.over > 0.0 && relaxed.over <= most,
        ),
        Row::new("leased, same traffic", "never over", strict.figure(), strict.over <= 0.0),
    ]
}

/// The judge and the definition, on random histories.
pub(crate) fn judged(_suite: &Suite) -> Vec<Row> {
    let mut state = 1_u64;
    let mut below = |end: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) % end
    };
    let mut differ = 0;
    let histories = 2_000;
    for _ in 0..histories {
        let grants: Vec<Grant> = (0..1 + below(12))
            .map(|_| {
                let from_us = below(3_000);
                Grant { from_us, to_us: from_us + below(300), tokens: 1 + below(5) }
            })
            .collect();
        let (capacity, per_second) = (below(10), 1 + below(20_000));
        let judged = over(&grants, capacity, per_second);
        differ += u32::from((judged - by_definition(&grants, capacity, per_second)).abs() > 1e-6);
    }
    vec![Row::new(
        "",
        "finds the fullest window",
        format!("{differ} of {histories} histories judged otherwise than by all their windows"),
        differ == 0,
    )]
}

fn by_definition(grants: &[Grant], capacity: u64, per_second: u64) -> f64 {
    let mut worst = f64::MIN;
    for begins in grants {
        for ends in grants.iter().filter(|ends| ends.to_us >= begins.from_us) {
            let (from_us, to_us) = (begins.from_us, ends.to_us);
            let refilled = (to_us - from_us) as f64 * per_second as f64 / 1e6;
            let granted = granted_between(grants, from_us, to_us) as f64;
            worst = worst.max(granted - capacity as f64 - refilled);
        }
    }
    worst
}

fn name(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Saturated => "saturated",
        Traffic::Bursty => "bursty",
        Traffic::Steady => "steady",
        Traffic::InStep => "in step",
    }
}
