//! Which stripe a thread goes to first.

/// A number for the calling thread, of which the low bits pick a stripe.
///
/// Threads are numbered as they first call, whichever bucket they call: so up to as many threads as there are stripes
/// have one each. The number is all that a thread leaves behind, and it is nowhere but in the thread: there is
/// nothing to register and nothing to give back.
#[inline(always)]
pub(crate) fn lane() -> usize {
    held::get()
}

/// Moves the calling thread on to the next stripe: it met somebody on this one.
#[cold]
pub(crate) fn move_on() {
    held::set(lane().wrapping_add(1));
}

#[cfg(not(flowgate_loom))]
mod held {
    use core::cell::Cell;

    use crate::cell::Cell as Atomic;

    /// A thread that has no number yet.
    const NONE: usize = usize::MAX;

    static NEXT: Atomic = Atomic::new(0);

    std::thread_local! {
        // Constant, and without a destructor: it is read like any variable.
        static LANE: Cell<usize> = const { Cell::new(NONE) };
    }

    #[inline(always)]
    pub(super) fn get() -> usize {
        match LANE.get() {
            NONE => first(),
            lane => lane,
        }
    }

    #[cold]
    fn first() -> usize {
        let lane = usize::try_from(NEXT.add(1)).unwrap_or(0) & (NONE >> 1);
        LANE.set(lane);
        lane
    }

    pub(super) fn set(lane: usize) {
        LANE.set(lane & (NONE >> 1));
    }
}

/// A model gives its threads their lanes itself.
#[cfg(flowgate_loom)]
mod held {
    pub(super) use crate::planted::control::{lane as get, set_lane as set};
}
