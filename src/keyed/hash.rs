//! The hash of keys.

use core::fmt;
use core::hash::{BuildHasher, Hasher};

/// The default hash of a [`KeyedLimiter`](crate::KeyedLimiter)'s keys: aHash, with keys of its own, drawn from
/// the operating system, for each limiter.
///
/// A limiter's keys are its attackers' keys. Whoever knew the hash could choose names that all meet in one
/// chain of a map, and make each lookup as slow as they like. aHash says that without its keys nobody can
/// construct collisions ([its documentation](https://docs.rs/ahash)); so does the standard library of its
/// SipHash, with a longer record and at about four times the time. Where that record counts for more, give
/// [`hasher`](crate::KeyedBuilder::hasher) a `std::hash::RandomState`.
///
/// # Examples
///
/// ```
/// use std::hash::BuildHasher;
/// use flowgate::SeededHash;
///
/// let (one, other) = (SeededHash::new(), SeededHash::new());
/// assert_eq!(one.hash_one("alice"), one.clone().hash_one("alice"));
/// assert_ne!(one.hash_one("alice"), other.hash_one("alice"));
/// ```
#[derive(Clone)]
pub struct SeededHash(ahash::RandomState);

impl SeededHash {
    /// Draws new keys.
    #[must_use]
    pub fn new() -> Self {
        Self(ahash::RandomState::new())
    }
}

impl Default for SeededHash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeededHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The keys are a secret.
        f.write_str("SeededHash")
    }
}

impl BuildHasher for SeededHash {
    type Hasher = SeededHasher;

    #[inline]
    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0.build_hasher())
    }
}

/// What [`SeededHash`] makes for each key.
#[derive(Clone)]
pub struct SeededHasher(ahash::AHasher);

impl fmt::Debug for SeededHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededHasher")
    }
}

/// Forwards each kind of number as it is: for some of them aHash has a way of its own.
macro_rules! forward {
    ($($write:ident($number:ty);)*) => {
        impl Hasher for SeededHasher {
            #[inline]
            fn finish(&self) -> u64 {
                self.0.finish()
            }

            $(
                #[inline]
                fn $write(&mut self, number: $number) {
                    self.0.$write(number);
                }
            )*
        }
    };
}

forward! {
    write(&[u8]);
    write_u8(u8);
    write_u16(u16);
    write_u32(u32);
    write_u64(u64);
    write_u128(u128);
    write_usize(usize);
}
