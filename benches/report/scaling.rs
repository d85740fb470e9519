//! A chart of throughput by number of threads and cores, drawn as SVG: what was measured, and what that predicts.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bars::{GRID, Painted, TEXT, WIDTH, pixels, round};
use crate::names::Kind;

/// One limiter.
pub(crate) struct Curve {
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    /// Measured, by number of threads.
    pub(crate) points: Vec<Point>,
    /// Predicted, by number of cores.
    pub(crate) predicted: Vec<Point>,
}

#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) count: usize,
    pub(crate) millions: f64,
}

const TOP: i32 = 84;
const BOTTOM: i32 = 424;
const HEIGHT: i32 = 480;
const NUMBERS: i32 = 66;
const LABELS: i32 = 190;
/// Both axes are logarithmic.
const COUNTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const LABEL_HEIGHT: i32 = 15;

fn colour(kind: Kind, which: usize) -> RGBColor {
    let shades = match kind {
        Kind::Ours => [RGBColor(16, 66, 148), RGBColor(82, 146, 226), RGBColor(158, 197, 245)],
        _ => [RGBColor(196, 88, 16), RGBColor(128, 128, 128), RGBColor(182, 182, 182)],
    };
    shades[which.min(shades.len() - 1)]
}

/// Two panels of one scale: measured threads, predicted cores.
pub(crate) fn paint(svg: &mut String, title: &str, curves: &[Curve]) -> Painted {
    let root = SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs()))
        .into_drawing_area();
    root.fill(&WHITE)?;
    let write = |text: &str, at: (i32, i32), size: i32, side: HPos| {
        let style = ("sans-serif", size).into_font().color(&TEXT);
        root.draw(&Text::new(text.to_owned(), at, style.pos(Pos::new(side, VPos::Center))))
    };
    write(title, (NUMBERS, 24), 20, HPos::Left)?;

    let all = || curves.iter().flat_map(|curve| curve.points.iter().chain(&curve.predicted));
    let lowest = all().map(|point| point.millions.log10()).fold(f64::MAX, f64::min).floor();
    let highest = all().map(|point| point.millions.log10()).fold(f64::MIN, f64::max).ceil();
    let y_of = |millions: f64| {
        let share = (millions.log10() - lowest) / (highest - lowest).max(1.0);
        BOTTOM - round(f64::from(BOTTOM - TOP) * share)
    };
    let width = WIDTH / 2;
    for (at, (caption, axis, counts)) in [
        ("measured on this machine", "threads", &COUNTS[..4]),
        ("PREDICTED from that, not measured", "cores, one thread each", &COUNTS[..]),
    ]
    .into_iter()
    .enumerate()
    {
        let (left, right) = (pixels(at) * width + NUMBERS, (pixels(at) + 1) * width - LABELS);
        let place = |count: usize| COUNTS.iter().position(|one| *one == count).unwrap_or(0);
        let x_of = |count| left + (right - left) * pixels(place(count)) / pixels(counts.len() - 1);
        write(caption, (i32::midpoint(left, right), 62), 15, HPos::Center)?;
        let mut power = lowest;
        while power <= highest {
            let y = y_of(10_f64.powf(power));
            root.draw(&PathElement::new([(left, y), (right, y)], GRID.stroke_width(1)))?;
            write(&format!("{} M/s", 10_f64.powf(power)), (left - 8, y), 12, HPos::Right)?;
            power += 1.0;
        }
        for count in counts {
            let x = x_of(*count);
            root.draw(&PathElement::new([(x, TOP), (x, BOTTOM)], GRID.stroke_width(1)))?;
            write(&count.to_string(), (x, BOTTOM + 14), 12, HPos::Center)?;
        }
        write(axis, (i32::midpoint(left, right), BOTTOM + 36), 13, HPos::Center)?;

        let mut labels = Vec::new();
        for (number, curve) in curves.iter().enumerate() {
            let which = curves[..number].iter().filter(|before| before.kind == curve.kind).count();
            let colour = colour(curve.kind, which);
            let of_panel = if at == 0 { &curve.points } else { &curve.predicted };
            let points: Vec<_> =
                of_panel.iter().map(|point| (x_of(point.count), y_of(point.millions))).collect();
            if at == 0 {
                root.draw(&PathElement::new(points.clone(), colour.stroke_width(2)))?;
            } else {
                for pair in points.windows(2) {
                    for dash in dashes(pair[0], pair[1]) {
                        root.draw(&PathElement::new(dash, colour.stroke_width(2)))?;
                    }
                }
            }
            for point in &points {
                let style = if at == 0 { colour.filled() } else { colour.stroke_width(1) };
                root.draw(&Circle::new(*point, 4, style))?;
            }
            if let Some((x, y)) = points.last() {
                labels.push((*y, *x, curve.label, colour));
            }
        }
        // From the bottom up, each above the one before.
        labels.sort_by_key(|(y, ..)| std::cmp::Reverse(*y));
        let mut lowest_label = i32::MAX;
        for (y, x, label, colour) in labels {
            let at = y.min(lowest_label);
            lowest_label = at - LABEL_HEIGHT;
            root.draw(&PathElement::new([(x + 6, y), (x + 14, at)], colour.stroke_width(1)))?;
            write(label, (x + 18, at), 13, HPos::Left)?;
        }
    }
    root.present()?;
    drop(root);
    Ok(())
}

/// A line in pieces.
fn dashes(from: (i32, i32), to: (i32, i32)) -> impl Iterator<Item = [(i32, i32); 2]> {
    const PIECES: i32 = 9;
    let at = move |piece| {
        (from.0 + (to.0 - from.0) * piece / PIECES, from.1 + (to.1 - from.1) * piece / PIECES)
    };
    (0..PIECES).step_by(2).map(move |piece| [at(piece), at(piece + 1)])
}
