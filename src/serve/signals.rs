//! Signals as values: they wait until somebody asks for the next. No handler of ours runs, in no thread.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, Signal, raise};

use self::queue::Queue;
use crate::threads;

/// Those that mean something to us.
const OURS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1];

/// Ends the thread of [`Starting`]. To all others it means nothing.
const OVER: Signal = Signal::SIGURG;

/// INT, TERM, HUP and USR1, which wait to be looked at, instead of ending the process.
#[derive(Debug)]
pub struct Held(Queue);

impl Held {
    /// From now on they wait. To be called before a thread is started: each has it from the one that starts it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn begin() -> Result<Held, String> {
        Queue::of(OURS.into_iter().collect()).map(Held).map_err(cannot)
    }

    /// Waits for one.
    pub(super) fn next(&self) -> Signal {
        // It fails for a signal that does not exist only.
        self.0.next().unwrap_or(Signal::SIGTERM)
    }
}

/// The start, which takes long if a name server does not answer: a signal does what it does to any program.
#[must_use = "signals end the process until it ends"]
pub struct Starting(JoinHandle<()>);

impl Starting {
    /// Begins after [`Held`].
    ///
    /// # Errors
    /// If the system grants no thread.
    pub fn begin() -> Result<Starting, String> {
        let all: SigSet = OURS.into_iter().chain([OVER]).collect();
        let queue = Queue::of(all).map_err(cannot)?;
        let watch = move || {
            while let Some(signal) = queue.next()
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

/// A descriptor: `SigSet::wait`, as below, has in it the names of all errors, 5 KB of them.
#[cfg(target_os = "linux")]
mod queue {
    use nix::errno::Errno;
    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::signalfd::{SfdFlags, SignalFd};

    /// Signals that this thread and those that it starts from now on do not take.
    #[derive(Debug)]
    pub struct Queue(SignalFd);

    impl Queue {
        pub fn of(signals: SigSet) -> nix::Result<Queue> {
            signals.thread_block()?;
            SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map(Queue)
        }

        /// Waits for the next.
        pub fn next(&self) -> Option<Signal> {
            let signal = loop {
                match self.0.read_signal() {
                    Err(Errno::EINTR) => {} // The process was stopped meanwhile.
                    read => break read.ok()??,
                }
            };
            Signal::try_from(i32::try_from(signal.ssi_signo).ok()?).ok()
        }
    }
}

/// The same where there is no such descriptor.
#[cfg(not(target_os = "linux"))]
mod queue {
    use nix::sys::signal::{SigSet, Signal};

    #[derive(Debug)]
    pub struct Queue(SigSet);

    impl Queue {
        pub fn of(signals: SigSet) -> nix::Result<Queue> {
            signals.thread_block()?;
            Ok(Queue(signals))
        }

        pub fn next(&self) -> Option<Signal> {
            self.0.wait().ok()
        }
    }
}
