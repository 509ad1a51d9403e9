//! What the tests are made of: the program, a raw client, scripted backends, and words for what they see.

pub mod backend;
pub mod client;
pub mod configuration;
pub mod json;
pub mod list;
pub mod message;
pub mod pattern;
pub mod proxy;
pub mod refusal;
pub mod served;
pub mod verdict;
pub mod wire;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long we wait for what must happen. Long, since the machine may be busy; it is only used up by a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A WebSocket handshake of a client.
pub const HANDSHAKE: &str = "GET /tunnel HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A backend's consent to it.
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Lets a test tell a script, or a script a test, to go on: given and waited for any number of times.
#[derive(Debug, Clone, Default)]
pub struct Cue(Arc<(Mutex<usize>, Condvar)>);

impl Cue {
    /// Lets one waiter go on, now or when it comes.
    pub fn give(&self) {
        *lock(&self.0.0) += 1;
        self.0.1.notify_one();
    }

    /// Lets this many go on.
    pub fn give_all(&self, count: usize) {
        (0..count).for_each(|_| self.give());
    }

    /// Waits for the other side; fails the test if it never gives the cue.
    pub fn wait(&self) {
        let (given, deadline) = (lock(&self.0.0), PATIENCE);
        let waited = self.0.1.wait_timeout_while(given, deadline, |given| *given == 0);
        let (mut given, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(*given > 0, "the other side never gave its cue");
        *given -= 1;
    }
}

/// A plain GET.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// A POST with these field lines beside Host and whatever follows the head.
pub fn post(target: &str, lines: &str, after_head: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n{after_head}")
}

/// Runs `check` on every row of a table, each to its end; the failure names all rows that did not hold.
pub fn each_row<Row: Debug>(rows: &[Row], check: impl Fn(&Row)) {
    let is_broken = |row: &&Row| catch_unwind(AssertUnwindSafe(|| check(row))).is_err();
    let broken: Vec<String> = rows.iter().filter(is_broken).map(|row| format!("  {row:?}")).collect();
    assert!(
        broken.is_empty(),
        "{} of {} rows fail, each as said above:\n{}",
        broken.len(),
        rows.len(),
        broken.join("\n")
    );
}

/// As [`each_row`], all rows at the same time: for checks that mostly wait.
pub fn each_row_at_once<Row: Debug + Sync>(rows: &[Row], check: impl Fn(&Row) + Sync) {
    let check = &check;
    let broken: Vec<String> = thread::scope(|scope| {
        let checks: Vec<_> = rows.iter().map(|row| (row, scope.spawn(move || check(row)))).collect();
        let failed = checks.into_iter().filter_map(|(row, handle)| handle.join().err().map(|_| row));
        failed.map(|row| format!("  {row:?}")).collect()
    });
    assert!(
        broken.is_empty(),
        "{} of {} rows fail, each as said above:\n{}",
        broken.len(),
        rows.len(),
        broken.join("\n")
    );
}

/// Waits until `is_so`, or panics with what was hoped for.
pub fn eventually(hope: impl Fn() -> String, is_so: impl FnMut() -> bool) {
    assert!(within(PATIENCE, is_so), "in vain: {}", hope());
}

/// Whether `is_so` comes true within this time. Looks every few milliseconds, since there is nothing to wait on.
pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Locks, even if another thread of this test has panicked: its failure is reported anyway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
