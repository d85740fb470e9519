//! Whose request it is.

use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

use super::head::RequestHead;

/// Finds in a request the key whose bucket it takes from.
///
/// [`ClientIp`](super::ClientIp) and [`HeaderKey`](super::HeaderKey) are such; a closure becomes one by
/// [`RateLimitLayer::key_by`](super::RateLimitLayer::key_by) or
/// [`key_text`](super::RateLimitLayer::key_text).
///
/// # Examples
///
/// ```
/// use flowgate::http::{Key, RequestHead};
///
/// /// The first part of the path.
/// struct Tenant;
///
/// impl Key for Tenant {
///     type Of = str;
///     type Found<'r> = &'r str;
///
///     fn key<'r>(&self, head: &RequestHead<'r>) -> Option<&'r str> {
///         head.path().split('/').nth(1).filter(|tenant| !tenant.is_empty())
///     }
/// }
///
/// let request = http::Request::get("/acme/items").body(()).unwrap();
/// assert_eq!(Tenant.key(&RequestHead::of(&request)), Some("acme"));
/// ```
pub trait Key: Send + Sync + 'static {
    /// What the limiter is keyed by: `str` for text, `IpAddr` for addresses.
    type Of: ?Sized;
    /// How the key is found: borrowed from the request, if that can be.
    type Found<'r>: Borrow<Self::Of>;

    /// The key of a request; none if it has no usable one. Then it is refused, or shares a bucket: see
    /// [`WithoutKey`].
    fn key<'r>(&self, head: &RequestHead<'r>) -> Option<Self::Found<'r>>;
}

/// No key: all requests take from the same bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKey;

impl Key for NoKey {
    type Of = ();
    type Found<'r> = ();

    #[inline]
    fn key<'r>(&self, _head: &RequestHead<'r>) -> Option<()> {
        Some(())
    }
}

/// A key that a closure finds. Made by [`RateLimitLayer::key_by`](super::RateLimitLayer::key_by).
pub struct KeyBy<F, K> {
    find: F,
    key: PhantomData<fn() -> K>,
}

impl<F, K> KeyBy<F, K> {
    pub(super) fn new(find: F) -> Self {
        Self { find, key: PhantomData }
    }
}

impl<F, K> Key for KeyBy<F, K>
where
    F: Fn(&RequestHead<'_>) -> Option<K> + Send + Sync + 'static,
    K: 'static,
{
    type Of = K;
    type Found<'r> = K;

    #[inline]
    fn key<'r>(&self, head: &RequestHead<'r>) -> Option<K> {
        (self.find)(head)
    }
}

impl<F: Clone, K> Clone for KeyBy<F, K> {
    fn clone(&self) -> Self {
        Self::new(self.find.clone())
    }
}

impl<F, K> fmt::Debug for KeyBy<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBy")
    }
}

/// A text that a closure finds. Made by [`RateLimitLayer::key_text`](super::RateLimitLayer::key_text).
#[derive(Clone)]
pub struct KeyText<F> {
    find: F,
}

impl<F> KeyText<F> {
    pub(super) fn new(find: F) -> Self {
        Self { find }
    }
}

impl<F> Key for KeyText<F>
where
    F: for<'r> Fn(&RequestHead<'r>) -> Option<Cow<'r, str>> + Send + Sync + 'static,
{
    type Of = str;
    type Found<'r> = Cow<'r, str>;

    #[inline]
    fn key<'r>(&self, head: &RequestHead<'r>) -> Option<Cow<'r, str>> {
        (self.find)(head)
    }
}

impl<F> fmt::Debug for KeyText<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText")
    }
}

/// What becomes of a request in which no key is found.
#[derive(Clone, Copy, Default)]
pub enum WithoutKey<K> {
    /// It is answered `400 Bad Request`.
    #[default]
    Refuse,
    /// It takes from the bucket of this key, which all such requests share.
    ///
    /// Whoever sends this key by itself takes from the same bucket, and gains nothing.
    Share(K),
}

impl<K> fmt::Debug for WithoutKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "Refuse",
            Self::Share(_) => "Share",
        })
    }
}
