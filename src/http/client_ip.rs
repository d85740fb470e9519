//! The client's address as the key.

use core::fmt;
use core::marker::PhantomData;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::vec::Vec;

use http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net};

use super::forwarded::{forwarded, x_forwarded_for};
use super::head::RequestHead;
use super::key::Key;

/// The address of the client: that of the connection, or, behind proxies of one's own, the one that they report.
///
/// # The connection's address
///
/// The server knows it, and servers hand it on in different ways:
///
/// * **hyper**, or a loop of one's own: insert [`PeerAddr`] (or a plain `SocketAddr`) into each request's extensions. That is
///   what is read by default.
/// * **axum**: serve `app.into_make_service_with_connect_info::<SocketAddr>()`, and read what it leaves:
///   `.peer(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address)`.
/// * **tonic**: `.peer(|info: &TcpConnectInfo| info.remote_addr())`.
///
/// Where there is none the request has no key, which is refused: see [`WithoutKey`](super::WithoutKey).
///
/// # Proxies
///
/// Anybody can send `X-Forwarded-For`. So it is read only if the connection comes from a network given to
/// [`trusting`](Self::trusting), and then from the right, where the nearest proxy wrote: addresses of trusted networks are
/// passed over, and the first other one is the client. What is to the left of it, the client made up. An entry that
/// cannot be read ends the walk: then the key is the last address before it, that of the proxy that reported it.
///
/// One field is read, by default `X-Forwarded-For`; [`reading`](Self::reading) says `Forwarded`. Never both: a proxy that
/// writes one hands on the other as the client sent it, and a client that may choose which one counts chooses its key.
///
/// # What is one client
///
/// IPv4-mapped IPv6 addresses are their IPv4 address. Of other IPv6 addresses the first 64 bits are the key, since that is
/// what one customer is given, who could else take a new address for each request; see
/// [`ipv6_prefix`](Self::ipv6_prefix).
///
/// # Examples
///
/// ```
/// use std::net::{IpAddr, SocketAddr};
/// use flowgate::http::{ClientIp, Key, PeerAddr, RequestHead};
///
/// let by_address = ClientIp::trusting(["10.0.0.0/8".parse()?]);
/// let proxy: SocketAddr = "10.0.0.7:4711".parse()?;
/// let request = http::Request::get("/")
///     .extension(PeerAddr(proxy))
///     .header("x-forwarded-for", "made up, 203.0.113.9, 10.0.0.8")
///     .body(())?;
/// let client: IpAddr = "203.0.113.9".parse()?;
/// assert_eq!(by_address.key(&RequestHead::of(&request)), Some(client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientIp<P = UsualPeer> {
    trusted: Vec<IpNet>,
    forwarding: Forwarding,
    ipv6_prefix: u8,
    peer: P,
}

/// The connection's address, to be inserted into the extensions of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// In which header field one's own proxies report who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Forwarding {
    /// `X-Forwarded-For: client, proxy`, which most proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy`, of [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239).
    Forwarded,
}

impl ClientIp {
    /// The connection's address, whatever header fields say.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting([])
    }

    /// The address that proxies in these networks report.
    ///
    /// Name the networks of your own proxies, and no larger ones: who can connect from within them can have any key.
    #[must_use]
    pub fn trusting(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            trusted: networks.into_iter().map(without_mapping).collect(),
            forwarding: Forwarding::default(),
            ipv6_prefix: 64,
            peer: UsualPeer,
        }
    }
}

impl<P> ClientIp<P> {
    /// Says which field the proxies write. A field that they do not write is the client's own.
    #[must_use]
    pub fn reading(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// Makes one key of all IPv6 addresses with the same first `bits`: 64 by default, at most 128.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits.min(128);
        self
    }

