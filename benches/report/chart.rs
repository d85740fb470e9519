//! The charts: bars, drawn as SVG. Text is left to whoever shows the file, so no fonts are needed.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measured::{Id, Measured};
use crate::names::{self, Kind, PATHS, Path};
use crate::page::threads;

/// A chart, and where it belongs.
pub(crate) struct Chart {
    pub(crate) path: &'static str,
    pub(crate) title: String,
    pub(crate) file_name: String,
    pub(crate) svg: String,
}

/// One limiter, with one bar for each number of threads.
struct Bars {
    label: &'static str,
    kind: Kind,
    values: Vec<Option<f64>>,
}

/// For each path the throughput, and for paths with a floor also how far above it one call is.
pub(crate) fn all(measured: &Measured) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    for path in PATHS {
        let ids: Vec<_> = measured.ids().into_iter().filter(|id| id.path == path.name).collect();
        let mut counts: Vec<_> = ids.iter().map(|id| id.threads).collect();
        counts.sort_unstable();
        counts.dedup();
        let mut rows: Vec<_> = ids.iter().map(|id| id.row.as_str()).collect();
        rows.sort_unstable();
        rows.dedup();
        let Some(fewest) = counts.first().copied() else { continue };

        let floors = bars(measured, path, &rows, &[fewest], |ns| ns)?;
        if floors.iter().any(|bars| bars.kind == Kind::Floor) {
            charts.push(Chart {
                path: path.name,
                title: format!("{}: the time of one decision, {}", path.title, threads(fewest)),
                file_name: format!("performance-{}-floor.svg", path.name),
                svg: String::new(),
            });
            let unit = "ns per decision: shorter is better";
            draw(charts.last_mut(), unit, &[fewest], floors)?;
        }

        let mut decisions = bars(measured, path, &rows, &counts, |ns| 1e3 / ns)?;
        // A clock read alone is no decision.
        decisions
            .retain(|bars| bars.kind != Kind::Floor || bars.values.iter().all(Option::is_some));
        decisions.reverse();
        charts.push(Chart {
            path: path.name,
            title: format!("{}: decisions a second on one bucket", path.title),
            file_name: format!("performance-{}.svg", path.name),
            svg: String::new(),
        });
        let unit = "million decisions a second, all threads together: longer is better";
        draw(charts.last_mut(), unit, &counts, decisions)?;
    }
    Ok(charts)
}

/// The bars of each row, the one with the shortest first bar first.
fn bars(
    measured: &Measured,
    path: &Path,
    rows: &[&str],
    counts: &[usize],
    value_of_ns: impl Fn(f64) -> f64,
) -> Result<Vec<Bars>, String> {
    let mut all = Vec::new();
    for name in rows {
        let row = names::row(name)?;
        let value = |threads: &usize| {
            measured.ns(&Id::new(path.name, *threads, name)).map(|ns| value_of_ns(ns.median))
        };
        let values: Vec<_> = counts.iter().map(value).collect();
        if values.iter().any(Option::is_some) {
            all.push(Bars { label: row.label, kind: row.kind, values });
        }
    }
    let first = |bars: &Bars| bars.values[0].unwrap_or(0.0);
    all.sort_by(|one, other| first(one).total_cmp(&first(other)));
    Ok(all)
}

const WIDTH: i32 = 960;
const LEFT: i32 = 250;
/// Leaves room for the number behind the longest bar.
const RIGHT: i32 = WIDTH - 70;
const TOP: i32 = 104;
const BOTTOM: i32 = 56;
const BAR: i32 = 13;
const GAP: i32 = 12;

const TEXT: RGBColor = RGBColor(30, 30, 30);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// Who it is gives the hue, the number of threads the shade.
fn colour(kind: Kind, series: usize) -> RGBColor {
    let shades = match kind {
        Kind::Ours => [RGBColor(16, 66, 148), RGBColor(66, 128, 214), RGBColor(158, 197, 245)],
        Kind::Rival => [RGBColor(86, 86, 86), RGBColor(142, 142, 142), RGBColor(198, 198, 198)],
        Kind::Floor => [RGBColor(38, 112, 44), RGBColor(96, 174, 100), RGBColor(170, 216, 172)],
    };
    shades[series.min(shades.len() - 1)]
}

