//! The client side: a connection to a server, its requests and responses.
//!
//! Python: `http.client`. Departs: the connection's states are moves. [`HttpConnection::getresponse`] takes the
//! connection, [`HttpResponse::into_connection`] gives it back if it can serve again, so a request inside another's
//! response does not compile, where Python raises `CannotSendRequest`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::{Errno, FdFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::body::BodyDecoder;
use super::error::MessageError;
use super::field::Field;
use super::framing;
use super::head::{HeadLimits, HeadScan, HttpVersion, ResponseHead};
use crate::settings::Limits;
use crate::socketserver::{Buffer, Socket};

/// A connection to a server, between two exchanges.
///
/// Python: `http.client.HTTPConnection`.
#[doc(alias = "HTTPConnection")]
#[derive(Debug)]
pub struct HttpConnection {
    /// The connected socket.
    pub socket: Socket,
    /// What was received and belongs to no response yet: nothing, if the server behaves.
    pub input: Buffer,
}

/// Connecting takes a wait that poll(2) and setsockopt(2) can express; "off" is longer than that.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Connects, trying for `timeout` at most.
///
/// # Errors
/// As [`TcpStream::connect_timeout`].
pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout.min(LONGEST))?;
    stream.set_nodelay(true)?;
    refuse_oneself(stream)
}

/// To a port of this machine on which nobody listens, the kernel may connect us from that very port: to ourselves. We
/// would read our own request as the answer to it, and hold the port that the server wants when it comes back.
fn refuse_oneself(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// As [`connect`], to a server that listens on the Unix socket at `path`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if the server's queue stays full; else what `connect` returns: there is no such file,
/// nobody listens there, or we have no right to.
pub fn connect_unix(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    // To wait for its place in the queue is to the kernel a kind of sending. None would be no limit at all.
    let timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
    set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| match error {
        Errno::AGAIN => io::ErrorKind::TimedOut.into(),
        error => io::Error::from(error),
    })?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(socket.into())
}

impl HttpConnection {
    /// Over a connected socket.
    #[must_use]
    pub fn new(socket: Socket) -> HttpConnection {
        HttpConnection { socket, input: Buffer::default() }
    }

    /// Connects to a server for plain blocking use.
    ///
    /// # Errors
    /// As [`TcpStream::connect_timeout`].
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<HttpConnection> {
        connect(address, timeout).map(|stream| HttpConnection::new(Socket::new(stream)))
    }

    /// Reads and writes fail from `deadline` on.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.socket.set_deadline(Some(deadline));
    }

    /// Sends a request with the given content; Content-Length is added if there is any.
    ///
    /// Python: `request(method, url, body, headers)`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if a part has a byte that would end its line; else what writing returns.
    pub fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let parts = headers.iter().flat_map(|(name, value)| [*name, *value]).chain([method, target]);
        if parts.into_iter().any(|part| part.bytes().any(|byte| byte < b' ' || byte == 0x7f)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        }
        if !body.is_empty() {
            head.push_str("Content-Length: ");
            head.push_str(&body.len().to_string());
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.socket.write_all(head.as_bytes())?;
        self.socket.write_all(body)
    }

    /// Waits for the response's head; interim responses are passed over.
    ///
    /// # Errors
    /// [`MessageError`]: no response, or none that can be trusted.
    pub fn getresponse(mut self, limits: &Limits) -> Result<HttpResponse, MessageError> {
        let mut head = ResponseHead::default();
        for _ in 0..=limits.interim {
            self.read_head(&mut head, limits)?;
            if !head.status.is_interim() {
                let framing = framing::of_response(&head, false)?;
                let decoder = BodyDecoder::new(framing, limits);
                return Ok(HttpResponse { head, decoder, connection: self });
            }
        }
        Err(MessageError::Malformed("too-many-interim-responses"))
    }

    fn read_head(&mut self, head: &mut ResponseHead, limits: &Limits) -> Result<(), MessageError> {
        let limits = HeadLimits::of_response(limits);
        let mut scan = HeadScan::default();
        loop {
            if let Some(length) = scan.find_end(self.input.unread(), &limits)? {
                head.parse(&self.input.unread()[..length], &limits)?;
                self.input.consume(length);
                return Ok(());
            }
            let mut piece = [0; 4096];
            let read = self.socket.read(&mut piece)?;
            if read == 0 {
                return Err(MessageError::Incomplete);
            }
            self.input.append(&piece[..read]);
        }
    }
}

/// A response whose head has come; reading it reads its content.
///
/// Python: `http.client.HTTPResponse`.
#[doc(alias = "HTTPResponse")]
#[derive(Debug)]
pub struct HttpResponse {
    /// Status, version and field lines.
    pub head: ResponseHead,
    decoder: BodyDecoder,
    connection: HttpConnection,
}

impl HttpResponse {
    /// The connection, to be used again, if the response was read to its end and the server keeps it open.
    #[must_use]
    pub fn into_connection(self) -> Option<HttpConnection> {
        let reusable = self.decoder == BodyDecoder::Done && self.connection.input.is_empty() && !will_close(&self.head);
        reusable.then_some(self.connection)
    }
}

/// Reads content; a response that is cut short is an error.
impl Read for HttpResponse {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.decoder.read_blocking(&mut self.connection.socket, &mut self.connection.input, target)
    }
}

/// Whether the server closes the connection after this response (RFC 9112 §9.3).
///
/// Python: `HTTPResponse.will_close`.
#[must_use]
pub fn will_close(head: &ResponseHead) -> bool {
    head.version == HttpVersion::Http10 || head.headers.lists(Field::Connection, "close")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
    use std::os::fd::OwnedFd;

    use rustix::net::{bind, getsockname, socket};

    use super::*;

    /// A socket that is connected to itself, as the kernel makes one when it picks the port that is connected to.
    fn self_connected() -> TcpStream {
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let own: SocketAddr = getsockname(&socket).expect("an address").try_into().expect("IPv4");
        rustix::net::connect(&socket, &own).expect("simultaneous open");
        TcpStream::from(socket)
    }

    #[test]
    fn a_connection_to_oneself_is_none() {
        let error = refuse_oneself(self_connected()).expect_err("nobody listens there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_connection_to_a_listener_is_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        assert!(connect(address, Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn a_full_queue_of_a_unix_socket_is_waited_for_until_the_timeout() {
        let path = std::env::temp_dir().join(format!("footbridge-full-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a free name");
        rustix::net::listen(&listener, 0).expect("it listens");
        let _queued = connect_unix(&path, Duration::from_secs(10)).expect("the queue holds one");
        let error = connect_unix(&path, Duration::from_millis(20)).expect_err("the queue is full");
        std::fs::remove_file(&path).expect("the file is there");
        if cfg!(target_os = "linux") {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        let error = connect_unix(&path, Duration::from_secs(10)).expect_err("the file is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
