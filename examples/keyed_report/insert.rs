//! New keys, one after the other: the memory of each, and the slowest.

use std::error::Error;
use std::mem;

use crate::jobs::Child;
use crate::latency::Latency;
use crate::resident;
use crate::rivals::{DEEP, Key, Rival, SPENT};

/// Adds so many keys, none of which is ever full again.
pub(crate) fn measure<R: Rival<u64>>(child: &mut Child, keys: u64) -> Result<(), Box<dyn Error>> {
    child.has_to_do(keys);
    let before = resident::bytes();
    let limiter = R::new(DEEP);
    let mut denied = 0;
    let latency = Latency::of_calls(child, keys, 0, |rank| {
        denied += u64::from(!limiter.take(&u64::of(rank), SPENT));
    });
    let after = resident::bytes();
    if denied > 0 || u64::try_from(limiter.keys())? != keys {
        return Err(format!("of {keys} keys {} are held", limiter.keys()).into());
    }
    if let Some((before, after)) = before.zip(after) {
        child.found("resident", after.saturating_sub(before) as f64 / keys as f64);
    }
    child.found_latency("insert", &latency);
    // The process is about to end; no need to take the map apart.
    mem::forget(limiter);
    Ok(())
}

/// The same without a limiter: what the machine by itself does to the slowest of so many calls. They are
/// made eight times over, since they take less time.
pub(crate) fn measure_machine(child: &mut Child, keys: u64) {
    child.has_to_do(8 * keys);
    let latency = Latency::of_calls(child, 8 * keys, 0, |rank| {
        std::hint::black_box(u64::of(rank));
    });
    child.found_latency("insert", &latency);
}
