//! One connection as a plain handler sees it: the request's content to read, a response to make. RFC 9112.
//!
//! Input: a connection whose next request head has arrived. Output: one response, complete or visibly cut. Waiting for
//! heads is not done here, but in [`super::server`], where it needs no thread.
//!
//! Python: `http.server.BaseHTTPRequestHandler`. Departs: what a subclass would override is the trait
//! [`DoMethod`]; all that a peer could abuse is checked or limited.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use super::head::{HeadLimits, HeadScan};
use super::intake::{Intake, RequestContent};
use super::reply::{Asker, Reply, ResponseContent};
use super::server::DoMethod;
use super::{Field, HttpStatus, HttpVersion, MessageError, RequestHead, date, framing, host};
use crate::access::Millis;
use crate::escape::Quoted;
use crate::settings::Settings;
use crate::socketserver::{Buffer, PeerAddress, Socket};

/// What a handler works with: reads the request's content from [`rfile`](Self::rfile), makes the head of the response
/// with [`send_response`](Self::send_response), [`send_header`](Self::send_header) and
/// [`end_headers`](Self::end_headers), and writes its content to [`wfile`](Self::wfile).
///
/// The response leaves when the handler returns, when 16 KiB of it have gathered, or by `wfile().flush()`.
///
/// Python: `http.server.BaseHTTPRequestHandler`. Departs: `command`, `path`, `request_version` and `headers` are those
/// of the [`RequestHead`] that the handler is given beside this.
#[doc(alias = "BaseHTTPRequestHandler")]
#[derive(Debug)]
pub struct BaseHttpRequestHandler {
    pub(super) connection: Socket,
    client_address: PeerAddress,
    settings: Arc<Settings>,
    pub(super) input: Buffer,
    pub(super) scan: HeadScan,
    /// The connection ends after the present response.
    pub(super) close: bool,
    /// It ends at once, and the client is to see that.
    cut: bool,
    asker: Asker,
    intake: Intake,
    /// What went wrong on the client's side.
    defect: Option<MessageError>,
    reply: Reply,
}

impl BaseHttpRequestHandler {
    pub(super) fn new(connection: Socket, client_address: PeerAddress, settings: Arc<Settings>) -> Self {
        BaseHttpRequestHandler {
            connection,
            client_address,
            settings,
            input: Buffer::default(),
            scan: HeadScan::default(),
            close: false,
            cut: false,
            asker: Asker::default(),
            intake: Intake::none(),
            defect: None,
            reply: Reply::new(),
        }
    }

    /// Who asks.
    #[must_use]
    pub fn client_address(&self) -> PeerAddress {
        self.client_address
    }

    /// Ends the connection after this response, which says so if its head is not made yet.
    ///
    /// Python: `self.close_connection = True`.
    pub fn close_connection(&mut self) {
        self.close = true;
    }

