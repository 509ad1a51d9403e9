//! What serves: the proxy, its workers and its accept loops. The same for the program and for its demonstration.

use std::sync::Arc;

use crate::access::LogFormat;
use crate::admin;
use crate::proxy::{ReverseProxyHandler, Site};
use crate::serve::signals::Starting;
use crate::serve::{self, Serving};
use crate::settings::listen::ListenAddress;
use crate::settings::site::SiteSettings;
use crate::settings::workers::WorkerSettings;
use crate::socketserver::{Listener, Workers};

/// A proxy that serves.
pub(crate) struct Begun {
    pub(crate) proxy: Arc<ReverseProxyHandler>,
    pub(crate) serving: Serving,
    /// What the admin page is told.
    pub(crate) status: Arc<admin::State>,
}

/// Serves `site` on `listeners`, each with the address that it was asked for.
///
/// # Errors
/// A sentence, if the system grants no poller, thread or descriptor.
pub(crate) fn begin(
    site: SiteSettings,
    workers: &WorkerSettings,
    access_log: Option<LogFormat>,
    listeners: Vec<(Listener, ListenAddress)>,
) -> Result<Begun, String> {
    let allowed = serve::raise_descriptor_limit();
    let most_connections = site.settings.limits.connections.unwrap_or(allowed);
    // Where the descriptors suffice for as many as we ever take unasked, nobody knows how many more.
    if most_connections > allowed && (allowed as u64) < serve::MOST_CONNECTIONS {
        log::warn!("limits.connections is {most_connections}, and descriptors suffice for {allowed}: raise ulimit -n");
    }
    let patience = site.settings.timeouts.shutdown;
    let workers = Workers::with("worker", workers).map_err(|error| format!("cannot start: {error}"))?;
    let starting = Starting::begin()?;
    let proxy = ReverseProxyHandler::with_site(Site::new(site, None)).with_access_log(access_log);
    starting.end();
    let proxy = Arc::new(proxy);
    let status = admin::State::new(Arc::clone(&proxy), &workers);
    let mut serving = Serving::new(proxy.clone(), &workers, most_connections, patience);
    for (listener, address) in listeners {
        serving.start(address, listener)?;
    }
    status.set_listeners(serving.addresses());
    Ok(Begun { proxy, serving, status })
}
