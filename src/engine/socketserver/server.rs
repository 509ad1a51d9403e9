//! The accept loop: a listening socket whose connections are handed to the workers.
//!
//! Mostly, whoever leads the workers accepts ([`super::crew`]): a thread of its own for that would be woken for each
//! connection. Where accepting has to wait, at the limit of connections or when the system is out of descriptors, the
//! thread that serves for ever does it.
//!
//! Python: `socketserver.TCPServer`, the verbs as there: [`TcpServer::serve_forever`] calls `get_request` and
//! `process_request` for each connection, and [`RequestHandler::handle`] finishes it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::address::PeerAddress;
use super::conversation::Next;
use super::entrance::Entrance;
use super::listener::Listener;
use super::socket::Socket;
use super::workers::Workers;
use crate::settings::listen::ListenAddress;

/// So many connections are accepted in one go before what they ask for is looked at.
const AT_ONCE: usize = 256;

/// Serves connections of one kind. One handler serves them all: what they share are its fields.
///
/// Python: `socketserver.BaseRequestHandler`. Departs: no object per connection is made here; `handle` says with its
/// [`Next`] whether the connection waits for its first bytes in the room, or holds a worker
/// ([`blocking`](super::blocking)).
#[doc(alias = "BaseRequestHandler")]
pub trait RequestHandler: Send + Sync + 'static {
    /// Takes on a connection that was just accepted. Called by whoever accepts: it must not block.
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
pub struct TcpServer {
    gate: Arc<Gate>,
    /// Readable when the accept loop is called.
    wake: PipeReader,
}

/// What is needed to accept, whoever does it.
struct Gate {
    listener: Listener,
    address: ListenAddress,
    handler: Arc<dyn RequestHandler>,
    workers: Workers,
    /// At most this many connections at once; more wait in the kernel's queue.
    most_connections: usize,
    shutdown: ShutdownHandle,
    /// Held by a worker that accepts.
    accepting: Mutex<()>,
    /// The accept loop's own thread is at it: no worker goes before it, since a newcomer may be waiting there for room.
    attended: AtomicBool,
    /// When the log last heard of an error.
    complained: Mutex<Option<Instant>>,
}

/// Ends a server's accept loop from another thread.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {
    stopping: Arc<AtomicBool>,
    /// The accept loop was called, and has not come yet.
    called: Arc<AtomicBool>,
    waker: Arc<PipeWriter>,
}

impl TcpServer {
    /// Binds and listens. `workers` may be shared with other servers.
    ///
    /// Python: `server_bind` and `server_activate`; std does both in one call, with `SO_REUSEADDR` on Unix.
    ///
    /// # Errors
    /// As [`TcpListener::bind`]: the address is in use, not ours, or its port needs more rights.
    #[doc(alias = "server_bind")]
    #[doc(alias = "server_activate")]
    pub fn bind(
        address: impl ToSocketAddrs,
        handler: Arc<dyn RequestHandler>,
        workers: &Workers,
    ) -> io::Result<TcpServer> {
        TcpServer::with_listener(TcpListener::bind(address)?, handler, workers)
    }

    /// Serves a socket that listens already: binding may need rights, or come at a time, that serving must not have.
    ///
    /// # Errors
    /// If the listener is no such socket, or there is no descriptor left.
    pub fn with_listener(
        listener: impl Into<Listener>,
        handler: Arc<dyn RequestHandler>,
        workers: &Workers,
    ) -> io::Result<TcpServer> {
        let listener = listener.into();
        listener.prepare()?;
        let (wake, waker) = io::pipe()?;
        let shutdown = ShutdownHandle { stopping: Arc::default(), called: Arc::default(), waker: Arc::new(waker) };
        let (address, workers) = (listener.address()?, workers.clone());
        let gate = Gate {
            listener,
            address,
            handler,
            workers,
            most_connections: usize::MAX,
            shutdown,
            accepting: Mutex::default(),
            attended: AtomicBool::new(true),
            complained: Mutex::default(),
        };
        Ok(TcpServer { gate: Arc::new(gate), wake })
    }

    /// Accepts no more than `most` connections at once.
    #[must_use]
    pub fn with_most_connections(mut self, most: usize) -> TcpServer {
        Arc::get_mut(&mut self.gate).expect("it serves nobody so far").most_connections = most;
        self
    }

    /// The address that it listens on; the port is the real one if 0 was asked for.
    ///
    /// # Panics
    /// If it listens on a Unix socket: [`TcpServer::listen_address`] answers for both.
    #[must_use]
    #[doc(alias = "server_address")]
    pub fn address(&self) -> SocketAddr {
        let ListenAddress::Inet(address) = &self.gate.address else { panic!("a Unix socket has no IP address") };
        *address
    }

    /// Where it listens, on whichever kind of socket.
    #[must_use]
    pub fn listen_address(&self) -> &ListenAddress {
        &self.gate.address
    }

