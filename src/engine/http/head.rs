//! Heads: the start line and the field lines, up to the blank line. RFC 9112 §2 to §5.
//!
//! In two steps, since parsing a head again and again as it grows would cost its square: [`HeadScan`] looks for the
//! blank line in what has arrived, and only then the head is parsed, once, by httparse. What httparse lets pass and
//! RFC 9112 does not is refused here: bare LF, targets that are none, and so on.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::error::MessageError;
use super::field::Field;
use super::headers::{Headers, Span};
use super::status::HttpStatus;
use super::target;
use crate::settings::Limits;
use crate::socketserver::Buffer;

/// No head has more field lines than this, whatever `limits.headers` says: the parser's table lies on the stack.
pub const MOST_FIELD_LINES: usize = 1000;

/// As many as a request may have by default. Hardly a head has more, so a table of this size is tried first: a function
/// with a large one touches all of it (the compiler probes the stack), and each worker's stack would grow by 32 KB.
const USUAL_FIELD_LINES: usize = 100;

/// The versions that we speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpVersion {
    /// HTTP/1.0: one request a connection, unless both sides say `keep-alive`; no chunks.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

impl HttpVersion {
    /// As it stands in a start line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HttpVersion::Http10 => "HTTP/1.0",
            HttpVersion::Http11 => "HTTP/1.1",
        }
    }

    fn parsed(minor: Option<u8>) -> Result<HttpVersion, MessageError> {
        match minor {
            Some(0) => Ok(HttpVersion::Http10),
            Some(1) => Ok(HttpVersion::Http11),
            _ => Err(MessageError::UnsupportedVersion),
        }
    }
}

/// Limits of a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, the blank line included.
    pub bytes: usize,
    /// Bytes of the start line, without its line end.
    pub start_line: usize,
    /// Field lines.
    ///
    /// Python: `http.client._MAXHEADERS`.
    pub field_lines: usize,
}

impl HeadLimits {
    /// The limits of a request's head.
    #[must_use]
    pub fn of_request(limits: &Limits) -> HeadLimits {
        HeadLimits { bytes: limits.header_bytes, start_line: limits.request_line, field_lines: limits.headers }
    }

    /// The limits of a response's head; its bytes are the only one that is set.
    #[must_use]
    pub fn of_response(limits: &Limits) -> HeadLimits {
        let bytes = limits.response_header_bytes;
        HeadLimits { bytes, start_line: bytes, field_lines: MOST_FIELD_LINES }
    }
}

/// The first byte of a TLS client (RFC 8446 §5.1), which no head begins with. Told apart because it is the mistake that
/// is made most often, and mostly there is an LF among what follows, which would be all that is said of it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Looks for the end of a head in bytes that come piece by piece; no byte is looked at twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    scanned: u32,
    line_start: u32,
    lines: u32,
    /// An empty line was passed over: one is enough.
    skipped: bool,
}

impl HeadScan {
    /// Passes over one empty line before a head: some clients end a POST with one too many (RFC 9112 §2.2).
    pub fn skip_empty_line(&mut self, input: &mut Buffer) {
        if self.lines == 0 && !self.skipped && input.unread().starts_with(b"\r\n") {
            input.consume(2);
            *self = HeadScan { skipped: true, ..HeadScan::default() }; // It may have seen the CR already.
        }
    }

    /// The length of the head at the beginning of `bytes`, once its blank line is there. `bytes` is what the last call
    /// saw and what has come since.
    ///
    /// # Errors
    /// A line that does not end in CRLF (RFC 9112 §2.2 lets us take a bare LF, but whoever takes it differently is
    /// misled), a TLS handshake, or a limit exceeded.
    pub fn find_end(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, MessageError> {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let (seen, mut line_start) = (self.scanned as usize, self.line_start as usize);
        if bytes.first() == Some(&TLS_HANDSHAKE) {
            return Err(MessageError::Malformed("tls-on-plain-port"));
        }
        for end in memchr::memchr_iter(b'\n', &bytes[seen..]).map(|found| seen + found) {
            let Some(length) = (end - line_start).checked_sub(1).filter(|length| bytes[line_start + length] == b'\r')
            else {
                return Err(MessageError::Malformed("bare-lf"));
            };
            self.check_start_line(length, limits)?;
            if length == 0 {
                return if end < limits.bytes { Ok(Some(end + 1)) } else { Err(MessageError::HeadTooLarge) };
            }
            line_start = end + 1;
            self.lines += 1;
        }
        self.line_start = narrow(line_start);
        self.scanned = narrow(bytes.len());
        // A CR is part of the line end, whether its LF has come or not.
        let line = &bytes[self.line_start as usize..];
        self.check_start_line(line.strip_suffix(b"\r").unwrap_or(line).len(), limits)?;
        if bytes.len() >= limits.bytes { Err(MessageError::HeadTooLarge) } else { Ok(None) }
    }

    fn check_start_line(&self, length: usize, limits: &HeadLimits) -> Result<(), MessageError> {
        if self.lines == 0 && length > limits.start_line { Err(MessageError::RequestLineTooLong) } else { Ok(()) }
    }
}

/// The head of a request.
///
/// Python: the fields `command`, `path`, `request_version` and `headers` of a `BaseHTTPRequestHandler`.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The field lines.
    pub headers: Headers,
    /// The protocol version of the request line.
    pub version: HttpVersion,
    method: Span,
    target: Span,
}

