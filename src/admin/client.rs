//! Asks a running footbridge: the other end of the admin listener, for `footbridge status` and `footbridge ps`.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::http::HttpStatus;
use crate::http::client::{HttpConnection, connect, connect_unix};
use crate::settings::Limits;
use crate::settings::listen::ListenAddress;
use crate::socketserver::Socket;

/// It answers at once, or is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than the largest configuration makes of it.
const MOST_BYTES: u64 = 64 << 20;

/// Asks the admin listener at `address` for `target`. Returns the content, without what a terminal would obey.
///
/// # Errors
/// A sentence, if nothing answers there, or something else than a footbridge.
pub fn ask(address: &ListenAddress, target: &str) -> Result<String, String> {
    let text = fetch(address, target).map_err(|error| {
        format!("no footbridge answers on {address}: {error}; was it started with --admin {address}?")
    })?;
    Ok(text.replace(|char: char| char.is_control() && char != '\n', "?"))
}

fn fetch(address: &ListenAddress, target: &str) -> io::Result<String> {
    let mut connection = HttpConnection::new(match address {
        ListenAddress::Inet(address) => Socket::new(connect(*address, PATIENCE)?),
        ListenAddress::Unix(path) => Socket::new(connect_unix(path, PATIENCE)?),
    });
    connection.set_deadline(Instant::now() + PATIENCE);
    connection.request("GET", target, &[("Host", "localhost"), ("Connection", "close")], b"")?;
    let response = connection.getresponse(&Limits::default()).map_err(io::Error::other)?;
    if response.head.status != HttpStatus::OK {
        return Err(io::Error::other(format!("it says {}", response.head.status)));
    }
    let mut text = String::new();
    response.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
