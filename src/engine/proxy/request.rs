//! Makes the head that is sent to the backend out of the one that came from the client.
//!
//! What stays as it came: the method, the target byte for byte, field lines in their order and spelling. What is taken
//! out: hop-by-hop fields, and what a client says of itself that only a proxy can vouch for. What is put in: Via and
//! the X-Forwarded fields. Python's article repeats all fields as they are, which forwards `Connection: close` too.

use std::net::IpAddr;

use super::error::Error;
use super::hop_by_hop::ConnectionOptions;
use crate::http::field::is_plainly_spelled;
use crate::http::headers::{FieldLine, Headers, append_field, append_number_field};
use crate::http::text::append_address;
use crate::http::{BodyFraming, Field, HttpVersion, RequestHead, host, target};
use crate::settings::route::{FieldEdits, RouteSettings};

/// The field that identifies a request, in requests and responses.
#[derive(Clone, Copy, Debug)]
pub struct IdField<'a> {
    /// Which one it is.
    pub field: Field,
    /// Its name.
    pub name: &'a str,
    /// Its value for this request.
    pub value: &'a [u8],
}

impl IdField<'_> {
    /// Appends it, unless the message has one of its own.
    #[inline]
    pub(super) fn append_to(&self, headers: &Headers, edits: &FieldEdits, out: &mut Vec<u8>) {
        if headers.get_known(self.field, self.name).is_none() {
            append_own(edits, self.name, self.value, out);
        }
    }
}

/// What was taken off the front of the path, by this proxy and those before it.
const FORWARDED_PREFIX: &str = "X-Forwarded-Prefix";

/// What is known of a request beside its head.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'a> {
    /// Where the request came from; `None` if the peer has no address: it is on this machine.
    pub client: Option<IpAddr>,
    /// Whether the client is a proxy whose X-Forwarded fields are believed.
    pub trusted: bool,
    /// How long the content is.
    pub framing: BodyFraming,
    /// The client asks for a WebSocket, and may have one.
    pub upgrade: bool,
    /// Added if the request has none.
    pub id: Option<IdField<'a>>,
    /// What takes the place of the client's Host.
    pub host: Option<&'a [u8]>,
    /// What is changed on the way.
    pub route: &'a RouteSettings,
}

/// Refuses what no backend should see: a request without exactly one valid Host (RFC 9112 §3.2), and CONNECT.
///
/// # Errors
/// [`Error::Client`] or [`Error::Refused`].
pub fn check_request(head: &RequestHead) -> Result<(), Error> {
    if head.method() == b"CONNECT" {
        return Err(Error::Refused("connect-method")); // RFC 9110 §9.3.6: we are no forward proxy.
    }
    host::check(head).map_err(Error::Client)
}

