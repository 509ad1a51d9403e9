//! What goes on beside the traffic of the groups: names are looked up again, files of backends read again, backends
//! checked, idle connections closed. On threads of its own, so that no worker waits for a resolver or a dead backend.
//!
//! | file | idea |
//! |---|---|
//! | [`discovery`] | which backends there are: names, addresses, files |
//! | [`backend_file`] | a list of backends in a file |
//! | [`checks`] | one active check; how many in a row change something |
//! | this one | when it is time for what |

pub mod backend_file;
pub mod checks;
pub mod discovery;

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;
use threadpool::ThreadPool;

pub use self::checks::Consecutive;
pub use self::discovery::{Discovery, Found};
use crate::settings::Checks as When;
use crate::settings::group::{GroupSettings, Probe};
use crate::settings::listen::ListenAddress;

/// How often files and idle connections are looked at, and whether a look-up is due.
const TICK: Duration = Duration::from_millis(500);

/// Checks of one group that go on at once: each backend that does not answer holds one up for the check's timeout.
const CHECKERS: usize = 4;

/// getaddrinfo(3) wants more than a small stack.
const STACK_BYTES: usize = 256 * 1024;

/// A group of backends, as it is tended.
pub trait Tended: Send + Sync + 'static {
    /// What is set of it.
    fn settings(&self) -> &GroupSettings;

    /// The backends are others now.
    fn backends_found(&self, found: &[Found]);

    /// Which backends to check: a number that stays theirs, where, one address or another, and their name.
    fn checked_addresses(&self) -> Vec<(usize, Vec<ListenAddress>, String)>;

    /// What a check found.
    fn check_result(&self, id: usize, result: Result<(), String>);

    /// Closes idle connections whose time is over.
    fn sweep(&self, now: Instant);

    /// Whether new requests come to it. To one that another has replaced they do not, and no more is found out for it; but
    /// a tunnel may keep it up for hours.
    fn is_current(&self) -> bool;
}

/// Tends a group until it is dropped: on one thread, and on a second one if there are names to look up, or files that
/// may bring some, because a resolver may take its time.
pub fn tend<T: Tended>(group: &Arc<T>, discovery: Arc<Mutex<Discovery>>) {
    let may_have_names = !lock(&discovery).names().is_empty() || !group.settings().files.is_empty();
    if may_have_names {
        let (group, discovery) = (Arc::downgrade(group), Arc::clone(&discovery));
        start("resolver", Box::new(move || keep_resolving(&group, &discovery)));
    }
    let group = Arc::downgrade(group);
    start("upkeep", Box::new(move || keep_up(&group, &discovery)));
}

fn lock(discovery: &Mutex<Discovery>) -> MutexGuard<'_, Discovery> {
    discovery.lock().expect("no panic under the lock of what was found")
}

/// Boxed, because std's part of it would be in the program once more for each kind of work.
fn start(name: &str, work: Box<dyn FnOnce() + Send>) {
    let started = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work);
    if let Err(error) = started {
        log::error!("no thread for the {name}: {error}");
    }
}

/// Looks names up, again and again, and new ones soon. Nothing is locked meanwhile.
fn keep_resolving<T: Tended>(group: &Weak<T>, discovery: &Mutex<Discovery>) {
    let mut last = Instant::now();
    loop {
        // In short pieces, so that a group that is gone frees its thread soon.
        let Some(every) = current(group).map(|group| group.settings().settings.upkeep.resolve) else { return };
        thread::sleep(every.saturating_sub(last.elapsed()).min(TICK));
        let all = last.elapsed() >= every;
        let names = lock(discovery).take_names(all);
        for name in &names {
            let answer = discovery::look_up(name);
            lock(discovery).note_answer(name, answer);
        }
        if all {
            last = Instant::now();
        }
        if !names.is_empty() {
            publish(group, &mut lock(discovery));
        }
    }
}

fn current<T: Tended>(group: &Weak<T>) -> Option<Arc<T>> {
    group.upgrade().filter(|group| group.is_current())
}

fn publish<T: Tended>(group: &Weak<T>, discovery: &mut Discovery) {
    if let (Some(group), Some(found)) = (current(group), discovery.news()) {
        group.backends_found(found);
    }
}

