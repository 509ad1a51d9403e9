//! Threads and sockets: an accept loop, a pool of workers, and a room where connections wait without a thread.
//!
//! Python: the module `socketserver`. Knows nothing of HTTP.
//!
//! | file | idea |
//! |---|---|
//! | [`server`] | the accept loop: [`TcpServer`], [`RequestHandler`] |
//! | `entrance` | a listening socket at which the workers' leader accepts |
//! | [`listener`], [`address`] | where connections come in: [`Listener`]; and from whom: [`PeerAddress`] |
//! | [`conversation`] | a connection as a value: [`Conversation`], and what it waits for: [`Ticket`] |
//! | [`workers`], [`worker`] | the pool: [`Workers`]; one of its threads: [`Worker`] |
//! | [`census`] | who does what: [`Census`] |
//! | [`crew`] | how the threads take turns at polling and working |
//! | [`room`], [`readiness`] | who waits where, and for what |
//! | [`buffer`] | bytes received and not used, bytes to be sent |
//! | [`connecting`] | a connection that is being made |
//! | [`splice`] | socket to socket inside the kernel |
//! | [`socket`] | [`Socket`]: tried without blocking |
//! | `blocking` | for plain handlers: [`blocking`](blocking()), and a [`Socket`] that is blocked on with a deadline |
//!
//! A server that gives back what it gets, one thread a connection, as a first step:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//! use footbridge::socketserver::{Next, PeerAddress, RequestHandler, Socket, TcpServer, Workers, blocking};
//!
//! struct Echo;
//! impl RequestHandler for Echo {
//!     fn handle(self: Arc<Self>, mut request: Socket, _: PeerAddress) -> Next {
//!         blocking(move || {
//!             let mut bytes = [0; 1024];
//!             loop {
//!                 let read = request.read(&mut bytes)?;
//!                 if read == 0 { return Ok(()) }
//!                 request.write_all(&bytes[..read])?;
//!             }
//!         })
//!     }
//! }
//!
//! let server = TcpServer::bind("127.0.0.1:0", Arc::new(Echo), &Workers::new("echo", 4)?)?;
//! let (address, stop) = (server.address(), server.shutdown_handle());
//! let serving = std::thread::spawn(move || server.serve_forever());
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"hello")?;
//! let mut answer = [0; 5];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//! stop.shutdown();
//! serving.join().expect("the accept loop does not panic");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod address;
mod blocking;
pub mod buffer;
pub mod census;
pub mod connecting;
pub mod conversation;
pub mod crew;
mod entrance;
pub mod listener;
pub mod readiness;
pub mod room;
pub mod server;
pub mod socket;
pub mod splice;
pub mod worker;
pub mod workers;

pub use address::PeerAddress;
pub use blocking::blocking;
pub use buffer::{Buffer, Outgoing};
pub use census::{Census, Doing, WorkerState};
pub use connecting::{Connecting, Unfinished, is_exhausted};
pub use conversation::{Conversation, Next, Ticket, Wake};
pub use listener::{Listener, SocketFile};
pub use readiness::Readiness;
pub use room::Token;
pub use server::{RequestHandler, ShutdownHandle, TcpServer};
pub use socket::Socket;
pub use worker::{Caller, Worker};
pub use workers::Workers;
