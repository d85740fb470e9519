//! Makes `docs/performance.md` and its charts of what the benchmarks measured.
//!
//! `ci/bench-report.sh` runs it. By hand, from the root of the repository, with criterion's folder as
//! its argument, or with several, each of which may have a folder for each round that was run:
//!
//! ```text
//! cargo run --release --example bench_report -- target/criterion
//! ```

mod algorithm_targets;
mod algorithms;
mod bars;
mod chart;
mod http;
mod keyed;
mod keyed_targets;
mod lines;
mod machine;
mod measured;
mod names;
mod page;
mod redis;
mod scaling;
mod striped;
mod targets;
mod waiting;
mod waiting_targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use measured::Results;

fn main() -> ExitCode {
    match report(env::args_os().skip(1).map(PathBuf::from).collect()) {
        Ok(files) => {
            for file in files {
                println!("wrote {}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("bench_report: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the page and the charts, and returns their files.
fn report(mut folders: Vec<PathBuf>) -> Result<Vec<PathBuf>, String> {
    if folders.is_empty() {
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        folders.push(Path::new(&target).join("criterion"));
    }
    let docs = Path::new("docs");
    if !docs.is_dir() {
        return Err("there is no folder docs/ here: run it from the root of the repository".into());
    }
    let results = Results::read(&folders)?;
    let charts = chart::all(&results)?;
    let page = page::write(&results, &charts)?;
    let mut files = Vec::new();
    let svgs = charts.into_iter().map(|chart| (chart.file_name, chart.svg));
    for (name, text) in svgs.chain([("performance.md".to_owned(), page)]) {
        let file = docs.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}
