//! Reads the `[[route]]` tables. Input: a table, and the groups. Output: [`RouteSettings`]; and what is wrong between
//! routes: two for the same requests.

use super::fields;
use super::keys::{OF_A_ROUTE, REDIRECT, RESPOND};
use super::mistakes::{Mistakes, line_number, quoted};
use super::table::Table;
use super::values;
use crate::network::Network;
use crate::settings::Settings;
use crate::settings::group::GroupSettings;
use crate::settings::route::{Action, RouteSettings};
use crate::settings::suggest::nearest;

/// What a route can do with a request: exactly one of these.
static ACTIONS: [&str; 3] = ["to", "redirect", "respond"];

/// What changes a request before it goes to a backend.
static FOR_BACKENDS: [&str; 3] = ["strip_prefix", "add_prefix", "request_headers"];

/// Reads one route. `None` if it is not known what it does, or to which requests.
pub(super) fn read(table: &Table<'_>, groups: &[GroupSettings], base: &Settings) -> Option<RouteSettings> {
    let mut route = RouteSettings::all_to("", base);
    route.host = table.parsed("host", values::route_host);
    let path = table.parsed("path", values::path);
    if let Some(path) = &path {
        route.path.clone_from(path);
    }
    route.methods = methods(table);
    route.allow = networks(table, "allow");
    route.deny = networks(table, "deny");
    route.strip_prefix = table.parsed("strip_prefix", values::prefix);
    route.add_prefix = table.parsed("add_prefix", values::prefix);
    if let Some(prefix) = route.strip_prefix.as_deref().filter(|prefix| !is_below(&route.path, prefix)) {
        let below = "path does not begin with it; write one or more whole segments of";
        table.wrong("strip_prefix", &format_args!("{prefix:?}: {below} {:?}", route.path));
    }
    route.request_headers = fields::read(table, "request_headers");
    route.response_headers = fields::read(table, "response_headers");
    let action = action(table, groups);
    if let Some(Action::Forward { group }) = &action
        && let Some(group) = groups.iter().find(|known| known.name == *group)
    {
        route.settings = group.settings.clone();
    }
    table.settings_in(&OF_A_ROUTE, &mut |key, text| route.settings.set_value(key, text));
    route.action = action?;
    (table.has("host") == route.host.is_some() && (path.is_some() || !table.has("path"))).then_some(route)
}

/// Whether `prefix` is `path`, or some of its first segments.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn methods(table: &Table<'_>) -> Vec<String> {
    let methods = table.list("methods", values::method);
    if table.is_empty_list("methods") {
        table.wrong("methods", &"an empty list lets nothing through; leave methods out for all");
    }
    methods
}

fn networks(table: &Table<'_>, name: &str) -> Vec<Network> {
    if name == "allow" && table.is_empty_list(name) {
        table.wrong(name, &"an empty list lets nobody through; leave allow out for all");
    }
    table.list(name, str::parse)
}

fn action(table: &Table<'_>, groups: &[GroupSettings]) -> Option<Action> {
    let mut given = Vec::new();
    for name in &ACTIONS {
        if table.has(name) {
            given.push(*name);
        }
    }
    match given[..] {
        [] => table.missing(&"this route leads nowhere; write one of to, redirect and respond"),
        [_] => {}
        [_, second, ..] => table.wrong(
            second,
            &format_args!("a route has one of to, redirect and respond, and this has {}", given.join(" and ")),
        ),
    }
    let first = given.first()?;
    if *first != "to" {
        for name in &FOR_BACKENDS {
            if table.has(name) {
                table.wrong(name, &format_args!("this changes what a backend is sent, and with {first} there is none"));
            }
        }
    }
    match *first {
        "to" => forward(table, groups),
        "redirect" => redirect(table),
        _ => respond(table),
    }
}

fn forward(table: &Table<'_>, groups: &[GroupSettings]) -> Option<Action> {
    let group = table.text("to")?;
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    if !names.contains(&group) {
        let near = nearest(group, &names).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        let text = format_args!("to: there is no group {}{near}", quoted(group));
        table.mistakes().missing(table.at_value("to"), &text);
    }
    Some(Action::Forward { group: group.to_owned() })
}

fn redirect(table: &Table<'_>) -> Option<Action> {
    let table = table.table("redirect", &REDIRECT)?;
    if !table.has("to") {
        table.missing(&"redirect: write to = \"https://example.com/\"");
    }
    let status = table.number("status", 301, 308).unwrap_or(302);
    if matches!(status, 304..=306) {
        table.wrong("status", &format_args!("write {}", REDIRECT.accepted("status")));
    }
    Some(Action::Redirect { to: table.parsed("to", values::location)?, status: u16::try_from(status).unwrap_or(302) })
}

fn respond(table: &Table<'_>) -> Option<Action> {
    let table = table.table("respond", &RESPOND)?;
    let status = table.number("status", 200, 599).unwrap_or(200);
    let body = table.text("body").unwrap_or_default();
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        table.wrong("body", &format_args!("a response with status {status} has no content"));
    }
    Some(Action::Respond { status: u16::try_from(status).unwrap_or(200), body: body.to_owned() })
}

/// Reports each route that takes requests that one before it takes as well. `places` says where each of them is.
pub(super) fn check_ties(routes: &[RouteSettings], places: &[usize], source: &str, mistakes: &Mistakes) {
    for (i, (route, at)) in routes.iter().zip(places).enumerate() {
        let first = routes[..i].iter().zip(places).find(|(first, _)| is_tie(first, route));
        if let Some((_, first)) = first {
            let line = |at: usize| line_number(source.as_bytes().get(..at).unwrap_or_default());
            let text = format_args!(
                "the routes of lines {} and {} have the same host, the same path, and methods in common",
                line(*first),
                line(*at)
            );
            mistakes.add(*at, &text);
        }
    }
}

fn is_tie(a: &RouteSettings, b: &RouteSettings) -> bool {
    let all = a.methods.is_empty() || b.methods.is_empty();
    a.host == b.host && a.path == b.path && (all || a.methods.iter().any(|method| b.methods.contains(method)))
}
