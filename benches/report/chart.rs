//! The charts: which there are, and what they are made of.

use crate::algorithms::{ANSWERS, GIVEN, GIVEN_SHADES, ON_CLOCK};
use crate::bars::{self, Bars, Captions, Painted};
use crate::keyed::{SIZES, figure};
use crate::lines::{self, Line, Panel};
use crate::measured::{Id, Measured, Results};
use crate::names::{self, Kind, PATHS, Path, ROWS};
use crate::page::threads;
use crate::{http, redis, scaling, striped, waiting};

/// A chart, and where it belongs.
pub(crate) struct Chart {
    pub(crate) path: &'static str,
    pub(crate) title: String,
    pub(crate) file_name: String,
    pub(crate) svg: String,
}

/// Those of the direct limiter, those of its algorithms, and then those of the keyed one.
pub(crate) fn all(results: &Results) -> Result<Vec<Chart>, String> {
    let mut charts = direct(&results.decisions)?;
    charts.extend(striped(&results.decisions)?);
    charts.extend(algorithms_given(&results.decisions)?);
    charts.extend(algorithms_on_clock(&results.decisions)?);
    charts.extend(http(&results.decisions)?);
    charts.extend(by_number_of_keys(&results.decisions)?);
    charts.extend(memory(&results.figures)?);
    for (name, captions, bars) in waiting::bars(&results.figures) {
        let file_name = format!("performance-waiting-{name}.svg");
        charts.push(of_bars("waiting", file_name, &captions, &bars)?);
    }
    if let Some((captions, bars)) = redis::bars(&results.figures) {
        charts.push(of_bars("redis", "performance-redis.svg".into(), &captions, &bars)?);
    }
    Ok(charts)
}

/// For each path the throughput, and for paths with a floor also how far above it one call is.
fn direct(measured: &Measured) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    for path in PATHS.iter().chain(waiting::PATHS) {
        let ids: Vec<_> = measured.ids().into_iter().filter(|id| id.path == path.name).collect();
        let mut counts: Vec<_> = ids.iter().map(|id| id.threads).collect();
        counts.sort_unstable();
        counts.dedup();
        let rows = rows_of(measured, &[path.name]);
        let Some(fewest) = counts.first().copied() else { continue };

        let floors = bars(measured, path, &rows, &[fewest], |ns| ns)?;
        if floors.iter().any(|bars| bars.kind == Kind::Floor) {
            let title = format!("{}: the time of one decision, {}", path.title, threads(fewest));
            let unit = "ns per decision: shorter is better";
            let captions = Captions { title: &title, unit, series: 1, shades: "" };
            let file_name = format!("performance-{}-floor.svg", path.name);
            charts.push(of_bars(path.name, file_name, &captions, &floors)?);
        }

        let mut decisions = bars(measured, path, &rows, &counts, |ns| 1e3 / ns)?;
        // A clock read alone is no decision.
        decisions
            .retain(|bars| bars.kind != Kind::Floor || bars.values.iter().all(Option::is_some));
        decisions.reverse();
        let shown: Vec<_> = counts.iter().map(usize::to_string).collect();
        let plural = if counts == [1] { "" } else { "s" };
        let captions = Captions {
            title: &format!("{}: decisions a second on one bucket", path.title),
            unit: "million decisions a second, all threads together: longer is better",
            series: counts.len(),
            shades: &format!("{} thread{plural}", shown.join(", ")),
        };
        let file_name = format!("performance-{}.svg", path.name.replace('_', "-"));
        charts.push(of_bars(path.name, file_name, &captions, &decisions)?);
    }
    Ok(charts)
}

/// How one limit goes with threads, and with cores.
fn striped(measured: &Measured) -> Result<Option<Chart>, String> {
    let curves = striped::curves(measured)?;
    if curves.is_empty() {
        return Ok(None);
    }
    let title = "One limit, allowed: million decisions a second, all threads together";
    let file_name = "performance-striped-scaling.svg".into();
    chart(striped::SECTION.name, title, file_name, |svg| scaling::paint(svg, title, &curves))
        .map(Some)
}

/// Our algorithms beside each other.
fn algorithms_given(measured: &Measured) -> Result<Option<Chart>, String> {
    let places = GIVEN_SHADES.map(|path| (path, 1));
    let bars = bars_at(measured, &places, &rows_of(measured, &GIVEN_SHADES), |ns| ns)?;
    if bars.is_empty() {
        return Ok(None);
    }
    let captions = Captions {
        title: "Algorithms: the time of one decision, the time given, 1 thread",
        unit: "ns per decision: shorter is better",
        series: places.len(),
        shades: "allowed, time moving; allowed, time standing still; denied",
    };
    of_bars(GIVEN.name, "performance-algorithms-given.svg".into(), &captions, &bars).map(Some)
}

/// Our algorithms beside those of others: a chart for each answer, in the order of the page.
fn algorithms_on_clock(measured: &Measured) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    for (answer, title) in ANSWERS {
        let mut all = Vec::new();
        for path in ON_CLOCK.paths.iter().filter(|path| path.name.ends_with(answer)) {
            let places = [1, 2].map(|threads| (path.name, threads));
            let rows = rows_of(measured, &[path.name]);
            let mut bars = bars_at(measured, &places, &rows, |ns| 1e3 / ns)?;
            bars.reverse();
            all.extend(bars);
        }
        if all.is_empty() {
            continue;
        }
        let captions = Captions {
            title: &format!("Algorithms, {title}: decisions a second on one limiter"),
            unit: "million decisions a second, all threads together: longer is better",
            series: 2,
            shades: "1, 2 threads",
        };
        let file_name = format!("performance-algorithms-{answer}.svg");
        charts.push(of_bars(ON_CLOCK.name, file_name, &captions, &all)?);
    }
    Ok(charts)
}

