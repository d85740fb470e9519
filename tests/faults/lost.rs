//! A server that is killed, and comes back with or without its data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowgate::redis::WhenDown;

use crate::fleet::{Fleet, Kind, Mode, Traffic, granted_between, micros, now_us};
use crate::redis_server::Server;
use crate::suite::{
    A_BATCH_EACH, CAPACITY, LIFETIME, PER_SECOND, PROCESSES, Seen, Suite, both_modes, leased, ms,
    plan,
};
use crate::table::Row;

/// What is said of a server that is not there.
const AWAY: [&str; 3] = ["ConnectionLost", "Unreachable", "TimedOut"];

/// Killed for most of a second, and back with nothing.
pub(crate) fn killed(suite: &Suite) -> Vec<Row> {
    // Tries come less often as time goes by.
    let away = suite.run(600, 4_000);
    let policies = [
        WhenDown::Deny,
        WhenDown::Share { processes: u32::try_from(PROCESSES).unwrap() },
        WhenDown::Allow,
    ];
    let mut rows: Vec<Row> =
        policies.into_iter().map(|policy| killed_with_leases(policy, away)).collect();
    rows.push(killed_at_rest());
    let (seen, _, back_us) = kill_once(Mode::Remote, Traffic::Saturated, away);
    let back = seen.all_granted_after(back_us);
    rows.push(Row::new(
        "remote",
        "errors that say so; a full bucket more at most; back in 1 s",
        format!("{}; all back after {}; {}", seen.figure(), written(back), seen.kinds()),
        seen.over <= CAPACITY as f64 && is_soon(back) && seen.only_errors(&AWAY),
    ));
    rows
}

/// What was seen, and when the server was killed and was back.
fn kill_once(mode: Mode, traffic: Traffic, away: Duration) -> (Seen, u64, u64) {
    let mut server = Server::start();
    let mut plan = plan(server.url(), mode);
    plan.traffic = traffic;
    let fleet = Fleet::start(PROCESSES, &plan, ms(1_800) + away);
    fleet.sleep_until(ms(700));
    let killed_us = now_us();
    server.kill();
    fleet.sleep_until(ms(700) + away);
    server.run();
    let back_us = now_us();
    (Seen::of(fleet.finish()), killed_us, back_us)
}

fn killed_with_leases(when_down: WhenDown, away: Duration) -> Row {
    let mode = Mode::Leased { lifetime: LIFETIME, when_down, kind: Kind::Strict };
    // With traffic that uses up what is leased at once there would be none to be seen.
    let is_steady = when_down == WhenDown::Deny;
    let traffic = if is_steady { Traffic::Steady } else { Traffic::Saturated };
    let (seen, killed_us, back_us) = kill_once(mode, traffic, away);
    let drained_us = killed_us + micros(LIFETIME);
    let in_outage = granted_between(&seen.grants, drained_us, back_us);
    let back = seen.all_granted_after(back_us);
    let uncounted: u64 = seen.records.iter().map(|record| record.uncounted).sum();
    let [up_ns, down_ns] = [
        seen.records.iter().map(|record| record.up_ns[1]).max().unwrap_or(0),
        seen.records.iter().map(|record| record.down_ns[1]).max().unwrap_or(0),
    ];
    // A call that waits for the network takes some tens of microseconds at least, and one for a dead server a hundred milliseconds.
    let is_as_fast = down_ns < (10 * up_ns).max(20_000);
    let found = is_soon(back) && is_as_fast && seen.only_errors(&AWAY);
    let times = format!(
        "all back after {}; p99 of a call {up_ns} ns, {down_ns} ns while away",
        written(back)
    );
    match when_down {
        WhenDown::Deny => {
            let last_us = seen.last_grant_before(back_us).saturating_sub(killed_us);
            let from_leases = granted_between(&seen.grants, killed_us, drained_us);
            Row::new(
                "leased, deny",
                "leases drain in 100 ms, then nothing; back in 1 s; calls as fast",
                format!(
                    "{}; {from_leases} granted, the last after {} ms; {times}",
                    seen.figure(),
                    last_us / 1_000
                ),
                seen.over <= 0.0
                    && from_leases > 0
                    && in_outage == 0
                    && found
                    && seen.has_error("Unreachable"),
            )
        }
        WhenDown::Share { .. } => {
            let away_s = Duration::from_micros(back_us - drained_us).as_secs_f64();
            let share = in_outage as f64 / away_s / PER_SECOND as f64;
            Row::new(
                "leased, shares",
                "about the rate in all; over while some are back, 0.5 s of it at most",
                format!(
                    "{}; {:.0} % of the rate while away; {times}",
                    seen.figure(),
                    share * 100.0
                ),
                seen.over <= PER_SECOND as f64 / 2.0 && (0.5..=1.05).contains(&share) && found,
            )
        }
        _ => Row::new(
            "leased, allow",
            "all are let through while away, and none of them as a grant",
            format!("{}; {uncounted} let through, {in_outage} granted; {times}", seen.figure()),
            seen.over <= 0.0 && uncounted > 100 && in_outage == 0 && found,
        ),
    }
}

