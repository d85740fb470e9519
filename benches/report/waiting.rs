//! The part of the page on waiting: those who need not, from criterion; and the figures of `waiting_report`.

use std::fmt::{self, Write};

use crate::bars::{Bars, Captions};
use crate::chart::Chart;
use crate::keyed::{figure, figure_table, grouped};
use crate::measured::{Id, Measured};
use crate::names::{self, Path, ROWS};
use crate::targets::Unit;

/// In the order of the page.
pub(crate) const PATHS: &[Path] = &[Path {
    name: "waiting_ready",
    title: "Waiting, when there is no need to",
    about: "The bucket of \"Allowed\": a wait for one token is polled once, and over.",
    yardstick: "ready_try",
}];

/// What the names of all its figures begin with.
pub(crate) const PREFIX: &str = "waiting_";

/// How many wait at once.
pub(crate) const CROWDS: [u64; 3] = [1_000, 10_000, 100_000];

const ABOUT: &str = "So many tasks of tokio's, on two threads, wait at one limiter for one token each, by \
    `examples/waiting_report`. It is empty when the first one comes, and may hold what arrives in a second. Each figure \
    is from a process of its own, in which one task has waited before. flowgate has room in debt for all of them, but \
    for the row `max_debt(1,000)`, where most find none, and try again and again. leaky-bucket is refilled every \
    10 ms. governor sleeps on futures-timer and `AnyRuntime` on async-io, each of which has a thread; the \
    others on tokio's own timer.";

/// What a table shows.
struct Table {
    title: &'static str,
    about: &'static str,
    what: &'static str,
    unit: Unit,
}

const TABLES: [Table; 9] = [
    Table {
        title: "Memory",
        about: "What the resident set grows by, divided by the number of those who wait, each of whom is a task.",
        what: "bytes",
        unit: Unit::Bytes,
    },
    Table {
        title: "Memory, the future alone",
        about: "Its size, without what it has elsewhere: a task, an entry in a timer.",
        what: "future_bytes",
        unit: Unit::Bytes,
    },
    Table {
        title: "Lateness of the median",
        about: "As many tokens in a second as there are waiters. How much later somebody is served than the token comes that \
                is theirs by the order of being served.",
        what: "paced_late_median_ns",
        unit: Unit::Time,
    },
    Table {
        title: "Lateness of the last",
        about: "In the same run: all tokens have come after a second.",
        what: "paced_late_last_ns",
        unit: Unit::Time,
    },
    Table {
        title: "Processor time of a wait",
        about: "In the same run, of all threads: to spawn a task, to have it wait, to wake it, and to end it.",
        what: "paced_processor_ns",
        unit: Unit::Time,
    },
    Table {
        title: "A rush: time per decision",
        about: "10,000,000 tokens a second, of which the tasks take 1,000,000, one after the other: no faster than \
                100 ns each.",
        what: "rush_each_ns",
        unit: Unit::Time,
    },
    Table {
        title: "A rush: processor time per decision",
        about: "In the same run.",
        what: "rush_processor_ns",
        unit: Unit::Time,
    },
    Table {
        title: "A flood: time per decision",
        about: "100,000,000 tokens a second, of which the tasks take 10,000,000: what serves is the bottleneck, and hardly \
                anybody waits.",
        what: "flood_each_ns",
        unit: Unit::Time,
    },
    Table {
        title: "A flood: processor time per decision",
        about: "In the same run.",
        what: "flood_processor_ns",
        unit: Unit::Time,
    },
];

/// Nothing, if nothing of it was measured.
pub(crate) fn write(page: &mut String, figures: &Measured, charts: &[Chart]) -> fmt::Result {
    if !figures.ids().iter().any(|id| id.path.starts_with(PREFIX)) {
        return Ok(());
    }
    writeln!(page, "## Waiting, in a crowd\n\n{ABOUT}\n")?;
    for chart in charts.iter().filter(|chart| chart.path == "waiting") {
        writeln!(page, "![{}]({})\n", chart.title, chart.file_name)?;
    }
    let headings = CROWDS.map(|crowd| format!("{} waiters", grouped(&crowd.to_string())));
    let headings = headings.each_ref().map(String::as_str);
    for Table { title, about, what, unit } in TABLES {
        writeln!(page, "### {title}\n\n{about}\n")?;
        let what = format!("{PREFIX}{what}");
        let columns = CROWDS.map(|crowd| (what.as_str(), crowd));
        figure_table(page, figures, &headings, &columns, unit)?;
    }
    unfinished(page, figures)
}

/// Those that did not serve all in time, of which there are no other figures.
fn unfinished(page: &mut String, figures: &Measured) -> fmt::Result {
    for id in figures.ids() {
        let Some(what) = id.path.strip_prefix(PREFIX) else { continue };
        let Some((what, crowd)) = what.split_once("_served_") else { continue };
        let Some(served) = figures.spread(id).map(|served| served.lowest) else { continue };
        if crowd.parse().is_ok_and(|crowd: f64| served < crowd) {
            let label = names::row(&id.row).map_or("", |row| row.label);
            let (crowd, served) = (grouped(crowd), grouped(&served.to_string()));
            writeln!(
                page,
                "* {label}, {what}, of {crowd}: did not finish in 15 s; {served} were served.\n"
            )?;
        }
    }
    Ok(())
}

/// A bar for each limiter, of the largest crowd.
pub(crate) fn bars(figures: &Measured) -> Vec<(&'static str, Captions<'static>, Vec<Bars>)> {
    [
        (
            "memory",
            "bytes",
            "Waiting: resident memory of one of 100,000",
            "bytes: shorter is better",
            1.0,
        ),
        (
            "processor",
            "paced_processor_ns",
            "Waiting: processor time of one of 100,000 in a second",
            "µs: shorter is better",
            1e3,
        ),
    ]
    .into_iter()
    .filter_map(|(name, what, title, unit, by)| {
        let value = |row| {
            let path = figure(&format!("{PREFIX}{what}"), CROWDS[2]);
            Some(figures.spread(&Id::new(&path, 1, row))?.median / by)
        };
        let mut bars: Vec<_> = ROWS
            .iter()
            .filter_map(|row| Some((row, value(row.name)?)))
            .map(|(row, value)| Bars {
                label: row.label,
                kind: row.kind,
                values: vec![Some(value)],
            })
            .collect();
        bars.sort_by(|one, other| {
            one.values[0].partial_cmp(&other.values[0]).unwrap_or(std::cmp::Ordering::Equal)
        });
        let captions = Captions { title, unit, series: 1, shades: "" };
        (!bars.is_empty()).then_some((name, captions, bars))
    })
    .collect()
}
