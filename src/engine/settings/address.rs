//! Reads the addresses a person writes. Input: the values of `--listen` and `--to`. Output: a socket address to listen
//! on, or a backend as `host:port`. Looks up no names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::settings::listen::{ListenAddress, ListenSettings};

/// Why an address cannot be used; its text says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Not one of the forms of [`listen_address`].
    Listen,
    /// Not one of the forms of [`backend_address`].
    Backend,
    /// `unix:` without an absolute path, or with one that the system has no room for.
    UnixPath,
    /// `https://host`: TLS to backends is not there.
    Https,
    /// `http://host:port/path`: the request target is sent on as it came.
    Path,
    /// A host without a port.
    NoPort,
    /// A bare IPv6 address: where it ends and the port begins cannot be told.
    Brackets,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listen => "write an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or 8080",
            Self::Backend => "write host:port, [ipv6]:port, http://host:port or unix:/path",
            Self::UnixPath => "write the absolute path of a socket, 107 bytes at most: unix:/run/app.sock",
            Self::Https => "TLS to a backend is not supported; write host:port or http://host:port",
            Self::Path => "a backend has no path: the request target is sent on as it came; write http://host:port",
            Self::NoPort => "write the port too: host:port",
            Self::Brackets => "write an IPv6 address in brackets: [::1]:port",
        })
    }
}

impl std::error::Error for AddressError {}

/// Reads an address to listen on: `8080`, `:8080`, `127.0.0.1:8080` or `[::1]:8080`.
///
/// A port without an address listens on 127.0.0.1 only: being reachable from outside must be written out. Port 0 lets
/// the system choose a free one.
///
/// # Errors
///
/// [`AddressError::Listen`], or a nearer reason.
pub fn listen_address(text: &str) -> Result<SocketAddr, AddressError> {
    if let Some(port) = parse_port(text.strip_prefix(':').unwrap_or(text)) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::Brackets);
    }
    // `SocketAddr` would take a port like `+80`, too.
    let address: SocketAddr = text.parse().map_err(|_| AddressError::Listen)?;
    let (_, port) = text.rsplit_once(':').ok_or(AddressError::Listen)?;
    parse_port(port).map(|_| address).ok_or(AddressError::Listen)
}

/// As [`listen_address`], or `unix:/path`.
///
/// # Errors
///
/// [`AddressError::Listen`], or a nearer reason.
pub fn listen_anywhere(text: &str) -> Result<ListenSettings, AddressError> {
    match text.strip_prefix("unix:") {
        Some(path) if is_socket_path(path) => {
            Ok(ListenSettings { address: ListenAddress::Unix(path.into()), mode: None })
        }
        Some(_) => Err(AddressError::UnixPath),
        None => listen_address(text).map(ListenSettings::from),
    }
}

/// Reads a backend: `host:port`, `[v6]:port`, `http://host:port` with or without a final `/`, or `unix:/path`. Returns
/// `host:port` in lower case, with the brackets of an IPv6 address, or the last as it is.
///
/// # Errors
///
/// [`AddressError::Backend`], or a nearer reason.
pub fn backend_address(text: &str) -> Result<String, AddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if is_socket_path(path) { Ok(text.to_owned()) } else { Err(AddressError::UnixPath) };
    }
    let text = text.to_ascii_lowercase();
    if text.starts_with("https:") {
        return Err(AddressError::Https);
    }
    let authority = match text.strip_prefix("http://") {
        Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
        None => &text,
    };
    if authority.contains(['/', '?', '#']) {
        return Err(AddressError::Path);
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::Brackets);
    }
    if is_host(authority) {
        return Err(AddressError::NoPort);
    }
    let (host, port) = authority.rsplit_once(':').ok_or(AddressError::Backend)?;
    match parse_port(port) {
        Some(port) if port != 0 && is_host(host) => Ok(format!("{host}:{port}")),
        _ => Err(AddressError::Backend),
    }
}

/// unix(7): a path has at most 107 bytes. Relative ones would depend on where footbridge was started.
fn is_socket_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 107 && !path.bytes().any(|byte| byte.is_ascii_control())
}

/// Says whether `text` is an IPv4 address, an IPv6 address in brackets, or a name made of letters, digits, `-`, `_`
/// and `.`. A name that ends in a number would be a mistyped IPv4 address, as in `10.0.0.300`.
#[must_use]
pub fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    if text.parse::<IpAddr>().is_ok() {
        return !text.contains(':');
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    !last.bytes().all(|byte| byte.is_ascii_digit()) && name.len() <= 253 && name.split('.').all(is_label)
}

/// RFC 1123 §2.1, and the underscore that container tools put into names.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(allowed)
}

/// `1*DIGIT` up to 65535: no sign, no space.
fn parse_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_without_an_ip_is_on_loopback() {
        for (text, want) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("0", "127.0.0.1:0"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(listen_address(text).map(|address| address.to_string()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_wrong_listen_address_is_refused_with_its_reason() {
        for (text, want) in [
            ("", AddressError::Listen),
            (":", AddressError::Listen),
            ("65536", AddressError::Listen),
            ("+80", AddressError::Listen),
            ("127.0.0.1:+80", AddressError::Listen),
            ("127.0.0.1", AddressError::Listen),
            ("localhost:8080", AddressError::Listen),
            ("::1", AddressError::Brackets),
            ("::1:8080", AddressError::Brackets),
            ("unix:run/x", AddressError::UnixPath),
        ] {
            assert_eq!(listen_anywhere(text), Err(want), "{text}");
        }
    }

    #[test]
    fn a_backend_becomes_host_and_port() {
        for (text, want) in [
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("App:3000", "app:3000"),
            ("my_app-2.internal.:80", "my_app-2.internal.:80"),
            ("http://app:3000", "app:3000"),
            ("HTTP://app:3000/", "app:3000"),
            ("[::1]:3000", "[::1]:3000"),
            ("app:0080", "app:80"),
        ] {
            assert_eq!(backend_address(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_wrong_backend_is_refused_with_its_reason() {
        for (text, want) in [
            ("", AddressError::Backend),
            ("3000", AddressError::Backend),
            (":3000", AddressError::Backend),
            ("app", AddressError::NoPort),
            ("http://app", AddressError::NoPort),
            ("[::1]", AddressError::NoPort),
            ("app:", AddressError::Backend),
            ("app:0", AddressError::Backend),
            ("app:+80", AddressError::Backend),
            ("app:70000", AddressError::Backend),
            ("user@app:80", AddressError::Backend),
            ("a b:80", AddressError::Backend),
            ("a..b:80", AddressError::Backend),
            ("10.0.0.300:80", AddressError::Backend),
            ("a\r\nb:80", AddressError::Backend),
            ("ftp://app:80", AddressError::Path),
            ("http://app:80/x", AddressError::Path),
            ("http://app:80//", AddressError::Path),
            ("app:80/", AddressError::Path),
            ("::1:3000", AddressError::Brackets),
            ("https://app:443", AddressError::Https),
            ("unix:", AddressError::UnixPath),
            ("unix:run/app", AddressError::UnixPath),
            ("unix:/run/\n", AddressError::UnixPath),
        ] {
            assert_eq!(backend_address(text), Err(want), "{text}");
        }
    }

    #[test]
    fn the_path_of_a_socket_that_is_too_long_is_told_so() {
        let path = |length: usize| format!("unix:/{}", "a".repeat(length - 1));
        assert!(backend_address(&path(107)).is_ok() && listen_anywhere(&path(107)).is_ok());
        assert!(backend_address(&path(108)).unwrap_err().to_string().contains("107 bytes at most"));
    }
}
