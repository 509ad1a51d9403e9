//! What a socket is ready for: a small set of bits, made from the poller's events.

use std::ops::{BitOr, BitOrAssign};

/// A set of things that an edge told about a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Readiness = Readiness(0);
    /// Bytes, or the end of the stream, can be read.
    pub const READ: Readiness = Readiness(1);
    /// Bytes can be written again.
    pub const WRITE: Readiness = Readiness(2);
    /// The peer has ended its side (FIN): what it sent before can still be read.
    pub const HALF_CLOSED: Readiness = Readiness(4);
    /// The connection is gone in both directions (RST, or both sides ended).
    pub const BROKEN: Readiness = Readiness(8);
    /// Not the socket's doing: somebody called for whoever waits there ([`Caller`](super::Caller)).
    pub const CALLED: Readiness = Readiness(16);

    /// Whether the two sets have a member in common.
    #[must_use]
    pub fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    /// Takes all bits out, leaving none.
    pub(super) fn take(&mut self) -> Readiness {
        std::mem::take(self)
    }
}

impl BitOr for Readiness {
    type Output = Readiness;
    fn bitor(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Readiness) {
        self.0 |= other.0;
    }
}

impl From<&mio::event::Event> for Readiness {
    fn from(event: &mio::event::Event) -> Readiness {
        let mut readiness = Readiness::NONE;
        if event.is_readable() {
            readiness |= Readiness::READ;
        }
        if event.is_writable() {
            readiness |= Readiness::WRITE;
        }
        if event.is_read_closed() {
            readiness |= Readiness::READ | Readiness::HALF_CLOSED;
        }
        if event.is_error() || (event.is_read_closed() && event.is_write_closed()) {
            readiness |= Readiness::READ | Readiness::WRITE | Readiness::BROKEN;
        }
        readiness
    }
}
