//! A client's connection: requests one after the other, each an `Exchange`, with waits in the room in between.
//!
//! Python: `BaseHTTPRequestHandler.handle`, `handle_one_request`, `close_connection`. Departs: the loop is a state that
//! is put down when it has to wait and taken up again, by any worker, when something has come.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{self, Delivery};
use super::error::Error;
use super::exchange::{Exchange, Step};
use super::peer::{Context, Peer};
use super::request;
use super::reverse_proxy::ReverseProxyHandler;
use crate::http::MessageError;
use crate::http::head::{HeadLimits, HeadScan};
use crate::settings::deadline;
use crate::socketserver::{Buffer, Conversation, Next, Outgoing, PeerAddress, Readiness, Socket, Ticket, Wake, Worker};

/// After our last word, so much longer the client may go on sending: closing at once would reset the connection and
/// take the answer from under its eyes (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// A client that has just connected is sending its request. If the server stops now, it is still waited for: unlike one
/// whose idle connection is closed, this client would take it for a failure.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// A client that sends request after request, each answered at once, has so many steps before others have their turn.
const STEPS: usize = 64;

/// What a connection is about.
enum Stage {
    /// Waits for a request, or for the rest of its head; since then.
    Head { since: Instant },
    /// Serves a request.
    Serving(Box<Exchange>),
    /// Says its last word, and then lingers.
    Leaving { until: Instant, said: bool },
}

/// One client's connection, as it waits in the room.
pub(super) struct ClientConnection {
    handler: Arc<ReverseProxyHandler>,
    client: Peer,
    stage: Stage,
    scan: HeadScan,
    /// It has served a request before.
    served: bool,
}

/// How a connection goes on after a step.
enum Then {
    /// With its present stage.
    GoOn,
    Wait(Ticket),
    GiveWay,
    End,
}

impl ClientConnection {
    pub(super) fn begin(handler: Arc<ReverseProxyHandler>, socket: Socket, address: PeerAddress) -> Next {
        let now = Instant::now();
        let client = Peer { socket, address, input: Buffer::default(), output: Outgoing::default() };
        let stage = Stage::Head { since: now };
        let connection = ClientConnection { handler, client, stage, scan: HeadScan::default(), served: false };
        let ticket = connection.await_head(now);
        Next::Wait(Box::new(connection), ticket)
    }

    /// Goes from step to step until it has to wait.
    fn proceed(&mut self, wake: Wake, worker: &mut Worker) -> Then {
        let handler = Arc::clone(&self.handler);
        let now = Instant::now();
        let waited = wake.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let late = waited > handler.settings().timeouts.queue;
        let mut cx = Context { handler: &handler, worker, now, late, leave: wake.draining };
        cx.worker.lend(&mut self.client.input);
        let mut then = Then::GiveWay;
        for _ in 0..STEPS {
            then = match self.stage {
                Stage::Head { since } => self.read_request(since, &mut cx),
                Stage::Serving(_) => self.serve(&mut cx),
                Stage::Leaving { until, said } => self.leave(until, said, &cx),
            };
            if !matches!(then, Then::GoOn) {
                break;
            }
        }
        cx.worker.take_back(&mut self.client.input);
        cx.worker.take_back(&mut self.client.output);
        if let Stage::Serving(exchange) = &mut self.stage {
            exchange.rest(&mut cx);
        }
        then
    }

