//! What was measured, read from the files of criterion, of `keyed_report`, of `waiting_report` and of the benchmark `redis`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Which benchmark: `path/threads/row`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) path: String,
    pub(crate) threads: usize,
    pub(crate) row: String,
}

impl Id {
    pub(crate) fn new(path: &str, threads: usize, row: &str) -> Self {
        Self { path: path.into(), threads, row: row.into() }
    }
}

/// All that the page is made of.
pub(crate) struct Results {
    pub(crate) sources: Vec<Source>,
    /// The median nanoseconds per call of each benchmark.
    pub(crate) decisions: Measured,
    /// What `keyed_report`, `waiting_report` and the benchmark `redis` found, each in a unit of its own.
    pub(crate) figures: Measured,
}

/// A program that measured.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) rounds: usize,
    pub(crate) day: Option<String>,
}

/// The files of `keyed_report`, `waiting_report` and the benchmark `redis`: a name and a number in each line.
const FIGURES: [&str; 3] = ["keyed_report.txt", "waiting_report.txt", "redis_report.txt"];

impl Results {
    /// Reads a folder for each program, with folders `round-1`, `round-2` and so on in it, or else with the
    /// results of one round. A file `day` says when it was.
    pub(crate) fn read(folders: &[PathBuf]) -> Result<Self, String> {
        let (mut sources, mut all_rounds) = (Vec::new(), Vec::new());
        for folder in folders {
            let rounds = rounds_in(folder);
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let day = fs::read_to_string(folder.join("day")).ok();
            sources.push(Source {
                name: name.unwrap_or_default(),
                rounds: rounds.len(),
                day: day.map(|day| day.trim().to_owned()),
            });
            all_rounds.extend(rounds);
        }
        let decisions = Measured::read(&all_rounds)?;
        Ok(Self { sources, decisions, figures: Measured::read_figures(&all_rounds)? })
    }
}

fn rounds_in(folder: &Path) -> Vec<PathBuf> {
    let is_round = |path: &PathBuf| {
        path.is_dir()
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("round-"))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut rounds: Vec<_> = entries.map(|entry| entry.path()).filter(is_round).collect();
    rounds.sort();
    if rounds.is_empty() { vec![folder.to_owned()] } else { rounds }
}

/// All rounds of all that was measured.
pub(crate) struct Measured {
    rounds: Vec<BTreeMap<Id, f64>>,
}

/// One number per round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Measured {
    /// Reads what criterion left in each folder as one round.
    fn read(folders: &[PathBuf]) -> Result<Self, String> {
        let mut rounds = Vec::new();
        for folder in folders {
            let mut round = BTreeMap::new();
            read_below(folder, &mut round)?;
            if round.is_empty() && !FIGURES.iter().any(|name| folder.join(name).is_file()) {
                return Err(format!(
                    "there are no results in {}: run ci/bench-report.sh, or `cargo bench` first",
                    folder.display()
                ));
            }
            rounds.push(round);
        }
        Ok(Self { rounds })
    }

    /// Reads what `keyed_report`, `waiting_report` or the benchmark `redis` left in each folder, if anything, as one round.
    fn read_figures(folders: &[PathBuf]) -> Result<Self, String> {
        let mut rounds = Vec::new();
        let files = folders.iter().flat_map(|folder| FIGURES.map(|name| folder.join(name)));
        for file in files.filter(|file| file.is_file()) {
            let text = fs::read_to_string(&file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let figures =
                text.lines().map(|line| figure(line).ok_or_else(|| not_understood(&file)));
            rounds.push(figures.collect::<Result<_, _>>()?);
        }
        Ok(Self { rounds })
    }

    /// All that was measured, in any round.
    pub(crate) fn ids(&self) -> Vec<&Id> {
        let mut ids: Vec<_> = self.rounds.iter().flat_map(BTreeMap::keys).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// What it came to; `None` if it was not measured.
    pub(crate) fn spread(&self, id: &Id) -> Option<Spread> {
        spread(self.rounds.iter().filter_map(|round| round.get(id).copied()).collect())
    }

    /// The one by the other.
    ///
    /// It is taken within each round, where the two were measured moments apart: if the machine is
    /// faster in one round than in the next, the ratio does not notice.
    pub(crate) fn ratio(&self, one: &Id, other: &Id) -> Option<Spread> {
        let ratio = |round: &BTreeMap<Id, f64>| Some(round.get(one)? / round.get(other)?);
        spread(self.rounds.iter().filter_map(ratio).collect())
    }
}

fn spread(mut numbers: Vec<f64>) -> Option<Spread> {
    numbers.sort_by(f64::total_cmp);
    let (lowest, highest) = (*numbers.first()?, *numbers.last()?);
    let half = numbers.len() / 2;
    let upper = numbers[half];
    let median = if numbers.len().is_multiple_of(2) {
        f64::midpoint(numbers[half - 1], upper)
    } else {
        upper
    };
    Some(Spread { lowest, median, highest })
}

/// Collects every `new/benchmark.json` with the `estimates.json` beside it.
fn read_below(folder: &Path, round: &mut BTreeMap<Id, f64>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let below = entry.path();
        let name = below.join("benchmark.json");
        if entry.file_name() == "new" && name.is_file() {
            let id = id(&read_json(&name)?).ok_or_else(|| not_understood(&name))?;
            let estimates = below.join("estimates.json");
            let median_ns = read_json(&estimates)?["median"]["point_estimate"].as_f64();
            round.insert(id, median_ns.ok_or_else(|| not_understood(&estimates))?);
        } else if below.is_dir() {
            read_below(&below, round)?;
        }
    }
    Ok(())
}

/// A line such as `resident_1000000/1/keyed 28.5`.
fn figure(line: &str) -> Option<(Id, f64)> {
    let (name, number) = line.split_once(' ')?;
    let (group, row) = name.rsplit_once('/')?;
    let (path, threads) = group.rsplit_once('/')?;
    Some((Id::new(path, threads.parse().ok()?, row), number.parse().ok()?))
}

/// The group is `path/threads`, the function is the row.
fn id(benchmark: &Value) -> Option<Id> {
    let (path, threads) = benchmark["group_id"].as_str()?.rsplit_once('/')?;
    Some(Id::new(path, threads.parse().ok()?, benchmark["function_id"].as_str()?))
}

fn read_json(file: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn not_understood(file: &Path) -> String {
    format!("{} is not what a benchmark called `path/threads/row` leaves", file.display())
}
