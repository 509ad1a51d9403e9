//! HUP: the configuration is read anew, and takes effect at once or not at all.
//!
//! What may fail comes first: reading, and binding new addresses. Then groups and routes are replaced, in one moment:
//! what goes on, goes on as it began. Last, listeners come and go.

use std::sync::Arc;

use crate::admin;
use crate::cli::{self, Outcome};
use crate::config::Config;
use crate::proxy::ReverseProxyHandler;
use crate::serve::{Serving, Sockets};
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::socketserver::Listener;

/// What is needed to reload.
pub(super) struct Reload {
    /// As it is in effect.
    pub(super) present: Config,
    pub(super) arguments: Vec<String>,
    pub(super) sockets: Sockets,
    pub(super) proxy: Arc<ReverseProxyHandler>,
    /// What the admin page is told.
    pub(super) status: Arc<admin::State>,
}

impl Reload {
    /// Reads the configuration anew. If anything is wrong with it, all stays as it is, and the log says why.
    pub(super) fn reload(&mut self, serving: &mut Serving<ReverseProxyHandler>) {
        match self.read().and_then(|next| self.take(next, serving)) {
            Ok(()) => {
                log::info!("reloaded: {}", self.present.summary());
                self.status.set_listeners(serving.addresses());
                self.status.note_reload(Ok(()));
            }
            Err(problems) => {
                // Without the lines of the file: the page has no room for them.
                let first: Vec<&str> = problems.iter().filter_map(|problem| problem.lines().next()).collect();
                self.status.note_reload(Err(first.join("; ")));
                for line in problems.iter().flat_map(|problem| problem.lines()) {
                    log::error!("{line}");
                }
                log::error!("not reloaded: the configuration stays as it was");
            }
        }
    }

    fn read(&self) -> Result<Config, Vec<String>> {
        if self.present.source.is_none() {
            return Err(vec!["there is no configuration file to read anew".to_owned()]);
        }
        match cli::parse(&self.arguments) {
            Outcome::Run(config) => Ok(*config),
            Outcome::Mistakes(mistakes) => Err(mistakes),
            Outcome::Wrong(line) => Err(vec![line]),
            _ => Err(vec!["the arguments ask for something else now".to_owned()]),
        }
    }

    fn take(&mut self, next: Config, serving: &mut Serving<ReverseProxyHandler>) -> Result<(), Vec<String>> {
        let opened = self.open(&next.listen, serving).map_err(|problem| vec![problem])?;
        for warning in &next.warnings {
            log::warn!("{warning}");
        }
        for what in changed_in_vain(&self.present, &next) {
            log::warn!("{what} has changed: it takes effect when footbridge is started again");
        }
        self.proxy.replace(next.site.clone());
        serving.patience = next.site.settings.timeouts.shutdown;
        for (address, listener) in opened {
            if let Err(problem) = serving.start(address, listener) {
                log::error!("{problem}");
            }
        }
        let kept = |address: &ListenAddress| next.listen.iter().any(|listen| listen.address == *address);
        let gone: Vec<_> = serving.asked().filter(|address| !kept(address)).cloned().collect();
        for address in gone {
            serving.stop(&address);
        }
        self.present = with_fixed_parts(&self.present, next);
        Ok(())
    }

    /// Binds the addresses that are new.
    fn open(
        &mut self,
        listen: &[ListenSettings],
        serving: &Serving<ReverseProxyHandler>,
    ) -> Result<Vec<(ListenAddress, Listener)>, String> {
        let known: Vec<_> = serving.asked().cloned().collect();
        let new = listen.iter().filter(|listen| !known.contains(&listen.address));
        new.map(|listen| Ok((listen.address.clone(), self.sockets.open(listen)?))).collect()
    }
}

/// What cannot change while the process runs: its threads and open files.
fn changed_in_vain(present: &Config, next: &Config) -> Vec<&'static str> {
    let connections = |config: &Config| config.site.settings.limits.connections;
    [
        ("admin", present.admin != next.admin),
        ("workers", present.workers != next.workers),
        ("access_log", present.access_log != next.access_log),
        ("log_format", present.log_format != next.log_format),
        ("log_level", present.log_level != next.log_level),
        ("user", present.user != next.user),
        ("sandbox", present.sandbox != next.sandbox),
        ("limits.connections", connections(present) != connections(next)),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect()
}

/// `next`, but for what has not taken effect: so that the next comparison is with what really is.
fn with_fixed_parts(present: &Config, mut next: Config) -> Config {
    next.site.settings.limits.connections = present.site.settings.limits.connections;
    Config {
        admin: present.admin.clone(),
        workers: present.workers.clone(),
        access_log: present.access_log.clone(),
        log_format: present.log_format,
        log_level: present.log_level,
        user: present.user.clone(),
        sandbox: present.sandbox,
        ..next
    }
}
