//! What is told of an exchange when it is over: the facts of its access line.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::error::Error;
use super::load_balancer::Tried;
use super::routing::Site;
use crate::access::{self, AccessLine, LogFormat};
use crate::http::{Field, HttpStatus, RequestHead};

/// What stands in the place of a reason where nothing failed.
pub(super) const NO_REASON: &str = "-";

/// A request's identification: unique in this process, and hard to confuse with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId {
    number: u64,
    /// The same in hexadecimal digits, made once: several steps need it.
    text: [u8; 16],
}

impl RequestId {
    /// That of no request.
    const NONE: RequestId = RequestId { number: 0, text: [b'0'; 16] };

    /// The next one. Stepping by an odd number close to 2^64 divided by the golden ratio visits all numbers, in an
    /// order that looks random (Knuth, TAOCP 3, §6.4).
    pub(super) fn next(counter: &AtomicU64) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = counter.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut text = [0; 16];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(number >> (4 * place) & 0xf) as usize];
        }
        RequestId { number, text }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// What happened to a request.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: RequestId,
    pub(super) started: Instant,
    pub(super) status: HttpStatus,
    /// Bytes of content sent to the client.
    pub(super) bytes: u64,
    /// Waiting for a worker, and in line for a place at a backend.
    pub(super) queued: Duration,
    pub(super) connect: Option<Duration>,
    /// From the start to the response's head.
    pub(super) first: Option<Duration>,
    pub(super) reason: &'static str,
}

impl Facts {
    pub(super) fn new(started: Instant) -> Facts {
        Facts {
            id: RequestId::NONE,
            started,
            status: HttpStatus::OK,
            bytes: 0,
            queued: Duration::ZERO,
            connect: None,
            first: None,
            reason: NO_REASON,
        }
    }

    /// The head of the response came.
    pub(super) fn respond(&mut self, status: HttpStatus, now: Instant) {
        self.status = status;
        self.first = Some(now.saturating_duration_since(self.started));
    }

    /// It failed.
    pub(super) fn fail(&mut self, error: &Error) {
        self.reason = error.reason();
        if self.first.is_none() || error.status() == HttpStatus::CLIENT_CLOSED_REQUEST {
            self.status = error.status();
        }
    }

    /// Writes the access line.
    ///
    /// Python: `log_request`. Departs: when the exchange is over, so that its bytes and its time are known.
    pub(super) fn log(
        &self,
        request: &RequestHead,
        client: Option<IpAddr>,
        tried: &Tried,
        site: &Site,
        format: LogFormat,
    ) {
        let total = self.started.elapsed();
        let line = AccessLine {
            client,
            time: SystemTime::now() - total,
            method: request.method(),
            target: request.target(),
            version: request.version.as_str(),
            status: self.status.0,
            bytes: self.bytes,
            referer: request.headers.first(Field::Referer),
            user_agent: request.headers.first(Field::UserAgent),
            backend: tried.last.as_ref().map(|backend| backend.label()),
            tries: tried.attempts,
            queued: self.queued,
            connect: self.connect,
            first: self.first,
            total,
            reason: self.reason,
            id: site.id_of(request, self.id.as_bytes()),
        };
        access::write_line(&line, format);
    }
}
