//! Why a request was not served, and whose fault that is. One match makes the status of it.

use std::fmt;
use std::io;

use crate::http::{HttpStatus, MessageError};
use crate::socketserver::is_exhausted;

/// Why a request was not served.
#[derive(Debug)]
pub enum Error {
    /// The request is wrong, or too slow.
    Client(MessageError),
    /// The request is right, and this proxy does not do what it asks; the word says what.
    Refused(&'static str),
    /// No route takes this host and path.
    NoRoute,
    /// The routes of this host and path take other methods: the value of Allow.
    MethodNotAllowed(String),
    /// The route does not admit this client.
    Denied,
    /// The client went away.
    ClientGone,
    /// The backend could not be reached.
    Connect(io::Error),
    /// The backend's response is wrong, or too slow.
    Backend(MessageError),
    /// No backend is left to try.
    NoBackend,
    /// The group has no backend: none of its names has an address so far.
    NoAddress,
    /// All backends had as many requests as they may have, for as long as a request may wait.
    Full,
    /// No worker was free in time.
    Busy,
    /// The program has stopped meanwhile.
    Stopped,
}

impl Error {
    /// The status that the client is told, or that stands in the log for it.
    #[must_use]
    pub fn status(&self) -> HttpStatus {
        match self {
            Error::Client(error) => error.request_status(),
            Error::Refused(_) => HttpStatus::NOT_IMPLEMENTED,
            Error::NoRoute => HttpStatus::NOT_FOUND,
            Error::MethodNotAllowed(_) => HttpStatus::METHOD_NOT_ALLOWED,
            Error::Denied => HttpStatus::FORBIDDEN,
            Error::ClientGone => HttpStatus::CLIENT_CLOSED_REQUEST,
            Error::Connect(error) if error.kind() == io::ErrorKind::TimedOut => HttpStatus::GATEWAY_TIMEOUT,
            Error::Backend(MessageError::TimedOut) => HttpStatus::GATEWAY_TIMEOUT,
            Error::Connect(error) if is_exhausted(error) => HttpStatus::SERVICE_UNAVAILABLE,
            Error::Connect(_) | Error::Backend(_) | Error::NoAddress => HttpStatus::BAD_GATEWAY,
            Error::NoBackend | Error::Full | Error::Busy | Error::Stopped => HttpStatus::SERVICE_UNAVAILABLE,
        }
    }

    /// The cause in one word: for the access log, metrics and the answer.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Client(MessageError::TimedOut) => "client-too-slow",
            Error::Client(MessageError::Io(_)) | Error::ClientGone => "client-gone",
            Error::Client(MessageError::Incomplete) => "request-cut-short",
            Error::Client(error) => error.reason(),
            Error::Refused(reason) => reason,
            Error::NoRoute => "no-route",
            Error::MethodNotAllowed(_) => "method-not-allowed",
            Error::Denied => "denied",
            Error::Connect(error) if error.kind() == io::ErrorKind::TimedOut => "connect-timed-out",
            Error::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => "connect-refused-by-backend",
            Error::Connect(error) if is_exhausted(error) => "out-of-descriptors",
            Error::Connect(_) => "connect-failed",
            Error::Backend(MessageError::TimedOut) => "backend-too-slow",
            Error::Backend(MessageError::Io(_)) => "backend-reset",
            Error::Backend(MessageError::Incomplete) => "backend-closed-early",
            Error::Backend(MessageError::HeadTooLarge | MessageError::RequestLineTooLong) => "response-head-too-large",
            Error::Backend(_) => "bad-response",
            Error::NoBackend => "no-backend",
            Error::NoAddress => "no-address",
            Error::Full => "backends-full",
            Error::Busy => "busy",
            Error::Stopped => "stopped",
        }
    }

    /// The error's name in RFC 9209 §2.3, for Proxy-Status, where it has one.
    #[must_use]
    pub fn proxy_status(&self) -> Option<&'static str> {
        Some(match self {
            Error::Client(MessageError::TimedOut) | Error::ClientGone => return None,
            Error::Client(_) | Error::Refused(_) | Error::MethodNotAllowed(_) => "http_request_error",
            Error::NoRoute => "destination_not_found",
            Error::Denied => "http_request_denied",
            Error::Connect(error) if error.kind() == io::ErrorKind::TimedOut => "connection_timeout",
            Error::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => "connection_refused",
            Error::Connect(error) if is_exhausted(error) => "proxy_internal_error",
            Error::Connect(_) => "destination_unavailable",
            Error::Backend(MessageError::TimedOut) => "http_response_timeout",
            Error::Backend(MessageError::Incomplete) => "http_response_incomplete",
            Error::Backend(MessageError::Io(_)) => "connection_terminated",
            Error::Backend(MessageError::HeadTooLarge | MessageError::RequestLineTooLong) => {
                "http_response_header_section_size"
            }
            Error::Backend(_) => "http_protocol_error",
            Error::NoBackend => "destination_unavailable",
            Error::NoAddress => "dns_error",
            Error::Full => "connection_limit_reached",
            Error::Busy | Error::Stopped => "proxy_internal_response",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => write!(f, "the client's request: {error}"),
            Error::Backend(error) => write!(f, "the backend's response: {error}"),
            Error::Connect(error) => write!(f, "cannot connect: {error}"),
            other => f.write_str(other.reason()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Client(error) | Error::Backend(error) => Some(error),
            Error::Connect(error) => Some(error),
            _ => None,
        }
    }
}
