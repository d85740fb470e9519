//! The measurements, each in a process of its own, and what such a process tells about it.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use flowgate::KeyedBuilder;

use crate::figures::{self, Figures};
use crate::latency::Latency;
use crate::rivals::{Flowgate, FlowgateLockFree, Governor, MutexMap, RateNet, Rival};
use crate::{Sizes, expire, flood, insert, progress};

/// The first argument of such a process.
pub(crate) const CHILD: &str = "--measure";

/// The row of a measurement without a limiter.
pub(crate) const MACHINE: &str = "machine";

/// Our row with the store that is the default, and with the other one.
pub(crate) const OURS: [&str; 2] =
    [<Flowgate<u64> as Rival<u64>>::ROW, <FlowgateLockFree<u64> as Rival<u64>>::ROW];

/// All rows, with what they are called on the screen.
pub(crate) const ALL: [(&str, &str); 5] = [
    row_of::<Flowgate<u64>>(),
    row_of::<FlowgateLockFree<u64>>(),
    row_of::<Governor<u64>>(),
    row_of::<RateNet>(),
    row_of::<MutexMap<u64>>(),
];

const fn row_of<R: Rival<u64>>() -> (&'static str, &'static str) {
    (R::ROW, R::LABEL)
}

/// A measurement, of whom, and of how many keys.
type Job = (&'static str, &'static str, u64);

fn all(sizes: Sizes) -> Vec<Job> {
    let mut jobs = vec![("insert", MACHINE, sizes.many)];
    for keys in [sizes.some, sizes.many] {
        jobs.extend(ALL.map(|(row, _)| ("insert", row, keys)));
    }
    jobs.extend(OURS.map(|row| ("expire", row, sizes.many)));
    jobs.extend(OURS.map(|row| ("flood", row, sizes.flood_of(row))));
    jobs
}

/// Measures everything, one after the other.
pub(crate) fn run(sizes: Sizes) -> Result<Figures, Box<dyn Error>> {
    let mut found = Figures::default();
    let jobs = all(sizes);
    let bar = progress::bar(STEPS * jobs.len() as u64)?;
    for (what, row, keys) in jobs {
        bar.set_message(format!("{what}: {row}, {} million keys", keys as f64 / 1e6));
        let mut child = Command::new(std::env::current_exe()?)
            .args([CHILD, what, row, &keys.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().ok_or("a process has no output")?;
        for line in BufReader::new(said).lines() {
            match line?.split_once(' ') {
                Some((name, figure)) => found.add(name, figure.parse()?),
                None => bar.inc(1),
            }
        }
        if !child.wait()?.success() {
            return Err(format!("{what} of {keys} keys by {row} failed").into());
        }
    }
    bar.finish_and_clear();
    Ok(found)
}

/// The steps of one measurement in the bar.
const STEPS: u64 = 100;

/// Does one measurement, in this process.
pub(crate) fn work(what: &str, row: &'_ str, keys: u64) -> Result<(), Box<dyn Error>> {
    let mut child = Child { row: row.to_owned(), keys, total: 0, done: 0, told: 0 };
    match (what, row) {
        ("insert", MACHINE) => insert::measure_machine(&mut child, keys),
        ("insert", _) if row == ALL[0].0 => insert::measure::<Flowgate<_>>(&mut child, keys)?,
        ("insert", _) if row == ALL[1].0 => {
            insert::measure::<FlowgateLockFree<_>>(&mut child, keys)?;
        }
        ("insert", _) if row == ALL[2].0 => insert::measure::<Governor<_>>(&mut child, keys)?,
        ("insert", _) if row == ALL[3].0 => insert::measure::<RateNet>(&mut child, keys)?,
        ("insert", _) if row == ALL[4].0 => insert::measure::<MutexMap<_>>(&mut child, keys)?,
        ("expire", _) => expire::measure(&mut child, keys, store_of(row)?)?,
        ("flood", _) => flood::measure(&mut child, keys, store_of(row)?)?,
        _ => return Err(format!("there is no measurement {what} of {row}").into()),
    }
    Ok(())
}

type Store = fn(KeyedBuilder<u64>) -> KeyedBuilder<u64>;

fn store_of(row: &str) -> Result<Store, Box<dyn Error>> {
    match OURS.iter().position(|ours| *ours == row) {
        Some(0) => Ok(|builder| builder),
        Some(_) => Ok(KeyedBuilder::lock_free),
        None => Err(format!("{row} is not one of ours").into()),
    }
}

/// A process that measures: it tells the other one line by line how far it is, and what it has found.
pub(crate) struct Child {
    row: String,
    keys: u64,
    total: u64,
    done: u64,
    told: u64,
}

impl Child {
    pub(crate) fn has_to_do(&mut self, total: u64) {
        self.total = total;
    }

    pub(crate) fn is_further_by(&mut self, steps: u64) {
        self.done += steps;
        while self.told < STEPS && self.done * STEPS >= self.total * (self.told + 1) {
            self.told += 1;
            // Whoever does not listen does not need to know.
            let _ = writeln!(std::io::stdout(), "further");
        }
    }

    #[inline]
    pub(crate) fn is_one_further(&mut self) {
        self.is_further_by(1);
    }

    pub(crate) fn found(&mut self, what: &str, figure: f64) {
        let name = figures::name(what, self.keys, &self.row);
        let _ = writeln!(std::io::stdout(), "{name} {figure}");
    }

    pub(crate) fn found_latency(&mut self, what: &str, latency: &Latency) {
        self.found(&format!("{what}_worst_ns"), latency.worst_ns() as f64);
        self.found(&format!("{what}_p9999_ns"), latency.all_but_one_in(10_000) as f64);
    }
}
