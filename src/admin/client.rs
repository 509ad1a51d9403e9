//! Asks a running footbridge: the other end of the admin listener, for `footbridge status` and `footbridge ps`.
//!
//! One request to a server of our own making, whose answer ends with the connection: HTTP/1.0, and a few lines.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::settings::listen::ListenAddress;

/// It answers at once, or is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than the largest configuration makes of it.
const MOST_BYTES: u64 = 64 << 20;

/// Asks the admin listener at `address` for `target`. Returns the content, without what a terminal would obey.
///
/// # Errors
/// A sentence, if nothing answers there, or something else than a footbridge.
pub fn ask(address: &ListenAddress, target: &str) -> Result<String, String> {
    let answer = connect(address).and_then(|stream| fetch(stream, target)).map_err(|error| {
        format!("no footbridge answers on {address}: {error}; was it started with --admin {address}?")
    })?;
    let content = complete_content(&answer).ok_or_else(|| format!("what answers on {address} is no footbridge"))?;
    let mut harmless = String::with_capacity(content.len());
    for char in content.chars() {
        harmless.push(if char.is_control() && char != '\n' { '?' } else { char });
    }
    Ok(harmless)
}

/// Of both kinds of socket one descriptor: reading and writing is the same.
fn connect(address: &ListenAddress) -> io::Result<File> {
    Ok(match address {
        ListenAddress::Inet(address) => {
            let stream = TcpStream::connect_timeout(address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            OwnedFd::from(stream).into()
        }
        ListenAddress::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            OwnedFd::from(stream).into()
        }
    })
}

fn fetch(mut stream: File, target: &str) -> io::Result<String> {
    stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The content of a 200 of ours that has come to its end. The port of the proxy is mistaken for that of its admin page
/// easily, and a backend answers there.
fn complete_content(answer: &str) -> Option<&str> {
    let (mut rest, mut length, mut ours) = (answer.strip_prefix("HTTP/1.1 200 ")?, None, false);
    loop {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        if line == "\r" {
            return (ours && length == Some(rest.len())).then_some(rest);
        }
        ours |= line == "Server: footbridge\r";
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            length = text.trim_end().parse().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::complete_content;

    #[test]
    fn half_an_answer_is_none_and_neither_is_a_backend_s() {
        for (answer, want) in [
            ("HTTP/1.1 200 OK\r\nServer: footbridge\r\nContent-Length: 2\r\n\r\nok", Some("ok")),
            ("HTTP/1.1 200 OK\r\nServer: footbridge\r\nContent-Length: 3\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok", None),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", None),
            ("SSH-2.0-OpenSSH_9.2\r\n", None),
        ] {
            assert_eq!(complete_content(answer), want, "{answer}");
        }
    }
}
