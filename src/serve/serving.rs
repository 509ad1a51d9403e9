//! The accept loops of a program, each with a thread of its own, for when accepting has to wait. One can be added, and
//! one taken away, while the others go on.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::settings::listen::ListenAddress;
use crate::socketserver::{Listener, RequestHandler, ShutdownHandle, SocketFile, TcpServer, Workers};
use crate::threads;

/// What is served: one handler, on any number of listeners.
pub struct Serving {
    handler: Arc<dyn RequestHandler>,
    pub(super) workers: Workers,
    most_connections: usize,
    /// How long requests under way may go on when the program ends.
    pub patience: Duration,
    pub(super) accepting: Vec<Accepting>,
}

/// An accept loop.
pub(super) struct Accepting {
    /// As it was asked for: where port 0 was, the port is another one.
    asked: ListenAddress,
    address: ListenAddress,
    shutdown: ShutdownHandle,
    thread: JoinHandle<()>,
    file: Option<SocketFile>,
}

impl Serving {
    /// Nothing yet. `most_connections`, of all listeners together, will be accepted at once.
    #[must_use]
    pub fn new(
        handler: Arc<dyn RequestHandler>,
        workers: &Workers,
        most_connections: usize,
        patience: Duration,
    ) -> Serving {
        Serving { handler, workers: workers.clone(), most_connections, patience, accepting: Vec::new() }
    }

    /// Accepts on one more socket, known as `asked` from now on. Returns where it really listens.
    ///
    /// # Errors
    /// If the system grants no thread or no descriptor, or the listener is none.
    pub fn start(&mut self, asked: ListenAddress, listener: Listener) -> Result<ListenAddress, String> {
        let cannot = |error| format!("cannot start on {asked}: {error}");
        let file = listener.file().cloned();
        let server = TcpServer::with_listener(listener, Arc::clone(&self.handler), &self.workers).map_err(cannot)?;
        let server = server.with_most_connections(self.most_connections);
        let (address, shutdown) = (server.listen_address().clone(), server.shutdown_handle());
        let name = match &address {
            ListenAddress::Inet(address) => format!("accept {}", address.port()),
            ListenAddress::Unix(_) => "accept unix".to_owned(),
        };
        let thread = threads::start(threads::named(&name), Box::new(move || server.serve_forever())).map_err(cannot)?;
        log::info!("listening on {address}");
        self.accepting.push(Accepting { asked, address: address.clone(), shutdown, thread, file });
        Ok(address)
    }

    /// Accepts no more on the socket known as `asked`, and closes it; what it has accepted goes on. False if there is
    /// no such socket.
    pub fn stop(&mut self, asked: &ListenAddress) -> bool {
        let Some(place) = self.accepting.iter().position(|accepting| accepting.asked == *asked) else { return false };
        let accepting = self.accepting.remove(place);
        accepting.stop();
        accepting.join();
        log::info!("not listening on {asked} any more");
        true
    }

    /// Changes the permission bits of the Unix socket known as `asked`.
    ///
    /// # Errors
    /// Why that cannot be: above all, because it is not of our making.
    pub fn set_mode(&self, asked: &ListenAddress, mode: u32) -> io::Result<()> {
        let accepting = self.accepting.iter().find(|accepting| accepting.asked == *asked);
        let Some(file) = accepting.and_then(|accepting| accepting.file.as_ref()) else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the socket is inherited"));
        };
        file.set_mode(mode)
    }

    /// All sockets that are accepted on, as they were asked for.
    pub fn asked(&self) -> impl Iterator<Item = &ListenAddress> {
        self.accepting.iter().map(|accepting| &accepting.asked)
    }

    /// All sockets that are accepted on, where they really are.
    pub fn addresses(&self) -> impl Iterator<Item = ListenAddress> {
        self.accepting.iter().map(|accepting| accepting.address.clone())
    }
}

impl Accepting {
    pub(super) fn stop(&self) {
        self.shutdown.shutdown();
    }

    /// It ends by [`Accepting::stop`]; if it had panicked, it would have ended before.
    pub(super) fn join(self) {
        let _ = self.thread.join();
    }
}
