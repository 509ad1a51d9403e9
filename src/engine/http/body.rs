//! Content without its framing, and with it: the two adaptors between which [`std::io::copy`] moves a body.
//! RFC 9112 §6, §7.
//!
//! - [`BodyReader`] takes the framing off, ends exactly at the message's end, and gives nothing while the receiver is
//!   still busy with what it has;
//! - [`BodyWriter`] puts the framing on and takes all that it is given; what the socket does not take at once it keeps.
//!
//! So nothing is lost when the copying stops in the middle, and a [`Relay`](super::relay::Relay) goes on where it
//! stopped. Since `io::copy` cannot say which side failed, each adaptor keeps its own error.

use std::cell::Cell;
use std::io::{self, Read, Write};

use super::chunked::{ChunkedDecoder, Piece};
use super::error::MessageError;
use super::framing::BodyFraming;
use super::kept::Kept;
use super::text::append_hexadecimal;
use crate::settings::Limits;
use crate::socketserver::{Buffer, Outgoing, Socket};

/// What is left of a message's content, by its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyDecoder {
    /// Nothing: it is complete.
    Done,
    /// So many bytes.
    Length(u64),
    /// As many chunks as come.
    Chunked(ChunkedDecoder),
    /// All until the connection ends.
    UntilClose,
}

impl BodyDecoder {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(framing: BodyFraming, limits: &Limits) -> BodyDecoder {
        match framing {
            BodyFraming::None => BodyDecoder::Done,
            BodyFraming::Length(length) => BodyDecoder::length(length),
            BodyFraming::Chunked => BodyDecoder::Chunked(ChunkedDecoder::new(limits.chunk_line, limits.header_bytes)),
            BodyFraming::UntilClose => BodyDecoder::UntilClose,
        }
    }

    /// So many bytes are left.
    pub(super) fn length(left: u64) -> BodyDecoder {
        if left == 0 { BodyDecoder::Done } else { BodyDecoder::Length(left) }
    }

