//! The response that a plain handler makes. Input: a status, field lines, content. Output: bytes that are one response,
//! or an error; never two responses, and never half a one that looks whole. RFC 9112 §6.
//!
//! What is made gathers here, so that a head and a short content leave in one piece, and so that a response whose
//! handler fails before its first byte has left can still be taken back.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::field::is_token;
use super::handler::BaseHttpRequestHandler;
use super::{Field, HttpStatus, HttpVersion, framing};
use crate::settings::deadline;
use crate::socketserver::Socket;

/// So much is gathered before it is sent. It is also what the client must take within `timeouts.send`: 16 KiB in the
/// default 30 s is about the 500 bytes a second that `limits.min_rate` asks for.
const GATHER: usize = 16 * 1024;

/// Takes a response's content. What HEAD, 204 and 304 forbid to send is thrown away.
///
/// Python: `wfile`. Departs: framing is put on, and more than Content-Length is an error.
#[derive(Debug)]
pub struct ResponseContent<'a>(pub(super) &'a mut BaseHttpRequestHandler);

impl Write for ResponseContent<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.write_content(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A response in the making.
#[derive(Debug)]
pub(super) struct Reply {
    state: State,
    status: HttpStatus,
    /// Content-Length, as the handler gave it.
    length: Option<u64>,
    /// Bytes of content that the handler wrote.
    written: u64,
    /// Made, and not sent yet.
    out: Vec<u8>,
    /// Where the content in `out` begins that is to become the next chunk.
    chunk_start: usize,
    /// Some of it was sent: nothing else can take its place.
    begun: bool,
    /// Nothing but the connection's end ends the content.
    until_close: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was made, or interim responses only.
    Awaited,
    /// The status line, and perhaps field lines.
    Head,
    /// The head; its content goes out in this coding.
    Content(Coding),
    /// All.
    Complete,
    /// It can no more be completed.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// HEAD, 204, 304: the client expects none, so none may be sent.
    Discarded,
    Length(u64),
    Chunked,
    UntilClose,
}

/// To whom the response goes, as far as its form depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asker {
    pub(super) version: HttpVersion,
    /// It asked by HEAD.
    pub(super) head_only: bool,
}

impl Reply {
    pub(super) fn new() -> Reply {
        let (state, status) = (State::Awaited, HttpStatus::OK);
        Reply {
            state,
            status,
            length: None,
            written: 0,
            out: Vec::new(),
            chunk_start: 0,
            begun: false,
            until_close: false,
        }
    }

    /// The status of the last head that was begun.
    pub(super) fn status(&self) -> HttpStatus {
        self.status
    }

    /// Bytes of content that the handler wrote.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether no final response was begun.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Makes the status line.
    pub(super) fn send_response_only(&mut self, status: HttpStatus) -> io::Result<()> {
        if self.state != State::Awaited {
            return Err(misuse("a response was begun already"));
        }
        if status == HttpStatus::SWITCHING_PROTOCOLS || !(100..600).contains(&status.0) {
            return Err(misuse("no status that a plain handler can send"));
        }
        self.status = status;
        self.state = State::Head;
        self.length = None;
        // Writing to a Vec does not fail, here and below.
        drop(write!(self.out, "HTTP/1.1 {status} {}\r\n", status.phrase()));
        Ok(())
    }

    /// Makes a field line, if it is one: a line end inside would begin another one, or another response.
    pub(super) fn send_header(&mut self, name: &str, value: &dyn Display) -> io::Result<()> {
        if self.state != State::Head {
            return Err(misuse("field lines come behind send_response and before end_headers"));
        }
        let start = self.out.len();
        drop(write!(self.out, "{name}: {value}\r\n"));
        let checked = self.check_field(name, start + name.len() + 2);
        if checked.is_err() {
            self.out.truncate(start);
        }
        checked
    }

    fn check_field(&mut self, name: &str, value_start: usize) -> io::Result<()> {
        let value = &self.out[value_start..self.out.len() - 2];
        if !is_token(name.as_bytes()) || !value.iter().all(|byte| is_field_byte(*byte)) {
            return Err(misuse("a field name or value with a byte that it must not have"));
        }
        match Field::named(name.as_bytes()) {
            Field::Connection => Err(misuse("Connection is made from close_connection")),
            Field::TransferEncoding => Err(misuse("Transfer-Encoding is made where Content-Length is not given")),
            Field::ContentLength if self.length.is_some() => Err(misuse("two Content-Length")),
            // RFC 9110 §8.6.
            Field::ContentLength if self.status.is_interim() || self.status == HttpStatus::NO_CONTENT => {
                Err(misuse("this status has no Content-Length"))
            }
            Field::ContentLength => {
                self.length = framing::parse_length(value);
                self.length.map(drop).ok_or_else(|| misuse("a Content-Length that is no number"))
            }
            _ => Ok(()),
        }
    }

