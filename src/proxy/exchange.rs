//! One request and its response: from the parsed head of the request to the last byte of the response.
//!
//! [`Exchange::advance`] goes on as far as it can without waiting: it gets a connection to a backend, sends the request
//! (its content as it comes), reads the response's head, and relays the response. The two directions do not wait for
//! each other: a backend may answer before the request is complete. What can go wrong comes out as an
//! [`Error`](super::Error) that says whose fault it is; [`super::connection`] answers it.

use std::time::{Duration, Instant};

use super::backend::Forwarded;
use super::error::Error;
use super::facts::Facts;
use super::hop_by_hop::ConnectionOptions;
use super::load_balancer::Tried;
use super::peer::{Context, Peer};
use super::request::{self, Forwarding};
use super::response::{self, Answering};
use super::tunnel::Tunnel;
use crate::http::body::{BodyDecoder, Flow, Inlet, Outlet, Relay, RelayError};
use crate::http::head::{HeadLimits, HeadScan};
use crate::http::{BodyFraming, Field, HttpStatus, HttpVersion, MessageError, RequestHead, ResponseHead, framing};
use crate::settings::{Timeouts, deadline};
use crate::socketserver::{Outgoing, Readiness, Token};

/// A peer that moves less than `limits.min_rate` may do so for this long: a phone in a tunnel comes out again.
const SLOW_GRACE: Duration = Duration::from_secs(20);

/// How an exchange stands after a turn.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for one of its peers.
    Wait(Waiting),
    /// It could go on, and has had its turn.
    Turn,
    /// The response is sent, to the last byte. The client's connection serves on if `keep`.
    Finished { keep: bool },
}

/// What an exchange waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) client: Readiness,
    pub(super) backend: (Token, Readiness),
    pub(super) deadline: Instant,
}

/// The state of one exchange. Used again for another one when it is over, so that its vectors keep their room.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: RequestHead,
    pub(super) facts: Facts,
    framing: BodyFraming,
    /// The client asks for a WebSocket.
    upgrade: bool,
    /// The client's connection may serve on.
    keep: bool,
    tried: Tried,
    retries: u32,
    forwarded: Option<Forwarded>,
    to_backend: Outgoing,
    /// The request's content, until it is sent.
    upload: Option<Relay>,
    /// The backend takes no more of the request, but may still answer it.
    upload_lost: bool,
    /// When the last of the request was sent, or the last interim response came.
    asked: Instant,
    /// Until when the client waits for the backend to let it send the content.
    expects_until: Option<Instant>,
    response: ResponseHead,
    scan: HeadScan,
    interims: u32,
    /// The response's content, once its head is on its way to the client.
    download: Option<Relay>,
    /// The response's end is the connection's end.
    ends_with_connection: bool,
    /// The backend keeps its connection open after this response.
    reusable: bool,
    tunnel: Option<Box<Tunnel>>,
}

impl Exchange {
    pub(super) fn new(now: Instant) -> Exchange {
        Exchange {
            request: RequestHead::default(),
            facts: Facts::new(now),
            framing: BodyFraming::None,
            upgrade: false,
            keep: true,
            tried: Tried::default(),
            retries: 0,
            forwarded: None,
            to_backend: Outgoing::default(),
            upload: None,
            upload_lost: false,
            asked: now,
            expects_until: None,
            response: ResponseHead::default(),
            scan: HeadScan::default(),
            interims: 0,
            download: None,
            ends_with_connection: false,
            reusable: false,
            tunnel: None,
        }
    }

    /// Ready for another request; what the last one left is dropped, the room of its vectors stays.
    pub(super) fn reset(&mut self) {
        self.request.clear();
        self.response.headers.clear();
        self.tried.clear();
        (self.retries, self.interims) = (0, 0);
        (self.upgrade, self.upload_lost, self.ends_with_connection) = (false, false, false);
        self.forwarded = None;
        self.to_backend = Outgoing::default();
        (self.upload, self.download, self.tunnel) = (None, None, None);
        self.expects_until = None;
        self.scan = HeadScan::default();
    }

