//! HUP: the configuration is read anew, and takes effect at once or not at all.
//!
//! What may fail comes first: reading, and binding new addresses. Then groups and routes are replaced, in one moment:
//! what goes on, goes on as it began. Last, listeners come and go.

use std::path::PathBuf;
use std::sync::Arc;

use log::LevelFilter;

use crate::access::LogFormat;
use crate::admin;
use crate::cli::{self, Outcome};
use crate::config::{Config, WorkerSettings};
use crate::logging::AccessLog;
use crate::proxy::ReverseProxyHandler;
use crate::rights::Identity;
use crate::serve::{Serving, Sockets};
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::socketserver::Listener;

/// What is needed to reload.
pub(super) struct Reload {
    /// Where the configuration is; `None` if all of it stood in the arguments.
    pub(super) source: Option<PathBuf>,
    pub(super) fixed: Fixed,
    /// Where it listens, with the modes that were asked for.
    pub(super) listen: Vec<ListenSettings>,
    pub(super) arguments: Vec<String>,
    pub(super) sockets: Sockets,
    pub(super) proxy: Arc<ReverseProxyHandler>,
    /// What the admin page is told.
    pub(super) status: Arc<admin::State>,
}

impl Reload {
    /// Reads the configuration anew. If anything is wrong with it, all stays as it is, and the log says why.
    pub(super) fn reload(&mut self, serving: &mut Serving) {
        match self.read().and_then(|next| self.take(next, serving)) {
            Ok(summary) => {
                log::info!("reloaded: {summary}");
                self.status.set_listeners(serving.addresses());
                self.status.note_reload(Ok(()));
            }
            Err(problems) => {
                // Without the lines of the file: the page has no room for them.
                let first: Vec<&str> = problems.iter().filter_map(|problem| problem.lines().next()).collect();
                self.status.note_reload(Err(first.join("; ")));
                for problem in problems {
                    for line in problem.lines() {
                        log::error!("{line}");
                    }
                }
                log::error!("not reloaded: the configuration stays as it was");
            }
        }
    }

    fn read(&self) -> Result<Config, Vec<String>> {
        if self.source.is_none() {
            return Err(vec!["there is no configuration file to read anew".to_owned()]);
        }
        match cli::parse(&self.arguments) {
            Outcome::Run(config) => Ok(*config),
            Outcome::Mistakes(mistakes) => Err(mistakes),
            Outcome::Wrong(line) => Err(vec![line]),
            _ => Err(vec!["the arguments ask for something else now".to_owned()]),
        }
    }

    /// Makes a configuration the present one; what it holds.
    fn take(&mut self, next: Config, serving: &mut Serving) -> Result<String, Vec<String>> {
        let opened = self.open(&next.listen, serving).map_err(|problem| vec![problem])?;
        for warning in &next.warnings {
            log::warn!("{warning}");
        }
        self.fixed.warn_of_changes(&Fixed::of(&next));
        serving.patience = next.site.settings.timeouts.shutdown;
        let summary = next.summary();
        self.proxy.replace(next.site);
        for (address, listener) in opened {
            if let Err(problem) = serving.start(address, listener) {
                log::error!("{problem}");
            }
        }
        let kept = |address: &ListenAddress| next.listen.iter().any(|listen| listen.address == *address);
        loop {
            let gone = serving.asked().find(|address| !kept(address)).cloned();
            let Some(gone) = gone else { break };
            serving.stop(&gone);
        }
        self.set_modes(next.listen, serving);
        Ok(summary)
    }

    /// Those of Unix sockets that stay.
    fn set_modes(&mut self, listen: Vec<ListenSettings>, serving: &Serving) {
        for ListenSettings { address, mode } in &listen {
            if !self.listen.iter().any(|before| before.address == *address && before.mode != *mode) {
                continue;
            }
            let why = match mode.map(|mode| serving.set_mode(address, mode)) {
                Some(Ok(())) => continue,
                Some(Err(error)) => error.to_string(),
                None => "it is left to the umask".to_owned(),
            };
            log::warn!("mode of {address} has changed: it takes effect when footbridge is started again: {why}");
        }
        self.listen = listen;
    }

    /// Binds the addresses that are new.
    fn open(&mut self, listen: &[ListenSettings], serving: &Serving) -> Result<Vec<(ListenAddress, Listener)>, String> {
        let mut opened = Vec::new();
        for listen in listen {
            if !serving.asked().any(|known| *known == listen.address) {
                opened.push((listen.address.clone(), self.sockets.open(listen)?));
            }
        }
        Ok(opened)
    }
}

/// What cannot change while the process runs: its threads and open files.
pub(super) struct Fixed {
    admin: Option<ListenSettings>,
    workers: WorkerSettings,
    access_log: AccessLog,
    log_format: LogFormat,
    log_level: LevelFilter,
    user: Option<Identity>,
    sandbox: bool,
    connections: Option<usize>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Fixed {
        Fixed {
            admin: config.admin.clone(),
            workers: config.workers.clone(),
            access_log: config.access_log.clone(),
            log_format: config.log_format,
            log_level: config.log_level,
            user: config.user.clone(),
            sandbox: config.sandbox,
            connections: config.site.settings.limits.connections,
        }
    }

    /// Names what is another in `next`.
    fn warn_of_changes(&self, next: &Fixed) {
        for (what, changed) in [
            ("admin", self.admin != next.admin),
            ("workers", self.workers != next.workers),
            ("access_log", self.access_log != next.access_log),
            ("log_format", self.log_format != next.log_format),
            ("log_level", self.log_level != next.log_level),
            ("user", self.user != next.user),
            ("sandbox", self.sandbox != next.sandbox),
            ("limits.connections", self.connections != next.connections),
        ] {
            if changed {
                log::warn!("{what} has changed: it takes effect when footbridge is started again");
            }
        }
    }
}
