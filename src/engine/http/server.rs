//! The server side for plain handlers: a connection waits for its next request in the room, without a thread, and
//! holds a worker while the handler answers.
//!
//! Python: `http.server.HTTPServer`. Fit for a first server, for tests and for pages of a program's own; the reverse
//! proxy, which waits in the middle of requests too, is built on [`crate::socketserver`] directly.
//!
//! A server that greets, and one request to it:
//!
//! ```
//! # use std::io::{self, Read, Write};
//! use footbridge::http::{HttpStatus, RequestHead};
//! use footbridge::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
//!
//! struct Greeter;
//! impl DoMethod for Greeter {
//!     fn do_method(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
//!         http.send_response(HttpStatus::OK)?;
//!         http.send_header("Content-Type", "text/plain")?;
//!         http.end_headers()?;
//!         write!(http.wfile(), "hello, you asked for {}", request.target().escape_ascii())
//!     }
//! }
//!
//! let server = HttpServer::bind("127.0.0.1:0", Greeter)?;
//! let (address, stop) = (server.address(), server.shutdown_handle());
//! let serving = std::thread::spawn(move || server.serve_forever());
//! # let mut client = std::net::TcpStream::connect(address)?;
//! # client.write_all(b"GET /world HTTP/1.0\r\n\r\n")?;
//! # let mut answer = String::new();
//! # client.read_to_string(&mut answer)?;
//! # assert!(answer.ends_with("\r\n\r\nhello, you asked for /world"), "{answer}");
//! # stop.shutdown();
//! # serving.join().expect("the accept loop does not panic");
//! # Ok::<(), io::Error>(())
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::handler::BaseHttpRequestHandler;
pub use super::intake::RequestContent;
pub use super::reply::ResponseContent;

use super::head::HeadLimits;
use super::{MessageError, RequestHead};
use crate::settings::listen::ListenAddress;
use crate::settings::{Settings, deadline};
use crate::socketserver::{
    Conversation, Listener, Next, PeerAddress, Readiness, RequestHandler, ShutdownHandle, Socket, TcpServer, Ticket,
    Wake, Worker, Workers,
};

/// Threads of a server that was given none: enough for a few handlers that wait for something.
const OWN_WORKERS: usize = 16;

/// After our last word, so much longer the client may go on sending: closing at once would reset the connection and
/// take the answer from under its eyes (RFC 9112 §9.6).
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Answers requests of every method.
///
/// Python: `do_GET`, `do_POST` and so on of a `BaseHTTPRequestHandler`. Departs: one method for all of them, since an
/// intermediary treats them alike; who cares looks at [`RequestHead::method`]. One value serves all connections at
/// once.
pub trait DoMethod: Send + Sync + 'static {
    /// Answers one request. It may block, and may leave content unread.
    ///
    /// # Errors
    /// Any that keeps it from answering: the client is told 400, 408 or 413 if it was to blame, else 500; or, if some
    /// of the response is out already, the connection is cut.
    #[doc(alias = "do_GET")]
    #[doc(alias = "do_POST")]
    fn do_method(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()>;
}

/// A listening socket and the handler of its requests.
///
/// Python: `http.server.HTTPServer`, `ThreadingHTTPServer`. Departs: always with threads, and no name is looked up.
#[doc(alias = "HTTPServer")]
#[doc(alias = "ThreadingHTTPServer")]
pub struct HttpServer {
    server: TcpServer,
}

impl HttpServer {
    /// Binds and listens, with a few threads of its own and the default limits.
    ///
    /// # Errors
    /// As [`TcpServer::bind`], or if the system grants no thread.
    pub fn bind(address: impl ToSocketAddrs, handler: impl DoMethod) -> io::Result<HttpServer> {
        HttpServer::bind_with(address, handler, &Workers::new("http", OWN_WORKERS)?, Settings::default())
    }

    /// Binds and listens, with `workers` that other servers may share.
    ///
    /// # Errors
    /// As [`TcpServer::bind`].
    pub fn bind_with(
        address: impl ToSocketAddrs,
        handler: impl DoMethod,
        workers: &Workers,
        settings: Settings,
    ) -> io::Result<HttpServer> {
        HttpServer::with_listener(TcpListener::bind(address)?, handler, workers, settings)
    }

    /// Serves a socket that listens already, on whichever kind of socket.
    ///
    /// # Errors
    /// As [`TcpServer::with_listener`].
    pub fn with_listener(
        listener: impl Into<Listener>,
        handler: impl DoMethod,
        workers: &Workers,
        settings: Settings,
    ) -> io::Result<HttpServer> {
        let service = Service { handler: Box::new(handler), settings: Arc::new(settings) };
        Ok(HttpServer { server: TcpServer::with_listener(listener, Arc::new(service), workers)? })
    }

    /// Accepts no more than `most` connections at once.
    #[must_use]
    pub fn with_most_connections(mut self, most: usize) -> HttpServer {
        self.server = self.server.with_most_connections(most);
        self
    }

    /// Where it listens, on whichever kind of socket.
    #[must_use]
    pub fn listen_address(&self) -> &ListenAddress {
        self.server.listen_address()
    }

    /// The address that it listens on; the port is the real one if 0 was asked for.
    #[must_use]
    #[doc(alias = "server_address")]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The host's part of [`address`](Self::address).
    #[must_use]
    pub fn server_name(&self) -> IpAddr {
        self.address().ip()
    }

    /// The port's part of [`address`](Self::address).
    #[must_use]
    pub fn server_port(&self) -> u16 {
        self.address().port()
    }

    /// What ends [`serve_forever`](Self::serve_forever).
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.server.shutdown_handle()
    }

    /// Accepts connections until shut down. Those that it has accepted are still served.
    pub fn serve_forever(&self) {
        self.server.serve_forever();
    }
}

