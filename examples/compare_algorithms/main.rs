//! `cargo run --release --example compare_algorithms`: the same calls, limited by each algorithm at the same limit.
//!
//! ```text
//! compare_algorithms [TRACE] [--limit 100] [--period 60s] [--out target/compare-algorithms]
//! ```
//!
//! `TRACE` is `steady`, `bursty`, `boundary`, `flash`, `day`, or a CSV file of `time,key` in the order of time: seconds as a
//! decimal, and any text. Without one, all five that are built in are replayed. Fixed windows are aligned to
//! multiples of the period, counted as the trace counts time.
//!
//! A table goes to the terminal, and a picture of each trace to a file. Both are the same on each run.

mod algorithms;
mod arguments;
mod axis;
mod built_in;
mod csv;
mod draw;
#[cfg(test)]
mod exact_log;
mod files;
mod picture;
mod replay;
#[path = "../quickstart/screen.rs"]
#[allow(dead_code)]
mod screen;
mod strip;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod worst;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;
use files::Picture;
use screen::Screen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Nothing is written, on the terminal or to a file, before all traces are read and replayed.
fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let Arguments { traces, settings, out } = Arguments::parse(arguments)?;
    let mut shown = Vec::new();
    let mut pictures = Vec::new();
    for trace in &traces {
        let reports = replay::all(trace, settings)?;
        let svg = picture::paint(trace, settings, &reports)?;
        pictures.push(Picture { file_name: format!("{}.svg", trace.name), svg });
        shown.push((trace, reports));
    }
    files::write_all(&out, &pictures)?;

    let mut screen = Screen::new();
    for (trace, reports) in &shown {
        table::show(&mut screen, trace, settings, reports)?;
    }
    table::explain(&mut screen, settings)?;
    for picture in &pictures {
        screen.note(&format!("Picture: {}", out.join(&picture.file_name).display()))?;
    }
    Ok(())
}
