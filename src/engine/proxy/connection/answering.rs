//! What a client is told by ourselves, and a connection's last word.

use std::io;
use std::time::Instant;

use super::{ClientConnection, LINGER, Stage, Then, log};
use crate::http::{HttpStatus, MessageError};
use crate::proxy::answer::{self, Delivery};
use crate::proxy::error::Error;
use crate::proxy::exchange::Exchange;
use crate::proxy::facts::Facts;
use crate::proxy::peer::Context;
use crate::proxy::routing::{Route, Site};
use crate::settings::route::Action;
use crate::socketserver::{Readiness, Ticket};

impl ClientConnection {
    /// Answers a head that could not even be parsed.
    pub(super) fn refuse(&mut self, defect: MessageError, cx: &mut Context<'_>) -> Then {
        let exchange = cx.handler.new_exchange(self.client.address.ip(), cx.now);
        self.fail(exchange, &Error::Client(defect), cx)
    }

    /// The one place where a failure becomes an answer, or, if an answer has begun, a cut.
    pub(super) fn fail(&mut self, mut exchange: Box<Exchange>, error: &Error, cx: &mut Context<'_>) -> Then {
        exchange.facts.fail(error);
        if let (Error::Backend(defect), Some(backend)) = (error, &exchange.facts.backend) {
            log::warn!("backend {backend}: {defect}");
        }
        let gone = error.status() == HttpStatus::CLIENT_CLOSED_REQUEST;
        if gone || exchange.is_answered() {
            if exchange.ends_with_connection() {
                self.client.socket.reset_on_close(); // An orderly end would look like the end of the content.
            }
            log(&exchange, cx);
            return Then::End;
        }
        let in_step = !matches!(error, Error::Client(_) | Error::Refused(_)) && exchange.is_request_read();
        let keep = in_step && exchange.may_keep() && !cx.worker.is_draining();
        let own_id = exchange.facts.id.text();
        let how = delivery(&exchange, keep, &own_id, &cx.site);
        let id = how.id.and_then(|id| std::str::from_utf8(id.value).ok()).unwrap_or(&own_id);
        let bytes = answer::send_error(error, id, how, self.client.output.bytes());
        exchange.facts.bytes = bytes;
        self.send_answer(exchange, keep, cx)
    }

    /// Answers a request whose route says how.
    pub(super) fn answer(&mut self, mut exchange: Box<Exchange>, cx: &mut Context<'_>) -> Then {
        let keep = exchange.is_request_read() && exchange.may_keep() && !cx.worker.is_draining();
        let own_id = exchange.facts.id.text();
        let how = delivery(&exchange, keep, &own_id, &cx.site);
        let out = self.client.output.bytes();
        let (status, reason, bytes) = match &cx.route().settings.action {
            Action::Redirect { to, status } => {
                let status = HttpStatus(*status);
                let Some(location) = Route::location(to, &exchange.request) else {
                    return self.fail(exchange, &Error::Client(MessageError::Malformed("no-host")), cx);
                };
                (status, "redirect", answer::send_redirect(status, &location, how, out))
            }
            Action::Respond { status, body } => {
                let status = HttpStatus(*status);
                (status, "fixed-answer", answer::send_fixed(status, body, how, out))
            }
            Action::Forward { .. } => return self.fail(exchange, &Error::NoRoute, cx),
        };
        let Facts { status: told, reason: why, bytes: sent, .. } = &mut exchange.facts;
        (*told, *why, *sent) = (status, reason, bytes);
        self.send_answer(exchange, keep, cx)
    }

    pub(super) fn answer_options(&mut self, exchange: Box<Exchange>, cx: &mut Context<'_>) -> Then {
        let keep = exchange.is_request_read() && exchange.may_keep() && !cx.worker.is_draining();
        let own_id = exchange.facts.id.text();
        answer::send_options(delivery(&exchange, keep, &own_id, &cx.site), self.client.output.bytes());
        self.send_answer(exchange, keep, cx)
    }

    fn send_answer(&mut self, exchange: Box<Exchange>, keep: bool, cx: &mut Context<'_>) -> Then {
        log(&exchange, cx);
        cx.handler.keep_exchange(exchange);
        match self.client.output.send(&mut self.client.socket) {
            Ok(true) if keep => {
                self.stage = Stage::Head { since: cx.now };
                Then::GoOn
            }
            Ok(_) => self.begin_leaving(cx),
            Err(_) => Then::End,
        }
    }

    pub(super) fn begin_leaving(&mut self, cx: &Context<'_>) -> Then {
        self.stage = Stage::Leaving { until: cx.now + LINGER, said: false };
        Then::GoOn
    }

    /// Sends what is left, ends our side, and reads on for a while without looking.
    pub(super) fn leave(&mut self, until: Instant, said: bool, cx: &Context<'_>) -> Then {
        let client = &mut self.client;
        let wants = match client.output.send(&mut client.socket) {
            Err(_) => return Then::End,
            Ok(false) => Readiness::WRITE,
            Ok(true) => {
                if !said && client.socket.end_writes().is_err() {
                    return Then::End;
                }
                self.stage = Stage::Leaving { until, said: true };
                Readiness::READ
            }
        };
        client.input.consume(client.input.unread().len());
        match client.input.fill(&mut client.socket) {
            Ok(0) => return Then::End,
            Ok(_) if cx.now < until => return Then::GoOn,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && cx.now < until => {}
            Ok(_) | Err(_) => return Then::End,
        }
        let at = client.socket.token();
        let none = Readiness::NONE;
        Then::Wait(Ticket { at, wants, other: None, other_wants: none, deadline: until, idle_since: None })
    }
}

/// How an answer to this request goes out.
fn delivery<'a>(exchange: &'a Exchange, keep: bool, own_id: &'a str, site: &'a Site) -> Delivery<'a> {
    let mut how = Delivery::to(&exchange.request, keep);
    how.id = site.id_for(&exchange.request, own_id);
    if let Some(id) = &mut how.id
        && !is_plain(id.value)
    {
        id.value = own_id.as_bytes(); // An answer of ours repeats nothing that could be anything but an identification.
    }
    if let Some(route) = &exchange.route {
        how.edits = &route.settings.response_headers;
    }
    how
}

/// Letters, digits and a few marks, and not many.
fn is_plain(id: &[u8]) -> bool {
    id.len() <= 64 && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
