//! The keys of every table of the configuration file. What the readers take, what messages say, and what README lists,
//! is this; timeouts and limits are in [`settings`], which are asked for them.

use crate::settings;
use crate::settings::workers::{self, WorkerSettings};

/// A sort of table.
pub(super) struct Kind {
    /// As messages call it.
    pub(super) title: &'static str,
    /// A line for each key: its name, its default, and what may be written, in words that go on "write".
    keys: &'static str,
    /// What the names of its settings begin with; empty if it has none.
    pub(super) prefix: &'static str,
    /// Which of them; empty for all.
    only: &'static [&'static str],
    /// Other keys are names, if they hold tables.
    pub(super) holds_tables: bool,
}

/// What stands in a line of [`Kind::keys`].
struct Row {
    name: &'static str,
    default: &'static str,
    accepted: &'static str,
}

const PLAIN: Kind = Kind { title: "", keys: "", prefix: "", only: &[], holds_tables: false };

pub(super) static FILE: Kind = Kind {
    title: "the file",
    keys: "
server |  | a table, [server]
timeouts |  | a table, [timeouts]
limits |  | a table, [limits]
retry |  | a table, [retry]
health |  | a table, [health]
listen |  | tables, [[listen]]
backends |  | tables, [backends.NAME]
route |  | tables, [[route]]
",
    ..PLAIN
};

pub(super) static SERVER: Kind = Kind {
    title: "[server]",
    keys: r#"
admin | none | an address in quotes: "127.0.0.1:9901" or "unix:/run/footbridge.sock"
trusted_proxies | [] | a list of networks: ["10.0.0.0/8"], or ["unix"]
access_log | "stdout" | "stdout", "stderr", "off" or a path in quotes
log_format | "text" | "text" or "json"
log_level | "info" | "error", "warn", "info" or "debug"
request_id | "X-Request-Id" | the name of a field in quotes, or "" for none
workers | 128 | a number from 1 to 4096, or a table: { max = 128, stack = "256KiB", idle = "30s" }
user | none | the name or number of a user in quotes
group | the user's | the name or number of a group in quotes
sandbox | true | true or false
seed | none | a number from 0 to 18446744073709551615
"#,
    ..PLAIN
};

pub(super) static WORKERS: Kind = Kind { title: "workers = { }", prefix: "workers.", ..PLAIN };
pub(super) static TIMEOUTS: Kind = Kind { title: "[timeouts]", prefix: "timeouts.", ..PLAIN };
pub(super) static LIMITS: Kind = Kind { title: "[limits]", prefix: "limits.", ..PLAIN };
pub(super) static RETRY: Kind = Kind { title: "[retry]", prefix: "retry.", ..PLAIN };
pub(super) static HEALTH: Kind = Kind { title: "[health]", prefix: "health.", ..PLAIN };

pub(super) static LISTEN: Kind = Kind {
    title: "[[listen]]",
    keys: r#"
address | required | an address in quotes: "127.0.0.1:8080", "[::1]:8080", "8080" or "unix:/path"
mode | the umask's | the permissions of a Unix socket, octal, in quotes: "0660"
"#,
    ..PLAIN
};

/// What stands there for all groups, beside the groups.
pub(super) static BACKENDS: Kind = Kind { title: "[backends]", prefix: "backends.", holds_tables: true, ..PLAIN };

pub(super) static GROUP: Kind = Kind {
    title: "[backends.*]",
    keys: r#"
servers | required | a list of addresses in quotes, "file:/path", or tables: { address = "app:3000", weight = 2 }
balance | "random" | "random", "round-robin", "least-connections", "two-choices", "hash", or { hash = "header:X-User" }
host | "client" | "client", "backend", or a host in quotes
health | no checks | a table: { path = "/healthz" } or { tcp = true }
fail_on_5xx | false | true or false
retry | as [retry] | a table: { attempts = 2, within = "10s" }
timeouts | as [timeouts] | a table: { response = "2m" }
limits | as [limits] | a table: { body = "10MiB" }
"#,
    prefix: "backends.",
    ..PLAIN
};

pub(super) static ONE_SERVER: Kind = Kind {
    title: "servers = [{ }]",
    keys: r#"
address | required | an address in quotes: "app:3000"
weight | 1 | a number from 1 to 1000
max_requests | none | a number from 1 to 4294967295
backup | false | true or false
drain | false | true or false
"#,
    ..PLAIN
};

pub(super) static BALANCE: Kind = Kind {
    title: "balance = { }",
    keys: r#"
hash | "client" | "client", "header:NAME" or "cookie:NAME"
"#,
    ..PLAIN
};

pub(super) static GROUP_HEALTH: Kind = Kind {
    title: "health = { }",
    keys: r#"
path | this or tcp | a path in quotes: "/healthz"
tcp | this or path | true or false
method | "GET" | a method in quotes: "HEAD"
host | the backend's | a host in quotes
expect | [200] | a list of statuses from 100 to 599: [200, 204]
body | any | a text in quotes that the content has to contain
"#,
    prefix: "health.",
    ..PLAIN
};

pub(super) static GROUP_RETRY: Kind = Kind { title: "retry = { }", prefix: "retry.", ..PLAIN };

/// What happens once a request has a group.
pub(super) static GROUP_TIMEOUTS: Kind = Kind {
    title: "timeouts = { } of [backends.*]",
    prefix: "timeouts.",
    only: &["body_idle", "slow", "send", "connect", "response", "response_idle", "tunnel", "expect"],
    ..PLAIN
};

