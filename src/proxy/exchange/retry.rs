//! Second attempts: when a request may be sent once more, and to whom.

use super::Exchange;
use crate::http::head::HeadScan;
use crate::http::{BodyFraming, MessageError};
use crate::proxy::peer::Context;

impl Exchange {
    /// Whether the request can be sent once more: nothing of a response came, nothing is lost if the backend did get
    /// the request (RFC 9110 §9.2.2), and the next attempt meets something else than this one.
    pub(super) fn may_retry(&self, defect: &MessageError, cx: &Context<'_>) -> bool {
        let Some(forwarded) = &self.forwarded else { return false };
        let settings = cx.handler.settings();
        let died = matches!(defect, MessageError::Incomplete | MessageError::Io(_));
        let silent = !self.is_answered() && self.interims == 0 && forwarded.connection.input.is_empty();
        let repeatable = self.framing == BodyFraming::None && is_idempotent(self.request.method());
        let time_left = cx.now.saturating_duration_since(self.facts.started) < settings.retry.within;
        let elsewhere = || cx.handler.balancer().has_other(forwarded.backend(), &self.tried);
        died && silent
            && repeatable
            && time_left
            && self.retries + 1 < settings.retry.attempts
            && (forwarded.reused || elsewhere())
    }

    /// The next attempt goes elsewhere if it can: a backend that just died may still take connections for a moment.
    pub(super) fn prepare_retry(&mut self, cx: &Context<'_>) {
        let Some(forwarded) = self.forwarded.take() else { return };
        if cx.handler.balancer().has_other(forwarded.backend(), &self.tried) {
            cx.handler.balancer().pass_over(forwarded.backend(), &mut self.tried);
        }
        self.retries += 1;
        self.to_backend.bytes().clear();
        self.scan = HeadScan::default();
    }
}

/// RFC 9110 §9.2.2.
pub(super) fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
