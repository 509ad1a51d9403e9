//! One route: what becomes of the requests that it takes.

use std::net::IpAddr;
use std::sync::Arc;

use super::path_tree::begins_with_host;
use crate::http::{Field, RequestHead, target};
use crate::proxy::load_balancer::LoadBalancer;
use crate::settings::route::RouteSettings;

/// A route, and the group behind it.
#[derive(Debug)]
pub struct Route {
    /// What is set of it.
    pub settings: RouteSettings,
    /// Where its requests go; `None` if they are answered here.
    pub(in crate::proxy) balancer: Option<Arc<LoadBalancer>>,
}

impl Route {
    /// Whether it lets requests of this method through.
    pub(super) fn takes(&self, method: &[u8]) -> bool {
        let methods = &self.settings.methods;
        methods.is_empty() || methods.iter().any(|known| known.as_bytes() == method)
    }

    /// Whether a path begins with two slashes once the prefix is taken off: what comes behind them could be taken for a
    /// host (RFC 3986 §4.2).
    pub(super) fn uncovers_host(&self, path: &[u8]) -> bool {
        let strip = self.settings.strip_prefix.as_deref().map_or("", |prefix| prefix.trim_end_matches('/'));
        let rest = path.strip_prefix(strip.as_bytes()).unwrap_or(path);
        !strip.is_empty() && begins_with_host(rest)
    }

    /// Whether a client with this address may pass; `None` is one on this machine, which has none.
    pub(in crate::proxy) fn admits(&self, client: Option<IpAddr>) -> bool {
        let RouteSettings { allow, deny, .. } = &self.settings;
        let within = |network: &crate::network::Network| network.contains(client);
        !deny.iter().any(within) && (allow.is_empty() || allow.iter().any(within))
    }

    /// The value of Location for a redirect: `{host}` is the host that was asked, without a port, `{uri}` the path and
    /// query. `None` if it needs a host, and nobody said which.
    pub(in crate::proxy) fn location(to: &str, request: &RequestHead) -> Option<Vec<u8>> {
        let mut location = Vec::new();
        let mut rest = to;
        while let Some((before, after)) = rest.split_once('{') {
            location.extend_from_slice(before.as_bytes());
            let (value, after) = match after.split_once('}') {
                Some(("host", after)) => match target::host_of(authority(request)) {
                    b"" => return None,
                    host => (host, after),
                },
                Some(("uri", after)) => {
                    let uri = path_and_query(request);
                    if uri.first() != Some(&b'/') {
                        location.push(b'/');
                    }
                    (uri, after)
                }
                _ => (&b"{"[..], after),
            };
            location.extend_from_slice(value);
            rest = after;
        }
        location.extend_from_slice(rest.as_bytes());
        Some(location)
    }
}

/// Who was asked: an absolute target's authority, else Host; empty if nobody said (RFC 9112 §3.3).
pub(in crate::proxy) fn authority(request: &RequestHead) -> &[u8] {
    let absolute = target::split_absolute(request.target()).map(|(authority, _)| authority);
    absolute.or_else(|| request.headers.first(Field::Host)).unwrap_or_default()
}

/// The target in origin-form, but without the `/` that is to be thought before it if it has no path: empty for `*`,
/// empty or a query for an absolute target.
fn path_and_query(request: &RequestHead) -> &[u8] {
    let target = request.target();
    let rest = target::split_absolute(target).map_or(target, |(_, rest)| rest);
    if rest == b"*" { b"" } else { rest }
}

/// The path of the target, as it came.
pub(super) fn path(request: &RequestHead) -> &[u8] {
    let target = path_and_query(request);
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    if end == 0 { b"/" } else { &target[..end] }
}
