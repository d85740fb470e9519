//! `cargo test --all-features --test faults`: what several processes are granted together while their store, the network or one of
//! them fails. Real servers of Redis, on the loopback; real processes; one table at the end.
//!
//! Without more words each fault is as short as shows it. `--long` is for the checks: see `ci/faults.sh`. Any other word selects faults
//! by their names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calm;
mod clocks;
#[path = "../fleet/mod.rs"]
mod fleet;
mod lost;
mod network;
mod processes;
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod servers;
mod suite;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use suite::Suite;
use table::Row;

type Fault = fn(&Suite) -> Vec<Row>;

const FAULTS: [(&str, Fault); 16] = [
    ("the judge", calm::judged),
    ("none", calm::none),
    ("none, and what each has", calm::fair),
    ("leases beside a whole bucket", calm::relaxed),
    ("kill -9 of Redis", lost::killed),
    ("restarts with empty data", lost::emptied),
    ("restarts with the append-only file", lost::restarted),
    ("CLIENT PAUSE and SIGSTOP", network::paused),
    ("SCRIPT FLUSH every 100 ms", network::flushed),
    ("a network slower than a lease", network::slow),
    ("answers lost, asks not", network::unanswered),
    ("kill -9 of a process", processes::killed),
    ("the server's clock, an hour", clocks::stepped),
    ("a replica, promoted", servers::promoted),
    ("a partition", servers::parted),
    ("a cluster, a slot moved", servers::moved),
];

fn main() -> ExitCode {
    if fleet::be_a_client() {
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        FAULTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if redis_server::no_server() {
        return ExitCode::SUCCESS;
    }
    let suite = Suite { is_long: words.iter().any(|word| word == "--long") };
    let mut chosen = words.iter().filter(|word| !word.starts_with('-')).peekable();
    let chosen: Option<Vec<_>> = chosen.peek().is_some().then(|| chosen.collect());
    let is_chosen = |name: &str| {
        chosen.as_ref().is_none_or(|words| words.iter().any(|word| name.contains(word.as_str())))
    };
    let began = Instant::now();
    let mut rows = Vec::new();
    for (name, fault) in FAULTS.iter().filter(|(name, _)| is_chosen(name)) {
        // The others are still worth seeing.
        match catch_unwind(AssertUnwindSafe(|| fault(&suite))) {
            Ok(mut seen) => {
                seen.iter_mut().for_each(|row| row.fault = name);
                rows.append(&mut seen);
            }
            Err(_) => rows.push(Row::failed(name)),
        }
    }
    table::print(&rows);
    let failed = rows.iter().filter(|row| !row.holds).count();
    let passed = rows.len() - failed;
    // As the other tests say it, for the scripts that add up.
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; finished in {seconds:.0} s"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
