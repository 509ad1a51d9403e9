//! Takes the chunked transfer coding off. Input: bytes as they come. Output: which of them are content. RFC 9112 §7.1.
//!
//! httparse's `parse_chunk_size` takes an empty size as 0 and a bare LF inside an extension: both are tools of request
//! smuggling. Python's `int(line, 16)` takes `0x10`, `+5` and `1_0`. So the few lines are our own.

use super::error::MessageError;

/// Where we are in a chunked body. Holds no bytes: what it cannot use yet stays in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes that a chunk-size line with its extensions may have.
    line_limit: usize,
    /// Bytes that the trailer section may have.
    trailer_limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a chunk's size.
    Size,
    /// Inside a chunk's data, so many bytes before its end.
    Data(u64),
    /// Before the CRLF that ends a chunk's data.
    DataEnd,
    /// Behind the last chunk.
    Trailer,
}

/// What the bytes at hand turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many of the first bytes are content.
    Data(usize),
    /// So many of the first bytes are part of the coding.
    Coding(usize),
    /// So many of the first bytes are the trailer section with its blank line: the body ends behind them.
    End(usize),
    /// More bytes are needed to tell.
    Partial,
}

impl ChunkedDecoder {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(line_limit: usize, trailer_limit: usize) -> ChunkedDecoder {
        ChunkedDecoder { state: State::Size, line_limit, trailer_limit }
    }

    /// Says what the first of `bytes` are. The caller takes them away before it calls again; bytes reported as
    /// [`Piece::Data`] may be taken in parts, each told by [`ChunkedDecoder::took`].
    ///
    /// # Errors
    /// [`MessageError::Malformed`] or [`MessageError::HeadTooLarge`].
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, MessageError> {
        match self.state {
            State::Size => self.size_line(bytes),
            State::Data(_) if bytes.is_empty() => Ok(Piece::Partial),
            State::Data(left) => Ok(Piece::Data(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()))),
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Piece::Coding(2))
                }
                [] | [b'\r'] => Ok(Piece::Partial),
                _ => Err(MessageError::Malformed("bad-chunk-end")),
            },
            State::Trailer => self.trailer(bytes),
        }
    }

    /// The caller took so many bytes of content.
    pub fn took(&mut self, length: usize) {
        let State::Data(left) = &mut self.state else { return };
        *left -= length as u64;
        if *left == 0 {
            self.state = State::DataEnd;
        }
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<Piece, MessageError> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return if bytes.len() <= self.line_limit { Ok(Piece::Partial) } else { Err(bad_size()) };
        };
        let Some(line) = bytes[..end].strip_suffix(b"\r") else { return Err(bad_size()) };
        if end > self.line_limit {
            return Err(bad_size());
        }
        self.state = match parse_size_line(line).ok_or_else(bad_size)? {
            0 => State::Trailer,
            size => State::Data(size),
        };
        Ok(Piece::Coding(end + 1))
    }

    /// The section is small and rare: it waits in the buffer until its blank line is there.
    fn trailer(&self, bytes: &[u8]) -> Result<Piece, MessageError> {
        let mut start = 0;
        while let Some(length) = bytes[start..].iter().position(|byte| *byte == b'\n') {
            let line = bytes[start..start + length].strip_suffix(b"\r");
            start += length + 1;
            match line {
                Some([]) if start <= self.trailer_limit => return Ok(Piece::End(start)),
                Some([]) => return Err(MessageError::HeadTooLarge),
                Some(_) => {}
                None => return Err(MessageError::Malformed("bare-lf")),
            }
        }
        if bytes.len() < self.trailer_limit { Ok(Piece::Partial) } else { Err(MessageError::HeadTooLarge) }
    }
}

fn bad_size() -> MessageError {
    MessageError::Malformed("bad-chunk-size")
}

