//! One server to forward to, with the connections to it that are not in use.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::http::client::{self, HttpConnection};
use crate::http::headers::list;
use crate::settings::KeepAlive;
use crate::socketserver::Worker;

/// A server to forward to.
#[derive(Debug)]
pub struct Backend {
    name: String,
    /// Known from the start if the name is an address; else it is looked up for each connection.
    address: Option<SocketAddr>,
    keepalive: KeepAlive,
    /// Connections between two exchanges, the most recently used last: few, warm ones serve best.
    idle: Mutex<Vec<Idle>>,
    in_flight: AtomicUsize,
    /// Whether the last attempt to connect succeeded: the log is told of changes, not of every attempt.
    reachable: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: HttpConnection,
    until: Instant,
}

/// A connection to a backend, for one exchange. Dropping it closes it; `release` keeps it.
#[derive(Debug)]
pub struct Forwarded {
    /// The connection.
    pub connection: HttpConnection,
    /// Whether it has served an exchange before: if so, the backend may have closed it without our knowing.
    pub reused: bool,
    /// How long connecting took, if it was made for this exchange.
    pub connect_time: Option<Duration>,
    /// Counts the exchange for as long as it goes on.
    pub guard: InFlight,
}

/// An exchange that is counted at its backend, until dropped.
#[derive(Debug)]
pub struct InFlight(pub Arc<Backend>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend {
    /// A backend named `host:port`.
    #[must_use]
    pub fn new(name: impl Into<String>, keepalive: KeepAlive) -> Backend {
        let name = name.into();
        Backend {
            address: name.parse().ok(),
            name,
            keepalive,
            idle: Mutex::new(Vec::new()),
            in_flight: AtomicUsize::new(0),
            reachable: AtomicBool::new(true),
        }
    }

    /// As it was given: `host:port`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Exchanges under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().expect("no panic under the lock of idle connections")
    }

    fn begin_exchange(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// An idle connection, for one exchange.
    pub(super) fn idle_connection(self: &Arc<Self>) -> Option<Forwarded> {
        let connection = self.take_idle()?;
        Some(Forwarded { connection, reused: true, connect_time: None, guard: self.begin_exchange() })
    }

    /// A new connection, for one exchange; the worker may block.
    ///
    /// # Errors
    /// What connecting to the last of its addresses returned, or why there is none.
    pub(super) fn connect(self: &Arc<Self>, timeout: Duration, worker: &mut Worker) -> io::Result<Forwarded> {
        let guard = self.begin_exchange();
        let begun = Instant::now();
        let connected = worker.block(|| match self.address {
            Some(address) => client::connect(address, timeout),
            None => client::connect_by_name(&self.name, timeout),
        });
        self.note_reachable(connected.as_ref().err());
        let stream = connected?;
        let connection = HttpConnection::new(worker.register(stream)?);
        Ok(Forwarded { connection, reused: false, connect_time: Some(begun.elapsed()), guard })
    }

    fn note_reachable(&self, failure: Option<&io::Error>) {
        let was = self.reachable.swap(failure.is_none(), Ordering::Relaxed);
        match failure {
            Some(error) if was => log::warn!("backend {}: cannot connect: {error}", self.name),
            Some(error) => log::debug!("backend {}: still cannot connect: {error}", self.name),
            None if !was => log::info!("backend {}: connects again", self.name),
            None => {}
        }
    }

    /// The most recently used connection that is still good.
    fn take_idle(&self) -> Option<HttpConnection> {
        loop {
            let Idle { mut connection, until } = self.idle().pop()?;
            if Instant::now() < until && connection.socket.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Closes connections that have been idle for too long or were closed by the backend. Returns how many stay.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let mut closed = Vec::new();
        let mut idle = self.idle();
        let mut index = 0;
        while index < idle.len() {
            if now >= idle[index].until || idle[index].connection.socket.has_edge() {
                closed.push(idle.remove(index));
            } else {
                index += 1;
            }
        }
        let left = idle.len();
        drop(idle);
        drop(closed); // Closing is a system call each: not under the lock.
        left
    }
}

impl Forwarded {
    /// The backend's name, for the log.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.guard.0
    }

    /// Gives the connection back for another exchange. The only way to be reused: everything else drops it.
    /// `keep_alive` is the backend's Keep-Alive field: it may close earlier than we would have thought.
    pub(super) fn release(mut self, keep_alive: Option<&[u8]>) {
        if !self.connection.input.is_empty() || !self.connection.socket.is_idle() {
            return;
        }
        let backend = &self.guard.0;
        let patience = keep_alive.and_then(announced_timeout).unwrap_or(Duration::MAX);
        let until = Instant::now() + backend.keepalive.idle.min(patience);
        let mut idle = backend.idle();
        if idle.len() < backend.keepalive.max_idle {
            idle.push(Idle { connection: self.connection, until });
        }
    }
}

/// `Keep-Alive: timeout=5` (RFC 2068 §19.7.1), less a second, for the bytes that are on their way when it is over.
fn announced_timeout(keep_alive: &[u8]) -> Option<Duration> {
    let mut parameters = list(keep_alive).filter_map(|parameter| std::str::from_utf8(parameter).ok());
    let seconds = parameters.find_map(|parameter| parameter.strip_prefix("timeout="))?.parse().ok()?;
    Some(Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)))
}
