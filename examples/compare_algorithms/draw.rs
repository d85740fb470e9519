//! A page of SVG. Text is left to whoever shows the file, so no fonts are needed.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(crate) const TEXT: RGBColor = RGBColor(30, 30, 30);
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);
pub(crate) const ADMITTED: RGBColor = RGBColor(36, 98, 184);
pub(crate) const REJECTED: RGBColor = RGBColor(240, 192, 156);
pub(crate) const ABOVE: RGBColor = RGBColor(196, 88, 16);
pub(crate) const MEAN: RGBColor = RGBColor(96, 96, 96);
pub(crate) const LONGEST: RGBColor = RGBColor(206, 206, 206);
pub(crate) const LIMIT: RGBColor = RGBColor(176, 20, 20);

pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

pub(crate) struct Page<'a> {
    root: DrawingArea<SVGBackend<'a>, Shift>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(
        svg: &'a mut String,
        width: i32,
        height: i32,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        Ok(Self { root })
    }

    /// Writes text that begins, ends or is centred there.
    pub(crate) fn text(&self, text: &str, at: (i32, i32), size: i32, side: HPos) -> Drawn {
        let style = ("sans-serif", size).into_font().color(&TEXT);
        let style = style.pos(Pos::new(side, VPos::Center));
        Ok(self.root.draw(&Text::new(text.to_owned(), at, style))?)
    }

    pub(crate) fn line(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
        Ok(self.root.draw(&PathElement::new([from, to], colour.stroke_width(1)))?)
    }

    pub(crate) fn bar(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
        Ok(self.root.draw(&Rectangle::new([from, to], colour.filled()))?)
    }

    pub(crate) fn area(&self, outline: Vec<(i32, i32)>, colour: RGBColor) -> Drawn {
        Ok(self.root.draw(&Polygon::new(outline, colour.filled()))?)
    }

    pub(crate) fn finish(&self) -> Drawn {
        Ok(self.root.present()?)
    }
}

/// `length` × `part` / `whole`, on a page which is some thousand pixels long.
pub(crate) fn share(length: i32, part: u128, whole: u128) -> i32 {
    let length = u128::from(length.unsigned_abs());
    i32::try_from((length * part + whole / 2) / whole.max(1)).unwrap_or(i32::MAX)
}
