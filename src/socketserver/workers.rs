//! The workers: threads that take turns at leading and working (*Leader/Followers*, Schmidt et al., POSA2).
//!
//! A worker that is done takes the next conversation from the ready queue. If the queue is empty and nobody polls, it
//! becomes the *leader*: it takes the poller (owning it *is* leading), sleeps in it, moves all that can go on to the
//! ready queue, gives the poller back and works itself. No thread exists for polling alone, nothing is handed from a
//! poller to a worker, and a request costs no wake-up of a thread.
//!
//! At most [`std::thread::available_parallelism`] workers run at once: more would only switch. A worker that is about to
//! block says so ([`Worker::block`]), and another takes its turn meanwhile, a new one if all are blocked, up to a limit.
//! Those not needed sleep as *followers*, and end after a while.

use std::any::Any;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use threadpool::ThreadPool;

use super::buffer::Lendable;
use super::conversation::{Next, Wake};
use super::readiness::Readiness;
use super::room::{Ready, Room, Token};

/// How many edges one look at the poller can bring. More wait for the next look.
const EDGES_AT_ONCE: usize = 256;

/// Deep enough for every path of ours with room to spare; a thread's default of 2 MiB would be address space that a
/// small machine counts.
const STACK_BYTES: usize = 256 * 1024;

/// A follower that nobody needed for so long ends its thread.
const IDLE_FOLLOWER: Duration = Duration::from_secs(30);

/// A buffer to work in. The worker lends it to whichever conversation it serves, so waiting connections hold none.
const BUFFER_BYTES: usize = 16 * 1024;

/// As many as one conversation works with: two to read into, two to write from.
const SPARE_BUFFERS: usize = 4;

/// The token of the wake-up call to a sleeping leader.
const WAKE_UP: mio::Token = mio::Token(usize::MAX);

/// A pool of worker threads around one waiting room. Clones share it.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Shared>);

/// What workers, sockets and servers share.
pub(super) struct Shared {
    registry: Registry,
    waker: mio::Waker,
    threads: ThreadPool,
    most_workers: usize,
    most_running: usize,
    /// Set once, when the server stops; beside the crew so that looking takes no lock.
    draining: AtomicBool,
    crew: Mutex<Crew>,
    /// Followers sleep here.
    follow: Condvar,
    /// Told whenever a conversation ends: who waits for that are the accept loops at their limit, and the end.
    ended: Condvar,
}

/// Who does what. Its lock guards lines, never I/O.
struct Crew {
    room: Room,
    /// `None` while a leader holds it.
    poller: Option<Poller>,
    /// When the leader who sleeps in the poller means to wake up; `None`: not before an edge.
    leader_wakes: Option<Instant>,
    /// All worker threads.
    workers: usize,
    /// Those at work or leading: neither blocked nor asleep.
    running: usize,
    /// Sleeping followers.
    asleep: usize,
    /// Accepted and not yet ended.
    conversations: usize,
    /// Threads that sleep until a conversation ends; telling nobody would cost a system call each time.
    await_end: usize,
}

/// The poller and its list of edges. Whoever owns it leads.
struct Poller {
    poll: mio::Poll,
    edges: mio::Events,
}

impl Workers {
    /// A pool of at most `most` threads; `name` is what the threads are called.
    ///
    /// # Errors
    /// If the system grants no poller.
    pub fn new(name: &str, most: usize) -> io::Result<Workers> {
        let poll = mio::Poll::new()?;
        let most_workers = most.max(1);
        let shared = Shared {
            registry: poll.registry().try_clone()?,
            waker: mio::Waker::new(poll.registry(), WAKE_UP)?,
            threads: threadpool::Builder::new()
                .num_threads(1)
                .thread_name(name.to_owned())
                .thread_stack_size(STACK_BYTES)
                .build(),
            most_workers,
            most_running: std::thread::available_parallelism().map_or(1, usize::from).min(most_workers),
            draining: AtomicBool::new(false),
            crew: Mutex::new(Crew {
                room: Room::new(),
                poller: Some(Poller { poll, edges: mio::Events::with_capacity(EDGES_AT_ONCE) }),
                leader_wakes: None,
                workers: 1,
                running: 1,
                asleep: 0,
                conversations: 0,
                await_end: 0,
            }),
            follow: Condvar::new(),
            ended: Condvar::new(),
        };
        let shared = Arc::new(shared);
        shared.start_thread(1);
        Ok(Workers(shared))
    }

    /// Registers an accepted connection, so that it can wait in this pool's room.
    ///
    /// # Errors
    /// If the poller takes no more.
    pub(super) fn register(&self, stream: std::net::TcpStream) -> io::Result<super::Socket> {
        super::Socket::register(stream, &self.0)
    }

    /// Takes on a new conversation.
    pub(super) fn admit(&self, next: Next) {
        let mut crew = self.0.crew();
        crew.conversations += 1;
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

    /// Blocks until fewer than `most` conversations are under way, closing idle ones if need be, the longest idle first.
    pub(super) fn wait_for_fewer_than(&self, most: usize) {
        const LOOK_AGAIN: Duration = Duration::from_millis(100);
        let mut crew = self.0.crew();
        while crew.conversations >= most {
            crew.room.end_longest_idle(Instant::now());
            crew = self.0.call_somebody(crew);
            // An idle one may turn up meanwhile: looking again finds it.
            crew = self.0.await_end(crew, LOOK_AGAIN);
        }
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

    /// Ends idle conversations and waits until all others have ended too, or until `deadline`.
    /// Returns how many are left.
    #[must_use]
    pub fn drain(&self, deadline: Instant) -> usize {
        self.0.draining.store(true, Ordering::Relaxed);
        let mut crew = self.0.crew();
        crew.room.drain(Instant::now());
        crew = self.0.call_somebody(crew);
        while crew.conversations > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            crew = self.0.await_end(crew, left);
        }
        crew.conversations
    }
}

impl Shared {
    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().expect("no panic under the crew's lock")
    }

