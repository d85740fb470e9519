//! Bugs that can be switched on under loom, to show that the models catch them.
//!
//! In every other build each function is a constant `false` and the branch on it is gone.

macro_rules! planted {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub(crate) fn $name() -> bool {
                #[cfg(flowgate_loom)]
                return control::is_planted($bit);
                #[cfg(not(flowgate_loom))]
                false
            }
        )*

        /// Every bug by name, with the bit to give to [`control::plant`].
        #[cfg(flowgate_loom)]
        pub const ALL: &[(&str, u32)] = &[$((stringify!($name), $bit)),*];
    };
}

planted! {
    /// The loop stores without comparing.
    load_then_store = 0;
    /// A stamp in the future is subtracted with wrapping arithmetic, as if it were ages ago.
    wrapping_elapsed = 1;
    /// A refund goes above the capacity.
    refund_above_capacity = 2;
    /// The plan is read without checking that it did not change meanwhile.
    torn_read = 3;
    /// A change of quota leaves the level above the new capacity.
    keep_above_new_capacity = 4;
    /// A charge below the floor wraps around.
    charge_below_floor = 5;
    /// `consume_up_to` returns what it was asked for and takes what is there.
    promise_more_than_taken = 6;
}

/// The switch, one per thread that runs models.
#[cfg(flowgate_loom)]
pub mod control {
    extern crate std;

    // Not loom's atomic: the switch is not part of the model.
    use std::sync::atomic::{AtomicU32, Ordering};

    static PLANTED: AtomicU32 = AtomicU32::new(0);

    /// Switches on the bugs in `bits`, and all others off, for the whole process.
    pub fn plant(bits: u32) {
        PLANTED.store(bits, Ordering::SeqCst);
    }

    pub(crate) fn is_planted(bit: u32) -> bool {
        PLANTED.load(Ordering::SeqCst) & (1 << bit) != 0
    }
}
