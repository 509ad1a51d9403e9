//! What goes on beside the traffic of a group, as its load balancer takes it in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::LoadBalancer;
use crate::proxy::members::{Member, Members};
use crate::proxy::upkeep::{Found, Tended};
use crate::settings::group::GroupSettings;
use crate::settings::listen::ListenAddress;

impl Tended for LoadBalancer {
    fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    fn backends_found(&self, found: &[Found]) {
        let before = self.members();
        let members = Members::new(found, Some(&before), &self.settings, self.seed, &self.common);
        let names: Vec<&str> = members.list.iter().map(|member| member.backend.label()).collect();
        log::info!("group {}: {} backends: {}", self.name(), names.len(), names.join(" "));
        *self.members.write().expect("no panic under the lock of members") = Arc::new(members);
        self.common.line.call_all();
    }

    fn checked_addresses(&self) -> Vec<(usize, Vec<ListenAddress>, String)> {
        let checked = |member: &Member| {
            let backend = &member.backend;
            (backend.id, backend.addresses().to_vec(), backend.name().to_owned())
        };
        self.members().list.iter().map(checked).collect()
    }

    fn check_result(&self, id: usize, result: Result<(), String>) {
        let members = self.members();
        let Some(member) = members.list.iter().find(|member| member.backend.id == id) else {
            return;
        };
        let good = result.is_ok();
        if let Some(change) = member.backend.health.check(result, Instant::now()) {
            log::log!(if good { log::Level::Info } else { log::Level::Warn }, "backend {}: {change}", member.backend);
            self.common.line.call_all();
            member.backend.awaiting_trial.call_all();
            if !good {
                member.backend.tally.count_taken_out();
            }
        }
    }

    fn sweep(&self, now: Instant) {
        for member in &self.members().list {
            member.backend.sweep(now);
        }
    }

    fn is_current(&self) -> bool {
        !self.replaced.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::settings::group::ServerSettings;

    /// Because the configuration is read anew while the resolver is away.
    #[test]
    fn a_name_without_an_answer_keeps_its_addresses_in_the_next_configuration() {
        let all = ["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"].map(|text| text.parse().expect("an address"));
        let servers = vec![ServerSettings::new("nobody.invalid:80"), ServerSettings::new("127.0.0.1:1")];
        let mut settings = GroupSettings::new("app", servers, &Settings::default());
        let first = LoadBalancer::with_group(settings.clone(), None);
        let discovery = first.take_discovery().expect("it is not tended");
        let mut discovery = discovery.lock().expect("no panic");
        discovery.note_answer("nobody.invalid:80", Ok(all.to_vec()));
        first.backends_found(discovery.news().expect("an answer"));
        drop(discovery);
        settings.settings.checks.fall += 1;
        settings.servers[1].address = "localhost:1".to_owned();
        let next = LoadBalancer::succeeding(settings, None, Some(&first));
        let places = |group: &LoadBalancer| {
            let of_name = |member: &Member| member.backend.addresses().to_vec();
            group.backends()[..2].iter().map(of_name).collect::<Vec<_>>()
        };
        assert_eq!(places(&next), places(&first));
        assert_eq!(next.backends().len(), 3, "what is not named any more is forgotten, what is new is looked up");
    }

    #[test]
    fn a_backend_that_is_listed_twice_stays_two() {
        let group = LoadBalancer::with_group(GroupSettings::new("app", Vec::new(), &Settings::default()), None);
        let address = ListenAddress::Inet(([127, 0, 0, 1], 1).into());
        let settings = ServerSettings::new(address.to_string());
        let found = Found { settings, address, alternatives: Vec::new() };
        let ids = || group.backends().iter().map(|member| member.backend.id).collect::<Vec<_>>();
        group.backends_found(&[found.clone(), found.clone()]);
        let before = ids();
        group.backends_found(&[found.clone(), found.clone(), found]);
        assert_eq!(ids()[..2], before);
        assert!(ids().is_sorted_by(|one, other| one < other), "{:?}", ids());
    }

    /// The next backend may well lie where the last one lay.
    #[test]
    fn a_check_that_ends_late_says_nothing_of_another_backend() {
        let mut settings = Settings::default();
        settings.checks.fall = 1;
        let group = LoadBalancer::with_group(GroupSettings::new("app", Vec::new(), &settings), None);
        let mut checked = Vec::new();
        for port in 1..100 {
            let address = ListenAddress::Inet(([127, 0, 0, 1], port).into());
            let settings = ServerSettings::new(address.to_string());
            group.backends_found(&[Found { settings, address, alternatives: Vec::new() }]);
            for id in &checked {
                group.check_result(*id, Err("it is dead".to_owned()));
            }
            assert!(group.is_usable(), "after {port}");
            checked.push(group.checked_addresses()[0].0);
        }
        group.check_result(checked[98], Err("it is dead".to_owned()));
        assert!(!group.is_usable());
    }
}
