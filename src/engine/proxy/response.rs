//! Makes the head that is sent to the client out of the one that came from the backend.

use super::hop_by_hop::ConnectionOptions;
use super::request::{IdField, append_via};
use crate::http::headers::{append_field, append_number_field, trim};
use crate::http::text::append_decimal;
use crate::http::{BodyFraming, Field, HttpStatus, HttpVersion, ResponseHead, date};
use crate::settings::route::FieldEdits;

/// What is known of a response beside its head.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    /// How long the content is, as the backend framed it.
    pub framing: BodyFraming,
    /// The client's version.
    pub version: HttpVersion,
    /// It answers HEAD: the fields tell of content that does not follow.
    pub to_head: bool,
    /// The client's connection serves on after it.
    pub keep: bool,
    /// What the route changes.
    pub edits: &'a FieldEdits,
    /// What identifies the request, if the response does not say so.
    pub id: Option<IdField<'a>>,
}

impl Answering<'_> {
    /// Whether the content goes out in chunks: if its length is not known and the client knows chunks.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        let length_unknown = matches!(self.framing, BodyFraming::Chunked | BodyFraming::UntilClose);
        length_unknown && self.version == HttpVersion::Http11
    }

    /// Whether only the end of the connection ends the content.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        let length_unknown = matches!(self.framing, BodyFraming::Chunked | BodyFraming::UntilClose);
        length_unknown && self.version == HttpVersion::Http10
    }
}

/// Appends the head for the client.
pub fn prepare_response(head: &ResponseHead, options: &ConnectionOptions<'_>, how: &Answering<'_>, out: &mut Vec<u8>) {
    append_start(head, options, how.edits, out);
    append_added(head, how, out);
    append_framing(head, how, out);
    if head.headers.first(Field::Date).is_none() {
        append_date(how.edits, out); // RFC 9110 §6.6.1: who receives a response without Date adds it.
    }
    if demands_upgrade(head) {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    append_connection(how.keep, how.version, out);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 §15.5.22: a 426 says to what.
fn demands_upgrade(head: &ResponseHead) -> bool {
    head.status == HttpStatus::UPGRADE_REQUIRED && head.headers.first(Field::Upgrade).is_some()
}

/// Date, unless the route sets or removes it.
pub(super) fn append_date(edits: &FieldEdits, out: &mut Vec<u8>) {
    if !edits.take_out(b"Date") {
        out.extend_from_slice(b"Date: ");
        date::append_now(out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether the connection goes on, if the client would think otherwise.
pub(super) fn append_connection(keep: bool, version: HttpVersion, out: &mut Vec<u8>) {
    out.extend_from_slice(match (keep, version) {
        (false, _) => b"Connection: close\r\n",
        (true, HttpVersion::Http10) => b"Connection: keep-alive\r\n",
        (true, HttpVersion::Http11) => b"",
    });
}

/// Appends an interim response (RFC 9110 §15.2): it has no content and no say over the connection. What the route takes
/// out of responses does not come early, either; what it adds waits for the final one.
pub fn prepare_interim(head: &ResponseHead, options: &ConnectionOptions<'_>, edits: &FieldEdits, out: &mut Vec<u8>) {
    append_start(head, options, edits, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a 101 to a WebSocket's request.
pub fn prepare_upgrade(head: &ResponseHead, options: &ConnectionOptions<'_>, how: &Answering<'_>, out: &mut Vec<u8>) {
    append_start(head, options, how.edits, out);
    append_added(head, how, out);
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

/// Whether a 101 is the one that was asked for.
#[must_use]
pub fn accepts_websocket(head: &ResponseHead, options: &ConnectionOptions<'_>) -> bool {
    head.status == HttpStatus::SWITCHING_PROTOCOLS
        && head.version == HttpVersion::Http11
        && options.upgrade
        && head.headers.values(Field::Upgrade).all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && head.headers.first(Field::Upgrade).is_some()
}

/// The status line in our version (RFC 9112 §2.3), and the field lines that are for the client.
fn append_start(head: &ResponseHead, options: &ConnectionOptions<'_>, edits: &FieldEdits, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    append_decimal(head.status.0.into(), out);
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let all_ordinary_stay = options.leave_ordinary(edits);
    let mut lines = head.headers.iter();
    while let Some(line) = lines.next_to_look_at(all_ordinary_stay, out) {
        let stays = !options.removes(&line) || (line.field == Field::Upgrade && demands_upgrade(head));
        if stays && !edits.take_out(line.name) {
            line.append_to(out);
        }
    }
    append_via(head.version, out);
}

/// What the route adds, and what tells the client which request this answers.
fn append_added(head: &ResponseHead, how: &Answering<'_>, out: &mut Vec<u8>) {
    for (name, value) in &how.edits.set {
        append_field(name.as_bytes(), value.as_bytes(), out);
    }
    if let Some(id) = how.id {
        id.append_to(&head.headers, how.edits, out);
    }
}

fn append_framing(head: &ResponseHead, how: &Answering<'_>, out: &mut Vec<u8>) {
    let declared = head.headers.first(Field::ContentLength);
    match how.framing {
        BodyFraming::Length(length) => append_number_field("Content-Length", length, out),
        _ if how.is_chunked() => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyFraming::Chunked | BodyFraming::UntilClose => {}
        // RFC 9110 §8.6: not with 1xx and 204, but HEAD and 304 may tell how long the content would be.
        BodyFraming::None if head.status == HttpStatus::NO_CONTENT => {}
        BodyFraming::None if how.to_head || head.status == HttpStatus::NOT_MODIFIED => {
            if let Some(length) = declared {
                append_field(b"Content-Length", trim(length), out);
            }
        }
        BodyFraming::None => out.extend_from_slice(b"Content-Length: 0\r\n"),
    }
}
