//! Charts of bars, drawn as SVG. Text is left to whoever shows the file, so no fonts are needed.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::names::Kind;

/// One limiter, with one bar for each series: each number of threads, or of keys.
pub(crate) struct Bars {
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) values: Vec<Option<f64>>,
}

/// What is written around the bars.
pub(crate) struct Captions<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// The number of series.
    pub(crate) series: usize,
    /// What tells them apart, if they are several.
    pub(crate) shades: &'a str,
}

pub(crate) const WIDTH: i32 = 960;
const LEFT: i32 = 250;
/// Leaves room for the number behind the longest bar.
const RIGHT: i32 = WIDTH - 70;
const TOP: i32 = 104;
const BOTTOM: i32 = 56;
const BAR: i32 = 13;
const GAP: i32 = 12;

pub(crate) const TEXT: RGBColor = RGBColor(30, 30, 30);
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);

/// Who it is gives the hue, the number of threads the shade.
fn colour(kind: Kind, series: usize) -> RGBColor {
    let shades = match kind {
        Kind::Ours => [RGBColor(16, 66, 148), RGBColor(66, 128, 214), RGBColor(158, 197, 245)],
        Kind::Rival => [RGBColor(86, 86, 86), RGBColor(142, 142, 142), RGBColor(198, 198, 198)],
        Kind::Floor => [RGBColor(38, 112, 44), RGBColor(96, 174, 100), RGBColor(170, 216, 172)],
    };
    shades[series.min(shades.len() - 1)]
}

pub(crate) type Painted = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn paint(svg: &mut String, captions: &Captions, all: &[Bars]) -> Painted {
    let Captions { title, unit, series: count, shades } = *captions;
    let block = pixels(count) * BAR + GAP;
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
        for series in 0..count {
            let left = left + pixels(series) * 18;
            root.draw(&Rectangle::new(
                [(left, 50), (left + 15, 64)],
                colour(*kind, series).filled(),
            ))?;
        }
        write(name, (left + pixels(count) * 18 + 6, 57), 14, HPos::Left)?;
    }
    if count > 1 {
        let shades = format!("from dark to light: {shades}");
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
pub(crate) fn step(longest: f64) -> f64 {
    let power = 10_f64.powf((longest / 8.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| longest / step <= 8.0)
        .unwrap_or(10.0 * power)
}

/// A handful of things, as a factor of pixels.
pub(crate) fn pixels(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A length on the page, which is below a thousand.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn round(length: f64) -> i32 {
    length.round() as i32
}