impl RequestHead {
    /// Parses a complete head into `self`, whose room is used again.
    ///
    /// # Errors
    /// [`MessageError`] by its names: no request line, a target that fits the method in no form, a version that we do
    /// not speak, too many field lines, or any byte that the grammar forbids.
    pub fn parse(&mut self, head: &[u8], limits: &HeadLimits) -> Result<(), MessageError> {
        with_table(limits.field_lines, |table| self.parse_into(table, head))
    }

    fn parse_into<'h>(&mut self, table: &mut [MaybeUninit<Header<'h>>], head: &'h [u8]) -> Result<(), MessageError> {
        let mut parsed = httparse::Request::new(&mut []);
        let status = ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, table);
        match status {
            Ok(Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(MessageError::Malformed("bad-head")),
            Err(error) => return Err(refused(error, head)),
        }
        let method = parsed.method.unwrap_or_default().as_bytes();
        let target = parsed.path.unwrap_or_default().as_bytes();
        target::check(method, target)?;
        self.version = HttpVersion::parsed(parsed.version)?;
        self.method = Span::of(method, head);
        self.target = Span::of(target, head);
        self.headers.keep(head, parsed.headers);
        Ok(())
    }

    /// Whether the client sends its content only when it is told to (RFC 9110 §10.1.1). HTTP/1.0 knows no interim responses.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.version == HttpVersion::Http11 && self.headers.lists(Field::Expect, "100-continue")
    }

    /// The method, a token; compared with case (RFC 9110 §9.1).
    #[must_use]
    #[doc(alias = "command")]
    #[inline]
    pub fn method(&self) -> &[u8] {
        self.headers.part(self.method)
    }

    /// The request target, byte for byte as it came (RFC 9112 §3.2).
    #[must_use]
    #[doc(alias = "path")]
    #[inline]
    pub fn target(&self) -> &[u8] {
        self.headers.part(self.target)
    }

    /// Forgets the request, keeps the room.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.method = Span::default();
        self.target = Span::default();
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The field lines.
    pub headers: Headers,
    /// The protocol version of the status line.
    pub version: HttpVersion,
    /// The status code.
    pub status: HttpStatus,
    reason: Span,
}

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead {
            headers: Headers::default(),
            version: HttpVersion::Http11,
            status: HttpStatus::OK,
            reason: Span::default(),
        }
    }
}

impl ResponseHead {
    /// Parses a complete head into `self`, whose room is used again.
    ///
    /// # Errors
    /// As [`RequestHead::parse`].
    pub fn parse(&mut self, head: &[u8], limits: &HeadLimits) -> Result<(), MessageError> {
        with_table(limits.field_lines, |table| self.parse_into(table, head))
    }

    fn parse_into<'h>(&mut self, table: &mut [MaybeUninit<Header<'h>>], head: &'h [u8]) -> Result<(), MessageError> {
        let mut parsed = httparse::Response::new(&mut []);
        let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, table);
        match status {
            Ok(Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(MessageError::Malformed("bad-head")),
            Err(error) => return Err(refused(error, head)),
        }
        self.version = HttpVersion::parsed(parsed.version)?;
        self.status = HttpStatus(parsed.code.unwrap_or(0));
        if !(100..600).contains(&self.status.0) {
            return Err(MessageError::Malformed("bad-status")); // RFC 9110 §15: none outside is defined.
        }
        // httparse gives a reason of other bytes than ASCII as ""; it carries no meaning (RFC 9112 §4).
        self.reason = match parsed.reason {
            Some(reason) if !reason.is_empty() => Span::of(reason.as_bytes(), head),
            _ => Span::default(),
        };
        self.headers.keep(head, parsed.headers);
        Ok(())
    }

    /// The reason phrase, as it came.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.headers.part(self.reason)
    }
}

