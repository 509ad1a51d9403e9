//! What footbridge is to do, from the configuration file or the command line, as one checked value. Input: a TOML text,
//! or the values of flags. Output: a [`Config`], or all mistakes at once. Opens nothing but the file and the system's
//! lists of users and groups.
//!
//! | file | idea |
//! |---|---|
//! | `keys` | every key of every table: what is read, suggested and listed |
//! | `unknown` | what to say of a key that is none of them |
//! | `toml` | the text as a tree of tables and values |
//! | `table` | one table, read typed |
//! | `server`, `group`, `route`, `fields` | one kind of table each |
//! | `values` | how a single value is read |
//! | `mistakes` | positions become lines with a caret |
//! | [`print`](mod@print), `writer` | the way back: a `Config` as TOML |

pub(crate) mod account;
mod fields;
mod group;
mod keys;
mod mistakes;
pub mod print;
mod route;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod toml;
mod unknown;
pub(crate) mod values;
mod writer;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use self::mistakes::{Mistakes, line_number};
use self::table::Table;
use crate::access::LogFormat;
use crate::logging::AccessLog;
use crate::rights::Identity;
use crate::settings::Settings;
use crate::settings::group::GroupSettings;
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::settings::route::RouteSettings;
use crate::settings::site::{REQUEST_ID, SiteSettings};
use log::LevelFilter;

pub use self::keys::{Entry, reference};
pub(crate) use self::mistakes::printable;
pub use crate::settings::workers::WorkerSettings;

/// Where to listen if nothing is said: not reachable from outside.
pub const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8080);

/// Several thousand routes. A larger file is a mistake, or no file.
const MOST_BYTES: u64 = 1 << 20;

/// Everything that is set, with all values checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Groups and routes.
    pub site: SiteSettings,
    /// At least one address to listen on.
    pub listen: Vec<ListenSettings>,
    /// Where footbridge answers for itself. Default nowhere.
    pub admin: Option<ListenSettings>,
    /// The worker threads.
    pub workers: WorkerSettings,
    /// Where access lines go. Default stdout.
    pub access_log: AccessLog,
    /// How log lines look. Default text.
    pub log_format: LogFormat,
    /// Which messages are logged. Default info.
    pub log_level: LevelFilter,
    /// Whom to become once everything is open.
    pub user: Option<Identity>,
    /// Whether to be confined to the files that are needed. Default true.
    pub sandbox: bool,
    /// The file it was read from, as it was given; `None` for the command line.
    pub source: Option<PathBuf>,
    /// One line for each value that is valid but dangerous or useless, for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// All defaults, and nothing to do yet.
    #[must_use]
    pub(crate) fn new(settings: Settings) -> Config {
        Config {
            site: SiteSettings {
                settings,
                trusted: Vec::new(),
                request_id: Some(REQUEST_ID.to_owned()),
                groups: Vec::new(),
                routes: Vec::new(),
                seed: None,
            },
            listen: vec![SocketAddr::from(LISTEN).into()],
            admin: None,
            workers: WorkerSettings::default(),
            access_log: AccessLog::Stdout,
            log_format: LogFormat::Text,
            log_level: LevelFilter::Info,
            user: None,
            sandbox: true,
            source: None,
            warnings: Vec::new(),
        }
    }

    /// Adds its warnings, once everything is set.
    pub(crate) fn warn(&mut self) {
        self.warnings = self.find_warnings();
    }

    fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let warn: &mut dyn FnMut(&dyn Display) = &mut |text| warnings.push(text.to_string());
        for network in &self.site.trusted {
            if network.is_vast() {
                warn(&format_args!(
                    "trusted: {network} is a large part of the Internet: clients can forge X-Forwarded-* fields"
                ));
            }
        }
        let of_all = self.site.settings.warnings();
        for route in &self.site.routes {
            for warning in route.settings.warnings() {
                if !of_all.contains(&warning) {
                    warn(&format_args!("route {}: {warning}", route.path));
                }
            }
        }
        for warning in &of_all {
            warn(warning);
        }
        if let Some(ListenSettings { address: ListenAddress::Inet(address), .. }) = &self.admin
            && !address.ip().to_canonical().is_loopback()
        {
            warn(&format_args!(
                "admin {address} is not on loopback: whoever reaches it sees addresses, paths and errors"
            ));
        }
        for GroupSettings { name, .. } in &self.site.groups {
            if !self.site.routes.iter().any(|route| print::group_of(route) == Some(name)) {
                warn(&format_args!("backends.{name} is not used: no route leads to it"));
            }
        }
        warnings
    }

    /// In one line, what it holds.
    #[must_use]
    pub fn summary(&self) -> String {
        let site = &self.site;
        let backends: usize = site.groups.iter().map(|group| group.servers.len() + group.files.len()).sum();
        let (listen, routes, groups) = (self.listen.len(), site.routes.len(), site.groups.len());
        format!("listens on {listen}, routes {routes}, groups {groups}, backends or lists of them {backends}")
    }
}

