//! What a process was granted, as it writes it down: a line at a time, and at once, since it may be killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::time::now_us;
use flowgate::redis::{LeaseStats, StoreErrorKind};

/// Tokens that were granted some time between `from_us` and `to_us`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grant {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    pub(crate) tokens: u64,
}

/// What one process has written.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// It has connected.
    pub(crate) is_ready: bool,
    pub(crate) grants: Vec<Grant>,
    /// Calls that were let through and not counted.
    pub(crate) uncounted: u64,
    /// Calls without an answer, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Of leases: calls made, not answered, not answered and maybe carried out, answered too late; outages.
    pub(crate) stats: Option<Stats>,
    /// How long a call took while the store was there, and while it was away: at the median, and the 99th of a hundred. In ns.
    pub(crate) up_ns: [u64; 2],
    pub(crate) down_ns: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats {
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) late: u64,
    pub(crate) outages: u64,
    pub(crate) is_down: bool,
}

impl Record {
    /// Reads what is there. The last line may be half written.
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let mut record = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "grant" => record.grants.push(Grant {
                    from_us: number(1),
                    to_us: number(2),
                    tokens: number(3),
                }),
                "ready" => record.is_ready = true,
                "uncounted" => record.uncounted += number(1),
                "error" => *record.errors.entry(words[1].to_string()).or_default() += 1,
                "stats" => {
                    record.stats = Some(Stats {
                        asked: number(1),
                        failed: number(2),
                        unknown: number(3),
                        late: number(4),
                        outages: number(5),
                        is_down: number(6) > 0,
                    });
                }
                "up" => record.up_ns = [number(1), number(2)],
                "down" => record.down_ns = [number(1), number(2)],
                other => panic!("{other}?"),
            }
        }
        record
    }
}

/// Writes a record.
pub(crate) struct Recorder {
    file: File,
    lines: String,
    /// What was granted in one millisecond, so far.
    grant: Option<Grant>,
    up_ns: Vec<u64>,
    down_ns: Vec<u64>,
}

impl Recorder {
    pub(crate) fn to(file: &Path) -> Self {
        let file = File::options().append(true).open(file).unwrap();
        Self { file, lines: String::new(), grant: None, up_ns: Vec::new(), down_ns: Vec::new() }
    }

    pub(crate) fn ready(&mut self) {
        self.line(format_args!("ready"));
        self.tick();
    }

    /// Notes a token that was granted to who asked at `from_us`. A line holds those of a millisecond, by when they were asked for.
    pub(crate) fn granted(&mut self, from_us: u64) {
        let to_us = now_us() + 1;
        match &mut self.grant {
            Some(grant) if grant.from_us / 1_000 == from_us / 1_000 => {
                grant.from_us = grant.from_us.min(from_us);
                grant.to_us = to_us;
                grant.tokens += 1;
            }
            _ => {
                self.end_of_millisecond();
                self.grant = Some(Grant { from_us, to_us, tokens: 1 });
            }
        }
    }

    pub(crate) fn uncounted(&mut self) {
        self.line(format_args!("uncounted 1"));
    }

    pub(crate) fn error(&mut self, kind: StoreErrorKind) {
        self.line(format_args!("error {kind:?}"));
    }

    pub(crate) fn took(&mut self, ns: u64, is_down: bool) {
        if is_down { &mut self.down_ns } else { &mut self.up_ns }.push(ns);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.lines, "{line}").unwrap();
    }

    /// Writes what there is, if its millisecond is over.
    pub(crate) fn tick(&mut self) {
        let is_over = |grant: Grant| grant.from_us / 1_000 < now_us() / 1_000;
        if self.grant.is_none_or(is_over) {
            self.end_of_millisecond();
        }
    }

    fn end_of_millisecond(&mut self) {
        if let Some(Grant { from_us, to_us, tokens }) = self.grant.take() {
            self.line(format_args!("grant {from_us} {to_us} {tokens}"));
        }
        if !self.lines.is_empty() {
            self.file.write_all(self.lines.as_bytes()).unwrap();
            self.lines.clear();
        }
    }

    pub(crate) fn finish(mut self, stats: Option<LeaseStats>) {
        if let Some(stats) = stats {
            let LeaseStats { asked, failed, unknown, late, outages, is_down, .. } = stats;
            let is_down = u8::from(is_down);
            self.line(format_args!("stats {asked} {failed} {unknown} {late} {outages} {is_down}"));
        }
        for (name, mut all) in
            [("up", std::mem::take(&mut self.up_ns)), ("down", std::mem::take(&mut self.down_ns))]
        {
            all.sort_unstable();
            let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or(0);
            self.line(format_args!("{name} {} {}", at(50), at(99)));
        }
        self.end_of_millisecond();
    }
}
