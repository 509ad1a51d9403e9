//! A second, small reader of HTTP/1.x, against which the fuzz targets hold footbridge. It shares no code with it, reads
//! whole slices only, and takes what RFC 9112 allows and nothing else; where the project has decided to refuse more
//! than that, it says so.

use std::fmt;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

type Result<T> = std::result::Result<T, Malformed>;

/// A field line: the name as it is spelled, the value without the white space around it.
pub type FieldLine<'a> = (&'a [u8], &'a [u8]);

/// A start line and field lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    pub start: &'a [u8],
    pub lines: Vec<FieldLine<'a>>,
    /// With the blank line.
    pub length: usize,
}

/// Where content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Content without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// How many bytes it took, framing included.
    pub length: usize,
    /// It is all there.
    pub whole: bool,
}

/// One line of `bytes` without its CRLF, and what comes behind it; `None` if its end is not there.
pub fn line(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    match bytes[..end].split_last() {
        Some((b'\r', line)) => Ok(Some((line, &bytes[end + 1..]))),
        _ => Err(Malformed("bare LF")),
    }
}

/// A head at the beginning of `bytes`; `None` if its end is not there.
pub fn head(bytes: &[u8]) -> Result<Option<Head<'_>>> {
    let Some((start, mut rest)) = line(bytes)? else { return Ok(None) };
    if !is_text(start) {
        return Err(Malformed("control byte in a start line"));
    }
    let mut lines = Vec::new();
    loop {
        let Some((text, behind)) = line(rest)? else { return Ok(None) };
        rest = behind;
        if text.is_empty() {
            return Ok(Some(Head { start, lines, length: bytes.len() - rest.len() }));
        }
        lines.push(field_line(text)?);
    }
}

/// RFC 9112 §5: `field-name ":" OWS field-value OWS`.
pub fn field_line(text: &[u8]) -> Result<FieldLine<'_>> {
    let colon = text.iter().position(|byte| *byte == b':').ok_or(Malformed("no colon in a field line"))?;
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if !is_token(name) {
        return Err(Malformed("a field name is no token"));
    }
    if !is_text(value) {
        return Err(Malformed("control byte in a field value"));
    }
    Ok((name, trim(value)))
}

impl<'a> Head<'a> {
    /// Method, target and version of a request line.
    pub fn request_line(&self) -> Result<(&'a [u8], &'a [u8], &'a [u8])> {
        let words: Vec<&[u8]> = self.start.split(|byte| *byte == b' ').collect();
        match words[..] {
            [method, target, version] if is_token(method) && !target.is_empty() && is_version(version) => {
                Ok((method, target, version))
            }
            _ => Err(Malformed("no request line")),
        }
    }

    /// Status of a status line in HTTP/1.1 or 1.0. A status line without reason phrase may leave out the last space.
    pub fn status(&self) -> Result<u16> {
        match self.start {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a @ b'1'..=b'5', b, c, rest @ ..]
                if b.is_ascii_digit() && c.is_ascii_digit() && matches!(rest, [] | [b' ', ..]) =>
            {
                Ok(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
            }
            _ => Err(Malformed("no status line")),
        }
    }

    /// The values of all lines with this name, in lower case.
    pub fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let named = |line: &&FieldLine<'_>| line.0.eq_ignore_ascii_case(name.as_bytes());
        self.lines.iter().filter(named).map(|line| line.1).collect()
    }

    /// Whether a comma-separated list has this member.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.members(name).any(|given| given.eq_ignore_ascii_case(member.as_bytes()))
    }

    /// The members of a comma-separated list.
    pub fn members(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let members: Vec<_> =
            self.values(name).into_iter().flat_map(|value| value.split(|byte| *byte == b',')).collect();
        members.into_iter().map(trim).filter(|member| !member.is_empty())
    }

    /// What the head says of the length: the one reading that is left when none other is possible (RFC 9112 §6).
    /// Stricter than it: two equal lengths are two, and no coding but `chunked` is known.
    pub fn framing(&self, is_http_10: bool) -> Result<Option<Framing>> {
        match (&self.values("transfer-encoding")[..], &self.values("content-length")[..]) {
            ([], []) => Ok(None),
            ([], [length]) => match decimal(length) {
                Some(0) => Ok(Some(Framing::Nothing)),
                Some(length) => Ok(Some(Framing::Length(length))),
                None => Err(Malformed("bad Content-Length")),
            },
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && !is_http_10 => Ok(Some(Framing::Chunked)),
            _ => Err(Malformed("no single framing")),
        }
    }
}