/// Reads a file. `overrides` are assignments as of `--set`, which go before the file's own values for everything, and
/// behind those of a group or route.
///
/// # Errors
/// All mistakes, each of several lines: `file:line:column: text`, the line, and a caret.
pub fn load(path: &Path, overrides: &[String]) -> Result<Config, Vec<String>> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|problem| vec![format!("{}:{problem}", printable(&name))])?;
    let mut config = parse(&name, &text, overrides)?;
    config.source = Some(path.to_owned());
    Ok(config)
}

/// The file's text. A problem begins with the number of its line, if it has one.
fn text_of(path: &Path) -> Result<String, String> {
    let bytes = read_file(path, MOST_BYTES + 1).map_err(|error| format!(" {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!(" this has more than {MOST_BYTES} bytes, which no configuration needs"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("{}: this is no UTF-8", line_number(valid))
    })
}

/// A file, or so much of it.
fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a text; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Config, Vec<String>> {
    let mut mistakes = Mistakes::default();
    let file = toml::parse(text, &mut mistakes);
    let file = Table::of(&file, 0, &keys::FILE, &mistakes);
    let mut config = read(&file, text, overrides);
    config.warn();
    let messages = mistakes.into_messages(name, text);
    if messages.is_empty() { Ok(config) } else { Err(messages) }
}

/// All tables. What is wrong is reported, and the result is then of no use.
fn read(file: &Table<'_>, source: &str, overrides: &[String]) -> Config {
    let mut config = Config::new(settings(file, overrides));
    if let Some(server) = file.table("server", &keys::SERVER) {
        server::read(&server, &mut config);
    }
    if file.has("listen") {
        server::listen(file, &mut config.listen);
    }
    if config.admin.as_ref().is_some_and(|admin| is_taken(admin, &config.listen)) {
        file.missing(&"admin and listen have the same address");
    }
    groups(file, &mut config.site);
    routes(file, &mut config.site, source);
    config
}

/// Out of line: these are 33 values, and several places begin with them.
#[inline(never)]
pub(crate) fn default_settings() -> Settings {
    Settings::default()
}

/// What holds where no group or route says otherwise.
fn settings(file: &Table<'_>, overrides: &[String]) -> Settings {
    let mut settings = default_settings();
    file.settings_in(&keys::OF_ALL, &mut |key, text| settings.set_value(key, text));
    for assignment in overrides {
        if let Err(error) = settings.set(assignment) {
            file.missing(&format_args!("--set: {error}"));
        }
    }
    settings
}

fn groups(file: &Table<'_>, site: &mut SiteSettings) {
    // What is wrong with the table itself was reported when its settings were read.
    let Some(toml::Value::Table(table)) = file.get("backends").map(|node| &node.value) else { return };
    for toml::Entry { name, at, node } in &table.entries {
        if !matches!(node.value, toml::Value::Table(_)) {
            continue;
        }
        if let Err(problem) = values::group_name(name) {
            file.mistakes().add(*at, &format_args!("the name of a group {}: {problem}", mistakes::quoted(name)));
        }
        if let Some(table) = Table::open(name, node, &keys::GROUP, file.mistakes()) {
            site.groups.push(group::read(name, &table, &site.settings));
        }
    }
}

fn routes(file: &Table<'_>, site: &mut SiteSettings, source: &str) {
    if !file.has("route") {
        match &site.groups[..] {
            [only] => site.routes.push(RouteSettings::all_to(only.name.as_str(), &only.settings)),
            [] => file.missing(&"there is nothing to do; write [backends.app] with servers = [\"127.0.0.1:3000\"]"),
            _ => file.missing(&"there are several groups and no route; write [[route]] with to = \"...\" for each"),
        }
        return;
    }
    let tables = file.tables("route", &keys::ROUTE);
    if tables.is_empty() {
        file.wrong("route", &"an empty list leads nowhere; write [[route]]");
    }
    let mut places = Vec::new();
    for table in &tables {
        if let Some(route) = route::read(table, &site.groups, &site.settings) {
            site.routes.push(route);
            places.push(table.at());
        }
    }
    route::check_ties(&site.routes, &places, source, file.mistakes());
}

/// Whether that address is among `listen`. Port 0 is a different free port each time.
pub(crate) fn is_taken(one: &ListenSettings, listen: &[ListenSettings]) -> bool {
    let free = matches!(&one.address, ListenAddress::Inet(address) if address.port() == 0);
    !free && listen.iter().any(|other| other.address == one.address)
}
