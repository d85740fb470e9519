//! What is built once, and put around services.

use core::fmt;
use core::time::Duration;
use std::borrow::{Cow, ToOwned};
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use tower_layer::Layer;

use super::answer::Answer;
use super::gate::{Gate, Wait, room_to_ask};
use super::head::RequestHead;
use super::headers::Headers;
use super::key::{Key, KeyBy, KeyText, NoKey, WithoutKey};
use super::observe::{Observe, Observers};
use super::policy::{NameError, Policy};
use super::room::Room;
use super::service::RateLimit;
use crate::tokens::Tokens;
use crate::wait::{Costs, Limit, LimitSet, OfKeys, Timer};

/// Limits in front of a service: a [tower](https://docs.rs/tower) layer, for axum, hyper, tonic and whatever else is made of
/// services.
///
/// A request that a limit refuses is answered `429 Too Many Requests`, with `Retry-After`, before its body is read. The inner
/// service does not hear of it.
///
/// **Clones share.** A clone of the layer, each service that it is put around, and each clone of those take from the same
/// buckets; so do clones of the limiter that it was made of. Another bucket takes another limiter.
///
/// The inner service's readiness and errors pass through as they are. (A service that is not ready, such as one of
/// tower's `ConcurrencyLimit`, is asked before the limits are; put this layer outside of it if refusals should not wait.)
///
/// # Examples
///
/// A bucket per client in front of an axum app:
///
/// ```
/// use std::net::{IpAddr, SocketAddr};
/// use axum::{Router, extract::ConnectInfo, routing::post};
/// use flowgate::http::{ClientIp, RateLimitLayer};
/// use flowgate::{KeyedLimiter, Quota};
///
/// let clients = KeyedLimiter::<IpAddr>::new(Quota::per_second(10).burst(20))?;
/// let by_address = ClientIp::trusting(["10.0.0.0/8".parse()?])
///     .peer(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address);
/// let app: Router = Router::new()
///     .route("/v1/chat", post(async || "hello"))
///     .layer(RateLimitLayer::new(clients).key(by_address));
/// // axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One bucket for all, in front of any service:
///
/// ```
/// use flowgate::http::RateLimitLayer;
/// use flowgate::{Quota, TokenBucket};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let layer = RateLimitLayer::new(TokenBucket::new(Quota::per_hour(1))?);
/// let service = layer.layer(service_fn(|_: http::Request<String>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
/// }));
/// # async_io::block_on(async {
/// let ask = || service.clone().oneshot(http::Request::new(String::new()));
/// assert_eq!(ask().await.unwrap().status(), 200);
/// let refused = ask().await.unwrap();
/// assert_eq!(refused.status(), 429);
/// assert_eq!(refused.headers()["retry-after"], "3600");
/// assert_eq!(refused.headers()["ratelimit-policy"], r#""default";q=1;w=3600"#);
/// assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=3600"#);
/// # });
/// # Ok::<(), flowgate::QuotaError>(())
/// ```
pub struct RateLimitLayer<Q: ?Sized + ToOwned, const N: usize, K = NoKey> {
    gate: Arc<Gate<Q, N, K>>,
}

/// The name of one limiter that was given none.
const DEFAULT: &str = "default";

impl<Q: ?Sized + ToOwned + 'static> RateLimitLayer<Q, 1> {
    /// Limits by one limiter, whose name in header fields is `default`.
    ///
    /// A limiter by key needs [`key`](RateLimitLayer::key) or one of its siblings: without, it does not compile. A limiter
    /// without keys is one for all, and must not be given one; keep another `Arc` of it to change its quota.
    #[must_use]
    pub fn new<L: Limit<Q> + Send + Sync + 'static>(limiter: L) -> Self {
        let limiter: Box<dyn Limit<Q> + Send + Sync> = Box::new(limiter);
        Self::by(Policy::with_names(LimitSet::of([(DEFAULT, limiter)]), [DEFAULT]))
    }

    /// Limits by one limiter with a name of its own.
    ///
    /// # Errors
    ///
    /// [`NameError`] if header fields cannot have the name.
    pub fn named<L: Limit<Q> + Send + Sync + 'static>(
        name: &'static str,
        limiter: L,
    ) -> Result<Self, NameError> {
        Self::of(LimitSet::of([(name, Box::new(limiter))]))
    }
}

