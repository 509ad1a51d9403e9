//! The waiting room: where connections are that no thread works on.
//!
//! One *place* a registered socket. A place holds what waits there, or, if an edge came while nobody waited, that
//! edge, so that entering the room looks at the place first and goes on at once if something came in between.
//! A conversation sits at one place (its client's) and may listen to a second socket (its backend's) from there.
//!
//! This file is the bookkeeping only: no threads, no system calls. [`super::workers`] holds the lock around it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::conversation::{Conversation, Ticket, Wake};
use super::readiness::Readiness;

/// Names a place in the room and the socket there: the number of the socket's registration with the poller.
///
/// A place is used again after its socket was closed, and an edge of that one may still be under way then, perhaps one
/// that says that the connection is broken. So each socket of a place has another token: the place in the lower bits,
/// how often it was left in the upper ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token(pub(super) usize);

impl Token {
    /// A 32-bit system has room for four million sockets, and tells 1,024 successive ones of a place apart.
    const PLACE_BITS: u32 = if usize::BITS > 32 { 32 } else { 22 };

    #[inline]
    const fn place(self) -> usize {
        self.0 & ((1 << Token::PLACE_BITS) - 1)
    }

    const fn next(self) -> Token {
        Token(self.0.wrapping_add(1 << Token::PLACE_BITS))
    }
}

/// Deadlines are looked at no more often than this: a wait may end late by as much, and looking costs next to nothing.
const CHECK_EVERY: Duration = Duration::from_millis(10);

/// What is known of one registered socket.
#[derive(Default)]
struct Place {
    /// The token of the socket that is here, or comes next.
    token: Token,
    /// Edges that nobody has taken yet.
    fired: Readiness,
    /// Who is concerned by this socket's edges, if not who sits here: the place of the client that this backend's
    /// socket works for.
    concerns: Option<Token>,
    guest: Option<Guest>,
}

/// What waits at a place, and for what.
struct Guest {
    conversation: Box<dyn Conversation>,
    ticket: Ticket,
}

/// A conversation that can go on, and why.
pub(super) struct Ready {
    pub(super) conversation: Box<dyn Conversation>,
    pub(super) wake: Wake,
}

pub(super) struct Room {
    places: Vec<Place>,
    free: Vec<usize>,
    ready: VecDeque<Ready>,
    /// Conversations that gave way to others: they go on after the next look at the poller.
    gave_way: VecDeque<Ready>,
    /// No deadline comes before this.
    next_check: Option<Instant>,
    draining: bool,
    guests: usize,
}

impl Room {
    pub(super) fn new() -> Room {
        Room {
            places: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            gave_way: VecDeque::new(),
            next_check: None,
            draining: false,
            guests: 0,
        }
    }

    pub(super) fn take_place(&mut self) -> Token {
        if let Some(place) = self.free.pop() {
            return self.places[place].token;
        }
        let token = Token(self.places.len());
        assert!(token.place() == token.0, "more sockets than tokens");
        self.places.push(Place { token, ..Place::default() });
        token
    }

