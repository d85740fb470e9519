//! Looks through all windows of time.

/// The most, over all windows, that was granted beyond capacity + rate × window; in tokens.
///
/// The best window that ends at each grant either begins with it, or is the best one before it and the time in between.
pub(crate) fn most_over(granted: &[(u64, u64)], per_second: u64, capacity: u64) -> f64 {
    const SECOND_NS: i128 = 1_000_000_000;
    let mut granted = granted.to_vec();
    granted.sort_unstable();
    let (mut best, mut worst, mut last_ns) = (0_i128, -i128::from(capacity) * SECOND_NS, 0);
    for (at_ns, tokens) in granted {
        let refilled = i128::from(per_second) * i128::from(at_ns - last_ns);
        best = (best - refilled).max(0) + i128::from(tokens) * SECOND_NS;
        worst = worst.max(best - i128::from(capacity) * SECOND_NS);
        last_ns = at_ns;
    }
    worst as f64 / SECOND_NS as f64
}
