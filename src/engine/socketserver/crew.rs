//! The workers: threads that take turns at leading and working (*Leader/Followers*, Schmidt et al., POSA2).
//!
//! A worker that is done takes the next conversation from the ready queue. If the queue is empty and nobody polls, it
//! becomes the *leader*: it takes the poller (owning it *is* leading), sleeps in it, moves all that can go on to the
//! ready queue, accepts who has connected, gives the poller back and works itself. No thread exists for polling alone,
//! nothing is handed from a poller to a worker, and a request costs no wake-up of a thread.
//!
//! At most as many workers as there are processors for us run at once: more would only switch. A worker that is about to
//! block says so ([`Worker::block`]), and another takes its turn meanwhile, a new one if all are blocked, up to a limit.
//! Those not needed sleep as *followers*, and end after a while.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use threadpool::ThreadPool;

use super::census::{Doing, Slots};
use super::entrance::Entrance;
use super::readiness::Readiness;
use super::room::{Ready, Room, Token};
use super::worker::Worker;
use crate::settings::workers::WorkerSettings;

/// How many edges one look at the poller can bring. More wait for the next look.
const EDGES_AT_ONCE: usize = 256;

/// What "off" is: a year, which no clock overflows on.
const LONGEST_IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The token of the wake-up call to a sleeping leader.
const WAKE_UP: mio::Token = mio::Token(usize::MAX);

/// What workers, sockets and servers share.
pub(super) struct Shared {
    registry: Registry,
    waker: mio::Waker,
    threads: ThreadPool,
    pub(super) most_workers: usize,
    pub(super) most_running: usize,
    /// A follower that nobody needed for so long ends its thread.
    idle: Duration,
    /// Set once, when the server stops; beside the crew so that looking takes no lock.
    pub(super) draining: AtomicBool,
    /// It has stopped.
    pub(super) over: AtomicBool,
    crew: Mutex<Crew>,
    /// Followers sleep here.
    follow: Condvar,
    /// Told whenever a conversation ends: who waits for that are the accept loops at their limit, and the end.
    pub(super) ended: Condvar,
}

/// Who does what. Its lock guards lines, never I/O.
pub(super) struct Crew {
    pub(super) room: Room,
    /// The listening sockets at which the leader accepts.
    pub(super) entrances: Vec<(Token, Arc<dyn Entrance>)>,
    /// `None` while a leader holds it.
    pub(super) poller: Option<Poller>,
    /// When the leader who sleeps in the poller means to wake up; `None`: not before an edge.
    leader_wakes: Option<Instant>,
    /// All worker threads.
    pub(super) workers: usize,
    /// Those at work or leading: neither blocked nor asleep.
    pub(super) running: usize,
    /// Sleeping followers.
    pub(super) asleep: usize,
    /// Accepted and not yet ended.
    pub(super) conversations: usize,
    /// Ever accepted.
    pub(super) admitted: u64,
    /// What each worker does.
    pub(super) slots: Slots,
    /// Threads that sleep until a conversation ends; telling nobody would cost a system call each time.
    pub(super) await_end: usize,
}

/// The poller and its list of edges. Whoever owns it leads.
pub(super) struct Poller {
    poll: mio::Poll,
    edges: mio::Events,
    /// Where somebody has connected.
    knocks: Vec<Arc<dyn Entrance>>,
}

