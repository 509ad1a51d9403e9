//! The accept loop: a listening socket whose connections are handed to the workers.
//!
//! Python: `socketserver.TCPServer`, the verbs as there: [`TcpServer::serve_forever`] calls `get_request`,
//! `verify_request` and `process_request` for each connection, and [`RequestHandler::handle`] finishes it.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::address::PeerAddress;
use super::conversation::Next;
use super::listener::Listener;
use super::socket::Socket;
use super::workers::Workers;
use crate::settings::listen::ListenAddress;

/// Serves connections of one kind. One handler serves them all: what they share are its fields.
///
/// Python: `socketserver.BaseRequestHandler`. Departs: no object per connection is made here; `handle` says with its
/// [`Next`] whether the connection waits for its first bytes in the room, or holds a worker
/// ([`blocking`](super::blocking)).
#[doc(alias = "BaseRequestHandler")]
pub trait RequestHandler: Send + Sync + 'static {
    /// Takes on a connection that was just accepted. Called on the accept loop's thread: it must not block.
    fn handle(self: Arc<Self>, request: Socket, client_address: PeerAddress) -> Next;

    /// A connection cannot be accepted because too much is open. Closes what it keeps for later only; how many those
    /// were.
    fn give_up_idle(&self) -> usize {
        0
    }
}

/// A listening socket and the handler of its connections.
///
/// Python: `socketserver.TCPServer`. Departs: it serves Unix sockets, too, where Python has `UnixStreamServer`: what
/// differs is the [`Listener`].
#[doc(alias = "TCPServer")]
#[doc(alias = "ThreadingTCPServer")]
#[doc(alias = "UnixStreamServer")]
pub struct TcpServer<H> {
    listener: Listener,
    address: ListenAddress,
    handler: Arc<H>,
    workers: Workers,
    /// At most this many connections at once; more wait in the kernel's queue.
    most_connections: usize,
    stopping: Arc<AtomicBool>,
    /// Readable when the accept loop is to end.
    wake: PipeReader,
    waker: Arc<PipeWriter>,
}

/// Ends a server's accept loop from another thread.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {
    stopping: Arc<AtomicBool>,
    waker: Arc<PipeWriter>,
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
    /// If the listener is no such socket, or there is no descriptor left.
    pub fn with_listener(
        listener: impl Into<Listener>,
        handler: Arc<H>,
        workers: &Workers,
    ) -> io::Result<TcpServer<H>> {
        let listener = listener.into();
        listener.prepare()?;
        let (wake, waker) = io::pipe()?;
        Ok(TcpServer {
            address: listener.address()?,
            listener,
            handler,
            workers: workers.clone(),
            most_connections: usize::MAX,
            stopping: Arc::new(AtomicBool::new(false)),
            wake,
            waker: Arc::new(waker),
        })
    }

    /// Accepts no more than `most` connections at once.
    #[must_use]
    pub fn with_most_connections(mut self, most: usize) -> TcpServer<H> {
        self.most_connections = most;
        self
    }

    /// The address that it listens on; the port is the real one if 0 was asked for.
    ///
    /// # Panics
    /// If it listens on a Unix socket: [`TcpServer::listen_address`] answers for both.
    #[must_use]
    #[doc(alias = "server_address")]
    pub fn address(&self) -> SocketAddr {
        let ListenAddress::Inet(address) = &self.address else { panic!("a Unix socket has no IP address") };
        *address
    }

    /// Where it listens, on whichever kind of socket.
    #[must_use]
    pub fn listen_address(&self) -> &ListenAddress {
        &self.address
    }

    /// What ends [`TcpServer::serve_forever`].
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle { stopping: Arc::clone(&self.stopping), waker: Arc::clone(&self.waker) }
    }

    /// Hands each connection to the workers, until shut down. What was connected by then is still served.
    ///
    /// Python: `serve_forever(poll_interval)`. Departs: no interval; [`ShutdownHandle::shutdown`] wakes it.
    pub fn serve_forever(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            let Some((request, client_address)) = self.get_request() else { continue };
            self.process_request(request, client_address);
        }
        self.listener.remove_file();
        self.empty_backlog();
    }

    /// The next connection, after a wait if there is none; `None` if accepting failed, or after the wait.
    ///
    /// Python: `get_request`. Departs: if as many are connected as may be, the newcomer waits until an idle connection
    /// was ended; and after an error such as EMFILE it pauses, since an error here must never end the server.
    fn get_request(&self) -> Option<(OwnedFd, PeerAddress)> {
        match self.listener.accept() {
            Ok(accepted) => {
                self.workers.make_room(self.most_connections, &self.stopping);
                return Some(accepted);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_request(),
            Err(error) => self.handle_error(&error),
        }
        None
    }

    /// Sleeps until somebody connects, or the server is shut down. Connecting to ourselves would wake a blocking accept
    /// just as well, but perhaps that of another process which shares the socket.
    fn await_request(&self) {
        let mut either = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
        match rustix::event::poll(&mut either, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => self.handle_error(&error.into()),
        }
    }

    /// Python: `process_request`, `finish_request`. Departs: the worker is chosen later, when bytes have come.
    fn process_request(&self, request: OwnedFd, client_address: PeerAddress) {
        match self.workers.register(request) {
            Ok(request) => {
                let next = Arc::clone(&self.handler).handle(request, client_address);
                self.workers.admit(next);
            }
            Err(error) => self.handle_error(&error),
        }
    }

    /// Out of descriptors or memory: closing connections helps, and hurrying does not. Those go first that nobody waits
    /// at, then the client that has been idle for longest.
    fn handle_error(&self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_millis(50);
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return; // The client left before we came to it.
        }
        log::error!("cannot accept on {}: {error}", self.address);
        if self.handler.give_up_idle() == 0 {
            self.workers.end_longest_idle();
            self.workers.wait_for_an_end(PAUSE);
        }
    }

    /// Those whose connection the kernel has completed believe that they are being served. In the queue of an inherited
    /// socket they are: by whoever shares it, or comes next.
    fn empty_backlog(&self) {
        if self.listener.is_inherited() {
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
        // If this fails, it is because nobody accepts any more, or because thousands have woken it before.
        let _ = (&*self.waker).write(&[0]);
    }
}
