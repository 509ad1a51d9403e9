//! The way back: a [`Config`] as TOML. Input: a checked configuration. Output: a text that means the same; what has its
//! default is left out.

use std::net::SocketAddr;

use super::writer::{Writer, key};
use super::{Config, LISTEN, default_settings, values};
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
    let mut file = Writer::default();
    file.table(&"[server]");
    server(&mut file, config);
    let (site, default) = (&config.site, default_settings());
    for name in &["timeouts", "limits", "retry", "health", "backends"] {
        file.table(&format_args!("[{name}]"));
        file.changed(name, &site.settings, &default);
    }
    if config.listen != [SocketAddr::from(LISTEN).into()] {
        for one in &config.listen {
            file.table(&"[[listen]]");
            listen(&mut file, one);
        }
    }
    for one in &site.groups {
        file.table(&format_args!("[backends.{}]", key(&one.name)));
        group(&mut file, one, &site.settings);
    }
    for one in &site.routes {
        let base = site.groups.iter().find(|group| group_of(one) == Some(&group.name));
        file.table(&"[[route]]");
        route(&mut file, one, base.map_or(&site.settings, |group| &group.settings));
    }
    // A single route that only says `to`, to a single group, goes without saying.
    if site.groups.len() == 1 && site.routes.len() == 1 && file.has_one_line("to = ") {
        file.take_back();
    }
    file.leave_out_if_empty();
    file.out
}

/// The group that a route leads to.
pub(super) fn group_of(route: &RouteSettings) -> Option<&str> {
    if let Action::Forward { group } = &route.action { Some(group) } else { None }
}

fn server(file: &mut Writer, config: &Config) {
    if let Some(admin) = &config.admin {
        file.text("admin", &admin.address);
    }
    file.texts("trusted_proxies", &config.site.trusted);
    match &config.access_log {
        AccessLog::Stdout => {}
        AccessLog::Stderr => file.text("access_log", &"stderr"),
        AccessLog::Off => file.text("access_log", &"off"),
        AccessLog::Path(path) => file.text("access_log", &path.display()),
    }
    for (name, format) in &values::LOG_FORMATS[1..] {
        if *format == config.log_format {
            file.text("log_format", name);
        }
    }
    for (name, level) in &values::LOG_LEVELS[1..] {
        if *level == config.log_level {
            file.text("log_level", name);
        }
    }
    match config.site.request_id.as_deref() {
        Some(REQUEST_ID) => {}
        other => file.text("request_id", &other.unwrap_or_default()),
    }
    let workers = file.open("workers", "{ ");
    file.differing("workers", &config.workers.values(), &WorkerSettings::default().values());
    file.close(workers, " }");
    if let Some(user) = &config.user {
        file.text("user", &user.name);
        file.text("group", &user.gid);
    }
    if !config.sandbox {
        file.value("sandbox", &false);
    }
    if let Some(seed) = config.site.seed {
        file.value("seed", &seed);
    }
}

fn listen(file: &mut Writer, one: &ListenSettings) {
    file.text("address", &one.address);
    if let Some(mode) = one.mode {
        file.text("mode", &format_args!("{mode:04o}"));
    }
}

fn group(file: &mut Writer, group: &GroupSettings, base: &Settings) {
    let servers = file.open("servers", "[");
    for server in &group.servers {
        file.element();
        one_server(file, server);
    }
    for path in &group.files {
        file.element();
        file.string(&format_args!("file:{}", path.display()));
    }
    file.close(servers, "]");
    match &group.balance {
        Balance::Random => {}
        Balance::Hash(HashKey::Header(name)) => hash(file, "header", name),
        Balance::Hash(HashKey::Cookie(name)) => hash(file, "cookie", name),
        named => file.text("balance", named),
    }
    match &group.host {
        HostSent::Client => {}
        HostSent::Backend => file.text("host", &"backend"),
        HostSent::Literal(host) => file.text("host", host),
    }
    file.flag("fail_on_5xx", group.fail_on_5xx);
    file.changed("backends", &group.settings, base);
    let health = file.open("health", "{ ");
    if let Some(checked) = &group.probe {
        probe(file, checked);
    }
    file.changed("health", &group.settings, base);
    file.close(health, " }");
    file.own_tables(&["retry", "timeouts", "limits"], &group.settings, base);
}

fn hash(file: &mut Writer, kind: &str, name: &str) {
    let by = file.open("balance", "{ ");
    file.text("hash", &format_args!("{kind}:{name}"));
    file.close(by, " }");
}

fn one_server(file: &mut Writer, server: &ServerSettings) {
    if *server == ServerSettings::new(&server.address) {
        return file.string(&server.address);
    }
    file.out.push_str("{ ");
    file.text("address", &server.address);
    if server.weight != 1 {
        file.value("weight", &server.weight);
    }
    if let Some(most) = server.max_requests {
        file.value("max_requests", &most);
    }
    file.flag("backup", server.backup);
    file.flag("drain", server.drain);
    file.out.push_str(" }");
}

fn probe(file: &mut Writer, probe: &Probe) {
    match probe {
        Probe::Tcp => file.flag("tcp", true),
        Probe::Http { method, path, host, expect, body } => {
            file.text("path", path);
            file.some_text("method", Some(method).filter(|method| *method != "GET"));
            file.some_text("host", host.as_ref());
            if expect[..] != [200] {
                file.value("expect", &format_args!("{expect:?}"));
            }
            file.some_text("body", body.as_ref());
        }
    }
}

fn route(file: &mut Writer, route: &RouteSettings, base: &Settings) {
    file.some_text("host", route.host.as_ref());
    file.some_text("path", Some(&route.path).filter(|path| *path != "/"));
    file.texts("methods", &route.methods);
    file.texts("allow", &route.allow);
    file.texts("deny", &route.deny);
    match &route.action {
        Action::Forward { group } => file.text("to", group),
        Action::Redirect { to, status } => {
            let redirect = file.open("redirect", "{ ");
            file.text("to", to);
            file.value("status", status);
            file.close(redirect, " }");
        }
        Action::Respond { status, body } => {
            let respond = file.open("respond", "{ ");
            file.value("status", status);
            file.some_text("body", Some(body).filter(|body| !body.is_empty()));
            file.close(respond, " }");
        }
    }
    file.some_text("strip_prefix", route.strip_prefix.as_ref());
    file.some_text("add_prefix", route.add_prefix.as_ref());
    field_edits(file, "request_headers", &route.request_headers);
    field_edits(file, "response_headers", &route.response_headers);
    file.own_tables(&["timeouts", "limits"], &route.settings, base);
}

#[inline(never)]
fn field_edits(file: &mut Writer, name: &str, edits: &FieldEdits) {
    let table = file.open(name, "{ ");
    let set = file.open("set", "{ ");
    for (name, value) in &edits.set {
        file.text(&key(name), value);
    }
    file.close(set, " }");
    file.texts("remove", &edits.remove);
    file.close(table, " }");
}
