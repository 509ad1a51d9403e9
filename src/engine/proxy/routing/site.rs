//! All groups and routes: what a changed configuration replaces at once.

use std::net::IpAddr;
use std::sync::Arc;

use super::route::{self, Route};
use super::router::{Found, Router};
use crate::http::{Field, MessageError, RequestHead};
use crate::network::Network;
use crate::proxy::error::Error;
use crate::proxy::load_balancer::LoadBalancer;
use crate::proxy::request::IdField;
use crate::proxy::upkeep;
use crate::settings::Settings;
use crate::settings::route::Action;
use crate::settings::site::SiteSettings;

/// Groups, routes, and what is common to them. It never changes: another one takes its place, and requests end with the
/// one that they began with.
#[derive(Debug)]
pub struct Site {
    settings: Settings,
    trusted: Vec<Network>,
    request_id: Option<String>,
    /// Which field that names.
    id_field: Field,
    seed: Option<u64>,
    groups: Vec<Arc<LoadBalancer>>,
    routes: Vec<Arc<Route>>,
    router: Router,
}

impl Site {
    /// Makes the groups; names of backends are looked up before this returns. A group of `last` that is set in the same
    /// way goes on as it is, with its connections, health and counts; one that has changed takes over what it can.
    ///
    /// Routes whose group does not exist are left out: a configuration that was checked has none.
    #[must_use]
    pub fn new(mut settings: SiteSettings, last: Option<&Site>) -> Site {
        let (seed, mut groups) = (settings.seed, Vec::new());
        for group in std::mem::take(&mut settings.groups) {
            let before = last.and_then(|last| last.group(&group.name));
            groups.push(match before {
                Some(before) if *before.group() == group && last.is_some_and(|last| last.seed == seed) => {
                    Arc::clone(before)
                }
                before => Arc::new(LoadBalancer::succeeding(group, seed, before.map(|before| &**before))),
            });
        }
        Site::over(groups, settings)
    }

    /// Over one group that exists, and every request to it.
    pub(in crate::proxy) fn of_one(balancer: Arc<LoadBalancer>, settings: &Settings) -> Site {
        let mut site = SiteSettings::one_group(balancer.group().clone(), settings);
        for route in &mut site.routes {
            route.settings = settings.clone();
        }
        Site::over(vec![balancer], site)
    }

    fn over(groups: Vec<Arc<LoadBalancer>>, settings: SiteSettings) -> Site {
        let SiteSettings { settings, trusted, request_id, mut routes, seed, .. } = settings;
        for balancer in &groups {
            if let Some(discovery) = balancer.take_discovery() {
                upkeep::tend(balancer, discovery);
            }
        }
        let balancer = |action: &Action| match action {
            Action::Forward { group } => groups.iter().find(|balancer| balancer.name() == group).map(Arc::clone),
            Action::Redirect { .. } | Action::Respond { .. } => None,
        };
        routes.retain(|route| !matches!(route.action, Action::Forward { .. }) || balancer(&route.action).is_some());
        let router = Router::new(&routes);
        let mut taking = Vec::new();
        for settings in routes {
            taking.push(Arc::new(Route { balancer: balancer(&settings.action), settings }));
        }
        let id_field = request_id.as_deref().map_or(Field::Other, |name| Field::named(name.as_bytes()));
        Site { settings, trusted, request_id, id_field, seed, groups, routes: taking, router }
    }

    /// Timeouts and limits until a request has a route.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All groups, in the order of the configuration.
    #[must_use]
    pub fn groups(&self) -> &[Arc<LoadBalancer>] {
        &self.groups
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Arc<LoadBalancer>> {
        self.groups.iter().find(|group| group.name() == name)
    }

    /// The route that takes a request.
    ///
    /// # Errors
    /// [`Error::NoRoute`], [`Error::MethodNotAllowed`], or [`Error::Client`] if the path is ambiguous: the one as it
    /// came and the one as a lenient backend might read it lead to different places.
    pub(in crate::proxy) fn route(&self, request: &RequestHead) -> Result<&Arc<Route>, Error> {
        match self.router.find(route::authority(request), route::path(request)) {
            Found::Routes(same) => {
                let routes = same.iter().map(|number| &self.routes[*number]);
                let mut taking = routes.clone().filter(|route| route.takes(request.method()));
                match taking.next() {
                    Some(route) if route.uncovers_host(route::path(request)) => Err(ambiguous()),
                    Some(route) => Ok(route),
                    None => Err(Error::MethodNotAllowed(methods_of(routes))),
                }
            }
            Found::Nothing => Err(Error::NoRoute),
            Found::Ambiguous => Err(ambiguous()),
        }
    }

    pub(in crate::proxy) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }

    /// Who the client is: the peer, or, if that is a proxy that is believed, whom it names in X-Forwarded-For: the last
    /// address there that is no such proxy's.
    pub(in crate::proxy) fn client(&self, peer: Option<IpAddr>, request: &RequestHead) -> Option<IpAddr> {
        if self.trusted.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        let mut said: Vec<&[u8]> = Vec::new();
        for line in request.headers.values(Field::XForwardedFor) {
            said.extend(crate::http::headers::list(line));
        }
        for address in said.into_iter().rev() {
            let Some(address) = std::str::from_utf8(address).ok().and_then(parse_address) else { break };
            client = Some(address);
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// The identification of a request: its own, if it brought one, else `made`.
    #[inline]
    pub(in crate::proxy) fn id_of<'a>(&'a self, request: &'a RequestHead, made: &'a [u8]) -> &'a [u8] {
        self.id_for(request, made).map_or(made, |id| id.value)
    }

    /// The field that identifies a request, if there is such a field.
    #[inline]
    pub(in crate::proxy) fn id_for<'a>(&'a self, request: &'a RequestHead, made: &'a [u8]) -> Option<IdField<'a>> {
        let name = self.request_id.as_deref()?;
        let value = request.headers.get_known(self.id_field, name).unwrap_or(made);
        Some(IdField { field: self.id_field, name, value })
    }
}

fn ambiguous() -> Error {
    Error::Client(MessageError::Malformed("ambiguous-path"))
}

/// The value of Allow.
fn methods_of<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for method in routes.flat_map(|route| &route.settings.methods) {
        if !methods.contains(&method.as_str()) {
            methods.push(method);
        }
    }
    methods.join(", ")
}

/// An address as X-Forwarded-For has it: some proxies add the port, and brackets around IPv6.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| {
        let socket: Option<std::net::SocketAddr> = text.parse().ok();
        socket.map(|socket| socket.ip())
    });
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(bare).map(|address: IpAddr| address.to_canonical())
}
