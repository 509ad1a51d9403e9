//! The response's half of an exchange: from the backend's first byte to the client's last.

use super::{Exchange, Step};
use crate::http::body::BodyDecoder;
use crate::http::head::{HeadLimits, HeadScan};
use crate::http::relay::{Flow, Inlet, Outlet, Relay, RelayError};
use crate::http::{BodyFraming, HttpStatus, HttpVersion, MessageError, framing};
use crate::proxy::error::Error;
use crate::proxy::hop_by_hop::ConnectionOptions;
use crate::proxy::peer::{Context, Peer};
use crate::proxy::response::{self, Answering};
use crate::proxy::tunnel::Tunnel;
use crate::settings::deadline;

impl Exchange {
    /// Reads the response's head, and interim responses before it, as far as they have come and the client takes them:
    /// one that it has not taken is all that is held of them.
    pub(super) fn receive_head(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let limits = HeadLimits::of_response(&cx.settings().limits);
        while self.download.is_none() && self.tunnel.is_none() && client.output.is_empty() {
            let Some(link) = &mut self.link else { return Ok(()) };
            let connection = &mut link.connection;
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
        if self.interims > cx.settings().limits.interim {
            return Err(Error::Backend(MessageError::Malformed("too-many-interim-responses")));
        }
        self.asked = cx.now;
        if self.response.status == HttpStatus::CONTINUE {
            self.expects_until = None;
            self.unasked = false;
        }
        if self.request.version == HttpVersion::Http11 {
            let options = ConnectionOptions::of(&self.response.headers);
            let edits = &cx.route().settings.response_headers;
            response::prepare_interim(&self.response, &options, edits, client.output.bytes());
            client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
        }
        Ok(())
    }

    fn begin_tunnel(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let options = ConnectionOptions::of(&self.response.headers);
        if !self.upgrade || !response::accepts_websocket(&self.response, &options) {
            return Err(Error::Backend(MessageError::Malformed("unwanted-upgrade")));
        }
        let how = Answering {
            framing: BodyFraming::None,
            version: self.request.version,
            to_head: false,
            keep: false,
            edits: &cx.route().settings.response_headers,
            id: cx.site.id_for(&self.request, self.facts.id.as_bytes()),
        };
        client.output.begin();
        response::prepare_upgrade(&self.response, &options, &how, client.output.bytes());
        self.facts.respond(self.response.status, cx.now);
        self.praise(cx);
        self.tunnel = Some(Box::new(Tunnel::new(cx.now)));
        self.ends_with_connection = true;
        Ok(())
    }

    /// The final response's head: decides how its content goes out, and whether the client's connection serves on.
    fn begin_response(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<(), Error> {
        let to_head = self.request.method() == b"HEAD";
        let framing = framing::of_response(&self.response, to_head).map_err(Error::Backend)?;
        let edits = &cx.route().settings.response_headers;
        let id = cx.site.id_for(&self.request, self.facts.id.as_bytes());
        let mut how = Answering { framing, version: self.request.version, to_head, keep: false, edits, id };
        self.ends_with_connection = how.ends_with_connection();
        self.keep &= self.upload.is_none() && !self.upload_lost && !self.ends_with_connection;
        self.keep &= !cx.worker.is_draining();
        how.keep = self.keep;
        let options = ConnectionOptions::of(&self.response.headers);
        let persists = self.response.version == HttpVersion::Http11 && !options.close;
        self.reusable = persists
            && !self.unasked
            && framing != BodyFraming::UntilClose
            && !framing::may_go_on(&self.response, to_head);
        client.output.begin();
        response::prepare_response(&self.response, &options, &how, client.output.bytes());
        let (chunked, keeps_trailer) = (how.is_chunked(), options.leave_ordinary(edits));
        self.facts.respond(self.response.status, cx.now);
        self.praise(cx);
        self.expects_until = None;
        let relay = Relay::new(BodyDecoder::new(framing, &cx.settings().limits), chunked);
        self.download = Some(relay.keeping_trailer(keeps_trailer));
        Ok(())
    }

    /// Sends what there is of the response.
    pub(super) fn send_response(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Flow, Error> {
        let (Some(link), Some(download)) = (&mut self.link, &mut self.download) else {
            let sent = client.output.send(&mut client.socket).map_err(|_| Error::ClientGone)?;
            return Ok(if sent { Flow::Dry } else { Flow::Full });
        };
        let connection = &mut link.connection;
        let from = Inlet { socket: &mut connection.socket, buffer: &mut connection.input };
        let to = Outlet { socket: &mut client.socket, outgoing: &mut client.output };
        let flow = download.pump(from, to, cx.now).map_err(|error| match error {
            RelayError::Sender(defect) => Error::Backend(defect),
            RelayError::Receiver(_) => Error::ClientGone,
        });
        self.facts.bytes = download.moved();
        flow
    }

    pub(super) fn tunnel(&mut self, client: &mut Peer, cx: &Context<'_>) -> Result<Step, Error> {
        let (Some(link), Some(tunnel)) = (&mut self.link, &mut self.tunnel) else {
            return Err(Error::ClientGone);
        };
        let backend = &mut link.connection;
        let flows = tunnel.pump(client, backend, &mut self.to_backend, cx.now);
        self.facts.bytes = tunnel.down.moved();
        let (up, down) = flows?;
        let until = deadline(tunnel.last_moved, cx.settings().timeouts.tunnel);
        match (up, down) {
            (Flow::Done, Flow::Done) => Ok(Step::Finished { keep: false }),
            (Flow::GiveWay, _) | (_, Flow::GiveWay) => Ok(Step::GiveWay),
            _ if until <= cx.now && self.try_late(until, client) => Ok(Step::GiveWay),
            _ if until <= cx.now => {
                self.facts.reason = "tunnel-idle";
                Ok(Step::Finished { keep: false })
            }
            _ => Ok(Step::Wait(self.waiting(up, down, until))),
        }
    }
}
