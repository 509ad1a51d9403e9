//! The pool of workers as its users see it: what takes on conversations, counts them, and ends.
//!
//! How the workers share their work is told in [`super::crew`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::census::Census;
use super::conversation::{Next, Wake};
use super::crew::{self, Crew};
use super::entrance::{Entrance, OpenEntrance};
use super::room::Ready;
use crate::settings::workers::WorkerSettings;

/// How long those may take who are told that it is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Who did not wait when all were told is told again after this.
const SEND_OFF_AGAIN: Duration = Duration::from_millis(50);

/// A pool of worker threads around one waiting room. Clones share it.
#[derive(Clone, Debug)]
pub struct Workers(Arc<crew::Shared>);

impl Workers {
    /// A pool of at most `most` threads; `name` is what the threads are called.
    ///
    /// # Errors
    /// If the system grants no poller.
    pub fn new(name: &str, most: usize) -> io::Result<Workers> {
        Workers::with(name, &WorkerSettings { max: most, ..WorkerSettings::default() })
    }

    /// A pool as `settings` has it; `name` is what the threads are called.
    ///
    /// # Errors
    /// If the system grants no poller.
    pub fn with(name: &str, settings: &WorkerSettings) -> io::Result<Workers> {
        crew::Shared::start(name, settings).map(Workers)
    }

    /// Registers an accepted connection, so that it can wait in this pool's room.
    ///
    /// # Errors
    /// If the poller takes no more.
    pub(super) fn register(&self, stream: OwnedFd) -> io::Result<super::Socket> {
        super::Socket::register(stream, &self.0)
    }

    /// Has whoever leads accept at a listening socket, until what this returns is dropped.
    ///
    /// # Errors
    /// If the poller takes no more.
    pub(super) fn open_entrance<'l>(
        &self,
        listener: BorrowedFd<'l>,
        entrance: Arc<dyn Entrance>,
    ) -> io::Result<OpenEntrance<'l>> {
        OpenEntrance::open(&self.0, listener, entrance)
    }

    /// Takes on a new conversation.
    pub(super) fn admit(&self, next: Next) {
        let mut crew = self.0.crew();
        crew.conversations += 1;
        crew.admitted += 1;
        match next {
            Next::End => crew.conversations -= 1,
            Next::GiveWay(conversation) => {
                let ready = Ready { conversation, wake: Wake::default() };
                self.0.queue_from_outside(crew, ready);
            }
            Next::Wait(conversation, ticket) => match crew.room.enter(conversation, ticket) {
                Some(ready) => self.0.queue_from_outside(crew, ready),
                None => self.0.mind_deadline(&crew, ticket.deadline),
            },
        }
    }

    /// Blocks until fewer than `most` conversations are under way, ending idle ones, the longest idle first; or until
    /// `stopping`.
    pub(super) fn make_room(&self, most: usize, stopping: &AtomicBool) {
        // If none is idle now, one may be soon.
        const LOOK_AGAIN: Duration = Duration::from_millis(50);
        // One that was told to end does, as soon as a worker comes to it: asking another one would end too many.
        const ENDS: Duration = Duration::from_secs(1);
        let mut crew = self.0.crew();
        while crew.conversations >= most && !stopping.load(Ordering::Acquire) {
            let patience = if crew.room.end_longest_idle(Instant::now()) { ENDS } else { LOOK_AGAIN };
            crew = self.0.call_somebody(crew);
            crew = self.0.await_end(crew, patience);
        }
    }

    /// Ends the conversation that has been idle for longest, if one is idle.
    pub(super) fn end_longest_idle(&self) {
        let mut crew = self.0.crew();
        crew.room.end_longest_idle(Instant::now());
        drop(self.0.call_somebody(crew));
    }

    /// Blocks until a conversation ends, for `at_most` so long.
    pub(super) fn wait_for_an_end(&self, at_most: Duration) {
        let crew = self.0.crew();
        drop(self.0.await_end(crew, at_most));
    }

    /// How many conversations have begun and not ended.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.0.crew().conversations
    }

    /// How many conversations wait in the room.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.crew().room.guests()
    }

    /// How many places of the room are taken: one for each socket, of clients and of backends, idle ones included.
    #[must_use]
    pub fn places(&self) -> usize {
        let crew = self.0.crew();
        crew.room.taken() - crew.entrances.len()
    }

    /// One that calls somebody who is not there.
    #[cfg(test)]
    pub(crate) fn caller(&self) -> super::Caller {
        let seat = self.0.crew().room.take_place();
        super::Caller::new(&self.0, seat)
    }

    /// Who does what at this moment.
    #[must_use]
    pub fn census(&self) -> Census {
        let shared = &self.0;
        let crew = shared.crew();
        let (threads, running, asleep) = (crew.workers, crew.running, crew.asleep);
        let (conversations, admitted) = (crew.conversations, crew.admitted);
        let (waiting, ready) = (crew.room.guests(), crew.room.ready());
        let workers = crew.slots.read(Instant::now());
        drop(crew);
        Census {
            threads,
            most_threads: shared.most_workers,
            running,
            most_running: shared.most_running,
            asleep,
            blocked: threads.saturating_sub(running + asleep),
            conversations,
            admitted,
            waiting,
            ready,
            draining: shared.draining.load(Ordering::Relaxed),
            workers,
        }
    }

    /// From now on conversations are told that the server stops: what ends does not begin again.
    pub fn announce_end(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Ends idle conversations and waits until all others have ended too, or until `deadline`. Those that are left then
    /// are told that it is over, and have a moment to say so themselves. Returns how many there were.
    #[must_use]
    pub fn drain(&self, deadline: Instant) -> usize {
        self.announce_end();
        let mut crew = self.0.crew();
        crew.room.drain(Instant::now());
        crew = self.0.call_somebody(crew);
        crew = self.await_all(crew, deadline);
        let left = crew.conversations;
        self.0.over.store(true, Ordering::Relaxed);
        let end = Instant::now() + LAST_WORDS;
        while crew.conversations > 0 && Instant::now() < end {
            crew.room.send_off(Instant::now(), |_| true);
            crew = self.0.call_somebody(crew);
            crew = self.await_all(crew, end.min(Instant::now() + SEND_OFF_AGAIN));
        }
        left
    }

    fn await_all<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, deadline: Instant) -> MutexGuard<'a, Crew> {
        while crew.conversations > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            crew = self.0.await_end(crew, left);
        }
        crew
    }
}
