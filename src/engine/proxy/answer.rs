//! Answers that the proxy itself makes: short, plain, and without a word about what stands behind it.
//!
//! Python: `BaseHTTPRequestHandler.send_error`. Departs: nothing of the request is echoed, and if the head of another
//! answer is out already there is no second one: the connection is cut instead (see [`super::connection`]).

use std::io::Write;

use super::error::Error;
use super::request::{IdField, append_own};
use super::response::{append_connection, append_date};
use crate::http::headers::append_field;
use crate::http::{HttpStatus, HttpVersion, RequestHead};
use crate::settings::route::FieldEdits;

/// How an answer goes out.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The client's version.
    pub version: HttpVersion,
    /// The connection serves on after it.
    pub keep: bool,
    /// It answers HEAD: no content follows.
    pub to_head: bool,
    /// The client prefers JSON.
    pub json: bool,
    /// What identifies the request.
    pub id: Option<IdField<'a>>,
    /// What the request's route changes.
    pub edits: &'a FieldEdits,
}

impl<'a> Delivery<'a> {
    /// What the request asks for.
    #[must_use]
    pub fn to(request: &RequestHead, keep: bool) -> Delivery<'a> {
        let accept = request.headers.get("accept").unwrap_or_default();
        Delivery {
            version: request.version,
            keep,
            to_head: request.method() == b"HEAD",
            json: accept.windows(b"application/json".len()).any(|part| part == b"application/json"),
            id: None,
            edits: FieldEdits::NONE,
        }
    }
}

/// Appends the answer to a request that could not be served. Returns the length of its content.
pub fn send_error(error: &Error, id: &str, how: Delivery<'_>, out: &mut Vec<u8>) -> u64 {
    let (status, reason) = (error.status(), error.reason());
    let content = if how.json {
        format!("{{\"status\":{status},\"title\":\"{}\",\"reason\":\"{reason}\",\"id\":\"{id}\"}}\n", status.phrase())
    } else {
        format!("{status} {}\nreason: {reason}\nid: {id}\n", status.phrase())
    };
    append_start(status, how, out);
    if let Some(name) = error.proxy_status() {
        append_own(how.edits, "Proxy-Status", ["footbridge; error=", name].concat().as_bytes(), out);
    }
    if status == HttpStatus::SERVICE_UNAVAILABLE {
        append_own(how.edits, "Retry-After", b"1", out);
    }
    if let Error::MethodNotAllowed(methods) = error {
        append_own(how.edits, "Allow", methods.as_bytes(), out); // RFC 9110 §15.5.6.
    }
    let media_type = if how.json { "application/json" } else { "text/plain; charset=utf-8" };
    append_content(media_type, content.as_bytes(), how, out)
}

/// Appends a redirection (RFC 9110 §15.4). Returns the length of its content.
pub fn send_redirect(status: HttpStatus, location: &[u8], how: Delivery<'_>, out: &mut Vec<u8>) -> u64 {
    append_start(status, how, out);
    append_own(how.edits, "Location", location, out);
    let content = format!("{status} {}\n", status.phrase());
    append_content("text/plain; charset=utf-8", content.as_bytes(), how, out)
}

/// Appends an answer that stands in the configuration. Returns the length of its content.
pub fn send_fixed(status: HttpStatus, content: &str, how: Delivery<'_>, out: &mut Vec<u8>) -> u64 {
    append_start(status, how, out);
    if status.has_no_content() {
        out.extend_from_slice(b"\r\n");
        return 0;
    }
    append_content("text/plain; charset=utf-8", content.as_bytes(), how, out)
}

/// Appends the answer to an OPTIONS that came to its last hop (RFC 9110 §7.6.2).
pub fn send_options(how: Delivery<'_>, out: &mut Vec<u8>) {
    append_start(HttpStatus::OK, how, out);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

fn append_start(status: HttpStatus, how: Delivery<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec does not fail, here and below.
    drop(write!(out, "HTTP/1.1 {status} {}\r\n", status.phrase()));
    append_date(how.edits, out);
    append_connection(how.keep, how.version, out);
    if let Some(id) = how.id {
        append_own(how.edits, id.name, id.value, out);
    }
    for (name, value) in &how.edits.set {
        append_field(name.as_bytes(), value.as_bytes(), out);
    }
}

/// The rest of the head, and the content, if it is asked for.
fn append_content(media_type: &str, content: &[u8], how: Delivery<'_>, out: &mut Vec<u8>) -> u64 {
    append_own(how.edits, "Content-Type", media_type.as_bytes(), out);
    drop(write!(out, "Content-Length: {}\r\n\r\n", content.len()));
    if how.to_head {
        return 0;
    }
    out.extend_from_slice(content);
    content.len() as u64
}
