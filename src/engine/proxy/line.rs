//! A line of requests that wait: because every backend has as many as it may have (`max_requests`), or because the only
//! one that is left is being tried by another request.
//!
//! They wait in the room and hold no worker. Whoever ends a request calls the first of the line. For that one the place
//! may be of no use, because it has tried that backend in vain: then it calls the next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::socketserver::Caller;

/// A line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How many stand there: those who end a request look only at this if nobody waits.
    length: AtomicUsize,
    /// Of these, those to whom any place will do.
    fresh: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By number, ascending.
    callers: VecDeque<Waiter>,
    /// How many of them are fresh.
    fresh: usize,
    last: u64,
}

impl Waiting {
    fn take(&mut self, place: usize) -> Option<Waiter> {
        let waiter = self.callers.remove(place)?;
        self.fresh -= usize::from(waiter.fresh);
        Some(waiter)
    }
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    /// Any place will do: it has not tried a backend in vain.
    fresh: bool,
    caller: Caller,
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

    /// Whether somebody stands there whom a newcomer must not overtake. Those who have tried a backend in vain may be
    /// overtaken: they may stand there although another one has a place.
    pub(super) fn has_fresh(&self) -> bool {
        self.fresh.load(Ordering::SeqCst) > 0
    }

    fn note_length(&self, waiting: &Waiting) {
        self.length.store(waiting.callers.len(), Ordering::SeqCst);
        self.fresh.store(waiting.fresh, Ordering::SeqCst);
    }

    /// Takes a place: the last, or the one that it had `before`; `fresh` if any place at a backend will do. Says whether it
    /// is the first to whom any place will do. If so, the caller has to look once more whether a backend has a place: one
    /// that became free before it stood here was told to nobody, or to those before it, in vain.
    pub(super) fn stand(self: &Arc<Self>, caller: Caller, before: Option<Spot>, fresh: bool) -> (Spot, bool) {
        // A place in another line counts for nothing here.
        let before = before.filter(|spot| spot.is_in(self)).map(Spot::step_out);
        let mut waiting = self.waiting();
        let (number, in_vain) = before.unwrap_or((waiting.last + 1, false));
        waiting.last = waiting.last.max(number);
        let place = waiting.callers.partition_point(|other| other.number < number);
        waiting.callers.insert(place, Waiter { number, fresh, caller });
        waiting.fresh += usize::from(fresh);
        let next = if in_vain && !fresh { waiting.take(place + 1) } else { None };
        let is_first = waiting.callers.iter().take(place).all(|before| !before.fresh);
        self.note_length(&waiting);
        drop(waiting);
        if let Some(next) = next {
            next.caller.call();
        }
        (Spot { line: Arc::clone(self), number, used: false }, is_first)
    }

    /// A place at a backend has become free.
    pub(super) fn call_first(&self) {
        if self.length.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting();
        let first = waiting.take(0);
        self.note_length(&waiting);
        drop(waiting);
        if let Some(first) = first {
            first.caller.call();
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

    /// Whether it is a place in that line.
    pub(super) fn is_in(&self, line: &Arc<Line>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }

    /// Leaves the line to stand there again. Its number, and whether it was called, as it turned out in vain.
    fn step_out(mut self) -> (u64, bool) {
        self.used = true;
        (self.number, !self.withdraw())
    }

    /// Whether it still stood there.
    fn withdraw(&self) -> bool {
        let mut waiting = self.line.waiting();
        let found = waiting.callers.binary_search_by_key(&self.number, |waiter| waiter.number);
        let waiter = found.ok().and_then(|at| waiting.take(at));
        self.line.note_length(&waiting);
        waiter.is_some()
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        if !self.withdraw() && !self.used {
            self.line.call_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketserver::Workers;

    fn numbers(line: &Line) -> Vec<u64> {
        line.waiting().callers.iter().map(|waiter| waiter.number).collect()
    }

    /// Or leaving one of two places with the same number would take the other away.
    #[test]
    fn a_place_in_another_line_counts_for_nothing() {
        let workers = Workers::new("test", 1).expect("a pool");
        let (trial, full) = (Arc::new(Line::default()), Arc::new(Line::default()));
        let (before, _) = trial.stand(workers.caller(), None, false);
        let (other, _) = full.stand(workers.caller(), None, true);
        let (_here, is_first) = full.stand(workers.caller(), Some(before), false);
        assert!(!is_first && numbers(&trial).is_empty() && numbers(&full) == [1, 2]);
        drop(other);
        assert_eq!(numbers(&full), [2]);
    }

    #[test]
    fn a_call_is_passed_on_by_those_to_whom_it_may_be_of_no_use() {
        let workers = Workers::new("test", 1).expect("a pool");
        let line = Arc::new(Line::default());
        let (first, _) = line.stand(workers.caller(), None, false);
        assert!(!line.has_fresh(), "who comes now need not stand behind it");
        let (_second, _) = line.stand(workers.caller(), None, true);
        let (_third, _) = line.stand(workers.caller(), None, true);
        line.call_first();
        assert_eq!(numbers(&line), [2, 3]);
        let (first, is_first) = line.stand(workers.caller(), Some(first), false);
        assert!(is_first && numbers(&line) == [1, 3], "in vain: the second is called, and the first stands as before");
        let (_first, is_first) = line.stand(workers.caller(), Some(first), false);
        assert!(is_first && numbers(&line) == [1, 3], "nobody had called it");
    }

    /// A place that became free was told to those before it, who had no use for it.
    #[test]
    fn who_stands_behind_none_but_those_who_tried_in_vain_looks_again() {
        let workers = Workers::new("test", 1).expect("a pool");
        let line = Arc::new(Line::default());
        let (_tried, is_first) = line.stand(workers.caller(), None, false);
        let (_too, is_first_too) = line.stand(workers.caller(), None, false);
        let (_fresh, is_first_fresh) = line.stand(workers.caller(), None, true);
        let (_late, is_first_late) = line.stand(workers.caller(), None, true);
        assert_eq!([is_first, is_first_too, is_first_fresh, is_first_late], [true, true, true, false]);
    }
}
