//! A client that sends exactly the bytes it is told to, and reads replies strictly.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::PATIENCE;
use super::message::{Content, End, Head, read_head, read_response_content, text};
use super::wire::{Stop, Wire};

/// One connection to the proxy.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// A final response and what came before it.
#[derive(Debug)]
pub struct Reply {
    /// The interim responses before the final one, in order.
    pub interim: Vec<Head>,
    /// The head of the final response.
    pub head: Head,
    /// Its content, as far as it came.
    pub content: Content,
}

impl Reply {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The content as text.
    pub fn text(&self) -> String {
        text(&self.content.bytes)
    }

    /// Whether the client can take this response for a whole one.
    pub fn is_complete(&self) -> bool {
        self.content.end == End::Complete
    }

    /// Whether the proxy announced that it will close.
    pub fn says_close(&self) -> bool {
        self.head.list("connection").iter().any(|option| option == "close")
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { wire: Wire::new(stream) }
    }
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self { wire: Wire::new(stream) }
    }

    /// Connects from another address of loopback: another client, as the proxy sees it.
    pub fn connect_from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket can be made");
        bind(&socket, &SocketAddrV4::new(own, 0)).expect("all of 127.0.0.0/8 is loopback");
        connect(&socket, &address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self { wire: Wire::new(TcpStream::from(socket)) }
    }

    /// Sends bytes; the proxy must take them all.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.wire.send(bytes.as_ref()) {
            panic!("the proxy does not take our bytes: {error}; it sent {}", self.received());
        }
    }

    /// Sends bytes to a proxy that may have closed already; whether they were taken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).is_ok()
    }

    /// Sends bytes from another thread, while this one reads.
    pub fn send_meanwhile(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let stream = Arc::clone(self.wire.stream());
        thread::spawn(move || (&*stream).write_all(&bytes).expect("the proxy takes our bytes"))
    }

    /// Sends as much as is taken until nobody takes any more for a moment; whether it came to that.
    pub fn fill(&mut self) -> bool {
        let piece = vec![b'x'; 1 << 16];
        let moment = Some(Duration::from_millis(200));
        self.wire.stream().set_write_timeout(moment).expect("a moment is not zero");
        let is_full = (0..1000).any(|_| self.wire.stream().as_ref().write(&piece).is_err());
        self.wire.stream().set_write_timeout(Some(PATIENCE)).expect("the deadline is not zero");
        is_full
    }

    /// Half-closes: we shall send no more.
    pub fn finish(&mut self) {
        self.wire.finish();
    }

    /// Goes away with a reset.
    pub fn reset(mut self) {
        self.wire.reset_on_close();
    }

    /// The next final response, which must be complete.
    pub fn reply(&mut self) -> Reply {
        self.complete_reply(false)
    }

    /// The next final response, to a HEAD request.
    pub fn reply_to_head(&mut self) -> Reply {
        self.complete_reply(true)
    }

    /// The next final response as far as it came; `None` if the connection ended before its first byte.
    pub fn outcome(&mut self) -> Option<Reply> {
        self.read_reply(false)
    }

    /// As [`Self::outcome`], to a HEAD request.
    pub fn outcome_to_head(&mut self) -> Option<Reply> {
        self.read_reply(true)
    }

    /// The next head, interim or final, and nothing behind it.
    pub fn head(&mut self) -> Head {
        match read_head(&mut self.wire) {
            Ok(head) => head,
            Err(stop) => panic!("no response head ({stop:?}); got {}", self.received()),
        }
    }

    /// Reads up to and including `marker`.
    pub fn read_until(&mut self, marker: &str) -> String {
        match self.wire.until(marker.as_bytes()) {
            Ok(bytes) => text(&bytes),
            Err(stop) => panic!("{marker:?} never came ({stop:?}); got {}", self.received()),
        }
    }

    /// Reads exactly `length` bytes.
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        match self.wire.exactly(length) {
            Ok(bytes) => bytes,
            Err(stop) => panic!("{length} bytes never came ({stop:?}); got {}", self.received()),
        }
    }

    /// The next bytes, whatever they are; empty at the end of the connection.
    pub fn read_some(&mut self) -> Vec<u8> {
        match self.wire.some() {
            Ok(bytes) => bytes,
            Err(Stop::TimedOut) => panic!("nothing came; got {}", self.received()),
            Err(_) => Vec::new(),
        }
    }

    /// Everything up to the end of the connection, which must come.
    pub fn rest(&mut self) -> String {
        let (bytes, stop) = self.wire.rest();
        assert!(stop != Stop::TimedOut, "the connection does not end; got {}", self.received());
        text(&bytes)
    }

    /// Waits for the end of the connection: whether it ended without another byte.
    pub fn closed(&mut self) -> bool {
        matches!(self.wire.wait(PATIENCE), Err(Stop::Closed | Stop::Reset))
    }

    /// Whether nothing comes and nothing ends for `time`.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.wire.wait(time) == Err(Stop::TimedOut)
    }

    /// Makes the kernel's receive buffer small, so that a client that does not read is noticed soon.
    pub fn shrink_receive_buffer(&mut self) {
        rustix::net::sockopt::set_socket_recv_buffer_size(&**self.wire.stream(), 4096)
            .expect("a socket takes SO_RCVBUF");
    }

    fn complete_reply(&mut self, to_head: bool) -> Reply {
        let Some(reply) = self.read_reply(to_head) else {
            panic!("the connection ended before the reply; got {}", self.received());
        };
        assert!(reply.is_complete(), "reply not complete ({:?}); got {}", reply.content.end, self.received());
        reply
    }

    fn read_reply(&mut self, to_head: bool) -> Option<Reply> {
        let mut interim = Vec::new();
        loop {
            let head = match read_head(&mut self.wire) {
                Ok(head) => head,
                Err(Stop::TimedOut) => panic!("the proxy neither answers nor closes; got {}", self.received()),
                Err(_) => return self.nothing_but_the_end(),
            };
            if head.is_interim() {
                interim.push(head);
                continue;
            }
            let content = if head.status() == 101 {
                Content { end: End::Complete, ..Content::unread() }
            } else {
                read_response_content(&mut self.wire, &head, to_head)
            };
            assert!(content.end != End::Cut(Stop::TimedOut), "the content stalls; got {}", self.received());
            return Some(Reply { interim, head, content });
        }
    }

    /// A connection that ends inside a head has sent garbage: only an empty rest counts as no reply.
    fn nothing_but_the_end(&mut self) -> Option<Reply> {
        let rest = self.wire.take_early();
        assert!(rest.is_empty(), "the connection ended inside a head: \"{}\"", rest.escape_ascii());
        None
    }

    fn received(&self) -> String {
        self.wire.transcript().tail()
    }
}