    /// Reads content for as long as the socket's deadline allows: the blocking way, without a `Relay`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the body ends early, [`io::ErrorKind::InvalidData`] if its coding is wrong;
    /// else what reading returns.
    pub fn read_blocking(&mut self, socket: &mut Socket, buffer: &mut Buffer, target: &mut [u8]) -> io::Result<usize> {
        let never = Cell::new(false);
        loop {
            let mut reader = BodyReader {
                socket,
                buffer,
                decoder: self,
                trailer: &mut Vec::new(),
                receiver_full: &never,
                turn_left: usize::MAX,
                coding_left: usize::MAX,
                error: None,
            };
            match reader.read_content(target) {
                Ok(read) => return Ok(read),
                Err(MessageError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => socket.wait_readable()?,
                Err(MessageError::Io(error)) => return Err(error),
                Err(MessageError::Incomplete) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

/// Reads the content of one message, without its framing and not a byte beyond it.
///
/// Python: `HTTPResponse.read`. Departs: a body that ends early is an error, never a short success.
#[derive(Debug)]
pub struct BodyReader<'a> {
    pub(super) socket: &'a mut Socket,
    pub(super) buffer: &'a mut Buffer,
    pub(super) decoder: &'a mut BodyDecoder,
    pub(super) trailer: &'a mut Vec<u8>,
    pub(super) receiver_full: &'a Cell<bool>,
    /// So much content it gives before others have a turn.
    pub(super) turn_left: usize,
    /// The same for bytes that are no content: chunks may be next to nothing but extensions.
    pub(super) coding_left: usize,
    pub(super) error: Option<MessageError>,
}

impl BodyReader<'_> {
    pub(super) fn has_had_its_turn(&self) -> bool {
        self.turn_left == 0 || self.coding_left == 0
    }

    fn read_content(&mut self, target: &mut [u8]) -> Result<usize, MessageError> {
        match self.decoder {
            BodyDecoder::Done => Ok(0),
            BodyDecoder::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(target.len());
                let read = take_or_receive(self.buffer, self.socket, &mut target[..most])?;
                if read == 0 {
                    return Err(MessageError::Incomplete);
                }
                *self.decoder = BodyDecoder::length(*left - read as u64);
                Ok(read)
            }
            BodyDecoder::UntilClose => {
                let read = take_or_receive(self.buffer, self.socket, target)?;
                if read == 0 {
                    *self.decoder = BodyDecoder::Done;
                }
                Ok(read)
            }
            BodyDecoder::Chunked(_) => self.read_chunked(target),
        }
    }

    fn read_chunked(&mut self, target: &mut [u8]) -> Result<usize, MessageError> {
        let BodyDecoder::Chunked(decoder) = self.decoder else { return Ok(0) };
        loop {
            match decoder.next(self.buffer.unread())? {
                Piece::Coding(length) => {
                    self.coding_left = self.coding_left.saturating_sub(length);
                    self.buffer.consume(length);
                }
                Piece::Data(length) => {
                    let most = length.min(target.len());
                    let read = self.buffer.take_into(&mut target[..most]);
                    decoder.took(read);
                    return Ok(read);
                }
                Piece::End(length) => {
                    self.trailer.extend_from_slice(&self.buffer.unread()[..length]);
                    self.buffer.consume(length);
                    *self.decoder = BodyDecoder::Done;
                    return Ok(0);
                }
                Piece::Partial => {
                    if self.buffer.fill(self.socket)? == 0 {
                        return Err(MessageError::Incomplete);
                    }
                }
            }
        }
    }
}

fn take_or_receive(buffer: &mut Buffer, socket: &mut Socket, target: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() { socket.try_read_slice(target) } else { Ok(buffer.take_into(target)) }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.receiver_full.get() || self.has_had_its_turn() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = target.len().min(self.turn_left);
        let read = self.read_content(&mut target[..most]).map_err(|error| match error {
            MessageError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => error,
            error => {
                self.error = Some(error);
                io::ErrorKind::Other.into()
            }
        })?;
        self.turn_left -= read;
        Ok(read)
    }
}

/// Writes content in a framing made for the receiver. Takes all it is given; [`BodyReader`] sees to it that this is
/// never more than one piece too much.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    pub(super) socket: &'a mut Socket,
    pub(super) outgoing: &'a mut Outgoing,
    pub(super) chunked: bool,
    pub(super) full: &'a Cell<bool>,
    pub(super) kept: &'a mut Kept,
    pub(super) error: Option<MessageError>,
}

impl BodyWriter<'_> {
    fn write_content(&mut self, piece: &[u8]) -> io::Result<()> {
        self.kept.add(piece);
        if self.chunked {
            append_hexadecimal(piece.len() as u64, self.outgoing.bytes());
            self.outgoing.bytes().extend_from_slice(b"\r\n");
        }
        let all_sent = self.outgoing.push(piece, true, self.socket)?;
        if self.chunked {
            self.outgoing.bytes().extend_from_slice(b"\r\n");
        }
        self.full.set(!all_sent);
        Ok(())
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.write_content(piece) {
            self.error = Some(error.into());
            return Err(io::ErrorKind::Other.into());
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// Others have their turn, too, while a sender sends next to nothing but chunk extensions.
    #[test]
    fn a_turn_ends_after_so_much_coding_although_there_is_hardly_any_content() {
        let (ours, _theirs) = UnixStream::pair().expect("two sockets");
        let (mut socket, mut buffer, never) = (Socket::new(ours), Buffer::default(), Cell::new(false));
        buffer.append(format!("1;{}\r\nx\r\n", "e".repeat(993)).repeat(20).as_bytes());
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &Limits::default());
        let mut reader = BodyReader {
            socket: &mut socket,
            buffer: &mut buffer,
            decoder: &mut decoder,
            trailer: &mut Vec::new(),
            receiver_full: &never,
            turn_left: 10_000,
            coding_left: 10_000,
            error: None,
        };
        let mut content = Vec::new();
        let stopped = reader.read_to_end(&mut content).expect_err("it stops before the end");
        assert_eq!((stopped.kind(), content.len()), (io::ErrorKind::WouldBlock, 11));
        assert!(reader.has_had_its_turn() && reader.error.is_none());
    }
}
