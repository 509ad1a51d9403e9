//! A line of requests that wait: because every backend has as many as it may have (`max_requests`), or because the only
//! one that is left is being tried by another request.
//!
//! They wait in the room and hold no worker. Whoever ends a request calls the first of the line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::socketserver::Caller;

/// A line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How many stand there: those who end a request look only at this if nobody waits.
    length: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    callers: VecDeque<(u64, Caller)>,
    last: u64,
}

/// A place in the line. Dropping it leaves the line, and passes on a call that was not used.
#[derive(Debug)]
pub(super) struct Spot {
    line: Arc<Line>,
    number: u64,
    used: bool,
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic under the lock of a line")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// Takes a place: the last, or, for those who were called in vain, the one that they had. Says whether it is the
    /// first. If so, the caller has to look once more whether a backend has a place: one that became free before it
    /// stood here was told to nobody.
    pub(super) fn stand(self: &Arc<Self>, caller: Caller, before: Option<Spot>) -> (Spot, bool) {
        let had = before.map(|mut spot| {
            spot.used = true; // The call was in vain, and is not passed on: this is the first again.
            spot.number
        });
        let mut waiting = self.waiting();
        let number = had.unwrap_or(waiting.last + 1);
        waiting.last = waiting.last.max(number);
        let place = waiting.callers.partition_point(|(other, _)| *other < number);
        waiting.callers.insert(place, (number, caller));
        self.length.store(waiting.callers.len(), Ordering::SeqCst);
        (Spot { line: Arc::clone(self), number, used: false }, place == 0)
    }

    /// A place at a backend has become free.
    pub(super) fn call_first(&self) {
        if self.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        let first = waiting.callers.pop_front();
        self.length.store(waiting.callers.len(), Ordering::SeqCst);
        drop(waiting);
        if let Some((_, caller)) = first {
            caller.call();
        }
    }

    /// Who can be used has changed: all look again.
    pub(super) fn call_all(&self) {
        for _ in 0..self.length.load(Ordering::SeqCst) {
            self.call_first();
        }
    }
}

impl Spot {
    /// Leaves the line with a place at a backend.
    pub(super) fn leave(mut self) {
        self.used = true;
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        let mut waiting = self.line.waiting();
        let found = waiting.callers.iter().position(|(number, _)| *number == self.number);
        if let Some(at) = found {
            waiting.callers.remove(at);
            self.line.length.store(waiting.callers.len(), Ordering::SeqCst);
        }
        drop(waiting);
        if found.is_none() && !self.used {
            self.line.call_first();
        }
    }
}
