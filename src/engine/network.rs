//! A range of IP addresses, written as CIDR (RFC 4632, RFC 4291 §2.3): `10.0.0.0/8`, `fd00::/8`, or one bare address;
//! or `unix`, all who come over Unix sockets. Input: what `--trust` was given. Output: [`Network::contains`]. Knows
//! nothing of who is trusted with what.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits. Two networks of different families never overlap: `::/0` does not
/// contain `10.0.0.1`.
///
/// IPv4 addresses mapped into IPv6 (`::ffff:10.0.0.1`, RFC 4291 §2.5.5.2) are taken as the IPv4 addresses they stand
/// for, both in the network and in the address looked up: a socket that listens on `[::]` sees IPv4 clients that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// `None`: those without an address.
    address: Option<IpAddr>,
    prefix: u8,
}

impl Network {
    /// All peers of Unix sockets, which have no address. No range of addresses contains them, not even `::/0`.
    pub const UNIX: Network = Network { address: None, prefix: 0 };

    /// Says whether `address` is one of this network; `None` is the peer of a Unix socket.
    #[must_use]
    pub fn contains(&self, address: impl Into<Option<IpAddr>>) -> bool {
        let (network, address) = match (self.address, address.into()) {
            (Some(network), Some(address)) => (network, address),
            (network, address) => return network.is_none() && address.is_none(),
        };
        match (network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => mask_v4(address, self.prefix) == network,
            (IpAddr::V6(network), IpAddr::V6(address)) => mask_v6(address, self.prefix) == network,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Says whether the network is larger than any one organisation's, so that trusting it is most likely a mistake:
    /// shorter than /8 (IPv4, the largest block ever given to one holder) or /16 (IPv6, in the same manner).
    #[must_use]
    pub fn is_vast(&self) -> bool {
        match self.address {
            Some(IpAddr::V4(_)) => self.prefix < 8,
            Some(IpAddr::V6(_)) => self.prefix < 16 && !self.is_unique_local(),
            None => false,
        }
    }

    /// `fc00::/7` and below: private addresses (RFC 4193), whatever the length of the prefix.
    fn is_unique_local(&self) -> bool {
        matches!(self.address, Some(IpAddr::V6(address)) if address.is_unique_local()) && self.prefix >= 7
    }

    /// Normalises: a mapped IPv4 network becomes an IPv4 network.
    fn new(address: IpAddr, prefix: u8) -> Self {
        match (address.to_canonical(), prefix.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Self { address: Some(v4), prefix },
            _ => Self { address: Some(address), prefix },
        }
    }

    /// The same network with all bits after the prefix cleared.
    fn masked(self) -> Self {
        let address = match self.address {
            Some(IpAddr::V4(address)) => Some(IpAddr::V4(mask_v4(address, self.prefix))),
            Some(IpAddr::V6(address)) => Some(IpAddr::V6(mask_v6(address, self.prefix))),
            None => None,
        };
        Self { address, ..self }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `address/prefix`, a bare address, which is a network of one, or `unix`.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Syntax`] if it is neither; [`NetworkError::HostBits`] if the address has bits after the prefix.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if text == "unix" {
            return Ok(Self::UNIX);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Syntax)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => parse_prefix(digits, longest).ok_or(NetworkError::Syntax)?,
            None => longest,
        };
        let network = Self::new(address, prefix);
        let masked = network.masked();
        if network == masked { Ok(network) } else { Err(NetworkError::HostBits { meant: masked }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}/{}", self.prefix),
            None => f.write_str("unix"),
        }
    }
}

/// Why a text is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// Not an address, or the prefix is no number or too long for the address.
    Syntax,
    /// Bits are set after the prefix, as in `10.0.0.1/8`: one host was meant, or a network, and a guess is dangerous.
    HostBits {
        /// The network the address belongs to.
        meant: Network,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("write an address or a network, like 10.0.0.1, 10.0.0.0/8 or fd00::/8"),
            Self::HostBits { meant } => {
                write!(f, "bits are set after the prefix; write {meant}, or the address alone for one host")
            }
        }
    }
}

impl std::error::Error for NetworkError {}

/// `1*DIGIT` up to `longest`: no sign, no leading zero that another tool might take as octal.
fn parse_prefix(digits: &str, longest: u8) -> Option<u8> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|&prefix| plain && prefix <= longest)
}

fn mask_v4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    // A shift by the whole width is no shift in Rust: a prefix of 0 has no bits to keep.
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn mask_v6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_network_contains_the_addresses_that_share_its_prefix() {
        for (text, address, want) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::/0", "::ffff:10.1.2.3", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::1", "::1", true),
        ] {
            assert_eq!(network(text).contains(address.parse::<IpAddr>().unwrap()), want, "{text} {address}");
        }
    }

    #[test]
    fn the_peers_of_unix_sockets_are_in_no_range_of_addresses_but_in_a_network_of_their_own() {
        for text in ["0.0.0.0/0", "::/0", "127.0.0.1"] {
            assert!(!network(text).contains(None), "{text}");
            assert!(!network("unix").contains(network(text).address), "{text}");
        }
        assert!(network("unix").contains(None) && !network("unix").is_vast());
        assert_eq!(network("unix").to_string(), "unix");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "a/8"]
        {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Syntax), "{text}");
        }
    }

    #[test]
    fn host_bits_are_refused_and_the_network_is_named() {
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("write 10.0.0.0/8,"), "{error}");
        assert!("fd00::1/8".parse::<Network>().is_err());
    }

    #[test]
    fn only_a_network_larger_than_an_organisation_is_vast() {
        for (text, want) in [
            ("0.0.0.0/0", true),
            ("128.0.0.0/1", true),
            ("10.0.0.0/8", false),
            ("::/0", true),
            ("2000::/3", true),
            ("fc00::/7", false),
            ("fd00::/8", false),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(network(text).is_vast(), want, "{text}");
        }
    }
}
