//! A client's connection: requests one after the other, each an `Exchange`, with waits in the room in between.
//!
//! What we answer ourselves, and how a connection ends, is in `answering.rs`.
//!
//! Python: `BaseHTTPRequestHandler.handle`, `handle_one_request`, `close_connection`. Departs: the loop is a state that
//! is put down when it has to wait and taken up again, by any worker, when something has come.
//!
//! Each layer says how it goes on: a relay with a `Flow`, for its direction; an exchange makes a `Step` of two of them,
//! the connection a `Then` of that, and the worker gets a `Next`, which puts the connection into the room or ends it.

mod answering;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::answering::Telling;
use super::error::Error;
use super::exchange::{Exchange, Step};
use super::facts::NO_REASON;
use super::load_balancer::LoadBalancer;
use super::metrics::Ending;
use super::peer::{Context, Peer};
use super::reasons::{self, Fault};
use super::recent::{self, Failure};
use super::request;
use super::reverse_proxy::ReverseProxyHandler;
use crate::http::MessageError;
use crate::http::head::{HeadLimits, HeadScan};
use crate::settings::{Timeouts, deadline};
use crate::socketserver::{Buffer, Conversation, Next, Outgoing, PeerAddress, Readiness, Socket, Ticket, Wake, Worker};

/// A client that has just connected is sending its request. If the server stops now, or needs room, it is still waited
/// for: unlike one whose idle connection is closed, this client would take it for a failure.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// A client that sends request after request, each answered at once, has so many steps before others have their turn.
const STEPS: usize = 64;

