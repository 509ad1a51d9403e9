//! What can be wrong with a message, by name; whose fault it is, the layer above knows.

use std::fmt;
use std::io;

use super::status::HttpStatus;

/// A defect of a message, or of the connection that it comes over.
///
/// Python: the `HTTPException` tree. Departs: it names the defect and not the guilty side, since the same parser reads
/// the client's messages and the backends'.
#[doc(alias = "HTTPException")]
#[derive(Debug)]
pub enum MessageError {
    /// Against the grammar, or ambiguous; the word says what, for the log and the answer.
    Malformed(&'static str),
    /// A major version other than 1, HTTP/2's preface among them.
    UnsupportedVersion,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    UnknownTransferCoding,
    /// The request line is longer than `limits.request_line`.
    #[doc(alias = "LineTooLong")]
    RequestLineTooLong,
    /// The head, or the trailer section, is larger than its limit, or has too many field lines.
    HeadTooLarge,
    /// The content is larger than `limits.body`.
    ContentTooLarge,
    /// The connection ended inside the message.
    #[doc(alias = "IncompleteRead")]
    #[doc(alias = "RemoteDisconnected")]
    Incomplete,
    /// The peer let its time pass.
    TimedOut,
    /// The connection failed.
    Io(io::Error),
}

impl MessageError {
    /// What a client is told whose request has this defect; 499 is for the log only, since nobody is there to be told.
    #[must_use]
    pub fn request_status(&self) -> HttpStatus {
        match self {
            MessageError::Malformed(_) | MessageError::Incomplete => HttpStatus::BAD_REQUEST,
            MessageError::UnsupportedVersion => HttpStatus::HTTP_VERSION_NOT_SUPPORTED,
            MessageError::UnknownTransferCoding => HttpStatus::NOT_IMPLEMENTED,
            MessageError::RequestLineTooLong => HttpStatus::URI_TOO_LONG,
            MessageError::HeadTooLarge => HttpStatus::REQUEST_HEADER_FIELDS_TOO_LARGE,
            MessageError::ContentTooLarge => HttpStatus::CONTENT_TOO_LARGE,
            MessageError::TimedOut => HttpStatus::REQUEST_TIMEOUT,
            MessageError::Io(_) => HttpStatus::CLIENT_CLOSED_REQUEST,
        }
    }

    /// Whether the connection ended or broke, rather than bringing something wrong.
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        matches!(self, MessageError::Incomplete | MessageError::Io(_))
    }

    /// The defect in one word: for the access log, metrics and the answer.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            MessageError::Malformed(reason) => reason,
            MessageError::UnsupportedVersion => "unsupported-version",
            MessageError::UnknownTransferCoding => "unknown-transfer-coding",
            MessageError::RequestLineTooLong => "request-line-too-long",
            MessageError::HeadTooLarge => "head-too-large",
            MessageError::ContentTooLarge => "content-too-large",
            MessageError::Incomplete => "incomplete",
            MessageError::TimedOut => "timed-out",
            MessageError::Io(_) => "connection-failed",
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Malformed(reason) => write!(f, "malformed message: {reason}"),
            MessageError::Incomplete => f.write_str("the connection ended inside the message"),
            MessageError::TimedOut => f.write_str("its time was over"),
            MessageError::Io(error) => write!(f, "the connection failed: {error}"),
            other => f.write_str(other.reason()),
        }
    }
}

impl std::error::Error for MessageError {}

impl From<io::Error> for MessageError {
    fn from(error: io::Error) -> MessageError {
        match error.kind() {
            io::ErrorKind::TimedOut => MessageError::TimedOut,
            io::ErrorKind::UnexpectedEof => MessageError::Incomplete,
            _ => MessageError::Io(error),
        }
    }
}
