//! One quota, four processes, and a Redis that is killed in the middle and comes back without its data: what each process is granted,
//! and whether all together were granted too much.
//!
//! ```text
//! cargo run --release --example cluster_quota --features redis
//! cargo run --release --example cluster_quota --features redis -- --redis redis://127.0.0.1/
//! ```
//!
//! The second one asks a server that runs already, and leaves it alone.

mod chart;
mod judge;
mod processes;
mod server;
mod shared_clock;
mod work;

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use chart::{Chart, grouped};
use flowgate::Quota;
use judge::{Window, fullest_window};
use processes::{PROCESSES, Processes};
use server::Server;
use shared_clock::SharedClock;
use work::{Mode, Work};

const CAPACITY: u64 = 4_000;
const PER_SECOND: u64 = 2_000;
/// A column of the chart.
const COLUMN: Duration = Duration::from_millis(100);
const COLUMNS: usize = 50;
/// Redis is killed when so many columns are over, and started again.
const KILLED: usize = 20;
const STARTED: usize = 26;
/// A process tells of its grants a little later.
const DELAY: usize = 2;

fn quota() -> Quota {
    Quota::per_second(PER_SECOND).burst(CAPACITY)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match *arguments {
        [] => show(None),
        ["--redis", url] => show(Some(url)),
        ["--work", ref work @ ..] => Work::read(work).and_then(Work::run).map(|()| true),
        _ => Err("usage: cluster_quota [--redis redis://host:port/]".into()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What became of one way to share the quota.
struct Outcome {
    mode: Mode,
    granted: usize,
    asked: u64,
    /// Half of the grants took at most so long.
    median: Duration,
    fullest: Window,
}

/// Whether the leased mode was never over.
fn show(url: Option<&str>) -> Result<bool, Box<dyn Error>> {
    let mut server = match url {
        Some(_) => None,
        None => Some(Server::start()?),
    };
    let url = match (url, &server) {
        (Some(url), _) => url.to_owned(),
        (None, Some(server)) => server.url(),
        (None, None) => return Err("no server".into()),
    };
    println!("one quota, {}, for {PROCESSES} processes that ask without a pause", quota());
    match &server {
        Some(server) => println!(
            "{} on port {} is killed after {:?}, and back after {:?}, without its data",
            server.program(),
            server.port(),
            COLUMN * u32::try_from(KILLED)?,
            COLUMN * u32::try_from(STARTED)?
        ),
        None => println!("the server is yours, so it is left alone"),
    }
    println!("{}", chart::legend());

    let mut outcomes = Vec::new();
    for mode in [Mode::Leased, Mode::Remote] {
        outcomes.push(run(mode, &url, server.as_mut())?);
    }
    Ok(report(&outcomes, server.is_some()))
}

fn run(mode: Mode, url: &str, mut server: Option<&mut Server>) -> Result<Outcome, Box<dyn Error>> {
    println!("\n{mode}: {}\n", mode.explained());
    // Time to start, and to connect.
    let clock = SharedClock::beginning_in(Duration::from_millis(500));
    let mut processes = Processes::start(mode, url, clock)?;
    let mut chart = Chart::new(std::io::stdout().is_terminal());
    let mut is_up = Vec::new();
    for column in 0..COLUMNS {
        if let Some(server) = &mut server {
            match column {
                KILLED => server.kill()?,
                STARTED => server.run()?,
                _ => {}
            }
        }
        is_up.push(server.is_none() || !(KILLED..STARTED).contains(&column));
        let ends = COLUMN * u32::try_from(column + 1)?;
        thread::sleep(ends.saturating_sub(clock.now()));
        processes.check()?;
        chart.draw(&processes.grants(), &is_up, (column + 1).saturating_sub(DELAY));
    }
    let (grants, asked) = processes.end()?;
    let fullest = fullest_window(&grants, PER_SECOND, CAPACITY)
        .ok_or("nothing was granted: see that the server is well")?;
    chart.finish(&grants, &is_up, fullest);

    let mut took_ns: Vec<u64> = grants.iter().map(|grant| grant.to_ns - grant.from_ns).collect();
    took_ns.sort_unstable();
    let median = Duration::from_nanos(took_ns.get(took_ns.len() / 2).copied().unwrap_or(0));
    Ok(Outcome { mode, granted: grants.len(), asked, median, fullest })
}

fn report(outcomes: &[Outcome], was_killed: bool) -> bool {
    let bound = format!("{} + {}/s × window", grouped(CAPACITY), grouped(PER_SECOND));
    println!(
        "\n{:>20} {:>13} {:>15}   of all windows, the most beyond {bound}",
        "granted", "Redis asked", "half within"
    );
    let mut is_kept = true;
    for Outcome { mode, granted, asked, median, fullest } in outcomes {
        let over = fullest.over();
        let verdict = if over <= 0.0 { "never over" } else { "OVER" };
        println!(
            "{:<8} {:>11} {:>13} {:>15}   {over:>+10.1}  {verdict}",
            mode.to_string(),
            grouped(u64::try_from(*granted).unwrap_or(u64::MAX)),
            grouped(*asked),
            format!("{median:.1?}"),
        );
        is_kept &= *mode != Mode::Leased || over <= 0.0;
    }
    let was_over = |of| outcomes.iter().any(|one| one.mode == of && one.fullest.over() > 0.0);
    if was_killed && was_over(Mode::Remote) {
        println!(
            "\nRedis came back without its data, with a full bucket; remote believes it, and leased tells it what was granted before.\n\
             A server that keeps its data (appendonly yes) has no full bucket to give."
        );
    }
    if !is_kept {
        println!("\nleased was over: that is a bug, please tell us");
    }
    is_kept
}
