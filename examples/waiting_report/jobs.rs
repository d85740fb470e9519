//! The measurements, each in a process of its own, and what such a process tells about it.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::figures::{self, Figures};
use crate::waiters::{
    Governor, GovernorJitter, LeakyFair, LeakyUnfair, NoRoom, OnAny, OnTokio, Passers, Sleepers,
    Waiters,
};
use crate::{crowd, progress};

/// The first argument of such a process.
pub(crate) const CHILD: &str = "--measure";

pub(crate) const CROWDS: [usize; 3] = [1_000, 10_000, 100_000];

/// A row, with what it is called on the screen and what it measures.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    measure: Measure,
}

type Measure = fn(&mut Found, &str, usize) -> Result<(), Box<dyn Error>>;

/// Those to be compared closely stand close together.
pub(crate) const ROWS: [Row; 9] = [
    row_of::<OnTokio>(),
    row_of::<LeakyFair>(),
    row_of::<LeakyUnfair>(),
    row_of::<OnAny>(),
    row_of::<Governor>(),
    row_of::<GovernorJitter>(),
    row_of::<NoRoom>(),
    row_of::<Sleepers>(),
    row_of::<Passers>(),
];

const fn row_of<W: Waiters>() -> Row {
    Row { name: W::ROW, label: W::LABEL, measure: measure::<W> }
}

fn measure<W: Waiters>(
    found: &mut Found,
    what: &str,
    waiters: usize,
) -> Result<(), Box<dyn Error>> {
    match what {
        "memory" => crowd::memory::<W>(found, waiters),
        "paced" => crowd::paced::<W>(found, waiters),
        "rush" => crowd::rush::<W>(found, waiters),
        "flood" => crowd::flood::<W>(found, waiters),
        _ => return Err(format!("there is no measurement {what}").into()),
    }
    Ok(())
}

/// Whether it makes no sense: who passes by does not wait.
fn is_left_out(what: &str, row: &str) -> bool {
    !matches!(what, "rush" | "flood") && row == Passers::ROW
}

/// Measures everything, one after the other.
pub(crate) fn run() -> Result<Figures, Box<dyn Error>> {
    let mut found = Figures::default();
    let mut jobs = Vec::new();
    for what in ["memory", "paced", "rush", "flood"] {
        for waiters in CROWDS {
            let rows = ROWS.iter().filter(|row| !is_left_out(what, row.name));
            jobs.extend(rows.map(|row| (what, waiters, row)));
        }
    }
    // Every other round runs backwards.
    if std::env::var("BENCH_ROUND").is_ok_and(|round| round.ends_with(['0', '2', '4', '6', '8'])) {
        jobs.reverse();
    }
    let bar = progress::bar(jobs.len() as u64)?;
    for (what, waiters, row) in jobs {
        bar.set_message(format!("{what}: {}, {waiters} waiters", row.label));
        let mut child = Command::new(std::env::current_exe()?)
            .args([CHILD, what, row.name, &waiters.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().ok_or("a process has no output")?;
        for line in BufReader::new(said).lines() {
            let line = line?;
            let (name, figure) = line.split_once(' ').ok_or("a process said nothing known")?;
            found.add(name, figure.parse()?);
        }
        if !child.wait()?.success() {
            return Err(format!("{what} of {waiters} waiters at {} failed", row.name).into());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(found)
}

/// Does one measurement, in this process.
pub(crate) fn work(what: &str, row: &str, waiters: usize) -> Result<(), Box<dyn Error>> {
    let row = ROWS.iter().find(|known| known.name == row);
    let row = row.ok_or("there is no such row")?;
    (row.measure)(&mut Found { row: row.name, waiters }, what, waiters)
}

/// What a process that measures tells the other one, line by line.
pub(crate) struct Found {
    row: &'static str,
    waiters: usize,
}

impl Found {
    pub(crate) fn figure(&mut self, what: &str, figure: f64) {
        let name = figures::name(&format!("waiting_{what}"), self.waiters as u64, self.row);
        // Whoever does not listen does not need to know.
        let _ = writeln!(std::io::stdout(), "{name} {figure}");
    }
}
