//! Bytes that were received and not used yet, [`Buffer`], and bytes that wait to be sent, [`Outgoing`].

use std::io;

use super::socket::Socket;

/// A buffer that has room only while a worker lends it some, so that those who wait hold none.
pub trait Lendable {
    /// The vector behind it, without what was used up.
    fn vector(&mut self) -> &mut Vec<u8>;
}

impl Lendable for Buffer {
    #[inline]
    fn vector(&mut self) -> &mut Vec<u8> {
        self.close_up();
        &mut self.bytes
    }
}

impl Lendable for Outgoing {
    #[inline]
    fn vector(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// A buffer that is filled at its end and used up from its start.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// What is there, oldest first.
    #[must_use]
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether nothing is there.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Takes `length` bytes away, from the start.
    #[inline]
    pub fn consume(&mut self, length: usize) {
        self.start += length;
        debug_assert!(self.start <= self.bytes.len(), "no more is used than is there");
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Moves as much as fits into `target`.
    pub fn take_into(&mut self, target: &mut [u8]) -> usize {
        let length = self.unread().len().min(target.len());
        target[..length].copy_from_slice(&self.unread()[..length]);
        self.consume(length);
        length
    }

    /// Adds bytes that were received in another way.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Receives what is there, as far as there is room; `Ok(0)` is the end of the stream.
    ///
    /// Room is made for at least one byte, so whoever fills a buffer checks a limit of its own first.
    ///
    /// # Errors
    /// As [`Socket::try_read`].
    pub fn fill(&mut self, socket: &mut Socket) -> io::Result<usize> {
        if !socket.is_readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.bytes.len() == self.bytes.capacity() {
            self.close_up();
        }
        if self.bytes.len() == self.bytes.capacity() {
            self.bytes.reserve(1024);
        }
        socket.try_read(&mut self.bytes)
    }

    /// Moves what is there to the front.
    #[inline]
    fn close_up(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

/// Bytes that wait to be sent.
///
/// Small pieces gather here until [`Outgoing::send`], so that a head and a short body leave in one call.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    /// Some was sent since [`Outgoing::begin`].
    begun: bool,
}

/// Room to gather in, and to receive: two pieces of `std::io::copy`, of 8 KiB each, with the lines around them as chunks.
pub(super) const BUFFER_BYTES: usize = 16 * 1024 + 64;

impl Outgoing {
    /// The bytes, to append to.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// From here on [`is_begun`](Self::is_begun) is about what comes now.
    pub fn begin(&mut self) {
        self.begun = false;
    }

    /// Whether anything was sent since [`begin`](Self::begin): what was not can still be taken back.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// Whether nothing is left to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Sends what the socket takes; `Ok(true)` if nothing is left.
    ///
    /// # Errors
    /// What sending returns, but for "would block".
    pub fn send(&mut self, socket: &mut Socket) -> io::Result<bool> {
        if !self.bytes.is_empty() {
            let sent = none_if_blocked(socket.try_write(&self.bytes))?;
            self.begun |= sent > 0;
            self.bytes.drain(..sent);
        }
        Ok(self.bytes.is_empty())
    }

    /// Adds `piece` behind what waits: gathered if it is small, else all is sent as far as the socket takes it, and only
    /// the rest is kept. `Ok(false)` if the socket took less than it was given.
    ///
    /// If `more` follows at once, the last byte is held back, so that something is left that has to be sent, and what
    /// leaves before it need not hurry. The kernel then sends, and wakes the receiver, once for many pieces: 64 KiB in
    /// chunks take a third less time.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub fn push(&mut self, piece: &[u8], more: bool, socket: &mut Socket) -> io::Result<bool> {
        let waiting = self.bytes.len();
        if waiting + piece.len() <= BUFFER_BYTES {
            self.bytes.extend_from_slice(piece);
            return Ok(true);
        }
        let now = piece.len() - usize::from(more && !piece.is_empty());
        let sent = none_if_blocked(socket.try_write_two(&self.bytes, &piece[..now], more))?;
        self.begun |= sent > 0;
        self.bytes.drain(..sent.min(waiting));
        self.bytes.extend_from_slice(&piece[sent.saturating_sub(waiting)..]);
        Ok(sent == waiting + now)
    }
}

fn none_if_blocked(sent: io::Result<usize>) -> io::Result<usize> {
    match sent {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What is received of pieces of such lengths with what is left to be sent of them, and how much that is. Each piece
    /// is of other bytes.
    fn pushed(pieces: &[usize], more: bool) -> (Vec<u8>, usize) {
        let (ours, mut theirs) = UnixStream::pair().expect("two sockets");
        theirs.set_nonblocking(true).expect("a socket that does not block");
        let (mut socket, mut outgoing, mut received) = (Socket::new(ours), Outgoing::default(), Vec::new());
        for (byte, length) in (0..).zip(pieces) {
            let piece = vec![byte; *length];
            assert!(outgoing.push(&piece, more, &mut socket).expect("the receiver lives"), "it takes all");
        }
        let _would_block = theirs.read_to_end(&mut received);
        let left = outgoing.bytes().len();
        received.extend_from_slice(outgoing.bytes());
        (received, left)
    }

    #[test]
    fn pieces_gather_until_they_are_much_and_then_leave_whole() {
        for (pieces, left) in [
            (&[1, 2, 3][..], 6),
            (&[BUFFER_BYTES][..], BUFFER_BYTES),
            (&[BUFFER_BYTES, 1][..], 0),
            (&[200, BUFFER_BYTES][..], 0),
            (&[200, BUFFER_BYTES, 7][..], 7),
        ] {
            let (received, kept) = pushed(pieces, false);
            assert_eq!((received.len(), kept), (pieces.iter().sum(), left), "{pieces:?}");
        }
    }

    #[test]
    fn something_is_left_to_be_sent_behind_what_may_wait_for_more() {
        for (pieces, left) in [
            (&[BUFFER_BYTES, 1][..], 1),
            (&[200, BUFFER_BYTES][..], 1),
            (&[200, BUFFER_BYTES, 7][..], 8),
            (&[BUFFER_BYTES, 0, 9, 0][..], 1),
        ] {
            let (received, held_back) = pushed(pieces, true);
            let in_order = (0..).zip(pieces).flat_map(|(byte, length)| vec![byte; *length]);
            assert!(received == in_order.collect::<Vec<_>>(), "{pieces:?}: all of it, in order");
            assert_eq!(held_back, left, "{pieces:?}");
        }
    }
}
