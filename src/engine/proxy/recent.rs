//! The last failures, for people who look: a few, cut to a length, so that a flood of them costs as much as it is long.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use crate::escape::Word;

/// So many are remembered.
pub const KEPT: usize = 32;

/// A target is cut after so many bytes.
const TARGET: usize = 120;

/// A method is cut after so many bytes.
const METHOD: usize = 16;

/// An exchange that failed, the last of those that are alike. All of its texts are escaped.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it was over.
    pub time: SystemTime,
    /// How often the like of it has happened since it is remembered.
    pub times: u64,
    /// The reason word.
    pub reason: &'static str,
    /// What the client was told, or 499.
    pub status: u16,
    /// The group; empty if there was none.
    pub group: String,
    /// The backend tried last, if any.
    pub backend: Option<String>,
    /// `-` if the request could not be parsed.
    pub method: String,
    /// Without the query, which may hold secrets.
    pub target: String,
    /// The request's identification as it was made here: a client's own may stand in the log.
    pub id: String,
}

/// The last failures, the oldest first.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Failure>>);

impl Recent {
    fn failures(&self) -> MutexGuard<'_, VecDeque<Failure>> {
        self.0.lock().expect("no panic under the lock of the last failures")
    }

    /// Takes one in, in the place of one that is like it; or else the oldest makes room. So a client that asks for the
    /// same wrong thing again and again does not hide all others.
    pub(super) fn add(&self, mut failure: Failure) {
        let mut failures = self.failures();
        let alike = failures.iter().position(|known| known.is_like(&failure));
        let gone = match alike.and_then(|place| failures.remove(place)) {
            Some(known) => {
                failure.times += known.times;
                Some(known)
            }
            None if failures.len() >= KEPT => failures.pop_front(),
            None => None,
        };
        failures.push_back(failure);
        drop(failures);
        drop(gone); // Giving memory back is nobody else's wait.
    }

    /// A copy of all, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Failure> {
        self.failures().iter().cloned().collect()
    }
}

impl Failure {
    fn is_like(&self, other: &Failure) -> bool {
        (self.reason, self.status, &self.backend) == (other.reason, other.status, &other.backend)
            && (&self.group, &self.method, &self.target) == (&other.group, &other.method, &other.target)
    }
}

/// A method, harmless and short.
pub(super) fn method(bytes: &[u8]) -> String {
    cut(bytes, METHOD)
}

/// A target without its query, harmless and short.
pub(super) fn target(bytes: &[u8]) -> String {
    cut(bytes.split(|byte| *byte == b'?').next().unwrap_or_default(), TARGET)
}

fn cut(bytes: &[u8], most: usize) -> String {
    match bytes.get(..most) {
        Some(start) if bytes.len() > most => format!("{}...", Word(start)),
        _ => Word(bytes).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: usize) -> Failure {
        Failure {
            time: SystemTime::UNIX_EPOCH,
            times: 1,
            reason: "no-route",
            status: 404,
            group: String::new(),
            backend: None,
            method: method(b"GET"),
            target: target(format!("/{number}?token=secret").as_bytes()),
            id: "0".repeat(16),
        }
    }

    #[test]
    fn the_last_ones_are_kept_and_no_query_is() {
        let recent = Recent::default();
        (0..KEPT + 2).for_each(|number| recent.add(failure(number)));
        let list = recent.list();
        assert_eq!((list.len(), list[0].target.as_str(), list[KEPT - 1].target.as_str()), (KEPT, "/2", "/33"));
    }

    #[test]
    fn those_alike_are_counted_and_hide_no_other() {
        let recent = Recent::default();
        recent.add(failure(1));
        (0..100).for_each(|_| recent.add(failure(2)));
        recent.add(failure(1));
        let list: Vec<_> = recent.list().into_iter().map(|failure| (failure.target, failure.times)).collect();
        assert_eq!(list, [("/2".to_owned(), 100), ("/1".to_owned(), 2)]);
    }

    #[test]
    fn what_a_client_sent_is_harmless_and_short() {
        assert_eq!(target(b"/a\"<b>\x1b"), r"/a\x22<b>\x1B");
        assert_eq!(target("/x".repeat(500).as_bytes()).len(), TARGET + 3);
        assert_eq!((method(b""), target(b"")), ("-".to_owned(), "-".to_owned()));
    }
}
