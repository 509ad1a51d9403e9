//! One worker: takes a turn, serves a conversation until it waits, takes the next turn.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::buffer::{BUFFER_BYTES, Lendable};
use super::census::Doing;
use super::conversation::{Next, Wake};
use super::crew::Shared;
use super::readiness::Readiness;
use super::room::{Ready, Token};

/// Buffers that a worker lends to whichever conversation it serves, so that waiting connections hold none: as many as one
/// works with, two to read into, two to write from.
const SPARE_BUFFERS: usize = 4;

/// A worker's view of itself, lent to the conversation that it serves.
pub struct Worker {
    shared: Arc<Shared>,
    /// Which of the crew's slots is its own.
    slot: usize,
    /// What it serves, for who looks.
    request: Arc<AtomicU64>,
    buffers: Vec<Vec<u8>>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Worker {
        let (slot, request) = shared.crew().slots.take();
        Worker { shared, slot, request, buffers: Vec::new() }
    }

    pub(super) fn work(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut turn = shared.next_turn(shared.crew(), self.slot);
        while let Some(Ready { conversation, wake }) = turn {
            turn = match catch_unwind(AssertUnwindSafe(|| conversation.resume(wake, &mut self))) {
                Ok(next) => self.put_down(next),
                Err(panic) => {
                    log::error!("a worker panicked; its connection is closed: {}", panic_text(&*panic));
                    self.put_down(Next::End)
                }
            };
        }
    }

    /// Sees to what becomes of the last conversation, and gets the next one: one lock for both.
    fn put_down(&self, next: Next) -> Option<Ready> {
        let shared = &self.shared;
        let mut crew = shared.crew();
        match next {
            Next::End => {
                crew.conversations -= 1;
                if crew.await_end > 0 {
                    shared.ended.notify_all();
                }
            }
            Next::GiveWay(conversation) => {
                let ready = Ready { conversation, wake: Wake::default() };
                if crew.poller.is_some() {
                    crew.room.give_way(ready); // This worker polls next, without waiting, and then queues it again.
                } else {
                    crew.room.push_ready(ready); // A leader who sleeps knows nothing of it.
                }
            }
            Next::Wait(conversation, ticket) => {
                if let Some(ready) = crew.room.enter(conversation, ticket) {
                    return Some(ready);
                }
                shared.mind_deadline(&crew, ticket.deadline);
            }
        }
        shared.next_turn(crew, self.slot)
    }

    /// Notes which request it serves from now on, for who looks at the pool; 0 for none.
    pub fn note_request(&self, request: u64) {
        self.request.store(request, Ordering::Relaxed);
    }

    /// Whether the server stops: what ends now should not begin again.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Whether the time is over in which what is under way may end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Registers a socket in non-blocking mode that is not connected yet.
    pub(super) fn register_connecting(&self, stream: OwnedFd) -> io::Result<super::Socket> {
        super::Socket::register_connecting(stream, &self.shared)
    }

    /// What wakes the conversation that waits at `seat` for [`Readiness::CALLED`].
    #[must_use]
    pub fn caller(&self, seat: Token) -> Caller {
        Caller::new(&self.shared, seat)
    }

    /// Runs a call that may block, and lets another worker take turns meanwhile.
    pub fn block<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let aside = Aside::step(&self.shared, self.slot);
        let result = call();
        drop(aside);
        result
    }

    /// Gives a buffer room to work in, if it has none.
    pub fn lend(&mut self, buffer: &mut impl Lendable) {
        let vector = buffer.vector();
        if vector.capacity() < BUFFER_BYTES {
            let mut room = self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES));
            room.extend_from_slice(vector);
            *vector = room;
        }
    }

    /// Takes the room back. What is left in the buffer moves to a vector of just its size.
    pub fn take_back(&mut self, buffer: &mut impl Lendable) {
        let vector = buffer.vector();
        if vector.capacity() >= BUFFER_BYTES {
            let mut room = std::mem::take(vector);
            if !room.is_empty() {
                vector.extend_from_slice(&room);
            }
            room.clear();
            if room.capacity() == BUFFER_BYTES && self.buffers.len() < SPARE_BUFFERS {
                self.buffers.push(room);
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.crew().slots.give_back(self.slot);
    }
}

/// Calls a conversation that waits in the room for something that is no socket's doing. A call that comes before it
/// waits is kept; one that comes after its end is not heard.
#[derive(Debug)]
pub struct Caller {
    shared: Arc<Shared>,
    seat: Token,
}

impl Caller {
    pub(super) fn new(shared: &Arc<Shared>, seat: Token) -> Caller {
        Caller { shared: Arc::clone(shared), seat }
    }

    /// Wakes it.
    pub fn call(&self) {
        let mut crew = self.shared.crew();
        crew.room.edge(self.seat, Readiness::CALLED, Instant::now());
        if crew.room.has_ready() {
            drop(self.shared.call_somebody(crew));
        }
    }
}

/// A worker that blocks. Dropping it, by a panic too, says that it blocks no more.
struct Aside<'a> {
    shared: &'a Arc<Shared>,
    slot: usize,
}

impl Aside<'_> {
    fn step(shared: &Arc<Shared>, slot: usize) -> Aside<'_> {
        let mut crew = shared.crew();
        crew.running -= 1;
        crew.slots.set_time(Instant::now());
        crew.slots.note(slot, Doing::Blocked);
        if crew.room.has_ready() || crew.poller.is_some() {
            shared.call_follower(crew);
        }
        Aside { shared, slot }
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let mut crew = self.shared.crew();
        crew.running += 1;
        crew.slots.set_time(Instant::now());
        crew.slots.note(self.slot, Doing::Working);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}