impl<Q: ?Sized + ToOwned + 'static, const N: usize> RateLimitLayer<Q, N> {
    /// Limits by a set of limits: all of them let a request through, or nothing is taken.
    ///
    /// # Errors
    ///
    /// [`NameError`] if header fields cannot have one of the names.
    ///
    /// # Examples
    ///
    /// Requests and tokens per minute, by API key:
    ///
    /// ```
    /// use flowgate::http::{HeaderKey, Headers, RateLimitLayer};
    /// use flowgate::{LimitSet, Quota};
    ///
    /// let budget = LimitSet::<str, 2>::per_key([
    ///     ("requests", Quota::per_minute(500)),
    ///     ("tokens", Quota::per_minute(200_000)),
    /// ])?;
    /// let layer = RateLimitLayer::of(budget)?
    ///     .key(HeaderKey::bearer())
    ///     // Four bytes of a prompt are a token or so, and 1,000 are answered.
    ///     .cost(|head| [1, head.content_length().unwrap_or(4_000) / 4 + 1_000])
    ///     .permits()
    ///     .headers(Headers::draft_11().by_name().on_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(set: LimitSet<Q, N>) -> Result<Self, NameError> {
        Ok(Self::by(Policy::new(set)?))
    }

    fn by(policy: Policy<Q, N>) -> Self {
        let gate = Gate {
            key: NoKey,
            policy,
            others: Vec::new(),
            cost: None,
            skip: None,
            without_key: WithoutKey::Refuse,
            is_shadow: false,
            wait: None,
            has_permits: false,
            headers: Headers::default(),
            answer: Answer::default(),
            observers: Observers::default(),
            asking: room_to_ask(),
        };
        Self { gate: Arc::new(gate) }
    }

    /// Finds each request's key in this way: by [`ClientIp`](super::ClientIp), [`HeaderKey`](super::HeaderKey), or a
    /// [`Key`] of one's own.
    #[must_use]
    pub fn key<K: Key<Of = Q>>(self, key: K) -> RateLimitLayer<Q, N, K>
    where
        Q::Owned: Clone,
    {
        let Gate {
            key: NoKey,
            policy,
            others,
            cost,
            skip,
            without_key,
            is_shadow,
            wait,
            has_permits,
            headers,
            answer,
            observers,
            asking,
        } = Arc::unwrap_or_clone(self.gate);
        let gate = Gate {
            key,
            policy,
            others,
            cost,
            skip,
            without_key,
            is_shadow,
            wait,
            has_permits,
            headers,
            answer,
            observers,
            asking,
        };
        RateLimitLayer { gate: Arc::new(gate) }
    }

    /// Finds each request's key by a closure, which returns what the limiter is keyed by.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::http::RateLimitLayer;
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    /// struct UserId(u64);
    ///
    /// let users = KeyedLimiter::<UserId>::new(Quota::per_second(5))?;
    /// // What the layer that checks who asks has left.
    /// let layer = RateLimitLayer::new(users).key_by(|head| head.extensions().get::<UserId>().copied());
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn key_by<F>(self, find: F) -> RateLimitLayer<Q, N, KeyBy<F, Q>>
    where
        F: Fn(&RequestHead<'_>) -> Option<Q> + Send + Sync + 'static,
        Q: Sized + ToOwned<Owned = Q> + Clone,
    {
        self.key(KeyBy::new(find))
    }
}

impl<const N: usize> RateLimitLayer<str, N> {
    /// Finds each request's key by a closure, as text, which may be borrowed from the request.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::http::RateLimitLayer;
    /// use flowgate::{KeyedLimiter, Quota};
    ///
    /// let tenants = KeyedLimiter::<String>::new(Quota::per_second(5))?;
    /// let layer = RateLimitLayer::new(tenants)
    ///     .key_text(|head| head.path().split('/').nth(1).map(Into::into));
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn key_text<F>(self, find: F) -> RateLimitLayer<str, N, KeyText<F>>
    where
        F: for<'r> Fn(&RequestHead<'r>) -> Option<Cow<'r, str>> + Send + Sync + 'static,
    {
        self.key(KeyText::new(find))
    }
}

