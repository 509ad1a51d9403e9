//! One active check of a backend: connect, and perhaps ask it something. Blocks, on a thread of its own.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::http::client::{self, HttpConnection};
use crate::settings::group::Probe;
use crate::settings::listen::ListenAddress;
use crate::settings::{Limits, deadline};
use crate::socketserver::Socket;

/// The text of a check is looked for in so much of the content.
const SEARCHED_BYTES: u64 = 64 * 1024;

/// Counts good and bad results in a row: one alone changes nothing.
#[derive(Clone, Debug)]
pub struct Consecutive {
    rise: u32,
    fall: u32,
    good: bool,
    /// Results in a row that say otherwise.
    against: u32,
}

impl Consecutive {
    /// At first it is good. So many good results in a row make it good again, so many bad ones bad.
    #[must_use]
    pub fn new(rise: u32, fall: u32) -> Consecutive {
        Consecutive { rise, fall, good: true, against: 0 }
    }

    /// Takes in one result. Returns what it is from now on, if that has changed.
    pub fn note(&mut self, good: bool) -> Option<bool> {
        if good == self.good {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < if good { self.rise } else { self.fall } {
            return None;
        }
        (self.good, self.against) = (good, 0);
        Some(good)
    }
}

/// Checks one backend, for `timeout` at most: at the first of its addresses that takes the connection, as a request.
///
/// # Errors
/// Why it is not well, for the log.
pub fn check(addresses: &[ListenAddress], name: &str, probe: &Probe, timeout: Duration) -> Result<(), String> {
    let until = deadline(Instant::now(), timeout);
    let mut connection = connect(addresses, until).map_err(|error| format!("cannot connect: {error}"))?;
    let Probe::Http { method, path, host, expect, body } = probe else { return Ok(()) };
    connection.set_deadline(until);
    let host = host.as_deref().unwrap_or(if name.starts_with("unix:") { "localhost" } else { name });
    let fields = [("Host", host), ("User-Agent", "footbridge-check"), ("Connection", "close")];
    connection.request(method, path, &fields, b"").map_err(|error| format!("cannot ask: {error}"))?;
    let limits = Limits::default();
    let response = connection.getresponse(&limits).map_err(|error| format!("no response: {error}"))?;
    let status = response.head.status.0;
    if !expect.contains(&status) {
        return Err(format!("status {status}"));
    }
    let Some(text) = body else { return Ok(()) };
    let mut content = Vec::new();
    response.take(SEARCHED_BYTES).read_to_end(&mut content).map_err(|error| format!("cut short: {error}"))?;
    let found = content.windows(text.len().max(1)).any(|part| part == text.as_bytes());
    if found { Ok(()) } else { Err(format!("no {text:?} in the content")) }
}

/// What time there is, is shared out among the addresses: the first may be one that does not answer. If none does, what
/// the first one said is told, since what the second said may be only that there is no IPv6 here.
fn connect(addresses: &[ListenAddress], until: Instant) -> io::Result<HttpConnection> {
    let mut failure = None;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let timeout = (until.saturating_duration_since(Instant::now()) / left).max(Duration::from_millis(1));
        let connected = match address {
            ListenAddress::Inet(address) => HttpConnection::connect(*address, timeout),
            ListenAddress::Unix(path) => {
                client::connect_unix(path, timeout).map(|stream| HttpConnection::new(Socket::new(stream)))
            }
        };
        left -= 1;
        match connected {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn http(body: Option<&str>) -> Probe {
        Probe::Http {
            method: "GET".to_owned(),
            path: "/healthz".to_owned(),
            host: None,
            expect: vec![200, 204],
            body: body.map(str::to_owned),
        }
    }

    /// A server that reads a head and says `answer`.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a check");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.push(byte[0]);
            }
            assert!(head.starts_with(b"GET /healthz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).expect("a checker");
        });
        address
    }

    fn checked(answer: &'static str, body: Option<&str>) -> Result<(), String> {
        check(&[ListenAddress::Inet(server(answer))], "app:80", &http(body), PATIENCE)
    }

    #[test]
    fn status_and_text_decide() {
        assert_eq!(checked("HTTP/1.1 204 No Content\r\n\r\n", None), Ok(()));
        assert_eq!(checked("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall well", Some("well")), Ok(()));
        let wrong = checked("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", None);
        assert_eq!(wrong, Err("status 503".to_owned()));
        let missing = checked("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsick", Some("well"));
        assert_eq!(missing, Err("no \"well\" in the content".to_owned()));
        assert!(checked("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell", Some("well")).is_err(), "it was cut short");
        assert!(checked("", None).is_err());
    }

    #[test]
    fn a_backend_that_says_nothing_fails_in_time_and_connecting_is_enough_for_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = [ListenAddress::Inet(listener.local_addr().expect("an address"))];
        let begun = Instant::now();
        assert!(check(&address, "app:80", &http(None), Duration::from_millis(100)).is_err());
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(check(&address, "app:80", &Probe::Tcp, PATIENCE), Ok(()));
        // As localhost is, to a server that knows IPv6 only.
        let elsewhere = TcpListener::bind("127.0.0.2:0").and_then(|dead| dead.local_addr()).expect("a free port");
        let two = [ListenAddress::Inet(elsewhere), address[0].clone()];
        assert_eq!(check(&two, "app:80", &Probe::Tcp, PATIENCE), Ok(()));
        drop(listener);
        assert!(check(&address, "app:80", &Probe::Tcp, PATIENCE).is_err());
    }

    #[test]
    fn only_results_in_a_row_change_something() {
        let mut results = Consecutive::new(2, 3);
        let noted: Vec<_> = [false, false, true, false, false, false, false, true, false, true, true, true]
            .into_iter()
            .map(|good| results.note(good))
            .collect();
        let mut want = vec![None; 12];
        want[5] = Some(false);
        want[10] = Some(true);
        assert_eq!(noted, want);
    }
}
