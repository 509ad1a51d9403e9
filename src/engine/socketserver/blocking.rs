//! For plain handlers: a conversation that holds its worker, and a [`Socket`] that reads and writes until a deadline.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::conversation::{Conversation, Next, Wake};
use super::readiness::Readiness;
use super::socket::Socket;
use super::worker::Worker;

/// A conversation that holds its worker from beginning to end: `serve` may block as it likes.
///
/// The simple way to serve a connection, as Python's `handle()` does, at the price of a thread for as long as it takes.
pub fn blocking(serve: impl FnOnce() -> io::Result<()> + Send + 'static) -> Next {
    Next::GiveWay(Box::new(Blocking(serve)))
}

struct Blocking<F>(F);

impl<F: FnOnce() -> io::Result<()> + Send> Conversation for Blocking<F> {
    fn resume(self: Box<Self>, _: Wake, worker: &mut Worker) -> Next {
        if let Err(error) = worker.block(self.0) {
            log::debug!("a connection ended: {error}");
        }
        Next::End
    }
}

impl Socket {
    /// From now on, blocking reads and writes fail with [`io::ErrorKind::TimedOut`] when `deadline` has passed; a
    /// deadline, because a limit on each single read would let a peer drip bytes for ever.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Blocks until something can be read.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if the deadline comes first.
    pub fn wait_readable(&mut self) -> io::Result<()> {
        self.wait_until(PollFlags::IN)?;
        self.note(Readiness::READ);
        Ok(())
    }

    /// Blocks until `wanted` or the deadline.
    fn wait_until(&mut self, wanted: PollFlags) -> io::Result<()> {
        self.blocked_on = true;
        loop {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let left = left.map(|left| Timespec::try_from(left).expect("a wait shorter than an age"));
            let mut sockets = [PollFd::new(self, wanted)];
            match rustix::event::poll(&mut sockets, left.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Blocks until bytes arrive, the stream ends or the deadline passes.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.note(Readiness::READ);
            match self.try_read_slice(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_until(PollFlags::IN)?,
                result => return result,
            }
        }
    }
}

/// Blocks until the socket takes bytes or the deadline passes.
impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.note(Readiness::WRITE);
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_until(PollFlags::OUT)?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