/// `chunk-size [chunk-ext]` without its CRLF. Extensions are dropped, as RFC 9112 §7.1.1 allows, but their bytes must be
/// text; white space stands before a `;` only.
fn parse_size_line(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, rest) = line.split_at(digits);
    let extension = super::headers::trim(rest);
    let well_formed = rest.is_empty() || extension.first() == Some(&b';');
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if size.is_empty() || size.len() > 16 || !well_formed || !extension.iter().all(is_text) {
        return None;
    }
    let size = std::str::from_utf8(size).ok()?;
    i64::from_str_radix(size, 16).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9112 §7.1.
    #[test]
    fn a_size_is_hexadecimal_digits_and_perhaps_extensions() {
        for (line, want) in [
            ("5", Some(5)),
            ("a", Some(10)),
            ("00A", Some(10)),
            ("5;a=b", Some(5)),
            ("5 ;a=\"x;y\"", Some(5)),
            ("7fffffffffffffff", Some(u64::MAX / 2)),
            ("8000000000000000", None),
            ("", None),
            (";a", None),
            (" 5", None),
            ("5 ", None),
            ("+5", None),
            ("-5", None),
            ("0x5", None),
            ("1_0", None),
            ("5g", None),
            ("00000000000000005", None),
            ("5;a=\u{1}", None),
        ] {
            assert_eq!(parse_size_line(line.as_bytes()), want, "{line:?}");
        }
    }

    /// Decodes `body`, given to the decoder in pieces that end at `cut`.
    fn decode(body: &[u8], cut: usize) -> Result<Option<(Vec<u8>, usize)>, MessageError> {
        let mut decoder = ChunkedDecoder::new(64, 64);
        let (mut content, mut start, mut end) = (Vec::new(), 0, cut.min(body.len()));
        loop {
            match decoder.next(&body[start..end])? {
                Piece::Data(length) => {
                    content.extend_from_slice(&body[start..start + length]);
                    decoder.took(length);
                    start += length;
                }
                Piece::Coding(length) => start += length,
                Piece::End(length) => return Ok(Some((content, start + length))),
                Piece::Partial if end < body.len() => end = body.len(),
                Piece::Partial => return Ok(None),
            }
        }
    }

    #[test]
    fn a_body_decodes_the_same_wherever_it_is_cut() {
        let body = b"4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\nA: b\r\n\r\nGET /";
        for cut in 0..body.len() {
            let (content, length) = decode(body, cut).expect("well-formed").expect("complete");
            assert_eq!((content.as_slice(), length), (&b"Wikipedia "[..], body.len() - 5), "cut at {cut}");
        }
    }

    #[test]
    fn a_malformed_body_is_refused_and_a_cut_one_is_not_complete() {
        for (body, want) in [
            ("4\r\nWikiX\r\n", Err("bad-chunk-end")),
            ("4\nWiki\r\n0\r\n\r\n", Err("bad-chunk-size")),
            ("\r\n", Err("bad-chunk-size")),
            ("0\r\nA: b\n\r\n", Err("bare-lf")),
            ("4\r\nWi", Ok(None)),
            ("4\r\nWiki\r\n", Ok(None)),
            ("0\r\n", Ok(None)),
            ("0\r\nA: b\r\n", Ok(None)),
        ] {
            let got = decode(body.as_bytes(), body.len()).map_err(|error| error.reason());
            assert_eq!(got, want, "{body:?}");
        }
    }

    #[test]
    fn a_size_line_as_long_as_may_be_is_taken_wherever_it_is_cut() {
        let body = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(61)); // 64 bytes with its CR.
        for cut in 0..body.len() {
            let (content, length) = decode(body.as_bytes(), cut).expect("well-formed").expect("complete");
            assert_eq!((content.as_slice(), length), (&b"a"[..], body.len()), "cut at {cut}");
        }
    }

    #[test]
    fn size_lines_and_trailers_have_limits() {
        let long_line = format!("5;{}\r\n", "x".repeat(64));
        let long_trailer = format!("0\r\nA: {}\r\n\r\n", "x".repeat(64));
        assert_eq!(decode(long_line.as_bytes(), 10).expect_err("too long").reason(), "bad-chunk-size");
        assert_eq!(decode(long_trailer.as_bytes(), 10).expect_err("too long").reason(), "head-too-large");
    }
}
