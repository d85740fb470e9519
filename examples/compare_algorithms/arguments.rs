//! What the command line asks for.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use flowgate::Quota;

use crate::built_in::{self, BUILT_IN};
use crate::csv;
use crate::trace::Trace;

/// The limit of all algorithms.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) limit: u64,
    pub(crate) period: Duration,
    pub(crate) period_ns: u64,
}

impl Settings {
    pub(crate) fn new(limit: &str, period: &str) -> Result<Self, Box<dyn Error>> {
        let whole: u64 =
            limit.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit)).ok_or_else(
                || format!("--limit {limit}: use a whole number, 1 to {LARGEST_LIMIT}"),
            )?;
        // A quota's text knows the units, and which periods are too long.
        let quota: Quota = format!("{whole}/{period}")
            .parse()
            .map_err(|error| format!("--period {period}: {error}"))?;
        let period = quota.period();
        if period < SHORTEST_PERIOD {
            return Err(format!("--period {period:?}: use at least {SHORTEST_PERIOD:?}").into());
        }
        Ok(Self { limit: whole, period, period_ns: u64::try_from(period.as_nanos())? })
    }

    pub(crate) fn quota(self) -> Quota {
        Quota::new(self.limit, self.period)
    }

    /// The burst of the small bucket, and the places in the queue.
    pub(crate) fn few(self) -> u64 {
        (self.limit / 10).max(1)
    }
}

/// The built-in traces grow with the limit: of the day's, this takes some hundred megabytes.
const LARGEST_LIMIT: u64 = 10_000;

/// The built-in traces put up to 64 calls per limit and period on times of their own.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

pub(crate) struct Arguments {
    pub(crate) traces: Vec<Trace>,
    pub(crate) settings: Settings,
    pub(crate) out: PathBuf,
}

impl Arguments {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let (mut limit, mut period, mut out) = ("100", "60s", "target/compare-algorithms");
        let mut source = None;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let place = match argument.as_str() {
                "--limit" => &mut limit,
                "--period" => &mut period,
                "--out" => &mut out,
                name if name.starts_with("--") => {
                    let known = "--limit, --period and --out";
                    return Err(format!("there is no {name}: there are {known}").into());
                }
                _ if source.is_some() => {
                    return Err(format!("one trace at a time: {argument} is a second one").into());
                }
                _ => {
                    source = Some(argument.as_str());
                    continue;
                }
            };
            *place = rest.next().ok_or_else(|| format!("{argument} needs a value"))?;
        }
        let settings = Settings::new(limit, period)?;
        let traces = match source {
            None => {
                BUILT_IN.map(|name| built_in::made(name, settings)).into_iter().flatten().collect()
            }
            Some(name) => match built_in::made(name, settings) {
                Some(trace) => vec![trace],
                None => vec![csv::read(name.as_ref())?],
            },
        };
        Ok(Self { traces, settings, out: out.into() })
    }
}