/// Has a head parsed with a table for `most` field lines.
fn with_table<'h>(
    most: usize,
    mut parse: impl FnMut(&mut [MaybeUninit<Header<'h>>]) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let mut table = [const { MaybeUninit::uninit() }; USUAL_FIELD_LINES];
    match parse(&mut table[..most.min(USUAL_FIELD_LINES)]) {
        Err(MessageError::HeadTooLarge) if most > USUAL_FIELD_LINES => with_large_table(most, parse),
        result => result,
    }
}

/// A function of its own, so that only who calls it needs the stack.
#[cold]
#[inline(never)]
fn with_large_table<'h>(
    most: usize,
    mut parse: impl FnMut(&mut [MaybeUninit<Header<'h>>]) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let mut table = [const { MaybeUninit::uninit() }; MOST_FIELD_LINES];
    parse(&mut table[..most.min(MOST_FIELD_LINES)])
}

/// httparse's word for a defect in ours.
fn refused(error: httparse::Error, head: &[u8]) -> MessageError {
    match error {
        httparse::Error::HeaderName => MessageError::Malformed("bad-field-name"),
        httparse::Error::HeaderValue => MessageError::Malformed("bad-field-value"),
        httparse::Error::NewLine => MessageError::Malformed("bad-line-end"),
        httparse::Error::Status => MessageError::Malformed("bad-status"),
        httparse::Error::Token => MessageError::Malformed("bad-start-line"),
        httparse::Error::TooManyHeaders => MessageError::HeadTooLarge,
        httparse::Error::Version if speaks_another_version(head) => MessageError::UnsupportedVersion,
        httparse::Error::Version => MessageError::Malformed("bad-version"),
    }
}

/// Whether the start line names a well-formed version with a major number other than 1 (RFC 9110 §2.5).
fn speaks_another_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let versions = line.split(|byte| *byte == b' ');
    let mut majors = versions.filter_map(|word| match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if minor.is_ascii_digit() => Some(*major),
        _ => None,
    });
    majors.any(|major| major.is_ascii_digit() && major != b'1')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 256, start_line: 64, field_lines: 4 };

    fn parse(text: &str) -> Result<RequestHead, MessageError> {
        let mut head = RequestHead::default();
        head.parse(text.as_bytes(), &LIMITS).map(|()| head)
    }

    /// RFC 9112 §2.2: a line ends in CRLF.
    #[test]
    fn a_head_ends_at_its_blank_line_wherever_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..head.len() {
            let mut scan = HeadScan::default();
            let early = scan.find_end(&head[..cut], &LIMITS).expect("no defect");
            let end = if early.is_some() { early } else { scan.find_end(head, &LIMITS).expect("no defect") };
            assert_eq!(end, Some(head.len() - 4), "cut at {cut}");
        }
    }

    #[test]
    fn a_start_line_as_long_as_may_be_is_found_wherever_it_is_cut() {
        let head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LIMITS.start_line - "GET / HTTP/1.1".len()));
        for cut in 0..head.len() {
            let mut scan = HeadScan::default();
            assert_eq!(scan.find_end(&head.as_bytes()[..cut], &LIMITS).expect("no defect"), None, "cut at {cut}");
            assert_eq!(scan.find_end(head.as_bytes(), &LIMITS).expect("no defect"), Some(head.len()), "cut at {cut}");
        }
    }

    /// So that it does not matter how a client's bytes were cut, nor how long it goes on like that.
    #[test]
    fn one_empty_line_is_passed_over_and_not_two() {
        for pieces in [&[&b"\r\n\r\n"[..]][..], &[b"\r\n", b"\r\n"], &[b"\r", b"\n\r", b"\n"]] {
            let (mut scan, mut input) = (HeadScan::default(), Buffer::default());
            for piece in pieces {
                input.append(piece);
                scan.skip_empty_line(&mut input);
                let found = scan.find_end(input.unread(), &LIMITS).expect("no defect");
                assert_eq!(found, (input.unread() == b"\r\n").then_some(2), "an empty head, which is none");
            }
            assert_eq!(input.unread(), b"\r\n", "{pieces:?}");
        }
    }

    #[test]
    fn a_head_has_limits() {
        let long = "x".repeat(300);
        for (text, want) in [
            (format!("GET /{} HTTP/1.1\r\n", &long[..64]), "request-line-too-long"),
            (format!("GET /{long}"), "request-line-too-long"),
            (format!("GET / HTTP/1.1\r\nA: {long}"), "head-too-large"),
            (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), "head-too-large"),
            ("GET / HTTP/1.1\nHost: a\r\n".to_owned(), "bare-lf"),
            ("\u{16}\u{3}\u{1}".to_owned(), "tls-on-plain-port"),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\n".to_owned(), "tls-on-plain-port"),
        ] {
            let got = HeadScan::default().find_end(text.as_bytes(), &LIMITS).expect_err("a defect");
            assert_eq!(got.reason(), want, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5));
        assert_eq!(parse(&many).expect_err("too many").reason(), "head-too-large");
    }

    #[test]
    fn as_many_field_lines_as_are_allowed_are_taken() {
        for most in [1, USUAL_FIELD_LINES - 1, USUAL_FIELD_LINES, USUAL_FIELD_LINES + 1, MOST_FIELD_LINES, usize::MAX] {
            let limits = HeadLimits { field_lines: most, ..LIMITS };
            let parse = |lines: usize| {
                let text = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(lines));
                let mut head = RequestHead::default();
                head.parse(text.as_bytes(), &limits)
                    .map(|()| head.headers.iter().count())
                    .map_err(|error| error.reason())
            };
            let most = most.min(MOST_FIELD_LINES);
            assert_eq!((parse(most), parse(most + 1)), (Ok(most), Err("head-too-large")));
        }
    }

    /// RFC 9112 §3, §5; RFC 9110 §5.5, §5.6.2.
    #[test]
    fn a_malformed_head_is_refused() {
        for (text, want) in [
            ("GET / HTTP/2.0\r\n\r\n", "unsupported-version"),
            ("GET / HTTP/1.2\r\n\r\n", "bad-version"),
            ("GET / http/1.1\r\n\r\n", "bad-version"),
            ("GET / HTTP/1.10\r\n\r\n", "bad-line-end"),
            ("GET  / HTTP/1.1\r\n\r\n", "bad-start-line"),
            ("GET /\r\n\r\n", "bad-start-line"),
            ("G(T / HTTP/1.1\r\n\r\n", "bad-start-line"),
            ("GET / HTTP/1.1\r\nA : b\r\n\r\n", "bad-field-name"),
            ("GET / HTTP/1.1\r\n A: b\r\n\r\n", "bad-field-name"),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "bad-field-name"),
            ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "bad-field-value"),
            ("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", "bad-field-value"),
            ("GET / HTTP/1.1\r\nA: b\x7fc\r\n\r\n", "bad-field-value"),
            ("GET / HTTP/1.1\r\nA: \x0bc\r\n\r\n", "bad-field-value"),
        ] {
            assert_eq!(parse(text).expect_err("a defect").reason(), want, "{text:?}");
        }
    }

    /// RFC 9112 §5.1: a single space is preferred. What is spelled otherwise is not passed on as it came.
    #[test]
    fn a_line_is_plain_if_it_is_spelled_with_one_space() {
        for (line, want) in [
            ("A: b", true),
            ("A: b c", true),
            ("A: \u{e9}", true),
            ("A:b", false),
            ("A:  b", false),
            ("A:\tb", false),
            ("A: b ", false),
            ("A: b\t", false),
            ("A:", false),
            ("A: ", true),
        ] {
            let head = parse(&format!("GET / HTTP/1.1\r\n{line}\r\nB: c\r\n\r\n")).expect("well-formed");
            let plain = head.headers.iter().next().and_then(|line| line.plain);
            let whole = format!("{line}\r\n");
            assert_eq!(plain, want.then_some(whole.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn fields_keep_their_order_spelling_and_bytes() {
        let head = parse("GET /x HTTP/1.0\r\nhOST: \t a \r\nX:\r\nX: \u{e9}\r\n\r\n").expect("well-formed");
        let lines: Vec<_> = head.headers.iter().map(|line| (line.name, line.value)).collect();
        assert_eq!(lines, [(&b"hOST"[..], &b"a"[..]), (b"X", b""), (b"X", "\u{e9}".as_bytes())]);
        assert_eq!((head.method(), head.target(), head.version), (&b"GET"[..], &b"/x"[..], HttpVersion::Http10));
    }
}
