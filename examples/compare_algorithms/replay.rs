//! A trace, through all algorithms.

use std::error::Error;
use std::time::Duration;

use crate::algorithms::{ALL, Answer, Compared, Decide};
use crate::arguments::Settings;
use crate::trace::{Arrival, Trace};
use crate::worst::WorstWindow;

/// What became of a trace's calls by one algorithm.
pub(crate) struct Report {
    pub(crate) name: &'static str,
    /// When those that were let in left; in order of their arrival.
    pub(crate) admitted_ns: Vec<u64>,
    pub(crate) rejected_ns: Vec<u64>,
    /// The most of one key that left within any time as long as a period.
    pub(crate) worst: u64,
    pub(crate) waits: Waits,
}

/// The waits that were told: how long until it may leave, by a queue; by all others when to come again.
#[derive(Default)]
pub(crate) struct Waits {
    sum_ns: u128,
    count: u128,
    pub(crate) longest: Duration,
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        self.sum_ns = self.sum_ns.saturating_add(wait.as_nanos());
        self.count += 1;
        self.longest = self.longest.max(wait);
    }

    /// Zero if none was told.
    pub(crate) fn mean(&self) -> Duration {
        let mean_ns = self.sum_ns.checked_div(self.count).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean_ns).unwrap_or(u64::MAX))
    }
}

pub(crate) fn all(trace: &Trace, settings: Settings) -> Result<Vec<Report>, Box<dyn Error>> {
    ALL.iter()
        .map(|compared| {
            replay(trace, settings, compared)
                .map_err(|error| format!("{}: {error}", compared.name).into())
        })
        .collect()
}

/// A key's limiter, and what left by it.
struct Key {
    decide: Decide,
    worst: WorstWindow,
}

fn replay(
    trace: &Trace,
    settings: Settings,
    compared: &Compared,
) -> Result<Report, Box<dyn Error>> {
    let mut keys: Vec<Option<Key>> = (0..trace.keys).map(|_| None).collect();
    let (mut admitted_ns, mut rejected_ns) = (Vec::new(), Vec::new());
    let mut waits = Waits::default();
    for &Arrival { time_ns, key } in &trace.arrivals {
        let place = keys.get_mut(key).ok_or("a key has no number")?;
        let key = match place {
            Some(key) => key,
            None => place.insert(Key {
                decide: (compared.make)(settings, time_ns)?,
                worst: WorstWindow::new(settings.period_ns),
            }),
        };
        match (key.decide)(time_ns) {
            Answer::Admitted(wait) => {
                let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                let leaves_ns = time_ns.saturating_add(wait_ns);
                key.worst.add(leaves_ns);
                admitted_ns.push(leaves_ns);
                if compared.is_queue {
                    waits.add(wait);
                }
            }
            Answer::Rejected(wait) => {
                rejected_ns.push(time_ns);
                if let Some(wait) = wait.filter(|_| !compared.is_queue) {
                    waits.add(wait);
                }
            }
        }
    }
    let worst = keys.iter().flatten().map(|key| key.worst.most()).max().unwrap_or(0);
    let worst = u64::try_from(worst)?;
    Ok(Report { name: compared.name, admitted_ns, rejected_ns, worst, waits })
}
