//! Keys that are all full again, and are dropped as new ones come.

use std::error::Error;
use std::mem;
use std::time::Duration;

use flowgate::{KeyedBuilder, KeyedLimiter, ManualClock, Quota};

use crate::jobs::Child;
use crate::latency::Latency;
use crate::rivals::Key;

/// Adds so many keys, lets all of them fill up at once, and adds as many others.
pub(crate) fn measure(
    child: &mut Child,
    keys: u64,
    store: fn(KeyedBuilder<u64>) -> KeyedBuilder<u64>,
) -> Result<(), Box<dyn Error>> {
    child.has_to_do(2 * keys);
    // By hand, or the first would have expired before the last is there.
    let clock = ManualClock::new();
    let quota = Quota::per_second(10);
    let limiter = store(KeyedLimiter::builder(quota)).build_with_clock(&clock)?;
    let mut denied = 0;
    let mut add = |rank| denied += u64::from(!limiter.is_allowed(&u64::of(rank)));
    let _ = Latency::of_calls(child, keys, 0, &mut add);
    clock.advance(Duration::from_secs(1));
    let latency = Latency::of_calls(child, keys, keys, &mut add);
    if denied > 0 || u64::try_from(limiter.len())? != keys {
        return Err(format!("{} keys are held where {keys} have not expired", limiter.len()).into());
    }
    child.found_latency("expire", &latency);
    // The process is about to end; no need to take the map apart.
    mem::forget(limiter);
    Ok(())
}
