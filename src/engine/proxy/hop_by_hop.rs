//! What belongs to one connection only and is never passed on. RFC 9110 §7.6.1.

use crate::http::Field;
use crate::http::headers::{FieldLine, Headers, list};
use crate::settings::route::FieldEdits;

/// What a message's Connection fields say.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions<'a> {
    headers: &'a Headers,
    /// `close`: this message is the connection's last.
    pub close: bool,
    /// `keep-alive`: an HTTP/1.0 peer wants to go on.
    pub keep_alive: bool,
    /// `upgrade`: the Upgrade field is meant for us.
    pub upgrade: bool,
    /// Other fields are named: they are for this connection only.
    names_fields: bool,
}

impl<'a> ConnectionOptions<'a> {
    /// Reads all Connection fields of a head.
    #[must_use]
    pub fn of(headers: &'a Headers) -> ConnectionOptions<'a> {
        let mut options =
            ConnectionOptions { headers, close: false, keep_alive: false, upgrade: false, names_fields: false };
        for value in headers.values(Field::Connection) {
            for option in list(value) {
                match option.len() {
                    5 if option.eq_ignore_ascii_case(b"close") => options.close = true,
                    10 if option.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
                    7 if option.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
                    2 if option.eq_ignore_ascii_case(b"te") => {} // It has to name it (RFC 9110 §10.1.4), and TE never stays.
                    _ => options.names_fields = true,
                }
            }
        }
        options
    }

    /// Whether all ordinary lines stay: neither is one named here nor does the route edit any.
    #[must_use]
    pub fn leave_ordinary(&self, edits: &FieldEdits) -> bool {
        !self.names_fields && edits.is_empty()
    }

    /// Whether a field line stays behind.
    #[must_use]
    pub fn removes(&self, line: &FieldLine<'_>) -> bool {
        match line.field {
            // The framing fields are made anew for the next hop, and so never copied.
            Field::Connection
            | Field::ContentLength
            | Field::KeepAlive
            | Field::ProxyConnection
            | Field::Te
            | Field::TransferEncoding
            | Field::Upgrade => true,
            _ => self.names_fields && self.names(line.name) && !is_end_to_end(line),
        }
    }

    fn names(&self, name: &[u8]) -> bool {
        self.headers.values(Field::Connection).flat_map(list).any(|option| option.eq_ignore_ascii_case(name))
    }
}

/// Fields that Connection must not name (RFC 9110 §7.6.1), or that would take something away from the backend that it
/// relies on, such as who the client is.
fn is_end_to_end(line: &FieldLine<'_>) -> bool {
    const ALWAYS: [&str; 4] = ["authorization", "cookie", "cache-control", "set-cookie"];
    match line.field {
        Field::Other | Field::Referer | Field::UserAgent => {
            ALWAYS.iter().any(|name| line.name.eq_ignore_ascii_case(name.as_bytes()))
        }
        _ => true,
    }
}
