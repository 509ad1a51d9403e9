//! What a client is told by ourselves, and a connection's last word.

use std::io;
use std::time::{Duration, Instant};

use super::{ClientConnection, Stage, Then, log_exchange};
use crate::escape::Word;
use crate::http::server::LINGER;
use crate::http::{HttpStatus, MessageError};
use crate::proxy::answer::{self, Delivery};
use crate::proxy::error::Error;
use crate::proxy::exchange::Exchange;
use crate::proxy::peer::{Context, Peer};
use crate::proxy::routing::Route;
use crate::settings::route::Action;
use crate::settings::{Settings, deadline};
use crate::socketserver::{Readiness, Ticket};

impl ClientConnection {
    /// Answers a head that could not even be parsed.
    pub(super) fn refuse(&mut self, defect: MessageError, cx: &mut Context<'_>) -> Then {
        cx.route = None; // The last request may have had one.
        let mut exchange = cx.handler.new_exchange(self.client.address.ip(), cx.now);
        if let Stage::Head { since } = self.stage {
            exchange.facts.started = since;
        }
        self.fail(exchange, &Error::Client(defect), cx)
    }

    /// The one place where a failure becomes an answer, or, if an answer has begun, a cut.
    pub(super) fn fail(&mut self, mut exchange: Box<Exchange>, error: &Error, cx: &mut Context<'_>) -> Then {
        if matches!(error, Error::Backend(_)) && exchange.is_answered() && !self.client.output.is_begun() {
            self.client.output.bytes().clear();
            exchange.take_answer_back();
        }
        exchange.facts.fail(error);
        if let (Error::Backend(defect), Some(backend)) = (error, &exchange.tried.last) {
            let id = Word(cx.site.id_of(&exchange.request, exchange.facts.id.as_bytes()));
            log::warn!("backend {backend}: {defect} (id={id})");
        }
        let gone = error.status() == HttpStatus::CLIENT_CLOSED_REQUEST;
        if gone || exchange.is_answered() {
            // As much as there is of the answer; whether it is taken does not matter any more.
            let _ = self.client.output.send(&mut self.client.socket);
            if exchange.ends_with_connection() {
                self.client.socket.reset_on_close(); // An orderly end would look like the end of the content.
            }
            log_exchange(&exchange, cx);
            return Then::End;
        }
        let in_step = !matches!(error, Error::Client(_) | Error::Refused(_));
        let keep = in_step && may_serve_on(&exchange, cx);
        let how = delivery(&exchange, keep, cx);
        let id = how.id.and_then(|id| std::str::from_utf8(id.value).ok()).unwrap_or(exchange.facts.id.as_str());
        let bytes = answer::send_error(error, id, how, self.client.output.bytes());
        exchange.facts.bytes = bytes;
        self.send_answer(exchange, keep, cx)
    }

    /// Answers a request whose route says how.
    pub(super) fn answer(&mut self, mut exchange: Box<Exchange>, cx: &mut Context<'_>) -> Then {
        let keep = may_serve_on(&exchange, cx);
        let how = delivery(&exchange, keep, cx);
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
        exchange.facts.status = status;
        exchange.facts.reason = reason;
        exchange.facts.bytes = bytes;
        self.send_answer(exchange, keep, cx)
    }

    pub(super) fn answer_options(&mut self, exchange: Box<Exchange>, cx: &mut Context<'_>) -> Then {
        let keep = may_serve_on(&exchange, cx);
        answer::send_options(delivery(&exchange, keep, cx), self.client.output.bytes());
        self.send_answer(exchange, keep, cx)
    }

    fn send_answer(&mut self, exchange: Box<Exchange>, keep: bool, cx: &mut Context<'_>) -> Then {
        log_exchange(&exchange, cx);
        let settings = cx.route.as_ref().map_or(cx.site.settings(), |route| &route.settings.settings);
        let telling = Telling::new(keep, &mut self.client, settings, cx.now);
        cx.handler.keep_exchange(exchange);
        self.tell(telling, cx)
    }

