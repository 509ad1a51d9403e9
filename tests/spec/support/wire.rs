//! One end of a raw connection: bytes in, bytes out, every wait with a deadline.
//! Knows nothing of HTTP; [`super::message`] does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{PATIENCE, lock};

/// How much of a connection a [`Transcript`] keeps: enough for every head and every small content.
const TRANSCRIPT_BYTES: usize = 256 * 1024;

/// Why no more bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The peer closed in an orderly way.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// Nothing came for as long as we were willing to wait.
    TimedOut,
}

/// What was read from a connection so far, at most [`TRANSCRIPT_BYTES`] of it. Shared with whoever watches.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<u8>>>);

impl Transcript {
    /// All bytes kept.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.0).clone()
    }

    /// The last bytes, readable, for the text of a failure.
    pub fn tail(&self) -> String {
        let bytes = self.bytes();
        let start = bytes.len().saturating_sub(2000);
        let cut = if start == 0 { "" } else { "… " };
        format!("{cut}\"{}\"", bytes[start..].escape_ascii())
    }

    fn append(&self, bytes: &[u8]) {
        let mut kept = lock(&self.0);
        let room = TRANSCRIPT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A socket and the bytes that were read from it before anybody asked for them.
#[derive(Debug)]
pub struct Wire {
    stream: Arc<TcpStream>,
    early: Vec<u8>,
    transcript: Transcript,
}

impl Wire {
    /// Wraps a connected socket.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a connected socket takes TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("the deadline is not zero");
        Self { stream: Arc::new(stream), early: Vec::new(), transcript: Transcript::default() }
    }

    /// The socket, for those who want to shut it down from outside.
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// What was read so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Writes all of `bytes`, or fails once the peer is gone or takes nothing for [`PATIENCE`].
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.stream).write_all(bytes)
    }

    /// Says that we shall send no more (half-close).
    pub fn finish(&mut self) {
        // The peer may have gone first: then there is nothing left to say.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Whether nothing can be sent any more. Finds out by sending nothing.
    pub fn is_gone(&mut self) -> bool {
        (&*self.stream).write(&[]).is_err()
    }

    /// Makes the close that follows a reset, whatever the state of the buffers.
    pub fn reset_on_close(&mut self) {
        rustix::net::sockopt::set_socket_linger(&*self.stream, Some(Duration::ZERO)).expect("a socket takes SO_LINGER");
    }

    /// Reads up to and including `marker`.
    pub fn until(&mut self, marker: &[u8]) -> Result<Vec<u8>, Stop> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            let found = self.early[searched..].windows(marker.len()).position(|bytes| bytes == marker);
            if let Some(position) = found {
                return Ok(self.early.drain(..searched + position + marker.len()).collect());
            }
            searched = self.early.len().saturating_sub(marker.len() - 1);
            self.fill(deadline)?;
        }
    }

    /// Reads exactly `length` bytes; what came of them stays in [`Self::take_early`] if it fails.
    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Stop> {
        let mut deadline = Instant::now() + PATIENCE;
        while self.early.len() < length {
            self.fill(deadline)?;
            deadline = Instant::now() + PATIENCE;
        }
        Ok(self.early.drain(..length).collect())
    }

    /// Reads whatever comes next, at least one byte.
    pub fn some(&mut self) -> Result<Vec<u8>, Stop> {
        if self.early.is_empty() {
            self.fill(Instant::now() + PATIENCE)?;
        }
        Ok(self.take_early())
    }

    /// Waits at most `patience` for a byte or for the end; a byte that came is kept for the next read.
    pub fn wait(&mut self, patience: Duration) -> Result<(), Stop> {
        if self.early.is_empty() { self.fill(Instant::now() + patience) } else { Ok(()) }
    }

    /// Reads until the peer stops; the bytes and the reason.
    pub fn rest(&mut self) -> (Vec<u8>, Stop) {
        loop {
            if let Err(stop) = self.fill(Instant::now() + PATIENCE) {
                return (self.take_early(), stop);
            }
        }
    }

    /// What was read but not asked for.
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.early)
    }

    /// One read, appended to the early bytes.
    fn fill(&mut self, deadline: Instant) -> Result<(), Stop> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::TimedOut);
            }
            self.stream.set_read_timeout(Some(left)).expect("the time left is not zero");
            match (&*self.stream).read(&mut buffer) {
                Ok(0) => return Err(Stop::Closed),
                Ok(count) => {
                    self.transcript.append(&buffer[..count]);
                    self.early.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(Stop::TimedOut);
                    }
                    _ => return Err(Stop::Reset),
                },
            }
        }
    }
}