    /// Looks at the request as a whole: what is it, and may it go on?
    ///
    /// # Errors
    /// What is to be answered instead.
    pub(super) fn begin(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let head = &self.request;
        let options = ConnectionOptions::of(&head.headers);
        self.keep = match head.version {
            HttpVersion::Http11 => !options.close,
            HttpVersion::Http10 => options.keep_alive && !options.close,
        };
        request::check_request(head)?;
        self.framing = framing::of_request(head).map_err(Error::Client)?;
        let limits = &cx.handler.settings().limits;
        if matches!(self.framing, BodyFraming::Length(length) if length > limits.body) {
            return Err(Error::Client(MessageError::ContentTooLarge));
        }
        self.upgrade = self.framing == BodyFraming::None && request::wants_websocket(head, &options);
        self.begin_upload(cx);
        if self.upload.is_some() && head_expects_continue(&self.request) {
            self.expects_until = Some(deadline(cx.now, cx.handler.settings().timeouts.expect));
        }
        Ok(())
    }

    fn begin_upload(&mut self, cx: &Context<'_>) {
        let limits = &cx.handler.settings().limits;
        self.upload = (self.framing != BodyFraming::None).then(|| {
            let decoder = BodyDecoder::new(self.framing, limits);
            Relay::new(decoder, self.framing == BodyFraming::Chunked).limited_to(limits.body)
        });
    }

    /// Whether all of the request was read: if not, what follows on the connection is not the next request.
    pub(super) fn is_request_read(&self) -> bool {
        !self.upload_lost && self.upload.as_ref().is_none_or(Relay::is_received)
    }

    /// Whether the head of a final response is on its way: there can be no other answer any more.
    pub(super) fn is_answered(&self) -> bool {
        self.download.is_some() || self.tunnel.is_some()
    }

