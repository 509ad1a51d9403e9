//! Addresses that do not take connections.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// A port that refuses connections for as long as this value lives: it is the *client's* end of a connection, so
/// nobody listens on it and nobody else can be given it.
pub struct RefusingPort {
    client: TcpStream,
    _server: TcpListener,
}

impl RefusingPort {
    /// Takes such a port.
    pub fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
        let address = server.local_addr().expect("a bound listener has an address");
        let client = TcpStream::connect(address).expect("a listener on loopback accepts");
        Self { client, _server: server }
    }

    /// Where nobody listens.
    pub fn address(&self) -> SocketAddr {
        self.client.local_addr().expect("a connected socket has an address")
    }
}

/// A listener whose queue is full: connections to it are neither accepted nor refused.
pub struct FullQueue {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl FullQueue {
    /// Listens with the shortest queue there is, and fills it.
    pub fn new() -> Self {
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket can be made");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("port 0 is always free");
        listen(&socket, 0).expect("a bound socket listens");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("a bound listener has an address");
        let try_one = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queued: Vec<_> = std::iter::from_fn(try_one).take(64).collect();
        assert!(queued.len() < 64, "the queue of {address} never fills");
        Self { listener, _queued: queued }
    }

    /// Where nobody accepts.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }
}
