//! What is counted. Input: each exchange when it is over. Output: totals that never go down, as plain values.
//!
//! A handful of relaxed additions for each request, no lock, no allocation; what failed costs a little more. Nothing
//! here knows how the numbers are shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::facts::NO_REASON;
use super::reasons;

/// Upper ends of the buckets in microseconds; behind the last there is one more, without end.
pub const BUCKETS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// 1xx to 5xx.
const CLASSES: usize = 5;

/// What is counted of a group of backends, or of the requests that came to none.
#[derive(Debug)]
pub struct Tally {
    classes: [AtomicU64; CLASSES],
    durations: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    retries: AtomicU64,
    reasons: [AtomicU64; reasons::COUNT],
    /// Those of the backends that exist: one that goes and comes back finds its counts while anybody holds them.
    backends: Mutex<Vec<(String, Weak<BackendTally>)>>,
}

/// What is counted of a backend.
#[derive(Debug, Default)]
pub struct BackendTally {
    requests: AtomicU64,
    failures: AtomicU64,
    taken_out: AtomicU64,
}

/// The end of an exchange, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) tries: u32,
    pub(super) reason: &'static str,
}

/// What was counted in a [`Tally`].
#[derive(Clone, Debug)]
pub struct Counts {
    /// Exchanges by the first digit of their status, 1xx to 5xx.
    pub classes: [u64; CLASSES],
    /// Exchanges by their duration, in the buckets of [`BUCKETS`] and one behind them; not cumulative.
    pub durations: [u64; BUCKETS.len() + 1],
    /// The sum of all durations, in microseconds.
    pub micros: u64,
    /// Bytes of content to clients.
    pub sent: u64,
    /// Bytes of content from clients.
    pub received: u64,
    /// Attempts beside the first of each request.
    pub retries: u64,
    /// How often each of [`reasons::all`] was given.
    pub reasons: [u64; reasons::COUNT],
}

/// What was counted in a [`BackendTally`].
#[derive(Clone, Copy, Debug, Default)]
pub struct BackendCounts {
    /// Attempts to have it serve a request.
    pub requests: u64,
    /// Failures for which it is to blame.
    pub failures: u64,
    /// How often it was taken out after being in.
    pub taken_out: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            classes: Default::default(),
            durations: Default::default(),
            micros: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            reasons: std::array::from_fn(|_| AtomicU64::new(0)),
            backends: Mutex::new(Vec::new()),
        }
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Tally {
    /// Counts an exchange that is over.
    pub(super) fn count(&self, end: &Ending) {
        add(&self.classes[usize::from(end.status / 100).clamp(1, CLASSES) - 1], 1);
        let micros = end.took.as_secs().saturating_mul(1_000_000) + u64::from(end.took.subsec_micros());
        let bucket = BUCKETS.iter().position(|most| micros <= *most).unwrap_or(BUCKETS.len());
        add(&self.durations[bucket], 1);
        add(&self.micros, micros);
        if end.sent > 0 {
            add(&self.sent, end.sent);
        }
        if end.received > 0 {
            add(&self.received, end.received);
        }
        if end.tries > 1 {
            add(&self.retries, u64::from(end.tries - 1));
        }
        if end.reason != NO_REASON {
            self.count_reason(end.reason);
        }
    }

    #[cold]
    fn count_reason(&self, word: &str) {
        let place = reasons::place_of(word);
        debug_assert!(place.is_some(), "{word} is not explained");
        if let Some(place) = place {
            add(&self.reasons[place], 1);
        }
    }

    /// The counters of the backend with this address.
    pub(super) fn of_backend(&self, label: &str) -> Arc<BackendTally> {
        let mut known = self.backends.lock().expect("no panic under the lock of counters");
        known.retain(|(_, tally)| tally.strong_count() > 0);
        let same = known.iter().find(|(name, _)| name == label).and_then(|(_, tally)| tally.upgrade());
        same.unwrap_or_else(|| {
            let tally = Arc::default();
            known.push((label.to_owned(), Arc::downgrade(&tally)));
            tally
        })
    }

    /// All counts as they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            classes: std::array::from_fn(|class| read(&self.classes[class])),
            durations: std::array::from_fn(|bucket| read(&self.durations[bucket])),
            micros: read(&self.micros),
            sent: read(&self.sent),
            received: read(&self.received),
            retries: read(&self.retries),
            reasons: std::array::from_fn(|place| read(&self.reasons[place])),
        }
    }
}

impl Counts {
    /// All exchanges.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }
}

impl BackendTally {
    pub(super) fn count_request(&self) {
        add(&self.requests, 1);
    }

    pub(super) fn count_failure(&self) {
        add(&self.failures, 1);
    }

    pub(super) fn count_taken_out(&self) {
        add(&self.taken_out, 1);
    }

    /// All counts as they are now.
    #[must_use]
    pub fn counts(&self) -> BackendCounts {
        BackendCounts {
            requests: read(&self.requests),
            failures: read(&self.failures),
            taken_out: read(&self.taken_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending() -> Ending {
        Ending { status: 200, took: Duration::from_micros(900), sent: 5, received: 0, tries: 1, reason: "-" }
    }

    #[test]
    fn an_exchange_is_counted_once_in_its_class_and_in_its_bucket() {
        let tally = Tally::default();
        tally.count(&ending());
        tally.count(&Ending { took: Duration::from_millis(1), status: 499, reason: "client-gone", ..ending() });
        tally.count(&Ending { took: Duration::from_micros(1001), tries: 3, received: 7, ..ending() });
        tally.count(&Ending { took: Duration::from_secs(11), status: 502, reason: "connect-failed", ..ending() });
        let counts = tally.counts();
        assert_eq!(counts.classes, [0, 2, 0, 1, 1]);
        assert_eq!((counts.durations[0], counts.durations[1], counts.durations[13]), (2, 1, 1));
        assert_eq!(counts.micros, 900 + 1000 + 1001 + 11_000_000);
        assert_eq!((counts.sent, counts.received, counts.retries), (20, 7, 2));
        assert_eq!(counts.reasons.iter().sum::<u64>(), 2);
        assert_eq!(counts.requests(), 4);
    }

    #[test]
    fn a_backend_that_exists_keeps_its_counters_and_one_that_is_gone_leaves_no_trace() {
        let tally = Tally::default();
        let one = tally.of_backend("127.0.0.1:1");
        one.count_request();
        assert_eq!(tally.of_backend("127.0.0.1:1").counts().requests, 1);
        drop(one);
        assert_eq!(tally.of_backend("127.0.0.1:1").counts().requests, 0);
        drop(tally.of_backend("127.0.0.1:2"));
        assert_eq!(tally.backends.lock().expect("no panic").len(), 1);
    }
}
