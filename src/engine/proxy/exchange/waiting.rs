//! Whom an exchange waits for, and for how long: each wait has an end, and somebody to blame for it.

use std::time::{Duration, Instant};

use super::{Exchange, Step, Waiting};
use crate::http::MessageError;
use crate::http::relay::{Flow, Relay};
use crate::proxy::error::Error;
use crate::proxy::peer::{Context, Peer};
use crate::settings::{Timeouts, deadline};
use crate::socketserver::Readiness;

impl Exchange {
    /// Waits for whoever holds the exchange up, until that one's time is over.
    pub(super) fn wait(&mut self, up: Flow, down: Flow, client: &mut Peer, cx: &Context<'_>) -> Result<Step, Error> {
        let settings = cx.settings();
        let rate = settings.limits.min_rate;
        if self.upload.as_ref().is_some_and(|upload| upload.sender_is_slow(rate, settings.timeouts.slow)) {
            return Err(Error::Client(MessageError::TimedOut));
        }
        if self.download.as_ref().is_some_and(|download| download.receiver_is_slow(rate, settings.timeouts.slow)) {
            return Err(Error::ClientGone);
        }
        if self.expects_until.is_some_and(|until| until <= cx.now) {
            // The backend says nothing; nor would it, if it knows nothing of Expect. The client is not kept waiting.
            self.expects_until = None;
            client.output.bytes().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
        }
        if let (Flow::Dry, Some(link)) = (up, &mut self.link) {
            link.claim.wait_for_client(cx.now);
        }
        let down = if client.output.is_empty() { down } else { Flow::Full };
        let limits =
            [self.upload_deadline(up, &settings.timeouts), self.download_deadline(up, down, &settings.timeouts)];
        let mut until = deadline(cx.now, Duration::MAX);
        for (limit, guilty) in limits.into_iter().flatten() {
            if limit <= cx.now {
                return if self.try_late(limit, client) { Ok(Step::GiveWay) } else { Err(guilty) };
            }
            until = until.min(limit);
        }
        let until = self.expects_until.map_or(until, |expected| until.min(expected));
        Ok(Step::Wait(self.waiting(up, down, until)))
    }

    /// Has both peers tried once more before this deadline ends the wait: the poller tells that a peer takes more when a
    /// third of the kernel's buffer is free, which may be a megabyte, and a peer that takes little by little is well.
    /// False if that was done already, and nothing has moved since.
    pub(super) fn try_late(&mut self, limit: Instant, client: &mut Peer) -> bool {
        if self.tried_late.replace(limit) == Some(limit) {
            return false;
        }
        client.socket.note(Readiness::WRITE);
        if let Some(link) = &mut self.link {
            link.connection.socket.note(Readiness::WRITE);
        }
        true
    }

    /// Until when the request's content may stand still, and who is to blame then.
    fn upload_deadline(&self, up: Flow, timeouts: &Timeouts) -> Option<(Instant, Error)> {
        let stopped = self.upload.as_ref().and_then(Relay::stopped).map_or(self.asked, |(_, since)| since);
        match up {
            Flow::Dry => Some((deadline(stopped, timeouts.body_idle), Error::Client(MessageError::TimedOut))),
            Flow::Full => Some((deadline(stopped, timeouts.response), Error::Backend(MessageError::TimedOut))),
            Flow::GiveWay | Flow::Done => None,
        }
    }

    /// Until when the response may stand still, and who is to blame then.
    fn download_deadline(&self, up: Flow, down: Flow, timeouts: &Timeouts) -> Option<(Instant, Error)> {
        let stopped = self.download.as_ref().and_then(Relay::stopped).map_or(self.asked, |(_, since)| since);
        match (down, &self.download) {
            (Flow::Full, _) => Some((deadline(stopped, timeouts.send), Error::ClientGone)),
            (_, Some(_)) => {
                let idle = if self.is_event_stream() { timeouts.tunnel } else { timeouts.response_idle };
                // It may wait for the request's content, which comes as fast as the client sends it.
                Some((deadline(stopped.max(self.asked), idle), Error::Backend(MessageError::TimedOut)))
            }
            // The backend's time begins when it has the whole request.
            (_, None) if up == Flow::Done => {
                Some((deadline(self.asked, timeouts.response), Error::Backend(MessageError::TimedOut)))
            }
            (_, None) => None,
        }
    }

    /// Server-sent events may be silent for as long as a tunnel.
    fn is_event_stream(&self) -> bool {
        const EVENT_STREAM: &[u8] = b"text/event-stream";
        let media_type = self.response.headers.get("content-type").unwrap_or_default();
        media_type.get(..EVENT_STREAM.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
    }

    pub(super) fn waiting(&self, up: Flow, down: Flow, deadline: Instant) -> Waiting {
        let when = |is: bool, what: Readiness| if is { what } else { Readiness::NONE };
        let link = self.link.as_ref().expect("an exchange that waits has a backend");
        Waiting {
            client: when(up == Flow::Dry, Readiness::READ) | when(down == Flow::Full, Readiness::WRITE),
            backend: Some((
                link.connection.socket.token(),
                when(down == Flow::Dry, Readiness::READ) | when(up == Flow::Full, Readiness::WRITE),
            )),
            deadline,
        }
    }
}
