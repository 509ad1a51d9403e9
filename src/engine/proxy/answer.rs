//! Answers that the proxy itself makes: short, plain, and without a word about what stands behind it.
//!
//! Python: `BaseHTTPRequestHandler.send_error`. Departs: nothing of the request is echoed, and if the head of another
//! answer is out already there is no second one: the connection is cut instead (see [`super::connection`]).

use std::io::Write;

use super::error::Error;
use crate::http::{HttpStatus, HttpVersion, RequestHead, date};

/// How an answer goes out.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The client's version.
    pub version: HttpVersion,
    /// The connection serves on after it.
    pub keep: bool,
    /// It answers HEAD: no content follows.
    pub to_head: bool,
    /// The client prefers JSON.
    pub json: bool,
}

impl Delivery {
    /// What the request asks for.
    #[must_use]
    pub fn to(request: &RequestHead, keep: bool) -> Delivery {
        let accept = request.headers.get("accept").unwrap_or_default();
        Delivery {
            version: request.version,
            keep,
            to_head: request.method() == b"HEAD",
            json: accept.windows(b"application/json".len()).any(|part| part == b"application/json"),
        }
    }
}

/// Appends the answer to a request that could not be served. Returns the length of its content.
pub fn send_error(error: &Error, id: &str, how: Delivery, out: &mut Vec<u8>) -> u64 {
    let (status, reason) = (error.status(), error.reason());
    let content = if how.json {
        format!("{{\"status\":{status},\"title\":\"{}\",\"reason\":\"{reason}\",\"id\":\"{id}\"}}\n", status.phrase())
    } else {
        format!("{status} {}\nreason: {reason}\nid: {id}\n", status.phrase())
    };
    append_start(status, how, out);
    let media_type = if how.json { "application/json" } else { "text/plain; charset=utf-8" };
    // Writing to a Vec does not fail, here and below.
    drop(write!(out, "Content-Type: {media_type}\r\nContent-Length: {}\r\n", content.len()));
    if let Some(name) = error.proxy_status() {
        drop(write!(out, "Proxy-Status: footbridge; error={name}\r\n"));
    }
    if status == HttpStatus::SERVICE_UNAVAILABLE {
        out.extend_from_slice(b"Retry-After: 1\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if how.to_head {
        return 0;
    }
    out.extend_from_slice(content.as_bytes());
    content.len() as u64
}

/// Appends the answer to an OPTIONS that came to its last hop (RFC 9110 §7.6.2).
pub fn send_options(how: Delivery, out: &mut Vec<u8>) {
    append_start(HttpStatus::OK, how, out);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

fn append_start(status: HttpStatus, how: Delivery, out: &mut Vec<u8>) {
    drop(write!(out, "HTTP/1.1 {status} {}\r\nDate: ", status.phrase()));
    date::append_now(out);
    out.extend_from_slice(match (how.keep, how.version) {
        (false, _) => b"\r\nConnection: close\r\n",
        (true, HttpVersion::Http10) => b"\r\nConnection: keep-alive\r\n",
        (true, HttpVersion::Http11) => b"\r\n",
    });
}
