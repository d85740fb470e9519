//! The time that processors have spent on this process.

use std::time::Duration;

/// Of all its threads together; `None` where that cannot be asked.
#[cfg(target_os = "linux")]
pub(crate) fn time() -> Option<Duration> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(spent.tv_sec.try_into().ok()?, spent.tv_nsec.try_into().ok()?))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn time() -> Option<Duration> {
    None
}
