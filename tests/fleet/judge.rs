//! Whether what several processes were granted was too much.

use super::record::Grant;

/// The most, over all windows of time, that was granted beyond `capacity + per_second × window`; below zero if no window saw as much.
///
/// A grant was made some time between its `from_us` and its `to_us`, when the one that asked was given the answer. It counts in the
/// windows that hold all of that time: so what is over here was over, wherever in between each was made.
pub(crate) fn over(grants: &[Grant], capacity: u64, per_second: u64) -> f64 {
    let per_us = per_second as f64 / 1e6;
    let mut ends: Vec<u64> = grants.iter().map(|grant| grant.to_us).collect();
    ends.sort_unstable();
    ends.dedup();
    // Of each end of a window: what was granted in it, less what is refilled until then.
    let mut windows =
        Windows::new(&ends.iter().map(|end| -(*end as f64) * per_us).collect::<Vec<_>>());
    let mut grants = grants.to_vec();
    grants.sort_unstable_by_key(|grant| grant.from_us);
    let mut worst = f64::MIN;
    // Windows that begin with each grant, the latest first, when all that begin later are in.
    let mut all = grants.iter().rev().peekable();
    while let Some(grant) = all.next() {
        windows.add_from(ends.partition_point(|end| *end < grant.to_us), grant.tokens as f64);
        if all.peek().is_none_or(|next| next.from_us < grant.from_us) {
            let most = windows.most_from(ends.partition_point(|end| *end < grant.from_us));
            worst = worst.max(most + grant.from_us as f64 * per_us - capacity as f64);
        }
    }
    worst
}

/// What was granted for sure between two times.
pub(crate) fn granted_between(grants: &[Grant], from_us: u64, to_us: u64) -> u64 {
    let within = |grant: &&Grant| from_us <= grant.from_us && grant.to_us <= to_us;
    grants.iter().filter(within).map(|grant| grant.tokens).sum()
}

/// Numbers in a row, to all of which from some place on one adds, and asks for the largest: a tree of sums, in which each knows the
/// largest of what begins in it.
struct Windows {
    /// The leaves are from `width` on; the node `n` has `2n` and `2n + 1` below it.
    width: usize,
    sum: Vec<f64>,
    largest: Vec<f64>,
}

impl Windows {
    /// Each number is the sum of all differences up to its place.
    fn new(numbers: &[f64]) -> Self {
        let width = numbers.len().next_power_of_two();
        let mut new = Self { width, sum: vec![0.0; 2 * width], largest: vec![f64::MIN; 2 * width] };
        let mut last = 0.0;
        for (at, number) in numbers.iter().enumerate() {
            (new.sum[width + at], new.largest[width + at]) = (number - last, number - last);
            last = *number;
        }
        for node in (1..width).rev() {
            new.sum_up(node);
        }
        new
    }

    fn sum_up(&mut self, node: usize) {
        let (left, right) = (2 * node, 2 * node + 1);
        self.sum[node] = self.sum[left] + self.sum[right];
        self.largest[node] = self.largest[left].max(self.sum[left] + self.largest[right]);
    }

    fn add_from(&mut self, place: usize, more: f64) {
        let mut node = self.width + place;
        self.sum[node] += more;
        self.largest[node] += more;
        while node > 1 {
            node /= 2;
            self.sum_up(node);
        }
    }

    /// The largest number from some place on.
    fn most_from(&self, place: usize) -> f64 {
        let mut node = self.width + place;
        // What is at this place and right of it, within the node.
        let mut largest = self.largest[node];
        let mut sum = self.sum[node];
        let mut before = 0.0;
        while node > 1 {
            let (is_left, parent) = (node.is_multiple_of(2), node / 2);
            if is_left {
                largest = largest.max(sum + self.largest[node + 1]);
                sum += self.sum[node + 1];
            } else {
                before += self.sum[node - 1];
            }
            node = parent;
        }
        before + largest
    }
}
