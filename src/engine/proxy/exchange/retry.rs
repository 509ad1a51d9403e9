//! Second attempts: when a request may be sent once more, and to whom.

use super::Exchange;
use crate::http::head::HeadScan;
use crate::http::relay::Relay;
use crate::http::{BodyFraming, MessageError};
use crate::proxy::error::Error;
use crate::proxy::peer::Context;

/// Content up to this size is kept until the backend answers, so that it can be sent again.
pub(super) const KEPT_CONTENT: usize = 64 * 1024;

impl Exchange {
    /// Whether the request can be sent once more: nothing of a response came, nothing is lost if the backend did get
    /// the request (RFC 9110 §9.2.2), and the next attempt meets something else than this one.
    pub(super) fn may_retry(&self, defect: &MessageError, cx: &Context<'_>) -> bool {
        let Some(link) = &self.link else { return false };
        let balancer = cx.balancer();
        let retry = &balancer.group().settings.retry;
        let died = defect.is_disconnect();
        let silent = !self.is_answered() && self.interims == 0 && link.connection.input.is_empty();
        let repeatable = is_idempotent(self.request.method()) && self.has_all_content();
        let time_left = cx.now.saturating_duration_since(self.facts.started) < retry.within;
        let elsewhere = || balancer.has_any_other(link.backend(), &self.tried);
        // A connection that the backend closed while it was kept says nothing of the backend, and is no attempt at it.
        let attempts = self.retries - self.stale + u32::from(!link.reused);
        died && silent
            && repeatable
            && time_left
            && retry.attempts > 1
            && attempts < retry.attempts
            && (link.reused || elsewhere())
            && balancer.may_try_again(cx.now)
    }

    /// Whether the content is kept in case it has to be sent again: only what may be sent twice, and is not large.
    pub(super) fn may_keep_content(&self) -> bool {
        let small = match self.framing {
            BodyFraming::Length(length) => length <= KEPT_CONTENT as u64,
            BodyFraming::Chunked => true,
            BodyFraming::None | BodyFraming::UntilClose => false,
        };
        small && is_idempotent(self.request.method())
    }

    /// Whether the request could be sent twice, should it have to be.
    pub(super) fn is_repeatable(&self) -> bool {
        is_idempotent(self.request.method()) && (self.framing == BodyFraming::None || self.may_keep_content())
    }

    /// Whether all content that the backend was sent can be sent again.
    fn has_all_content(&self) -> bool {
        self.framing == BodyFraming::None
            || self.sent.as_ref().or(self.upload.as_ref()).is_some_and(Relay::can_begin_again)
    }

    /// The next attempt goes elsewhere if it can: a backend that just died may still take connections for a moment.
    pub(super) fn prepare_retry(&mut self, defect: MessageError, cx: &Context<'_>) {
        let Some(link) = self.link.take() else { return };
        let (balancer, backend) = (cx.balancer(), link.backend());
        // One that is out is better than one that has just died, but not than one that closed a connection in peace.
        if balancer.has_other(backend, &self.tried) || (!link.reused && balancer.has_any_other(backend, &self.tried)) {
            self.tried.add(backend);
        }
        if link.reused {
            self.stale += 1;
        } else {
            self.tried.note_failure(Error::Backend(defect), backend);
        }
        self.retries += 1;
        self.upload_lost = false;
        self.upload = self.sent.take().or(self.upload.take());
        self.to_backend.bytes().clear();
        self.scan = HeadScan::default();
    }

    /// On a second attempt, the content that the first was sent follows the head.
    pub(super) fn send_again(&mut self) {
        if self.retries > 0
            && let Some(upload) = &mut self.upload
        {
            upload.begin_again(&mut self.to_backend);
        }
    }
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
