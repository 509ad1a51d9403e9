//! The way back: a [`Config`] as TOML. Input: a checked configuration. Output: a text that means the same; what has its
//! default is left out.

use std::fmt::Write;
use std::net::SocketAddr;

use super::{Config, LISTEN, values};
use crate::logging::AccessLog;
use crate::settings::Settings;
use crate::settings::group::{Balance, GroupSettings, HashKey, HostSent, Probe, ServerSettings};
use crate::settings::listen::ListenSettings;
use crate::settings::route::{Action, FieldEdits, RouteSettings};
use crate::settings::site::REQUEST_ID;
use crate::settings::workers::WorkerSettings;

/// The whole file.
#[must_use]
pub fn print(config: &Config) -> String {
    let mut file = String::new();
    head(&mut file, "[server]", &server(config));
    let (site, default) = (&config.site, Settings::default());
    for name in ["timeouts", "limits", "retry", "health", "backends"] {
        let mut table = Pairs::lines();
        table.changed(name, &site.settings, &default);
        head(&mut file, &format!("[{name}]"), &table);
    }
    if config.listen != [SocketAddr::from(LISTEN).into()] {
        for one in &config.listen {
            head(&mut file, "[[listen]]", &listen(one));
        }
    }
    for one in &site.groups {
        head(&mut file, &format!("[backends.{}]", key(&one.name)), &group(one, &site.settings));
    }
    let implied = |group: &GroupSettings| RouteSettings::all_to(&group.name, &group.settings);
    if !matches!(&site.groups[..], [only] if site.routes == [implied(only)]) {
        for one in &site.routes {
            let base = site.groups.iter().find(|group| group_of(one) == Some(&group.name));
            head(&mut file, "[[route]]", &route(one, base.map_or(&site.settings, |group| &group.settings)));
        }
    }
    file
}

/// The group that a route leads to.
pub(super) fn group_of(route: &RouteSettings) -> Option<&str> {
    if let Action::Forward { group } = &route.action { Some(group) } else { None }
}

/// A table with its keys, unless it says nothing.
fn head(file: &mut String, head: &str, pairs: &Pairs) {
    if !pairs.out.is_empty() {
        let gap = if file.is_empty() { "" } else { "\n" };
        file.extend([gap, head, "\n", &pairs.out]);
    }
}

/// Keys and values, one a line, or with commas.
struct Pairs {
    out: String,
    inline: bool,
}

impl Pairs {
    fn lines() -> Pairs {
        Pairs { out: String::new(), inline: false }
    }

    fn inline() -> Pairs {
        Pairs { out: String::new(), inline: true }
    }

    /// A value as it is to be written.
    fn raw(&mut self, name: &str, value: &str) {
        let (before, after) = match self.inline {
            true if self.out.is_empty() => ("", ""),
            true => (", ", ""),
            false => ("", "\n"),
        };
        self.out.extend([before, name, " = ", value, after]);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.raw(name, &string(text));
    }

    fn some_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.raw(name, &number.to_string());
    }

    /// Values as they are to be written, if there are any.
    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.raw(name, &format!("[{}]", values.join(", ")));
        }
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        self.list(name, &texts.iter().map(|text| string(text)).collect::<Vec<_>>());
    }

    /// What is not set has no line.
    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.raw(name, "true");
        }
    }

    /// A table in the line, unless it says nothing.
    fn table(&mut self, name: &str, pairs: &Pairs) {
        if !pairs.out.is_empty() {
            self.raw(name, &pairs.braces());
        }
    }

    fn braces(&self) -> String {
        format!("{{ {} }}", self.out)
    }

    /// The settings of that table that are not as in `base`.
    fn changed(&mut self, table: &str, settings: &Settings, base: &Settings) {
        self.differing(table, &settings.values(), &base.values());
    }

    fn differing(&mut self, table: &str, values: &[(&str, String)], base: &[(&str, String)]) {
        for value in values.iter().filter(|value| !base.contains(value)) {
            let Some(name) = value.0.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')) else { continue };
            // Counts are numbers; what has a unit, and words, are texts.
            if value.1.bytes().all(|byte| byte.is_ascii_digit()) {
                self.raw(name, &value.1);
            } else {
                self.text(name, &value.1);
            }
        }
    }

    /// Tables of a group or route.
    fn own_tables(&mut self, names: &[&str], settings: &Settings, base: &Settings) {
        for name in names {
            let mut table = Pairs::inline();
            table.changed(name, settings, base);
            self.table(name, &table);
        }
    }
}

