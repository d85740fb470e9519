//! The clock that all processes of a machine have in common.

use std::time::Duration;

/// Microseconds by `CLOCK_MONOTONIC`: one clock for all processes, which nobody sets.
#[cfg(target_os = "linux")]
pub(crate) fn now_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000 + u64::try_from(time.tv_nsec).unwrap() / 1_000
}

/// Microseconds since 1970: elsewhere the standard library has no other clock for several processes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now_us() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    super::micros(since_1970)
}

pub(crate) fn sleep_until_us(until_us: u64) {
    std::thread::sleep(Duration::from_micros(until_us.saturating_sub(now_us())));
}
