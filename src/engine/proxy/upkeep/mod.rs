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

/// How often files are looked at, and whether a check or a look-up is due.
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

    /// Which backends to check: a number that stays theirs, where, and their name.
    fn checked_addresses(&self) -> Vec<(usize, ListenAddress, String)>;

    /// What a check found.
    fn check_result(&self, id: usize, result: Result<(), String>);

    /// Closes idle connections whose time is over.
    fn sweep(&self, now: Instant);
}

/// Tends a group until it is dropped: on one thread, and on a second one if there are names to look up, because a
/// resolver may take its time.
pub fn tend<T: Tended>(group: &Arc<T>, discovery: Discovery) {
    let discovery = Arc::new(Mutex::new(discovery));
    if has_names(&discovery) {
        let (group, discovery) = (Arc::downgrade(group), Arc::clone(&discovery));
        start("resolver", move || keep_resolving(&group, &discovery));
    }
    let group = Arc::downgrade(group);
    start("upkeep", move || keep_up(&group, &discovery));
}

fn has_names(discovery: &Mutex<Discovery>) -> bool {
    !lock(discovery).names().is_empty()
}

fn lock(discovery: &Mutex<Discovery>) -> MutexGuard<'_, Discovery> {
    discovery.lock().expect("no panic under the lock of what was found")
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) {
    let started = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work);
    if let Err(error) = started {
        log::error!("no thread for the {name}: {error}");
    }
}

/// Sleeps in short pieces, so that a group that is gone frees its thread soon.
fn pause<T: Tended>(group: &Weak<T>, pause: Duration) {
    let until = Instant::now() + pause;
    while group.strong_count() > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(TICK));
    }
}

/// Looks names up, again and again. Nothing is locked meanwhile.
fn keep_resolving<T: Tended>(group: &Weak<T>, discovery: &Mutex<Discovery>) {
    loop {
        let Some(every) = group.upgrade().map(|group| group.settings().settings.upkeep.resolve) else { return };
        pause(group, every);
        let names = lock(discovery).names();
        for name in names {
            let answer = discovery::look_up(&name);
            lock(discovery).note_answer(&name, answer);
        }
        publish(group, &mut lock(discovery));
    }
}

fn publish<T: Tended>(group: &Weak<T>, discovery: &mut Discovery) {
    if let (Some(group), Some(found)) = (group.upgrade(), discovery.news()) {
        group.backends_found(found);
    }
}

/// Files, checks and idle connections.
fn keep_up<T: Tended>(group: &Weak<T>, discovery: &Mutex<Discovery>) {
    let mut checks = group.upgrade().and_then(|group| Checks::of(group.settings()));
    loop {
        thread::sleep(TICK);
        let now = Instant::now();
        let Some(present) = group.upgrade() else { return };
        present.sweep(now);
        if let Some(checks) = &mut checks {
            checks.begin(&present, now);
        }
        drop(present);
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
        for (id, address, name) in group.checked_addresses() {
            let mut checked = lock_list(&self.under_way);
            if checked.contains(&id) {
                continue;
            }
            checked.push(id);
            drop(checked);
            let (group, under_way) = (Arc::downgrade(group), Arc::clone(&self.under_way));
            let (probe, timeout) = (self.probe.clone(), self.when.timeout);
            self.pool.execute(move || {
                let result = checks::check(&address, &name, &probe, timeout);
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
