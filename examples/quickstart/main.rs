//! `cargo run --release --example quickstart`: what the limiter does, whether it keeps to it, and
//! how fast it is, in ten seconds.
//!
//! The calls to copy are in `walk.rs`. Every answer is checked: if the limiter does anything else
//! than the text says, the example ends with an error.

mod audit;
// What the benchmarks measure, and how.
#[path = "../../benches/baseline/mod.rs"]
mod baseline;
mod contention;
mod progress;
mod screen;
#[path = "../../benches/threads/mod.rs"]
mod threads;
mod walk;

use std::env::consts::{ARCH, OS};
use std::error::Error;
use std::num::NonZero;

use screen::Screen;

fn main() -> Result<(), Box<dyn Error>> {
    let mut screen = Screen::new();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let plural = if cores == 1 { "" } else { "s" };
    let version = env!("CARGO_PKG_VERSION");
    screen.note(&format!("flowgate {version} on {cores} core{plural}, {ARCH} {OS}"))?;
    if cfg!(debug_assertions) {
        screen.note("A debug build: add --release for speeds that mean anything.")?;
    }

    walk::requests(&mut screen)?;
    walk::model_budget(&mut screen)?;
    audit::hammer(&mut screen, cores * 2)?;
    contention::compare(&mut screen, cores * 2)?;

    screen.note("\nAll of the limiter's answers were checked.")?;
    Ok(())
}
