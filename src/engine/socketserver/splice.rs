//! Moves bytes from socket to socket without bringing them into the process: `splice(2)` through a pipe, on Linux.
//!
//! The bytes stay in the kernel's pages and change owner twice. That pays for long contents; short ones are cheaper to
//! copy. Elsewhere than on Linux there are no pipes to be had here, and everything is copied.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

#[cfg(target_os = "linux")]
use rustix::pipe::SpliceFlags;

use super::socket::Socket;

/// A pipe costs two descriptors while content is under way through it. Beyond this many, contents are copied.
const MOST_PIPES: usize = 128;

/// And no more than the process's descriptors by this, or clients that do not read would leave none for the others.
const SHARE: usize = 32;

/// More pipes than this are not kept when nothing is in them: a descriptor is worth more than the making.
const MOST_SPARE: usize = 8;

/// Pipes that nothing is in, to be used again: making one costs as much as moving 10 KiB.
static SPARE: Mutex<Vec<Ends>> = Mutex::new(Vec::new());
static PIPES: AtomicUsize = AtomicUsize::new(0);
static MOST: LazyLock<usize> = LazyLock::new(|| {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = limit.map_or(MOST_PIPES, |limit| usize::try_from(limit).unwrap_or(usize::MAX) / SHARE);
    share.min(MOST_PIPES)
});

/// How many pipes there are at most, two descriptors each. Decided with the first call, by the limit of descriptors.
#[must_use]
pub fn most_pipes() -> usize {
    *MOST
}

/// A pipe between two sockets.
#[derive(Debug)]
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// An empty pipe, if there is one to be had.
    #[must_use]
    pub fn get() -> Option<Pipe> {
        let spare = SPARE.lock().expect("no panic under the lock").pop();
        let ends = spare.or_else(|| {
            if PIPES.fetch_add(1, Ordering::Relaxed) < most_pipes()
                && let Some(ends) = Ends::new()
            {
                return Some(ends);
            }
            PIPES.fetch_sub(1, Ordering::Relaxed);
            None
        })?;
        Some(Pipe { ends: Some(ends), held: 0 })
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes up to `most` bytes from a socket into the pipe, which has to be empty: a full pipe could not be told from
    /// a socket that has nothing. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there; else what `splice` returns.
    pub fn fill(&mut self, from: &mut Socket, most: usize) -> io::Result<usize> {
        debug_assert!(self.held == 0, "the pipe is filled when it is empty");
        let Some(ends) = &self.ends else { return Err(io::ErrorKind::Unsupported.into()) };
        self.held = from.try_splice_into(&ends.writer, most)?;
        Ok(self.held)
    }

    /// Moves what is in the pipe to a socket; `Ok(true)` if the pipe is empty then.
    ///
    /// # Errors
    /// What `splice` returns, but for "would block".
    pub fn empty(&mut self, to: &mut Socket) -> io::Result<bool> {
        let Some(ends) = &self.ends else { return Err(io::ErrorKind::Unsupported.into()) };
        while self.held > 0 {
            match to.try_splice_from(&ends.reader, self.held) {
                Ok(moved) => self.held -= moved,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// An empty pipe is kept for others; one with bytes in it is closed with them.
impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        let mut spare = SPARE.lock().expect("no panic under the lock");
        if self.held == 0 && spare.len() < MOST_SPARE {
            spare.push(ends);
            return;
        }
        drop(spare);
        drop(ends);
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Ends {
    #[cfg(target_os = "linux")]
    fn new() -> Option<Ends> {
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
        /// Room for what a socket has after a wait. The default of 64 KiB would halve the bytes a call moves; it stays
        /// if a user has as much as the system grants.
        const PIPE_BYTES: usize = 256 * 1024;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let _ = fcntl_setpipe_size(&writer, PIPE_BYTES);
        Some(Ends { reader, writer })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> Option<Ends> {
        None
    }
}

#[cfg(target_os = "linux")]
impl Socket {
    /// Moves what has arrived into a pipe, without its coming into the process.
    ///
    /// # Errors
    /// As [`Socket::try_read`].
    fn try_splice_into(&mut self, pipe: &OwnedFd, most: usize) -> io::Result<usize> {
        if !self.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stop_blocking()?;
        let moved = self.retried(|stream| {
            rustix::pipe::splice(stream, None, pipe, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)
        });
        // Less than asked for says nothing here: it may be the pipe that had no more room.
        self.remember_read(&moved, moved.as_ref().copied().unwrap_or(0));
        moved
    }

    /// Moves what is in a pipe to the peer.
    ///
    /// # Errors
    /// As [`Socket::try_write`].
    fn try_splice_from(&mut self, pipe: &OwnedFd, most: usize) -> io::Result<usize> {
        self.stop_blocking()?;
        self.try_send(most, |stream| {
            rustix::pipe::splice(pipe, None, stream, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)
        })
    }
}

#[cfg(not(target_os = "linux"))]
impl Socket {
    fn try_splice_into(&mut self, _: &OwnedFd, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_splice_from(&mut self, _: &OwnedFd, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