    /// Finds the connection's address in an extension of the server's: see [above](Self#the-connections-address).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    /// use flowgate::http::{ClientIp, Key, RequestHead};
    ///
    /// let by_address =
    ///     ClientIp::new().peer(|ConnectInfo(address): &ConnectInfo<SocketAddr>| *address);
    /// let address: SocketAddr = "192.0.2.1:4711".parse()?;
    /// let request = http::Request::get("/").extension(ConnectInfo(address)).body(())?;
    /// assert_eq!(by_address.key(&RequestHead::of(&request)), Some(address.ip()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn peer<T, A, F>(self, address: F) -> ClientIp<PeerBy<F, T, A>>
    where
        F: Fn(&T) -> A + Clone + Send + Sync + 'static,
        T: Send + Sync + 'static,
        A: Into<Option<SocketAddr>> + 'static,
    {
        let Self { trusted, forwarding, ipv6_prefix, .. } = self;
        let peer = PeerBy { address, found_in: PhantomData };
        ClientIp { trusted, forwarding, ipv6_prefix, peer }
    }

    /// Passes over trusted proxies, from the connection on towards the client.
    #[inline(never)]
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        match self.forwarding {
            Forwarding::XForwardedFor => self.walk(peer, x_forwarded_for(headers)),
            Forwarding::Forwarded => self.walk(peer, forwarded(headers)),
        }
    }

    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut last = peer;
        for hop in hops {
            let Some(hop) = hop else { break };
            last = hop.to_canonical();
            if !self.trusts(&last) {
                break;
            }
        }
        last
    }

    #[inline]
    fn trusts(&self, address: &IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    #[inline]
    fn masked(&self, address: Ipv6Addr) -> Ipv6Addr {
        let dropped = u32::from(128_u8.saturating_sub(self.ipv6_prefix));
        // Dropping all 128 bits is no shift.
        let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
        Ipv6Addr::from_bits(address.to_bits() & mask)
    }
}

/// Where the connection's address is found: [`UsualPeer`], or [`PeerBy`] a closure.
pub trait Peer: Send + Sync + 'static {
    fn peer(&self, extensions: &Extensions) -> Option<SocketAddr>;
}

/// The connection's address is in a [`PeerAddr`] or a `SocketAddr`: see [`ClientIp`].
#[derive(Clone, Copy, Debug)]
pub struct UsualPeer;

impl Peer for UsualPeer {
    #[inline]
    fn peer(&self, extensions: &Extensions) -> Option<SocketAddr> {
        let own = extensions.get::<PeerAddr>().map(|PeerAddr(address)| address);
        own.or_else(|| extensions.get::<SocketAddr>()).copied()
    }
}

/// A closure finds the connection's address. Made by [`ClientIp::peer`].
pub struct PeerBy<F, T, A> {
    address: F,
    found_in: PhantomData<fn(&T) -> A>,
}

impl<F, T, A> Peer for PeerBy<F, T, A>
where
    F: Fn(&T) -> A + Send + Sync + 'static,
    T: Send + Sync + 'static,
    A: Into<Option<SocketAddr>> + 'static,
{
    #[inline]
    fn peer(&self, extensions: &Extensions) -> Option<SocketAddr> {
        (self.address)(extensions.get::<T>()?).into()
    }
}

impl<F, T, A> fmt::Debug for PeerBy<F, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerBy")
    }
}

impl<F: Clone, T, A> Clone for PeerBy<F, T, A> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), found_in: PhantomData }
    }
}

/// A network of IPv4-mapped addresses is one of IPv4 addresses, as which they are looked up.
fn without_mapping(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let plain = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    let plain = plain.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    plain.map_or(network, IpNet::V4)
}

impl Default for ClientIp {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Peer> Key for ClientIp<P> {
    type Of = IpAddr;
    type Found<'r> = IpAddr;

    #[inline]
    fn key<'r>(&self, head: &RequestHead<'r>) -> Option<IpAddr> {
        let mut address = self.peer.peer(head.extensions())?.ip().to_canonical();
        if self.trusts(&address) {
            address = self.behind(address, head.headers());
        }
        if let IpAddr::V6(address) = &mut address {
            *address = self.masked(*address);
        }
        Some(address)
    }
}

