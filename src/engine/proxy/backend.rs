//! One server to forward to, with the connections to it that are not in use.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::health::Health;
use super::line::Line;
use super::members::Common;
use super::metrics::BackendTally;
use super::upkeep::Found;
use crate::http::client::HttpConnection;
use crate::http::headers::list;
use crate::settings::KeepAlive;
use crate::settings::group::{DEFAULT_GROUP, GroupSettings};
use crate::settings::listen::ListenAddress;

/// A server to forward to.
#[derive(Debug)]
pub struct Backend {
    /// No other one, before or after, has the same.
    pub(super) id: usize,
    /// Its address first, then those that are tried before an attempt counts as failed.
    addresses: Vec<ListenAddress>,
    /// As it was configured: `host:port` or `unix:/path`.
    name: String,
    /// Its address, for the logs.
    label: String,
    /// The name of its group.
    group: String,
    keepalive: KeepAlive,
    /// Connections between two exchanges, the most recently used last: few, warm ones serve best.
    idle: Mutex<Vec<Idle>>,
    in_flight: AtomicU32,
    /// Whether it can be used.
    pub health: Health,
    /// What is counted of it.
    pub tally: Arc<BackendTally>,
    /// The line of its group.
    line: Arc<Line>,
    /// Those of its group who wait for what comes of a trial.
    pub(super) awaiting_trial: Arc<Line>,
}

#[derive(Debug)]
struct Idle {
    connection: HttpConnection,
    until: Instant,
}

/// A connection to a backend, for one exchange. Dropping it closes it; `release` keeps it.
#[derive(Debug)]
pub struct BackendConnection {
    /// The connection.
    pub connection: HttpConnection,
    /// Whether it has served an exchange before: if so, the backend may have closed it without our knowing.
    pub reused: bool,
    /// How long connecting took, if it was made for this exchange.
    pub connect_time: Option<Duration>,
    /// Counts the exchange for as long as it goes on.
    pub claim: Claim,
}

/// A place at a backend, for one exchange: counted there until dropped.
#[derive(Debug)]
pub struct Claim {
    backend: Arc<Backend>,
    /// The backend is out, and this exchange decides whether it comes back.
    trial: bool,
    /// Until then no other exchange may.
    alone: bool,
}

impl Claim {
    /// Where the place is.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// A response came.
    pub(super) fn succeed(&mut self, now: Instant) {
        let trial = self.take_trial();
        if let Some(why) = self.backend.health.succeed(trial, now) {
            log::info!("backend {}: up: {why}", self.backend);
            self.backend.line.call_all();
        }
        if trial {
            self.backend.awaiting_trial.call_all();
        }
    }

    /// The backend is to blame for a failure. It is taken out if `may_go` when there were enough.
    pub(super) fn fail(&mut self, why: &str, settings: &GroupSettings, now: Instant, may_go: impl FnOnce() -> bool) {
        let trial = self.take_trial();
        self.backend.tally.count_failure();
        if let Some(text) = self.backend.health.fail(why, trial, settings, now, may_go) {
            if !trial && !self.backend.health.is_up() {
                self.backend.tally.count_taken_out();
            }
            log::warn!("backend {}: {text}", self.backend);
        }
        if trial {
            self.backend.awaiting_trial.call_all();
        }
    }

    /// Whether it is a trial, which has its verdict now.
    fn take_trial(&mut self) -> bool {
        self.alone = false;
        std::mem::take(&mut self.trial)
    }

    /// The backend cannot answer yet, because of the client, who may take as long as it likes: if this is a trial, another
    /// request may be one, too. One: all others wait on for what comes of the two.
    pub(super) fn wait_for_client(&mut self, now: Instant) {
        if std::mem::take(&mut self.alone) {
            self.backend.health.lend_trial(now);
            self.backend.awaiting_trial.call_next();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.alone {
            self.backend.health.give_up_trial();
        }
        if self.trial {
            self.backend.awaiting_trial.call_all(); // It has gone without a verdict.
        }
        // Sequentially consistent with whoever takes a place in the line and then looks again: one sees the other.
        self.backend.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.backend.line.call_first(self.backend.id);
    }
}

impl Backend {
    pub(super) fn new(found: &Found, group: &GroupSettings, common: &Common) -> Backend {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let label = found.address.to_string();
        Backend {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            addresses: std::iter::once(&found.address).chain(&found.alternatives).cloned().collect(),
            name: found.settings.address.clone(),
            tally: common.tally.of_backend(&label),
            label,
            group: group.name.clone(),
            keepalive: group.settings.keepalive.clone(),
            idle: Mutex::new(Vec::new()),
            in_flight: AtomicU32::new(0),
            health: Health::new(group),
            line: Arc::clone(&common.line),
            awaiting_trial: Arc::clone(&common.awaiting_trial),
        }
    }

    /// As it was given: `host:port` or `unix:/path`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address as text.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its address first, then those that are tried before an attempt counts as failed.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Whether `found` is this backend.
    pub(super) fn is(&self, found: &Found) -> bool {
        let found_at = std::iter::once(&found.address).chain(&found.alternatives);
        self.name == found.settings.address && found_at.eq(&self.addresses)
    }

    /// Exchanges under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Connections that wait for another exchange.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().expect("no panic under the lock of idle connections")
    }

    /// A place for one more exchange, if fewer than `most` are under way; and, if the backend is out, its one trial.
    pub(super) fn claim(self: &Arc<Self>, most: Option<u32>) -> Option<Claim> {
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let mut claim = Claim { backend: Arc::clone(self), trial: false, alone: false };
        if most.is_some_and(|most| before >= most) {
            return None;
        }
        claim.trial = self.health.claim()?;
        claim.alone = claim.trial;
        Some(claim)
    }

    /// The most recently used connection that is still good.
    pub(super) fn take_idle(&self, now: Instant) -> Option<HttpConnection> {
        loop {
            let Idle { mut connection, until } = self.idle().pop()?;
            if now < until && connection.socket.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Closes all idle connections: their descriptors are needed. How many there were.
    pub(super) fn close_idle(&self) -> usize {
        let mut idle = self.idle();
        let closed = idle.len();
        idle.clear(); // Under the lock: who comes too late to close any finds the descriptors free.
        closed
    }

    /// Closes connections that have been idle for too long or were closed by the backend.
    pub(super) fn sweep(&self, now: Instant) {
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
        drop(idle);
        drop(closed); // Closing is a system call each: not under the lock.
    }
}

impl fmt::Display for Backend {
    /// As in the log: its group unless the command line made it, its address, and its name if that is another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group != DEFAULT_GROUP {
            write!(f, "{}/", self.group)?;
        }
        f.write_str(&self.label)?;
        if self.label == self.name { Ok(()) } else { write!(f, " ({})", self.name) }
    }
}

impl BackendConnection {
    /// Whose connection it is.
    #[must_use]
    pub fn backend(&self) -> &Arc<Backend> {
        &self.claim.backend
    }

    /// Gives the connection back for another exchange. The only way to be reused: everything else drops it.
    /// `keep_alive` is the backend's Keep-Alive field: it may close earlier than we would have thought.
    pub(super) fn release(mut self, keep_alive: Option<&[u8]>, now: Instant) {
        if !self.connection.input.is_empty() || !self.connection.socket.is_idle() {
            return;
        }
        let backend = &self.claim.backend;
        let patience = keep_alive.and_then(announced_timeout).unwrap_or(Duration::MAX);
        let until = now + backend.keepalive.idle.min(patience);
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
