//! Where to listen, as plain values.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `ip:port`.
    Inet(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// One `[[listen]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// Where.
    pub address: ListenAddress,
    /// Permission bits of a Unix socket, such as 0o660; `None` leaves them to the umask.
    pub mode: Option<u32>,
}

impl From<SocketAddr> for ListenSettings {
    fn from(address: SocketAddr) -> ListenSettings {
        ListenSettings { address: ListenAddress::Inet(address), mode: None }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Inet(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
