//! The keyed limiter's part of the page: tables with a column for each number of keys, and the figures of
//! `keyed_report`.

use std::fmt::{self, Write};

use crate::chart::Chart;
use crate::measured::{Id, Measured, Results, Spread};
use crate::names::{self, Kind, ROWS, Row};
use crate::page::threads;
use crate::targets::Unit;
use crate::waiting;

/// How many keys there are, in a benchmark's name and in words.
pub(crate) const SIZES: [(&str, &str); 3] =
    [("100k", "100,000"), ("1m", "1,000,000"), ("10m", "10,000,000")];

/// The path of a figure that was found with so many keys.
pub(crate) fn figure(what: &str, keys: u64) -> String {
    format!("{what}_{keys}")
}

/// Words, not measurements.
const ABOUT: &str = "A bucket of 100,000,000 tokens per key, which gains one a second and has spent a \
    million: every call takes a token, no key is ever empty, and none is full, which is when it would be \
    dropped. All limiters hold the same keys and are asked for the same ones in the same order, drawn \
    beforehand. \"flowgate\" is the store that it has by default; \"lock-free\" the other one. Tables \
    show ns per decision, the median and from the lowest round to the highest, and its ratio to flowgate's \
    (×); with two threads that is wall time by the decisions of both.";

/// A table of benchmarks: a line for each limiter, two columns for each benchmark.
struct Grid {
    title: String,
    about: &'static str,
    columns: Vec<Column>,
}

struct Column {
    heading: String,
    path: String,
    threads: usize,
}

fn grids() -> Vec<Grid> {
    let column =
        |heading: String, path: &str, threads| Column { heading, path: path.into(), threads };
    let hot = |path, what: &str| {
        [1, 2].map(|count| column(format!("{what}, {}", threads(count)), path, count))
    };
    let mut grids = vec![Grid {
        title: "One hot key".into(),
        about: "All calls are for the same `u64`. *Denied*: it has one token an hour, which is gone.",
        columns: hot("keyed_hot", "allowed")
            .into_iter()
            .chain(hot("keyed_hot_denied", "denied"))
            .collect(),
    }];
    for (draw, title, about) in [
        ("uniform", "Many keys, uniform", "All `u64` keys are asked for alike."),
        (
            "zipf",
            "Many keys, Zipf",
            "The `u64` key of rank k is asked for as often as 1/k: of a million, the first is one call in 14.",
        ),
    ] {
        for count in [1, 2] {
            let columns = SIZES.map(|(size, keys)| {
                column(format!("{keys} keys"), &format!("keyed_{draw}_{size}"), count)
            });
            let title = format!("{title}, {}", threads(count));
            grids.push(Grid { title, about, columns: columns.into() });
        }
    }
    grids.push(Grid {
        title: "Strings".into(),
        about: "A million `String`s of 16 to 40 bytes, asked for alike, by a copy of each.",
        columns: [1, 2].map(|count| column(threads(count), "keyed_names_1m", count)).into(),
    });
    grids.push(Grid {
        title: "A handle".into(),
        about: "A key that was found once, beside a limiter that has no keys.",
        columns: vec![column(threads(1), "keyed_handle", 1)],
    });
    grids
}

pub(crate) fn write(page: &mut String, results: &Results, charts: &[Chart]) -> fmt::Result {
    let is_keyed = |id: &&Id| names::KEYED_PATHS.iter().any(|path| path.name == id.path);
    let is_figure = |id: &&Id| !id.path.starts_with(waiting::PREFIX);
    let has_figures = results.figures.ids().iter().any(is_figure);
    if !results.decisions.ids().iter().any(is_keyed) && !has_figures {
        return Ok(());
    }
    writeln!(page, "## Keyed\n\n{ABOUT}\n")?;
    for chart in charts.iter().filter(|chart| chart.path == "keyed") {
        writeln!(page, "![{}]({})\n", chart.title, chart.file_name)?;
    }
    for grid in grids() {
        write_grid(page, &grid, &results.decisions)?;
    }
    if has_figures {
        memory(page, &results.figures, charts)?;
        slowest(page, &results.figures)?;
        flood(page, &results.figures)?;
    }
    Ok(())
}

fn write_grid(page: &mut String, grid: &Grid, decisions: &Measured) -> fmt::Result {
    let place = |column: &Column, row: &str| Id::new(&column.path, column.threads, row);
    let ns = |column: &Column, row: &Row| decisions.spread(&place(column, row.name));
    let is_measured = |row: &&Row| grid.columns.iter().any(|column| ns(column, row).is_some());
    let mut rows: Vec<_> = ROWS.iter().filter(is_measured).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let first =
        |row: &Row| grid.columns.iter().find_map(|column| ns(column, row)).map(|ns| ns.median);
    rows.sort_by(|one, other| {
        first(one).partial_cmp(&first(other)).unwrap_or(std::cmp::Ordering::Equal)
    });

    let Grid { title, about, columns } = grid;
    writeln!(page, "### {title}\n\n{about}\n")?;
    write!(page, "| | clock |")?;
    columns.iter().try_for_each(|column| write!(page, " {} | × |", column.heading))?;
    write!(page, "\n|---|---|")?;
    columns.iter().try_for_each(|_| write!(page, "--:|--:|"))?;
    writeln!(page)?;
    for row in rows {
        write!(page, "| {} | {} |", emphasised(row), row.clock)?;
        for column in columns {
            let shown =
                ns(column, row).map_or(String::new(), |Spread { lowest, median, highest }| {
                    format!("{median:.1} ({lowest:.1} to {highest:.1})")
                });
            let yardstick = names::path(&column.path).map_or("keyed", |path| path.yardstick);
            let ratio = decisions.ratio(&place(column, row.name), &place(column, yardstick));
            let ratio = match ratio.map(|ratio| ratio.median) {
                Some(ratio) if row.kind == Kind::Rival && ratio < 0.995 => {
                    format!("**{ratio:.2}, faster**")
                }
                Some(ratio) => format!("{ratio:.2}"),
                None => String::new(),
            };
            write!(page, " {shown} | {ratio} |")?;
        }
        writeln!(page)?;
    }
    writeln!(page)
}

