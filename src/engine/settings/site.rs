//! What is set of the whole of it, as plain values: what a changed configuration replaces at once.
//!
//! Read from the command line or the configuration file; used by the reverse proxy. Pure data.

use super::Settings;
use super::group::GroupSettings;
use super::route::RouteSettings;
use crate::network::Network;

/// All groups and routes, and what is common to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// Timeouts and limits until a request has a route; routes and groups have their own, which begin with these.
    pub settings: Settings,
    /// Peers whose `X-Forwarded-*` fields are believed. Default none.
    pub trusted: Vec<Network>,
    /// The field that identifies a request, both ways; `None` is no such field. Default `X-Request-Id`.
    pub request_id: Option<String>,
    /// Groups of backends, each name once.
    pub groups: Vec<GroupSettings>,
    /// Which request goes where; no two for the same requests.
    pub routes: Vec<RouteSettings>,
    /// Fixes the random choices.
    pub seed: Option<u64>,
}

/// The name of [`SiteSettings::request_id`] if none is set.
pub const REQUEST_ID: &str = "X-Request-Id";

impl SiteSettings {
    /// Every request to one group.
    #[must_use]
    pub fn one_group(group: GroupSettings, settings: &Settings) -> SiteSettings {
        SiteSettings {
            settings: settings.clone(),
            trusted: Vec::new(),
            request_id: Some(REQUEST_ID.to_owned()),
            routes: vec![RouteSettings::all_to(&group.name, &group.settings)],
            groups: vec![group],
            seed: None,
        }
    }
}