impl<P> fmt::Debug for ClientIp<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIp")
            .field("trusted", &self.trusted)
            .field("forwarding", &self.forwarding)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const PROXY: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusting() -> ClientIp {
        ClientIp::trusting(["10.0.0.0/8".parse().unwrap()])
    }

    fn key_of(key: &ClientIp, peer: &str, fields: &[(&str, &str)]) -> IpAddr {
        let mut request = Request::get("/").extension(PeerAddr((ip(peer), 4711).into()));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        key.key(&RequestHead::of(&request.body(()).unwrap())).unwrap()
    }

    #[test]
    fn who_connects_from_elsewhere_is_not_believed() {
        let fields = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(key_of(&trusting(), "203.0.113.1", &fields), ip("203.0.113.1"));
        assert_eq!(key_of(&ClientIp::new(), PROXY, &fields), ip(PROXY));
    }

    /// Row 32 (status-list-server #540).
    #[test]
    fn a_spoofed_left_most_entry_does_not_change_the_key() {
        for left in ["1.2.3.4", "10.0.0.9", "unknown", "\"", "1.2.3.4:99", "::1", "\\\""] {
            let line = std::format!("{left}, 203.0.113.1, 10.2.0.1");
            assert_eq!(
                key_of(&trusting(), PROXY, &[("x-forwarded-for", &line)]),
                ip("203.0.113.1")
            );
            let line = std::format!("for={left}, for=203.0.113.1, for=10.2.0.1");
            let by_forwarded = trusting().reading(Forwarding::Forwarded);
            assert_eq!(key_of(&by_forwarded, PROXY, &[("forwarded", &line)]), ip("203.0.113.1"));
        }
    }

    #[test]
    fn only_the_field_that_the_proxies_write_counts() {
        let fields = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(key_of(&trusting(), PROXY, &fields), ip("192.0.2.1"));
        let by_forwarded = trusting().reading(Forwarding::Forwarded);
        assert_eq!(key_of(&by_forwarded, PROXY, &fields), ip("192.0.2.2"));
        // Without the one that counts, the other one does not step in.
        assert_eq!(key_of(&trusting(), PROXY, &fields[1..]), ip(PROXY));
        assert_eq!(key_of(&by_forwarded, PROXY, &fields[..1]), ip(PROXY));
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_at_the_last_good_hop() {
        let key = |line| key_of(&trusting(), PROXY, &[("x-forwarded-for", line)]);
        assert_eq!(key("192.0.2.1, unknown"), ip(PROXY));
        assert_eq!(key("192.0.2.1, unknown, 10.0.0.3"), ip("10.0.0.3"));
        assert_eq!(key("10.0.0.4, 10.0.0.3"), ip("10.0.0.4"));
        assert_eq!(key(""), ip(PROXY));
    }

    /// Row 34 (express-rate-limit #502).
    #[test]
    fn addresses_of_one_ipv6_prefix_share_a_key() {
        let key = |client: &str, key: &ClientIp| key_of(key, client, &[]);
        let by_64 = ClientIp::new();
        assert_eq!(key("2001:db8:1:2::1", &by_64), key("2001:db8:1:2:ffff::2", &by_64));
        assert_ne!(key("2001:db8:1:2::1", &by_64), key("2001:db8:1:3::1", &by_64));
        let by_56 = ClientIp::new().ipv6_prefix(56);
        assert_eq!(key("2001:db8:1:2::1", &by_56), key("2001:db8:1:3::1", &by_56));
        let by_128 = ClientIp::new().ipv6_prefix(200);
        assert_ne!(key("2001:db8::1", &by_128), key("2001:db8::2", &by_128));
        let by_none = ClientIp::new().ipv6_prefix(0);
        assert_eq!(key("2001:db8::1", &by_none), ip("::"));
        // Also behind a proxy.
        let behind = |client| key_of(&trusting(), PROXY, &[("x-forwarded-for", client)]);
        assert_eq!(behind("2001:db8:1:2::1"), behind("[2001:db8:1:2::7]:80"));
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(key_of(&ClientIp::new(), "::ffff:192.0.2.1", &[]), ip("192.0.2.1"));
        let line = [("x-forwarded-for", "::ffff:192.0.2.1, ::ffff:10.0.0.5")];
        assert_eq!(key_of(&trusting(), "::ffff:10.0.0.1", &line), ip("192.0.2.1"));
        let mapped = ClientIp::trusting(["::ffff:10.0.0.0/104".parse().unwrap()]);
        assert_eq!(key_of(&mapped, PROXY, &line), ip("192.0.2.1"));
    }

    #[test]
    fn without_an_address_there_is_no_key() {
        let request = Request::get("/").header("x-forwarded-for", "192.0.2.1").body(()).unwrap();
        assert_eq!(trusting().key(&RequestHead::of(&request)), None);
    }
}
