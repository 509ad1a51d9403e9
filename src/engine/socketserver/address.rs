//! Where a connection comes from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of an accepted connection.
///
/// Python: `client_address`. Departs: the other end of a Unix socket has no address, and says so; Python gives `""`.
#[doc(alias = "client_address")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP socket's `ip:port`.
    Inet(SocketAddr),
    /// Somebody on this machine, over a Unix socket.
    Unix,
}

impl PeerAddress {
    /// The IP address, an IPv4 one that came mapped into IPv6 as IPv4; `None` over a Unix socket.
    #[must_use]
    #[inline]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            PeerAddress::Inet(address) => Some(address.ip().to_canonical()),
            PeerAddress::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Inet(address) => address.fmt(f),
            PeerAddress::Unix => f.write_str("unix"),
        }
    }
}
