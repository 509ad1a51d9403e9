//! Which backends a group has now: what is configured, what names stand for, what files list.
//!
//! A name with several addresses is several backends. What cannot be looked up or read keeps its last good answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::backend_file::BackendFile;
use crate::settings::group::{GroupSettings, ServerSettings};
use crate::settings::listen::ListenAddress;

/// One backend as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is set of it; the address is as it was configured.
    pub settings: ServerSettings,
    /// Where it is.
    pub address: ListenAddress,
    /// Where it is as well: an attempt to connect tries these, too, before it counts as failed.
    pub alternatives: Vec<ListenAddress>,
}

/// What was found for one group.
#[derive(Debug)]
pub struct Discovery {
    servers: Vec<ServerSettings>,
    files: Vec<BackendFile>,
    /// All names that were ever looked up: few enough to be gone through.
    known: Vec<Known>,
    /// Names that a file has brought, or that are remembered, and nobody has looked up yet.
    new: Vec<String>,
    last: Vec<Found>,
}

/// A name that was looked up.
#[derive(Debug)]
struct Known {
    name: String,
    /// The last good answer; empty if there was none.
    addresses: Vec<SocketAddr>,
    /// The last look-up failed: the log is told once.
    failing: bool,
}

impl Discovery {
    /// Nothing is looked up yet.
    #[must_use]
    pub fn new(group: &GroupSettings) -> Discovery {
        Discovery {
            servers: group.servers.clone(),
            files: group.files.iter().map(|path| BackendFile::new(path)).collect(),
            known: Vec::new(),
            new: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Reads all files and looks up all names; what fails is told to the log. A name that is remembered is left to the
    /// resolver: whoever waits for this, as the signals do, need not wait for a name server that does not answer.
    pub fn look(&mut self) -> &[Found] {
        for file in &mut self.files {
            file.read_if_changed();
        }
        for name in self.names() {
            if self.known(&name).is_some_and(|known| !known.addresses.is_empty()) {
                self.new.push(name);
                continue;
            }
            let answer = look_up(&name);
            self.note_answer(&name, answer);
        }
        self.last = self.assemble();
        &self.last
    }

    /// A backend as it was found before: where it was is where it is until its name is looked up with success.
    pub fn remember(&mut self, name: &str, addresses: &[ListenAddress]) {
        for address in addresses {
            if let ListenAddress::Inet(address) = address
                && fixed(name).is_none()
            {
                add(&mut self.entry(name).addresses, *address);
            }
        }
    }

    /// Lists as they were read before: what they said stays until they are read with success.
    pub fn remember_lists(&mut self, last: &Discovery) {
        for file in &mut self.files {
            last.files.iter().for_each(|before| file.remember(before));
        }
    }

    fn all_servers(&self) -> impl Iterator<Item = &ServerSettings> {
        self.servers.iter().chain(self.files.iter().flat_map(BackendFile::servers))
    }

    /// The addresses that have to be looked up, each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for ServerSettings { address, .. } in self.all_servers() {
            if fixed(address).is_none() && !names.contains(address) {
                names.push(address.clone());
            }
        }
        names
    }

    /// The names to look up now: `all`, or those that nobody has looked up yet.
    pub(super) fn take_names(&mut self, all: bool) -> Vec<String> {
        let new = std::mem::take(&mut self.new);
        if all { self.names() } else { new }
    }

    fn known(&self, name: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.name == name)
    }

    fn entry(&mut self, name: &str) -> &mut Known {
        let place = self.known.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.known.push(Known { name: name.to_owned(), addresses: Vec::new(), failing: false });
            self.known.len() - 1
        });
        &mut self.known[place]
    }

    /// Takes in what a look-up has answered.
    pub fn note_answer(&mut self, name: &str, answer: io::Result<Vec<SocketAddr>>) {
        let Known { addresses, failing, .. } = self.entry(name);
        let failed_before = std::mem::replace(failing, answer.is_err());
        match answer {
            Ok(found) => {
                if failed_before {
                    log::info!("{name}: found again");
                }
                *addresses = found;
            }
            Err(error) if !failed_before => {
                let stays = if addresses.is_empty() { "trying on" } else { "its last addresses stay" };
                log::warn!("cannot look up {name}: {error}; {stays}");
            }
            Err(_) => {}
        }
    }

    /// Reads the files that have changed. Returns whether one says something else now.
    pub fn read_changed_files(&mut self) -> bool {
        let mut changed = false;
        for file in &mut self.files {
            changed |= file.read_if_changed();
        }
        if changed {
            self.new = self.names();
            self.new.retain(|name| self.known.iter().all(|known| known.name != *name || known.addresses.is_empty()));
        }
        changed
    }

    /// What there is now, if it is not what there was. Not while there are names to look up: a list whose names are all
    /// new would be an empty one.
    pub fn news(&mut self) -> Option<&[Found]> {
        let found = self.assemble();
        if found == self.last || !self.new.is_empty() {
            return None;
        }
        self.last = found;
        Some(&self.last)
    }

    fn assemble(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for server in self.all_servers() {
            let here = match fixed(&server.address) {
                Some(address) => vec![(address, Vec::new())],
                None => self.known(&server.address).map(|known| pair(&known.addresses)).unwrap_or_default(),
            };
            found.extend(here.into_iter().map(|(address, alternatives)| {
                let settings = server.clone();
                Found { settings, address, alternatives }
            }));
        }
        found
    }
}