/// The content at the beginning of `bytes`, as far as it is there.
pub fn content(bytes: &[u8], framing: Framing) -> Result<Content> {
    match framing {
        Framing::Nothing => Ok(Content { bytes: Vec::new(), length: 0, whole: true }),
        Framing::UntilClose => Ok(Content { bytes: bytes.to_vec(), length: bytes.len(), whole: true }),
        Framing::Length(length) => {
            let there = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(Content { bytes: bytes[..there].to_vec(), length: there, whole: there as u64 == length })
        }
        Framing::Chunked => {
            let content = chunked(bytes, usize::MAX, usize::MAX)?;
            if content.whole {
                trailer_of(&bytes[..content.length])?;
            }
            Ok(content)
        }
    }
}

/// Chunks, the last chunk and a trailer section (RFC 9112 §7.1). `line_limit` bounds a size line with its CR,
/// `trailer_limit` the trailer section with its blank line. Extensions are text behind a semicolon.
pub fn chunked(bytes: &[u8], line_limit: usize, trailer_limit: usize) -> Result<Content> {
    let mut content = Vec::new();
    let cut = |content| Ok(Content { bytes: content, length: bytes.len(), whole: false });
    let mut rest = bytes;
    loop {
        let Some((text, behind)) = line(rest)? else {
            return if rest.len() > line_limit { Err(Malformed("long chunk-size line")) } else { cut(content) };
        };
        if text.len() + 1 > line_limit {
            return Err(Malformed("long chunk-size line"));
        }
        let size = chunk_size(text)?;
        rest = behind;
        if size == 0 {
            break;
        }
        let there = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        content.extend_from_slice(&rest[..there]);
        rest = &rest[there..];
        match rest {
            _ if (there as u64) < size => return cut(content),
            [b'\r', b'\n', behind @ ..] => rest = behind,
            [] | [b'\r'] => return cut(content),
            _ => return Err(Malformed("no CRLF behind a chunk")),
        }
    }
    let begun = rest.len();
    loop {
        match line(rest)? {
            Some(([], behind)) if begun - behind.len() <= trailer_limit => {
                return Ok(Content { bytes: content, length: bytes.len() - behind.len(), whole: true });
            }
            Some((text, behind)) if !text.is_empty() => rest = behind,
            None if begun < trailer_limit => return cut(content),
            _ => return Err(Malformed("long trailer section")),
        }
    }
}

fn chunk_size(text: &[u8]) -> Result<u64> {
    let (size, extension) = match text.iter().position(|byte| *byte == b';') {
        Some(at) => (trim_end(&text[..at]), &text[at..]),
        None => (text, &b""[..]),
    };
    if size.is_empty() || size.len() > 16 || !is_text(extension) {
        return Err(Malformed("bad chunk-size line"));
    }
    let size = size.iter().try_fold(0, |sum, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Malformed("a chunk size is no number"))?;
        Ok(sum << 4 | u64::from(digit))
    })?;
    if fits(size) { Ok(size) } else { Err(Malformed("a chunk size that overflows where lengths have a sign")) }
}

fn fits(length: u64) -> bool {
    i64::try_from(length).is_ok()
}

/// The trailer fields at the end of a whole chunked body.
fn trailer_of(body: &[u8]) -> Result<()> {
    let mut lines =
        body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).rev().skip(2);
    // From the end up to the last chunk: the first line that begins with a digit and has no colon.
    lines.by_ref().take_while(|line| chunk_size(line) != Ok(0)).try_for_each(|line| field_line(line).map(|_| ()))
}

/// `token` of RFC 9110 §5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// No control bytes but the tab.
pub fn is_text(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
}

fn is_version(text: &[u8]) -> bool {
    matches!(text, b"HTTP/1.0" | b"HTTP/1.1")
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|length| fits(*length))
}

/// Without SP and HTAB at both ends.
pub fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    trim_end(&text[start..])
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    &text[..end]
}

/// A target as a server behind the proxy has to see it: origin-form or `*`, and the authority if it had one.
pub fn origin_form<'a>(method: &[u8], target: &'a [u8]) -> (Vec<u8>, Option<&'a [u8]>) {
    let lower = target.to_ascii_lowercase();
    let Some(scheme) = [&b"http://"[..], b"https://"].into_iter().find(|scheme| lower.starts_with(scheme)) else {
        return (target.to_vec(), None);
    };
    let rest = &target[scheme.len()..];
    let (authority, path) = rest.split_at(rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len()));
    let path = match path {
        [] if method == b"OPTIONS" => b"*".to_vec(),
        [b'/', ..] => path.to_vec(),
        _ => [b"/", path].concat(),
    };
    (path, Some(authority))
}

/// For messages of failed assertions.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
