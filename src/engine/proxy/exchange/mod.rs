//! One request and its response: from the parsed head of the request to the last byte of the response.
//!
//! `Exchange::advance` goes on as far as it can without waiting: it gets a connection to a backend, sends the request
//! (its content as it comes), reads the response's head, and relays the response. The two directions do not wait for
//! each other: a backend may answer before the request is complete. What can go wrong comes out as an
//! [`Error`] that says whose fault it is; [`super::connection`] answers it.
//!
//! Here is the request's way; what is decided before it goes on is in `beginning.rs`, how it gets a backend's connection
//! in `obtaining.rs`, the response's way in `response.rs`, waits and their ends in `waiting.rs`, second attempts in
//! `retry.rs`.

mod beginning;
mod obtaining;
mod response;
mod retry;
mod waiting;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Attempt;
use super::backend::{Backend, BackendConnection};
use super::error::Error;
use super::facts::Facts;
use super::hop_by_hop::ConnectionOptions;
use super::line::Spot;
use super::load_balancer::{LoadBalancer, Tried};
use super::peer::{Context, Peer};
use super::request::{self, Forwarding};
use super::routing::{Route, Site};
use super::tunnel::Tunnel;
use crate::http::head::HeadScan;
use crate::http::relay::{Flow, Inlet, Outlet, Relay, RelayError};
use crate::http::{BodyFraming, Field, RequestHead, ResponseHead};
use crate::settings::group::HostSent;
use crate::socketserver::{Outgoing, Readiness, Token};

/// How an exchange stands after a turn.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for one of its peers.
    Wait(Waiting),
    /// It could go on, and has had its turn.
    GiveWay,
    /// The response is sent, to the last byte. The client's connection serves on if `keep`.
    Finished { keep: bool },
}

/// What an exchange waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) client: Readiness,
    pub(super) backend: Option<(Token, Readiness)>,
    pub(super) deadline: Instant,
}

