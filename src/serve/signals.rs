//! Signals as values: they wait until somebody asks for the next. No handler of ours runs, in no thread.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// From now on signals that mean something to us wait to be looked at, instead of ending the process. To be called
/// before a thread is started: each has it from the one that starts it.
///
/// # Errors
/// If the system refuses.
pub fn hold() -> Result<(), String> {
    ours().thread_block().map_err(|error| format!("cannot handle signals: {}", io::Error::from(error)))
}

/// Waits for a signal.
pub(super) fn next() -> Signal {
    // It fails for a signal that does not exist only.
    ours().wait().unwrap_or(Signal::SIGTERM)
}

fn ours() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1].into_iter().collect()
}
