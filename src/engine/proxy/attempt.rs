//! An attempt to connect to a backend, which waits in the room: no worker is held by a backend that does not answer.

use std::io;
use std::time::{Duration, Instant};

use super::backend::{BackendConnection, Claim};
use crate::http::client::HttpConnection;
use crate::settings::deadline;
use crate::settings::listen::ListenAddress;
use crate::socketserver::{Connecting, Readiness, Token, Unfinished, Worker, is_exhausted};

/// A Unix socket whose queue is full says so at once, and tells nobody when it has room: it is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A backend that has been asked for a connection.
#[derive(Debug)]
pub(super) struct Attempt {
    claim: Claim,
    connecting: Connecting,
    begun: Instant,
    /// When the present address has had its time.
    until: Instant,
    /// When to ask it again.
    again: Option<Instant>,
    /// How many of its addresses have been asked.
    asked: usize,
}

/// How an attempt stands.
#[derive(Debug)]
pub(super) enum Progress {
    Connected(BackendConnection),
    Waits(Attempt),
    /// None of its addresses answered; what the last one said.
    Failed(Claim, io::Error),
}

impl Attempt {
    /// Asks the first address of the claimed backend, each for `patience` at most.
    pub(super) fn begin(claim: Claim, patience: Duration, worker: &Worker, now: Instant) -> Progress {
        let untold = io::ErrorKind::NotFound.into(); // Each backend has an address, and what that says is told.
        ask(claim, 0, untold, now, patience, worker, now)
    }

    /// Goes on after a wait.
    pub(super) fn go_on(mut self, patience: Duration, worker: &Worker, now: Instant) -> Progress {
        if now < self.until && self.again.is_some_and(|again| again <= now) {
            match Connecting::begin(&self.claim.backend().addresses()[self.asked - 1], worker) {
                Ok(connecting) => (self.connecting, self.again) = (connecting, Some(now + ASK_AGAIN)),
                Err(error) => return ask(self.claim, self.asked, error, self.begun, patience, worker, now),
            }
        }
        let Attempt { claim, connecting, begun, until, again, asked } = self;
        let error = match connecting.finish() {
            Ok(socket) => return connected(claim, socket, now.saturating_duration_since(begun)),
            Err(Unfinished::Waits(connecting)) if now < until => {
                return Progress::Waits(Attempt { claim, connecting, begun, until, again, asked });
            }
            Err(Unfinished::Waits(_)) => io::ErrorKind::TimedOut.into(),
            Err(Unfinished::Failed(error)) => error,
        };
        ask(claim, asked, error, begun, patience, worker, now)
    }

    /// Where it waits, for [`Readiness::WRITE`].
    pub(super) fn token(&self) -> Token {
        self.connecting.token()
    }

    pub(super) fn until(&self) -> Instant {
        self.again.map_or(self.until, |again| self.until.min(again))
    }

    pub(super) fn note(&mut self, edges: Readiness) {
        self.connecting.note(edges);
    }
}

/// Asks the addresses from the one numbered `asked` on, until one may answer.
fn ask(
    claim: Claim,
    mut asked: usize,
    mut error: io::Error,
    begun: Instant,
    patience: Duration,
    worker: &Worker,
    now: Instant,
) -> Progress {
    while let Some(address) = claim.backend().addresses().get(asked) {
        asked += 1;
        match Connecting::begin(address, worker).map_err(Unfinished::Failed).and_then(Connecting::finish) {
            Ok(socket) => return connected(claim, socket, now.saturating_duration_since(begun)),
            Err(Unfinished::Failed(failure)) => {
                error = if asked > 1 { more_telling(error, failure, address) } else { failure }
            }
            Err(Unfinished::Waits(connecting)) => {
                let until = deadline(now, patience);
                let again = matches!(address, ListenAddress::Unix(_)).then(|| now + ASK_AGAIN);
                return Progress::Waits(Attempt { claim, connecting, begun, until, again, asked });
            }
        }
    }
    Progress::Failed(claim, error)
}

/// What two addresses of a backend said, in one. That this machine has run out of something says nothing of the backend,
/// and goes before what the other one said; but where IPv6 is off, localhost is `::1` all the same, and that there is no
/// address to call it from says nothing at all.
fn more_telling(before: io::Error, failure: io::Error, of: &ListenAddress) -> io::Error {
    let is_ipv6 = matches!(of, ListenAddress::Inet(address) if address.is_ipv6());
    let says_nothing = is_ipv6 && failure.kind() == io::ErrorKind::AddrNotAvailable;
    if says_nothing || is_exhausted(&before) { before } else { failure }
}

fn connected(claim: Claim, socket: crate::socketserver::Socket, took: Duration) -> Progress {
    let connection = HttpConnection::new(socket);
    Progress::Connected(BackendConnection { connection, reused: false, connect_time: Some(took), claim })
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_says_nothing_of_a_backend_hides_no_refusal_and_no_exhaustion() {
        let [v4, v6] = ["127.0.0.1:1", "[::1]:1"].map(|text| ListenAddress::Inet(text.parse().expect("an address")));
        let [refused, no_address, no_descriptor] = [Errno::CONNREFUSED, Errno::ADDRNOTAVAIL, Errno::MFILE];
        for (before, failure, of, want) in [
            (refused, no_address, &v6, refused),
            (refused, no_address, &v4, no_address),
            (refused, no_descriptor, &v6, no_descriptor),
            (no_descriptor, refused, &v4, no_descriptor),
            (no_descriptor, no_address, &v6, no_descriptor),
        ] {
            let got = more_telling(before.into(), failure.into(), of);
            assert_eq!(Errno::from_io_error(&got), Some(want), "{before:?} {failure:?}");
        }
    }
}
