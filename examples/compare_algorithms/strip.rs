//! Calls over time, counted in parts of the time.

use crate::axis::Axis;
use crate::replay::Report;

/// The parts of a strip.
pub(crate) const PARTS: usize = 120;

/// How many calls there are in each part.
pub(crate) struct Strip {
    pub(crate) admitted: [u64; PARTS],
    pub(crate) rejected: [u64; PARTS],
}

impl Strip {
    pub(crate) fn new(report: &Report, axis: &Axis) -> Self {
        let count = |times_ns: &[u64]| {
            let mut counts = [0; PARTS];
            for time_ns in times_ns {
                counts[axis.part(*time_ns, PARTS)] += 1;
            }
            counts
        };
        Self { admitted: count(&report.admitted_ns), rejected: count(&report.rejected_ns) }
    }

    /// Both together.
    pub(crate) fn all(&self) -> [u64; PARTS] {
        std::array::from_fn(|part| self.admitted[part] + self.rejected[part])
    }

    pub(crate) fn highest(&self) -> u64 {
        self.all().into_iter().max().unwrap_or(0)
    }
}

/// The outline of steps as high as `counts`, above the line from `left` on at `bottom`.
pub(crate) fn outline(
    counts: &[u64; PARTS],
    (left, bottom): (i32, i32),
    (width, height): (i32, i32),
    highest: u64,
) -> Vec<(i32, i32)> {
    let mut points = vec![(left, bottom)];
    let mut last = 0;
    for (part, count) in counts.iter().enumerate() {
        let x = left + crate::draw::share(width, part as u128, PARTS as u128);
        if *count != last {
            points.extend([last, *count].map(|count| (x, y(bottom, height, count, highest))));
        }
        last = *count;
    }
    points.push((left + width, y(bottom, height, last, highest)));
    points.push((left + width, bottom));
    points
}

/// The height of a count. What is not nothing is seen.
fn y(bottom: i32, height: i32, count: u64, highest: u64) -> i32 {
    let share = crate::draw::share(height, count.into(), highest.into());
    bottom - if count == 0 { 0 } else { share.max(1) }
}
