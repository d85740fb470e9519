//! The part of the page on decisions in Redis: the figures of `benches/redis.rs`.

use std::fmt::{self, Write};

use crate::bars::{Bars, Captions};
use crate::chart::Chart;
use crate::keyed::{figure, figure_table};
use crate::measured::{Id, Measured};
use crate::names::{Kind, ROWS};
use crate::targets::{Bound, Target, Unit};

/// What the names of all its figures begin with.
const PREFIX: &str = "redis_";

/// How many calls are under way at once.
const IN_FLIGHT: [u64; 2] = [64, 1];

const ABOUT: &str = "Each decision is a script, and a round trip over the loopback, on one connection that all calls share; 1,000 keys \
    that never run dry. The server is kept to one core and its client to another. All rows have the same client, and scripts of \
    others are called as it offers it. \"A hash\" is a token bucket in two fields, \"GCRA on a float\" the algorithm of \
    go-redis/redis_rate; both are written for this. *GET of nothing* is what a round trip takes that decides nothing.";

const ABOUT_SERVER: &str = "With 64 calls in flight, what the server says it used of its processor. A server has one core for \
    scripts, so this is what bounds all its clients together.";

const ABOUT_LOCAL: &str = "Decisions on tokens that are leased from the server, on one thread, and beside them those of a process \
    alone, which have no server. See `docs/leases.md`.";

/// If nothing of it was measured, it says so.
pub(crate) fn write(page: &mut String, figures: &Measured, charts: &[Chart]) -> fmt::Result {
    writeln!(page, "## In Redis\n")?;
    if !figures.ids().iter().any(|id| id.path.starts_with(PREFIX)) {
        return writeln!(page, "Not measured: it needs a `redis-server`.\n");
    }
    writeln!(page, "{ABOUT}\n")?;
    for chart in charts.iter().filter(|chart| chart.path == "redis") {
        writeln!(page, "![{}]({})\n", chart.title, chart.file_name)?;
    }
    writeln!(page, "### Decisions a second\n")?;
    let headings = ["64 in flight", "one after the other"];
    let columns = IN_FLIGHT.map(|calls| ("redis_per_second", calls));
    figure_table(page, figures, &headings, &columns, Unit::PerSecond)?;
    writeln!(page, "### Of the server's core\n\n{ABOUT_SERVER}\n")?;
    figure_table(page, figures, &["a decision"], &[("redis_server_ns", 64)], Unit::Time)?;
    writeln!(page, "### Leased\n\n{ABOUT_LOCAL}\n")?;
    figure_table(page, figures, &["a decision"], &[("redis_local_ns", 1)], Unit::Time)
}

/// A bar for each script.
pub(crate) fn bars(figures: &Measured) -> Option<(Captions<'static>, Vec<Bars>)> {
    let per_second = |calls, row| {
        let id = Id::new(&figure("redis_per_second", calls), 1, row);
        Some(figures.spread(&id)?.median / 1e3)
    };
    let mut bars: Vec<_> = ROWS
        .iter()
        // What decides nothing is no decision.
        .filter(|row| row.kind != Kind::Floor)
        .map(|row| Bars {
            label: row.label,
            kind: row.kind,
            values: IN_FLIGHT.map(|calls| per_second(calls, row.name)).to_vec(),
        })
        .filter(|bars| bars.values.iter().any(Option::is_some))
        .collect();
    bars.sort_by(|one, other| {
        other.values[0].partial_cmp(&one.values[0]).unwrap_or(std::cmp::Ordering::Equal)
    });
    let captions = Captions {
        title: "In Redis: decisions a second on one connection",
        unit: "thousand decisions a second: longer is better",
        series: IN_FLIGHT.len(),
        shades: "64 in flight; one after the other",
    };
    (!bars.is_empty()).then_some((captions, bars))
}

pub(crate) fn targets() -> Vec<Target> {
    let path = figure("redis_per_second", 64);
    [
        ("redis_hash", "a hash: HMGET, HSET, PEXPIRE", 1.15),
        ("redis_gcra_float", "redis_rate's GCRA", 0.9),
    ]
    .map(|(rival, name, times)| {
        Target::ratio(
            "Redis, a token bucket, 64 in flight",
            Bound::RateAtLeast(times),
            (&path, 1, "redis_bucket"),
            (&path, 1, rival),
            name,
        )
    })
    .into()
}
