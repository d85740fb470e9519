//! What a bucket is called in a store.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec::Vec;

/// Whose bucket it is: text, bytes, a number or an address.
///
/// A number is its decimal digits, an address its text: `7` and `"7"` are the same key.
///
/// # Examples
///
/// A key of one's own:
///
/// ```
/// use std::borrow::Cow;
/// use flowgate::redis::StoreKey;
///
/// struct Tenant { region: u8, id: u64 }
///
/// impl StoreKey for Tenant {
///     fn bytes(&self) -> Cow<'_, [u8]> {
///         format!("{}/{}", self.region, self.id).into_bytes().into()
///     }
/// }
///
/// assert_eq!(&*Tenant { region: 1, id: 7 }.bytes(), b"1/7");
/// assert_eq!(&*7_u64.bytes(), b"7");
/// ```
pub trait StoreKey {
    /// The key as bytes, any and as many as one likes. Those of different keys differ.
    fn bytes(&self) -> Cow<'_, [u8]>;
}

impl<K: StoreKey + ?Sized> StoreKey for &K {
    fn bytes(&self) -> Cow<'_, [u8]> {
        (**self).bytes()
    }
}

/// Kinds of keys that lie in memory as they are stored.
macro_rules! as_they_are {
    ($($kind:ty),*) => {$(
        impl StoreKey for $kind {
            fn bytes(&self) -> Cow<'_, [u8]> {
                let bytes: &[u8] = self.as_ref();
                bytes.into()
            }
        }
    )*};
}

/// Kinds of keys that are stored as they are written.
macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl StoreKey for $kind {
            fn bytes(&self) -> Cow<'_, [u8]> {
                self.to_string().into_bytes().into()
            }
        }
    )*};
}

as_they_are!(str, String, [u8], Vec<u8>);
as_text!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
as_text!(IpAddr, Ipv4Addr, Ipv6Addr);

impl<const N: usize> StoreKey for [u8; N] {
    fn bytes(&self) -> Cow<'_, [u8]> {
        self.as_slice().into()
    }
}

/// The name of a limit in a store: keys of different names have different buckets.
///
/// A bucket is called `name:{key}`, or `name:{key}:limit` where several limits belong together. Of a key in braces a cluster takes
/// what stands in them to find its slot, so the buckets of one key are in one slot. Braces and percent signs in names and keys are
/// escaped, so that it ends where it should, and no two names and keys together give the same.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// With the brace that opens.
    head: Vec<u8>,
    /// After the brace that closes.
    limit: Vec<u8>,
}

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let mut head = Vec::new();
        escape(name.as_bytes(), &mut head);
        head.extend(b":{");
        Self { head, limit: Vec::new() }
    }

    /// Of one limit of several.
    pub(crate) fn limit(&self, limit: &str) -> Self {
        let mut suffix = std::vec![b':'];
        suffix.extend(limit.as_bytes());
        Self { head: self.head.clone(), limit: suffix }
    }

    /// What the bucket of a key is called.
    pub(crate) fn of_key(&self, key: &[u8]) -> Vec<u8> {
        let length = self.head.len().saturating_add(self.limit.len()).saturating_add(key.len());
        let mut called = Vec::with_capacity(length.saturating_add(1));
        called.extend(&self.head);
        if key.is_empty() {
            // Empty braces count for nothing. A percent sign alone is no escape of anything.
            called.push(b'%');
        }
        escape(key, &mut called);
        called.push(b'}');
        called.extend(&self.limit);
        called
    }
}

fn escape(bytes: &[u8], to: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'%' => to.extend(b"%25"),
            b'{' => to.extend(b"%7B"),
            b'}' => to.extend(b"%7D"),
            _ => to.push(*byte),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…}}{}", self.head.escape_ascii(), self.limit.escape_ascii())
    }
}
