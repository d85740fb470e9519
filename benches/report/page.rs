//! The page: targets, where we lose, and a table for each path and number of threads.

use std::fmt::{self, Write};
use std::slice;

use crate::algorithms::SECTIONS;
use crate::chart::Chart;
use crate::measured::{Id, Measured, Results, Spread};
use crate::names::{self, Kind, PATHS, Path, Row};
use crate::{keyed, machine, redis, striped, targets, waiting};

/// Fairness, and how to read the numbers: words, not measurements.
const NOTES: &str = include_str!("notes.md");

pub(crate) fn write(results: &Results, charts: &[Chart]) -> Result<String, String> {
    let tables = tables(&results.decisions)?;
    let mut page = String::new();
    // Writing into a string does not fail.
    compose(&mut page, results, &tables, charts).map_err(|error| error.to_string())?;
    Ok(page)
}

/// One path at one number of threads.
struct Table {
    path: &'static Path,
    threads: usize,
    /// The fastest first.
    lines: Vec<Line>,
}

struct Line {
    row: &'static Row,
    ns: Spread,
    /// Its time by the yardstick's.
    to_yardstick: Option<f64>,
    /// Its time by that of our row with a clock as good.
    to_like: Option<Spread>,
}

impl Line {
    /// Its time by that of our row with a clock as good, if it takes less. What would be shown as 1.00
    /// is a draw.
    fn beats_us_by(&self) -> Option<Spread> {
        self.to_like.filter(|ratio| self.row.kind == Kind::Rival && ratio.median < 0.995)
    }
}

fn tables(measured: &Measured) -> Result<Vec<Table>, String> {
    let mut tables: Vec<Table> = Vec::new();
    for id in measured.ids() {
        let (path, row) = (names::path(&id.path)?, names::row(&id.row)?);
        let beside = |name: &str| Id::new(path.name, id.threads, name);
        let Some(ns) = measured.spread(id) else { continue };
        let ratio_to = |name| measured.ratio(id, &beside(name));
        let line = Line {
            row,
            ns,
            to_yardstick: ratio_to(path.yardstick).map(|ratio| ratio.median),
            to_like: row.like.and_then(ratio_to),
        };
        let same = |table: &&mut Table| (table.path.name, table.threads) == (path.name, id.threads);
        match tables.iter_mut().find(same) {
            Some(table) => table.lines.push(line),
            None => tables.push(Table { path, threads: id.threads, lines: vec![line] }),
        }
    }
    for table in &mut tables {
        table.lines.sort_by(|one, other| one.ns.median.total_cmp(&other.ns.median));
    }
    let place = |table: &Table| names::all_paths().position(|path| path.name == table.path.name);
    tables.sort_by_key(|table| (place(table), table.threads));
    Ok(tables)
}

fn compose(
    page: &mut String,
    results: &Results,
    tables: &[Table],
    charts: &[Chart],
) -> fmt::Result {
    writeln!(page, "# Performance\n")?;
    writeln!(page, "<!-- Written by ci/bench-report.sh: do not edit. -->\n")?;
    for sentence in machine::describe(&results.sources) {
        writeln!(page, "* {sentence}")?;
    }
    writeln!(page)?;
    write_targets(page, results)?;
    losses(page, tables)?;
    for path in PATHS {
        let tables = of_paths(tables, slice::from_ref(path));
        write_section(page, path.name, (path.title, path.about), &tables, charts)?;
    }
    for section in SECTIONS {
        let tables = of_paths(tables, section.paths);
        write_section(page, section.name, (section.title, section.about), &tables, charts)?;
        if section.name == striped::SECTION.name {
            striped::write_prediction(page, &results.decisions)?;
        }
    }
    for path in waiting::PATHS {
        let tables = of_paths(tables, slice::from_ref(path));
        write_section(page, path.name, (path.title, path.about), &tables, charts)?;
    }
    waiting::write(page, &results.figures, charts)?;
    keyed::write(page, results, charts)?;
    redis::write(page, &results.figures, charts)?;
    write!(page, "{NOTES}")
}

fn of_paths<'a>(tables: &'a [Table], paths: &[Path]) -> Vec<&'a Table> {
    let is_one = |table: &&Table| paths.iter().any(|path| path.name == table.path.name);
    tables.iter().filter(is_one).collect()
}

