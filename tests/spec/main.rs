//! The specification of footbridge as seen from outside: the real program between a raw client and scripted
//! backends. Each module is a topic, each test name a sentence, each doc line the paragraph that asks for it.
//!
//! `cargo test --test spec` runs it all, `cargo test --test spec chunked::` one topic.
//! To put another build to the same tests, name it in the environment variable `FOOTBRIDGE_BIN`.

mod support;

mod aborts;
mod access_log;
mod answers;
mod balancing;
mod chunked;
mod command_line;
mod detours;
mod exhaustion;
mod failures;
mod field_syntax;
mod health;
mod hop_by_hop;
mod host;
mod interim;
mod leaks;
mod limits;
mod lines;
mod memory;
mod persistence;
mod python;
mod refusals;
mod reload;
mod request_framing;
mod request_target;
mod response_framing;
mod routes;
mod settings;
mod sharing;
mod shutdown;
mod slow_peers;
mod streaming;
mod timeouts;
mod upgrade;
