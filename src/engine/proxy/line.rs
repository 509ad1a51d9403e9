//! A line of requests that wait: because every backend has as many as it may have (`max_requests`), or because the only
//! one that is left is being tried by another request.
//!
//! They wait in the room and hold no worker. Whoever ends a request calls the first of the line that has not tried that
//! backend in vain. For that one the place may be of no use all the same, as one at a backup is while others may get free:
//! then it calls the next that has tried other backends than itself. (One that has tried the same would find the same.)

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
        self.fresh -= usize::from(waiter.tried.is_empty());
        Some(waiter)
    }

    /// The first from `start` on of whom that holds.
    fn take_first(&mut self, start: usize, fits: &dyn Fn(&Waiter) -> bool) -> Option<Waiter> {
        let place = start + self.callers.range(start..).position(fits)?;
        self.take(place)
    }
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    /// The backends that it has tried in vain, by their ids. None: it is fresh, and any place will do.
    tried: Vec<usize>,
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

    /// Takes a place: the last, or the one that it had `before`. A place at one of the backends `tried`, by their ids, will
    /// not do. Says whether no fresh one stands before it. If so, the caller has to look once more whether a backend has a
    /// place: one that became free before it stood here was told to nobody. So has each of several who have tried the same:
    /// all could be used since the end of a trial, of which nobody tells twice.
    pub(super) fn stand(self: &Arc<Self>, caller: Caller, before: Option<Spot>, tried: Vec<usize>) -> (Spot, bool) {
        // A place in another line counts for nothing here.
        let before = before.filter(|spot| spot.is_in(self)).map(Spot::step_out);
        let mut waiting = self.waiting();
        let (number, in_vain) = before.unwrap_or((waiting.last + 1, false));
        waiting.last = waiting.last.max(number);
        let place = waiting.callers.partition_point(|other| other.number < number);
        let is_first = !waiting.callers.range(..place).any(|other| other.tried.is_empty());
        let next = in_vain.then(|| waiting.take_first(place, &|other| other.tried != tried)).flatten();
        waiting.fresh += usize::from(tried.is_empty());
        waiting.callers.insert(place, Waiter { number, tried, caller });
        self.note_length(&waiting);
        drop(waiting);
        if let Some(next) = next {
            next.caller.call();
        }
        (Spot { line: Arc::clone(self), number, used: false }, is_first)
    }

    /// A place at that backend has become free.
    pub(super) fn call_first(&self, backend: usize) {
        self.call(&|waiter| !waiter.tried.contains(&backend));
    }

    fn call(&self, fits: &dyn Fn(&Waiter) -> bool) {
        if self.length.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting();
        let first = waiting.take_first(0, fits);
        self.note_length(&waiting);
        drop(waiting);
        if let Some(first) = first {
            first.caller.call();
        }
    }

    /// There may be a place.
    pub(super) fn call_next(&self) {
        self.call(&|_| true);
    }

    /// Who can be used has changed: all look again.
    pub(super) fn call_all(&self) {
        for _ in 0..self.length.load(Ordering::SeqCst) {
            self.call_next();
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
            self.line.call(&|_| true); // Who has no use for it calls the next.
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
        let (before, _) = trial.stand(workers.caller(), None, vec![7]);
        let (other, _) = full.stand(workers.caller(), None, vec![]);
        let (_here, is_first) = full.stand(workers.caller(), Some(before), vec![7]);
        assert!(!is_first && numbers(&trial).is_empty() && numbers(&full) == [1, 2]);
        drop(other);
        assert_eq!(numbers(&full), [2]);
    }

    #[test]
    fn who_has_tried_a_backend_in_vain_is_not_called_for_a_place_there() {
        let workers = Workers::new("test", 1).expect("a pool");
        let line = Arc::new(Line::default());
        let stand = |tried| line.stand(workers.caller(), None, tried).0;
        let _spots = [stand(vec![7]), stand(vec![7, 8]), stand(vec![8]), stand(vec![])];
        line.call_first(7);
        assert_eq!(numbers(&line), [1, 2, 4]);
        line.call_first(7);
        assert_eq!(numbers(&line), [1, 2]);
        line.call_first(7);
        assert_eq!(numbers(&line), [1, 2], "nobody has a use for it");
        line.call_first(8);
        line.call_first(9);
        assert!(numbers(&line).is_empty());
    }

    #[test]
    fn a_call_in_vain_is_passed_on_to_one_that_has_tried_others() {
        let workers = Workers::new("test", 1).expect("a pool");
        let line = Arc::new(Line::default());
        let (first, _) = line.stand(workers.caller(), None, vec![7]);
        assert!(!line.has_fresh(), "who comes now need not stand behind it");
        let (_like_it, _) = line.stand(workers.caller(), None, vec![7]);
        let (_fresh, _) = line.stand(workers.caller(), None, vec![]);
        let (_too, _) = line.stand(workers.caller(), None, vec![]);
        line.call_first(8);
        assert_eq!(numbers(&line), [2, 3, 4]);
        let (first, is_first) = line.stand(workers.caller(), Some(first), vec![7]);
        assert!(
            is_first && numbers(&line) == [1, 2, 4],
            "in vain: the fresh one is called, and the first stands as before"
        );
        let (first, is_first) = line.stand(workers.caller(), Some(first), vec![7]);
        assert!(is_first && numbers(&line) == [1, 2, 4], "nobody had called it");
        line.call_first(8);
        drop(first);
        assert_eq!(numbers(&line), [4], "called, and gone without a use for it");
    }

    /// What became free before it stood there was told to nobody, unless a fresh one before it looks, and tells it then.
    #[test]
    fn who_stands_behind_no_fresh_one_looks_again() {
        let workers = Workers::new("test", 1).expect("a pool");
        let line = Arc::new(Line::default());
        let mut spots = Vec::new();
        let mut is_first = |tried| {
            let (spot, is_first) = line.stand(workers.caller(), None, tried);
            spots.push(spot);
            is_first
        };
        assert!(is_first(vec![7]) && is_first(vec![7]) && is_first(vec![8, 7]));
        assert!(is_first(vec![]));
        assert!(!is_first(vec![]) && !is_first(vec![9]));
    }
}