    /// Whether the client would take the end of the connection for the end of the response.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.ends_with_connection
    }

    /// Whether the client wants to go on after this exchange.
    pub(super) fn may_keep(&self) -> bool {
        self.keep
    }

    /// What happened at the backend's socket.
    pub(super) fn note_backend(&mut self, edges: Readiness) {
        if let Some(forwarded) = &mut self.forwarded {
            forwarded.connection.socket.note(edges);
        }
    }

    /// Gives the worker its room back before a wait.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
        cx.worker.take_back(&mut self.to_backend);
        if let Some(forwarded) = &mut self.forwarded {
            cx.worker.take_back(&mut forwarded.connection.input);
        }
    }

    /// Goes on as far as possible without waiting.
    ///
    /// # Errors
    /// Why the exchange cannot be completed.
    pub(super) fn advance(&mut self, client: &mut Peer, cx: &mut Context<'_>) -> Result<Step, Error> {
        loop {
            if self.forwarded.is_none() {
                self.forward(client, cx)?;
            }
            match self.converse(client, cx) {
                Err(Error::Backend(defect)) if self.may_retry(&defect, cx) => self.prepare_retry(cx),
                result => return result,
            }
        }
    }

    /// Gets a connection to a backend, and makes the head that it will be sent.
    fn forward(&mut self, client: &Peer, cx: &mut Context<'_>) -> Result<(), Error> {
        let fresh = self.retries > 0;
        let result = cx.handler.balancer().forward_request(&mut self.tried, fresh, cx.worker);
        self.facts.tries = self.tried.attempts;
        let mut forwarded = result?;
        // A request that cannot be sent twice must not meet a connection that the backend has just closed.
        if forwarded.reused && !is_idempotent(self.request.method()) && !forwarded.connection.socket.is_quiet() {
            forwarded = cx.handler.balancer().forward_request(&mut self.tried, true, cx.worker)?;
        }
        self.facts.backend = Some(std::sync::Arc::clone(forwarded.backend()));
        self.facts.connect = forwarded.connect_time;
        self.forwarded = Some(forwarded);

        let id = self.facts.id.text();
        let how = Forwarding {
            client: client.address.ip().to_canonical(),
            trusted: cx.handler.trusts(client.address.ip()),
            framing: self.framing,
            upgrade: self.upgrade,
            id: &id,
        };
        cx.worker.lend(&mut self.to_backend);
        let options = ConnectionOptions::of(&self.request.headers);
        request::prepare_request(&self.request, &options, &how, self.to_backend.bytes());
        self.asked = cx.now;
        Ok(())
    }

    /// Both directions, once.
    fn converse(&mut self, client: &mut Peer, cx: &mut Context<'_>) -> Result<Step, Error> {
        cx.worker.lend(&mut client.output);
        cx.worker.lend(&mut self.to_backend);
        if let Some(forwarded) = &mut self.forwarded {
            cx.worker.lend(&mut forwarded.connection.input);
        }
        if self.tunnel.is_some() {
            return self.tunnel(client, cx);
        }
        if client.socket.is_broken() {
            return Err(Error::ClientGone);
        }
        let up = self.send_request(client, cx)?;
        if self.download.is_none() {
            self.receive_head(client, cx)?;
        }
        if self.tunnel.is_some() {
            return self.tunnel(client, cx);
        }
        let down = self.send_response(client, cx)?;
        match (up, down) {
            (_, Flow::Done) => Ok(self.finish(cx)),
            (Flow::Turn, _) | (_, Flow::Turn) => Ok(Step::Turn),
            (up, down) => self.wait(up, down, client, cx),
        }
    }

    /// Sends what there is of the request: `Done` when all of it was sent.
    fn send_request(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Flow, Error> {
        let Some(forwarded) = &mut self.forwarded else { return Ok(Flow::Done) };
        let backend = &mut forwarded.connection.socket;
        let Some(upload) = &mut self.upload else {
            return Ok(match self.to_backend.send(backend) {
                Ok(false) => Flow::Full,
                Ok(true) => Flow::Done,
                Err(_) => self.lose_upload(),
            });
        };
        let before = upload.moved();
        let from = Inlet { socket: &mut client.socket, buffer: &mut client.input };
        let to = Outlet { socket: backend, outgoing: &mut self.to_backend };
        let flow = match upload.pump(from, to, cx.now) {
            Ok(flow) => flow,
            Err(RelayError::Sender(defect)) => return Err(Error::Client(defect)),
            Err(RelayError::Receiver(_)) => return Ok(self.lose_upload()),
        };
        if upload.moved() > before {
            self.expects_until = None;
            self.asked = cx.now;
        }
        if flow == Flow::Done {
            self.upload = None;
        }
        Ok(flow)
    }

    /// A backend that takes no more may have answered already: what it said is worth reading.
    fn lose_upload(&mut self) -> Flow {
        if self.upload.take().is_some() {
            self.upload_lost = true;
        }
        self.to_backend.bytes().clear();
        if let Some(forwarded) = &mut self.forwarded {
            forwarded.connection.socket.note(Readiness::BROKEN);
        }
        Flow::Done
    }

    /// Reads the response's head, and interim responses before it, as far as they have come.
    fn receive_head(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let limits = HeadLimits::of_response(&cx.handler.settings().limits);
        while self.download.is_none() && self.tunnel.is_none() {
            let Some(forwarded) = &mut self.forwarded else { return Ok(()) };
            let connection = &mut forwarded.connection;
            let Some(length) = self.scan.find_end(connection.input.unread(), &limits).map_err(Error::Backend)? else {
                match connection.input.fill(&mut connection.socket) {
                    Ok(0) => return Err(Error::Backend(MessageError::Incomplete)),
                    Ok(_) => continue,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(Error::Backend(error.into())),
                }
            };
            self.response.parse(&connection.input.unread()[..length], &limits).map_err(Error::Backend)?;
            connection.input.consume(length);
            self.scan = HeadScan::default();
            match self.response.status {
                HttpStatus::SWITCHING_PROTOCOLS => self.begin_tunnel(client, cx)?,
                status if status.is_interim() => self.relay_interim(client, cx)?,
                _ => self.begin_response(client, cx)?,
            }
        }
        Ok(())
    }

    /// 1xx: passed on at once, to those who know it (RFC 9110 §15.2).
    fn relay_interim(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        self.interims += 1;
        if self.interims > cx.handler.settings().limits.interim {
            return Err(Error::Backend(MessageError::Malformed("too-many-interim-responses")));
        }
        self.asked = cx.now;
        if self.response.status == HttpStatus::CONTINUE {
            self.expects_until = None;
        }
        if self.request.version == HttpVersion::Http11 {
            let options = ConnectionOptions::of(&self.response.headers);
            response::prepare_interim(&self.response, &options, client.output.bytes());
            client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
        }
        Ok(())
    }

    fn begin_tunnel(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let options = ConnectionOptions::of(&self.response.headers);
        if !self.upgrade || !response::accepts_websocket(&self.response, &options) {
            return Err(Error::Backend(MessageError::Malformed("unwanted-upgrade")));
        }
        response::prepare_upgrade(&self.response, &options, client.output.bytes());
        self.facts.respond(self.response.status, cx.now);
        self.tunnel = Some(Box::new(Tunnel::new(cx.now)));
        Ok(())
    }

    /// The final response's head: decides how its content goes out, and whether the client's connection serves on.
    fn begin_response(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let to_head = self.request.method() == b"HEAD";
        let framing = framing::of_response(&self.response, to_head).map_err(Error::Backend)?;
        let mut how = Answering { framing, version: self.request.version, to_head, keep: false };
        self.ends_with_connection = how.ends_with_connection();
        self.keep &= self.upload.is_none() && !self.upload_lost && !self.ends_with_connection;
        self.keep &= !cx.worker.is_draining();
        how.keep = self.keep;
        let options = ConnectionOptions::of(&self.response.headers);
        let persists = self.response.version == HttpVersion::Http11 && !options.close;
        self.reusable = persists && framing != BodyFraming::UntilClose;
        response::prepare_response(&self.response, &options, &how, client.output.bytes());
        self.facts.respond(self.response.status, cx.now);
        self.expects_until = None;
        self.download = Some(Relay::new(BodyDecoder::new(framing, &cx.handler.settings().limits), how.is_chunked()));
        Ok(())
    }

    /// Sends what there is of the response.
    fn send_response(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Flow, Error> {
        let (Some(forwarded), Some(download)) = (&mut self.forwarded, &mut self.download) else {
            let sent = client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
            return Ok(if sent { Flow::Dry } else { Flow::Full });
        };
        let connection = &mut forwarded.connection;
        let from = Inlet { socket: &mut connection.socket, buffer: &mut connection.input };
        let to = Outlet { socket: &mut client.socket, outgoing: &mut client.output };
        let flow = download.pump(from, to, cx.now).map_err(|error| match error {
            RelayError::Sender(defect) => Error::Backend(defect),
            RelayError::Receiver(_) => Error::ClientGone,
        });
        self.facts.bytes = download.moved();
        flow
    }

    /// All is sent. Keeping the backend's connection is the last step of the one path where everything went well.
    fn finish(&mut self, cx: &mut Context<'_>) -> Step {
        let sent = self.upload.is_none() && !self.upload_lost && self.to_backend.is_empty();
        self.rest(cx);
        if sent
            && self.reusable
            && let Some(forwarded) = self.forwarded.take()
        {
            forwarded.release(self.response.headers.first(Field::KeepAlive));
        }
        Step::Finished { keep: self.keep && sent }
    }

    fn tunnel(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Step, Error> {
        let (Some(forwarded), Some(tunnel)) = (&mut self.forwarded, &mut self.tunnel) else {
            return Err(Error::ClientGone);
        };
        let backend = &mut forwarded.connection;
        let flows = tunnel.pump(client, backend, &mut self.to_backend, cx.now);
        self.facts.bytes = tunnel.down.moved();
        let (up, down) = flows.map_err(|_| Error::ClientGone)?;
        let until = deadline(tunnel.last_moved, cx.handler.settings().timeouts.tunnel);
        match (up, down) {
            (Flow::Done, Flow::Done) => Ok(Step::Finished { keep: false }),
            (Flow::Turn, _) | (_, Flow::Turn) => Ok(Step::Turn),
            _ if until <= cx.now => Err(Error::Client(MessageError::TimedOut)),
            _ => Ok(Step::Wait(self.waiting(up, down, until))),
        }
    }

    /// Waits for whoever holds the exchange up, until that one's time is over.
    fn wait(&mut self, up: Flow, down: Flow, client: &mut Peer, cx: &Context<'_>) -> Result<Step, Error> {
        let settings = cx.handler.settings();
        let rate = settings.limits.min_rate;
        if self.upload.as_ref().is_some_and(|upload| upload.sender_is_slow(rate, SLOW_GRACE)) {
            return Err(Error::Client(MessageError::TimedOut));
        }
        if self.download.as_ref().is_some_and(|download| download.receiver_is_slow(rate, SLOW_GRACE)) {
            return Err(Error::ClientGone);
        }
        if self.expects_until.is_some_and(|until| until <= cx.now) {
            // The backend says nothing; nor would it, if it knows nothing of Expect. The client is not kept waiting.
            self.expects_until = None;
            client.output.bytes().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
        }
        let down = if client.output.is_empty() { down } else { Flow::Full };
        let limits =
            [self.upload_deadline(up, &settings.timeouts), self.download_deadline(up, down, &settings.timeouts)];
        let mut until = deadline(cx.now, Duration::MAX);
        for (limit, guilty) in limits.into_iter().flatten() {
            if limit <= cx.now {
                return Err(guilty);
            }
            until = until.min(limit);
        }
        let until = self.expects_until.map_or(until, |expected| until.min(expected));
        Ok(Step::Wait(self.waiting(up, down, until)))
    }

    /// Until when the request's content may stand still, and who is to blame then.
    fn upload_deadline(&self, up: Flow, timeouts: &Timeouts) -> Option<(Instant, Error)> {
        let stopped = self.upload.as_ref().and_then(Relay::stopped).map_or(self.asked, |(_, since)| since);
        match up {
            Flow::Dry => Some((deadline(stopped, timeouts.body_idle), Error::Client(MessageError::TimedOut))),
            Flow::Full => Some((deadline(stopped, timeouts.response), Error::Backend(MessageError::TimedOut))),
            Flow::Turn | Flow::Done => None,
        }
    }

    /// Until when the response may stand still, and who is to blame then.
    fn download_deadline(&self, up: Flow, down: Flow, timeouts: &Timeouts) -> Option<(Instant, Error)> {
        let stopped = self.download.as_ref().and_then(Relay::stopped).map_or(self.asked, |(_, since)| since);
        match (down, &self.download) {
            (Flow::Full, _) => Some((deadline(stopped, timeouts.send), Error::ClientGone)),
            (_, Some(_)) => {
                let idle = if self.is_event_stream() { timeouts.tunnel } else { timeouts.response_idle };
                Some((deadline(stopped, idle), Error::Backend(MessageError::TimedOut)))
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
        let media_type = self.response.headers.get("content-type").unwrap_or_default();
        media_type.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    }

    fn waiting(&self, up: Flow, down: Flow, deadline: Instant) -> Waiting {
        let when = |is: bool, what: Readiness| if is { what } else { Readiness::NONE };
        let forwarded = self.forwarded.as_ref().expect("an exchange that waits has a backend");
        Waiting {
            client: when(up == Flow::Dry, Readiness::READ) | when(down == Flow::Full, Readiness::WRITE),
            backend: (
                forwarded.connection.socket.token(),
                when(down == Flow::Dry, Readiness::READ) | when(up == Flow::Full, Readiness::WRITE),
            ),
            deadline,
        }
    }

    /// Whether the request can be sent once more: nothing of a response came, nothing is lost if the backend did get
    /// the request (RFC 9110 §9.2.2), and the next attempt meets something else than this one.
    fn may_retry(&self, defect: &MessageError, cx: &Context<'_>) -> bool {
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

    fn prepare_retry(&mut self, cx: &Context<'_>) {
        let Some(forwarded) = self.forwarded.take() else { return };
        if !forwarded.reused {
            cx.handler.balancer().pass_over(forwarded.backend(), &mut self.tried);
        }
        self.retries += 1;
        self.to_backend.bytes().clear();
        self.scan = HeadScan::default();
    }
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}

/// RFC 9110 §10.1.1; HTTP/1.0 knows no interim responses.
fn head_expects_continue(head: &RequestHead) -> bool {
    head.version == HttpVersion::Http11 && head.headers.lists(Field::Expect, "100-continue")
}