    /// Frees a place. Nobody waits there: a guest owns its socket, so it was taken out before the socket was dropped.
    pub(super) fn leave_place(&mut self, token: Token) {
        self.places[token.place()] = Place { token: token.next(), ..Place::default() };
        self.free.push(token.place());
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// How many wait.
    pub(super) fn guests(&self) -> usize {
        self.guests
    }

    /// Lets `conversation` wait, or gives it back if what it waits for has happened already.
    pub(super) fn enter(&mut self, conversation: Box<dyn Conversation>, ticket: Ticket) -> Option<Ready> {
        if let Some(other) = ticket.other {
            self.places[other.place()].concerns = Some(ticket.at);
        }
        if self.heard(&ticket) || (self.draining && ticket.idle_since.is_some()) {
            let wake = Wake { leave: self.draining, ..self.collect(&ticket) };
            return Some(Ready { conversation, wake });
        }
        if self.next_check.is_none_or(|check| ticket.deadline < check) {
            self.next_check = Some(ticket.deadline);
        }
        self.places[ticket.at.place()].guest = Some(Guest { conversation, ticket });
        self.guests += 1;
        None
    }

    /// Whether one of the things that `ticket` waits for has happened.
    #[inline]
    fn heard(&self, ticket: &Ticket) -> bool {
        let own = self.places[ticket.at.place()].fired;
        let other = ticket.other.map_or(Readiness::NONE, |other| self.places[other.place()].fired);
        own.intersects(ticket.wants | Readiness::BROKEN) || other.intersects(ticket.other_wants | Readiness::BROKEN)
    }

    /// Takes the edges of both sockets out.
    #[inline]
    fn collect(&mut self, ticket: &Ticket) -> Wake {
        let own = self.places[ticket.at.place()].fired.take();
        let other = ticket.other.map_or(Readiness::NONE, |other| self.places[other.place()].fired.take());
        Wake { own, other, ..Wake::default() }
    }

    /// The edges that came to a socket that nobody listened to, such as an idle backend connection's.
    pub(super) fn take_edges(&mut self, token: Token) -> Readiness {
        self.places[token.place()].fired.take()
    }

    /// Whether an edge came to a socket that nobody listens to.
    pub(super) fn has_edge(&self, token: Token) -> bool {
        self.places[token.place()].fired.intersects(Readiness::READ)
    }

    /// An edge: wakes whom it concerns, if they wait for it, or is kept until they do.
    pub(super) fn edge(&mut self, token: Token, edges: Readiness, now: Instant) {
        let place = &mut self.places[token.place()];
        if place.token != token {
            return; // Its socket is closed.
        }
        place.fired |= edges;
        let seat = match place.concerns {
            Some(seat) if place.guest.is_none() => seat,
            _ => token,
        };
        let Some(guest) = &self.places[seat.place()].guest else { return };
        let listens = seat == token || guest.ticket.other == Some(token);
        if listens && self.heard(&guest.ticket) {
            self.rouse(seat.place(), now, false);
        }
    }

    /// Moves the guest at the place `seat` to the ready queue; `leave` tells it to end.
    fn rouse(&mut self, seat: usize, now: Instant, leave: bool) {
        let Some(Guest { conversation, ticket }) = self.places[seat].guest.take() else { return };
        self.guests -= 1;
        let wake = Wake { since: Some(now), leave, ..self.collect(&ticket) };
        self.ready.push_back(Ready { conversation, wake });
    }

    /// Wakes all whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.next_check.is_none_or(|check| now < check) {
            return;
        }
        let mut next = None;
        for seat in 0..self.places.len() {
            let Some(guest) = &self.places[seat].guest else { continue };
            let deadline = guest.ticket.deadline;
            if deadline <= now {
                self.rouse(seat, now, false);
            } else {
                next = Some(next.map_or(deadline, |next: Instant| next.min(deadline)));
            }
        }
        self.next_check = next.map(|next| next.max(now + CHECK_EVERY));
    }

    /// When [`Room::expire`] has to be called next.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// From now on nobody waits idly: those who do are woken to end, and those who would are told.
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.send_off(now, |ticket| ticket.idle_since.is_some());
    }

    /// Tells all those to leave of whom that holds.
    pub(super) fn send_off(&mut self, now: Instant, whom: fn(&Ticket) -> bool) {
        for seat in 0..self.places.len() {
            if self.places[seat].guest.as_ref().is_some_and(|guest| whom(&guest.ticket)) {
                self.rouse(seat, now, true);
            }
        }
    }

    /// Wakes the one that has been idle for longest, to end. Whether there was one.
    pub(super) fn end_longest_idle(&mut self, now: Instant) -> bool {
        let idle = |place: &Place| {
            let ticket = place.guest.as_ref()?.ticket;
            Some((ticket.idle_since.filter(|since| *since <= now)?, ticket.at))
        };
        let Some((_, seat)) = self.places.iter().filter_map(idle).min_by_key(|(since, _)| *since) else { return false };
        self.rouse(seat.place(), now, true);
        true
    }

    pub(super) fn push_ready(&mut self, ready: Ready) {
        self.ready.push_back(ready);
    }

    pub(super) fn give_way(&mut self, ready: Ready) {
        self.gave_way.push_back(ready);
    }

    pub(super) fn pop_ready(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many could go on if a worker were free.
    pub(super) fn ready(&self) -> usize {
        self.ready.len() + self.gave_way.len()
    }

    pub(super) fn has_given_way(&self) -> bool {
        !self.gave_way.is_empty()
    }

    /// Those who gave way stand behind all that the poller has just brought.
    pub(super) fn requeue(&mut self) {
        self.ready.append(&mut self.gave_way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leader may hold edges in its hands while another worker closes the socket and a new one takes the place.
    #[test]
    fn an_edge_of_a_closed_socket_does_not_reach_the_next_one_at_its_place() {
        let mut room = Room::new();
        let closed = room.take_place();
        room.leave_place(closed);
        let next = room.take_place();
        assert_eq!((closed.place(), room.taken()), (next.place(), 1));
        room.edge(closed, Readiness::BROKEN, Instant::now());
        assert_eq!(room.take_edges(next), Readiness::NONE);
        room.edge(next, Readiness::BROKEN, Instant::now());
        assert_eq!(room.take_edges(next), Readiness::BROKEN);
    }

    #[test]
    fn the_tokens_of_a_place_come_round_without_reaching_another_place() {
        let last = Token(usize::MAX << Token::PLACE_BITS | 7);
        assert_eq!((last.place(), last.next()), (7, Token(7)));
    }
}
