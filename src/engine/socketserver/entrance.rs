//! A listening socket at which whoever leads the workers accepts: no thread has to be woken for a connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::crew::Shared;
use super::room::Token;

/// A listening socket, as the leader sees it.
pub(super) trait Entrance: Send + Sync {
    /// Somebody has connected: accepts all who have, without waiting for anything.
    fn accept(&self);

    /// Leaves it to who may wait.
    fn leave_it(&self);
}

/// The leader accepts at a listening socket until this is dropped.
pub(super) struct OpenEntrance<'l> {
    workers: Arc<Shared>,
    token: Token,
    listener: BorrowedFd<'l>,
}

impl OpenEntrance<'_> {
    pub(super) fn open<'l>(
        workers: &Arc<Shared>,
        listener: BorrowedFd<'l>,
        entrance: Arc<dyn Entrance>,
    ) -> io::Result<OpenEntrance<'l>> {
        let open = OpenEntrance { workers: Arc::clone(workers), token: workers.take_place(), listener };
        workers.crew().entrances.push((open.token, entrance));
        workers.watch(listener, open.token)?;
        Ok(open)
    }
}

impl Drop for OpenEntrance<'_> {
    fn drop(&mut self) {
        // Closing the socket might not be enough, since others may have it, too. If it fails, it was never watched.
        let _ = self.workers.watch_no_more(self.listener);
        let mut crew = self.workers.crew();
        crew.entrances.retain(|(token, _)| *token != self.token);
        crew.room.leave_place(self.token);
    }
}
