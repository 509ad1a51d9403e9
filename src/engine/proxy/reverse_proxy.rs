//! The reverse proxy: what all its connections share.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::connection::ClientConnection;
use super::exchange::Exchange;
use super::facts::{Facts, RequestId};
use super::load_balancer::LoadBalancer;
use super::upkeep;
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::access::LogFormat;
use crate::network::Network;
use crate::settings::Settings;
use crate::socketserver::{Next, PeerAddress, RequestHandler, Socket};

/// Exchanges kept for the next requests. Beyond that many at once, memory is better given back.
const SPARE_EXCHANGES: usize = 64;

/// Forwards requests to the backends of a load balancer, and their responses to the clients.
///
/// Python: the article's `ReverseProxyHandler(BaseHTTPRequestHandler)`.
#[derive(Debug)]
pub struct ReverseProxyHandler {
    balancer: Arc<LoadBalancer>,
    settings: Settings,
    trusted: Vec<Network>,
    access_log: Option<LogFormat>,
    ids: AtomicU64,
    #[allow(clippy::vec_box, reason = "they go in and out without being moved")]
    spare: Mutex<Vec<Box<Exchange>>>,
}

impl ReverseProxyHandler {
    /// A proxy in front of the backends of `balancer`, which may be shared.
    #[must_use]
    pub fn new(balancer: Arc<LoadBalancer>, settings: Settings) -> ReverseProxyHandler {
        if let Some(discovery) = balancer.take_discovery() {
            upkeep::tend(&balancer, discovery);
        }
        ReverseProxyHandler {
            balancer,
            settings,
            trusted: Vec::new(),
            access_log: None,
            ids: AtomicU64::new(rand::make_rng::<SmallRng>().random()),
            spare: Mutex::new(Vec::new()),
        }
    }

    /// Believes what these peers say of their clients in X-Forwarded fields.
    #[must_use]
    pub fn trusting(mut self, trusted: Vec<Network>) -> ReverseProxyHandler {
        self.trusted = trusted;
        self
    }

    /// Writes a line for each exchange, through the `log` crate with the target `access`.
    #[must_use]
    pub fn with_access_log(mut self, format: Option<LogFormat>) -> ReverseProxyHandler {
        self.access_log = format;
        self
    }

    pub(super) fn balancer(&self) -> &LoadBalancer {
        &self.balancer
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn access_log(&self) -> Option<LogFormat> {
        self.access_log
    }

    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }

    pub(super) fn new_exchange(&self, now: Instant) -> Box<Exchange> {
        let spare = self.spare.lock().expect("no panic under the lock").pop();
        let mut exchange = spare.unwrap_or_else(|| Box::new(Exchange::new(now)));
        exchange.facts = Facts { id: RequestId::next(&self.ids), ..Facts::new(now) };
        exchange
    }

    pub(super) fn keep_exchange(&self, mut exchange: Box<Exchange>) {
        exchange.reset();
        let mut spare = self.spare.lock().expect("no panic under the lock");
        if spare.len() < SPARE_EXCHANGES {
            spare.push(exchange);
        }
    }
}

impl RequestHandler for ReverseProxyHandler {
    fn handle(self: Arc<Self>, request: Socket, client_address: PeerAddress) -> Next {
        ClientConnection::begin(self, request, client_address)
    }
}
