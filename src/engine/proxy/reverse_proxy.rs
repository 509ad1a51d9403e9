//! The reverse proxy: what all its connections share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use super::connection::ClientConnection;
use super::exchange::Exchange;
use super::facts::{Facts, RequestId};
use super::load_balancer::LoadBalancer;
use super::metrics::Tally;
use super::recent::Recent;
use super::routing::Site;
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::access::LogFormat;
use crate::settings::Settings;
use crate::settings::site::SiteSettings;
use crate::socketserver::{Next, PeerAddress, RequestHandler, Socket};

/// Exchanges kept for the next requests: making one anew, with all its vectors, takes a twentieth of a request's time.
/// Beyond that many at once, memory is better given back.
const SPARE_EXCHANGES: usize = 512;

/// Forwards requests to the backends of a load balancer, and their responses to the clients.
///
/// Python: the article's `ReverseProxyHandler(BaseHTTPRequestHandler)`.
#[derive(Debug)]
pub struct ReverseProxyHandler {
    site: RwLock<Arc<Site>>,
    access_log: Option<LogFormat>,
    ids: AtomicU64,
    /// What is counted of requests that came to no group.
    unrouted: Tally,
    /// How many requests were counted in groups that are no more.
    gone: AtomicU64,
    failures: Recent,
    #[allow(clippy::vec_box, reason = "they go in and out without being moved")]
    spare: Mutex<Vec<Box<Exchange>>>,
}

impl ReverseProxyHandler {
    /// A proxy in front of the backends of `balancer`, which may be shared.
    #[must_use]
    pub fn new(balancer: Arc<LoadBalancer>, settings: &Settings) -> ReverseProxyHandler {
        ReverseProxyHandler::with_site(Site::of_one(balancer, settings))
    }

    /// A proxy with groups and routes.
    #[must_use]
    pub fn with_site(site: Site) -> ReverseProxyHandler {
        ReverseProxyHandler {
            site: RwLock::new(Arc::new(site)),
            access_log: None,
            ids: AtomicU64::new(rand::make_rng::<SmallRng>().random()),
            unrouted: Tally::default(),
            gone: AtomicU64::new(0),
            failures: Recent::default(),
            spare: Mutex::new(Vec::new()),
        }
    }

    /// Writes a line for each exchange, through the `log` crate with the target `access`.
    #[must_use]
    pub fn with_access_log(mut self, format: Option<LogFormat>) -> ReverseProxyHandler {
        self.access_log = format;
        self
    }

    /// The present groups and routes.
    #[must_use]
    pub fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.read().expect("no panic under the lock of the site"))
    }

    /// Another configuration, at once: requests that begin from now on begin with it, the others end with theirs.
    /// Groups that are set as before go on as they are.
    pub fn replace(&self, settings: SiteSettings) {
        let before = self.site();
        let site = Arc::new(Site::new(settings, Some(&before)));
        let is_gone = |group: &&Arc<LoadBalancer>| site.groups().iter().all(|stays| stays.name() != group.name());
        let gone: u64 = before.groups().iter().filter(is_gone).map(|group| group.tally().counts().requests()).sum();
        self.gone.fetch_add(gone, Ordering::Relaxed);
        for group in before.groups() {
            if !site.groups().iter().any(|stays| Arc::ptr_eq(stays, group)) {
                group.note_replaced();
            }
        }
        *self.site.write().expect("no panic under the lock of the site") = site;
    }

    /// How many requests were counted in groups that are no more.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// What is counted of requests that came to no group: those that no route took, that could not be parsed, or that
    /// were answered here.
    #[must_use]
    pub fn unrouted(&self) -> &Tally {
        &self.unrouted
    }

    /// The last exchanges that failed.
    #[must_use]
    pub fn failures(&self) -> &Recent {
        &self.failures
    }

    pub(super) fn access_log(&self) -> Option<LogFormat> {
        self.access_log
    }

    pub(super) fn new_exchange(&self, client: Option<IpAddr>, now: Instant) -> Box<Exchange> {
        let spare = self.spare.lock().expect("no panic under the lock").pop();
        let mut exchange = spare.unwrap_or_else(|| Box::new(Exchange::new(now)));
        exchange.facts = Facts { id: RequestId::next(&self.ids), ..Facts::new(now) };
        exchange.client = client;
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

    fn give_up_idle(&self) -> usize {
        self.site().groups().iter().map(|group| group.close_idle()).sum()
    }
}
