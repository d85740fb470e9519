//! Windows of time, by what was granted and when.

/// A count by windows, one after the other; with the one before for a sliding window.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) period_ns: u64,
    pub(crate) limit: u128,
    window: u64,
    count: u128,
    before: u128,
    weighs: bool,
}

impl Counts {
    pub(crate) fn new(period_ns: u64, limit: u128, weighs: bool, now_ns: u64) -> Self {
        Self { period_ns, limit, window: now_ns / period_ns, count: 0, before: 0, weighs }
    }

    /// The counts of the window of `now_ns` and of the one before it; none for a window that is past.
    fn counts_at(&self, now_ns: u64) -> Option<(u128, u128)> {
        let before = |count| if self.weighs { count } else { 0 };
        match (now_ns / self.period_ns).checked_sub(self.window)? {
            0 => Some((self.count, before(self.before))),
            1 => Some((0, before(self.count))),
            _ => Some((0, 0)),
        }
    }

    /// Whether `cost` is within the limit: count + before × (1 − f) + cost ≤ limit, multiplied out.
    pub(crate) fn holds(&self, cost: u128, now_ns: u64) -> bool {
        let Some((count, before)) = self.counts_at(now_ns) else { return false };
        if cost > self.limit {
            return false;
        }
        let rest_ns = self.period_ns - now_ns % self.period_ns;
        (count + cost) * u128::from(self.period_ns) + before * u128::from(rest_ns)
            <= self.limit * u128::from(self.period_ns)
    }

    /// The largest cost that it holds, found by halving: nothing is shared with the code under test.
    pub(crate) fn available(&self, now_ns: u64) -> u128 {
        if !self.holds(1, now_ns) {
            return 0;
        }
        let (mut held, mut above) = (1, self.limit + 1);
        while above - held > 1 {
            let cost = held.midpoint(above);
            if self.holds(cost, now_ns) { held = cost } else { above = cost }
        }
        held
    }

    /// Enters the window of `now_ns`, if it is a later one.
    fn enter(&mut self, now_ns: u64) {
        if let Some((count, before)) = self.counts_at(now_ns) {
            (self.count, self.before) = (count, before);
            self.window = now_ns / self.period_ns;
        }
    }

    pub(crate) fn take(&mut self, cost: u128, now_ns: u64) {
        self.enter(now_ns);
        self.count += cost;
    }

    /// From the present window, or from the later one that is stored.
    pub(crate) fn give(&mut self, cost: u128, now_ns: u64) {
        self.enter(now_ns);
        self.count = self.count.saturating_sub(cost);
    }
}
