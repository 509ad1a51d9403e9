//! What is set of a group of backends, as plain values: where they are, how one is chosen, when one is out.
//!
//! Read from the command line or the configuration file; used by the load balancer. Pure data.

use std::fmt;
use std::path::PathBuf;

use super::Settings;

/// The group of the command line's `--to`.
pub const DEFAULT_GROUP: &str = "default";

/// A group of backends that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Its name: `app` of `[backends.app]`; [`DEFAULT_GROUP`] for the command line's `--to`.
    pub name: String,
    /// Where its backends are. More may come from [`files`](Self::files), and from names with several addresses.
    pub servers: Vec<ServerSettings>,
    /// Files that list backends, one a line, and are read again when they change.
    pub files: Vec<PathBuf>,
    /// How one is chosen.
    pub balance: Balance,
    /// What is checked actively; default nothing.
    pub probe: Option<Probe>,
    /// Whether a 5xx response is a failure, too. Default false: it may be the request's fault.
    pub fail_on_5xx: bool,
    /// What Host the backends are sent.
    pub host: HostSent,
    /// `timeouts.connect`, `backends.*`, `health.*` and `retry.*` are used from here.
    pub settings: Settings,
}

impl GroupSettings {
    /// A group with all defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, servers: Vec<ServerSettings>, settings: &Settings) -> GroupSettings {
        GroupSettings {
            name: name.into(),
            servers,
            files: Vec::new(),
            balance: Balance::Random,
            probe: None,
            fail_on_5xx: false,
            host: HostSent::Client,
            settings: settings.clone(),
        }
    }
}

/// One entry of a group's list of backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// `host:port`, `[v6]:port`, or `unix:/path`, already checked and in lower case but for the path.
    pub address: String,
    /// Its share, relative to the others'. 1 to 1,000; default 1.
    pub weight: u32,
    /// So many requests at once; more wait. `None` is no limit.
    pub max_requests: Option<u32>,
    /// Used only when no other can be.
    pub backup: bool,
    /// It gets no new requests; the present ones end.
    pub drain: bool,
}

impl ServerSettings {
    /// A backend with all defaults.
    #[must_use]
    pub fn new(address: impl Into<String>) -> ServerSettings {
        ServerSettings { address: address.into(), weight: 1, max_requests: None, backup: false, drain: false }
    }
}

/// How a backend is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// At random, by weight.
    #[default]
    Random,
    /// In turn, by weight, and evenly spread: 5-1-1 does not burst.
    RoundRobin,
    /// The one with the fewest requests under way for its weight; ties at random.
    LeastConnections,
    /// The less busy of two random draws.
    TwoChoices,
    /// The same one for the same key, as long as it is usable (rendezvous hashing).
    Hash(HashKey),
}

impl Balance {
    /// The policy of that name; `hash` is of the client's address.
    #[must_use]
    pub fn named(name: &str) -> Option<Balance> {
        Some(match name {
            "random" => Balance::Random,
            "round-robin" => Balance::RoundRobin,
            "least-connections" => Balance::LeastConnections,
            "two-choices" => Balance::TwoChoices,
            "hash" => Balance::Hash(HashKey::Client),
            _ => return None,
        })
    }

    /// As it is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Balance::Random => "random",
            Balance::RoundRobin => "round-robin",
            Balance::LeastConnections => "least-connections",
            Balance::TwoChoices => "two-choices",
            Balance::Hash(_) => "hash",
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the `hash` policy hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address, without its port.
    Client,
    /// The value of the first field line of this name; the client's address if there is none.
    Header(String),
    /// The value of this cookie; the client's address if there is none.
    Cookie(String),
}

/// What an active check tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Connecting is enough.
    Tcp,
    /// A request, and what its response has to be.
    Http {
        /// Default GET.
        method: String,
        /// The request target.
        path: String,
        /// The Host field; default the backend's own name.
        host: Option<String>,
        /// Good statuses. Default 200.
        expect: Vec<u16>,
        /// Text that the first 64 KiB of the content must contain.
        body: Option<String>,
    },
}

impl Probe {
    /// A GET of `path`, which is to be answered with 200.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Probe {
        Probe::Http { method: "GET".to_owned(), path: path.into(), host: None, expect: vec![200], body: None }
    }
}

/// What Host a backend is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostSent {
    /// The client's.
    #[default]
    Client,
    /// The backend's address as it was configured.
    Backend,
    /// This one.
    Literal(String),
}
