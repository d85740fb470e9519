//! How it looks: titles, bars, and colour if somebody is watching.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";
const BOLD: &str = "1";
const DIM: &str = "2";

/// The width of a title's rule.
const WIDTH: usize = 96;

/// Standard output, a line at a time.
pub(crate) struct Screen {
    out: io::Stdout,
    is_coloured: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = out.is_terminal() && !no_color;
        Self { out, is_coloured }
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A line that matters less.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(DIM, text);
        self.line(&text)
    }

    /// A heading with the code or the quota it is about at the right.
    pub(crate) fn title(&mut self, text: &str, about: &str) -> io::Result<()> {
        let gap = " ".repeat(WIDTH.saturating_sub(text.chars().count() + about.chars().count()));
        let (text, about) = (self.paint(BOLD, text), self.paint(CYAN, about));
        let rule = self.paint(DIM, &"─".repeat(WIDTH));
        writeln!(self.out, "\n{text}{gap}{about}\n{rule}")
    }

    pub(crate) fn allowed(&self) -> String {
        self.paint(GREEN, "allowed")
    }

    pub(crate) fn denied(&self) -> String {
        self.paint(RED, "denied ")
    }

    /// A word on a condition that must hold.
    pub(crate) fn verdict(&self, holds: bool) -> String {
        if holds { self.paint(GREEN, "as promised") } else { self.paint(RED, "BROKEN") }
    }

    /// A bucket of `capacity` tokens with `left` in it, one square each.
    pub(crate) fn tokens(&self, left: u64, capacity: u64) -> String {
        let square = |number| if number < left { "■" } else { "□" };
        self.paint(CYAN, &(0..capacity).map(square).collect::<String>())
    }

    /// A bar for `part` of `whole`, to an eighth of a column, in a field of `columns`.
    pub(crate) fn bar(&self, part: u64, whole: u64, columns: usize, stands_out: bool) -> String {
        let eighths = u128::from(part) * 8 * columns as u128 / u128::from(whole.max(1));
        let eighths = usize::try_from(eighths).unwrap_or(0).min(8 * columns);
        let ends = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let bar = "█".repeat(eighths / 8) + ends[eighths % 8];
        let colour = if stands_out { GREEN } else { DIM };
        self.paint(colour, &format!("{bar:<columns$}"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Writes `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes `0.500 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
