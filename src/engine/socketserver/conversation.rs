//! A conversation: one connection's business, as a value that can be put down and taken up again.

use std::time::Instant;

use super::readiness::Readiness;
use super::room::Token;
use super::worker::Worker;

/// What goes on over one connection, from its accepting to its end.
///
/// A worker calls [`resume`](Conversation::resume) when something happened that the conversation waits for; it goes on
/// until it would have to wait again, and returns how. It holds no thread in between.
pub trait Conversation: Send {
    /// Goes on as far as it can without waiting.
    fn resume(self: Box<Self>, wake: Wake, worker: &mut Worker) -> Next;
}

/// What becomes of a conversation after a turn.
pub enum Next {
    /// It is over: its sockets are closed.
    End,
    /// It could go on, and lets others go first.
    GiveWay(Box<dyn Conversation>),
    /// It waits in the room.
    Wait(Box<dyn Conversation>, Ticket),
}

/// What a conversation waits for.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// The place where it sits: its client's socket.
    pub at: Token,
    /// What it wants to hear of that socket.
    pub wants: Readiness,
    /// A second socket to listen to: its backend's.
    pub other: Option<Token>,
    /// What it wants to hear of the second socket.
    pub other_wants: Readiness,
    /// When to wake it if nothing happens.
    pub deadline: Instant,
    /// Since when nothing would be lost if the connection ended: a server that stops, or needs room, ends it. One that
    /// lies ahead is a grace: until then only a server that stops does.
    pub idle_since: Option<Instant>,
}

/// Why a conversation goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wake {
    /// What happened at its own socket.
    pub own: Readiness,
    /// What happened at the second socket.
    pub other: Readiness,
    /// Since when it could have gone on, had a worker been free.
    pub since: Option<Instant>,
    /// The server stops, or needs the connection's place: if it is idle, it should end; and if
    /// [`Worker::is_over`], in any case.
    pub leave: bool,
}
