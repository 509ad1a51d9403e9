//! A copy of all that is shown. Input: the proxy, its workers. Output: [`Snapshot`]: plain values, for every form of
//! answer the same.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Reload, State, lock};
use crate::proxy::LoadBalancer;
use crate::proxy::members::Member;
use crate::proxy::metrics::{BackendCounts, Counts};
use crate::proxy::recent::Failure;
use crate::settings::group::ServerSettings;
use crate::socketserver::Census;

/// All states of a backend, the good ones first.
pub(super) const STATES: [&str; 5] = ["up", "slow-start", "trial", "down", "drain"];

/// Everything, at one moment.
pub(super) struct Snapshot {
    pub(super) now: SystemTime,
    pub(super) started: SystemTime,
    pub(super) listeners: Vec<String>,
    pub(super) reload: Option<Reload>,
    /// The first, without a name and backends, is for requests that came to none.
    pub(super) groups: Vec<Group>,
    /// Requests of groups that are no more.
    gone: u64,
    pub(super) census: Census,
    /// The oldest first.
    pub(super) failures: Vec<Failure>,
}

/// A group of backends.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) policy: &'static str,
    pub(super) usable: bool,
    pub(super) counts: Counts,
    pub(super) backends: Vec<Backend>,
}

/// A backend.
pub(super) struct Backend {
    /// Its address.
    pub(super) label: String,
    /// As it was configured.
    pub(super) name: String,
    /// One of [`STATES`].
    pub(super) state: &'static str,
    pub(super) since: SystemTime,
    pub(super) why: String,
    pub(super) last_check: Option<(SystemTime, Result<(), String>)>,
    pub(super) weight: u32,
    pub(super) backup: bool,
    pub(super) in_flight: u64,
    pub(super) idle: u64,
    pub(super) counts: BackendCounts,
}

impl Snapshot {
    pub(super) fn of(state: &State) -> Snapshot {
        let site = state.handler.site();
        let unrouted = Group {
            name: String::new(),
            policy: "",
            usable: true,
            counts: state.handler.unrouted().counts(),
            backends: Vec::new(),
        };
        let mut groups = vec![unrouted];
        for group in site.groups() {
            groups.push(Group::of(group, state.started));
        }
        Snapshot {
            now: SystemTime::now(),
            started: state.started,
            listeners: lock(&state.listeners).iter().map(ToString::to_string).collect(),
            reload: lock(&state.reload).clone(),
            groups,
            gone: state.handler.gone(),
            census: state.workers.census(),
            failures: state.handler.failures().list(),
        }
    }

    /// All exchanges that are over.
    pub(super) fn requests(&self) -> u64 {
        self.gone + self.groups.iter().map(|group| group.counts.requests()).sum::<u64>()
    }

    /// How long ago.
    pub(super) fn since(&self, time: SystemTime) -> Duration {
        self.now.duration_since(time).unwrap_or_default()
    }

    /// Whether requests should be sent here, and what is missing, a line for each.
    pub(super) fn readiness(&self) -> (bool, String) {
        let named = || self.groups.iter().filter(|group| !group.name.is_empty());
        let lacking = |group: &&Group| !group.usable;
        let useless = named().next().is_some() && named().all(|group| lacking(&group));
        let ready = !self.census.draining && !useless;
        let mut text = String::from(if ready { "ready\n" } else { "not ready\n" });
        if self.census.draining {
            text.push_str("stopping\n");
        }
        for group in named().filter(lacking) {
            text.push_str("group ");
            text.push_str(&group.name);
            text.push_str(" has no usable backend\n");
        }
        (ready, text)
    }
}

impl Group {
    fn of(balancer: &Arc<LoadBalancer>, started: SystemTime) -> Group {
        let mut backends: Vec<Backend> = Vec::new();
        let slow_start = balancer.group().settings.upkeep.slow_start;
        let members = balancer.backends();
        for member in &members {
            let backend = Backend::of(member, slow_start);
            // Two names may stand for one address, which is counted once.
            match backends.iter_mut().find(|known| known.label == backend.label) {
                Some(known) => {
                    known.in_flight += backend.in_flight;
                    known.idle += backend.idle;
                }
                None => backends.push(backend),
            }
        }
        for server in &balancer.group().servers {
            if members.iter().all(|member| member.backend.name() != server.address) {
                backends.push(Backend::without_address(server, started));
            }
        }
        Group {
            name: balancer.name().to_owned(),
            policy: balancer.group().balance.name(),
            usable: balancer.is_usable(),
            counts: balancer.tally().counts(),
            backends,
        }
    }

    /// Attempts of all backends.
    pub(super) fn attempts(&self) -> u64 {
        self.backends.iter().map(|backend| backend.counts.requests).sum()
    }
}

impl Backend {
    /// One whose name no resolver knows.
    fn without_address(server: &ServerSettings, since: SystemTime) -> Backend {
        Backend {
            label: server.address.clone(),
            name: server.address.clone(),
            state: "down",
            since,
            why: "its name has no address".to_owned(),
            last_check: None,
            weight: server.weight,
            backup: server.backup,
            in_flight: 0,
            idle: 0,
            counts: BackendCounts::default(),
        }
    }

    fn of(member: &Member, slow_start: Duration) -> Backend {
        let backend = &member.backend;
        let health = backend.health.state(Instant::now(), slow_start);
        Backend {
            label: backend.label().to_owned(),
            name: backend.name().to_owned(),
            state: if member.settings.drain { "drain" } else { health.word },
            since: health.since,
            why: health.why,
            last_check: health.last_check,
            weight: member.settings.weight,
            backup: member.settings.backup,
            in_flight: backend.in_flight().into(),
            idle: backend.idle_connections() as u64,
            counts: backend.tally.counts(),
        }
    }
}
