//! Reads one `[backends.*]`. Input: its table, and what holds for all groups. Output: [`GroupSettings`].

use std::path::PathBuf;

use super::keys::{BALANCE, GROUP_HEALTH, OF_A_GROUP, ONE_SERVER};
use super::table::{Set, Table};
use super::toml::{Node, Value};
use super::values;
use crate::settings::Settings;
use crate::settings::address::backend_address;
use crate::settings::group::{Balance, GroupSettings, Probe, ServerSettings};

/// The group, even if something in it is wrong: then that is reported, and routes to it are still right.
pub(super) fn read(name: &str, table: &Table<'_>, base: &Settings) -> GroupSettings {
    let (mut servers, mut files) = (Vec::new(), Vec::new());
    match table.values("servers") {
        Some(nodes) if !nodes.is_empty() => nodes.iter().for_each(|node| server(table, node, &mut servers, &mut files)),
        None if table.has("servers") => {} // Reported as no list.
        _ => table.missing(&format_args!("[backends.{name}] has no backend; write servers = [\"127.0.0.1:3000\"]")),
    }
    let mut settings = base.clone();
    let set: &mut Set<'_> = &mut |key, text| settings.set_value(key, text);
    table.settings(set);
    table.settings_in(&OF_A_GROUP, set);
    GroupSettings {
        name: name.to_owned(),
        servers,
        files,
        balance: balance(table).unwrap_or_default(),
        fail_on_5xx: table.flag("fail_on_5xx").unwrap_or_default(),
        host: table.parsed("host", values::host_sent).unwrap_or_default(),
        probe: table.table("health", &GROUP_HEALTH).and_then(|health| {
            health.settings(set);
            probe(&health)
        }),
        settings,
    }
}

/// One of `servers`: an address, a list in a file, or a table.
fn server(group: &Table<'_>, node: &Node, servers: &mut Vec<ServerSettings>, files: &mut Vec<PathBuf>) {
    let text = match &node.value {
        Value::Text(text) => text,
        Value::Table(table) => {
            if let Some(server) = one_server(&Table::of(table, node.at, &ONE_SERVER, group.mistakes())) {
                servers.push(server);
            }
            return;
        }
        _ => {
            group.mistakes().add(node.at, &format_args!("servers: write {}", ONE_SERVER.accepted("address")));
            return;
        }
    };
    if text.starts_with("file:") {
        match values::backend_file(text) {
            Ok(file) => files.push(file),
            Err(problem) => group.refuse("servers", text, node.at, &problem),
        }
    } else {
        match backend_address(text) {
            Ok(address) => servers.push(ServerSettings::new(address)),
            Err(problem) => group.refuse("servers", text, node.at, &problem),
        }
    }
}

fn one_server(table: &Table<'_>) -> Option<ServerSettings> {
    if !table.has("address") {
        table.missing(&"this backend has no address; write address = \"127.0.0.1:3000\"");
    }
    let weight = table.number("weight", 1, 1000).and_then(|weight| u32::try_from(weight).ok());
    let max_requests = table.number("max_requests", 1, u32::MAX.into()).and_then(|most| u32::try_from(most).ok());
    let (backup, drain) = (table.flag("backup"), table.flag("drain"));
    Some(ServerSettings {
        address: table.parsed("address", backend_address)?,
        weight: weight.unwrap_or(1),
        max_requests,
        backup: backup.unwrap_or_default(),
        drain: drain.unwrap_or_default(),
    })
}

/// A name, or `{ hash = "..." }`.
fn balance(table: &Table<'_>) -> Option<Balance> {
    if !matches!(table.get("balance")?.value, Value::Table(_)) {
        return table.parsed("balance", values::balance);
    }
    let by = table.table("balance", &BALANCE)?;
    if !by.has("hash") {
        by.missing(&"write balance = { hash = \"client\" }, or a name");
    }
    by.parsed("hash", values::hash_key).map(Balance::Hash)
}

/// What is checked: a path, or connecting.
fn probe(table: &Table<'_>) -> Option<Probe> {
    let tcp = table.flag("tcp").unwrap_or_default();
    let path = table.parsed("path", values::probe_path);
    let method = table.parsed("method", values::method);
    let host = table.parsed("host", values::authority);
    let expect = table.statuses("expect");
    let body = table.text("body");
    match path {
        _ if tcp => {
            for name in &["path", "method", "host", "expect", "body"] {
                if table.has(name) {
                    table.wrong(name, &"this is part of a request, and with tcp = true there is none");
                }
            }
            return Some(Probe::Tcp);
        }
        None if !table.has("path") => table.missing(&"health: write path = \"/healthz\", or tcp = true"),
        _ => {}
    }
    Some(Probe::Http {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        path: path?,
        host,
        expect: expect.unwrap_or_else(|| vec![200]),
        body: body.map(str::to_owned),
    })
}
