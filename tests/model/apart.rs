//! Keys that are apart from each other.

use std::hash::{BuildHasher, Hasher};

/// A hash that puts each key into a part of its own, so that none is swept with another, and lets each share another
/// bucket.
#[derive(Clone, Copy, Default)]
pub(crate) struct Apart(u64);

impl BuildHasher for Apart {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Apart {
    fn finish(&self) -> u64 {
        self.0 << 53 | self.0 << 8
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = u64::from(bytes[0]);
    }
}
