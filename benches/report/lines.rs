//! Charts of lines over the number of keys, side by side, drawn as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bars::{GRID, Painted, TEXT, WIDTH, pixels, round, step};
use crate::names::Kind;

/// One limiter.
pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) values: [Option<f64>; 3],
}

/// One set of axes. All panels of a chart have the same scale.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

const TOP: i32 = 84;
const BOTTOM: i32 = 404;
const HEIGHT: i32 = 460;

/// Within a panel: numbers to the left of the axes, labels to the right of them.
const NUMBERS: i32 = 50;
const LABELS: i32 = 190;

/// Two labels are not closer.
const LABEL_HEIGHT: i32 = 15;

/// Who it is gives the hue, which of them the shade.
fn colour(kind: Kind, which: usize) -> RGBColor {
    let shades = match kind {
        Kind::Ours => [RGBColor(16, 66, 148), RGBColor(82, 146, 226), RGBColor(158, 197, 245)],
        Kind::Rival => [RGBColor(196, 88, 16), RGBColor(128, 128, 128), RGBColor(182, 182, 182)],
        Kind::Floor => [RGBColor(38, 112, 44), RGBColor(96, 174, 100), RGBColor(170, 216, 172)],
    };
    shades[which.min(shades.len() - 1)]
}

/// `places` are the places on the x axis, which are a power of ten apart: so it is logarithmic.
pub(crate) fn paint(
    svg: &mut String,
    title: &str,
    places: &[&str; 3],
    panels: &[Panel],
) -> Painted {
    let root = SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs()))
        .into_drawing_area();
    root.fill(&WHITE)?;
    let write = |text: &str, at: (i32, i32), size: i32, side: HPos| {
        let style = ("sans-serif", size).into_font().color(&TEXT);
        root.draw(&Text::new(text.to_owned(), at, style.pos(Pos::new(side, VPos::Center))))
    };
    write(title, (NUMBERS, 24), 20, HPos::Left)?;

    let values = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| line.values);
    let highest = values.flatten().fold(1e-9, f64::max);
    let y_of = |value: f64| BOTTOM - round(f64::from(BOTTOM - TOP) * value / highest);
    for (at, panel) in panels.iter().enumerate() {
        let width = WIDTH / pixels(panels.len());
        let (left, right) = (pixels(at) * width + NUMBERS, (pixels(at) + 1) * width - LABELS);
        let x_of = |place: usize| left + (right - left) * pixels(place) / pixels(places.len() - 1);
        write(&panel.title, (i32::midpoint(left, right), 62), 15, HPos::Center)?;

        let step = step(highest);
        let mut tick = 0.0;
        while tick <= highest {
            let y = y_of(tick);
            root.draw(&PathElement::new([(left, y), (right, y)], GRID.stroke_width(1)))?;
            write(&tick.to_string(), (left - 8, y), 13, HPos::Right)?;
            tick += step;
        }
        for (place, text) in places.iter().enumerate() {
            let x = x_of(place);
            root.draw(&PathElement::new([(x, TOP), (x, BOTTOM)], GRID.stroke_width(1)))?;
            write(text, (x, BOTTOM + 14), 12, HPos::Center)?;
        }
        write("keys", (i32::midpoint(left, right), BOTTOM + 36), 13, HPos::Center)?;

        let mut labels = Vec::new();
        for (at, line) in panel.lines.iter().enumerate() {
            let which = panel.lines[..at].iter().filter(|before| before.kind == line.kind).count();
            let colour = colour(line.kind, which);
            let points: Vec<_> = line
                .values
                .iter()
                .enumerate()
                .filter_map(|(place, value)| Some((x_of(place), y_of((*value)?))))
                .collect();
            root.draw(&PathElement::new(points.clone(), colour.stroke_width(2)))?;
            for point in &points {
                root.draw(&Circle::new(*point, 4, colour.filled()))?;
            }
            if let Some((x, y)) = points.last() {
                labels.push((*y, *x, line.label, colour));
            }
        }
        // From the bottom up, each above the one before.
        labels.sort_by_key(|(y, ..)| std::cmp::Reverse(*y));
        let mut lowest = i32::MAX;
        for (y, x, label, colour) in labels {
            let at = y.min(lowest);
            lowest = at - LABEL_HEIGHT;
            root.draw(&PathElement::new([(x + 6, y), (x + 14, at)], colour.stroke_width(1)))?;
            write(label, (x + 18, at), 13, HPos::Left)?;
        }
    }
    root.present()?;
    drop(root);
    Ok(())
}