impl Shared {
    /// Everything there is, and one worker thread.
    pub(super) fn start(name: &str, settings: &WorkerSettings) -> io::Result<Arc<Shared>> {
        let poll = mio::Poll::new()?;
        let most_workers = settings.max.max(1);
        let shared = Shared {
            registry: poll.registry().try_clone()?,
            waker: mio::Waker::new(poll.registry(), WAKE_UP)?,
            threads: threadpool::Builder::new()
                .num_threads(1)
                .thread_name(name.to_owned())
                .thread_stack_size(settings.stack)
                .build(),
            most_workers,
            most_running: num_cpus::get().min(most_workers),
            idle: settings.idle.min(LONGEST_IDLE),
            draining: AtomicBool::new(false),
            over: AtomicBool::new(false),
            crew: Mutex::new(Crew {
                room: Room::new(),
                entrances: Vec::new(),
                poller: Some(Poller { poll, edges: mio::Events::with_capacity(EDGES_AT_ONCE), knocks: Vec::new() }),
                leader_wakes: None,
                workers: 1,
                running: 1,
                asleep: 0,
                conversations: 0,
                admitted: 0,
                slots: Slots::new(),
                await_end: 0,
            }),
            follow: Condvar::new(),
            ended: Condvar::new(),
        };
        let shared = Arc::new(shared);
        shared.start_thread(1);
        Ok(shared)
    }