/// Files, checks and idle connections.
fn keep_up<T: Tended>(group: &Weak<T>, discovery: &Mutex<Discovery>) {
    let mut checks = group.upgrade().and_then(|group| Checks::of(group.settings()));
    let mut next_look = Instant::now() + TICK;
    loop {
        let wakes = checks.as_ref().map_or(next_look, |checks| checks.due.min(next_look));
        thread::sleep(wakes.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let Some(present) = group.upgrade() else { return };
        let is_current = present.is_current();
        checks = checks.filter(|_| is_current);
        if let Some(checks) = &mut checks {
            checks.begin(&present, now);
        }
        if now < next_look {
            continue;
        }
        next_look = now + TICK;
        present.sweep(now);
        drop(present);
        if !is_current {
            continue;
        }
        let mut discovery = lock(discovery);
        if discovery.read_changed_files() {
            publish(group, &mut discovery);
        }
    }
}

/// The active checks of one group.
struct Checks {
    probe: Probe,
    when: When,
    pool: ThreadPool,
    /// Backends whose check has not ended: none is checked twice at once.
    under_way: Arc<Mutex<Vec<usize>>>,
    due: Instant,
    random: SmallRng,
}

impl Checks {
    fn of(group: &GroupSettings) -> Option<Checks> {
        let (probe, when) = (group.probe.clone()?, group.settings.checks.clone());
        let pool = threadpool::Builder::new().num_threads(CHECKERS).thread_name("check".to_owned());
        let pool = pool.thread_stack_size(STACK_BYTES).build();
        Some(Checks { probe, when, pool, under_way: Arc::default(), due: Instant::now(), random: rand::make_rng() })
    }

    /// Begins a check of each backend, if it is time.
    fn begin<T: Tended>(&mut self, group: &Arc<T>, now: Instant) {
        if now < self.due {
            return;
        }
        // Many proxies that were started together shall not check together.
        self.due = now + self.when.interval.mul_f64(self.random.random_range(0.9..1.1));
        for (id, addresses, name) in group.checked_addresses() {
            let mut checked = lock_list(&self.under_way);
            if checked.contains(&id) {
                continue;
            }
            checked.push(id);
            drop(checked);
            let (group, under_way) = (Arc::downgrade(group), Arc::clone(&self.under_way));
            let (probe, timeout) = (self.probe.clone(), self.when.timeout);
            self.pool.execute(move || {
                let result = checks::check(&addresses, &name, &probe, timeout);
                lock_list(&under_way).retain(|other| *other != id);
                if let Some(group) = group.upgrade() {
                    group.check_result(id, result);
                }
            });
        }
    }
}

fn lock_list(under_way: &Mutex<Vec<usize>>) -> MutexGuard<'_, Vec<usize>> {
    under_way.lock().expect("no panic under the lock of checks under way")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{self, Sender};

    use super::*;
    use crate::settings::Settings;

    /// Tells which backends were found, and on which thread.
    struct Told(GroupSettings, Mutex<Sender<(Vec<String>, Option<String>)>>);

    impl Tended for Told {
        fn settings(&self) -> &GroupSettings {
            &self.0
        }
        fn backends_found(&self, found: &[Found]) {
            let names = found.iter().map(|found| found.settings.address.clone()).collect();
            let to = self.1.lock().expect("no panic");
            to.send((names, thread::current().name().map(str::to_owned))).expect("a listener");
        }
        fn checked_addresses(&self) -> Vec<(usize, Vec<ListenAddress>, String)> {
            Vec::new()
        }
        fn check_result(&self, _: usize, _: Result<(), String>) {}
        fn sweep(&self, _: Instant) {}
        fn is_current(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_name_that_a_file_brings_later_is_looked_up_by_the_resolver() {
        let folder = std::env::temp_dir().join(format!("footbridge-names-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (path, next) = (folder.join("backends"), folder.join("next"));
        let replace = |text: &str| {
            fs::write(&next, text).and_then(|()| fs::rename(&next, &path)).expect("our own folder");
        };
        replace("127.0.0.1:1\n");
        let mut settings = GroupSettings::new("app", Vec::new(), &Settings::default());
        settings.files.push(path.clone());
        let mut discovery = Discovery::new(&settings);
        assert_eq!(discovery.look().len(), 1);
        let (told, heard) = mpsc::channel();
        let group = Arc::new(Told(settings, Mutex::new(told)));
        tend(&group, Arc::new(Mutex::new(discovery)));
        for (text, thread) in [("localhost:1", "resolver"), ("127.0.0.1:2", "upkeep"), ("localhost:1", "upkeep")] {
            replace(text);
            let (names, on) = heard.recv_timeout(Duration::from_secs(20)).expect("another list");
            assert_eq!((names, on.as_deref()), (vec![text.to_owned()], Some(thread)));
        }
        fs::remove_dir_all(&folder).expect("our own folder");
    }
}
