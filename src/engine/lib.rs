//! What each request goes through: sockets and workers, messages, the reverse proxy and the load balancer.
//!
//! All of it is exported anew by the crate `footbridge`, whose front page tells the story; use it from there. It is a
//! package of its own so that the compiler sees to it that nothing here knows of the program around it, and because Cargo
//! optimises by package: the program for size at any price, this one less so.

#![forbid(unsafe_code)]

pub mod access;
pub mod escape;
pub mod http;
pub mod network;
pub mod proxy;
pub mod settings;
pub mod socketserver;
