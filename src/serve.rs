//! Serving until a signal: listeners in, a graceful end out.
//!
//! The end: listeners close first, connections that were accepted by then are served, idle ones are closed, the others
//! are told `Connection: close` with their response and get until the deadline.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::settings::deadline;
use crate::socketserver::{RequestHandler, TcpServer, Workers};

/// Descriptors for other things than connections: logs, the poller, listeners, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

/// More connections than this wait in the kernel's queue, whatever the descriptor limit allows.
const MOST_CONNECTIONS: u64 = 65_536;

/// Listens on `address`. Starts no thread, so that rights can be given up between this and serving.
///
/// # Errors
/// A sentence that names the address and, where that is known, what to do.
pub fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => ": another program listens there; stop it, or choose another port",
            io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
            io::ErrorKind::PermissionDenied => ": ports below 1024 need more rights; choose a higher one",
            _ => "",
        };
        format!("cannot listen on {address}: {error}{advice}")
    })
}

/// Serves all of `servers` until INT or TERM, and lets what is under way end, for `patience` at most. A second signal
/// ends the process at once.
///
/// # Errors
/// If the system grants no thread or no signal handler.
pub fn serve_until_signal<H: RequestHandler>(
    servers: Vec<TcpServer<H>>,
    workers: &Workers,
    patience: Duration,
) -> Result<(), String> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot handle signals: {error}"))?;
    let mut accepting = Vec::new();
    for server in servers {
        let (address, stop) = (server.address(), server.shutdown_handle());
        let thread = thread::Builder::new().name(format!("accept {}", address.port()));
        let thread = thread.spawn(move || server.serve_forever()).map_err(|error| format!("no thread: {error}"))?;
        log::info!("listening on {address}");
        accepting.push((stop, thread));
    }
    let first = signals.forever().next();
    log::info!("stopping on signal {}: requests under way may end", first.unwrap_or_default());
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            process::exit(0);
        }
    });
    let until = deadline(Instant::now(), patience);
    for (stop, _) in &accepting {
        stop.shutdown();
    }
    for (_, thread) in accepting {
        // It ends by the shutdown; if it had panicked, it would have ended before.
        let _ = thread.join();
    }
    match workers.drain(until) {
        0 => log::info!("stopped"),
        left => log::warn!("stopped after {} s: {left} connections were cut", patience.as_secs()),
    }
    Ok(())
}

/// Raises the soft limit of descriptors to the hard one, and says how many connections that allows: each may need a
/// second descriptor for its backend.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let connections = current.map_or(MOST_CONNECTIONS, |current| current.saturating_sub(OTHER_DESCRIPTORS) / 2);
    usize::try_from(connections.clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}