impl<Q, const N: usize, K> RateLimitLayer<Q, N, K>
where
    Q: ?Sized + ToOwned + 'static,
    Q::Owned: Clone,
    K: Clone,
{
    fn set(mut self, set: impl FnOnce(&mut Gate<Q, N, K>)) -> Self {
        set(Arc::make_mut(&mut self.gate));
        self
    }

    /// Says what a request costs of each limit, before it is served: by its path, its length, or an estimate of its tokens.
    /// Without it, one of each.
    ///
    /// # Examples
    ///
    /// See [`of`](RateLimitLayer::of).
    #[must_use]
    pub fn cost<T: Into<Tokens>>(
        self,
        cost: impl Fn(&RequestHead<'_>) -> [T; N] + Send + Sync + 'static,
    ) -> Self {
        self.set(|gate| gate.cost = Some(Arc::new(move |head| cost(head).map(Into::into))))
    }

    /// Limits the requests for which `when` holds by another set. Of several the first that holds counts, and if none does,
    /// the set that the layer was made of.
    ///
    /// # Errors
    ///
    /// [`NameError`] if header fields cannot have one of the names.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowgate::http::{HeaderKey, RateLimitLayer};
    /// use flowgate::{LimitSet, Quota};
    ///
    /// #[derive(Clone, Copy, PartialEq)]
    /// enum Plan { Free, Gold }
    ///
    /// let set = |quota| LimitSet::<str, 1>::per_key([("requests", quota)]);
    /// let layer = RateLimitLayer::of(set(Quota::per_minute(10))?)?
    ///     .key(HeaderKey::bearer())
    ///     .tier(
    ///         |head| head.extensions().get() == Some(&Plan::Gold),
    ///         set(Quota::per_minute(600))?,
    ///     )?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tier(
        self,
        when: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
        set: LimitSet<Q, N>,
    ) -> Result<Self, NameError> {
        let policy = Policy::new(set)?;
        Ok(self.set(|gate| gate.others.push((Arc::new(when), policy))))
    }

    /// Limits requests for this path, and for those below it, by another set: a [`tier`](Self::tier) by path.
    ///
    /// Paths are compared as they were sent. `/chat` is not `/%63hat`, which falls to the set that the layer was made of: it
    /// should be no looser. In an axum router that is nested in another one, the path is the rest that this one sees.
    ///
    /// # Errors
    ///
    /// As [`tier`](Self::tier).
    pub fn route(self, path: impl Into<String>, set: LimitSet<Q, N>) -> Result<Self, NameError> {
        let path = path.into();
        self.tier(move |head| is_below(head.path(), &path), set)
    }

    /// Lets the requests for which `when` holds through without asking any limit. Of several calls each counts.
    #[must_use]
    pub fn skip(self, when: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.set(|gate| {
            gate.skip = Some(match gate.skip.take() {
                None => Arc::new(when),
                Some(earlier) => Arc::new(move |head| earlier(head) || when(head)),
            });
        })
    }

    /// Decides and takes as ever, tells [observers](Self::observe), and lets everything through: to see what limits would do
    /// before they do it. Responses are as without the layer.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.set(|gate| gate.is_shadow = true)
    }

    /// Says what becomes of requests without a key: they are refused with `400 Bad Request`, or share a bucket.
    #[must_use]
    pub fn without_key(self, without_key: WithoutKey<Q::Owned>) -> Self {
        self.set(|gate| gate.without_key = without_key)
    }

    /// Says which header fields tell of the limits.
    #[must_use]
    pub fn headers(self, headers: Headers) -> Self {
        self.set(|gate| gate.headers = headers)
    }

    /// Says what a refused client is told.
    #[must_use]
    pub fn answer(self, answer: Answer) -> Self {
        self.set(|gate| gate.answer = answer)
    }

    /// Puts a [`RequestPermit`](super::RequestPermit) into each request's extensions, by which who serves it says what it
    /// really cost. It takes an allocation or two.
    #[must_use]
    pub fn permits(self) -> Self {
        self.set(|gate| gate.has_permits = true)
    }

    /// Tells somebody of each decision. Of several calls each counts.
    #[must_use]
    pub fn observe(self, observer: impl Observe) -> Self {
        self.set(|gate| gate.observers.add(observer))
    }

    /// The number of keys that each limit holds, by name, those of other sets included; for gauges, when they are read.
    pub fn keys_held(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let others = self.gate.others.iter().map(|(_, policy)| policy);
        let sets = core::iter::once(&self.gate.policy).chain(others).map(|policy| &policy.set);
        sets.flat_map(LimitSet::keys_held).filter_map(|(name, keys)| Some((name, keys?)))
    }
}

