//! The memory that this process has in use.

use std::fs;

/// Its resident set in bytes, as Linux counts it to the page; `None` on other systems.
pub(crate) fn bytes() -> Option<u64> {
    // `statm` counts per thread and adds up now and then; this one looks.
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
