//! The field lines of a message: in order, as they were spelled, duplicates and all.

use std::ops::Range;

use super::error::MessageError;
use super::field::{Field, looks_like_ours};
use super::text::append_decimal;

/// Field lines, and the text that they stand in.
///
/// Python: `http.client.HTTPMessage`. Departs: no map, which would merge `Set-Cookie` and lose the order; values are
/// bytes, since nobody promised UTF-8.
///
/// The vectors keep their room when a new message is parsed into them: a busy connection allocates nothing.
#[doc(alias = "HTTPMessage")]
#[derive(Clone, Debug, Default)]
pub struct Headers {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Of which fields there are lines: most messages have few of those that are asked for.
    fields: u32,
}

#[derive(Clone, Debug)]
struct Line {
    field: Field,
    /// Spelled as we would: name, colon, one space, value, CRLF.
    plain: bool,
    ordinary: bool,
    name: Span,
    value: Span,
}

impl Line {
    /// Where the next one begins, if this one is plain.
    #[inline]
    fn end(&self) -> usize {
        self.value.end as usize + b"\r\n".len()
    }
}

/// A part of the text. Heads are limited to far less than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` stands in `whole`, of which it is a slice.
    #[inline]
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Span {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        let narrow = |offset: usize| u32::try_from(offset).expect("heads are limited");
        Span { start: narrow(start), end: narrow(start + part.len()) }
    }

    #[inline]
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLine<'a> {
    /// Which field it is.
    pub field: Field,
    /// The name, as it was spelled: a token (RFC 9110 §5.6.2).
    pub name: &'a [u8],
    /// The value, without the white space around it; no CR, LF or NUL is in it.
    pub value: &'a [u8],
    /// The whole line with its end, if it is spelled as we would spell it.
    pub(super) plain: Option<&'a [u8]>,
    /// Its name is none that an intermediary acts upon, nor does it look like one.
    pub(crate) ordinary: bool,
}

impl FieldLine<'_> {
    /// Appends the line, as it is.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match self.plain {
            Some(plain) => out.extend_from_slice(plain),
            None => append_field(self.name, self.value, out),
        }
    }
}

impl Headers {
    /// Keeps `head` and the field lines that httparse found in it: names that are tokens (RFC 9110 §5.6.2), values
    /// without CR, LF, NUL and other control bytes (§5.5).
    pub(super) fn keep(&mut self, head: &[u8], parsed: &[httparse::Header<'_>]) {
        self.text.clear();
        self.text.extend_from_slice(head);
        self.lines.clear();
        self.fields = 0;
        for header in parsed {
            let name = header.name.as_bytes();
            let field = Field::named(name);
            let ordinary = field == Field::Other && !looks_like_ours(name);
            self.fields |= 1 << field as u32;
            let (name, value) = (Span::of(name, head), Span::of(trim(header.value), head));
            let between = &head[name.end as usize..value.start as usize];
            let plain = between == b": " && head[value.end as usize] == b'\r';
            self.lines.push(Line { field, plain, ordinary, name, value });
        }
    }

    /// Whether there is a line of this field.
    #[must_use]
    #[inline]
    pub fn has(&self, field: Field) -> bool {
        self.fields & 1 << field as u32 != 0
    }

    #[inline]
    pub(super) fn part(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }

    /// All field lines, in order.
    #[must_use]
    #[inline]
    pub fn iter(&self) -> FieldLines<'_> {
        FieldLines { headers: self, rest: &self.lines }
    }

    /// The values of all lines of one field, in order.
    #[inline]
    pub fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(field) { &self.lines[..] } else { &[] };
        lines.iter().filter(move |line| line.field == field).map(|line| self.part(line.value))
    }

    /// The value of the first line of one field.
    #[must_use]
    #[inline]
    pub fn first(&self, field: Field) -> Option<&[u8]> {
        self.values(field).next()
    }

    /// The value of the first line with this name, compared without case.
    ///
    /// Python: `headers.get(name)`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|line| line.name.eq_ignore_ascii_case(name.as_bytes())).map(|line| line.value)
    }

    /// As [`Headers::get`], for a name whose `field` was told apart before: most lines are passed over by it alone.
    #[must_use]
    #[inline]
    pub fn get_known(&self, field: Field, name: &str) -> Option<&[u8]> {
        if field == Field::Other { self.get(name) } else { self.first(field) }
    }

    /// The value of a field that must stand alone: `Ok(None)` if it is absent.
    ///
    /// # Errors
    /// [`MessageError::Malformed`] with `reason` if there is more than one line.
    #[inline]
    pub fn only(&self, field: Field, reason: &'static str) -> Result<Option<&[u8]>, MessageError> {
        let mut values = self.values(field);
        let first = values.next();
        if values.next().is_some() { Err(MessageError::Malformed(reason)) } else { Ok(first) }
    }

    /// Whether the comma-separated lists of this field's lines have `token` as a member, without case.
    #[must_use]
    pub fn lists(&self, field: Field, token: &str) -> bool {
        self.values(field).flat_map(list).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Forgets all, keeps the room; gives it back where one large head had made it large.
    pub fn clear(&mut self) {
        const ORDINARY: usize = 2048;
        self.text.clear();
        self.text.shrink_to(ORDINARY);
        self.lines.clear();
        self.lines.shrink_to(ORDINARY / size_of::<Line>());
        self.fields = 0;
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = FieldLine<'a>;
    type IntoIter = FieldLines<'a>;

    fn into_iter(self) -> FieldLines<'a> {
        self.iter()
    }
}