fn memory(page: &mut String, figures: &Measured, charts: &[Chart]) -> fmt::Result {
    writeln!(page, "### Memory\n")?;
    writeln!(
        page,
        "What the resident set of a process of its own grows by, divided by the number of `u64` keys.\n"
    )?;
    for chart in charts.iter().filter(|chart| chart.path == "keyed_memory") {
        writeln!(page, "![{}]({})\n", chart.title, chart.file_name)?;
    }
    let columns = [("resident", 1_000_000), ("resident", 10_000_000)];
    let headings = ["1,000,000 keys", "10,000,000 keys"];
    figure_table(page, figures, &headings, &columns, Unit::Bytes)
}

fn slowest(page: &mut String, figures: &Measured) -> fmt::Result {
    writeln!(page, "### The slowest call\n")?;
    writeln!(
        page,
        "10,000,000 `u64` keys are inserted, each call timed by itself; and 10,000,000 that have all become \
         full again are dropped while as many others come. p99.99 is what all but one call in 10,000 \
         stay within. Rivals do not drop keys that are full as others come, so they have no such numbers. \
         *The machine*: eight times as many readings of the clock with nothing between. What it does to \
         those it does to all.\n"
    )?;
    let many = 10_000_000;
    let columns = [
        ("insert_p9999_ns", many),
        ("insert_worst_ns", many),
        ("expire_p9999_ns", many),
        ("expire_worst_ns", many),
    ];
    let headings = ["inserted, p99.99", "worst", "expire, p99.99", "worst"];
    figure_table(page, figures, &headings, &columns, Unit::Time)
}

pub(crate) fn figure_table(
    page: &mut String,
    figures: &Measured,
    headings: &[&str],
    columns: &[(&str, u64)],
    unit: Unit,
) -> fmt::Result {
    let found = |row: &Row, (what, keys): (&str, u64)| {
        figures.spread(&Id::new(&figure(what, keys), 1, row.name))
    };
    writeln!(page, "| | {} |\n|---|{}", headings.join(" | "), "--:|".repeat(headings.len()))?;
    for row in ROWS {
        let cells: Vec<_> = columns.iter().map(|column| found(row, *column)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        write!(page, "| {} |", emphasised(row))?;
        for cell in cells {
            let shown = cell.map_or(String::new(), |Spread { lowest, median, highest }| {
                let [lowest, median, highest] = [lowest, median, highest].map(|x| unit.show(x));
                format!("{median} ({lowest} to {highest})")
            });
            write!(page, " {shown} |")?;
        }
        writeln!(page)?;
    }
    writeln!(page)
}

/// The flood of each store, in a sentence: they differ in their number of keys.
fn flood(page: &mut String, figures: &Measured) -> fmt::Result {
    let mut floods: Vec<_> = figures
        .ids()
        .into_iter()
        .filter_map(|id| Some((id, id.path.strip_prefix("flood_keys_a_second_")?)))
        .collect();
    floods.sort_by_key(|(id, _)| ROWS.iter().position(|row| row.name == id.row));
    if floods.is_empty() {
        return Ok(());
    }
    writeln!(page, "### A flood\n")?;
    writeln!(
        page,
        "Keys that come once each, from all cores, into a limiter with room for 100,000 (`max_keys`, and \
         `WhenFull::Share`), on the system's clock. A victim owes 700 tokens when it begins, repaid at one a \
         second; its debt is asked for at the end, and held against the time to the nanosecond.\n"
    )?;
    writeln!(
        page,
        "| | keys | M keys/s | memory before | with 100,000 keys | at its highest | the debt is off by |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    )?;
    for (id, keys) in floods {
        let median = |what: &str| {
            let id = Id::new(&format!("{what}_{keys}"), id.threads, &id.row);
            figures.spread(&id).map(|spread| spread.median)
        };
        let label = names::row(&id.row).map_or(id.row.clone(), emphasised);
        let speed = median("flood_keys_a_second").unwrap_or(0.0) / 1e6;
        write!(page, "| {label} | {} | {speed:.2} |", grouped(keys))?;
        for what in ["flood_resident_before", "flood_resident_full", "flood_resident_highest"] {
            let bytes = median(what);
            write!(page, " {} |", bytes.map_or(String::new(), |b| format!("{:.1} MB", b / 1e6)))?;
        }
        let (off, unit) = (median("flood_debt_off"), median("flood_unit"));
        let off = off.zip(unit).map(|(off, unit)| format!("{off:.6}, of a unit of {unit}"));
        writeln!(page, " {} |", off.unwrap_or_default())?;
    }
    writeln!(page)
}

fn emphasised(row: &Row) -> String {
    match row.kind {
        Kind::Ours => format!("**{}**", row.label),
        Kind::Floor => format!("*{}*", row.label),
        Kind::Rival => row.label.to_owned(),
    }
}

/// Writes `1,234,567`.
pub(crate) fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
