//! Serving until a signal: listeners in, a graceful end out.
//!
//! | signal | what happens |
//! |---|---|
//! | TERM, INT | the end: listeners close first, connections that were accepted by then are served, idle ones are closed, the others are told `Connection: close` with their response and get until the deadline; a second one ends at once |
//! | HUP | the configuration file is read anew, which may add and remove listeners; in the demonstration, which has none, the end |
//! | USR1 | the logs are opened anew |
//!
//! | file | idea |
//! |---|---|
//! | [`sockets`] | where to listen: sockets that are bound here or were handed down to us |
//! | [`serving`] | the accept loops, to which one can be added, and from which one can be taken |
//! | [`signals`] | what the process is told by `kill`, as values |
//! | [`notify`] | the service manager is told how it goes |

use std::process;
use std::time::Instant;

use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::logging::Reopener;
use crate::settings::deadline;
use crate::socketserver::splice;
use crate::threads;

pub mod notify;
pub mod serving;
pub mod signals;
pub mod sockets;

pub use notify::Notifier;
use serving::Accepting;
pub use serving::Serving;
use signals::Held;
pub use sockets::{Sockets, listen};

/// Descriptors for other things than connections: logs, the poller, listeners, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

/// More connections than this wait in the kernel's queue, whatever the descriptor limit allows.
pub(crate) const MOST_CONNECTIONS: u64 = 65_536;

/// What HUP does: compares the configuration with what is served, and starts and stops listeners.
pub type Reload<'a> = dyn FnMut(&mut Serving) + 'a;

/// Serves what `serving` listens on until INT or TERM, and lets what is under way end, for its patience at most. A second
/// signal ends the process at once. Without `reload`, HUP, which a terminal sends when it goes away, is the end, too.
///
/// # Errors
/// If the system grants no thread.
pub fn serve_until_signal(
    mut serving: Serving,
    signals: Held,
    manager: &Notifier,
    logs: Reopener,
    mut reload: Option<&mut Reload<'_>>,
) -> Result<(), String> {
    manager.ready();
    let told = loop {
        match (signals.next(), &mut reload) {
            (Signal::SIGUSR1, _) => logs.reopen(),
            (Signal::SIGHUP, Some(reload)) => {
                manager.reloading();
                reload(&mut serving);
                manager.ready();
            }
            (Signal::SIGHUP, None) => break "HUP",
            (Signal::SIGINT, _) => break "INT",
            _ => break "TERM",
        }
    };
    log::info!("stopping on {told}: requests under way may end");
    manager.stopping();
    end(serving, signals, logs)
}

/// Lets what is under way end.
fn end(serving: Serving, signals: Held, logs: Reopener) -> Result<(), String> {
    let Serving { accepting, workers, patience, .. } = serving;
    threads::start(threads::named("signals"), Box::new(move || heed(&signals, &logs)))
        .map_err(|error| format!("no thread: {error}"))?;
    let until = deadline(Instant::now(), patience);
    // Before the listeners close: whoever sees them closed may count on being told that its response is the last.
    workers.announce_end();
    for accepting in &accepting {
        accepting.stop();
    }
    accepting.into_iter().for_each(Accepting::join);
    match workers.drain(until) {
        0 => log::info!("stopped"),
        left => log::warn!("stopped after {} s: {left} connections were cut", patience.as_secs()),
    }
    Ok(())
}

/// What signals still do when the end has begun. What is served does not change any more.
fn heed(signals: &Held, logs: &Reopener) {
    loop {
        match signals.next() {
            Signal::SIGUSR1 => logs.reopen(),
            Signal::SIGHUP => {}
            _ => process::exit(0),
        }
    }
}

/// Raises the soft limit of descriptors to the hard one, and says how many connections that allows: each may need a
/// second descriptor for its backend, and some have a pipe between the two.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let others = OTHER_DESCRIPTORS + 2 * splice::most_pipes() as u64;
    let connections = current.map_or(MOST_CONNECTIONS, |current| current.saturating_sub(others) / 2);
    usize::try_from(connections.clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}