/// Layers beside each other.
fn http(measured: &Measured) -> Result<Option<Chart>, String> {
    let paths = ["http_allowed", "http_denied"];
    let places = paths.map(|path| (path, 1));
    let bars = bars_at(measured, &places, &rows_of(measured, &paths), |ns| ns)?;
    if bars.is_empty() {
        return Ok(None);
    }
    let captions = Captions {
        title: "A layer around a service that does nothing: the time of one request, 1 thread",
        unit: "ns per request: shorter is better",
        series: places.len(),
        shades: "allowed; denied",
    };
    of_bars(http::SECTION.name, "performance-http.svg".into(), &captions, &bars).map(Some)
}

/// What was measured in any of these paths.
fn rows_of<'a>(measured: &'a Measured, paths: &[&str]) -> Vec<&'a str> {
    let ids = measured.ids().into_iter().filter(|id| paths.contains(&id.path.as_str()));
    let mut rows: Vec<_> = ids.map(|id| id.row.as_str()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The bars of each row, the one with the shortest first bar first.
fn bars(
    measured: &Measured,
    path: &Path,
    rows: &[&str],
    counts: &[usize],
    value_of_ns: impl Fn(f64) -> f64,
) -> Result<Vec<Bars>, String> {
    let places: Vec<_> = counts.iter().map(|threads| (path.name, *threads)).collect();
    bars_at(measured, &places, rows, value_of_ns)
}

/// [`bars`], of several paths and numbers of threads.
fn bars_at(
    measured: &Measured,
    places: &[(&str, usize)],
    rows: &[&str],
    value_of_ns: impl Fn(f64) -> f64,
) -> Result<Vec<Bars>, String> {
    let mut all = Vec::new();
    for name in rows {
        let row = names::row(name)?;
        let value = |(path, threads): &(&str, usize)| {
            measured.spread(&Id::new(path, *threads, name)).map(|ns| value_of_ns(ns.median))
        };
        let values: Vec<_> = places.iter().map(value).collect();
        if values.iter().any(Option::is_some) {
            all.push(Bars { label: row.label, kind: row.kind, values });
        }
    }
    all.sort_by(|one, other| first(one).total_cmp(&first(other)));
    Ok(all)
}

fn first(bars: &Bars) -> f64 {
    bars.values.first().copied().flatten().unwrap_or(0.0)
}

/// The time of a decision by the number of keys: uniform and Zipf, with a panel for each number of threads.
fn by_number_of_keys(measured: &Measured) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    for (draw, title) in [("uniform", "uniform"), ("zipf", "Zipf")] {
        let panels = [1, 2].map(|count| {
            let line = |row: &'static names::Row| {
                let ns = |size| {
                    measured.spread(&Id::new(&format!("keyed_{draw}_{size}"), count, row.name))
                };
                let values = SIZES.map(|(size, _)| ns(size).map(|ns| ns.median));
                Line { label: row.label, kind: row.kind, values }
            };
            let lines = ROWS.iter().filter(|row| row.kind != Kind::Floor).map(line);
            let lines = lines.filter(|line| line.values.iter().any(Option::is_some)).collect();
            Panel { title: threads(count), lines }
        });
        if panels.iter().all(|panel| panel.lines.is_empty()) {
            continue;
        }
        let title = format!("Keyed, {title}: ns per decision by number of keys, lower is better");
        let file_name = format!("performance-keyed-{draw}.svg");
        charts.push(chart("keyed", &title, file_name, |svg| {
            lines::paint(svg, &title, &SIZES.map(|(_, keys)| keys), &panels)
        })?);
    }
    Ok(charts)
}

fn memory(figures: &Measured) -> Result<Option<Chart>, String> {
    let bytes = |keys, row| {
        figures.spread(&Id::new(&figure("resident", keys), 1, row)).map(|bytes| bytes.median)
    };
    let values = |row| vec![bytes(1_000_000, row), bytes(10_000_000, row)];
    let mut bars: Vec<_> = ROWS
        .iter()
        .map(|row| Bars { label: row.label, kind: row.kind, values: values(row.name) })
        .filter(|bars| bars.values.iter().any(Option::is_some))
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    bars.sort_by(|one, other| first(one).total_cmp(&first(other)));
    let captions = Captions {
        title: "Keyed: resident memory of a u64 key",
        unit: "bytes per key: shorter is better",
        series: 2,
        shades: "1,000,000 and 10,000,000 keys",
    };
    of_bars("keyed_memory", "performance-keyed-memory.svg".into(), &captions, &bars).map(Some)
}

fn of_bars(
    path: &'static str,
    file_name: String,
    captions: &Captions,
    all: &[Bars],
) -> Result<Chart, String> {
    chart(path, captions.title, file_name, |svg| bars::paint(svg, captions, all))
}

fn chart(
    path: &'static str,
    title: &str,
    file_name: String,
    paint: impl FnOnce(&mut String) -> Painted,
) -> Result<Chart, String> {
    let mut svg = String::new();
    paint(&mut svg).map_err(|error| format!("{file_name}: {error}"))?;
    Ok(Chart { path, title: title.to_owned(), file_name, svg })
}
