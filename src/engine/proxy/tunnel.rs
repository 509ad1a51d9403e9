//! A connection that no longer speaks HTTP: bytes both ways, until both sides have ended. RFC 9110 §7.8, RFC 6455.

use std::time::Instant;

use super::error::Error;
use super::peer::Peer;
use crate::http::body::BodyDecoder;
use crate::http::client::HttpConnection;
use crate::http::relay::{Flow, Inlet, Outlet, Relay, RelayError};
use crate::socketserver::Outgoing;

/// Two relays without framing. Each side can end without the other's ending.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) up: Direction,
    pub(super) down: Direction,
    /// When a byte last moved.
    pub(super) last_moved: Instant,
}

#[derive(Debug)]
pub(super) struct Direction {
    relay: Relay,
    ended: bool,
}

impl Direction {
    fn new() -> Direction {
        Direction { relay: Relay::new(BodyDecoder::UntilClose, false), ended: false }
    }

    fn pump(&mut self, from: Inlet<'_>, to: Outlet<'_>, now: Instant) -> Result<Flow, RelayError> {
        if self.ended {
            return Ok(Flow::Done);
        }
        let Outlet { socket, outgoing } = to;
        let flow = self.relay.pump(from, Outlet { socket, outgoing }, now)?;
        if flow == Flow::Done {
            self.ended = true;
            // The receiver reads the end, and may still have something to say. It fails if it has ended altogether.
            let _ = socket.end_writes();
        }
        Ok(flow)
    }

    pub(super) fn moved(&self) -> u64 {
        self.relay.moved()
    }
}

impl Tunnel {
    pub(super) fn new(now: Instant) -> Tunnel {
        Tunnel { up: Direction::new(), down: Direction::new(), last_moved: now }
    }

    /// Moves what can be moved; where each direction, up and down, then stands.
    pub(super) fn pump(
        &mut self,
        client: &mut Peer,
        backend: &mut HttpConnection,
        to_backend: &mut Outgoing,
        now: Instant,
    ) -> Result<(Flow, Flow), Error> {
        let moved = self.up.moved() + self.down.moved();
        let up = self.up.pump(
            Inlet { socket: &mut client.socket, buffer: &mut client.input },
            Outlet { socket: &mut backend.socket, outgoing: to_backend },
            now,
        );
        let up = up.map_err(|error| match error {
            RelayError::Sender(_) => Error::ClientGone,
            RelayError::Receiver(defect) => Error::Backend(defect),
        })?;
        let down = self.down.pump(
            Inlet { socket: &mut backend.socket, buffer: &mut backend.input },
            Outlet { socket: &mut client.socket, outgoing: &mut client.output },
            now,
        );
        let down = down.map_err(|error| match error {
            RelayError::Sender(defect) => Error::Backend(defect),
            RelayError::Receiver(_) => Error::ClientGone,
        })?;
        // After its end nothing is read from the client, which would tell that it is gone altogether.
        if self.up.ended && !self.down.ended && client.socket.is_broken() {
            return Err(Error::ClientGone);
        }
        if self.up.moved() + self.down.moved() > moved {
            self.last_moved = now;
        }
        Ok((up, down))
    }
}
