//! Draws what was granted: on a terminal a chart that grows, elsewhere a line for each column.

use std::fmt::Write as _;

use crate::judge::{Grant, Window};
use crate::processes::PROCESSES;
use crate::{CAPACITY, COLUMN, COLUMNS, PER_SECOND};

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const COLOURS: [u8; PROCESSES] = [36, 35, 33, 34];
const BOLD: u8 = 1;
const RED: u8 = 31;
const GREEN: u8 = 32;

pub(crate) struct Chart {
    is_terminal: bool,
    has_colours: bool,
    /// Lines of the chart that are on the terminal, or columns that were told.
    drawn: usize,
}

impl Chart {
    pub(crate) fn new(is_terminal: bool) -> Self {
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Self { is_terminal, has_colours, drawn: 0 }
    }

    /// Draws the first `columns`, which are over.
    pub(crate) fn draw(&mut self, grants: &[Grant], is_up: &[bool], columns: usize) {
        let seen = Seen::new(grants);
        if self.is_terminal {
            self.repaint(&self.lines(&seen, is_up, columns));
        } else {
            for column in self.drawn..columns {
                println!("{}", seen.line(column, is_up));
            }
            self.drawn = self.drawn.max(columns);
        }
    }

    /// Draws all, and the fullest window.
    pub(crate) fn finish(&mut self, grants: &[Grant], is_up: &[bool], fullest: Window) {
        self.draw(grants, is_up, COLUMNS);
        if self.is_terminal {
            println!("{}", self.fullest(fullest));
        }
    }

    fn repaint(&mut self, lines: &[String]) {
        if self.drawn > 0 {
            // Up to where it began.
            print!("\x1b[{}A", self.drawn);
        }
        for line in lines {
            println!("\x1b[2K{line}");
        }
        self.drawn = lines.len();
    }

    fn lines(&self, seen: &Seen, is_up: &[bool], columns: usize) -> Vec<String> {
        let fair = steady() / PROCESSES as u64;
        let mut lines = Vec::new();
        for (process, granted) in seen.granted.iter().enumerate() {
            let bars = bars(&granted[..columns], 2 * fair);
            let bars = self.coloured(COLOURS[process], &bars);
            lines.push(row(&format!("process {}", process + 1), &bars, granted.iter().sum()));
        }
        let all = seen.all();
        let all_bars = self.coloured(BOLD, &bars(&all[..columns], 2 * steady()));
        lines.push(row("all", &all_bars, all.iter().sum()));
        let left = &seen.left[..columns];
        let bars = self.coloured(GREEN, &bars(left, CAPACITY));
        lines.push(row("ceiling", &bars, left.last().copied().unwrap_or(CAPACITY)));
        lines.push(format!("{:<11}{}", "Redis", self.server(&is_up[..columns.min(is_up.len())])));
        lines.push(format!("{:<11}{}", "", axis()));
        lines
    }

    fn server(&self, is_up: &[bool]) -> String {
        let mut drawn = String::new();
        for (column, up) in is_up.iter().enumerate() {
            let was_up = column == 0 || is_up[column - 1];
            match (was_up, up) {
                (true, true) => drawn.push('━'),
                (true, false) => drawn.push_str(&self.coloured(RED, "╳")),
                (false, false) => drawn.push(' '),
                (false, true) => drawn.push('┝'),
            }
        }
        drawn
    }

    /// Where the fullest window is, under the columns.
    fn fullest(&self, window: Window) -> String {
        let (first, last) = (column_of(window.from_ns), column_of(window.to_ns));
        let mut bracket = " ".repeat(first);
        match last - first {
            0 => bracket.push('│'),
            wide => {
                bracket.push('├');
                bracket.push_str(&"─".repeat(wide - 1));
                bracket.push('┤');
            }
        }
        let is_over = window.over() > 0.0;
        let bracket = self.coloured(if is_over { RED } else { GREEN }, &pad(&bracket));
        let verdict = if is_over { "OVER" } else { "not over" };
        format!("{:<11}{bracket}  {:>+8.1}  {verdict}", "fullest", window.over())
    }

    fn coloured(&self, colour: u8, text: &str) -> String {
        if self.has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What was granted in each column.
struct Seen {
    granted: Vec<Vec<u64>>,
    /// What more the bound would have allowed at the end of each column, whenever its window begins.
    left: Vec<u64>,
}

impl Seen {
    fn new(grants: &[Grant]) -> Self {
        let mut granted = vec![vec![0; COLUMNS]; PROCESSES];
        for grant in grants {
            granted[grant.process][column_of(grant.to_ns)] += 1;
        }
        let mut seen = Self { granted, left: Vec::new() };
        let mut left = CAPACITY;
        for all in seen.all() {
            left = (left + steady()).saturating_sub(all).min(CAPACITY);
            seen.left.push(left);
        }
        seen
    }

    fn all(&self) -> Vec<u64> {
        (0..COLUMNS)
            .map(|column| self.granted.iter().map(|process| process[column]).sum())
            .collect()
    }

    fn line(&self, column: usize, is_up: &[bool]) -> String {
        let seconds = (COLUMN * u32::try_from(column).unwrap_or(u32::MAX)).as_secs_f64();
        let mut line = format!("{seconds:>5.1} s");
        for (process, granted) in self.granted.iter().enumerate() {
            let _ = write!(line, "  p{} {:>4}", process + 1, granted[column]);
        }
        let all: u64 = self.granted.iter().map(|granted| granted[column]).sum();
        let up = if is_up.get(column).copied().unwrap_or(true) { "up" } else { "down" };
        let _ = write!(line, "  all {all:>5}  ceiling {:>5}  Redis {up}", self.left[column]);
        line
    }
}

/// What the rows are.
pub(crate) fn legend() -> String {
    format!(
        "each bar is {COLUMN:?}: of processes and all, a full one is twice the rate, or more; of the ceiling, {}: what more may be granted",
        grouped(CAPACITY)
    )
}

/// What is refilled in a column.
fn steady() -> u64 {
    PER_SECOND * u64::try_from(COLUMN.as_millis()).unwrap_or(u64::MAX) / 1_000
}

fn column_of(at_ns: u64) -> usize {
    let column = u128::from(at_ns) / COLUMN.as_nanos();
    usize::try_from(column).unwrap_or(usize::MAX).min(COLUMNS - 1)
}

/// As many eighths of a block as `full` has of each number, and at least one of what is not zero.
fn bars(numbers: &[u64], full: u64) -> String {
    let eighths = |number: u64| match number {
        0 => 0,
        some => (some.saturating_mul(8) / full).clamp(1, 8),
    };
    let bar = |number: &u64| BARS[usize::try_from(eighths(*number)).unwrap_or(0)];
    pad(&numbers.iter().map(bar).collect::<String>())
}

fn pad(text: &str) -> String {
    format!("{text:<COLUMNS$}")
}

fn row(name: &str, bars: &str, number: u64) -> String {
    format!("{name:<11}{bars}  {:>8}", grouped(number))
}

fn axis() -> String {
    let per_second = usize::try_from(1_000 / COLUMN.as_millis()).unwrap_or(1);
    (0..COLUMNS / per_second)
        .map(|second| format!("{:<per_second$}", format!("{second} s")))
        .collect()
}

/// With commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
