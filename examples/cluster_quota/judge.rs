//! Looks through all windows of time.

const SECOND_NS: i64 = 1_000_000_000;

/// One token that a process was granted: somewhere between its question and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) process: usize,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

/// A window of time, and what was granted in it beyond capacity + rate × window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// In billionths of a token; below zero if less was granted.
    over_nanos: i64,
}

impl Window {
    /// In tokens.
    pub(crate) fn over(&self) -> f64 {
        self.over_nanos as f64 / SECOND_NS as f64
    }
}

/// The window in which the most was granted beyond what may be; none if nothing was.
///
/// A grant counts where all of the time between question and answer is in the window, so what is over here was over, whenever in
/// between each was made. It looks at each start and each end.
pub(crate) fn fullest_window(grants: &[Grant], per_second: u64, capacity: u64) -> Option<Window> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (per_second, capacity) = (signed(per_second), signed(capacity));
    let mut by_end = grants.to_vec();
    by_end.sort_unstable_by_key(|grant| grant.to_ns);
    let mut fullest: Option<Window> = None;
    for Grant { from_ns, .. } in grants {
        let (from_ns, mut granted) = (*from_ns, 0);
        let first = by_end.partition_point(|grant| grant.to_ns < from_ns);
        for grant in &by_end[first..] {
            if grant.from_ns >= from_ns {
                granted += SECOND_NS;
                let refilled = per_second * signed(grant.to_ns - from_ns);
                let over_nanos = granted - refilled - capacity * SECOND_NS;
                if fullest.is_none_or(|fullest| fullest.over_nanos < over_nanos) {
                    fullest = Some(Window { from_ns, to_ns: grant.to_ns, over_nanos });
                }
            }
        }
    }
    fullest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(times_ms: &[(u64, u64)]) -> Vec<Grant> {
        let ns = |ms| ms * 1_000_000;
        let grant = |&(from, to)| Grant { process: 0, from_ns: ns(from), to_ns: ns(to) };
        times_ms.iter().map(grant).collect()
    }

    #[test]
    fn one_more_than_the_capacity_at_once_is_found() {
        let window = fullest_window(&grants(&[(5, 5); 4]), 10, 3);
        assert_eq!(window.map(|window| window.over()), Some(1.0));
        let window = fullest_window(&grants(&[(5, 5); 3]), 10, 3);
        assert_eq!(window.map(|window| window.over()), Some(0.0));
    }

    #[test]
    fn what_is_refilled_within_the_window_may_be_granted() {
        // Two at once, and one more for each 100 ms.
        let kept = grants(&[(0, 0), (0, 0), (100, 100), (200, 200)]);
        assert_eq!(fullest_window(&kept, 10, 2).map(|window| window.over()), Some(0.0));
        let early = grants(&[(0, 0), (0, 0), (100, 100), (150, 150)]);
        let window = fullest_window(&early, 10, 2).unwrap_or_else(|| unreachable!());
        assert_eq!((window.from_ns, window.to_ns, window.over()), (0, 150_000_000, 0.5));
    }

    #[test]
    fn a_grant_that_may_have_been_made_outside_of_a_window_does_not_count_in_it() {
        let long = grants(&[(0, 100), (100, 100), (100, 100)]);
        assert_eq!(fullest_window(&long, 10, 2).map(|window| window.over()), Some(0.0));
        assert_eq!(fullest_window(&[], 10, 2), None);
    }
}