    /// Ends the connection without an answer, or without the rest of it: the client sees a failure, never a short
    /// success.
    pub fn cut_connection(&mut self) {
        self.cut = true;
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether the client has sent nothing that we did not read, so that closing resets nothing.
    pub(super) fn is_all_read(&self) -> bool {
        self.intake.is_read() && self.input.is_empty() && !self.connection.is_readable()
    }

    /// Serves the request whose head is the first `length` bytes of what has come. Blocks as the handler does.
    ///
    /// Python: `handle_one_request`.
    pub(super) fn handle_one_request(&mut self, length: usize, handler: &dyn DoMethod) {
        let begun = Instant::now();
        let request = match self.parse_request(length) {
            Ok(request) => request,
            Err(defect) => return self.refuse(&defect),
        };
        let done = match request.method() {
            b"CONNECT" => self.refuse_connect(),
            _ => handler.do_method(&request, self),
        };
        if self.finish_response(done).is_err() {
            self.cut = true;
        }
        self.log_request(&request, begun);
        if !self.cut {
            self.close = self.close || !self.intake.discard(&mut self.connection, &mut self.input);
            self.reply = Reply::new();
            self.asker = Asker::default();
        }
    }

    /// Parses the head and decides what follows it.
    ///
    /// Python: `parse_request`. Departs: a defect is a value; [`refuse`](Self::refuse) answers it.
    fn parse_request(&mut self, length: usize) -> Result<RequestHead, MessageError> {
        let limits = &self.settings.limits;
        let mut request = RequestHead::default();
        self.scan = HeadScan::default();
        self.defect = None;
        let parsed = request.parse(&self.input.unread()[..length], &HeadLimits::of_request(limits));
        self.input.consume(length);
        parsed?;
        self.asker = Asker { version: request.version, head_only: request.method() == b"HEAD" };
        self.close |= !wants_keep_alive(&request);
        host::check(&request)?;
        let framing = framing::of_request(&request)?;
        if framing.exceeds(limits.body) {
            return Err(MessageError::ContentTooLarge);
        }
        self.intake = Intake::new(framing, request.expects_continue(), limits);
        Ok(request)
    }

    /// Answers what is no request, as far as anybody is there to be answered. What follows cannot be told from content.
    pub(super) fn refuse(&mut self, defect: &MessageError) {
        self.close = true;
        self.intake = Intake::unknown();
        log::debug!("client {}: {defect}", self.client_address);
        let status = defect.request_status();
        let gone = status == HttpStatus::CLIENT_CLOSED_REQUEST;
        if gone || self.send_error(status).and_then(|()| self.end_response()).is_err() {
            self.cut = true;
        }
    }

    /// RFC 9110 §9.3.6: after any 2xx the client would speak to somebody behind us.
    fn refuse_connect(&mut self) -> io::Result<()> {
        self.close = true;
        self.send_error(HttpStatus::NOT_IMPLEMENTED)
    }

    /// Ends what the handler made, or answers in its place.
    fn finish_response(&mut self, done: io::Result<()>) -> io::Result<()> {
        if self.cut {
            return Ok(());
        }
        let failure = match done {
            Ok(()) if self.reply.finish() => return self.end_response(),
            Ok(()) => io::Error::other("it made no response, or not all of one"),
            Err(error) => error,
        };
        let Some(defect) = self.defect.take() else {
            log::error!("a handler failed: {}", Quoted(failure.to_string().as_bytes()));
            return self.send_error(HttpStatus::INTERNAL_SERVER_ERROR).and_then(|()| self.end_response());
        };
        self.refuse(&defect);
        Ok(())
    }

    fn end_response(&mut self) -> io::Result<()> {
        if self.reply.finish() { self.flush() } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Begins a response: the status line, Server and Date.
    ///
    /// # Errors
    /// If a response was begun already, or if `status` is none that a handler can send.
    pub fn send_response(&mut self, status: HttpStatus) -> io::Result<()> {
        let mut now = Vec::new();
        date::append_now(&mut now);
        self.send_response_only(status)?;
        self.send_header("Server", "footbridge")?;
        self.send_header("Date", String::from_utf8_lossy(&now))
    }

    /// Begins a response with the status line alone. With a status of 1xx it is an interim one.
    ///
    /// # Errors
    /// As [`send_response`](Self::send_response).
    pub fn send_response_only(&mut self, status: HttpStatus) -> io::Result<()> {
        self.reply.send_response_only(status)
    }

    /// Adds a field line to the head. With Content-Length the content is framed by it; without, in chunks, or, for
    /// HTTP/1.0, by the connection's end.
    ///
    /// # Errors
    /// If a byte of it must not stand in a field, a line end above all; or if it is Connection or Transfer-Encoding,
    /// which are made here.
    pub fn send_header(&mut self, name: &str, value: impl Display) -> io::Result<()> {
        self.reply.send_header(name, &value)
    }

    /// Ends the head of the response.
    ///
    /// # Errors
    /// If none was begun.
    pub fn end_headers(&mut self) -> io::Result<()> {
        // Never told to go on, the client may send the content or not: what follows cannot be known for a request.
        let mut close = self.close || (self.intake.expects_continue() && !self.reply.status().is_interim());
        self.reply.end_headers(self.asker, &mut close)?;
        self.close = close;
        Ok(())
    }

    /// Makes a whole response: the status and its name. Whatever was made before is taken back.
    ///
    /// Python: `send_error`. Departs: nothing of the request is echoed.
    ///
    /// # Errors
    /// If some of another response was sent already: the connection is cut.
    pub fn send_error(&mut self, status: HttpStatus) -> io::Result<()> {
        if !self.reply.take_back() {
            self.cut = true;
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a response is out already"));
        }
        let content = format!("{status} {}\n", status.phrase());
        self.send_response(status)?;
        self.send_header("Content-Type", "text/plain; charset=utf-8")?;
        if !status.has_no_content() {
            self.send_header("Content-Length", content.len())?;
        }
        self.end_headers()?;
        self.wfile().write_all(content.as_bytes())
    }

    /// The request's content, to be read to its end and not beyond.
    #[must_use]
    pub fn rfile(&mut self) -> RequestContent<'_> {
        RequestContent(self)
    }

    /// Takes the response's content.
    #[must_use]
    pub fn wfile(&mut self) -> ResponseContent<'_> {
        ResponseContent(self)
    }