    /// Reads until a head is complete, and begins the exchange.
    ///
    /// Python: `handle_one_request`, `parse_request`.
    fn read_request(&mut self, since: Instant, cx: &mut Context<'_>) -> Then {
        let limits = HeadLimits::of_request(&cx.handler.settings().limits);
        loop {
            self.skip_empty_line();
            match self.scan.find_end(self.client.input.unread(), &limits) {
                Ok(Some(length)) => return self.begin_exchange(length, &limits, cx),
                Ok(None) => {}
                Err(defect) => return self.refuse(defect, cx),
            }
            let was_empty = self.client.input.is_empty();
            match self.client.input.fill(&mut self.client.socket) {
                Ok(0) => return Then::End, // Between requests that is how it should be; inside a head, nobody listens.
                Ok(_) if was_empty && self.served => self.stage = Stage::Head { since: cx.now },
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Then::End,
            }
        }
        let since = if let Stage::Head { since } = self.stage { since } else { since };
        let ticket = self.await_head(since);
        if self.client.input.is_empty() && (std::mem::take(&mut cx.leave) || cx.worker.is_draining()) {
            let until = since + FIRST_WORDS;
            if self.served || !cx.worker.is_draining() || until <= cx.now {
                return Then::End;
            }
            // Not idle: whoever is would be woken at once.
            return Then::Wait(Ticket { deadline: ticket.deadline.min(until), idle_since: None, ..ticket });
        }
        match ticket.deadline <= cx.now {
            false => Then::Wait(ticket),
            true if self.client.input.is_empty() => Then::End,
            true => self.refuse(MessageError::TimedOut, cx),
        }
    }

    /// One empty line before a request is passed over: some clients end a POST with one too many (RFC 9112 §2.2).
    fn skip_empty_line(&mut self) {
        if self.scan.is_at_start() && self.client.input.unread().starts_with(b"\r\n") {
            self.client.input.consume(2);
            self.scan = HeadScan::default(); // It may have seen the CR already.
        }
    }

    /// How long to wait for a head: for its end, since its first byte, or, between requests, for its first byte.
    fn await_head(&self, since: Instant) -> Ticket {
        let timeouts = &self.handler.settings().timeouts;
        let idle = self.client.input.is_empty();
        let patience = if idle && self.served { timeouts.keepalive } else { timeouts.header };
        Ticket {
            at: self.client.socket.token(),
            wants: Readiness::READ,
            other: None,
            other_wants: Readiness::NONE,
            deadline: deadline(since, patience),
            idle_since: idle.then_some(since),
        }
    }

    fn begin_exchange(&mut self, length: usize, limits: &HeadLimits, cx: &mut Context<'_>) -> Then {
        let mut exchange = cx.handler.new_exchange(cx.now);
        let parsed = exchange.request.parse(&self.client.input.unread()[..length], limits);
        self.client.input.consume(length);
        self.scan = HeadScan::default();
        self.served = true;
        if let Err(defect) = parsed {
            return self.fail(exchange, &Error::Client(defect), cx);
        }
        if let Err(error) = exchange.begin(cx) {
            return self.fail(exchange, &error, cx);
        }
        if std::mem::take(&mut cx.late) {
            return self.fail(exchange, &Error::Busy, cx); // A full house must say so (timeouts.queue).
        }
        match request::max_forwards(&exchange.request) {
            Some(0) if exchange.request.method() == b"OPTIONS" => self.answer_options(exchange, cx),
            Some(0) => self.fail(exchange, &Error::Refused("trace-refused"), cx),
            _ => {
                self.stage = Stage::Serving(exchange);
                Then::GoOn
            }
        }
    }

    /// Takes the present exchange as far as it goes.
    fn serve(&mut self, cx: &mut Context<'_>) -> Then {
        let Stage::Serving(exchange) = &mut self.stage else { return Then::GoOn };
        let step = exchange.advance(&mut self.client, cx);
        match step {
            Ok(Step::Wait(waiting)) => Then::Wait(Ticket {
                at: self.client.socket.token(),
                wants: waiting.client,
                other: waiting.backend.map(|(token, _)| token),
                other_wants: waiting.backend.map_or(Readiness::NONE, |(_, wants)| wants),
                deadline: waiting.deadline,
                idle_since: None,
            }),
            Ok(Step::Turn) => Then::GiveWay,
            Ok(Step::Finished { keep }) => {
                let Some(exchange) = self.take_exchange(cx) else { return Then::End };
                self.conclude(exchange, keep, cx)
            }
            Err(error) => {
                let Some(exchange) = self.take_exchange(cx) else { return Then::End };
                self.fail(exchange, &error, cx)
            }
        }
    }

