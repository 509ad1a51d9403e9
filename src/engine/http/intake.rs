//! The content of a request, as a plain handler reads it. Input: a connection behind a request's head. Output: the
//! content's bytes, without their framing and none beyond them, or a defect. RFC 9112 §6.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::body::BodyDecoder;
use super::handler::BaseHttpRequestHandler;
use super::{BodyFraming, MessageError};
use crate::settings::{Limits, Settings, deadline};
use crate::socketserver::{Buffer, Socket};

/// Content that the handler did not want is read and thrown away up to here, so that the connection can serve on; for
/// more, a new connection is cheaper.
const DISCARD_BYTES: usize = 64 * 1024;

/// And no longer than this: it holds a thread for nothing.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads a request's content. An end that comes early is an error.
///
/// Python: `rfile`. Departs: framing is taken off, and what follows the content cannot be read.
#[derive(Debug)]
pub struct RequestContent<'a>(pub(super) &'a mut BaseHttpRequestHandler);

impl Read for RequestContent<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.0.read_content(target)
    }
}

/// What is left of a request's content.
#[derive(Debug)]
pub(super) struct Intake {
    body: BodyDecoder,
    /// The client waits for a 100 before it sends its content.
    expects_continue: bool,
    received: u64,
    waited: Duration,
}

impl Intake {
    /// No content.
    pub(super) fn none() -> Intake {
        Intake { body: BodyDecoder::Done, expects_continue: false, received: 0, waited: Duration::ZERO }
    }

    /// Nobody knows how much: whatever comes.
    pub(super) fn unknown() -> Intake {
        Intake { body: BodyDecoder::UntilClose, ..Intake::none() }
    }

    pub(super) fn new(framing: BodyFraming, expects_continue: bool, limits: &Limits) -> Intake {
        let expects_continue = expects_continue && framing != BodyFraming::None;
        Intake { body: BodyDecoder::new(framing, limits), expects_continue, ..Intake::none() }
    }

    /// Whether all of it was read.
    pub(super) fn is_read(&self) -> bool {
        self.body == BodyDecoder::Done
    }

    /// Whether the client waits to be told that its content is wanted.
    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// As [`expects_continue`](Self::expects_continue); from now on it is told.
    pub(super) fn take_expectation(&mut self) -> bool {
        std::mem::take(&mut self.expects_continue)
    }

    /// Reads content, blocking; 0 at its end.
    pub(super) fn read(
        &mut self,
        target: &mut [u8],
        client: &mut Socket,
        input: &mut Buffer,
        settings: &Settings,
    ) -> Result<usize, MessageError> {
        let begun = Instant::now();
        client.set_deadline(Some(self.deadline(begun, settings)));
        let read = self.body.read_blocking(client, input, target);
        self.waited += begun.elapsed();
        let read = read.map_err(named)?;
        self.received += read as u64;
        if self.received > settings.limits.body {
            return Err(MessageError::ContentTooLarge);
        }
        Ok(read)
    }

    /// Until when the next bytes must be there: soon, and, once `timeouts.slow` was waited in all, at `limits.min_rate`.
    fn deadline(&self, now: Instant, settings: &Settings) -> Instant {
        let idle = deadline(now, settings.timeouts.body_idle);
        let Some(earned) = self.received.checked_div(settings.limits.min_rate) else { return idle };
        let allowed = settings.timeouts.slow.saturating_add(Duration::from_secs(earned)).saturating_sub(self.waited);
        idle.min(deadline(now, allowed))
    }

    /// Reads over what the handler left, so that the next request is found behind it; false if that is too much.
    pub(super) fn discard(&mut self, client: &mut Socket, input: &mut Buffer) -> bool {
        client.set_deadline(Some(Instant::now() + DISCARD_TIME));
        let (mut waste, mut left) = ([0; 4096], DISCARD_BYTES);
        while !self.is_read() && left > 0 {
            let Ok(read) = self.body.read_blocking(client, input, &mut waste) else { break };
            left = left.saturating_sub(read);
        }
        self.is_read()
    }
}

/// The defect behind an error of [`BodyDecoder::read_blocking`].
fn named(error: io::Error) -> MessageError {
    error.downcast::<MessageError>().unwrap_or_else(MessageError::from)
}