    /// What ends [`TcpServer::serve_forever`].
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.gate.shutdown.clone()
    }

    /// Hands each connection to the workers, until shut down. What was connected by then is still served.
    ///
    /// Python: `serve_forever(poll_interval)`. Departs: no interval; [`ShutdownHandle::shutdown`] wakes it.
    pub fn serve_forever(&self) {
        let gate = &self.gate;
        let entrance = gate.workers.open_entrance(gate.listener.as_fd(), Arc::clone(gate) as Arc<dyn Entrance>);
        if let Err(error) = &entrance {
            log::warn!("{}: no worker can accept: {error}", gate.address);
        }
        while !gate.shutdown.is_wanted() {
            let Some((request, client_address)) = self.get_request(entrance.is_ok()) else { continue };
            if let Err(error) = gate.process_request(request, client_address) {
                gate.handle_error(&error);
            }
        }
        drop(entrance);
        // A worker may just be taking in one more: who waits for the end of all connections has to see it.
        drop(gate.accepting.lock());
        gate.listener.remove_file();
        gate.empty_backlog();
    }

    /// The next connection, after a wait if there is none; `None` if accepting failed, or after the wait.
    ///
    /// Python: `get_request`. Departs: if as many are connected as may be, the newcomer waits until an idle connection
    /// was ended; and after an error such as EMFILE it pauses, since an error here must never end the server.
    fn get_request(&self, workers_accept: bool) -> Option<(OwnedFd, PeerAddress)> {
        let gate = &self.gate;
        match gate.listener.accept() {
            Ok(accepted) => {
                gate.workers.make_room(gate.most_connections, &gate.shutdown.stopping);
                return Some(accepted);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_request(workers_accept),
            Err(error) => gate.handle_error(&error),
        }
        None
    }

    /// Sleeps until it is called: because the server is shut down, or because whoever leads the workers leaves the next
    /// connections to it; or, if they cannot accept, until somebody connects.
    fn await_request(&self, workers_accept: bool) {
        let gate = &self.gate;
        let mut either = [PollFd::new(&self.wake, PollFlags::IN), PollFd::new(&gate.listener, PollFlags::IN)];
        let awaited = if workers_accept { &mut either[..1] } else { &mut either[..] };
        gate.attended.store(false, Ordering::Release);
        let polled = rustix::event::poll(awaited, None);
        gate.attended.store(true, Ordering::Release);
        match polled {
            Ok(_) if awaited[0].revents().is_empty() => {}
            // What comes from here on calls anew: it is looked for afterwards.
            Ok(_) => gate.shutdown.answer(&self.wake),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => gate.handle_error(&error.into()),
        }
    }
}

impl Gate {
    /// Python: `process_request`, `finish_request`. Departs: the worker is chosen later, when bytes have come.
    fn process_request(&self, request: OwnedFd, client_address: PeerAddress) -> io::Result<()> {
        let request = self.workers.register(request)?;
        self.workers.admit(Arc::clone(&self.handler).handle(request, client_address));
        Ok(())
    }

    /// Whether accepting is for the accept loop's own thread.
    fn has_to_wait(&self) -> bool {
        let is_full = || self.workers.conversations() >= self.most_connections;
        self.attended.load(Ordering::Acquire) || self.shutdown.is_wanted() || is_full()
    }

    /// Out of descriptors or memory: closing connections helps, and hurrying does not. Those go first that nobody waits
    /// at, then the client that has been idle for longest.
    fn handle_error(&self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_millis(50);
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return; // The client left before we came to it.
        }
        self.complain(error);
        if self.handler.give_up_idle() == 0 {
            self.workers.end_longest_idle();
            self.workers.wait_for_an_end(PAUSE);
        }
    }

    /// At most once a second: what is the matter now will be in a moment, too.
    fn complain(&self, error: &io::Error) {
        const PAUSE: Duration = Duration::from_secs(1);
        let Ok(mut complained) = self.complained.lock() else { return };
        if complained.is_none_or(|last| last.elapsed() >= PAUSE) {
            *complained = Some(Instant::now());
            log::error!("cannot accept on {}: {error}", self.address);
        }
    }

    /// Those whose connection the kernel has completed believe that they are being served. In the queue of an inherited
    /// socket they are: by whoever shares it, or comes next.
    fn empty_backlog(&self) {
        if self.listener.is_inherited() {
            return;
        }
        while let Ok((request, client_address)) = self.listener.accept() {
            if let Err(error) = self.process_request(request, client_address) {
                self.handle_error(&error);
            }
        }
    }
}

impl Entrance for Gate {
    /// Where it would have to wait, it calls the thread that can.
    fn accept(&self) {
        let _accepting = self.accepting.lock();
        for turn in 0..AT_ONCE {
            // To ask first costs less than to accept in vain, for which the kernel makes a socket and throws it away.
            // (Of an inherited socket others may have taken what was there, and may have made it one that blocks.)
            if (turn > 0 || self.listener.is_inherited()) && !self.listener.has_waiting() {
                return;
            }
            if self.has_to_wait() {
                break;
            }
            let processed = match self.listener.accept() {
                Ok((request, client_address)) => {
                    self.process_request(request, client_address).inspect_err(|error| self.complain(error))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => Err(error),
            };
            if processed.is_err() {
                break;
            }
        }
        self.leave_it();
    }

    fn leave_it(&self) {
        self.shutdown.call();
    }
}

impl ShutdownHandle {
    /// Ends the accept loop. It has ended when `serve_forever` returns.
    ///
    /// Python: `shutdown`.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
        self.call();
    }

    fn is_wanted(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Wakes the accept loop.
    fn call(&self) {
        if !self.called.swap(true, Ordering::AcqRel) {
            // If this fails, it is because nobody serves any more.
            let _ = (&*self.waker).write(&[0]);
        }
    }

    /// The accept loop has come.
    fn answer(&self, mut wake: &PipeReader) {
        let _ = wake.read(&mut [0]);
        // A swap, not a store: what is looked at next must not be looked at before it.
        self.called.swap(false, Ordering::AcqRel);
    }
}