    fn take_exchange(&mut self, cx: &Context<'_>) -> Option<Box<Exchange>> {
        match std::mem::replace(&mut self.stage, Stage::Head { since: cx.now }) {
            Stage::Serving(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// The response is out. On to the next request, or to the end.
    fn conclude(&mut self, mut exchange: Box<Exchange>, keep: bool, cx: &mut Context<'_>) -> Then {
        self.log(&exchange, cx);
        let read = exchange.is_request_read();
        exchange.rest(cx);
        cx.handler.keep_exchange(exchange);
        if keep {
            Then::GoOn
        } else if read && self.client.input.is_empty() && !self.client.socket.is_readable() {
            Then::End // Nothing more was sent, so closing resets nothing.
        } else {
            self.begin_leaving(cx)
        }
    }

    /// Answers a head that could not even be parsed.
    fn refuse(&mut self, defect: MessageError, cx: &mut Context<'_>) -> Then {
        let exchange = cx.handler.new_exchange(cx.now);
        self.fail(exchange, &Error::Client(defect), cx)
    }

    /// The one place where a failure becomes an answer, or, if an answer has begun, a cut.
    fn fail(&mut self, mut exchange: Box<Exchange>, error: &Error, cx: &mut Context<'_>) -> Then {
        exchange.facts.fail(error);
        if let (Error::Backend(defect), Some(backend)) = (error, &exchange.facts.backend) {
            log::warn!("backend {backend}: {defect}");
        }
        let gone = error.status() == crate::http::HttpStatus::CLIENT_CLOSED_REQUEST;
        if gone || exchange.is_answered() {
            if exchange.ends_with_connection() {
                self.client.socket.reset_on_close(); // An orderly end would look like the end of the content.
            }
            self.log(&exchange, cx);
            return Then::End;
        }
        let in_step = !matches!(error, Error::Client(_) | Error::Refused(_)) && exchange.is_request_read();
        let keep = in_step && exchange.may_keep() && !cx.worker.is_draining();
        let how = Delivery::to(&exchange.request, keep);
        let id = exchange.facts.id.text();
        exchange.facts.bytes = answer::send_error(error, &id, how, self.client.output.bytes());
        self.send_answer(exchange, keep, cx)
    }

    fn answer_options(&mut self, exchange: Box<Exchange>, cx: &mut Context<'_>) -> Then {
        let keep = exchange.is_request_read() && exchange.may_keep() && !cx.worker.is_draining();
        answer::send_options(Delivery::to(&exchange.request, keep), self.client.output.bytes());
        self.send_answer(exchange, keep, cx)
    }

    fn send_answer(&mut self, exchange: Box<Exchange>, keep: bool, cx: &mut Context<'_>) -> Then {
        self.log(&exchange, cx);
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

    fn begin_leaving(&mut self, cx: &Context<'_>) -> Then {
        self.stage = Stage::Leaving { until: cx.now + LINGER, said: false };
        Then::GoOn
    }

    /// Sends what is left, ends our side, and reads on for a while without looking.
    fn leave(&mut self, until: Instant, said: bool, cx: &Context<'_>) -> Then {
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

    fn log(&self, exchange: &Exchange, cx: &Context<'_>) {
        if let Some(format) = cx.handler.access_log() {
            exchange.facts.log(&exchange.request, &self.client, format);
        }
    }
}

impl Conversation for ClientConnection {
    fn resume(mut self: Box<Self>, wake: Wake, worker: &mut Worker) -> Next {
        self.client.socket.note(wake.own);
        if let Stage::Serving(exchange) = &mut self.stage {
            exchange.note_backend(wake.other);
        }
        match self.proceed(wake, worker) {
            Then::Wait(ticket) => Next::Wait(self, ticket),
            Then::GiveWay | Then::GoOn => Next::GiveWay(self),
            Then::End => Next::End,
        }
    }
}
