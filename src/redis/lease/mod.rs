//! Tokens leased from a store in batches, and spent by a local word.

mod ask;

pub(crate) use ask::{Ask, Hint, Lessor, Told};
