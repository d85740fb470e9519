//! A process that dies with what it has leased.

use crate::fleet::{Fleet, granted_between, micros, now_us};
use crate::redis_server::Server;
use crate::suite::{PER_SECOND, PROCESSES, Seen, Suite, leased, ms, plan};
use crate::table::Row;

pub(crate) fn killed(suite: &Suite) -> Vec<Row> {
    let server = Server::start();
    let rest = suite.run(1_000, 4_000);
    let mut fleet = Fleet::start(PROCESSES, &plan(server.url(), leased()), ms(700) + rest);
    fleet.sleep_until(ms(600));
    fleet.kill(0);
    let killed_us = now_us();
    let ends_us = fleet.span.ends_us;
    let seen = Seen::of(fleet.finish());
    // A lease's time later what was lost has been refilled.
    let from_us = killed_us + micros(ms(100));
    let granted = granted_between(&seen.grants, from_us, ends_us);
    let rate = granted as f64 * 1e6 / (ends_us - from_us) as f64 / PER_SECOND as f64;
    vec![Row::new(
        "leased",
        "never over; the others have all of the rate soon",
        format!("{}; {:.0} % of the rate from 100 ms after it", seen.figure(), rate * 100.0),
        seen.over <= 0.0 && rate > 0.7,
    )]
}