/// What a connection is about.
enum Stage {
    /// Waits for a request, or for the rest of its head; since then.
    Head { since: Instant },
    /// Serves a request.
    Serving(Box<Exchange>),
    /// Sends what is left of an answer.
    Telling(Box<Telling>),
    /// Has said its last word, and lingers.
    Leaving { until: Instant },
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
        let timeouts = handler.site().settings().timeouts.clone();
        let connection = ClientConnection { handler, client, stage, scan: HeadScan::default(), served: false };
        let ticket = connection.await_head(now, &timeouts);
        Next::Wait(Box::new(connection), ticket)
    }

    /// Goes from step to step until it has to wait.
    fn proceed(&mut self, wake: Wake, worker: &mut Worker) -> Then {
        let handler = Arc::clone(&self.handler);
        let now = Instant::now();
        let (site, route) = match &mut self.stage {
            Stage::Serving(exchange) => (exchange.site.take(), exchange.route.take()),
            _ => (None, None),
        };
        let mut cx = Context {
            handler: &handler,
            site: site.unwrap_or_else(|| handler.site()),
            route,
            worker,
            now,
            ready_since: wake.since,
            leave: wake.leave,
        };
        cx.worker.note_request(if let Stage::Serving(exchange) = &self.stage { exchange.facts.id.number() } else { 0 });
        if self.client.socket.is_readable() {
            cx.worker.lend(&mut self.client.input);
        }
        if cx.leave && cx.worker.is_over() {
            if let Some(exchange) = self.take_exchange(&cx) {
                self.fail(exchange, &Error::Stopped, &mut cx);
            }
            return Then::End;
        }
        let mut then = Then::GiveWay;
        for _ in 0..STEPS {
            then = match self.stage {
                Stage::Head { since } => self.read_request(since, &mut cx),
                Stage::Serving(_) => self.serve(&mut cx),
                Stage::Telling(ref telling) => self.tell(**telling, &mut cx),
                Stage::Leaving { until } => self.leave(until, &cx),
            };
            if !matches!(then, Then::GoOn) {
                break;
            }
        }
        cx.worker.take_back(&mut self.client.input);
        cx.worker.take_back(&mut self.client.output);
        if let Stage::Serving(exchange) = &mut self.stage {
            exchange.rest(&mut cx);
            exchange.site = (!exchange.is_answered()).then_some(cx.site);
            exchange.route = cx.route;
        }
        then
    }

    /// Reads until a head is complete, and begins the exchange.
    ///
    /// Python: `handle_one_request`, `parse_request`.
    fn read_request(&mut self, mut since: Instant, cx: &mut Context<'_>) -> Then {
        let limits = HeadLimits::of_request(&cx.site.settings().limits);
        loop {
            self.scan.skip_empty_line(&mut self.client.input);
            match self.scan.find_end(self.client.input.unread(), &limits) {
                Ok(Some(length)) => return self.begin_exchange(length, &limits, cx),
                Ok(None) => {}
                Err(defect) => return self.refuse(defect, cx),
            }
            let was_empty = self.client.input.is_empty();
            match self.client.input.fill(&mut self.client.socket) {
                Ok(0) => return Then::End, // Between requests that is how it should be; inside a head, nobody listens.
                Ok(_) if was_empty && self.served => {
                    since = cx.now;
                    self.stage = Stage::Head { since };
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Then::End,
            }
        }
        let ticket = self.await_head(since, &cx.site.settings().timeouts);
        if self.client.input.is_empty() && (cx.leave || cx.worker.is_draining()) {
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

    /// How long to wait for a head: for its end, since its first byte, or, between requests, for its first byte.
    fn await_head(&self, since: Instant, timeouts: &Timeouts) -> Ticket {
        let idle = self.client.input.is_empty();
        let patience = if idle && self.served { timeouts.keepalive } else { timeouts.header };
        Ticket {
            at: self.client.socket.token(),
            wants: Readiness::READ,
            other: None,
            other_wants: Readiness::NONE,
            deadline: deadline(since, patience),
            idle_since: idle.then_some(if self.served { since } else { since + FIRST_WORDS }),
        }
    }

    fn begin_exchange(&mut self, length: usize, limits: &HeadLimits, cx: &mut Context<'_>) -> Then {
        let mut exchange = cx.handler.new_exchange(self.client.address.ip(), cx.now);
        cx.route = None;
        let waited = cx.ready_since.take().map_or(Duration::ZERO, |since| cx.now.saturating_duration_since(since));
        exchange.facts.queued = waited;
        cx.worker.note_request(exchange.facts.id.number());
        let parsed = exchange.request.parse(&self.client.input.unread()[..length], limits);
        self.client.input.consume(length);
        self.scan = HeadScan::default();
        self.served = true;
        if let Err(defect) = parsed {
            return self.fail(exchange, &Error::Client(defect), cx);
        }
        if let Err(error) = exchange.begin(&self.client, cx) {
            return self.fail(exchange, &error, cx);
        }
        if waited > cx.site.settings().timeouts.queue {
            return self.fail(exchange, &Error::Busy, cx); // A full house must say so (timeouts.queue).
        }
        match request::max_forwards(&exchange.request) {
            Some(0) if exchange.request.method() == b"OPTIONS" => self.answer_options(exchange, cx),
            Some(0) => self.fail(exchange, &Error::Refused("trace-refused"), cx),
            _ if cx.is_forwarded() => {
                self.stage = Stage::Serving(exchange);
                Then::GoOn
            }
            _ => self.answer(exchange, cx),
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
            Ok(Step::GiveWay) => Then::GiveWay,
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

    /// The next request begins with what is set by then: if it has to be waited for, its own turn will see to that.
    fn await_next(&mut self, cx: &mut Context<'_>) -> Then {
        if !self.client.input.is_empty() || self.client.socket.is_readable() {
            cx.site = cx.handler.site();
        }
        self.stage = Stage::Head { since: cx.now };
        Then::GoOn
    }

    /// The response is out. On to the next request, or to the end.
    fn conclude(&mut self, mut exchange: Box<Exchange>, keep: bool, cx: &mut Context<'_>) -> Then {
        log_exchange(&exchange, cx);
        let read = exchange.is_request_read();
        exchange.rest(cx);
        cx.handler.keep_exchange(exchange);
        if keep {
            self.await_next(cx)
        } else if read && self.client.input.is_empty() && !self.client.socket.is_readable() {
            Then::End // Nothing more was sent, so closing resets nothing.
        } else {
            let telling = Telling::new(false, &mut self.client, cx.settings(), cx.now);
            self.tell(telling, cx)
        }
    }
}

/// Tells what became of an exchange, and counts it: each comes here once, at its end.
fn log_exchange(exchange: &Exchange, cx: &Context<'_>) {
    let facts = &exchange.facts;
    let group = cx.route.as_ref().and_then(|route| route.balancer.as_deref());
    group.map_or(cx.handler.unrouted(), LoadBalancer::tally).count(&Ending {
        status: facts.status.0,
        took: cx.now.saturating_duration_since(facts.started), // To the beginning of its last turn: near enough.
        sent: facts.bytes,
        received: exchange.received(),
        tries: exchange.tried.attempts,
        reason: facts.reason,
    });
    if facts.reason != NO_REASON {
        remember(exchange, group, cx);
    }
    if let Some(format) = cx.handler.access_log() {
        facts.log(&exchange.request, exchange.client, &exchange.tried, &cx.site, format);
    }
}

/// Keeps what failed for those who look.
#[cold]
fn remember(exchange: &Exchange, group: Option<&LoadBalancer>, cx: &Context<'_>) {
    let (facts, request) = (&exchange.facts, &exchange.request);
    if reasons::explain(facts.reason).is_some_and(|reason| reason.fault == Fault::Nobody) {
        return;
    }
    cx.handler.failures().add(Failure {
        time: SystemTime::now(),
        times: 1,
        reason: facts.reason,
        status: facts.status.0,
        group: group.map(|group| group.name().to_owned()).unwrap_or_default(),
        backend: exchange.tried.last.as_ref().map(|backend| backend.label().to_owned()),
        method: recent::method(request.method()),
        target: recent::target(request.target()),
        id: facts.id.as_str().to_owned(),
    });
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
