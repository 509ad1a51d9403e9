//! Chooses which backend a request goes to, and gets a connection to it.
//!
//! Python: the article's `LoadBalancer(server_list)` with `get_server` and `forward_request`. Departs: a backend that
//! cannot be reached is passed over for another one, those that fail are left out for a while, and the list may change.

mod tended;
mod tried;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

pub use self::tried::Tried;
use super::attempt::{Attempt, Progress};
use super::backend::{Backend, BackendConnection, Claim};
use super::budget::Budget;
use super::error::Error;
use super::line::Line;
use super::members::{Common, Member, Members};
use super::metrics::Tally;
use super::peer::Context;
use super::upkeep::Discovery;
use crate::settings::Settings;
use crate::settings::group::{DEFAULT_GROUP, GroupSettings, ServerSettings};
use crate::socketserver::{RequestHandler, Worker, is_exhausted};

/// A group of backends, and how one is chosen.
#[derive(Debug)]
pub struct LoadBalancer {
    settings: GroupSettings,
    seed: Option<u64>,
    members: RwLock<Arc<Members>>,
    common: Common,
    budget: Budget,
    /// What is found, with which the upkeep goes on.
    discovery: Arc<Mutex<Discovery>>,
    is_tended: AtomicBool,
    /// New requests go to another one of its name, or there is none any more.
    replaced: AtomicBool,
}

/// What [`LoadBalancer::forward_request`] has for a request.
#[derive(Debug)]
pub(super) enum Got {
    Connection(BackendConnection),
    /// A backend was asked for a connection and has not answered.
    Connecting(Attempt),
    /// All backends have as many requests as they may have.
    Full,
    /// The only backend that is left is being tried by another request.
    OnTrial(Arc<Backend>),
}

/// The choice of a backend.
#[derive(Debug)]
pub enum Choice {
    /// This one, and a place there.
    Backend(Claim),
    /// Those that can be used have as many requests as they may have.
    Full,
    /// The only one that is left is being tried by another request.
    OnTrial(Arc<Backend>),
    /// None is left.
    None,
}

impl LoadBalancer {
    /// Over backends named `host:port`, with all defaults. The same `seed` makes the same choices.
    #[must_use]
    pub fn new<S: Into<String>>(
        backends: impl IntoIterator<Item = S>,
        seed: Option<u64>,
        settings: &Settings,
    ) -> LoadBalancer {
        let servers = backends.into_iter().map(ServerSettings::new).collect();
        LoadBalancer::with_group(GroupSettings::new(DEFAULT_GROUP, servers, settings), seed)
    }

    /// Over a group as it was configured. Names are looked up before this returns.
    #[must_use]
    pub fn with_group(group: GroupSettings, seed: Option<u64>) -> LoadBalancer {
        LoadBalancer::succeeding(group, seed, None)
    }

