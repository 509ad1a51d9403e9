//! footbridge: a reverse proxy and load balancer without an async runtime.

pub mod access;
pub mod cli;
pub mod escape;
pub mod http;
pub mod logging;
pub mod network;
pub mod proxy;
pub mod serve;
pub mod settings;
pub mod socketserver;
