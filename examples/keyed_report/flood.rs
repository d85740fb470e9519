//! A flood of keys, each of which comes once, into a limiter that has no room for them.

use std::error::Error;
use std::num::NonZero;
use std::time::Duration;

use flowgate::{Clock, KeyedBuilder, KeyedLimiter, Quota, Tokens};

use crate::jobs::Child;
use crate::rivals::Key;
use crate::{resident, threads};

/// The room that there is for keys.
pub(crate) const MAX_KEYS: u64 = 100_000;

/// What the victim owes when the flood begins: it is at it for ten minutes.
const DEBT: u64 = 700;
const CAPACITY: u64 = 100;

/// In so many steps, between which the memory is looked at.
const STEPS: u64 = 100;

/// Floods a limiter from all cores, and asks afterwards for the debt of a key that was there before.
pub(crate) fn measure(
    child: &mut Child,
    keys: u64,
    store: fn(KeyedBuilder<u64>) -> KeyedBuilder<u64>,
) -> Result<(), Box<dyn Error>> {
    child.has_to_do(keys);
    // A nanosecond repays a billionth of a token: what the victim owes is exact.
    let quota = Quota::per_second(1).burst(CAPACITY);
    let limiter = store(KeyedLimiter::builder(quota)).max_keys(MAX_KEYS).build()?;
    let victim = u64::of(0);
    let charged_ns = limiter.clock().now_ns();
    let _ = limiter.charge_at(&victim, CAPACITY + DEBT, charged_ns);

    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let before = resident::bytes();
    let (mut when_full, mut highest) = (None, before);
    let (mut took, mut from) = (Duration::ZERO, 1);
    for step in 1..=STEPS {
        let until = 1 + keys * step / STEPS;
        took +=
            threads::numbered(cores, until - from, from, |rank| limiter.is_allowed(&u64::of(rank)));
        child.is_further_by(until - from);
        from = until;
        let now = resident::bytes();
        if when_full.is_none() && u64::try_from(limiter.len())? >= MAX_KEYS {
            when_full = now;
        }
        highest = highest.max(now);
    }

    let asked_ns = limiter.clock().now_ns();
    let debt = limiter.snapshot_at(&victim, asked_ns).map(|victim| victim.debt());
    let repaid = Tokens::decimal(asked_ns - charged_ns, 9);
    let due = Tokens::from(DEBT).saturating_sub(repaid);
    let forgiven = due.saturating_sub(debt.unwrap_or_default());
    let invented = debt.unwrap_or_default().saturating_sub(due);
    if forgiven.saturating_add(invented) > limiter.resolution().unit() {
        return Err(format!("a debt of {due} was {debt:?} after the flood").into());
    }
    if u64::try_from(limiter.len())? > MAX_KEYS {
        return Err(format!("{} keys are held where {MAX_KEYS} may be", limiter.len()).into());
    }
    child.found("flood_unit", as_number(limiter.resolution().unit()));
    child.found("flood_debt", as_number(debt.unwrap_or_default()));
    child.found("flood_debt_off", as_number(forgiven.saturating_add(invented)));
    child.found("flood_keys_a_second", keys as f64 / took.as_secs_f64());
    for (what, bytes) in [
        ("flood_resident_before", before),
        ("flood_resident_full", when_full),
        ("flood_resident_highest", highest),
    ] {
        if let Some(bytes) = bytes {
            child.found(what, bytes as f64);
        }
    }
    Ok(())
}

fn as_number(tokens: Tokens) -> f64 {
    tokens.whole() as f64 + f64::from(tokens.subsec_nanos()) / 1e9
}