    /// As [`LoadBalancer::with_group`], and takes over from `last` the backends that both have, with their connections
    /// and their health, unless what is set of connections and health has changed; its counts, and the addresses of
    /// names that have no answer now and the lists that cannot be read now, in any case.
    #[must_use]
    pub fn succeeding(group: GroupSettings, seed: Option<u64>, last: Option<&LoadBalancer>) -> LoadBalancer {
        let mut discovery = Discovery::new(&group);
        for Member { backend, .. } in last.map(LoadBalancer::backends).into_iter().flatten() {
            discovery.remember(backend.name(), backend.addresses());
        }
        if let Some(last) = last {
            discovery.remember_lists(&last.discovery.lock().expect("no panic under the lock of what was found"));
        }
        let found = discovery.look().to_vec();
        let alike = last.filter(|last| {
            last.settings.settings.keepalive == group.settings.keepalive
                && last.settings.probe == group.probe
                && last.settings.settings.checks == group.settings.checks
        });
        let mut common = alike.map(|last| last.common.clone()).unwrap_or_default();
        common.tally = last.map_or_else(Arc::default, |last| Arc::clone(&last.common.tally));
        let before = alike.map(LoadBalancer::members);
        let members = Members::new(&found, before.as_deref(), &group, seed, &common);
        LoadBalancer {
            seed,
            members: RwLock::new(Arc::new(members)),
            common,
            budget: Budget::new(Instant::now()),
            discovery: Arc::new(Mutex::new(discovery)),
            is_tended: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            settings: group,
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What is set of the group.
    #[must_use]
    pub fn group(&self) -> &GroupSettings {
        &self.settings
    }

    /// What is counted of the group's requests.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.common.tally
    }

    /// What the upkeep goes on with; `None` if it has begun already.
    pub(super) fn take_discovery(&self) -> Option<Arc<Mutex<Discovery>>> {
        (!self.is_tended.swap(true, Ordering::Relaxed)).then(|| Arc::clone(&self.discovery))
    }

    /// No new requests come to it from now on.
    pub(super) fn note_replaced(&self) {
        self.replaced.store(true, Ordering::Relaxed);
    }

    fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read().expect("no panic under the lock of members"))
    }

    /// All backends as they are now, in the order in which they were given.
    #[must_use]
    pub fn backends(&self) -> Vec<Member> {
        self.members().list.clone()
    }

    /// Whether there is a backend that a request would be sent to.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.members().list.iter().any(Member::is_usable)
    }

    /// Chooses among those that can be used and were not tried. Backups are for when there is none; and if there is no
    /// backup either, those that are out are tried in turn, which is better than nothing.
    ///
    /// Python: `get_server` = `random.choice(server_list)`.
    #[must_use]
    pub fn get_server(&self, tried: &Tried, now: Instant) -> Choice {
        // Not a copy of the Arc: each would be two more writes to what all workers look at, for each request.
        let members = self.members.read().expect("no panic under the lock of members");
        for backups in [false, true] {
            let usable = members.usable(tried, &self.settings, backups, now);
            if let Some(claim) = members.choose(&usable, tried.key) {
                return Choice::Backend(claim);
            }
            if usable.is_full() {
                return Choice::Full;
            }
        }
        // After a failure, only as far as the budget goes: an outage must not be multiplied.
        if !tried.is_empty() && !self.budget.take(now) {
            return Choice::None;
        }
        members.least_bad(tried)
    }

    /// Gets a connection for a request: to the chosen backend, or, if that cannot be connected to, to another one.
    ///
    /// Python: `forward_request(request)`, which also sends it and waits; here the exchange does, so that no thread
    /// waits. For the same reason an attempt to connect is given back while the backend has not answered.
    ///
    /// # Errors
    /// The failure of a backend that has got the request already; else [`Error::Connect`] of the last one that was tried,
    /// [`Error::NoBackend`], or [`Error::NoAddress`].
    pub(super) fn forward_request(
        &self,
        tried: &mut Tried,
        begun: Option<Attempt>,
        fresh: bool,
        cx: &Context<'_>,
    ) -> Result<Got, Error> {
        let (worker, now): (&Worker, _) = (cx.worker, cx.now);
        let mut once_more = true; // Another worker may just have closed what there was.
        // This group's first, then those of all others.
        let give_up_idle = || self.close_idle() > 0 || cx.handler.give_up_idle() > 0;
        let patience = self.settings.settings.timeouts.connect;
        let mut progress = begun.map(|attempt| attempt.go_on(patience, worker, now));
        loop {
            match progress.take() {
                Some(Progress::Connected(link)) => return Ok(Got::Connection(link)),
                Some(Progress::Waits(attempt)) => return Ok(Got::Connecting(attempt)),
                Some(Progress::Failed(claim, error))
                    if is_exhausted(&error) && (give_up_idle() || std::mem::take(&mut once_more)) =>
                {
                    progress = Some(Attempt::begin(claim, patience, worker, now));
                    continue;
                }
                Some(Progress::Failed(claim, error)) => self.pass_over(claim, error, tried, now),
                None => {}
            }
            let claim = match self.get_server(tried, now) {
                Choice::Backend(claim) => claim,
                Choice::Full => return Ok(Got::Full),
                Choice::OnTrial(backend) => return Ok(Got::OnTrial(backend)),
                Choice::None => return Err(self.why_none(tried)),
            };
            tried.attempts += 1;
            tried.last = Some(Arc::clone(claim.backend()));
            claim.backend().tally.count_request();
            if !fresh && let Some(connection) = claim.backend().take_idle(now) {
                return Ok(Got::Connection(BackendConnection { connection, reused: true, connect_time: None, claim }));
            }
            progress = Some(Attempt::begin(claim, patience, worker, now));
        }
    }

    fn pass_over(&self, mut claim: Claim, error: std::io::Error, tried: &mut Tried, now: Instant) {
        log::debug!("backend {}: cannot connect: {error}", claim.backend());
        let why = match error.kind() {
            std::io::ErrorKind::TimedOut => "connecting timed out".to_owned(),
            _ => format!("cannot connect: {error}"),
        };
        if !is_exhausted(&error) {
            self.blame(&mut claim, &why, now);
        }
        tried.note_unreachable(error, claim.backend());
    }

    /// Counts a failure of a backend, which may take it out, unless it is the last one that is in.
    pub(super) fn blame(&self, claim: &mut Claim, why: &str, now: Instant) {
        let backend = Arc::clone(claim.backend());
        claim.fail(why, &self.settings, now, || {
            let another = |member: &Member| !Arc::ptr_eq(&member.backend, &backend) && member.is_usable();
            self.members().list.iter().any(another)
        });
    }

    /// With many backends and none of them well, it is no longer about the one that could not be reached last.
    pub(super) fn why_none(&self, tried: &mut Tried) -> Error {
        if let Some(failure) = tried.take_failure() {
            return failure;
        }
        let members = self.members();
        let failing = |member: &Member| {
            !member.is_usable() || member.backend.health.fails() >= self.settings.settings.upkeep.max_fails.max(1)
        };
        match tried.take_unreachable() {
            Some(failure) if members.list.len() < 2 || !members.list.iter().all(failing) => failure,
            None if members.list.is_empty() => Error::NoAddress,
            _ => Error::NoBackend,
        }
    }

    /// Counts a request, for the budget of second attempts.
    pub(super) fn count_request(&self) {
        self.budget.count_request();
    }

    /// Takes a second attempt out of the budget, if there is one.
    pub(super) fn may_try_again(&self, now: Instant) -> bool {
        self.budget.take(now)
    }

    /// Whether requests stand in line, before which a new one must not go.
    pub(super) fn has_line(&self) -> bool {
        self.common.line.has_fresh()
    }

    /// Calls the first in line if there is a place for it.
    pub(super) fn call_if_free(&self, now: Instant) {
        if self.members().has_place(&self.settings, now) {
            self.common.line.call_next();
        }
    }

    /// When the next backend that is out may be tried.
    pub(super) fn next_trial(&self, now: Instant) -> Option<Instant> {
        self.members()
            .list
            .iter()
            .filter_map(|member| member.backend.health.may_be_tried_in(now))
            .min()
            .map(|time| now + time)
    }

    /// Where those stand who wait for a place at a backend.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.common.line
    }

    /// Whether there is a backend beside this one that can be used and was not tried.
    pub(super) fn has_other(&self, backend: &Arc<Backend>, tried: &Tried) -> bool {
        let other = |member: &Member| !Arc::ptr_eq(&member.backend, backend) && !tried.contains(&member.backend);
        self.members().list.iter().any(|member| member.is_usable() && other(member))
    }

    /// Whether there is a backend beside this one that was not tried, be it out: it may have come back.
    pub(super) fn has_any_other(&self, backend: &Arc<Backend>, tried: &Tried) -> bool {
        let other = |member: &Member| !Arc::ptr_eq(&member.backend, backend) && !tried.contains(&member.backend);
        self.members().list.iter().any(|member| !member.settings.drain && other(member))
    }

    /// Closes all idle connections, for the sake of those that cannot be made. How many there were.
    pub(super) fn close_idle(&self) -> usize {
        self.members().list.iter().map(|member| member.backend.close_idle()).sum()
    }
}
