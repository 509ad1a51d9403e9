//! footbridge: a reverse proxy and load balancer without an async runtime.
pub mod socketserver;
