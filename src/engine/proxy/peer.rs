//! The client's side of a connection, and what every step of serving it is given.

use std::sync::Arc;
use std::time::Instant;

use super::load_balancer::LoadBalancer;
use super::reverse_proxy::ReverseProxyHandler;
use super::routing::{Route, Site};
use crate::settings::Settings;
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
    /// The one that the exchange which goes on began with, else the present one: a request that begins now begins with
    /// it.
    pub(super) site: Arc<Site>,
    /// The route of the exchange that goes on; `None` if it has none.
    pub(super) route: Option<Arc<Route>>,
    pub(super) worker: &'a mut Worker,
    /// When the turn began: near enough to now for every deadline.
    pub(super) now: Instant,
    /// Since when it waited for a worker: a request that begins with this turn is turned away if that is too long.
    pub(super) ready_since: Option<Instant>,
    /// The server stops, or needs the connection's place: if it is idle, it ends.
    pub(super) leave: bool,
}

impl Context<'_> {
    /// Whether a backend gets the exchange: not if we answer it ourselves.
    pub(super) fn is_forwarded(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.balancer.is_some())
    }

    #[inline]
    pub(super) fn route(&self) -> &Route {
        self.route.as_deref().expect("an exchange that goes on has a route")
    }

    /// Timeouts and limits of the exchange.
    #[inline]
    pub(super) fn settings(&self) -> &Settings {
        &self.route().settings.settings
    }

    #[inline]
    pub(super) fn balancer(&self) -> &LoadBalancer {
        self.route().balancer.as_deref().expect("an exchange that goes on is forwarded")
    }
}