/// What all connections of one server share.
struct Service {
    handler: Box<dyn DoMethod>,
    settings: Arc<Settings>,
}

impl RequestHandler for Service {
    fn handle(self: Arc<Self>, request: Socket, client_address: PeerAddress) -> Next {
        let http = BaseHttpRequestHandler::new(request, client_address, Arc::clone(&self.settings));
        let stage = Stage::Head { since: Instant::now() };
        let attended = Attended { service: self, http, stage, served: false };
        let ticket = attended.await_head();
        Next::Wait(Box::new(attended), ticket)
    }
}

/// A connection, between requests or serving one.
struct Attended {
    service: Arc<Service>,
    http: BaseHttpRequestHandler,
    stage: Stage,
    /// It has served a request before.
    served: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Waits for a request, or for the rest of its head; since then.
    Head { since: Instant },
    /// Has said its last word, and lingers.
    Leaving { until: Instant },
}

/// How a connection goes on after a step.
enum Then {
    GoOn,
    Wait(Ticket),
    GiveWay,
    End,
}

impl Conversation for Attended {
    fn resume(mut self: Box<Self>, wake: Wake, worker: &mut Worker) -> Next {
        self.http.connection.note(wake.own);
        worker.lend(&mut self.http.input);
        let then = self.handle(wake.leave, worker);
        worker.take_back(&mut self.http.input);
        match then {
            Then::Wait(ticket) => Next::Wait(self, ticket),
            Then::GiveWay => Next::GiveWay(self),
            Then::End | Then::GoOn => Next::End,
        }
    }
}

impl Attended {
    /// Serves until it has to wait for a head.
    ///
    /// Python: `handle`, the loop around `handle_one_request`.
    fn handle(&mut self, leave: bool, worker: &mut Worker) -> Then {
        loop {
            let then = match self.stage {
                Stage::Leaving { until } => self.linger(until),
                Stage::Head { .. } => match self.read_head() {
                    Ok(Some(length)) => self.serve(length, worker),
                    Ok(None) => self.wait(leave || worker.is_draining(), worker),
                    Err(MessageError::Io(_) | MessageError::Incomplete) => Then::End, // Nobody is there to be answered.
                    Err(defect) => self.refuse(&defect, worker),
                },
            };
            if !matches!(then, Then::GoOn) {
                return then;
            }
        }
    }

    /// Reads what there is of a head; its length, once it is complete.
    fn read_head(&mut self) -> Result<Option<usize>, MessageError> {
        let limits = HeadLimits::of_request(&self.service.settings.limits);
        let http = &mut self.http;
        loop {
            http.scan.skip_empty_line(&mut http.input);
            if let Some(length) = http.scan.find_end(http.input.unread(), &limits)? {
                return Ok(Some(length));
            }
            let was_empty = http.input.is_empty();
            match http.input.fill(&mut http.connection) {
                Ok(0) => return Err(MessageError::Incomplete),
                Ok(_) if was_empty && self.served => self.stage = Stage::Head { since: Instant::now() },
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&mut self, leave: bool, worker: &mut Worker) -> Then {
        let ticket = self.await_head();
        let late = ticket.deadline <= Instant::now();
        match self.http.input.is_empty() {
            true if leave || late => Then::End,
            false if late => self.refuse(&MessageError::TimedOut, worker),
            _ => Then::Wait(ticket),
        }
    }

    /// How long to wait: for a head's end, since its first byte, or, between requests, for its first byte.
    fn await_head(&self) -> Ticket {
        let timeouts = &self.service.settings.timeouts;
        let idle = self.http.input.is_empty();
        let patience = if idle && self.served { timeouts.keepalive } else { timeouts.header };
        let (Stage::Head { since } | Stage::Leaving { until: since }) = self.stage;
        self.ticket(deadline(since, patience), idle.then_some(since))
    }

    fn ticket(&self, deadline: Instant, idle_since: Option<Instant>) -> Ticket {
        let (at, none) = (self.http.connection.token(), Readiness::NONE);
        Ticket { at, wants: Readiness::READ, other: None, other_wants: none, deadline, idle_since }
    }

    /// Has the handler answer: the one place where a thread is held.
    fn serve(&mut self, length: usize, worker: &mut Worker) -> Then {
        self.served = true;
        self.http.close = worker.is_draining();
        worker.block(|| self.http.handle_one_request(length, &*self.service.handler));
        self.go_on()
    }

    fn refuse(&mut self, defect: &MessageError, worker: &mut Worker) -> Then {
        worker.block(|| self.http.refuse(defect));
        self.go_on()
    }

    /// To the next request, or to the end.
    fn go_on(&mut self) -> Then {
        let now = Instant::now();
        if self.http.is_cut() {
            Then::End
        } else if self.http.close {
            if self.http.is_all_read() || self.http.connection.end_writes().is_err() {
                return Then::End;
            }
            self.stage = Stage::Leaving { until: now + LINGER };
            Then::GoOn
        } else {
            self.stage = Stage::Head { since: now };
            // The next request is here already; others may have waited for longer.
            if self.http.input.is_empty() { Then::GoOn } else { Then::GiveWay }
        }
    }

    /// Reads on without looking, until the client has seen our end, or for long enough.
    fn linger(&mut self, until: Instant) -> Then {
        let http = &mut self.http;
        loop {
            http.input.consume(http.input.unread().len());
            match http.input.fill(&mut http.connection) {
                Ok(read) if read > 0 && Instant::now() < until => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    return Then::Wait(self.ticket(until, None));
                }
                _ => return Then::End,
            }
        }
    }
}
