//! The accept loop: a listening socket whose connections are handed to the workers.
//!
//! Python: `socketserver.TCPServer`, the verbs as there: [`TcpServer::serve_forever`] calls `get_request`,
//! `verify_request` and `process_request` for each connection, and [`RequestHandler::handle`] finishes it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::conversation::Next;
use super::socket::Socket;
use super::workers::Workers;

/// Connections that the kernel completes before they are accepted; it cuts this to what it allows (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Serves connections of one kind. One handler serves them all: what they share are its fields.
///
/// Python: `socketserver.BaseRequestHandler`. Departs: no object per connection is made here; `handle` says with its
/// [`Next`] whether the connection waits for its first bytes in the room, or holds a worker
/// ([`blocking`](super::blocking)).
#[doc(alias = "BaseRequestHandler")]
pub trait RequestHandler: Send + Sync + 'static {
    /// Takes on a connection that was just accepted. Called on the accept loop's thread: it must not block.
    fn handle(self: Arc<Self>, request: Socket, client_address: SocketAddr) -> Next;
}

/// A listening socket and the handler of its connections.
///
/// Python: `socketserver.TCPServer`.
#[doc(alias = "TCPServer")]
#[doc(alias = "ThreadingTCPServer")]
pub struct TcpServer<H> {
    listener: TcpListener,
    address: SocketAddr,
    handler: Arc<H>,
    workers: Workers,
    /// At most this many connections at once; more wait in the kernel's queue.
    most_connections: usize,
    stopping: Arc<AtomicBool>,
}

/// Ends a server's accept loop from another thread.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {
    stopping: Arc<AtomicBool>,
    address: SocketAddr,
}

impl<H: RequestHandler> TcpServer<H> {
    /// Binds and listens. `workers` may be shared with other servers.
    ///
    /// Python: `server_bind` and `server_activate`; std does both in one call, with `SO_REUSEADDR` on Unix.
    ///
    /// # Errors
    /// As [`TcpListener::bind`]: the address is in use, not ours, or its port needs more rights.
    #[doc(alias = "server_bind")]
    #[doc(alias = "server_activate")]
    pub fn bind(address: impl ToSocketAddrs, handler: Arc<H>, workers: &Workers) -> io::Result<TcpServer<H>> {
        TcpServer::with_listener(TcpListener::bind(address)?, handler, workers)
    }

    /// Serves a socket that listens already: binding may need rights, or come at a time, that serving must not have.
    ///
    /// # Errors
    /// If the listener is no TCP socket.
    pub fn with_listener(listener: TcpListener, handler: Arc<H>, workers: &Workers) -> io::Result<TcpServer<H>> {
        // Small writes leave at once; each write of ours is as large as it can be. Accepted sockets inherit this.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        // Once more, because std asks for a queue of 128: a burst of more clients would lose SYNs, a second each.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(TcpServer {
            address: listener.local_addr()?,
            listener,
            handler,
            workers: workers.clone(),
            most_connections: usize::MAX,
            stopping: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Accepts no more than `most` connections at once.
    #[must_use]
    pub fn with_most_connections(mut self, most: usize) -> TcpServer<H> {
        self.most_connections = most;
        self
    }

    /// The address that it listens on; the port is the real one if 0 was asked for.
    #[must_use]
    #[doc(alias = "server_address")]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What ends [`TcpServer::serve_forever`].
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle { stopping: Arc::clone(&self.stopping), address: self.address }
    }

    /// Hands each connection to the workers, until shut down. What was connected by then is still served.
    ///
    /// Python: `serve_forever(poll_interval)`. Departs: no polling; [`ShutdownHandle::shutdown`] connects to us.
    pub fn serve_forever(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            let Some((request, client_address)) = self.get_request() else { continue };
            self.process_request(request, client_address);
        }
        self.empty_backlog();
    }

    /// Waits for a connection; `None` if accepting failed.
    ///
    /// Python: `get_request`. Departs: if as many are connected as may be, the newcomer waits until an idle connection
    /// was ended; and after an error such as EMFILE it pauses, since an error here must never end the server.
    fn get_request(&self) -> Option<(TcpStream, SocketAddr)> {
        match self.listener.accept() {
            Ok(accepted) => {
                self.workers.make_room(self.most_connections, &self.stopping);
                Some(accepted)
            }
            Err(error) => {
                self.handle_error(&error);
                None
            }
        }
    }

    /// Python: `process_request`, `finish_request`. Departs: the worker is chosen later, when bytes have come.
    fn process_request(&self, request: TcpStream, client_address: SocketAddr) {
        if !cfg!(target_os = "linux") && request.set_nodelay(true).is_err() {
            return; // It is gone already.
        }
        match self.workers.register(request) {
            Ok(request) => {
                let next = Arc::clone(&self.handler).handle(request, client_address);
                self.workers.admit(next);
            }
            Err(error) => self.handle_error(&error),
        }
    }

    /// Out of descriptors or memory: closing connections helps, and hurrying does not.
    fn handle_error(&self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_millis(50);
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return; // The client left before we came to it.
        }
        log::error!("cannot accept on {}: {error}", self.address);
        self.workers.wait_for_an_end(PAUSE);
    }

    /// Those whose connection the kernel has completed believe that they are being served.
    fn empty_backlog(&self) {
        if self.listener.set_nonblocking(true).is_err() {
            return;
        }
        while let Ok((request, client_address)) = self.listener.accept() {
            self.process_request(request, client_address);
        }
    }
}

impl ShutdownHandle {
    /// Ends the accept loop. It has ended when `serve_forever` returns.
    ///
    /// Python: `shutdown`.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the accept loop. If this fails, it is because nobody accepts any more.
        let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
    }
}

/// An address under which this machine reaches a listener: one that listens on all addresses is on loopback too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
