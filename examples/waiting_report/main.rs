//! `cargo run --release --example waiting_report --features tokio`: what it takes to have a thousand, ten thousand and a
//! hundred thousand tasks wait at one limiter: memory, lateness, processor time.
//!
//! Each measurement runs in a process of its own: what an allocator or a timer keeps of one does not count for the next.
//! It takes a minute and a half. The figures are also written into the folder that `WAITING_REPORT_DIR` names, for
//! `ci/bench-report.sh`.

// A rival that does not take a quota should be seen at once.
#![allow(clippy::expect_used)]

mod crowd;
#[path = "../keyed_report/figures.rs"]
mod figures;
mod jobs;
mod processor;
#[path = "../quickstart/progress.rs"]
#[allow(dead_code)]
mod progress;
#[path = "../keyed_report/resident.rs"]
mod resident;
#[path = "../quickstart/screen.rs"]
#[allow(dead_code)]
mod screen;
mod tables;
mod waiters;

use std::error::Error;

use screen::Screen;

/// The name under which the report looks for the figures.
const FILE: &str = "waiting_report.txt";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {}
        [jobs::CHILD, what, row, waiters] => return jobs::work(what, row, waiters.parse()?),
        _ => return Err("there are no arguments".into()),
    }
    let mut screen = Screen::new();
    screen.note(&format!("flowgate {}, waiting", env!("CARGO_PKG_VERSION")))?;
    if cfg!(debug_assertions) {
        screen.note("A debug build: add --release for figures that mean anything.")?;
    }
    let figures = jobs::run()?;
    tables::show(&mut screen, &figures)?;
    if let Some(folder) = std::env::var_os("WAITING_REPORT_DIR") {
        figures.write_into(folder.as_ref(), FILE)?;
    }
    Ok(())
}
