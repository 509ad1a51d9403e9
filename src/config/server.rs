//! Reads `[server]` and the `[[listen]]` tables. Input: the tables. Output: the parts of a [`Config`] that are not the
//! site's.

use super::account;
use super::fields;
use super::keys::{LISTEN, WORKERS};
use super::mistakes::quoted;
use super::table::Table;
use super::toml::Value;
use super::{Config, values};
use crate::settings::address::listen_anywhere;
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::settings::workers::WorkerSettings;

/// Reads `[server]` into what has its defaults.
pub(super) fn read(table: &Table<'_>, config: &mut Config) {
    config.admin = table.parsed("admin", listen_anywhere);
    config.site.trusted = table.list("trusted_proxies", str::parse);
    if let Some(access_log) = table.parsed("access_log", values::access_log) {
        config.access_log = access_log;
    }
    if let Some(format) = table.parsed("log_format", values::log_format) {
        config.log_format = format;
    }
    if let Some(level) = table.parsed("log_level", values::log_level) {
        config.log_level = level;
    }
    let request_id = |name: &str| if name.is_empty() { Ok(String::new()) } else { fields::field_name(name) };
    if let Some(request_id) = table.parsed("request_id", request_id) {
        config.site.request_id = Some(request_id).filter(|name| !name.is_empty());
    }
    workers(table, &mut config.workers);
    config.sandbox = table.flag("sandbox").unwrap_or(true);
    config.site.seed = table.number("seed", 0, u64::MAX);
    match (table.text("user"), table.text("group")) {
        (Some(user), group) => match account::identity(user, group) {
            Ok(identity) => config.user = Some(identity),
            Err(unknown) => table.mistakes().add(table.at_value(unknown.setting), &unknown),
        },
        (None, Some(_)) if !table.has("user") => table.wrong("group", &"give a user, too"),
        (None, _) => {}
    }
}

/// A number, or a table.
fn workers(table: &Table<'_>, workers: &mut WorkerSettings) {
    match table.get("workers").map(|node| &node.value) {
        Some(Value::Table(_)) => {
            if let Some(table) = table.table("workers", &WORKERS) {
                table.settings(&mut |key, text| workers.set_value(key, text));
            }
        }
        Some(_) => {
            if let Some(most) = table.number("workers", 1, 4096) {
                workers.max = usize::try_from(most).unwrap_or(workers.max);
            }
        }
        None => {}
    }
}

/// Reads all `[[listen]]`.
pub(super) fn listen(file: &Table<'_>, listen: &mut Vec<ListenSettings>) {
    listen.clear();
    for table in file.tables("listen", &LISTEN) {
        if !table.has("address") {
            table.missing(&"listen: write address = \"127.0.0.1:8080\"");
        }
        let (address, mode) = (table.parsed("address", listen_anywhere), table.parsed("mode", values::mode));
        let Some(mut one) = address else { continue };
        if mode.is_some() && !matches!(one.address, ListenAddress::Unix(_)) {
            table.wrong("mode", &"only a Unix socket has permissions");
        }
        one.mode = mode;
        if super::is_taken(&one, listen) {
            table.wrong("address", &format_args!("{} is given more than once", quoted(&one.address.to_string())));
        }
        listen.push(one);
    }
}
