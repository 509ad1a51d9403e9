//! Relays one message's content from a connection to another: with [`std::io::copy`], or inside the kernel.
//!
//! Input: bytes of the sender's framing. Output: the same content in the receiver's framing, as it comes. A relay moves
//! what can be moved now, says why it stopped ([`Flow`]), and goes on there when it is called again.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use super::body::{BodyDecoder, BodyReader, BodyWriter};
use super::error::MessageError;
use super::kept::Kept;
use super::pace::Pace;
use super::text::append_hexadecimal;
use crate::socketserver::splice::Pipe;
use crate::socketserver::{Buffer, Outgoing, Socket};

/// Bytes that one relay moves before it lets other conversations go on.
const TURN: usize = 1024 * 1024;

/// Content of which at least so much is still to come goes through a pipe. Measured: below, copying costs less.
const SPLICE_FROM: u64 = 16 * 1024;

/// Where a relay takes from.
#[derive(Debug)]
pub struct Inlet<'a> {
    /// The sender's connection.
    pub socket: &'a mut Socket,
    /// What was received from it already.
    pub buffer: &'a mut Buffer,
}

/// Where a relay puts to.
#[derive(Debug)]
pub struct Outlet<'a> {
    /// The receiver's connection.
    pub socket: &'a mut Socket,
    /// What it has not been sent yet.
    pub outgoing: &'a mut Outgoing,
}

/// Why a relay stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The sender has sent no more so far.
    Dry,
    /// The receiver takes no more so far.
    Full,
    /// It has moved much, and others should have a turn.
    GiveWay,
    /// All is sent, to the last byte of the framing.
    Done,
}

/// A relay that failed, by the side that did.
#[derive(Debug)]
pub enum RelayError {
    /// What was received is wrong or has ended early.
    Sender(MessageError),
    /// It cannot be sent.
    Receiver(MessageError),
}

/// The relaying of one message's content, to be taken up again and again until it is done.
#[derive(Debug)]
pub struct Relay {
    decoder: BodyDecoder,
    chunked: bool,
    /// The framing's end is written, if not sent.
    ended: bool,
    trailer: Vec<u8>,
    /// Trailer fields are passed on.
    keeps_trailer: bool,
    /// Content under way inside the kernel.
    pipe: Option<Pipe>,
    kept: Kept,
    moved: u64,
    limit: u64,
    pace: Pace,
}

impl Relay {
    /// From a sender's framing to a receiver's: chunks if `chunked`, else plain bytes.
    #[must_use]
    pub fn new(decoder: BodyDecoder, chunked: bool) -> Relay {
        Relay {
            decoder,
            chunked,
            ended: false,
            trailer: Vec::new(),
            keeps_trailer: true,
            pipe: None,
            kept: Kept::default(),
            moved: 0,
            limit: u64::MAX,
            pace: Pace::default(),
        }
    }

    /// Passes trailer fields on only if `keep`.
    #[must_use]
    pub fn keeping_trailer(mut self, keep: bool) -> Relay {
        self.keeps_trailer = keep;
        self
    }

    /// Fails with [`MessageError::ContentTooLarge`] when more content than this has come.
    #[must_use]
    pub fn limited_to(mut self, bytes: u64) -> Relay {
        self.limit = bytes;
        self
    }

    /// Keeps a copy of the content, as long as it is no more than `bytes`, so that it can be sent once more.
    #[must_use]
    pub fn keeping(mut self, bytes: usize) -> Relay {
        self.kept = Kept::up_to(bytes);
        self
    }

    /// Whether all that was moved so far can be sent once more.
    #[must_use]
    pub fn can_begin_again(&self) -> bool {
        self.kept.content().is_some()
    }

