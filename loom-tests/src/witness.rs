//! A clock by which models tell when a grant counts.

use std::cell::Cell;

use flowgate::{Clock, ManualClock};

loom::thread_local! {
    static TOLD_NS: Cell<u64> = Cell::new(0);
}

/// A manual clock that remembers what it told each thread last.
pub(crate) struct Witness(pub(crate) ManualClock);

impl Clock for Witness {
    fn now_ns(&self) -> u64 {
        let now_ns = self.0.now_ns();
        TOLD_NS.with(|told| told.set(now_ns));
        now_ns
    }
}

/// When a call of this thread was granted, as the clock told it last.
pub(crate) fn told(is_granted: bool) -> Option<u64> {
    is_granted.then(|| TOLD_NS.with(Cell::get))
}
