//! The backends of a group as they are at one moment. A list never changes: when others are found, another takes its
//! place, and requests go on with the one that they began with.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Backend, Claim};
use super::line::Line;
use super::load_balancer::{Choice, Tried};
use super::metrics::Tally;
use super::policy::{Candidates, Chooser, FULL};
use super::upkeep::Found;
use crate::settings::group::{GroupSettings, ServerSettings};

/// The list.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) list: Vec<Member>,
    chooser: Chooser,
}

/// What all backends of a group have in common, whichever they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) line: Arc<Line>,
    /// Requests that wait for what comes of a trial, because no other backend is left to them. One line for all: whichever
    /// comes back will do.
    pub(super) awaiting_trial: Arc<Line>,
    pub(super) tally: Arc<Tally>,
}

/// A backend, and what is set of it now.
#[derive(Clone, Debug)]
pub struct Member {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Weight and the like.
    pub settings: ServerSettings,
}

impl Member {
    /// Whether new requests may go to it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.settings.drain && self.backend.health.is_up()
    }
}

impl Members {
    /// What was found, with the backends of `before` where they are the same.
    pub(super) fn new(
        found: &[Found],
        before: Option<&Members>,
        group: &GroupSettings,
        seed: Option<u64>,
        common: &Common,
    ) -> Members {
        let mut list: Vec<Member> = Vec::new();
        for found in found {
            // One that is listed twice is two, as it was at first: each with its own max_requests.
            let is_taken = |backend: &Arc<Backend>| list.iter().any(|member| Arc::ptr_eq(&member.backend, backend));
            let before = before.into_iter().flat_map(|before| &before.list).map(|member| &member.backend);
            let known = before.filter(|backend| backend.is(found)).find(|backend| !is_taken(backend));
            let backend = known.map_or_else(|| Arc::new(Backend::new(found, group, common)), Arc::clone);
            list.push(Member { backend, settings: found.settings.clone() });
        }
        let weights: Vec<u32> = list.iter().map(|member| member.settings.weight).collect();
        let identities = list.iter().map(|member| member.backend.label());
        let chooser = Chooser::new(&group.balance, &weights, identities, seed);
        Members { list, chooser }
    }

    /// How a policy is to look at them, for one request.
    pub(super) fn usable<'a>(
        &'a self,
        tried: &'a Tried,
        group: &'a GroupSettings,
        backups: bool,
        now: Instant,
    ) -> Usable<'a> {
        Usable { members: &self.list, tried, group, backups, now, full: Cell::new(false) }
    }

    /// A place at one that the policy chooses, if there is one.
    pub(super) fn choose(&self, usable: &Usable<'_>, key: u64) -> Option<Claim> {
        loop {
            let Member { backend, settings } = &self.list[self.chooser.choose(usable, key)?];
            if let Some(claim) = backend.claim(settings.max_requests) {
                return Some(claim);
            } // Another request was faster; now it is seen to be full, or to have its trial.
        }
    }

    /// Whether there is a place for a request that has tried nothing.
    pub(super) fn has_place(&self, group: &GroupSettings, now: Instant) -> bool {
        let tried = Tried::default();
        for backups in [false, true] {
            let usable = self.usable(&tried, group, backups, now);
            if (0..usable.len()).any(|place| usable.share(place) > 0) {
                return true;
            }
            if usable.is_full() {
                break;
            }
        }
        false
    }

    /// Of those that are out, each in turn: the one that was not tried for longest. If another request is trying it, those
    /// that have met a failure already wait for what comes of that; to the others it is as bad as any.
    pub(super) fn least_bad(&self, tried: &Tried) -> Choice {
        let out = |member: &&Member| {
            !member.settings.drain && !member.backend.health.is_up() && !tried.contains(&member.backend)
        };
        let is_full =
            |member: &Member| member.settings.max_requests.is_some_and(|most| member.backend.in_flight() >= most);
        // One that hangs in its trial, or is full, does not keep the others from theirs.
        let turn = |member: &&Member| {
            let health = &member.backend.health;
            (is_full(member) || health.is_on_trial(), health.last_trial())
        };
        let Some(next) = self.list.iter().filter(out).min_by_key(turn) else { return Choice::None };
        if is_full(next) {
            return Choice::Full;
        }
        let Member { backend, settings } = next;
        match backend.claim(settings.max_requests) {
            Some(claim) => Choice::Backend(claim),
            None if tried.is_empty() => Choice::None,
            None => Choice::OnTrial(Arc::clone(backend)),
        }
    }
}

/// The members as a policy looks at them, for one request.
pub(super) struct Usable<'a> {
    members: &'a [Member],
    tried: &'a Tried,
    group: &'a GroupSettings,
    /// Whether it is the turn of those that are used only when no other can be.
    backups: bool,
    now: Instant,
    /// One could be used if it had not as many requests as it may have.
    full: Cell<bool>,
}

impl Usable<'_> {
    /// Whether one of those looked at could be used, had it not as many requests as it may have.
    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }
}

impl Candidates for Usable<'_> {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn share(&self, place: usize) -> u32 {
        let Member { backend, settings } = &self.members[place];
        if settings.drain || settings.backup != self.backups || self.tried.contains(backend) {
            return 0;
        }
        let share = backend.health.share(self.now, self.group.settings.upkeep.slow_start);
        if share > 0 && settings.max_requests.is_some_and(|most| backend.in_flight() >= most) {
            self.full.set(true);
            return 0;
        }
        share.min(FULL)
    }

    fn in_flight(&self, place: usize) -> u32 {
        self.members[place].backend.in_flight()
    }
}
