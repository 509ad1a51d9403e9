//! Messages as a strict reader sees them: what a peer of the proxy would understand, and nothing mended.
//! Text is Latin-1, one char per byte, so that no byte is lost and every message prints.

use super::wire::{Stop, Wire};

/// Turns text into bytes, one per char: `"\u{e9}"` is the byte 0xE9.
pub fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).expect("only chars below U+0100 stand for a byte")).collect()
}

/// The inverse of [`latin1`].
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// A start line and field lines, in order and spelling as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line, without its CRLF.
    pub start_line: String,
    /// Names as spelt, values without the white space around them.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Parses a head that ends in an empty line. Takes nothing that RFC 9112 §2.2 and §5 forbid.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let all = text(bytes);
        let head = all.strip_suffix("\r\n\r\n").ok_or("no empty line at the end")?;
        let mut lines = head.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        if start_line.contains(is_forbidden) {
            return Err(format!("control byte in the start line {start_line:?}"));
        }
        Ok(Self { start_line, fields: lines.map(parse_field).collect::<Result<_, _>>()? })
    }

    /// The values of all field lines of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same_name = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same_name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the only field line of this name; `None` if there is none.
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "more than one {name} in {self:?}");
        all.first().copied()
    }

    /// The elements of a comma list, over all lines of that name, in lower case.
    pub fn list(&self, name: &str) -> Vec<String> {
        let lines = self.all(name).join(",");
        let elements = lines.split(',').map(|element| element.trim().to_ascii_lowercase());
        elements.filter(|element| !element.is_empty()).collect()
    }

    /// The status code of a response.
    pub fn status(&self) -> u16 {
        let code = self.start_line.split(' ').nth(1).filter(|code| code.len() == 3);
        code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("not a status line: {:?}", self.start_line))
    }

    /// The request target.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_else(|| panic!("not a request line: {:?}", self.start_line))
    }

    /// Whether this is a response that announces a final one (RFC 9110 §15.2).
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status()) && self.status() != 101
    }

    /// How long the content is (RFC 9112 §6.3), for a message that has content at all.
    fn framing(&self, without_fields: Framing) -> Result<Framing, String> {
        let (length, coding) = (self.all("content-length"), self.all("transfer-encoding"));
        match (length.as_slice(), coding.as_slice()) {
            ([], []) => Ok(without_fields),
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|error| error.to_string())
            }
            _ => Err(format!("ambiguous framing: lengths {length:?}, codings {coding:?}")),
        }
    }
}

/// NUL, bare CR, bare LF and other control bytes; a tab is white space (RFC 9110 §5.5).
fn is_forbidden(char: char) -> bool {
    char.is_ascii_control() && char != '\t'
}

fn parse_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
    let is_token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err(format!("field name {name:?} is no token"));
    }
    if value.contains(is_forbidden) {
        return Err(format!("control byte in {line:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// How a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its framing says that it is whole.
    Complete,
    /// The connection stopped before.
    Cut(Stop),
    /// Its framing makes no sense.
    Malformed(String),
    /// Nobody has read it.
    Unread,
}

/// The content of a message, as far as it came.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes without chunks.
    pub bytes: Vec<u8>,
    /// Field lines behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// Whether this is all of it.
    pub end: End,
}

impl Content {
    /// Content that nobody has read.
    pub fn unread() -> Self {
        Self { bytes: Vec::new(), trailers: Vec::new(), end: End::Unread }
    }

    fn complete(bytes: Vec<u8>) -> Self {
        Self { bytes, trailers: Vec::new(), end: End::Complete }
    }
}

/// Reads one head, strictly.
pub fn read_head(wire: &mut Wire) -> Result<Head, Stop> {
    let bytes = wire.until(b"\r\n\r\n")?;
    Ok(Head::parse(&bytes).unwrap_or_else(|defect| panic!("malformed head, {defect}: \"{}\"", bytes.escape_ascii())))
}

/// Reads the content of a request. Without framing fields it is empty (RFC 9112 §6.3 item 7).
pub fn read_request_content(wire: &mut Wire, head: &Head) -> Content {
    read_content(wire, head.framing(Framing::Length(0)))
}

/// Reads the content of a response. Without framing fields it ends with the connection (RFC 9112 §6.3 item 8).
pub fn read_response_content(wire: &mut Wire, head: &Head, to_head: bool) -> Content {
    if to_head || matches!(head.status(), 204 | 304) {
        return Content::complete(Vec::new());
    }
    read_content(wire, head.framing(Framing::UntilClose))
}

fn read_content(wire: &mut Wire, framing: Result<Framing, String>) -> Content {
    match framing {
        Ok(Framing::Length(length)) => match wire.exactly(length) {
            Ok(bytes) => Content::complete(bytes),
            Err(stop) => Content { bytes: wire.take_early(), trailers: Vec::new(), end: End::Cut(stop) },
        },
        Ok(Framing::UntilClose) => match wire.rest() {
            (bytes, Stop::Closed) => Content::complete(bytes),
            (bytes, stop) => Content { bytes, trailers: Vec::new(), end: End::Cut(stop) },
        },
        Ok(Framing::Chunked) => {
            let mut content = Content::unread();
            content.end = read_chunks(wire, &mut content).err().unwrap_or(End::Complete);
            content
        }
        Err(defect) => Content { end: End::Malformed(defect), ..Content::unread() },
    }
}

/// Reads chunks and trailers into `content` (RFC 9112 §7.1), strictly.
fn read_chunks(wire: &mut Wire, content: &mut Content) -> Result<(), End> {
    loop {
        let size = read_chunk_size(wire)?;
        if size == 0 {
            return read_trailers(wire, content);
        }
        match wire.exactly(size) {
            Ok(bytes) => content.bytes.extend(bytes),
            Err(stop) => {
                content.bytes.extend(wire.take_early());
                return Err(End::Cut(stop));
            }
        }
        let end = wire.exactly(2).map_err(End::Cut)?;
        if end != b"\r\n" {
            return Err(End::Malformed(format!("chunk data followed by \"{}\"", end.escape_ascii())));
        }
    }
}

fn read_chunk_size(wire: &mut Wire) -> Result<usize, End> {
    let line = text(&wire.until(b"\r\n").map_err(End::Cut)?);
    let size = line.trim_end_matches("\r\n").split(';').next().unwrap_or_default();
    let is_hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = if is_hex { usize::from_str_radix(size, 16).ok() } else { None };
    parsed.ok_or_else(|| End::Malformed(format!("chunk size line {line:?}")))
}

fn read_trailers(wire: &mut Wire, content: &mut Content) -> Result<(), End> {
    loop {
        let line = text(&wire.until(b"\r\n").map_err(End::Cut)?);
        match line.trim_end_matches("\r\n") {
            "" => return Ok(()),
            field => content.trailers.push(parse_field(field).map_err(End::Malformed)?),
        }
    }
}