    pub(super) fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().expect("no panic under the crew's lock")
    }

    /// Sleeps until a conversation ends, for `at_most` so long.
    pub(super) fn await_end<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, at_most: Duration) -> MutexGuard<'a, Crew> {
        crew.await_end += 1;
        let (mut crew, _) = self.ended.wait_timeout(crew, at_most).expect("no panic under the crew's lock");
        crew.await_end -= 1;
        crew
    }

    pub(super) fn take_place(&self) -> Token {
        self.crew().room.take_place()
    }

    pub(super) fn leave_place(&self, token: Token) {
        self.crew().room.leave_place(token);
    }

    pub(super) fn take_edges(&self, token: Token) -> Readiness {
        self.crew().room.take_edges(token)
    }

    pub(super) fn has_edge(&self, token: Token) -> bool {
        self.crew().room.has_edge(token)
    }

    pub(super) fn watch(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), mio::Token(token.0), Interest::READABLE)
    }

    pub(super) fn watch_no_more(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&socket.as_raw_fd()))
    }

    pub(super) fn watch_both(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), mio::Token(token.0), both)
    }

    pub(super) fn watch_writes(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.reregister(&mut SourceFd(&socket.as_raw_fd()), mio::Token(token.0), both)
    }

    /// A thread that is no worker brings work: somebody has to notice.
    pub(super) fn queue_from_outside(&self, mut crew: MutexGuard<'_, Crew>, ready: Ready) {
        crew.room.push_ready(ready);
        drop(self.call_somebody(crew));
    }

    /// Makes sure that what stands in the ready queue is seen soon: by the leader if one sleeps in the poller, by those
    /// who are at work when they are done, or by a follower.
    pub(super) fn call_somebody<'a>(&self, crew: MutexGuard<'a, Crew>) -> MutexGuard<'a, Crew> {
        if crew.poller.is_none() {
            self.wake_leader();
        } else if crew.running < self.most_running {
            self.follow.notify_one();
        }
        crew
    }

    /// The leader sleeps until the first deadline that it knew of. An earlier one has to wake it.
    pub(super) fn mind_deadline(&self, crew: &Crew, deadline: Instant) {
        if crew.poller.is_none() && crew.leader_wakes.is_none_or(|wakes| deadline < wakes) {
            self.wake_leader();
        }
    }

    fn wake_leader(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the polling worker: {error}");
        }
    }

    /// Has one more thread work, beside the others of the pool: `workers` in all.
    fn start_thread(self: &Arc<Self>, workers: usize) {
        let shared = Arc::clone(self);
        // threadpool panics if the system grants no thread.
        let mut threads = self.threads.clone();
        let started = catch_unwind(AssertUnwindSafe(|| threads.set_num_threads(workers)));
        if started.is_err() {
            log::error!("the system grants no more than {} worker threads", workers - 1);
            let mut crew = self.crew();
            crew.workers -= 1;
            crew.running -= 1;
            return;
        }
        self.threads.execute(move || Worker::new(shared).work());
    }

    /// Lets one more worker take turns, if one more may run.
    pub(super) fn call_follower(self: &Arc<Self>, mut crew: MutexGuard<'_, Crew>) {
        if crew.running >= self.most_running {
            return;
        }
        if crew.asleep > 0 {
            drop(crew);
            self.follow.notify_one();
        } else if crew.workers < self.most_workers {
            crew.workers += 1;
            crew.running += 1;
            let workers = crew.workers;
            drop(crew);
            self.start_thread(workers);
        }
    }

    /// The next conversation for a worker to go on with; `None` ends the worker.
    pub(super) fn next_turn<'a>(self: &'a Arc<Self>, mut crew: MutexGuard<'a, Crew>, own: usize) -> Option<Ready> {
        loop {
            if crew.running > self.most_running {
                crew = self.follow(crew, own)?;
            } else if let Some(ready) = crew.room.pop_ready() {
                crew.slots.note(own, Doing::Working);
                if crew.room.has_ready() {
                    self.call_follower(crew);
                }
                return Some(ready);
            } else if let Some(poller) = crew.poller.take() {
                crew = self.lead(crew, poller, own);
            } else {
                crew = self.follow(crew, own)?;
            }
        }
    }

    /// Polls, and moves all who can go on to the ready queue.
    fn lead<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, mut poller: Poller, own: usize) -> MutexGuard<'a, Crew> {
        let wakes = if crew.room.has_given_way() { Some(Instant::now()) } else { crew.room.next_check() };
        crew.leader_wakes = wakes;
        crew.slots.note(own, Doing::Leading);
        drop(crew);
        poller.poll(wakes);
        let now = Instant::now();
        let mut crew = self.crew();
        crew.slots.set_time(now);
        for event in poller.edges.iter().filter(|event| event.token() != WAKE_UP) {
            let token = Token(event.token().0);
            match crew.entrances.iter().find(|(at, _)| *at == token) {
                Some((_, entrance)) => poller.knocks.push(Arc::clone(entrance)),
                None => crew.room.edge(token, Readiness::from(event), now),
            }
        }
        if !poller.knocks.is_empty() {
            crew.leader_wakes = Some(now); // It is awake: no deadline of a newcomer has to wake it.
            drop(crew);
            poller.open_where_somebody_knocks();
            crew = self.crew();
        }
        crew.room.expire(now);
        crew.room.requeue();
        crew.poller = Some(poller);
        crew
    }

    /// Sleeps until called; `None` if nobody called for long, so that this worker can end.
    fn follow<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, own: usize) -> Option<MutexGuard<'a, Crew>> {
        crew.slots.set_time(Instant::now());
        crew.slots.note(own, Doing::Asleep);
        crew.running -= 1;
        crew.asleep += 1;
        let (mut crew, slept) = self.follow.wait_timeout(crew, self.idle).expect("no panic under the crew's lock");
        crew.asleep -= 1;
        crew.slots.set_time(Instant::now());
        // The call may have come in the moment in which the time was over: whoever is needed stays.
        let needed = crew.poller.is_some() || crew.room.has_ready();
        if slept.timed_out() && !needed && crew.workers > self.most_running {
            crew.workers -= 1;
            // threadpool ends a thread that comes back to it while there are more than wanted.
            self.threads.clone().set_num_threads(crew.workers);
            return None;
        }
        crew.running += 1;
        Some(crew)
    }
}

impl Poller {
    /// Sleeps until an edge comes or until `wakes`.
    fn poll(&mut self, wakes: Option<Instant>) {
        let timeout = wakes.map(|wakes| wakes.saturating_duration_since(Instant::now()));
        if let Err(error) = self.poll.poll(&mut self.edges, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::error!("cannot poll: {error}");
        }
    }

    fn open_where_somebody_knocks(&mut self) {
        for entrance in self.knocks.drain(..) {
            if catch_unwind(AssertUnwindSafe(|| entrance.accept())).is_err() {
                log::error!("a worker panicked while it accepted a connection");
                entrance.leave_it(); // There may be more, of which no edge will tell.
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("most", &self.most_workers).finish_non_exhaustive()
    }
}
