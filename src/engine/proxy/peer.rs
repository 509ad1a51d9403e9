//! The client's side of a connection, and what every step of serving it is given.

use std::time::Instant;

use super::reverse_proxy::ReverseProxyHandler;
use crate::socketserver::{Buffer, Outgoing, PeerAddress, Socket, Worker};

/// A client: its socket, what it has sent and what it is to be sent.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: Socket,
    pub(super) address: PeerAddress,
    pub(super) input: Buffer,
    pub(super) output: Outgoing,
}

/// What a turn is worked with.
pub(super) struct Context<'a> {
    pub(super) handler: &'a ReverseProxyHandler,
    pub(super) worker: &'a mut Worker,
    /// When the turn began: near enough to now for every deadline.
    pub(super) now: Instant,
    /// It waited for a worker for longer than `timeouts.queue`: a request that begins in this turn is turned away.
    pub(super) late: bool,
    /// The server stops, or needs the connection's place: if it is idle, it ends.
    pub(super) leave: bool,
}