    /// Sends what is left. Then the next request may come, or our side ends.
    pub(super) fn tell(&mut self, mut telling: Telling, cx: &mut Context<'_>) -> Then {
        let client = &mut self.client;
        let left = client.output.bytes().len();
        match client.output.send(&mut client.socket) {
            Ok(true) if telling.keep => return self.await_next(cx),
            Ok(true) if client.socket.end_writes().is_ok() => {
                self.stage = Stage::Leaving { until: cx.now + LINGER };
                return Then::GoOn;
            }
            Ok(false) => {}
            Ok(true) | Err(_) => return Then::End,
        }
        if client.output.bytes().len() < left {
            telling.until = deadline(cx.now, telling.patience);
        }
        let until = telling.until.min(telling.latest);
        self.stage = Stage::Telling(Box::new(telling));
        // A client that sends all of its request before it reads must not wait for us. Its end is none of the answer's.
        let mut wants = Readiness::WRITE;
        if !telling.keep {
            match self.discard() {
                Ok(0) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wants |= Readiness::READ,
                Ok(_) if cx.now < until => return Then::GoOn,
                Ok(_) | Err(_) => return Then::End,
            }
        }
        self.wait_until(until, wants, cx)
    }

    /// Reads on for a while without looking.
    pub(super) fn leave(&mut self, until: Instant, cx: &Context<'_>) -> Then {
        match self.discard() {
            Ok(1..) if cx.now < until => Then::GoOn,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_until(until, Readiness::READ, cx),
            Ok(_) | Err(_) => Then::End,
        }
    }

    fn discard(&mut self) -> io::Result<usize> {
        self.client.input.consume(self.client.input.unread().len());
        self.client.input.fill(&mut self.client.socket)
    }

    fn wait_until(&self, deadline: Instant, wants: Readiness, cx: &Context<'_>) -> Then {
        if deadline <= cx.now {
            return Then::End;
        }
        let (at, other_wants) = (self.client.socket.token(), Readiness::NONE);
        Then::Wait(Ticket { at, wants, other: None, other_wants, deadline, idle_since: None })
    }
}

/// How long a client may take for the rest of an answer.
#[derive(Clone, Copy)]
pub(super) struct Telling {
    /// The connection serves on after it.
    keep: bool,
    /// How long it may stand still: `timeouts.send`.
    patience: Duration,
    /// When it will have stood still for so long.
    until: Instant,
    /// When it will have been slower than `limits.min_rate` for longer than `timeouts.slow`.
    latest: Instant,
}

impl Telling {
    /// For what `client` is to be sent now.
    pub(super) fn new(keep: bool, client: &mut Peer, settings: &Settings, now: Instant) -> Telling {
        let (patience, slow) = (settings.timeouts.send, settings.timeouts.slow);
        let length = client.output.bytes().len() as u64;
        let time = length.checked_div(settings.limits.min_rate).map_or(Duration::MAX, Duration::from_secs);
        let latest = deadline(now, slow.saturating_add(time));
        Telling { keep, patience, until: deadline(now, patience), latest }
    }
}

/// Whether the connection may serve on after an answer of ours: not if content that nobody wants stands in its way.
fn may_serve_on(exchange: &Exchange, cx: &Context<'_>) -> bool {
    exchange.is_request_read() && exchange.may_keep() && !cx.worker.is_draining()
}

/// How an answer to this request goes out.
fn delivery<'a>(exchange: &'a Exchange, keep: bool, cx: &'a Context<'_>) -> Delivery<'a> {
    let mut how = Delivery::to(&exchange.request, keep);
    how.id = cx.site.id_for(&exchange.request, exchange.facts.id.as_bytes());
    if let Some(id) = &mut how.id
        && !is_plain(id.value)
    {
        // An answer of ours repeats nothing that could be anything but an identification.
        id.value = exchange.facts.id.as_bytes();
    }
    if let Some(route) = &cx.route {
        how.edits = &route.settings.response_headers;
    }
    how
}

/// Letters, digits and a few marks, and not many.
fn is_plain(id: &[u8]) -> bool {
    id.len() <= 64 && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}
