//! The picture of a trace: a row for each algorithm, with its calls over time, its worst window and its waits.

use std::error::Error;

use plotters::style::text_anchor::HPos;

use crate::arguments::Settings;
use crate::axis::Axis;
use crate::draw::{ABOVE, ADMITTED, Drawn, GRID, LIMIT, LONGEST, MEAN, Page, REJECTED, share};
use crate::replay::Report;
use crate::screen::grouped;
use crate::strip::{Strip, outline};
use crate::table;
use crate::trace::Trace;

const WIDTH: i32 = 960;
const TOP: i32 = 112;
const BOTTOM: i32 = 44;
const ROW: i32 = 54;
/// Of a row, what its strip and bars take.
const STRIP: i32 = 42;

/// The columns: where they begin, and how wide they are.
const NAMES: i32 = 182;
const TIMES: (i32, i32) = (192, 400);
const WORST: (i32, i32) = (622, 130);
const WAITS: (i32, i32) = (820, 128);

struct Frame<'a> {
    page: Page<'a>,
    axis: Axis,
    settings: Settings,
    /// In a part of a strip.
    most_calls: u64,
    most_worst: u64,
    longest_ns: u128,
    end: i32,
}

/// Draws the picture, as SVG.
pub(crate) fn paint(
    trace: &Trace,
    settings: Settings,
    reports: &[Report],
) -> Result<String, Box<dyn Error>> {
    let axis = Axis::new(trace, settings, reports);
    let strips: Vec<Strip> = reports.iter().map(|report| Strip::new(report, &axis)).collect();
    let end = TOP + i32::try_from(reports.len())? * ROW;
    let mut svg = String::new();
    let frame = Frame {
        page: Page::new(&mut svg, WIDTH, end + BOTTOM)?,
        axis,
        settings,
        most_calls: strips.iter().map(Strip::highest).max().unwrap_or(1).max(1),
        // Twice the limit is always seen.
        most_worst: reports
            .iter()
            .map(|report| report.worst)
            .max()
            .unwrap_or(0)
            .max(2 * settings.limit),
        longest_ns: reports.iter().map(|report| report.waits.longest.as_nanos()).max().unwrap_or(0),
        end,
    };
    frame.captions(trace)?;
    frame.grid()?;
    for ((number, report), strip) in (0..).zip(reports).zip(&strips) {
        frame.row(TOP + number * ROW, report, strip)?;
    }
    frame.limits()?;
    frame.page.finish()?;
    // It writes the last line when it goes.
    drop(frame);
    Ok(svg)
}

impl Frame<'_> {
    fn captions(&self, trace: &Trace) -> Drawn {
        let page = &self.page;
        let limit = table::limit(self.settings);
        page.text(&table::title(trace), (16, 24), 20, HPos::Left)?;
        let calls = grouped(u64::try_from(trace.arrivals.len())?);
        let keys =
            if trace.keys == 1 { "one key".to_owned() } else { format!("{} keys", trace.keys) };
        let about = format!("{calls} calls of {keys}; the limit is {limit} for each key");
        page.text(&about, (16, 50), 14, HPos::Left)?;

        let y = TOP - 22;
        let [admitted, rejected] = [TIMES.0, TIMES.0 + 90];
        for (left, colour, text) in
            [(admitted, ADMITTED, "admitted"), (rejected, REJECTED, "rejected")]
        {
            page.bar((left, y - 6), (left + 12, y + 6), colour)?;
            page.text(text, (left + 18, y), 13, HPos::Left)?;
        }
        let scale = format!("a row is {} calls high", grouped(self.most_calls));
        page.text(&scale, (TIMES.0 + TIMES.1, y), 12, HPos::Right)?;
        let window = format!("most of a key in any {:?}", self.settings.period);
        page.text(&window, (WORST.0, y), 13, HPos::Left)?;
        page.text("wait: mean, longest", (WAITS.0, y), 13, HPos::Left)
    }

    fn grid(&self) -> Drawn {
        for (since_ns, text) in self.axis.ticks() {
            let x = TIMES.0 + self.axis.place(since_ns, TIMES.1);
            self.page.line((x, TOP - 8), (x, self.end), GRID)?;
            self.page.text(&text, (x, self.end + 14), 12, HPos::Center)?;
        }
        Ok(())
    }

    fn row(&self, top: i32, report: &Report, strip: &Strip) -> Drawn {
        let page = &self.page;
        let (middle, bottom) = (top + STRIP / 2, top + STRIP);
        page.text(report.name, (NAMES, middle), 13, HPos::Right)?;

        let all = strip.all();
        let at = (TIMES.0, bottom);
        for (counts, colour) in [(&all, REJECTED), (&strip.admitted, ADMITTED)] {
            let outline = outline(counts, at, (TIMES.1, STRIP), self.most_calls);
            page.area(outline, colour)?;
        }
        page.line(at, (TIMES.0 + TIMES.1, bottom), GRID)?;

        let colour = if report.worst > self.settings.limit { ABOVE } else { ADMITTED };
        let right = WORST.0 + self.worst(report.worst);
        page.bar((WORST.0, middle - 8), (right, middle + 8), colour)?;
        // Behind the longest bar, where no line crosses it.
        let behind = WORST.0 + WORST.1 + 8;
        page.text(&grouped(report.worst), (behind, middle), 13, HPos::Left)?;

        let (mean, longest) = (report.waits.mean(), report.waits.longest);
        let of = |wait: std::time::Duration| share(WAITS.1, wait.as_nanos(), self.longest_ns);
        if longest.is_zero() {
            return page.text("none", (WAITS.0, middle), 13, HPos::Left);
        }
        let told = format!("{}, {}", table::time(mean), table::time(longest));
        page.text(&told, (WAITS.0, middle - 9), 13, HPos::Left)?;
        page.bar((WAITS.0, middle + 4), (WAITS.0 + of(longest), middle + 12), LONGEST)?;
        page.bar((WAITS.0, middle + 4), (WAITS.0 + of(mean), middle + 12), MEAN)
    }

    /// Over the bars, so that it is seen by how much they pass it.
    fn limits(&self) -> Drawn {
        for (count, text) in [(1, "limit"), (2, "2 × limit")] {
            let x = WORST.0 + self.worst(count * self.settings.limit);
            self.page.line((x, TOP - 8), (x, self.end), LIMIT)?;
            self.page.text(text, (x, self.end + 14), 12, HPos::Center)?;
        }
        Ok(())
    }

    fn worst(&self, count: u64) -> i32 {
        share(WORST.1, count.into(), self.most_worst.into())
    }
}