/// The address, if it is one and no name.
fn fixed(address: &str) -> Option<ListenAddress> {
    match address.strip_prefix("unix:") {
        Some(path) => Some(ListenAddress::Unix(PathBuf::from(path))),
        None => address.parse().ok().map(ListenAddress::Inet),
    }
}

/// Asks the system, which may take its time.
pub(super) fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in name.to_socket_addrs()? {
        add(&mut addresses, address);
    }
    if addresses.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")) } else { Ok(addresses) }
}

/// In an order of our own: many resolvers turn theirs with every answer, and that is no change.
fn add(addresses: &mut Vec<SocketAddr>, address: SocketAddr) {
    if let Err(place) = addresses.binary_search(&address) {
        addresses.insert(place, address);
    }
}

/// A host with addresses of both families is mostly one server, reached in two ways: the i-th of one family goes with
/// the i-th of the other. The family that has more of them, IPv4 if both have as many, says how many backends there are.
fn pair(addresses: &[SocketAddr]) -> Vec<(ListenAddress, Vec<ListenAddress>)> {
    let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses.iter().partition(|address| address.is_ipv4());
    let (first, second) = if v6.len() > v4.len() { (v6, v4) } else { (v4, v6) };
    let alternative = |place: usize| second.get(place.min(second.len().saturating_sub(1))).copied();
    let pairs = first.into_iter().enumerate();
    pairs
        .map(|(place, address)| {
            (ListenAddress::Inet(address), alternative(place).map(ListenAddress::Inet).into_iter().collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn discovery(servers: &[&str]) -> Discovery {
        let servers = servers.iter().map(|server| ServerSettings::new(*server)).collect();
        Discovery::new(&GroupSettings::new("app", servers, &Settings::default()))
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn shown(found: &[Found]) -> Vec<String> {
        let all = |found: &Found| {
            let rest = found.alternatives.iter().map(|address| format!("/{address}"));
            std::iter::once(found.address.to_string()).chain(rest).collect()
        };
        found.iter().map(all).collect()
    }

    #[test]
    fn addresses_and_sockets_need_no_look_up() {
        let mut discovery = discovery(&["127.0.0.1:1", "[::1]:2", "unix:/run/app.sock"]);
        assert!(discovery.names().is_empty());
        assert_eq!(shown(discovery.look()), ["127.0.0.1:1", "[::1]:2", "unix:/run/app.sock"]);
    }

    #[test]
    fn a_name_with_several_addresses_is_several_backends() {
        let mut discovery = discovery(&["app:80"]);
        discovery.note_answer("app:80", Ok(addresses(&["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"])));
        let found = discovery.news().expect("two backends");
        assert_eq!(shown(found), ["10.0.0.1:80/[fd00::1]:80", "10.0.0.2:80/[fd00::1]:80"]);
        discovery.note_answer("app:80", Ok(addresses(&["10.0.0.1:80", "[fd00::1]:80", "[fd00::2]:80"])));
        let found = discovery.news().expect("others");
        assert_eq!(shown(found), ["[fd00::1]:80/10.0.0.1:80", "[fd00::2]:80/10.0.0.1:80"]);
    }

    #[test]
    fn a_failed_look_up_keeps_the_last_good_answer() {
        let mut discovery = discovery(&["app:80"]);
        let fail = || Err(io::Error::from(io::ErrorKind::NotFound));
        discovery.note_answer("app:80", fail());
        assert!(discovery.news().is_none());
        discovery.note_answer("app:80", Ok(addresses(&["10.0.0.1:80"])));
        assert!(discovery.news().is_some());
        discovery.note_answer("app:80", fail());
        assert!(discovery.news().is_none());
        assert_eq!(shown(&discovery.assemble()), ["10.0.0.1:80"]);
    }

    /// Elsewhere: whoever looks a name up must not hold what was found.
    #[test]
    fn a_name_that_a_file_brings_is_left_to_the_resolver_and_its_list_waits() {
        let path = std::env::temp_dir().join(format!("footbridge-discovery-{}", std::process::id()));
        std::fs::write(&path, "10.0.0.1:80\n").expect("a file");
        let mut settings = GroupSettings::new("app", Vec::new(), &Settings::default());
        settings.files.push(path.clone());
        let mut discovery = Discovery::new(&settings);
        discovery.look();
        std::fs::write(&path, "10.0.0.2:80\nlocalhost:80\n").expect("a file");
        assert!(discovery.read_changed_files());
        assert!(discovery.news().is_none());
        assert_eq!(discovery.take_names(false), ["localhost:80"]);
        assert!(discovery.take_names(false).is_empty());
        discovery.note_answer("localhost:80", Ok(addresses(&["10.0.0.3:80"])));
        assert_eq!(shown(discovery.news().expect("both")), ["10.0.0.2:80", "10.0.0.3:80"]);
        std::fs::remove_file(&path).expect("our own file");
    }

    #[test]
    fn a_name_that_is_remembered_is_not_waited_for() {
        let mut discovery = discovery(&["nobody.invalid:80"]);
        discovery.remember(
            "nobody.invalid:80",
            &["10.0.0.1:80"].map(|text| ListenAddress::Inet(text.parse().expect("one"))),
        );
        assert_eq!(shown(discovery.look()), ["10.0.0.1:80"]);
        assert_eq!(discovery.take_names(false), ["nobody.invalid:80"], "it is looked up soon");
        assert!(discovery.news().is_none());
    }

    #[test]
    fn the_system_knows_localhost_and_no_invalid_name() {
        assert!(!look_up("localhost:80").expect("a name of every system").is_empty());
        assert!(look_up("nobody.invalid:80").is_err());
    }
}