/// Whether a client asks to speak WebSocket from here on (RFC 6455 §4.1): the one protocol that is passed on.
/// Not h2c, which would smuggle requests past whoever reads HTTP/1.1 (RFC 9113 §3.1 has given it up).
#[must_use]
pub fn wants_websocket(head: &RequestHead, options: &ConnectionOptions<'_>) -> bool {
    let protocols = || head.headers.values(Field::Upgrade);
    options.upgrade
        && head.method() == b"GET"
        && head.version == HttpVersion::Http11
        && protocols().count() == 1
        && protocols().all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Appends the head for the backend.
pub fn prepare_request(head: &RequestHead, options: &ConnectionOptions<'_>, how: &Forwarding<'_>, out: &mut Vec<u8>) {
    let absolute = target::split_absolute(head.target());
    out.extend_from_slice(head.method());
    out.push(b' ');
    append_target(head, absolute.map(|(_, rest)| rest), how.route, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");

    let asked = absolute.map(|(authority, _)| authority).or_else(|| head.headers.first(Field::Host));
    let asked = asked.unwrap_or_default();
    append_lines(head, options, asked, how, out);
    append_framing(head, how.framing, out);
    append_forwarded(head, asked, how, out);
    for (name, value) in &how.route.request_headers.set {
        append_field(name.as_bytes(), value.as_bytes(), out);
    }
    if how.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The request's own field lines, as far as the backend gets them; and Host, whether there was one or not.
fn append_lines(
    head: &RequestHead,
    options: &ConnectionOptions<'_>,
    asked: &[u8],
    how: &Forwarding<'_>,
    out: &mut Vec<u8>,
) {
    let edits = &how.route.request_headers;
    let host = how.host.unwrap_or(asked);
    let mut host_written = false;
    let strips = !prefix(how.route.strip_prefix.as_deref()).is_empty();
    // What identifies the request is for the backend, too, whatever Connection says of it.
    let is_id = |line: &FieldLine<'_>| how.id.is_some_and(|id| line.name.eq_ignore_ascii_case(id.name.as_bytes()));
    let stays = |line: &FieldLine<'_>| {
        (!options.removes(line) || is_id(line)) && !is_pretended(line, how.trusted) && !edits.take_out(line.name)
    };
    let all_ordinary_stay = options.leave_ordinary(edits);
    let mut lines = head.headers.iter();
    while let Some(line) = lines.next_to_look_at(all_ordinary_stay, out) {
        match line.field {
            _ if !stays(&line) => {}
            // RFC 9112 §3.2.2: the authority of an absolute target takes the place of Host.
            Field::Host if !host_written && host == line.value => {
                host_written = true;
                line.append_to(out);
            }
            Field::Host => {
                host_written = true;
                append_field(line.name, host, out);
            }
            Field::MaxForwards if counts_forwards(head) => append_decremented(&line, out),
            Field::XForwardedFor | Field::XForwardedProto | Field::XForwardedHost => {}
            Field::Expect if head.version == HttpVersion::Http10 => {} // RFC 9110 §10.1.1: it means nothing there.
            Field::Other if strips && line.name.eq_ignore_ascii_case(FORWARDED_PREFIX.as_bytes()) => {}
            _ => line.append_to(out),
        }
    }
    if !host_written {
        append_field(b"Host", host, out); // HTTP/1.0 needs none, HTTP/1.1 does: if unknown, an empty one.
    }
}

/// In origin-form, whatever form it came in, but `*` stays (RFC 9112 §3.2); and without and with the prefixes that are
/// set. What is behind them stays byte for byte.
fn append_target(head: &RequestHead, rest_of_absolute: Option<&[u8]>, route: &RouteSettings, out: &mut Vec<u8>) {
    let target = match rest_of_absolute {
        None if head.target() == b"*" => return out.push(b'*'),
        // RFC 9112 §3.2.4: an OPTIONS without a path asks about the server itself.
        Some([]) if head.method() == b"OPTIONS" => return out.push(b'*'),
        None => head.target(),
        Some(rest) => rest,
    };
    let strip = prefix(route.strip_prefix.as_deref());
    // It begins with the route's path, and that with this. A path that does not was no match of the route.
    let rest = target.strip_prefix(strip.as_bytes()).unwrap_or(target);
    out.extend_from_slice(prefix(route.add_prefix.as_deref()).as_bytes());
    if rest.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(rest);
}

/// A prefix that is set, without the `/` that the rest begins with.
fn prefix(set: Option<&str>) -> &str {
    set.unwrap_or_default().trim_end_matches('/')
}

/// Whether a field says something that only a proxy in front of us could know, or looks as if it did. One that is
/// believed may say it, too, but not with other marks than hyphens.
fn is_pretended(line: &FieldLine<'_>, trusted: bool) -> bool {
    match line.field {
        Field::Forwarded | Field::XRealIp => !trusted,
        Field::Other => !line.ordinary && (!trusted || !is_plainly_spelled(line.name)),
        _ => false,
    }
}

/// Only OPTIONS and TRACE count hops (RFC 9110 §7.6.2).
fn counts_forwards(head: &RequestHead) -> bool {
    matches!(head.method(), b"OPTIONS" | b"TRACE")
}

/// How many more hops the request may take, if it counts them; 0 means that we answer it ourselves.
#[must_use]
pub fn max_forwards(head: &RequestHead) -> Option<u64> {
    let value = counts_forwards(head).then(|| head.headers.first(Field::MaxForwards)).flatten()?;
    parse_hops(value)
}

/// `1*DIGIT`: no sign, which Rust would take.
fn parse_hops(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn append_decremented(line: &FieldLine<'_>, out: &mut Vec<u8>) {
    match parse_hops(line.value) {
        Some(left) => append_number_field("Max-Forwards", left.saturating_sub(1), out),
        None => append_field(line.name, line.value, out),
    }
}

/// The framing for the next hop, made from what was decided, never copied.
fn append_framing(head: &RequestHead, framing: BodyFraming, out: &mut Vec<u8>) {
    match framing {
        BodyFraming::Length(length) => append_number_field("Content-Length", length, out),
        BodyFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyFraming::None if head.headers.first(Field::ContentLength).is_some() => {
            out.extend_from_slice(b"Content-Length: 0\r\n");
        }
        BodyFraming::None | BodyFraming::UntilClose => {}
    }
}

/// Via (RFC 9110 §7.6.3), who the client is, and what it asked for.
fn append_forwarded(head: &RequestHead, host: &[u8], how: &Forwarding<'_>, out: &mut Vec<u8>) {
    let said = |field| head.headers.values(field).filter(|_| how.trusted);
    let edits = &how.route.request_headers;
    append_via(head.version, out);
    if !edits.take_out(b"X-Forwarded-For") {
        out.extend_from_slice(b"X-Forwarded-For: ");
        for earlier in said(Field::XForwardedFor) {
            out.extend_from_slice(earlier);
            out.extend_from_slice(b", ");
        }
        match how.client {
            Some(client) => append_address(client, out),
            None => out.extend_from_slice(b"unknown"), // RFC 7239 §6.
        }
        out.extend_from_slice(b"\r\n");
    }
    append_own(edits, "X-Forwarded-Proto", said(Field::XForwardedProto).next().unwrap_or(b"http"), out);
    append_own(edits, "X-Forwarded-Host", said(Field::XForwardedHost).next().unwrap_or(host), out);
    let strip = prefix(how.route.strip_prefix.as_deref());
    if !strip.is_empty() && !edits.take_out(FORWARDED_PREFIX.as_bytes()) {
        // What a proxy before us has taken off stood before what we take off.
        let outer = head.headers.get(FORWARDED_PREFIX).filter(|_| how.trusted).unwrap_or_default();
        let outer = outer.strip_suffix(b"/").unwrap_or(outer);
        for part in [FORWARDED_PREFIX.as_bytes(), b": ", outer, strip.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    if let Some(id) = how.id {
        id.append_to(&head.headers, edits, out);
    }
}

/// RFC 9110 §7.6.3: the version in which the message came.
#[inline]
pub(super) fn append_via(version: HttpVersion, out: &mut Vec<u8>) {
    out.extend_from_slice(match version {
        HttpVersion::Http11 => b"Via: 1.1 footbridge\r\n",
        HttpVersion::Http10 => b"Via: 1.0 footbridge\r\n",
    });
}

/// One field line that is ours to add, unless the route sets or removes this field.
pub(super) fn append_own(edits: &FieldEdits, name: &str, value: &[u8], out: &mut Vec<u8>) {
    if !edits.take_out(name.as_bytes()) {
        append_field(name.as_bytes(), value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;
    use crate::settings::Settings;

    /// RFC 9110 §7.6.2: `1*DIGIT` is one less at the next hop; what is no number is passed on as it came.
    #[test]
    fn only_a_number_of_hops_is_counted_down() {
        for (value, want) in [("3", "2"), ("0", "0"), ("+5", "+5"), ("-1", "-1"), ("x", "x"), ("", "")] {
            let text = format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n");
            let mut head = RequestHead::default();
            let limits = HeadLimits { bytes: 256, start_line: 64, field_lines: 4 };
            head.parse(text.as_bytes(), &limits).expect("a well-formed head");
            let (client, framing) = (Some([192, 0, 2, 1].into()), BodyFraming::None);
            let route = RouteSettings::all_to("app", &Settings::default());
            let how =
                Forwarding { client, trusted: false, framing, upgrade: false, id: None, host: None, route: &route };
            let mut out = Vec::new();
            prepare_request(&head, &ConnectionOptions::of(&head.headers), &how, &mut out);
            let out = String::from_utf8(out).expect("ASCII");
            assert!(out.contains(&format!("\r\nMax-Forwards: {want}\r\n")), "{value:?}: {out:?}");
        }
    }
}