    pub(super) fn read_content(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.intake.is_read() || target.is_empty() {
            return Ok(0);
        }
        if self.defect.is_some() || self.cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.handle_expect_100()?;
        self.flush()?;
        let read = self.intake.read(target, &mut self.connection, &mut self.input, &self.settings);
        read.map_err(|defect| {
            // Remembered, since a handler hands back no more than an error.
            let error = io::Error::new(io::ErrorKind::InvalidData, defect.reason());
            self.defect = Some(defect);
            error
        })
    }

    /// Says that the content is wanted, if the client waits for that (RFC 9110 §10.1.1). Called by the first read, so
    /// that a handler which refuses without reading is not sent the content at all.
    ///
    /// Python: `handle_expect_100`.
    fn handle_expect_100(&mut self) -> io::Result<()> {
        if !self.intake.take_expectation() || !self.reply.is_awaited() {
            return Ok(());
        }
        self.send_response_only(HttpStatus::CONTINUE)?;
        self.end_headers()
    }

    pub(super) fn write_content(&mut self, piece: &[u8]) -> io::Result<()> {
        let written = self.reply.write(piece, &mut self.connection, self.settings.timeouts.send);
        written.map_err(|error| self.blame_sending(error))
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let sent = self.reply.flush(&mut self.connection, self.settings.timeouts.send);
        sent.map_err(|error| self.blame_sending(error))
    }

    /// A client that takes nothing is gone, whichever way; a handler that asks for what is no HTTP is not its fault.
    fn blame_sending(&mut self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::InvalidInput {
            self.cut = true;
            self.defect = Some(MessageError::Io(error.kind().into()));
        }
        error
    }

    /// Tells of the exchange when it is over. At the level of debugging: a server inside a program must not write
    /// between that program's own lines.
    ///
    /// Python: `log_request`, `log_message`. Departs: one line after the response, with its size and time.
    #[doc(alias = "log_message")]
    fn log_request(&self, request: &RequestHead, begun: Instant) {
        log::debug!(
            "{} \"{} {} {}\" {} {} {} ms",
            self.client_address,
            Quoted(request.method()),
            Quoted(request.target()),
            request.version.as_str(),
            self.reply.status(),
            self.reply.written(),
            Millis(Some(begun.elapsed()), "-"),
        );
    }
}

/// A panic ends up here, too, with a response that may be unfinished.
impl Drop for BaseHttpRequestHandler {
    fn drop(&mut self) {
        if self.reply.would_look_complete() {
            self.connection.reset_on_close();
        }
    }
}

/// RFC 9112 §9.3: HTTP/1.1 unless told otherwise, HTTP/1.0 only if told so.
fn wants_keep_alive(request: &RequestHead) -> bool {
    let says = |option| request.headers.lists(Field::Connection, option);
    match request.version {
        HttpVersion::Http11 => !says("close"),
        HttpVersion::Http10 => says("keep-alive") && !says("close"),
    }
}
