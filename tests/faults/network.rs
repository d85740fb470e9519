//! Answers that come late, or not at all; and a server that forgets its script.

use crate::fleet::{Carries, Fleet, Mode, Proxy, granted_between, micros, now_us};
use crate::lost::{is_soon, written};
use crate::redis_server::{Server, say};
use crate::suite::{
    CAPACITY, PER_SECOND, PROCESSES, Seen, Suite, both_modes, leased, least_rate, ms, plan,
};
use crate::table::Row;

/// Longer than a call may take, in turns by the server's own doing and by the kernel's.
pub(crate) fn paused(suite: &Suite) -> Vec<Row> {
    let times = suite.times(2, 8);
    let row = |mode: Mode| {
        let server = Server::start();
        let mut admin = server.connection();
        let round = ms(800);
        let fleet = Fleet::start(PROCESSES, &plan(server.url(), mode), round * times);
        for time in 0..times {
            fleet.sleep_until(round * time + ms(300));
            if time % 2 == 0 {
                let (): () = say(&mut admin, &["CLIENT", "PAUSE", "300", "ALL"]);
            } else {
                server.signal("STOP");
                std::thread::sleep(ms(300));
                server.signal("CONT");
            }
        }
        let seen = Seen::of(fleet.finish());
        // In remote mode each caller is told itself.
        let unknown = if mode == Mode::Remote { 0 } else { seen.unknown() };
        let are_counted = mode == Mode::Remote || unknown > 0;
        Row::new(
            format!("{}, {times} times", mode.name()),
            "never over; timeouts, told and counted",
            format!("{}; {}; unknown {unknown}", seen.figure(), seen.kinds()),
            seen.over <= 0.0
                && seen.has_error("TimedOut")
                && seen.only_errors(&["TimedOut"])
                && are_counted,
        )
    };
    both_modes().map(row).into()
}

pub(crate) fn flushed(suite: &Suite) -> Vec<Row> {
    let run = suite.run(1_000, 5_000);
    let row = |mode: Mode| {
        let server = Server::start();
        let mut admin = server.connection();
        let fleet = Fleet::start(PROCESSES, &plan(server.url(), mode), run);
        let mut flushes = 0;
        fleet.sleep_until(ms(0));
        while fleet.since_begin() + ms(100) < run {
            flushes += 1;
            fleet.sleep_until(ms(100) * flushes);
            let (): () = say(&mut admin, &["SCRIPT", "FLUSH"]);
        }
        let seen = Seen::of(fleet.finish());
        let rate = seen.granted as f64 / run.as_secs_f64() / PER_SECOND as f64;
        Row::new(
            format!("{}, {flushes} times", mode.name()),
            "never over, no error; leased, most of the rate is used",
            format!(
                "{}; errors: {}; {:.0} % of the rate",
                seen.figure(),
                seen.kinds(),
                rate * 100.0
            ),
            seen.over <= 0.0 && seen.errors.is_empty() && rate > least_rate(mode),
        )
    };
    both_modes().map(row).into()
}

/// Answers take longer than a lease for a while; before, they take half of one.
pub(crate) fn slow(suite: &Suite) -> Vec<Row> {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let slow = suite.run(800, 4_000);
    let fleet = Fleet::start(PROCESSES, &plan(proxy.url(), leased()), ms(2_000) + slow);
    fleet.sleep_until(ms(300));
    proxy.delay(ms(25));
    fleet.sleep_until(ms(1_000));
    let begun_us = now_us();
    proxy.delay(ms(60));
    fleet.sleep_until(ms(1_000) + slow);
    let ended_us = now_us();
    proxy.delay(ms(0));
    let begins_us = fleet.span.begins_us;
    let seen = Seen::of(fleet.finish());
    // A quarter of a second after each change, what was leased before it has ended.
    let settled = micros(ms(250));
    let half = granted_between(&seen.grants, begins_us + micros(ms(550)), begun_us);
    let late = granted_between(&seen.grants, begun_us + settled, ended_us);
    let back = seen.all_granted_after(ended_us);
    vec![Row::new(
        "leased",
        "half a lease's time: served; more: nothing late is used, then back in 1 s",
        format!(
            "{}; {half} granted at half, {late} at more; unknown {}; all back after {}",
            seen.figure(),
            seen.unknown(),
            written(back)
        ),
        seen.over <= 0.0 && half > 0 && late == 0 && seen.unknown() > 0 && is_soon(back),
    )]
}

pub(crate) fn unanswered(suite: &Suite) -> Vec<Row> {
    let times = suite.times(3, 12);
    let row = |mode: Mode| {
        let round = ms(500);
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let fleet = Fleet::start(PROCESSES, &plan(proxy.url(), mode), round * times);
        for time in 0..times {
            fleet.sleep_until(round * time + ms(200));
            proxy.carries(Carries::NoAnswers);
            fleet.sleep_until(round * time + ms(400));
            proxy.carries(Carries::All);
        }
        let seen = Seen::of(fleet.finish());
        let burst = match mode {
            Mode::Remote => CAPACITY,
            _ => CAPACITY - PER_SECOND / 10,
        };
        let refilled = (round * times).as_secs_f64() * PER_SECOND as f64;
        let share = seen.granted as f64 / (burst as f64 + refilled);
        Row::new(
            format!("{}, {times} times", mode.name()),
            "never over; what was taken and not told is lost",
            format!("{}; {:.0} % of all there was; {}", seen.figure(), share * 100.0, seen.kinds()),
            seen.over <= 0.0 && seen.has_error("TimedOut") && (0.5..1.0).contains(&share),
        )
    };
    both_modes().map(row).into()
}