    /// Sleeps until a conversation ends, for `at_most` so long.
    fn await_end<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, at_most: Duration) -> MutexGuard<'a, Crew> {
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
        self.registry.register(&mut SourceFd(&socket.as_raw_fd()), mio::Token(token.0 as usize), Interest::READABLE)
    }

    pub(super) fn watch_writes(&self, socket: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.reregister(&mut SourceFd(&socket.as_raw_fd()), mio::Token(token.0 as usize), both)
    }

    /// A thread that is no worker brings work: somebody has to notice.
    fn queue_from_outside(&self, mut crew: MutexGuard<'_, Crew>, ready: Ready) {
        crew.room.push_ready(ready);
        drop(self.call_somebody(crew));
    }

    /// Makes sure that what stands in the ready queue is seen soon: by the leader if one sleeps in the poller, by those
    /// who are at work when they are done, or by a follower.
    fn call_somebody<'a>(&self, crew: MutexGuard<'a, Crew>) -> MutexGuard<'a, Crew> {
        if crew.poller.is_none() {
            self.wake_leader();
        } else if crew.running < self.most_running {
            self.follow.notify_one();
        }
        crew
    }

    /// The leader sleeps until the first deadline that it knew of. An earlier one has to wake it.
    fn mind_deadline(&self, crew: &Crew, deadline: Instant) {
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
        // Jobs first: a thread that finds none would wait for one in threadpool's queue, which is as well, but
        // `set_num_threads` is what panics if the system grants no thread.
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
    fn call_follower(self: &Arc<Self>, mut crew: MutexGuard<'_, Crew>) {
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
    fn next_turn<'a>(self: &'a Arc<Self>, mut crew: MutexGuard<'a, Crew>) -> Option<Ready> {
        loop {
            if crew.running > self.most_running {
                crew = self.follow(crew)?;
            } else if let Some(ready) = crew.room.pop_ready() {
                if crew.room.has_ready() {
                    self.call_follower(crew);
                }
                return Some(ready);
            } else if let Some(poller) = crew.poller.take() {
                crew = self.lead(crew, poller);
            } else {
                crew = self.follow(crew)?;
            }
        }
    }

    /// Polls, and moves all who can go on to the ready queue.
    fn lead<'a>(&'a self, mut crew: MutexGuard<'a, Crew>, mut poller: Poller) -> MutexGuard<'a, Crew> {
        let wakes = if crew.room.has_given_way() { Some(Instant::now()) } else { crew.room.next_check() };
        crew.leader_wakes = wakes;
        drop(crew);
        poller.poll(wakes);
        let now = Instant::now();
        let mut crew = self.crew();
        for event in poller.edges.iter().filter(|event| event.token() != WAKE_UP) {
            let token = Token(u32::try_from(event.token().0).expect("tokens are made from u32"));
            crew.room.edge(token, Readiness::from(event), now);
        }
        crew.room.expire(now);
        crew.room.requeue();
        crew.poller = Some(poller);
        crew
    }

    /// Sleeps until called; `None` if nobody called for long, so that this worker can end.
    fn follow<'a>(&'a self, mut crew: MutexGuard<'a, Crew>) -> Option<MutexGuard<'a, Crew>> {
        crew.running -= 1;
        crew.asleep += 1;
        let (mut crew, slept) = self.follow.wait_timeout(crew, IDLE_FOLLOWER).expect("no panic under the crew's lock");
        crew.asleep -= 1;
        if slept.timed_out() && crew.workers > self.most_running {
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
}

/// A worker's view of itself, lent to the conversation that it serves.
pub struct Worker {
    shared: Arc<Shared>,
    buffers: Vec<Vec<u8>>,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Worker {
        Worker { shared, buffers: Vec::new() }
    }

    fn work(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut turn = shared.next_turn(shared.crew());
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
                crew.room.give_way(Ready { conversation, wake: Wake::default() });
            }
            Next::Wait(conversation, ticket) => {
                if let Some(ready) = crew.room.enter(conversation, ticket) {
                    return Some(ready);
                }
                shared.mind_deadline(&crew, ticket.deadline);
            }
        }
        shared.next_turn(crew)
    }

    /// Whether the server stops: what ends now should not begin again.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Registers a connection that this worker has made, such as one to a backend.
    ///
    /// # Errors
    /// If the poller takes no more.
    pub fn register(&self, stream: std::net::TcpStream) -> io::Result<super::Socket> {
        super::Socket::register(stream, &self.shared)
    }

    /// Runs a call that may block, and lets another worker take turns meanwhile.
    pub fn block<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let aside = Aside::step(&self.shared);
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

/// A worker that blocks. Dropping it, by a panic too, says that it blocks no more.
struct Aside<'a>(&'a Arc<Shared>);

impl Aside<'_> {
    fn step(shared: &Arc<Shared>) -> Aside<'_> {
        let mut crew = shared.crew();
        crew.running -= 1;
        if crew.room.has_ready() || crew.poller.is_some() {
            shared.call_follower(crew);
        }
        Aside(shared)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.crew().running += 1;
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("most", &self.most_workers).finish_non_exhaustive()
    }
}
