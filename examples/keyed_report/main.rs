//! `cargo run --release --example keyed_report --features papaya`: what a keyed limiter takes in memory, how
//! long its slowest call takes, and what a flood of keys does to it.
//!
//! As it stands it takes some seconds, and is for a look. `--full` is the real one: ten million keys, a flood
//! of fifty million, two minutes and 3 GB.
//!
//! Each measurement runs in a process of its own: what an allocator keeps of one does not count for the next.
//! The figures are also written into the folder that `KEYED_REPORT_DIR` names, for `ci/bench-report.sh`.

// A rival that does not take a quota should be seen at once.
#![allow(clippy::expect_used)]

// What the benchmarks measure, and how.
#[path = "../../benches/baseline/mod.rs"]
mod baseline;
#[path = "../../benches/draws/mod.rs"]
mod draws;
mod expire;
mod figures;
mod flood;
mod insert;
mod jobs;
mod latency;
#[path = "../quickstart/progress.rs"]
#[allow(dead_code)]
mod progress;
mod resident;
#[path = "../../benches/rivals/mod.rs"]
mod rivals;
#[path = "../quickstart/screen.rs"]
#[allow(dead_code)]
mod screen;
mod tables;
#[path = "../../benches/threads/mod.rs"]
mod threads;

use std::error::Error;
use std::num::NonZero;

use screen::Screen;

/// How many keys a measurement is of.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    some: u64,
    many: u64,
    flood: u64,
}

impl Sizes {
    /// Less where keys are found without a lock: that one looks for room five times as long.
    pub(crate) fn flood_of(self, row: &str) -> u64 {
        if row == jobs::OURS[0] { self.flood } else { (self.flood / 10).max(400_000) }
    }
}

const FULL: Sizes = Sizes { some: 1_000_000, many: 10_000_000, flood: 50_000_000 };
const QUICK: Sizes = Sizes { some: 20_000, many: 200_000, flood: 1_000_000 };

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let sizes = match arguments.as_slice() {
        [] | ["--quick"] => QUICK,
        ["--full"] => FULL,
        [jobs::CHILD, what, row, keys] => return jobs::work(what, row, keys.parse()?),
        _ => return Err("arguments are --quick, which is the default, or --full".into()),
    };

    let mut screen = Screen::new();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let plural = if cores == 1 { "" } else { "s" };
    let version = env!("CARGO_PKG_VERSION");
    screen.note(&format!("flowgate {version}, keyed, on {cores} core{plural}"))?;
    if cfg!(debug_assertions) {
        screen.note("A debug build: add --release for speeds that mean anything.")?;
    }
    if sizes.many < FULL.many {
        screen.note(
            "A quick look at a fiftieth of the keys: add `-- --full` for the real figures.",
        )?;
    }

    let figures = jobs::run(sizes)?;
    tables::show(&mut screen, sizes, &figures)?;
    if let Some(folder) = std::env::var_os("KEYED_REPORT_DIR") {
        figures.write_into(folder.as_ref(), "keyed_report.txt")?;
    }
    Ok(())
}