/// Nothing, if nothing of it was measured.
fn write_section(
    page: &mut String,
    name: &str,
    (title, about): (&str, &str),
    tables: &[&Table],
    charts: &[Chart],
) -> fmt::Result {
    if tables.is_empty() {
        return Ok(());
    }
    writeln!(page, "## {title}\n\n{about}\n")?;
    for chart in charts.iter().filter(|chart| chart.path == name) {
        writeln!(page, "![{}]({})\n", chart.title, chart.file_name)?;
    }
    let mut told = about;
    for table in tables {
        writeln!(page, "### {}, {}\n", table.path.title, threads(table.threads))?;
        // Once for all numbers of threads.
        if table.path.about != told && !table.path.about.is_empty() {
            told = table.path.about;
            writeln!(page, "{told}\n")?;
        }
        write_table(page, table)?;
    }
    Ok(())
}

fn write_targets(page: &mut String, results: &Results) -> fmt::Result {
    writeln!(page, "## Targets\n")?;
    writeln!(page, "| path | target | than | measured | rounds | |\n|---|---|---|---|---|---|")?;
    for target in targets::all() {
        write!(page, "| {} | {} | {} | ", target.what, target.bound(), target.than_what())?;
        match target.measured(results) {
            Some(measured) => {
                let verdict = if target.is_met_by(measured) { "met" } else { "**missed**" };
                let Spread { lowest, median, highest } = measured;
                let [lowest, median, highest] = [lowest, median, highest].map(|x| target.show(x));
                writeln!(
                    page,
                    "{median}{0} | {lowest} to {highest} | {verdict} |",
                    target.times()
                )?;
            }
            None => writeln!(page, "| | not measured |")?,
        }
    }
    writeln!(page)
}

fn losses(page: &mut String, tables: &[Table]) -> fmt::Result {
    writeln!(page, "## Where flowgate loses\n")?;
    let losses: Vec<_> = tables
        .iter()
        .flat_map(|table| table.lines.iter().map(move |line| (table, line)))
        .filter_map(|(table, line)| Some((table, line.row, line.beats_us_by()?)))
        .collect();
    if losses.is_empty() {
        return writeln!(page, "Nowhere in this run: no rival is faster on a clock as good.\n");
    }
    writeln!(page, "Rivals that are faster than flowgate on a clock as good.\n")?;
    writeln!(page, "| path | threads | rival | its time by flowgate's | in rounds |")?;
    writeln!(page, "|---|--:|---|--:|--:|")?;
    for (table, row, Spread { lowest, median, highest }) in losses {
        let (path, threads, rival) = (table.path.title, table.threads, row.label);
        let rounds = format!("{lowest:.2} to {highest:.2}");
        writeln!(page, "| {path} | {threads} | {rival} | {median:.2} | {rounds} |")?;
    }
    writeln!(page)
}

fn write_table(page: &mut String, table: &Table) -> fmt::Result {
    // What is not known was refused when the tables were made.
    let yardstick = names::row(table.path.yardstick).map_or("", |row| row.label);
    writeln!(
        page,
        "| | clock | ns per decision | in rounds | M decisions/s | time by {yardstick}'s | by flowgate's on a \
         clock as good |\n|---|---|--:|--:|--:|--:|--:|",
    )?;
    for line in &table.lines {
        let (Spread { lowest, median, highest }, Row { label, clock, .. }) = (line.ns, line.row);
        let label = match line.row.kind {
            Kind::Ours => format!("**{label}**"),
            Kind::Floor => format!("*{label}*"),
            Kind::Rival => (*label).to_owned(),
        };
        let to_yardstick = times(line.to_yardstick);
        let to_like = match line.beats_us_by() {
            Some(ratio) => format!("**{:.2}, faster**", ratio.median),
            None => times(line.to_like.map(|ratio| ratio.median)),
        };
        let rounds = format!("{lowest:.1} to {highest:.1}");
        let millions = 1e3 / median;
        writeln!(
            page,
            "| {label} | {clock} | {median:.1} | {rounds} | {millions:.1} | {to_yardstick} | {to_like} |",
        )?;
    }
    writeln!(page)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
}

pub(crate) fn threads(threads: usize) -> String {
    format!("{threads} thread{}", plural(threads))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
