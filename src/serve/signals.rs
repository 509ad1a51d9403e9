//! Signals as values: they wait until somebody asks for the next. No handler of ours runs, in no thread.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, Signal, raise};

use crate::threads;

/// Those that mean something to us.
const OURS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1];

/// Ends the thread of [`Starting`]. To all others it means nothing.
const OVER: Signal = Signal::SIGURG;

/// From now on signals wait to be looked at, instead of ending the process. To be called before a thread is started:
/// each has it from the one that starts it.
///
/// # Errors
/// If the system refuses.
pub fn hold() -> Result<(), String> {
    OURS.into_iter().collect::<SigSet>().thread_block().map_err(cannot)
}

/// Waits for a signal.
pub(super) fn next() -> Signal {
    // It fails for a signal that does not exist only.
    OURS.into_iter().collect::<SigSet>().wait().unwrap_or(Signal::SIGTERM)
}

/// The start, which takes long if a name server does not answer: a signal does what it does to any program.
#[must_use = "signals end the process until it ends"]
pub struct Starting(JoinHandle<()>);

impl Starting {
    /// Begins after [`hold`].
    ///
    /// # Errors
    /// If the system grants no thread.
    pub fn begin() -> Result<Starting, String> {
        let all: SigSet = OURS.into_iter().chain([OVER]).collect();
        all.thread_block().map_err(cannot)?;
        let watch = move || {
            while let Ok(signal) = all.wait()
                && signal != OVER
            {
                let _ = all.thread_unblock().and_then(|()| raise(signal)).and_then(|()| all.thread_block());
            }
        };
        threads::start(threads::named("start"), Box::new(watch)).map(Starting).map_err(cannot)
    }

    /// From now on signals wait.
    pub fn end(self) {
        let _ = pthread_kill(self.0.as_pthread_t(), OVER);
        let _ = self.0.join();
    }
}

fn cannot(error: impl Into<io::Error>) -> String {
    format!("cannot handle signals: {}", error.into())
}
