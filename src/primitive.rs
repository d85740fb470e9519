//! The one switch between core's atomics, a software fallback for them, and loom's.

#[cfg(flowgate_loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(flowgate_loom)]
pub(crate) use modelled::AtomicU64;

#[cfg(all(not(flowgate_loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

#[cfg(all(not(flowgate_loom), not(feature = "portable-atomic"), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(not(flowgate_loom), not(feature = "portable-atomic"), not(target_has_atomic = "64")))]
compile_error!(
    "this target has no 64-bit atomics: turn on flowgate's feature `portable-atomic`, which emulates them"
);

/// Locks, for what no decision on a key that is there goes through.
#[cfg(all(flowgate_loom, feature = "keyed"))]
pub(crate) use loom::sync::{Arc, Mutex, RwLock};
#[cfg(all(not(flowgate_loom), feature = "keyed"))]
pub(crate) use std::sync::{Arc, Mutex, RwLock};

/// Gives way while another thread finishes what it holds.
pub(crate) fn give_way() {
    #[cfg(flowgate_loom)]
    loom::thread::yield_now();
    #[cfg(not(flowgate_loom))]
    core::hint::spin_loop();
}

/// Gives the processor to another thread, which may be the one that is waited for.
#[cfg(feature = "std")]
pub(crate) fn yield_now() {
    #[cfg(flowgate_loom)]
    loom::thread::yield_now();
    #[cfg(not(flowgate_loom))]
    std::thread::yield_now();
}

/// Leaves a contended word to others for a moment: 32 pauses, some 0.3 µs here. Fewer do not keep the
/// others' cores from losing it at once (measured: 8 help on some days, 32 on all).
#[cold]
#[inline(never)]
pub(crate) fn step_aside() {
    #[cfg(not(flowgate_loom))]
    for _ in 0..32 {
        core::hint::spin_loop();
    }
}

/// loom's atomic, with loads and stores that can be switched to read-modify-writes.
///
/// loom 0.7.3 remembers one last access of an atomic. A thread that loads and then swaps hides by its own
/// load the load of another thread before it, and the order "swap first, then that other load" is never
/// tried (loom's issues 166 and 392). Read-modify-writes are never hidden, but they never read an older
/// value either, as a load may. So each model is run both ways: with plain accesses, for what weak memory
/// does, and with read-modify-writes, for every order.
#[cfg(flowgate_loom)]
mod modelled {
    use super::Ordering;

    #[derive(Debug)]
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(word: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(word))
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            if crate::planted::control::loads_are_tracked() {
                return self.0.fetch_or(0, ordering);
            }
            self.0.load(ordering)
        }

        pub(crate) fn store(&self, word: u64, ordering: Ordering) {
            if crate::planted::control::loads_are_tracked() {
                self.0.swap(word, ordering);
                return;
            }
            self.0.store(word, ordering);
        }

        pub(crate) fn fetch_add(&self, more: u64, ordering: Ordering) -> u64 {
            self.0.fetch_add(more, ordering)
        }

        pub(crate) fn compare_exchange(
            &self,
            seen: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange(seen, new, success, failure)
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            seen: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange_weak(seen, new, success, failure)
        }
    }
}
