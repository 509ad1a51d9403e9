//! footbridge: a reverse proxy and load balancer without an async runtime.

pub mod access;
pub mod address;
pub mod args;
pub mod escape;
mod flags;
pub mod http;
mod line_queue;
pub mod logging;
pub mod network;
pub mod proxy;
pub mod serve;
mod setting_keys;
pub mod settings;
pub mod socketserver;
mod suggest;
mod units;