    /// Ends the head. The one place that says what becomes of the connection: `close` as it stands is what is said, and
    /// it is set where only the connection's end can end the content.
    pub(super) fn end_headers(&mut self, asker: Asker, close: &mut bool) -> io::Result<()> {
        if self.state != State::Head {
            return Err(misuse("end_headers comes behind send_response"));
        }
        if self.status.is_interim() {
            self.end_interim(asker);
            return Ok(());
        }
        let coding = match self.length {
            _ if asker.head_only || self.status.has_no_content() => Coding::Discarded,
            Some(length) => Coding::Length(length),
            None if asker.version == HttpVersion::Http11 => Coding::Chunked,
            None => Coding::UntilClose,
        };
        if coding == Coding::Chunked {
            self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.until_close = coding == Coding::UntilClose;
        *close |= self.until_close;
        self.out.extend_from_slice(match (*close, asker.version) {
            (true, _) => b"Connection: close\r\n\r\n",
            (false, HttpVersion::Http10) => b"Connection: keep-alive\r\n\r\n",
            (false, HttpVersion::Http11) => b"\r\n",
        });
        self.state = State::Content(coding);
        self.chunk_start = self.out.len();
        Ok(())
    }

    /// An interim response has no content, and another response follows. HTTP/1.0 knows none (RFC 9110 §15.2).
    fn end_interim(&mut self, asker: Asker) {
        self.out.extend_from_slice(b"\r\n");
        if asker.version == HttpVersion::Http10 {
            self.out.clear();
        }
        self.state = State::Awaited;
    }

    /// Makes content, and sends what is there if it is much.
    pub(super) fn write(&mut self, piece: &[u8], client: &mut Socket, patience: Duration) -> io::Result<()> {
        let coding = match self.state {
            State::Content(Coding::Discarded) => return Ok(()),
            State::Content(coding) => coding,
            State::Awaited | State::Head => return Err(misuse("content comes behind end_headers")),
            State::Complete | State::Broken => return Err(misuse("the response is over")),
        };
        self.written += piece.len() as u64;
        match coding {
            Coding::Length(length) if self.written > length => {
                self.state = State::Broken;
                Err(misuse("more content than its Content-Length"))
            }
            _ => self.gather(piece, client, patience),
        }
    }

    fn gather(&mut self, piece: &[u8], client: &mut Socket, patience: Duration) -> io::Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let room = GATHER.saturating_sub(self.out.len());
            let (part, left) = rest.split_at(room.min(rest.len()));
            self.out.extend_from_slice(part);
            rest = left;
            if self.out.len() >= GATHER {
                self.flush(client, patience)?;
            }
        }
        Ok(())
    }

    /// Makes a chunk of the content that has gathered: one for many small writes. An empty one would be the last.
    fn end_chunk(&mut self) {
        let length = self.out.len() - self.chunk_start;
        if self.state == State::Content(Coding::Chunked) && length > 0 {
            let size_line = format!("{length:x}\r\n").into_bytes();
            drop(self.out.splice(self.chunk_start..self.chunk_start, size_line));
            self.out.extend_from_slice(b"\r\n");
        }
        self.chunk_start = self.out.len();
    }

    /// Sends what was made so far; not a head that may still grow.
    pub(super) fn flush(&mut self, client: &mut Socket, patience: Duration) -> io::Result<()> {
        if self.out.is_empty() || self.state == State::Head {
            return Ok(());
        }
        self.end_chunk();
        self.begun |= self.state != State::Awaited;
        client.set_deadline(Some(deadline(Instant::now(), patience)));
        let sent = client.write_all(&self.out);
        self.out.clear();
        self.chunk_start = 0;
        if sent.is_err() {
            // What the socket did not take is lost: however the handler goes on, the response must not look complete.
            self.state = State::Broken;
        }
        sent
    }

    /// Ends the content; false if there is less of it than was promised, or no response at all.
    pub(super) fn finish(&mut self) -> bool {
        let complete = match self.state {
            State::Content(Coding::Length(length)) => self.written == length,
            State::Content(Coding::Chunked) => {
                self.end_chunk();
                self.out.extend_from_slice(b"0\r\n\r\n");
                true
            }
            State::Content(Coding::Discarded | Coding::UntilClose) | State::Complete => true,
            State::Awaited | State::Head | State::Broken => false,
        };
        if complete {
            self.state = State::Complete;
        }
        complete
    }

    /// Takes the response back, so that another one can be made; false if some of it was sent.
    pub(super) fn take_back(&mut self) -> bool {
        if !self.begun {
            *self = Reply::new();
        }
        !self.begun
    }

    /// Whether the client would take the connection's end for the end of this unfinished response.
    pub(super) fn would_look_complete(&self) -> bool {
        self.begun && self.until_close && self.state != State::Complete
    }
}

/// The handler asked for what would be no HTTP.
fn misuse(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// field-value = VCHAR / obs-text / SP / HTAB (RFC 9110 §5.5).
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