impl<Q, const N: usize, K> RateLimitLayer<Q, N, K>
where
    Q: ?Sized + ToOwned + 'static,
    Q::Owned: Clone + Send + Sync + 'static,
    K: Clone,
{
    /// Holds requests that would be refused until they may pass, if that is within `max_wait`: at most `max_waiting` of them
    /// at once, in all services of this layer. Others are refused at once, as without it.
    ///
    /// First come, first served, by key, as long as the debt of those who wait is within the limiter's
    /// [`max_debt`](crate::Builder::max_debt): whoever comes then has no place in the order, and may be refused after it
    /// has waited for a while. A client that goes away gives its place and its tokens back.
    ///
    /// A request that waits keeps the inner service that was ready for it, and what that holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use flowgate::http::RateLimitLayer;
    /// use flowgate::{AnyRuntime, Quota, TokenBucket};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// let limiter = TokenBucket::new(Quota::per_second(100).burst(1))?;
    /// let layer = RateLimitLayer::new(limiter).wait(Duration::from_secs(1), 1_000, AnyRuntime);
    /// let service = layer.layer(service_fn(|_: http::Request<String>| async {
    ///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    /// }));
    /// let start = Instant::now();
    /// # async_io::block_on(async {
    /// for _ in 0..3 {
    ///     let response = service.clone().oneshot(http::Request::new(String::new())).await.unwrap();
    ///     assert_eq!(response.status(), 200);
    /// }
    /// # });
    /// assert!(start.elapsed().as_millis() >= 20);
    /// # Ok::<(), flowgate::QuotaError>(())
    /// ```
    #[must_use]
    pub fn wait<T>(self, max_wait: Duration, max_waiting: usize, timer: T) -> Self
    where
        T: Timer + Clone + Send + Sync + 'static,
    {
        let room = Room::new(max_waiting);
        let acquire = move |keys: OfKeys<Q, N>, costs: Costs<N>| {
            let waiting = keys.wait_with(timer.clone());
            let acquired = async move { waiting.acquire_timeout(costs, max_wait).await };
            Box::pin(acquired) as _
        };
        self.set(|gate| gate.wait = Some(Wait { max_wait, room, acquire: Arc::new(acquire) }))
    }
}

/// Whether a path is this one, or one below it.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<S, Q: ?Sized + ToOwned, const N: usize, K> Layer<S> for RateLimitLayer<Q, N, K>
where
    K: Key<Of = Q>,
{
    type Service = RateLimit<S, Q, N, K>;

    fn layer(&self, inner: S) -> RateLimit<S, Q, N, K> {
        RateLimit::new(inner, Arc::clone(&self.gate))
    }
}

impl<Q: ?Sized + ToOwned, const N: usize, K> Clone for RateLimitLayer<Q, N, K> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate) }
    }
}

impl<Q: ?Sized + ToOwned, const N: usize, K> fmt::Debug for RateLimitLayer<Q, N, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limits", &self.gate.policy.set)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_at_whole_segments_only() {
        for (path, prefix, is_so) in [
            ("/chat", "/chat", true),
            ("/chat/", "/chat", true),
            ("/chat/x", "/chat/", true),
            ("/chat", "/chat/", true),
            ("/chatter", "/chat", false),
            ("/", "/", true),
            ("/x", "/", true),
            ("*", "/", false),
        ] {
            assert_eq!(is_below(path, prefix), is_so, "{path} {prefix}");
        }
    }
}
