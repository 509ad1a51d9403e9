//! The line of requests that wait because every backend has as many as it may have (`max_requests`).
//!
//! They wait in the room and hold no worker. Whoever ends a request calls the first of the line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::socketserver::Caller;

/// A group's line.
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

    /// Takes a place: the last, or, for those who were called in vain, the first.
    pub(super) fn stand(self: &Arc<Self>, caller: Caller, first: bool) -> Spot {
        self.length.fetch_add(1, Ordering::SeqCst);
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        if first {
            waiting.callers.push_front((number, caller));
        } else {
            waiting.callers.push_back((number, caller));
        }
        Spot { line: Arc::clone(self), number, used: false }
    }

    /// A place at a backend has become free.
    pub(super) fn call_first(&self) {
        if self.is_empty() {
            return;
        }
        let first = self.waiting().callers.pop_front();
        if let Some((_, caller)) = first {
            self.length.fetch_sub(1, Ordering::SeqCst);
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
            self.line.length.fetch_sub(1, Ordering::SeqCst);
        }
        drop(waiting);
        if found.is_none() && !self.used {
            self.line.call_first();
        }
    }
}