    /// Puts all that was moved so far, as a new receiver needs it, behind what is in `outgoing`. The relay then goes on.
    pub fn begin_again(&mut self, outgoing: &mut Outgoing) {
        let Some(content) = self.kept.content().filter(|content| !content.is_empty()) else {
            return self.repeat_end(outgoing);
        };
        let out = outgoing.bytes();
        if self.chunked {
            append_hexadecimal(content.len() as u64, out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(content);
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
        self.repeat_end(outgoing);
    }

    fn repeat_end(&mut self, outgoing: &mut Outgoing) {
        self.pace.begin_again();
        if self.ended {
            let _ = self.end(outgoing); // It was written before, so its trailer is in order.
        }
    }

    /// Bytes of content moved so far.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether the sender has sent all.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.decoder == BodyDecoder::Done
    }

    /// Where and since when it stands still.
    #[must_use]
    pub fn stopped(&self) -> Option<(Flow, Instant)> {
        self.pace.stopped()
    }

    /// Whether the sender keeps us waiting for more than `grace` at less than `rate` bytes a second.
    #[must_use]
    pub fn sender_is_slow(&self, rate: u64, grace: Duration) -> bool {
        self.pace.sender_is_slow(self.moved, rate, grace)
    }

    /// Whether the receiver keeps us waiting for more than `grace` at less than `rate` bytes a second.
    #[must_use]
    pub fn receiver_is_slow(&self, rate: u64, grace: Duration) -> bool {
        self.pace.receiver_is_slow(self.moved, rate, grace)
    }

    /// Moves what can be moved now.
    ///
    /// # Errors
    /// [`RelayError`], by the guilty side; nothing was made up to end the message.
    pub fn pump(&mut self, from: Inlet<'_>, to: Outlet<'_>, now: Instant) -> Result<Flow, RelayError> {
        self.pace.go_on(now);
        let Outlet { socket, outgoing } = to;
        let unsent = |pipe: &Option<Pipe>, out: &mut Outgoing| pipe.as_ref().map_or(0, Pipe::held) + out.bytes().len();
        let (moved, waiting) = (self.moved, unsent(&self.pipe, outgoing));
        let flow = self.try_pump(from, socket, outgoing)?;
        let progress = self.moved > moved || unsent(&self.pipe, outgoing) < waiting;
        self.pace.stop(flow, progress, now);
        Ok(flow)
    }

    fn try_pump(
        &mut self,
        mut from: Inlet<'_>,
        receiver: &mut Socket,
        outgoing: &mut Outgoing,
    ) -> Result<Flow, RelayError> {
        // While the receiver is full nothing more is taken in, however often the other direction wakes us: what waits
        // would grow without end.
        if matches!(self.stopped(), Some((Flow::Full, _))) && !outgoing.send(receiver).map_err(lost)? {
            return Ok(Flow::Full);
        }
        let mut flow = Flow::Done;
        if !self.ended {
            self.pass_buffered(&mut from, receiver, outgoing)?;
            flow = match self.take_pipe() {
                Some(pipe) => self.splice(pipe, from.socket, receiver, outgoing)?,
                None if self.is_received() => Flow::Done,
                None => self.copy(&mut from, receiver, outgoing)?,
            };
            if flow == Flow::Done {
                self.end(outgoing)?;
            }
        }
        // Whatever stopped the moving: what was gathered leaves before anybody waits.
        let all = outgoing.send(receiver).map_err(lost)?;
        Ok(if all { flow } else { Flow::Full })
    }

    /// Passes on what came along with the head, from where it lies. Most messages end there: `io::copy`, whose buffer is
    /// cleared first, would make a small response cost 5 % more.
    fn pass_buffered(
        &mut self,
        from: &mut Inlet<'_>,
        receiver: &mut Socket,
        outgoing: &mut Outgoing,
    ) -> Result<(), RelayError> {
        let BodyDecoder::Length(left) = self.decoder else { return Ok(()) };
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(from.buffer.unread().len());
        if length > 0 {
            let piece = &from.buffer.unread()[..length];
            let left = left - length as u64;
            // A pipe sends by itself, and first wants all out of the way that goes before.
            let more = left > 0 && from.socket.is_readable() && !self.is_for_pipe(left);
            outgoing.push(piece, more, receiver).map_err(lost)?;
            self.kept.add(piece);
            from.buffer.consume(length);
            self.moved += length as u64;
            self.decoder = BodyDecoder::length(left);
        }
        Ok(())
    }

    /// The pipe that content is under way in, or a new one if what is to come is long enough to be worth it.
    fn take_pipe(&mut self) -> Option<Pipe> {
        let is_long = matches!(self.decoder, BodyDecoder::Length(left) if self.is_for_pipe(left));
        self.pipe.take().or_else(|| is_long.then(Pipe::get).flatten())
    }

    fn is_for_pipe(&self, left: u64) -> bool {
        left >= SPLICE_FROM && !self.kept.is_on()
    }

    /// Moves content through a pipe, socket to socket. The pipe stays with us only while something is in it.
    fn splice(
        &mut self,
        mut pipe: Pipe,
        sender: &mut Socket,
        receiver: &mut Socket,
        outgoing: &mut Outgoing,
    ) -> Result<Flow, RelayError> {
        let mut turn_left = TURN;
        loop {
            if !outgoing.send(receiver).map_err(lost)? || !pipe.empty(receiver).map_err(lost)? {
                self.pipe = Some(pipe);
                return Ok(Flow::Full);
            }
            let BodyDecoder::Length(left) = self.decoder else { return Ok(Flow::Done) };
            if turn_left == 0 {
                return Ok(Flow::GiveWay);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(turn_left);
            match pipe.fill(sender, most) {
                Ok(0) => return Err(RelayError::Sender(MessageError::Incomplete)),
                Ok(taken) => {
                    turn_left -= taken;
                    self.moved += taken as u64;
                    self.decoder = BodyDecoder::length(left - taken as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flow::Dry),
                Err(error) => return Err(RelayError::Sender(error.into())),
            }
        }
    }

    /// Through the buffer of `io::copy`: 8 KB on the stack, which those should not touch who need them not.
    #[inline(never)]
    fn copy(
        &mut self,
        from: &mut Inlet<'_>,
        receiver: &mut Socket,
        outgoing: &mut Outgoing,
    ) -> Result<Flow, RelayError> {
        let full = Cell::new(false);
        let mut reader = BodyReader {
            socket: from.socket,
            buffer: from.buffer,
            decoder: &mut self.decoder,
            trailer: &mut self.trailer,
            receiver_full: &full,
            turn_left: TURN,
            coding_left: TURN,
            error: None,
        };
        let (chunked, kept) = (self.chunked, &mut self.kept);
        let mut writer = BodyWriter { socket: receiver, outgoing, chunked, full: &full, kept, error: None };
        let copied = io::copy(&mut reader, &mut writer);
        self.moved += (TURN - reader.turn_left) as u64;
        if self.moved > self.limit {
            return Err(RelayError::Sender(MessageError::ContentTooLarge));
        }
        let turn_is_over = reader.has_had_its_turn();
        match (copied, reader.error, writer.error) {
            (Ok(_), ..) => Ok(Flow::Done),
            (Err(_), Some(error), _) => Err(RelayError::Sender(error)),
            (Err(_), _, Some(error)) => Err(RelayError::Receiver(error)),
            (Err(_), None, None) if full.get() => Ok(Flow::Full),
            (Err(_), None, None) if turn_is_over => Ok(Flow::GiveWay),
            (Err(_), None, None) => Ok(Flow::Dry),
        }
    }

    /// All content is taken from the sender, and in the receiver's framing it ends here.
    fn end(&mut self, outgoing: &mut Outgoing) -> Result<(), RelayError> {
        self.ended = true;
        if !self.chunked && self.trailer.is_empty() {
            return Ok(());
        }
        let length = outgoing.bytes().len();
        outgoing.bytes().extend_from_slice(b"0\r\n");
        let end = super::trailer::forward(&self.trailer, self.keeps_trailer, outgoing.bytes());
        if end.is_err() || !self.chunked {
            outgoing.bytes().truncate(length); // Nobody is to take it for an end.
        }
        end.map_err(RelayError::Sender)
    }
}

fn lost(error: io::Error) -> RelayError {
    RelayError::Receiver(error.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A receiver that takes what is under way in a pipe does not stand still.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_leaves_the_pipe_is_progress() {
        const LENGTH: usize = 1 << 20;
        let (from, mut sender) = UnixStream::pair().expect("two sockets");
        let (to, mut receiver) = UnixStream::pair().expect("two sockets");
        let sending = std::thread::spawn(move || sender.write_all(&vec![b'x'; LENGTH]));
        let (mut from, mut to) = (Socket::new(from), Socket::new(to));
        let mut relay = Relay::new(BodyDecoder::length(LENGTH as u64), false);
        let (mut buffer, mut outgoing, mut now) = (Buffer::default(), Outgoing::default(), Instant::now());
        let mut pump = |now| {
            let inlet = Inlet { socket: &mut from, buffer: &mut buffer };
            let flow = relay.pump(inlet, Outlet { socket: &mut to, outgoing: &mut outgoing }, now).expect("both live");
            let held = relay.pipe.as_ref().map_or(0, Pipe::held);
            (flow, (relay.moved(), held), relay.stopped().expect("it has stopped").1)
        };
        let (mut left, mut taken_from_pipe) = (LENGTH, 0);
        while left > 0 {
            let (flow, before, _) = pump(now);
            now += Duration::from_secs(1);
            if flow != Flow::Full {
                std::thread::yield_now();
                if flow == Flow::Dry {
                    continue;
                }
            }
            // Little, so that the pipe is not empty afterwards.
            left -= receiver.read(&mut [0; 16 * 1024]).expect("some more");
            let (flow, (moved, held), since) = pump(now);
            if flow == Flow::Full && moved == before.0 && held < before.1 {
                taken_from_pipe += 1;
                assert_eq!(since, now, "some has left the pipe");
            }
        }
        assert!(taken_from_pipe > 0, "the pipe was never more than it took");
        sending.join().expect("no panic").expect("all is sent");
    }
}