/// Field lines one after the other.
#[derive(Clone, Debug)]
pub struct FieldLines<'a> {
    headers: &'a Headers,
    rest: &'a [Line],
}

impl<'a> FieldLines<'a> {
    /// The next line that has to be looked at. Those before it, ordinary ones, are appended, if all such lines stay.
    #[inline]
    pub fn next_to_look_at(&mut self, all_ordinary_stay: bool, out: &mut Vec<u8>) -> Option<FieldLine<'a>> {
        if all_ordinary_stay {
            out.extend_from_slice(self.take_ordinary());
        }
        self.next()
    }

    /// Takes off those ordinary lines that come next and are spelled as we would spell them, in one piece: with 30 of
    /// them a request takes 15 % fewer instructions than if each is looked at, which is 3 % of its time.
    #[inline]
    fn take_ordinary(&mut self) -> &'a [u8] {
        let length = self.rest.iter().take_while(|line| line.ordinary && line.plain).count();
        let (ordinary, rest) = self.rest.split_at(length);
        self.rest = rest;
        match (ordinary.first(), ordinary.last()) {
            (Some(first), Some(last)) => &self.headers.text[first.name.start as usize..last.end()],
            _ => &[],
        }
    }
}

impl<'a> Iterator for FieldLines<'a> {
    type Item = FieldLine<'a>;

    #[inline]
    fn next(&mut self) -> Option<FieldLine<'a>> {
        let (line, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(FieldLine {
            field: line.field,
            name: self.headers.part(line.name),
            value: self.headers.part(line.value),
            plain: line.plain.then(|| &self.headers.text[line.name.start as usize..line.end()]),
            ordinary: line.ordinary,
        })
    }
}

/// Appends one field line.
#[inline]
pub fn append_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line with a number for its value.
#[inline]
pub fn append_number_field(name: &str, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    append_decimal(value, out);
    out.extend_from_slice(b"\r\n");
}

/// The members of a comma-separated list; empty ones do not count (RFC 9110 §5.6.1).
#[inline]
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Takes optional white space off both ends: SP and HTAB, nothing else (RFC 9110 §5.6.3).
#[must_use]
#[inline]
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use crate::http::RequestHead;
    use crate::http::head::HeadLimits;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1024, start_line: 64, field_lines: 20 };

    /// What is taken off at once, and each line that is met in between, in brackets.
    fn taken(lines: &[&str]) -> String {
        let mut head = RequestHead::default();
        let text = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
        head.parse(text.as_bytes(), &LIMITS).expect("a good head");
        let (mut lines, mut taken) = (head.headers.iter(), String::new());
        loop {
            taken += str::from_utf8(lines.take_ordinary()).expect("ASCII");
            let Some(line) = lines.next() else { return taken };
            taken.extend(["[", str::from_utf8(line.name).expect("ASCII"), "]"]);
        }
    }

    #[test]
    fn ordinary_lines_are_taken_off_together_and_no_others() {
        for (lines, want) in [
            (&["Host: a"][..], "[Host]"),
            (&["Host: a", "A: 1", "B: 2"][..], "[Host]A: 1\r\nB: 2\r\n"),
            (&["A: 1", "Connection: A", "B: 2", "Host: a", "C:"][..], "A: 1\r\n[Connection]B: 2\r\n[Host][C]"),
            // Spelled otherwise than we would.
            (&["A:1", "B:  2", "C: 3 ", "D: 4\t", "E: 5"][..], "[A][B][C][D]E: 5\r\n"),
            // Not what it seems, or whoever reads it may say so.
            (
                &["X_Forwarded_For: 1", "X-Forwarded-Port: 2", "X-Real_IP: 3"][..],
                "[X_Forwarded_For][X-Forwarded-Port][X-Real_IP]",
            ),
            (
                &["Content_Length: 1", "Transfer_Encoding: 2", "Content-Type: 3"][..],
                "[Content_Length][Transfer_Encoding]Content-Type: 3\r\n",
            ),
            (
                &["X-Field: 1", "Cookie: 2", "Te: trailers", "Trailer: x"][..],
                "X-Field: 1\r\nCookie: 2\r\n[Te]Trailer: x\r\n",
            ),
        ] {
            assert_eq!(taken(lines), want, "{lines:?}");
        }
    }
}