fn draw(
    chart: Option<&mut Chart>,
    unit: &str,
    counts: &[usize],
    all: Vec<Bars>,
) -> Result<(), String> {
    let Some(chart) = chart else { return Ok(()) };
    let mut svg = String::new();
    paint(&mut svg, &chart.title, unit, counts, &all)
        .map_err(|error| format!("{}: {error}", chart.file_name))?;
    chart.svg = svg;
    Ok(())
}

type Painted = Result<(), Box<dyn std::error::Error>>;

fn paint(svg: &mut String, title: &str, unit: &str, counts: &[usize], all: &[Bars]) -> Painted {
    let block = pixels(counts.len()) * BAR + GAP;
    let end = TOP + pixels(all.len()) * block;
    let height = end + BOTTOM;
    let root = SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), height.unsigned_abs()))
        .into_drawing_area();
    root.fill(&WHITE)?;
    let write = |text: &str, at: (i32, i32), size: i32, side: HPos| {
        let style = ("sans-serif", size).into_font().color(&TEXT);
        root.draw(&Text::new(text.to_owned(), at, style.pos(Pos::new(side, VPos::Center))))
    };

    write(title, (LEFT, 24), 20, HPos::Left)?;
    for (at, (kind, name)) in
        [(Kind::Ours, "flowgate"), (Kind::Rival, "rivals"), (Kind::Floor, "floors")]
            .iter()
            .enumerate()
    {
        if !all.iter().any(|bars| bars.kind == *kind) {
            continue;
        }
        let left = LEFT + pixels(at) * 220;
        for series in 0..counts.len() {
            let left = left + pixels(series) * 18;
            root.draw(&Rectangle::new(
                [(left, 50), (left + 15, 64)],
                colour(*kind, series).filled(),
            ))?;
        }
        write(name, (left + pixels(counts.len()) * 18 + 6, 57), 14, HPos::Left)?;
    }
    let shades: Vec<_> = counts.iter().map(usize::to_string).collect();
    let plural = if counts == [1] { "" } else { "s" };
    let shades = format!("from dark to light: {} thread{plural}", shades.join(", "));
    if counts.len() > 1 {
        write(&shades, (LEFT, 80), 13, HPos::Left)?;
    }

    let longest =
        all.iter().flat_map(|bars| &bars.values).flatten().fold(1e-9, |a: f64, b| a.max(*b));
    let x_of = |value: f64| LEFT + round(f64::from(RIGHT - LEFT) * value / longest);
    let step = step(longest);
    let mut tick = 0.0;
    while tick <= longest {
        let x = x_of(tick);
        root.draw(&PathElement::new([(x, TOP - 6), (x, end)], GRID.stroke_width(1)))?;
        write(&tick.to_string(), (x, end + 14), 13, HPos::Center)?;
        tick += step;
    }
    write(unit, (i32::midpoint(LEFT, RIGHT), end + 38), 14, HPos::Center)?;

    for (at, bars) in all.iter().enumerate() {
        let top = TOP + pixels(at) * block;
        write(bars.label, (LEFT - 10, top + (block - GAP) / 2), 14, HPos::Right)?;
        for (series, value) in bars.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (y, x) = (top + pixels(series) * BAR, x_of(*value));
            let bar = [(LEFT, y), (x, y + BAR - 1)];
            root.draw(&Rectangle::new(bar, colour(bars.kind, series).filled()))?;
            write(&format!("{value:.1}"), (x + 5, y + BAR / 2), 12, HPos::Left)?;
        }
    }
    root.present()?;
    drop(root);
    Ok(())
}

/// Where to put the lines of the grid: 1, 2 or 5 times a power of ten, eight of them at most.
fn step(longest: f64) -> f64 {
    let power = 10_f64.powf((longest / 8.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| longest / step <= 8.0)
        .unwrap_or(10.0 * power)
}

/// A handful of things, as a factor of pixels.
fn pixels(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A length on the page, which is below a thousand.
#[allow(clippy::cast_possible_truncation)]
fn round(length: f64) -> i32 {
    length.round() as i32
}
