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

/// An exchange that failed. All of its texts are escaped.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it was over.
    pub time: SystemTime,
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

    /// Takes one in; the oldest makes room.
    pub(super) fn add(&self, failure: Failure) {
        let mut failures = self.failures();
        let oldest = if failures.len() < KEPT { None } else { failures.pop_front() };
        failures.push_back(failure);
        drop(failures);
        drop(oldest); // Giving memory back is nobody else's wait.
    }

    /// A copy of all, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Failure> {
        self.failures().iter().cloned().collect()
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
    fn what_a_client_sent_is_harmless_and_short() {
        assert_eq!(target(b"/a\"<b>\x1b"), r"/a\x22<b>\x1B");
        assert_eq!(target("/x".repeat(500).as_bytes()).len(), TARGET + 3);
        assert_eq!((method(b""), target(b"")), ("-".to_owned(), "-".to_owned()));
    }
}
