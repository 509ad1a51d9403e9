//! Who does what at this moment: for people who look at a running pool. Input: what each worker notes of itself, under
//! the crew's lock, which it holds then anyway. Output: [`Census`], a copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It polls for all.
    Leading,
    /// It serves a conversation.
    Working,
    /// It serves a conversation, in a call that may block.
    Blocked,
    /// Nobody needs it.
    Asleep,
}

impl Doing {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Doing::Leading => "leading",
            Doing::Working => "working",
            Doing::Blocked => "blocked",
            Doing::Asleep => "asleep",
        }
    }
}

/// One worker, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct WorkerState {
    /// Its number in the pool, from 1; a worker that comes later may have it again.
    pub number: usize,
    /// What it does.
    pub doing: Doing,
    /// For how long.
    pub time: Duration,
    /// The request that it serves; 0 for none, or if the conversation does not say.
    pub request: u64,
}

/// A pool, as it was seen.
#[derive(Clone, Debug)]
pub struct Census {
    /// Threads that there are.
    pub threads: usize,
    /// Threads that there may be.
    pub most_threads: usize,
    /// Those at work or polling.
    pub running: usize,
    /// Those that may run at once.
    pub most_running: usize,
    /// Those that nobody needs.
    pub asleep: usize,
    /// Those in a call that may block.
    pub blocked: usize,
    /// Conversations that have begun and not ended.
    pub conversations: usize,
    /// Conversations that have ever begun.
    pub admitted: u64,
    /// Those that wait in the room.
    pub waiting: usize,
    /// Those that could go on if a worker were free.
    pub ready: usize,
    /// Whether the pool is coming to its end.
    pub draining: bool,
    /// The workers, by number.
    pub workers: Vec<WorkerState>,
}

/// What is known of one worker.
#[derive(Debug)]
struct Slot {
    doing: Doing,
    since: Instant,
    request: Arc<AtomicU64>,
}

/// What is known of all workers, by number.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    /// When the poller was last looked at, or a thread woke up: near enough to now for people, and it costs nothing.
    now: Instant,
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots { slots: Vec::new(), now: Instant::now() }
    }

    /// For a worker that begins: its place, and where it says what it serves.
    pub(super) fn take(&mut self) -> (usize, Arc<AtomicU64>) {
        self.now = Instant::now();
        let request = Arc::default();
        let slot = Some(Slot { doing: Doing::Working, since: self.now, request: Arc::clone(&request) });
        let place = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        (place, request)
    }

    /// Of a worker that ends.
    pub(super) fn give_back(&mut self, place: usize) {
        self.slots[place] = None;
    }

    /// The time, from somebody who has looked at the clock.
    pub(super) fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// What the worker there does from now on.
    pub(super) fn note(&mut self, place: usize, doing: Doing) {
        if let Some(Some(slot)) = self.slots.get_mut(place) {
            (slot.doing, slot.since) = (doing, self.now);
        }
    }

    pub(super) fn read(&self, now: Instant) -> Vec<WorkerState> {
        let state = |(place, slot): (usize, &Option<Slot>)| {
            let Slot { doing, since, request } = slot.as_ref()?;
            let serves = matches!(doing, Doing::Working | Doing::Blocked);
            let request = if serves { request.load(Ordering::Relaxed) } else { 0 };
            let time = now.saturating_duration_since(*since);
            Some(WorkerState { number: place + 1, doing: *doing, time, request })
        };
        self.slots.iter().enumerate().filter_map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_seen_with_what_it_noted_last() {
        let mut slots = Slots::new();
        let (place, request) = slots.take();
        let begun = slots.now;
        slots.set_time(begun + Duration::from_secs(3));
        slots.note(place, Doing::Blocked);
        request.store(7, Ordering::Relaxed);
        let seen = slots.read(begun + Duration::from_millis(5500))[0];
        assert_eq!((seen.number, seen.doing, seen.time.as_millis(), seen.request), (1, Doing::Blocked, 2500, 7));
        slots.note(place, Doing::Asleep);
        assert_eq!(slots.read(begun)[0].request, 0, "who sleeps serves nobody");
    }

    #[test]
    fn numbers_are_given_again() {
        let mut slots = Slots::new();
        let (one, two) = (slots.take().0, slots.take().0);
        slots.give_back(one);
        assert_eq!((slots.take().0, two, slots.take().0), (0, 1, 2));
        assert_eq!(slots.read(slots.now).iter().map(|worker| worker.number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
