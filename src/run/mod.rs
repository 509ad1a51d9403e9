//! From a checked configuration to a program that serves, until a signal.
//!
//! The order matters: what is handed down is taken first, what needs rights is opened next, then rights are given up, and
//! only then threads are started, since none may have more rights than the others.

mod begin;
mod reload;

use std::fs;
use std::io;
use std::path::{self, Path};
use std::sync::Arc;

use crate::admin;
use crate::config::Config;
use crate::logging::{self, AccessLog, Sinks};
use crate::rights::{self, Needs, Note};
use crate::serve::signals::Held;
use crate::serve::{self, Notifier, Serving, Sockets};
use crate::settings::listen::ListenAddress;
use crate::socketserver::Listener;

pub(crate) use self::begin::{Begun, begin};
use self::reload::{Fixed, Reload};

/// Serves as `config` says. HUP reads `arguments`, and with them the configuration file, anew.
///
/// # Errors
/// A sentence: what could not be opened or started.
pub fn run(config: Config, arguments: Vec<String>) -> Result<(), String> {
    // First of all: what is opened from now on must not stand where one of these should be.
    let mut sockets = Sockets::inherit()?;
    let manager = Notifier::from_environment();
    let cannot_log = |error: io::Error| format!("cannot log: {error}");
    let sinks = Sinks::open(&config.access_log).map_err(cannot_log)?;
    let mut listeners = Vec::new();
    for listen in &config.listen {
        listeners.push((sockets.open(listen)?, listen.address.clone()));
    }
    let admin = config.admin.as_ref().map(|listen| sockets.open(listen)).transpose()?;
    let notes = give_up_rights(&config)?;
    let signals = Held::begin()?;
    let logs = logging::start(config.log_level, sinks, config.log_format).map_err(cannot_log)?;
    for warning in config.warnings.iter().cloned().chain(sockets.warnings()) {
        log::warn!("{warning}");
    }
    for (level, note) in notes {
        log::log!(level, "{note}");
    }
    let access_log = (config.access_log != AccessLog::Off).then_some(config.log_format);
    let fixed = Fixed::of(&config);
    let Begun { proxy, serving, status } = begin(config.site, &config.workers, access_log, listeners)?;
    let admin_file = admin.as_ref().and_then(Listener::file).cloned();
    if let Some(listener) = admin {
        admin::start(listener, Arc::clone(&status))?;
    }
    let mut reload = Reload { source: config.source, fixed, listen: config.listen, arguments, sockets, proxy, status };
    let mut reload = |serving: &mut Serving| reload.reload(serving);
    let result = serve::serve_until_signal(serving, signals, &manager, logs.reopener(), Some(&mut reload));
    // Its server answers as long as anybody may ask how the end goes.
    if let Some(file) = admin_file {
        file.remove();
    }
    result
}

/// All but what serving, opening logs anew and reading the configuration anew need.
fn give_up_rights(config: &Config) -> Result<Vec<Note>, String> {
    // Folders, because another file takes a file's name when it is replaced; and where a link leads, too.
    let folder = |path: &Path| path::absolute(path).ok()?.parent().map(Path::to_owned);
    let (mut read, mut sockets) = (Vec::new(), Vec::new());
    let mut reads = |file: &Path| {
        read.extend(folder(file));
        read.extend(fs::canonicalize(file).ok().as_deref().and_then(folder));
    };
    for group in &config.site.groups {
        for file in &group.files {
            reads(file);
        }
    }
    if let Some(file) = &config.source {
        reads(file);
    }
    read.dedup();
    for listen in config.listen.iter().chain(&config.admin) {
        if let ListenAddress::Unix(path) = &listen.address {
            sockets.extend(folder(path));
        }
    }
    sockets.dedup();
    let binds = config.source.is_some();
    let needs = Needs { access_log: config.access_log.path(), sockets: &sockets, read: &read, binds };
    rights::give_up(config.user.as_ref(), config.sandbox, &needs)
}
