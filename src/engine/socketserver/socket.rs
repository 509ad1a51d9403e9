//! A connected socket that can be tried without blocking, waited for in the room, or simply blocked on.
//!
//! The reverse proxy tries and then waits in the [waiting room](super::room); a plain handler reads and writes through
//! [`std::io::Read`] and [`std::io::Write`] until its deadline. Both work whether the stream is in blocking mode, as when
//! it was accepted, or not, as when it is still being connected: `try_` methods pass `MSG_DONTWAIT` with the call, and
//! blocking ones poll first. Only `splice` has to switch it.
//!
//! The socket remembers what the last call told: after a read that got less than it had room for, there is nothing
//! more until the next edge, and [`Socket::try_read`] says so without asking the kernel again.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

use super::crew::Shared;
use super::readiness::Readiness;
use super::room::Token;

/// A connected stream socket, TCP or Unix. Dropping it closes the connection and frees its place in the room.
///
/// Python: `request` / `connection` of a `BaseRequestHandler`.
#[doc(alias = "connection")]
#[derive(Debug)]
pub struct Socket {
    stream: OwnedFd,
    place: Option<Place>,
    /// An edge came since a read last found the end of what had arrived.
    pub(super) readable: bool,
    writable: bool,
    /// FIN or RST was announced: reads go on until they meet it, since no further edge will tell of it.
    hung_up: bool,
    /// RST came, or both sides have ended.
    broken: bool,
    pub(super) deadline: Option<Instant>,
    /// It was waited for beside the poller.
    pub(super) blocked_on: bool,
    /// The stream is in non-blocking mode.
    #[cfg(target_os = "linux")]
    never_blocks: bool,
}

/// The socket's registration: freed on drop.
#[derive(Debug)]
struct Place {
    workers: Arc<Shared>,
    token: Token,
    watches_writes: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.workers.leave_place(self.token);
    }
}

impl Drop for Socket {
    /// The leader may look at it in this moment, since what came woke it, too. Since 6.10, Linux then keeps the file until
    /// the leader leaves `epoll_wait`, which it does not for a socket that has been read meanwhile: the peer would not be
    /// told of the end. Where the poller watches it no more, nobody looks.
    fn drop(&mut self) {
        if self.blocked_on
            && let Some(place) = &self.place
        {
            let _ = place.workers.watch_no_more(self.stream.as_fd());
        }
    }
}

impl Socket {
    /// A socket for plain blocking use, such as a client's.
    #[must_use]
    pub fn new(stream: impl Into<OwnedFd>) -> Socket {
        // Without a registration no edge will ever tell, so every call asks the kernel.
        Socket::with_place(stream.into(), None)
    }

    /// Registers the socket with the poller behind `workers`, once and edge-triggered, so that it can wait.
    ///
    /// # Errors
    /// What registering with the poller returns, such as no memory for another watch.
    pub(super) fn register(stream: OwnedFd, workers: &Arc<Shared>) -> io::Result<Socket> {
        let token = workers.take_place();
        let place = Place { workers: Arc::clone(workers), token, watches_writes: false };
        workers.watch(stream.as_fd(), token)?;
        Ok(Socket::with_place(stream, Some(place)))
    }

    /// As [`Socket::register`], for a socket in non-blocking mode that is not connected yet: a write edge tells when it
    /// is.
    pub(super) fn register_connecting(stream: OwnedFd, workers: &Arc<Shared>) -> io::Result<Socket> {
        let token = workers.take_place();
        let place = Place { workers: Arc::clone(workers), token, watches_writes: true };
        workers.watch_both(stream.as_fd(), token)?;
        Ok(Socket::with_place(stream, Some(place)))
    }

    fn with_place(stream: OwnedFd, place: Option<Place>) -> Socket {
        let unwatched = place.is_none();
        #[cfg(target_os = "linux")]
        let connecting = place.as_ref().is_some_and(|place| place.watches_writes);
        Socket {
            stream,
            place,
            readable: unwatched,
            writable: true,
            hung_up: unwatched,
            broken: false,
            deadline: None,
            blocked_on: false,
            #[cfg(target_os = "linux")]
            never_blocks: connecting,
        }
    }

    /// The place in the waiting room that this socket's edges arrive at.
    ///
    /// # Panics
    /// If the socket was made by [`Socket::new`]: it cannot wait.
    #[must_use]
    #[inline]
    pub fn token(&self) -> Token {
        self.place.as_ref().expect("only registered sockets wait in the room").token
    }

    /// Takes in what the poller told about this socket.
    #[inline]
    pub fn note(&mut self, edges: Readiness) {
        if edges.intersects(Readiness::READ) {
            self.readable = true;
        }
        if edges.intersects(Readiness::WRITE) {
            self.writable = true;
        }
        self.broken |= edges.intersects(Readiness::BROKEN);
        if edges.intersects(Readiness::HALF_CLOSED | Readiness::BROKEN) {
            self.readable = true;
            self.hung_up = true;
        }
    }

