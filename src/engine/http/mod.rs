//! HTTP/1.x messages: heads, framing, content; the server side and the client side. Knows no proxy.
//!
//! Python: the modules `http.server` and `http.client`. The rules are RFC 9110 (semantics) and RFC 9112 (HTTP/1.1).
//!
//! | file | idea |
//! |---|---|
//! | [`head`] | finds the end of a head, and parses it, once |
//! | [`field`], [`headers`] | field lines: in order, as spelled |
//! | [`target`], [`host`] | request targets and authorities |
//! | [`framing`] | where a message's content ends: decided once |
//! | [`chunked`] | takes the chunked coding off |
//! | [`body`] | takes the framing off content, and puts it on |
//! | [`relay`] | moves content from one connection to another |
//! | `kept`, `pace` | its copy of what may have to be sent again; how long it waited, and for whom |
//! | [`trailer`] | trailer fields that may be passed on |
//! | [`server`] | [`HttpServer`](server::HttpServer), [`DoMethod`](server::DoMethod): the server side for plain blocking handlers |
//! | [`handler`], `intake`, `reply` | [`BaseHttpRequestHandler`](handler::BaseHttpRequestHandler): a request read, a response made |
//! | [`client`] | [`HttpConnection`](client::HttpConnection), [`HttpResponse`](client::HttpResponse) |
//! | [`error`], [`status`] | what can be wrong; status codes |
//! | [`date`], [`text`] | the Date field; numbers as text |

pub mod body;
pub mod chunked;
pub mod client;
pub mod date;
pub mod error;
pub mod field;
pub mod framing;
pub mod handler;
pub mod head;
pub mod headers;
pub mod host;
mod intake;
mod kept;
mod pace;
pub mod relay;
mod reply;
pub mod server;
pub mod status;
pub mod target;
pub mod text;
pub mod trailer;

pub use error::MessageError;
pub use field::Field;
pub use framing::BodyFraming;
pub use head::{HttpVersion, RequestHead, ResponseHead};
pub use headers::Headers;
pub use status::HttpStatus;
