//! What is set of a route, as plain values: which requests it takes, and what becomes of them.
//!
//! Read from the configuration file; used by the router. Pure data.

use super::Settings;
use crate::network::Network;

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// `example.com`, or `*.example.com` for all names below it; in lower case, without a port. `None` is any host.
    pub host: Option<String>,
    /// Whole segments, beginning with `/`: `/api` is `/api` and `/api/...`, never `/apix`. `/` is every path.
    pub path: String,
    /// Methods that are let through; empty for all.
    pub methods: Vec<String>,
    /// If not empty, clients from elsewhere are denied.
    pub allow: Vec<Network>,
    /// Clients from here are denied, even if allowed.
    pub deny: Vec<Network>,
    /// What becomes of the request.
    pub action: Action,
    /// Taken off the front of the path, in whole segments, before the request goes on.
    pub strip_prefix: Option<String>,
    /// Put in front of the path, after [`strip_prefix`](Self::strip_prefix) was taken off.
    pub add_prefix: Option<String>,
    /// Changes to the request's field lines, before it goes to the backend.
    pub request_headers: FieldEdits,
    /// Changes to the response's field lines, before it goes to the client.
    pub response_headers: FieldEdits,
    /// Timeouts and limits: the server's, with what the group and then the route set in their place.
    pub settings: Settings,
}

impl RouteSettings {
    /// Every request, to one group.
    #[must_use]
    pub fn all_to(group: impl Into<String>, settings: &Settings) -> RouteSettings {
        RouteSettings {
            host: None,
            path: "/".to_owned(),
            methods: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            action: Action::Forward { group: group.into() },
            strip_prefix: None,
            add_prefix: None,
            request_headers: FieldEdits::default(),
            response_headers: FieldEdits::default(),
            settings: settings.clone(),
        }
    }
}

/// What becomes of a request that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A backend of this group gets it.
    Forward {
        /// The group's name.
        group: String,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// The value of Location.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// We answer it.
    Respond {
        /// 200 to 599.
        status: u16,
        /// The content, text/plain.
        body: String,
    },
}

/// Changes to field lines: first those of [`remove`](Self::remove) go, and those that are set; then what is set is
/// added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Names and values.
    pub set: Vec<(String, String)>,
    /// Names.
    pub remove: Vec<String>,
}

impl FieldEdits {
    /// No changes.
    pub const NONE: &'static FieldEdits = &FieldEdits { set: Vec::new(), remove: Vec::new() };

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }

    /// Whether the message's own lines of this name go: and those that a CGI backend takes for it, `X_Name` or `X.Name` for
    /// `X-Name`.
    #[must_use]
    pub fn take_out(&self, name: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut names = self.remove.iter().chain(self.set.iter().map(|(name, _)| name));
        names.any(|known| known.len() == name.len() && known.bytes().map(folded).eq(name.iter().copied().map(folded)))
    }
}

/// What CGI and its heirs tell of a name's byte: letters without case, digits, and every mark is the same one.
pub(crate) fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}
