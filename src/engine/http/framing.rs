//! Decides how long a message's content is. Input: a parsed head. Output: [`BodyFraming`]. RFC 9112 §6.3.
//!
//! Reads no bytes. It is called once a message; nothing else in the project looks at Content-Length or
//! Transfer-Encoding to find an end. What two readers could take in two ways is refused, never repaired: that is where
//! request smuggling begins.

use super::error::MessageError;
use super::field::Field;
use super::head::{HttpVersion, RequestHead, ResponseHead};
use super::headers::{Headers, list};
use super::status::HttpStatus;

/// Where the content of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none.
    None,
    /// After so many bytes, at least one.
    Length(u64),
    /// With the last chunk and its trailer section.
    Chunked,
    /// With the connection: a response's only.
    UntilClose,
}

impl BodyFraming {
    /// Whether more than `limit` bytes are announced.
    #[must_use]
    pub fn exceeds(self, limit: u64) -> bool {
        matches!(self, BodyFraming::Length(length) if length > limit)
    }
}

/// How long a request's content is.
///
/// # Errors
/// [`MessageError::Malformed`] or [`MessageError::UnknownTransferCoding`].
pub fn of_request(head: &RequestHead) -> Result<BodyFraming, MessageError> {
    Ok(declared(&head.headers, head.version)?.unwrap_or(BodyFraming::None))
}

/// How long the content of a response is, given whether it answers HEAD.
///
/// # Errors
/// As [`of_request`]; the lengths have to be well-formed where there is no content, too.
pub fn of_response(head: &ResponseHead, to_head: bool) -> Result<BodyFraming, MessageError> {
    let declared = declared(&head.headers, head.version)?;
    if to_head || head.status.has_no_content() {
        return Ok(BodyFraming::None);
    }
    Ok(declared.unwrap_or(BodyFraming::UntilClose))
}

/// Whether content may come behind a response that ends with its head, and be it later, although it must not: behind a 204
/// that announces some (RFC 9110 §8.6, RFC 9112 §6.1), and behind an answer to HEAD, from those who answer it as GET, unless
/// it says that there is none.
#[must_use]
pub fn may_go_on(head: &ResponseHead, to_head: bool) -> bool {
    let said = declared(&head.headers, head.version).unwrap_or_default();
    match head.status {
        HttpStatus::NO_CONTENT => said.is_some_and(|said| said != BodyFraming::None),
        status => to_head && !status.has_no_content() && said != Some(BodyFraming::None),
    }
}

/// What the head says of the length, if it says something.
///
/// # Errors
/// As [`of_request`].
pub fn declared(headers: &Headers, version: HttpVersion) -> Result<Option<BodyFraming>, MessageError> {
    let coding = headers.only(Field::TransferEncoding, "two-transfer-encodings")?;
    let length = headers.only(Field::ContentLength, "two-content-lengths")?;
    match (coding, length) {
        // The sender, or someone between us, is confused or hostile (RFC 9112 §6.1).
        (Some(_), Some(_)) => Err(MessageError::Malformed("both-lengths")),
        (Some(_), None) if version == HttpVersion::Http10 => Err(MessageError::Malformed("transfer-encoding-in-1.0")),
        (Some(coding), None) => check_coding(coding).map(|()| Some(BodyFraming::Chunked)),
        (None, Some(length)) => match parse_length(length) {
            Some(0) => Ok(Some(BodyFraming::None)),
            Some(length) => Ok(Some(BodyFraming::Length(length))),
            None => Err(MessageError::Malformed("bad-content-length")),
        },
        (None, None) => Ok(None),
    }
}

/// `chunked` and nothing else; we can take off no other coding, and so cannot find the end (RFC 9112 §6.1).
fn check_coding(coding: &[u8]) -> Result<(), MessageError> {
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_token = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let mut codings = list(coding).peekable();
    if codings.peek().is_some() && codings.all(|name| is_token(name) && !name.eq_ignore_ascii_case(b"chunked")) {
        return Err(MessageError::UnknownTransferCoding);
    }
    Err(MessageError::Malformed("bad-transfer-encoding"))
}

/// `1*DIGIT`: no sign, no space, no list, nothing that overflows, be it where lengths have a sign. Python's `int()` takes
/// `+5` and `1_0`.
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0i64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    u64::try_from(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;

    const LIMITS: HeadLimits = HeadLimits { bytes: 16384, start_line: 8192, field_lines: 100 };

    /// RFC 9110 §8.6.
    #[test]
    fn a_length_is_digits_and_nothing_else() {
        for (value, want) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("0005", Some(5)),
            ("9223372036854775807", Some(u64::MAX / 2)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("", None),
            ("+5", None),
            ("-5", None),
            ("5 ", None),
            ("5,5", None),
            ("1_0", None),
            ("0x5", None),
        ] {
            assert_eq!(parse_length(value.as_bytes()), want, "{value:?}");
        }
    }

    /// RFC 9112 §6.3.
    #[test]
    fn a_request_has_one_framing_or_is_refused() {
        for (version, fields, want) in [
            ("1.1", "", Ok(BodyFraming::None)),
            ("1.1", "Content-Length: 0\r\n", Ok(BodyFraming::None)),
            ("1.1", "Content-Length: 7\r\n", Ok(BodyFraming::Length(7))),
            ("1.1", "Content-Length: 7\r\nContent-Length: 7\r\n", Err("two-content-lengths")),
            ("1.1", "Transfer-Encoding: Chunked\r\n", Ok(BodyFraming::Chunked)),
            ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Err("both-lengths")),
            ("1.0", "Transfer-Encoding: chunked\r\n", Err("transfer-encoding-in-1.0")),
            ("1.1", "Transfer-Encoding: gzip\r\n", Err("unknown-transfer-coding")),
            ("1.1", "Transfer-Encoding: gzip, chunked\r\n", Err("bad-transfer-encoding")),
            ("1.1", "Transfer-Encoding: chunked, chunked\r\n", Err("bad-transfer-encoding")),
            ("1.1", "Transfer-Encoding: \"chunked\"\r\n", Err("bad-transfer-encoding")),
            ("1.1", "Transfer-Encoding:\r\n", Err("bad-transfer-encoding")),
        ] {
            let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
            let mut head = RequestHead::default();
            head.parse(text.as_bytes(), &LIMITS).expect("a well-formed head");
            assert_eq!(of_request(&head).map_err(|error| error.reason()), want, "{text:?}");
        }
    }

    /// RFC 9112 §6.3 item 1: these end with their head whatever it says.
    #[test]
    fn some_responses_never_have_content() {
        for (status, to_head, want) in [
            (200, false, BodyFraming::Length(5)),
            (200, true, BodyFraming::None),
            (204, false, BodyFraming::None),
            (304, false, BodyFraming::None),
            (103, false, BodyFraming::None),
        ] {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
            let mut head = ResponseHead::default();
            head.parse(text.as_bytes(), &LIMITS).expect("a well-formed head");
            assert_eq!(of_response(&head, to_head).expect("a framing"), want, "{status}");
        }
    }
}
