//! The figures on a screen.

use std::error::Error;

use crate::figures::Figures;
use crate::jobs::{CROWDS, ROWS};
use crate::screen::{Screen, grouped};

type Show = fn(f64) -> String;

const TABLES: [(&str, &str, Show); 9] = [
    ("Resident bytes per waiter", "bytes", bytes),
    ("Bytes of the future", "future_bytes", bytes),
    ("All served within a second: processor time per waiter", "paced_processor_ns", time),
    ("All served within a second: the median is late by", "paced_late_median_ns", time),
    ("All served within a second: the last is late by", "paced_late_last_ns", time),
    ("10 million a second: time per decision", "rush_each_ns", time),
    ("10 million a second: processor time per decision", "rush_processor_ns", time),
    ("100 million a second: time per decision", "flood_each_ns", time),
    ("100 million a second: processor time per decision", "flood_processor_ns", time),
];

/// One for each figure, with a column for each size of the crowd.
pub(crate) fn show(screen: &mut Screen, figures: &Figures) -> Result<(), Box<dyn Error>> {
    let columns: String =
        CROWDS.iter().map(|crowd| format!("{:>13}", grouped(*crowd as u64))).collect();
    for (title, what, show) in TABLES {
        screen.title(title, &columns)?;
        for row in ROWS {
            let cells = CROWDS.map(|waiters| {
                let figure = figures.get(&format!("waiting_{what}"), waiters as u64, row.name);
                format!("{:>13}", figure.map_or("-".into(), show))
            });
            screen.line(&format!("   {:<40} {}", row.label, cells.concat()))?;
        }
    }
    Ok(())
}

fn bytes(bytes: f64) -> String {
    format!("{bytes:.0} B")
}

fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
    }
}
