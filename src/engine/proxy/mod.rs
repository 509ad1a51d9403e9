//! The reverse proxy and the load balancer.
//!
//! | file | idea |
//! |---|---|
//! | [`reverse_proxy`] | [`ReverseProxyHandler`]: what all connections share |
//! | [`connection`], [`peer`] | one client's connection: requests one after the other; what a turn works with |
//! | [`exchange`] | one request and its response |
//! | [`routing`] | which route a request takes: [`Site`] |
//! | [`request`], [`response`], [`hop_by_hop`] | which fields are passed on, and which are made anew |
//! | [`load_balancer`], [`members`], `policy`, `affinity` | which backend |
//! | [`backend`], `attempt` | its connections; one that is being made |
//! | `line`, `budget` | requests that wait for a place; how many may be sent again |
//! | [`health`], [`upkeep`] | which backends are well; checks, names and lists |
//! | [`tunnel`] | a WebSocket: bytes both ways |
//! | [`error`], [`answer`] | what failed, and what the client is told |
//! | [`facts`] | what the log is told |
//! | [`metrics`], [`recent`] | what is counted, and the last failures |
//! | [`reasons`] | what each reason word means |
//!
//! The two halves of the article that footbridge grew out of. A reverse proxy to one target:
//!
//! ```
//! # use std::io::{self, Read, Write};
//! use std::sync::Arc;
//! use footbridge::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
//! use footbridge::http::{HttpStatus, RequestHead};
//! use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
//! use footbridge::settings::Settings;
//! use footbridge::socketserver::{TcpServer, Workers};
//! # struct Target;
//! # impl DoMethod for Target {
//! #     fn do_method(&self, _: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
//! #         http.send_response(HttpStatus::OK)?;
//! #         http.end_headers()?;
//! #         http.wfile().write_all(b"from the target")
//! #     }
//! # }
//!
//! let target = HttpServer::bind("127.0.0.1:0", Target)?; // any implementor of `DoMethod`
//! let one = LoadBalancer::new([target.address().to_string()], None, &Settings::default());
//! std::thread::spawn(move || target.serve_forever());
//!
//! let handler = ReverseProxyHandler::new(Arc::new(one), &Settings::default());
//! let proxy = TcpServer::bind("127.0.0.1:0", Arc::new(handler), &Workers::new("proxy", 4)?)?;
//! let address = proxy.address();
//! std::thread::spawn(move || proxy.serve_forever());
//!
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.ends_with("from the target"));
//! # Ok::<(), io::Error>(())
//! ```
//!
//! A load balancer over three: the same proxy, and more than one address. With a seed the random choices are the same
//! each time.
//!
//! ```
//! # use std::io::{self, Read, Write};
//! # use std::sync::Arc;
//! # use footbridge::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
//! # use footbridge::http::{HttpStatus, RequestHead};
//! # use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
//! # use footbridge::settings::Settings;
//! # use footbridge::socketserver::{TcpServer, Workers};
//! struct Named(&'static str);
//! impl DoMethod for Named {
//!     fn do_method(&self, _: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
//!         http.send_response(HttpStatus::OK)?;
//!         http.end_headers()?;
//!         http.wfile().write_all(self.0.as_bytes())
//!     }
//! }
//!
//! let mut addresses = Vec::new();
//! for name in ["one", "two", "three"] {
//!     let backend = HttpServer::bind("127.0.0.1:0", Named(name))?;
//!     addresses.push(backend.address().to_string());
//!     std::thread::spawn(move || backend.serve_forever());
//! }
//! let three = LoadBalancer::new(addresses, Some(7), &Settings::default());
//! let handler = ReverseProxyHandler::new(Arc::new(three), &Settings::default());
//! // ... and on as above
//! # let proxy = TcpServer::bind("127.0.0.1:0", Arc::new(handler), &Workers::new("proxy", 4)?)?;
//! # let address = proxy.address();
//! # std::thread::spawn(move || proxy.serve_forever());
//! # let mut seen = std::collections::BTreeSet::new();
//! # for _ in 0..64 {
//! #     let mut client = std::net::TcpStream::connect(address)?;
//! #     client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! #     let mut answer = String::new();
//! #     client.read_to_string(&mut answer)?;
//! #     seen.insert(answer.rsplit("\r\n").next().expect("content").to_owned());
//! # }
//! # assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["one", "three", "two"]);
//! # Ok::<(), io::Error>(())
//! ```

mod affinity;
pub mod answer;
mod attempt;
pub mod backend;
mod budget;
pub mod connection;
pub mod error;
pub mod exchange;
pub mod facts;
pub mod health;
pub mod hop_by_hop;
mod line;
pub mod load_balancer;
pub mod members;
pub mod metrics;
pub mod peer;
mod policy;
pub mod reasons;
pub mod recent;
pub mod request;
pub mod response;
pub mod reverse_proxy;
pub mod routing;
pub mod tunnel;
pub mod upkeep;

pub use error::Error;
pub use load_balancer::LoadBalancer;
pub use reverse_proxy::ReverseProxyHandler;
pub use routing::Site;
