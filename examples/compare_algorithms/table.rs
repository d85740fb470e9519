//! The figures on a screen.

use std::io;
use std::time::Duration;

use crate::arguments::Settings;
use crate::replay::Report;
use crate::screen::{Screen, grouped};
use crate::trace::Trace;

/// The columns of a bar, which is as long as that for twice the limit.
const BAR: usize = 12;

pub(crate) fn show(
    screen: &mut Screen,
    trace: &Trace,
    settings: Settings,
    reports: &[Report],
) -> io::Result<()> {
    screen.title(&title(trace), &limit(settings))?;
    screen.note(&heading())?;
    for report in reports {
        let Report { worst, .. } = *report;
        let keeps = worst <= settings.limit;
        let bar = screen.bar(worst, 2 * settings.limit, BAR, keeps);
        screen.line(&format!("{} {bar}", figures(report, settings)))?;
    }
    Ok(())
}

pub(crate) fn explain(screen: &mut Screen, settings: Settings) -> io::Result<()> {
    let few = grouped(settings.few());
    screen.note(&format!(
        "\nmost in a window: of one key, in any {:?}; a bar is full at twice the limit, and green up to it.\n\
         wait: when to come again, told to whom is rejected; of the queue how long until one leaves.\n\
         A small burst is {few}, and so many may wait in the queue.",
        settings.period,
    ))
}

pub(crate) fn title(trace: &Trace) -> String {
    format!("{}: {}", trace.name, trace.about)
}

/// Writes `100 per 60s`.
pub(crate) fn limit(settings: Settings) -> String {
    format!("{} per {:?}", grouped(settings.limit), settings.period)
}

pub(crate) fn heading() -> String {
    let [admitted, rejected, worst] = ["admitted", "rejected", "most in a window"];
    let [mean, longest] = ["mean wait", "longest"];
    format!("{:<26}{admitted:>9}{rejected:>10}{worst:>18}{mean:>11}{longest:>11}", "")
}

/// One line, up to its bar.
pub(crate) fn figures(report: &Report, settings: Settings) -> String {
    let [admitted, rejected] = [&report.admitted_ns, &report.rejected_ns].map(Vec::len);
    let [mean, longest] = [report.waits.mean(), report.waits.longest].map(time_or_none);
    let [admitted, rejected, worst] = [admitted as u64, rejected as u64, report.worst].map(grouped);
    let times = report.worst as f64 / settings.limit as f64;
    format!(
        "{:<26}{admitted:>9}{rejected:>10}{worst:>11}{times:>6.2}×{mean:>11}{longest:>11}",
        report.name
    )
}

fn time_or_none(time_told: Duration) -> String {
    if time_told.is_zero() { "none".to_owned() } else { time(time_told) }
}

/// Writes `1.25 s`, with three or four digits.
pub(crate) fn time(time: Duration) -> String {
    let (number, unit) = match time.as_secs_f64() {
        seconds if seconds >= 1.0 => (seconds, "s"),
        seconds if seconds >= 1e-3 => (seconds * 1e3, "ms"),
        seconds if seconds >= 1e-6 => (seconds * 1e6, "µs"),
        seconds => (seconds * 1e9, "ns"),
    };
    let places = if number >= 1_000.0 {
        0
    } else if number >= 100.0 {
        1
    } else {
        2
    };
    format!("{number:.places$} {unit}")
}
