//! The one switch between core's atomics, a software fallback for them, and loom's.

#[cfg(flowgate_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(not(flowgate_loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

#[cfg(all(not(flowgate_loom), not(feature = "portable-atomic"), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(not(flowgate_loom), not(feature = "portable-atomic"), not(target_has_atomic = "64")))]
compile_error!(
    "this target has no 64-bit atomics: turn on flowgate's feature `portable-atomic`, which emulates them"
);

/// Gives way while another thread finishes what it holds.
pub(crate) fn give_way() {
    #[cfg(flowgate_loom)]
    loom::thread::yield_now();
    #[cfg(not(flowgate_loom))]
    core::hint::spin_loop();
}