/// The state of one exchange. Used again for another one when it is over, so that its vectors keep their room.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: RequestHead,
    pub(super) facts: Facts,
    framing: BodyFraming,
    /// While it waits: where it goes. A turn has it in its context.
    pub(super) route: Option<Arc<Route>>,
    /// As well, until the response: what it began with, whatever the configuration is by now. A response that goes on for
    /// hours, as a tunnel may, needs it no more: it would keep up all old groups.
    pub(super) site: Option<Arc<Site>>,
    /// Who the client is, after what a proxy that is believed said of it.
    pub(super) client: Option<IpAddr>,
    /// The client asks for a WebSocket.
    upgrade: bool,
    /// The client's connection may serve on.
    keep: bool,
    /// The backends that it has tried: the last is the one that the log names.
    pub(super) tried: Tried,
    retries: u32,
    /// Of these, those after a connection that was used again and found dead: at most one.
    stale: u32,
    link: Option<BackendConnection>,
    /// A backend that was asked for a connection.
    attempt: Option<Attempt>,
    /// The place in line for a backend, and since when.
    spot: Option<(Spot, Instant)>,
    to_backend: Outgoing,
    /// The request's content, until it is sent.
    upload: Option<Relay>,
    /// The request's content once it is sent, or lost, in case it has to be sent again.
    sent: Option<Relay>,
    /// The backend takes no more of the request, but may still answer it.
    upload_lost: bool,
    /// When the last of the request was sent, or the last interim response came.
    asked: Instant,
    /// Until when the client waits for the backend to let it send the content.
    expects_until: Option<Instant>,
    /// There are content and an Expect field, and no 100 so far: the backend may take the one for the next request.
    unasked: bool,
    /// The deadline at which it was tried once more whether a peer takes anything.
    tried_late: Option<Instant>,
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
            route: None,
            site: None,
            client: None,
            upgrade: false,
            keep: true,
            tried: Tried::default(),
            retries: 0,
            stale: 0,
            link: None,
            attempt: None,
            spot: None,
            to_backend: Outgoing::default(),
            upload: None,
            sent: None,
            upload_lost: false,
            asked: now,
            expects_until: None,
            unasked: false,
            tried_late: None,
            response: ResponseHead::default(),
            scan: HeadScan::default(),
            interims: 0,
            download: None,
            ends_with_connection: false,
            reusable: false,
            tunnel: None,
        }
    }

    /// Ready for another request: as new, but for the room of its vectors.
    pub(super) fn reset(&mut self) {
        let mut last = std::mem::replace(self, Exchange::new(self.asked));
        last.request.clear();
        last.response.headers.clear();
        last.tried.clear();
        (self.request, self.response, self.tried) = (last.request, last.response, last.tried);
    }

    /// Whether all of the request was read: if not, what follows on the connection is not the next request.
    pub(super) fn is_request_read(&self) -> bool {
        let content = self.upload.as_ref().or(self.sent.as_ref());
        !self.upload_lost && content.map_or(self.framing == BodyFraming::None, Relay::is_received)
    }

    /// Bytes of content that the client has sent.
    pub(super) fn received(&self) -> u64 {
        let tunnelled = self.tunnel.as_ref().map_or(0, |tunnel| tunnel.up.moved());
        tunnelled + self.upload.as_ref().or(self.sent.as_ref()).map_or(0, Relay::moved)
    }

    /// Whether the head of a final response is on its way: there can be no other answer any more.
    pub(super) fn is_answered(&self) -> bool {
        self.download.is_some() || self.tunnel.is_some()
    }

    /// Takes the answer back, of which nothing was sent.
    pub(super) fn take_answer_back(&mut self) {
        self.keep &= self.tunnel.is_none(); // What the client has sent behind its request went into the tunnel.
        (self.download, self.tunnel, self.ends_with_connection, self.facts.first) = (None, None, false, None);
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
        if let Some(link) = &mut self.link {
            link.connection.socket.note(edges);
        } else if let Some(attempt) = &mut self.attempt {
            attempt.note(edges);
        }
    }

    /// Gives the worker its room back before a wait.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
        cx.worker.take_back(&mut self.to_backend);
        if let Some(link) = &mut self.link {
            cx.worker.take_back(&mut link.connection.input);
        }
    }

    /// Gives the buffers room, but for those that this turn has no use for.
    fn lend_room(&mut self, client: &mut Peer, cx: &mut Context<'_>) {
        if self.upload.is_some() || self.tunnel.is_some() {
            cx.worker.lend(&mut self.to_backend);
        }
        if let Some(link) = &mut self.link
            && link.connection.socket.is_readable()
        {
            cx.worker.lend(&mut link.connection.input);
            cx.worker.lend(&mut client.output);
        }
    }

    /// Goes on as far as possible without waiting.
    ///
    /// # Errors
    /// Why the exchange cannot be completed.
    pub(super) fn advance(&mut self, client: &mut Peer, cx: &mut Context<'_>) -> Result<Step, Error> {
        loop {
            if self.link.is_none()
                && let Some(wait) = self.obtain_connection(client, cx)?
            {
                return Ok(Step::Wait(wait));
            }
            match self.converse(client, cx) {
                Err(Error::Backend(defect)) => {
                    self.blame(&defect, cx);
                    if !self.may_retry(&defect, cx) {
                        return Err(Error::Backend(defect));
                    }
                    self.prepare_retry(defect, cx);
                }
                result => return result,
            }
        }
    }

    /// Makes the head that the backend is sent.
    fn prepare(&mut self, link: BackendConnection, client: &Peer, cx: &mut Context<'_>) {
        self.facts.connect = link.connect_time;
        cx.worker.lend(&mut self.to_backend);
        let how = Forwarding {
            client: client.address.ip(),
            trusted: cx.site.trusts(client.address.ip()),
            framing: self.framing,
            upgrade: self.upgrade,
            id: cx.site.id_for(&self.request, self.facts.id.as_bytes()),
            host: host_sent(cx.balancer(), link.backend()),
            route: &cx.route().settings,
        };
        let options = ConnectionOptions::of(&self.request.headers);
        request::prepare_request(&self.request, &options, &how, self.to_backend.bytes());
        self.link = Some(link);
        self.send_again();
        self.asked = cx.now;
    }

    /// Both directions, once.
    fn converse(&mut self, client: &mut Peer, cx: &mut Context<'_>) -> Result<Step, Error> {
        self.lend_room(client, cx);
        if self.tunnel.is_some() {
            return self.tunnel(client, cx);
        }
        if client.socket.is_broken() {
            return Err(Error::ClientGone);
        }
        let up = self.send_request(client, cx)?;
        if self.download.is_none() {
            // What the client has not taken of an interim response goes first: only behind it is more looked at.
            client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
            self.receive_head(client, cx)?;
        }
        if self.tunnel.is_some() {
            return self.tunnel(client, cx);
        }
        let down = self.send_response(client, cx)?;
        match (up, down) {
            (_, Flow::Done) => Ok(self.finish(cx)),
            (Flow::GiveWay, _) | (_, Flow::GiveWay) => Ok(Step::GiveWay),
            (up, down) => self.wait(up, down, client, cx),
        }
    }

    /// Sends what there is of the request: `Done` when all of it was sent.
    fn send_request(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Flow, Error> {
        let Some(link) = &mut self.link else { return Ok(Flow::Done) };
        let backend = &mut link.connection.socket;
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
            self.sent = self.upload.take();
        }
        Ok(flow)
    }

    /// A backend that takes no more may have answered already: what it said is worth reading.
    fn lose_upload(&mut self) -> Flow {
        if self.upload.is_some() {
            self.upload_lost = true;
            self.sent = self.upload.take();
        }
        self.to_backend.bytes().clear();
        if let Some(link) = &mut self.link {
            link.connection.socket.note(Readiness::BROKEN);
        }
        Flow::Done
    }

    /// All is sent. Keeping the backend's connection is the last step of the one path where everything went well.
    fn finish(&mut self, cx: &mut Context<'_>) -> Step {
        let sent = self.upload.is_none() && !self.upload_lost && self.to_backend.is_empty();
        self.rest(cx);
        if let Some(link) = self.link.take().filter(|_| sent && self.reusable) {
            link.release(self.response.headers.first(Field::KeepAlive), cx.now);
        }
        Step::Finished { keep: self.keep && sent }
    }
}

/// What takes the place of the client's Host, if anything does.
fn host_sent<'a>(balancer: &'a LoadBalancer, backend: &'a Backend) -> Option<&'a [u8]> {
    match &balancer.group().host {
        HostSent::Client => None,
        HostSent::Backend if backend.name().starts_with("unix:") => Some(b"localhost"),
        HostSent::Backend => Some(backend.name().as_bytes()),
        HostSent::Literal(host) => Some(host.as_bytes()),
    }
}
