//! The reverse proxy and the load balancer.
//!
//! | file | idea |
//! |---|---|
//! | [`reverse_proxy`] | [`ReverseProxyHandler`]: what all connections share |
//! | `connection` | one client's connection: requests one after the other |
//! | `exchange` | one request and its response |
//! | [`request`], [`response`], [`hop_by_hop`] | which fields are passed on, and which are made anew |
//! | [`load_balancer`], [`backend`] | which backend; its connections |
//! | `tunnel` | a WebSocket: bytes both ways |
//! | [`error`], [`answer`] | what failed, and what the client is told |
//! | `facts` | what the log is told |

pub mod answer;
pub mod backend;
mod connection;
pub mod error;
mod exchange;
mod facts;
pub mod hop_by_hop;
pub mod load_balancer;
mod peer;
pub mod request;
pub mod response;
pub mod reverse_proxy;
mod tunnel;

pub use error::Error;
pub use load_balancer::LoadBalancer;
pub use reverse_proxy::ReverseProxyHandler;
