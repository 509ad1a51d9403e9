//! Makes a peer's bytes harmless in a line of a log. Input: any bytes. Output: printable text without line ends and
//! without the characters that separate facts in that kind of line.

use std::fmt::{self, Write};

/// Bytes inside quotes: control bytes, `"`, `\` and all beyond ASCII become `\xHH`, so no byte can end the quotes, and
/// the bytes can be had back exactly.
pub struct Quoted<'a>(pub &'a [u8]);

/// Bytes outside quotes: as [`Quoted`], and the space too, so no byte can start another fact; `-` if there are none.
pub struct Word<'a>(pub &'a [u8]);

/// A JSON string with its quotes (RFC 8259 §7). What is no UTF-8 becomes `\u00HH`, byte by byte. Control characters
/// are escaped beyond the RFC's demand (DEL, C1), because terminals obey them.
pub struct JsonString<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, |byte| byte == b' ' || is_plain(byte))
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_char('-') } else { escape(f, self.0, is_plain) }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

/// Writes runs of plain bytes in one piece, because nearly all bytes are plain.
fn escape(f: &mut fmt::Formatter<'_>, mut bytes: &[u8], plain: fn(u8) -> bool) -> fmt::Result {
    while !bytes.is_empty() {
        let run = bytes.iter().position(|&byte| !plain(byte)).unwrap_or(bytes.len());
        let (clean, rest) = bytes.split_at(run);
        f.write_str(str::from_utf8(clean).expect("plain bytes are ASCII"))?;
        let Some((byte, rest)) = rest.split_first() else {
            break;
        };
        write!(f, "\\x{byte:02X}")?;
        bytes = rest;
    }
    Ok(())
}

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            escape_json(f, chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\u{byte:04X}")?;
            }
        }
        f.write_char('"')
    }
}

fn escape_json(f: &mut fmt::Formatter<'_>, mut text: &str) -> fmt::Result {
    let special = |c: char| c == '"' || c == '\\' || c.is_control();
    while let Some((at, c)) = text.char_indices().find(|&(_, c)| special(c)) {
        f.write_str(&text[..at])?;
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            _ => write!(f, "\\u{:04X}", u32::from(c))?,
        }
        text = &text[at + c.len_utf8()..];
    }
    f.write_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_keep_only_plain_ones() {
        for (bytes, want) in [
            (&b"curl/8.5 (x)"[..], "curl/8.5 (x)"),
            (b"", ""),
            (b"a\"b\\c", r"a\x22b\x5Cc"),
            (b"\r\n\0\x1b[2J\x7f", r"\x0D\x0A\x00\x1B[2J\x7F"),
            ("\u{e9}".as_bytes(), r"\xC3\xA9"),
            (b"\xff\xfe", r"\xFF\xFE"),
        ] {
            assert_eq!(Quoted(bytes).to_string(), want);
        }
    }

    #[test]
    fn a_word_has_no_space_and_is_never_empty() {
        assert_eq!(Word(b"a b=c").to_string(), r"a\x20b=c");
        assert_eq!(Word(b"").to_string(), "-");
    }

    #[test]
    fn a_json_string_escapes_what_json_and_terminals_mind() {
        for (bytes, want) in [
            (&b"plain"[..], r#""plain""#),
            (b"", r#""""#),
            (b"a\"b\\c/", r#""a\"b\\c/""#),
            (b"\r\n\0\x1b\x7f", r#""\u000D\u000A\u0000\u001B\u007F""#),
            ("caf\u{e9} \u{85}".as_bytes(), "\"caf\u{e9} \\u0085\""),
            (b"a\xff\xfeb\xc3", r#""a\u00FF\u00FEb\u00C3""#),
        ] {
            assert_eq!(JsonString(bytes).to_string(), want);
        }
    }

    #[test]
    fn no_byte_survives_that_could_end_a_line_or_a_string() {
        for byte in 0..=u8::MAX {
            let bytes = [b'a', byte, b'b'];
            for text in [Quoted(&bytes).to_string(), Word(&bytes).to_string(), JsonString(&bytes).to_string()] {
                assert!(!text.contains(char::is_control), "{byte:#04x}: {text}");
            }
            assert!(!Quoted(&bytes).to_string().contains('"'), "{byte:#04x}");
            assert!(!Word(&bytes).to_string().contains(['"', ' ']), "{byte:#04x}");
        }
    }
}
