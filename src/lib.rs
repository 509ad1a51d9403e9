//! footbridge: a reverse proxy and load balancer for HTTP/1.x, without an async runtime.
//!
//! It grew out of the two halves of a small Python lesson: a reverse proxy on `http.server`, and a load balancer that
//! is `random.choice`. The names are still Python's where Python has one (search this page for `HTTPServer`), and the
//! shape is still the lesson's: an accept loop hands connections to worker threads, which parse, choose a backend and
//! copy bytes. What makes it a proxy for real traffic is in the steps between.
//!
//! # The story of one request
//!
//! 1. **Accept.** [`socketserver::server`] accepts, registers the new socket with the poller, once, and puts the
//!    connection into the waiting room. A worker does that, since waking a thread for each connection would cost more.
//! 2. **The room.** In [`socketserver::room`] a connection is a value: its socket and a small record, no thread and no
//!    buffer. Edges from the poller wake it; an edge that comes while nobody waits is kept.
//! 3. **A worker.** In [`socketserver::crew`] the workers take turns: whoever finds no work polls, moves all who can go
//!    on to the ready queue, and then works itself. [`socketserver::worker`] takes the connection up.
//! 4. **The head.** [`proxy::connection`] reads until [`http::head`] finds the blank line. The head is parsed once, by
//!    `httparse`, and what the grammar forbids is refused.
//! 5. **The framing.** [`http::framing`] decides where the content ends, once. What could be read in two ways is
//!    answered with 400 ([`proxy::answer`]) and reaches no backend.
//! 6. **The route.** [`proxy::routing`] finds it by host and path; it names the group of backends, limits and changes.
//! 7. **The backend.** [`proxy::load_balancer`] chooses one; [`proxy::backend`] has an idle connection to it. If
//!    not, one is asked for, and the exchange waits for it in the room.
//! 8. **The request as it goes on.** [`proxy::request`] makes the head for the backend: hop-by-hop fields out
//!    ([`proxy::hop_by_hop`]), Via and X-Forwarded in, everything else as it came.
//! 9. **Sending.** [`proxy::exchange`] sends the head, and [`http::relay`] the content, with `std::io::copy` between a
//!    reader that takes the framing off and a writer that puts it on ([`http::body`]).
//! 10. **Waiting again.** Until the backend answers, the exchange sits in the room, listening to both sockets, and the
//!     worker serves others.
//! 11. **The response.** Its head is parsed and framed as strictly, made into the client's ([`proxy::response`]), and
//!     its content relayed as it comes: an event leaves when it came.
//! 12. **The end.** If everything was complete, and only then, the backend's connection is given back, on the last line
//!     of the happy path. An access line is written ([`access`]), and the client's connection goes back to the room.
//!
//! # The layers
//!
//! Imports point down only. [`proxy`] knows sockets only as [`socketserver`] has them, [`http`] knows no proxy,
//! [`socketserver`] knows no HTTP.
//! [`settings`] holds every timeout and limit, with the reason for each.
//!
//! # A reverse proxy
//!
//! Step by step, as in the lesson; [`proxy`] has the balancer over three, and [`http::server`] the server side by itself.
//!
//! ```
//! use std::sync::Arc;
//! use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
//! use footbridge::settings::Settings;
//! use footbridge::socketserver::{TcpServer, Workers};
//!
//! let settings = Settings::default();
//! let workers = Workers::new("worker", 8)?;
//! let target = LoadBalancer::new(["127.0.0.1:3000"], None, &settings);
//! let handler = Arc::new(ReverseProxyHandler::new(Arc::new(target), &settings));
//! let server = TcpServer::bind("127.0.0.1:0", handler, &workers)?;
//! println!("listening on {}", server.address());
//! # let stop = server.shutdown_handle();
//! # std::thread::spawn(move || stop.shutdown());
//! server.serve_forever();
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod logging;
mod packed;
pub mod rights;
pub mod run;
pub mod serve;
mod threads;

#[doc(inline)]
pub use footbridge_engine::{access, escape, http, network, proxy, settings, socketserver};