/// Connecting is the group's: connections are shared by its routes.
pub(super) static ROUTE_TIMEOUTS: Kind = Kind {
    title: "timeouts = { } of [[route]]",
    prefix: "timeouts.",
    only: &["body_idle", "slow", "send", "response", "response_idle", "tunnel", "expect"],
    ..PLAIN
};

/// What happens once a request has a route or a group.
pub(super) static OWN_LIMITS: Kind = Kind {
    title: "limits = { }",
    prefix: "limits.",
    only: &["response_header_bytes", "body", "interim", "min_rate"],
    ..PLAIN
};

pub(super) static ROUTE: Kind = Kind {
    title: "[[route]]",
    keys: r#"
host | any | a host in quotes: "example.com" or "*.example.com"
path | "/" | a path in quotes: "/api"
methods | all | a list of methods: ["GET", "POST"]
allow | all | a list of networks: ["10.0.0.0/8"]
deny | none | a list of networks: ["10.0.0.0/8"]
to | one of these | the name of a group in quotes
redirect | one of these | a table: { to = "https://example.com/", status = 308 }
respond | one of these | a table: { status = 200, body = "ok\n" }
strip_prefix | none | a path in quotes: "/api"
add_prefix | none | a path in quotes: "/api"
request_headers | none | a table: { set = { X-Env = "prod" }, remove = ["X-Debug"] }
response_headers | none | a table: { set = { X-Env = "prod" }, remove = ["X-Debug"] }
limits | as the group | a table: { body = "10MiB" }
timeouts | as the group | a table: { response = "2m" }
"#,
    ..PLAIN
};

pub(super) static REDIRECT: Kind = Kind {
    title: "redirect = { }",
    keys: "
to | required | a path or an absolute URL in quotes
status | 302 | 301, 302, 303, 307 or 308
",
    ..PLAIN
};

pub(super) static RESPOND: Kind = Kind {
    title: "respond = { }",
    keys: r#"
status | 200 | a status from 200 to 599
body | "" | a text in quotes
"#,
    ..PLAIN
};

pub(super) static HEADERS: Kind = Kind {
    title: "request_headers or response_headers = { }",
    keys: r#"
set | {} | a table of names and texts: { X-Env = "prod" }
remove | [] | a list of names: ["X-Debug"]
"#,
    ..PLAIN
};

/// Tables that hold settings only: of all,
pub(super) static OF_ALL: [(&str, &Kind); 5] =
    [("timeouts", &TIMEOUTS), ("limits", &LIMITS), ("retry", &RETRY), ("health", &HEALTH), ("backends", &BACKENDS)];

/// of a group,
pub(super) static OF_A_GROUP: [(&str, &Kind); 3] =
    [("retry", &GROUP_RETRY), ("timeouts", &GROUP_TIMEOUTS), ("limits", &OWN_LIMITS)];

/// and of a route.
pub(super) static OF_A_ROUTE: [(&str, &Kind); 2] = [("timeouts", &ROUTE_TIMEOUTS), ("limits", &OWN_LIMITS)];

/// All of them; the ones that are written most come first, because suggestions are looked for in this order.
pub(super) static KINDS: [&Kind; 21] = [
    &SERVER,
    &LISTEN,
    &GROUP,
    &ROUTE,
    &TIMEOUTS,
    &LIMITS,
    &RETRY,
    &HEALTH,
    &FILE,
    &WORKERS,
    &ONE_SERVER,
    &GROUP_HEALTH,
    &BALANCE,
    &REDIRECT,
    &RESPOND,
    &HEADERS,
    &BACKENDS,
    &GROUP_RETRY,
    &GROUP_TIMEOUTS,
    &ROUTE_TIMEOUTS,
    &OWN_LIMITS,
];

impl Kind {
    fn rows(&self) -> impl Iterator<Item = Row> {
        self.keys.lines().filter_map(|line| {
            let mut parts = line.split('|').map(str::trim_ascii);
            Some(Row { name: parts.next()?, default: parts.next()?, accepted: parts.next()? })
        })
    }

    /// The names of its timeouts, limits and other settings, without their prefix.
    #[inline(never)]
    pub(super) fn settings(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for key in settings::keys().chain(workers::keys()) {
            if !self.prefix.is_empty()
                && let Some(name) = key.strip_prefix(self.prefix)
                && (self.only.is_empty() || self.only.contains(&name))
            {
                names.push(name);
            }
        }
        names
    }

    /// The full name of one of them, as `--set` has it.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    #[inline(never)]
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = self.settings();
        names.extend(self.rows().map(|row| row.name));
        names
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    /// What may be written there, in words that go on "write".
    pub(super) fn accepted(&self, name: &str) -> String {
        if let Some(row) = self.rows().find(|row| row.name == name) {
            return row.accepted.to_owned();
        }
        settings::accepted(&self.full(name)).unwrap_or_default()
    }
}

/// One key as the reference has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its table, like `[[route]]`.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What holds without it.
    pub default: String,
    /// What may be written.
    pub accepted: String,
}

/// Every key that a file can have.
#[must_use]
pub fn reference() -> Vec<Entry> {
    let mut defaults = super::default_settings().values();
    defaults.extend(WorkerSettings::default().values());
    let mut entries = Vec::new();
    for kind in KINDS {
        let entry = |Row { name, default, accepted }| Entry {
            table: kind.title,
            name,
            default: default.to_owned(),
            accepted: accepted.to_owned(),
        };
        entries.extend(kind.rows().map(entry));
        for name in kind.settings() {
            let full = kind.full(name);
            let default = defaults.iter().find(|(key, _)| *key == full).map(|(_, value)| value.clone());
            let default = default.unwrap_or_default();
            entries.push(Entry { table: kind.title, name, default, accepted: kind.accepted(name) });
        }
    }
    entries
}