    /// Whether a read may find something: if not, the socket may wait in the room.
    #[must_use]
    #[inline]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Appends what has arrived to `buffer`, as far as its spare capacity goes; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there; else what `recv` returns.
    pub fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        debug_assert!(room > 0, "a read into a full buffer cannot be told from the end of the stream");
        if !self.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = self.retried(|stream| {
            rustix::net::recv(stream, rustix::buffer::spare_capacity(buffer), RecvFlags::DONTWAIT).map(|(read, _)| read)
        });
        self.remember_read(&received, room);
        received
    }

    /// As [`Socket::try_read`], into a slice.
    ///
    /// # Errors
    /// As [`Socket::try_read`].
    pub fn try_read_slice(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buffer.len();
        let received =
            self.retried(|stream| rustix::net::recv(stream, &mut *buffer, RecvFlags::DONTWAIT).map(|(read, _)| read));
        self.remember_read(&received, room);
        received
    }

    /// An edge tells of new bytes only. After a read that would block, or that got less than it had room for, all
    /// that had arrived was taken, and the next bytes bring an edge of their own. Not so the end of the stream: its
    /// edge may have been the one that brought us here, so after a hang-up only "would block" ends the reading.
    pub(super) fn remember_read(&mut self, received: &io::Result<usize>, room: usize) {
        match received {
            Ok(read) => self.readable = *read == room || self.hung_up,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = self.place.is_none();
            }
            Err(_) => {}
        }
    }

    /// Writes what the socket takes now; less than all of it means that the peer is slower than we are.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it takes nothing; else what `send` returns.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_send(bytes.len(), |stream| rustix::net::send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
    }

    /// As [`Socket::try_write`], for two pieces that need not lie side by side. If `more` has to be written behind them
    /// at once, their end may wait for that.
    ///
    /// # Errors
    /// As [`Socket::try_write`].
    pub fn try_write_two(&mut self, first: &[u8], second: &[u8], more: bool) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        let before_more = SendFlags::MORE;
        #[cfg(not(target_os = "linux"))]
        let before_more = SendFlags::empty();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL | if more { before_more } else { SendFlags::empty() };
        self.try_send(first.len() + second.len(), |stream| {
            let pieces = [IoSlice::new(first), IoSlice::new(second)];
            rustix::net::sendmsg(stream, &pieces, &mut SendAncillaryBuffer::default(), flags)
        })
    }

    pub(super) fn try_send(
        &mut self,
        length: usize,
        send: impl Fn(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.retried(|stream| send(stream));
        match &taken {
            Ok(taken) if *taken < length => self.await_writes()?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_writes()?,
            _ => {}
        }
        taken
    }

    /// `splice` has no `MSG_DONTWAIT`: it looks at the socket's mode. All other calls work in either mode.
    #[cfg(target_os = "linux")]
    pub(super) fn stop_blocking(&mut self) -> io::Result<()> {
        if !self.never_blocks {
            rustix::io::ioctl_fionbio(&self.stream, true)?;
            self.never_blocks = true;
        }
        Ok(())
    }

    /// Most sockets never fill up, so write edges are asked for when the first write comes up short: one call to
    /// the poller for a slow peer, none for the others. Asking anew looks at the socket anew, so no edge is missed.
    fn await_writes(&mut self) -> io::Result<()> {
        let Some(place) = &mut self.place else { return Ok(()) };
        self.writable = false;
        if !place.watches_writes {
            place.watches_writes = true;
            place.workers.watch_writes(self.stream.as_fd(), place.token)?;
        }
        Ok(())
    }

    pub(super) fn retried(&self, mut call: impl FnMut(&OwnedFd) -> rustix::io::Result<usize>) -> io::Result<usize> {
        loop {
            match call(&self.stream) {
                Err(rustix::io::Errno::INTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    /// Whether the peer has sent nothing and not closed: asks the kernel, takes nothing away.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let peeked = rustix::net::recv(&self.stream, &mut [0u8; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    /// Makes closing the socket reset the connection: the peer sees an error instead of an end. A Unix socket knows no
    /// such thing: there, only the message's framing shows that it was cut.
    pub fn reset_on_close(&self) {
        // It fails on a connection that is gone already, which is as well.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Ends our side: the peer reads the end of the stream, and can still send.
    ///
    /// # Errors
    /// As [`std::net::TcpStream::shutdown`].
    pub fn end_writes(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.stream, Shutdown::Write)?)
    }

    /// Whether the connection was reset, or ended in both directions.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether an edge came since anybody looked, on a connection on which nothing is expected.
    #[must_use]
    pub fn has_edge(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.workers.has_edge(place.token))
    }

    /// Whether this connection, on which nothing is expected, is as it was: the peer has neither sent nor closed.
    /// Costs a system call only if an edge came that may have told of bytes already taken.
    pub fn is_idle(&mut self) -> bool {
        if let Some(place) = &self.place {
            self.note(place.workers.take_edges(place.token));
        }
        if self.readable && !self.hung_up && self.is_quiet() {
            self.readable = false;
        }
        !self.readable
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
