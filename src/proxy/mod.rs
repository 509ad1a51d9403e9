//! The reverse proxy and the load balancer.
//!
//! | file | idea |
//! |---|---|
//! | [`reverse_proxy`] | [`ReverseProxyHandler`]: what all connections share |
//! | [`connection`] | one client's connection: requests one after the other |
//! | [`exchange`] | one request and its response |
//! | [`request`], [`response`], [`hop_by_hop`] | which fields are passed on, and which are made anew |
//! | [`load_balancer`], [`backend`] | which backend; its connections |
//! | [`tunnel`] | a WebSocket: bytes both ways |
//! | [`error`], [`answer`] | what failed, and what the client is told |
//! | [`facts`] | what the log is told |

pub mod answer;
pub mod backend;
pub mod connection;
pub mod error;
pub mod exchange;
pub mod facts;
pub mod hop_by_hop;
pub mod load_balancer;
pub mod peer;
pub mod request;
pub mod response;
pub mod reverse_proxy;
pub mod tunnel;

pub use error::Error;
pub use load_balancer::LoadBalancer;
pub use reverse_proxy::ReverseProxyHandler;