fn server(config: &Config) -> Pairs {
    let mut table = Pairs::lines();
    table.some_text("admin", config.admin.as_ref().map(|admin| admin.address.to_string()).as_deref());
    table.texts("trusted_proxies", &networks(&config.site.trusted));
    match &config.access_log {
        AccessLog::Stdout => {}
        AccessLog::Stderr => table.text("access_log", "stderr"),
        AccessLog::Off => table.text("access_log", "off"),
        AccessLog::Path(path) => table.text("access_log", &path.to_string_lossy()),
    }
    let format = values::LOG_FORMATS[1..].iter().find(|(_, format)| *format == config.log_format);
    table.some_text("log_format", format.map(|(name, _)| *name));
    let level = values::LOG_LEVELS[1..].iter().find(|(_, level)| *level == config.log_level);
    table.some_text("log_level", level.map(|(name, _)| *name));
    if config.site.request_id.as_deref() != Some(REQUEST_ID) {
        table.text("request_id", config.site.request_id.as_deref().unwrap_or_default());
    }
    let mut workers = Pairs::inline();
    workers.differing("workers", &config.workers.values(), &WorkerSettings::default().values());
    table.table("workers", &workers);
    if let Some(user) = &config.user {
        table.text("user", &user.name);
        table.text("group", &user.gid.to_string());
    }
    if !config.sandbox {
        table.raw("sandbox", "false");
    }
    if let Some(seed) = config.site.seed {
        table.number("seed", seed);
    }
    table
}

fn listen(one: &ListenSettings) -> Pairs {
    let mut table = Pairs::lines();
    table.text("address", &one.address.to_string());
    if let Some(mode) = one.mode {
        table.text("mode", &format!("{mode:04o}"));
    }
    table
}

fn group(group: &GroupSettings, base: &Settings) -> Pairs {
    let mut table = Pairs::lines();
    let files = group.files.iter().map(|file| string(&format!("file:{}", file.display())));
    table.list("servers", &group.servers.iter().map(one_server).chain(files).collect::<Vec<_>>());
    let mut by = Pairs::inline();
    match &group.balance {
        Balance::Random => {}
        Balance::Hash(HashKey::Header(name)) => by.text("hash", &format!("header:{name}")),
        Balance::Hash(HashKey::Cookie(name)) => by.text("hash", &format!("cookie:{name}")),
        named => table.text("balance", named.name()),
    }
    table.table("balance", &by);
    match &group.host {
        HostSent::Client => {}
        HostSent::Backend => table.text("host", "backend"),
        HostSent::Literal(host) => table.text("host", host),
    }
    table.flag("fail_on_5xx", group.fail_on_5xx);
    table.changed("backends", &group.settings, base);
    let mut health = group.probe.as_ref().map_or_else(Pairs::inline, probe);
    health.changed("health", &group.settings, base);
    table.table("health", &health);
    table.own_tables(&["retry", "timeouts", "limits"], &group.settings, base);
    table
}

fn one_server(server: &ServerSettings) -> String {
    let mut table = Pairs::inline();
    table.text("address", &server.address);
    if *server == ServerSettings::new(&server.address) {
        return string(&server.address);
    }
    if server.weight != 1 {
        table.number("weight", server.weight.into());
    }
    if let Some(most) = server.max_requests {
        table.number("max_requests", most.into());
    }
    table.flag("backup", server.backup);
    table.flag("drain", server.drain);
    table.braces()
}

fn probe(probe: &Probe) -> Pairs {
    let mut table = Pairs::inline();
    match probe {
        Probe::Tcp => table.flag("tcp", true),
        Probe::Http { method, path, host, expect, body } => {
            table.text("path", path);
            table.some_text("method", Some(method.as_str()).filter(|method| *method != "GET"));
            table.some_text("host", host.as_deref());
            if expect[..] != [200] {
                table.list("expect", &expect.iter().map(u16::to_string).collect::<Vec<_>>());
            }
            table.some_text("body", body.as_deref());
        }
    }
    table
}

fn route(route: &RouteSettings, base: &Settings) -> Pairs {
    let mut table = Pairs::lines();
    table.some_text("host", route.host.as_deref());
    table.some_text("path", Some(route.path.as_str()).filter(|path| *path != "/"));
    table.texts("methods", &route.methods);
    table.texts("allow", &networks(&route.allow));
    table.texts("deny", &networks(&route.deny));
    let mut action = Pairs::inline();
    match &route.action {
        Action::Forward { group } => table.text("to", group),
        Action::Redirect { to, status } => {
            action.text("to", to);
            action.number("status", (*status).into());
            table.table("redirect", &action);
        }
        Action::Respond { status, body } => {
            action.number("status", (*status).into());
            action.some_text("body", Some(body.as_str()).filter(|body| !body.is_empty()));
            table.table("respond", &action);
        }
    }
    table.some_text("strip_prefix", route.strip_prefix.as_deref());
    table.some_text("add_prefix", route.add_prefix.as_deref());
    table.table("request_headers", &field_edits(&route.request_headers));
    table.table("response_headers", &field_edits(&route.response_headers));
    table.own_tables(&["timeouts", "limits"], &route.settings, base);
    table
}

fn field_edits(edits: &FieldEdits) -> Pairs {
    let (mut table, mut set) = (Pairs::inline(), Pairs::inline());
    for (name, value) in &edits.set {
        set.text(&key(name), value);
    }
    table.table("set", &set);
    table.texts("remove", &edits.remove);
    table
}

fn networks(networks: &[crate::network::Network]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

/// A bare key if it can be one.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { string(name) }
}

/// A basic string (TOML 1.0, "String").
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
