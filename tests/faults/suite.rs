//! What all faults have in common: the limit, how long they take, and what the judge says.

use std::collections::BTreeMap;
use std::time::Duration;

use flowgate::Quota;

use crate::fleet::{Grant, Mode, Plan, Record, Traffic, over};

/// So little that four processes ask for much more on any machine, a round trip each, without optimisation.
pub(crate) const CAPACITY: u64 = 600;
pub(crate) const PER_SECOND: u64 = 2_000;
pub(crate) const LIFETIME: Duration = Duration::from_millis(100);
pub(crate) const PROCESSES: usize = 4;
/// What one process leases at most at a time: of the bucket in the store, whose capacity is less by a lease's refill, an eighth.
pub(crate) const LARGEST_BATCH: u64 = (CAPACITY - PER_SECOND / 10) / 8;
/// What may go wrong where a store has forgotten: each process knows what it was told, and not what others did since.
pub(crate) const A_BATCH_EACH: f64 = (PROCESSES as u64 * LARGEST_BATCH) as f64;
/// Long enough for a machine that is busy, and shorter than most outages here.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) struct Suite {
    pub(crate) is_long: bool,
}

impl Suite {
    /// How often a fault comes.
    pub(crate) fn times(&self, short: u32, long: u32) -> u32 {
        if self.is_long { long } else { short }
    }

    pub(crate) fn run(&self, short_ms: u64, long_ms: u64) -> Duration {
        ms(if self.is_long { long_ms } else { short_ms })
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn leased() -> Mode {
    Mode::leased(LIFETIME)
}

pub(crate) fn both_modes() -> [Mode; 2] {
    [leased(), Mode::Remote]
}

/// What must be granted of the rate at least. A round trip each is a matter of the processor, which may be busy with others.
pub(crate) fn least_rate(mode: Mode) -> f64 {
    if mode == Mode::Remote { 0.1 } else { 0.7 }
}

/// All ask for more than there is, all the time.
pub(crate) fn plan(url: String, mode: Mode) -> Plan {
    Plan {
        urls: vec![url],
        mode,
        quota: Quota::per_second(PER_SECOND).burst(CAPACITY),
        timeout: TIMEOUT,
        traffic: Traffic::Saturated,
    }
}

/// What several processes saw together.
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) over: f64,
    pub(crate) granted: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Seen {
    pub(crate) fn of(records: Vec<Record>) -> Self {
        let grants: Vec<Grant> =
            records.iter().flat_map(|record| record.grants.iter().copied()).collect();
        let mut errors = BTreeMap::new();
        for (kind, count) in records.iter().flat_map(|record| &record.errors) {
            *errors.entry(kind.clone()).or_default() += count;
        }
        let granted = grants.iter().map(|grant| grant.tokens).sum();
        assert!(granted > 0, "nothing was granted: {errors:?}");
        Self { over: over(&grants, CAPACITY, PER_SECOND), records, grants, granted, errors }
    }

    /// Of the calls to the store, those that may have been carried out and were not answered.
    pub(crate) fn unknown(&self) -> u64 {
        self.records.iter().filter_map(|record| record.stats).map(|stats| stats.unknown).sum()
    }

    pub(crate) fn kinds(&self) -> String {
        let kinds: Vec<_> =
            self.errors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if kinds.is_empty() { "none".into() } else { kinds.join(", ") }
    }

    pub(crate) fn has_error(&self, kind: &str) -> bool {
        self.errors.contains_key(kind)
    }

    /// Whether nobody was told anything but these.
    pub(crate) fn only_errors(&self, kinds: &[&str]) -> bool {
        self.errors.keys().all(|kind| kinds.contains(&kind.as_str()))
    }

    /// How long it took after `from_us` until every process was granted something.
    pub(crate) fn all_granted_after(&self, from_us: u64) -> Option<Duration> {
        let first = |record: &Record| {
            record.grants.iter().map(|grant| grant.from_us).filter(|at_us| *at_us >= from_us).min()
        };
        let mut latest = 0;
        for record in &self.records {
            latest = latest.max(first(record)? - from_us);
        }
        Some(Duration::from_micros(latest))
    }

    /// The last grant before `to_us`.
    pub(crate) fn last_grant_before(&self, to_us: u64) -> u64 {
        let before = self.grants.iter().map(|grant| grant.from_us).filter(|at_us| *at_us < to_us);
        before.max().unwrap_or(0)
    }

    /// The judge's figure, as it stands in the table.
    pub(crate) fn figure(&self) -> String {
        format!("{:+.0} tokens", self.over)
    }
}