/// Killed while all rest, each with tokens that it leased for a moment's calls: when they begin again their time is over.
fn killed_at_rest() -> Row {
    let mut server = Server::start();
    let mut plan = plan(server.url(), leased());
    plan.traffic = Traffic::InStep;
    let fleet = Fleet::start(PROCESSES, &plan, ms(1_000));
    fleet.sleep_until(ms(430));
    server.kill();
    let drained_us = now_us() + micros(LIFETIME);
    fleet.sleep_until(ms(700));
    let back_us = now_us();
    server.run();
    let seen = Seen::of(fleet.finish());
    let late = granted_between(&seen.grants, drained_us, back_us);
    Row::new(
        "leased, at rest",
        "nothing that was leased is used 100 ms later",
        format!("{}; {late} granted; {}", seen.figure(), seen.kinds()),
        seen.over <= 0.0 && late == 0 && !seen.errors.is_empty(),
    )
}

/// Kills the server again and again, and has it run at once.
fn restart(mode: Mode, arguments: &[&str], times: u32) -> Seen {
    let mut server = Server::with(arguments);
    let pause = ms(450);
    let fleet = Fleet::start(PROCESSES, &plan(server.url(), mode), pause * (times + 1));
    for time in 1..=times {
        fleet.sleep_until(pause * time);
        server.kill();
        server.run();
    }
    Seen::of(fleet.finish())
}

pub(crate) fn emptied(suite: &Suite) -> Vec<Row> {
    let times = suite.times(4, 12);
    let told = restart(leased(), &[], times);
    let untold = restart(Mode::Remote, &[], times);
    let (unknowing, _) = restart_among_strangers(Kind::Strict);
    let (wary, there_is) = restart_among_strangers(Kind::EmptyAfterRestart);
    let share = wary.granted as f64 / there_is;
    vec![
        Row::new(
            format!("leased, {times} times"),
            "told what busy processes know: a batch each at most",
            format!("{} of {A_BATCH_EACH}", told.figure()),
            told.over <= A_BATCH_EACH && told.only_errors(&AWAY),
        ),
        Row::new(
            format!("remote, {times} times"),
            "not told: over by a full bucket each time at most",
            untold.figure(),
            untold.over <= f64::from(times) * CAPACITY as f64,
        ),
        Row::new(
            format!("leased, new processes, {STRANGERS_COME} times"),
            "who is new knows nothing, so over: a bucket each time at most",
            unknowing.figure(),
            unknowing.over > 0.0 && unknowing.over <= f64::from(STRANGERS_COME) * CAPACITY as f64,
        ),
        Row::new(
            format!("the same, empty after a restart, {STRANGERS_COME} times"),
            "never over; most of what is refilled from the second after each start on",
            format!("{}; {:.0} % of that", wary.figure(), share * 100.0),
            wary.over <= 0.0 && share > 0.7 && wary.only_errors(&AWAY),
        ),
    ]
}

/// Longer than the rest of the second in which a server starts: until then one that starts empty grants nothing.
const STRANGERS_STAY: Duration = ms(1_200);
const STRANGERS_COME: u32 = 4;

/// At each restart other processes take over, which have asked for nothing before. Returns also how many tokens there are for them if each
/// start leaves empty buckets until its second is over.
fn restart_among_strangers(kind: Kind) -> (Seen, f64) {
    let mut server = Server::start();
    let (pause, times) = (STRANGERS_STAY, STRANGERS_COME);
    // A short lease leaves the store nearly all of the capacity, and the judge little to forgive.
    let mode = Mode::Leased { lifetime: ms(50), when_down: WhenDown::Deny, kind };
    let mut fleets: Vec<Fleet> =
        (0..=times).map(|_| Fleet::ready(PROCESSES, &plan(server.url(), mode))).collect();
    // With buckets that are full, of a server that has run for long enough to have such.
    let rest = if kind == Kind::EmptyAfterRestart { ms(2_000) } else { ms(50) };
    let begins_us = now_us() + micros(rest);
    for (time, fleet) in (0..).zip(&mut fleets) {
        fleet.begin_at(begins_us + micros(pause * time), pause);
    }
    let mut there_is = CAPACITY as f64 + pause.as_secs_f64() * PER_SECOND as f64;
    for fleet in fleets.iter().skip(1) {
        fleet.sleep_until(Duration::ZERO);
        server.kill();
        server.run();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let of_the_second_us = 1_000_000 - u64::from(since_1970.subsec_micros());
        let rest_us = fleet.span.ends_us.saturating_sub(now_us() + of_the_second_us);
        there_is += rest_us as f64 * PER_SECOND as f64 / 1e6;
    }
    (Seen::of(fleets.into_iter().flat_map(Fleet::finish).collect()), there_is)
}

pub(crate) fn restarted(suite: &Suite) -> Vec<Row> {
    let times = suite.times(3, 10);
    let file = ["--appendonly", "yes", "--appendfsync", "always"];
    let row = |mode: Mode| {
        let seen = restart(mode, &file, times);
        Row::new(
            format!("{}, {times} times", mode.name()),
            "never over",
            format!("{}; {}", seen.figure(), seen.kinds()),
            seen.over <= 0.0,
        )
    };
    both_modes().map(row).into()
}

pub(crate) fn is_soon(back: Option<Duration>) -> bool {
    back.is_some_and(|back| back < Duration::from_secs(1))
}

pub(crate) fn written(back: Option<Duration>) -> String {
    back.map_or("never".into(), |back| format!("{} ms", back.as_millis()))
}
