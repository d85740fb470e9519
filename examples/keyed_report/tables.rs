//! The figures on a screen.

use std::error::Error;

use crate::Sizes;
use crate::figures::Figures;
use crate::flood::MAX_KEYS;
use crate::jobs::{ALL, MACHINE, OURS};
use crate::screen::{Screen, grouped};

/// The columns of a bar.
const BAR: usize = 30;

/// No call is to take longer.
const LONGEST_CALL_NS: f64 = 1e6;

pub(crate) fn show(
    screen: &mut Screen,
    sizes: Sizes,
    figures: &Figures,
) -> Result<(), Box<dyn Error>> {
    memory(screen, sizes, figures)?;
    let many = grouped(sizes.many);
    let machine = [(MACHINE, "the machine, no limiter")];
    let title = format!("The slowest call while {many} keys are inserted");
    latency(screen, &title, "insert", sizes.many, &[&ALL[..], &machine].concat(), figures)?;
    let title = format!("The slowest call while {many} keys expire");
    latency(
        screen,
        &title,
        "expire",
        sizes.many,
        &[&ALL[..OURS.len()], &machine].concat(),
        figures,
    )?;
    flood(screen, sizes, figures)
}

fn memory(
    screen: &mut Screen,
    Sizes { some, many, .. }: Sizes,
    figures: &Figures,
) -> Result<(), Box<dyn Error>> {
    let columns = format!("{:>14}    {:>14}", grouped(some), grouped(many));
    screen.title("Resident bytes for each u64 key, by the number of keys", &columns)?;
    let bytes = |keys, row| figures.get("resident", keys, row);
    let most = ALL.iter().filter_map(|(row, _)| bytes(many, row)).fold(0.0, f64::max);
    for (row, label) in ALL {
        let [some, many] = [some, many].map(|keys| bytes(keys, row));
        let bar = screen.bar(tenths(many.unwrap_or(0.0)), tenths(most), BAR, OURS.contains(&row));
        let [some, many] = [some, many].map(|bytes| shown(bytes, |bytes| format!("{bytes:.1} B")));
        screen.line(&format!("   {label:<27} {bar}  {some:>14}    {many:>14}"))?;
    }
    Ok(())
}

fn latency(
    screen: &mut Screen,
    title: &str,
    what: &str,
    keys: u64,
    rows: &[(&str, &str)],
    figures: &Figures,
) -> Result<(), Box<dyn Error>> {
    screen.title(title, "all but 1 in 10,000           worst")?;
    for (row, label) in rows {
        // The machine by itself is measured once.
        let what = if *row == MACHINE { "insert" } else { what };
        let worst = figures.get(&format!("{what}_worst_ns"), keys, row);
        let usual = figures.get(&format!("{what}_p9999_ns"), keys, row);
        let is_long = |worst: Option<f64>| worst.is_some_and(|worst| worst > LONGEST_CALL_NS);
        let verdict = match figures.get("insert_worst_ns", keys, MACHINE) {
            _ if !OURS.contains(row) || !is_long(worst) => "",
            machine if is_long(machine) => "above 1 ms, as the machine",
            _ => "above 1 ms",
        };
        let [usual, worst] = [usual, worst].map(|ns| shown(ns, time));
        screen.line(&format!("   {label:<27} {verdict:<32} {usual:>14}  {worst:>14}"))?;
    }
    Ok(())
}

fn flood(screen: &mut Screen, sizes: Sizes, figures: &Figures) -> Result<(), Box<dyn Error>> {
    for (row, label) in &ALL[..OURS.len()] {
        let keys = sizes.flood_of(row);
        let title = format!("A flood of {} keys, room for {}", grouped(keys), grouped(MAX_KEYS));
        screen.title(&title, label)?;
        let get = |what| figures.get(what, keys, row);
        let megabytes = |what| shown(get(what), |bytes| format!("{:.1} MB", bytes / 1e6));
        let speed = |a_second| format!("{:.2} M keys/s, all cores", a_second / 1e6);
        for (name, text) in [
            ("speed", shown(get("flood_keys_a_second"), speed)),
            ("memory before", megabytes("flood_resident_before")),
            ("memory with all keys", megabytes("flood_resident_full")),
            ("memory at its highest", megabytes("flood_resident_highest")),
            ("a debt of 700, at 1/s", shown(get("flood_debt"), |debt| format!("{debt:.6} left"))),
            ("off what is due by", shown(get("flood_debt_off"), |off| format!("{off:.6}"))),
            ("of which a unit is", shown(get("flood_unit"), |unit| format!("{unit:.6}"))),
        ] {
            screen.line(&format!("   {name:<27} {text}"))?;
        }
    }
    Ok(())
}

fn shown(figure: Option<f64>, show: impl Fn(f64) -> String) -> String {
    figure.map_or("not measured".to_owned(), show)
}

fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
    }
}

/// For a bar, which takes whole numbers.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn tenths(bytes: f64) -> u64 {
    (bytes * 10.0) as u64
}
