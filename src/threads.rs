//! Threads of the program's own, beside those of [`Workers`](crate::socketserver::Workers).

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. One function for all of them, because std's would be in the program once more for each.
///
/// # Errors
/// If the system grants none.
pub(crate) fn start(thread: Builder, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread.spawn(work)
}

/// A thread to be started.
pub(crate) fn named(name: &str) -> Builder {
    Builder::new().name(name.to_owned())
}
