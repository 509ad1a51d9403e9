//! Reads TOML 1.0. Input: a text. Output: tables whose keys and values know where they stand, in the order of the file;
//! each line that is no TOML is a mistake and is left out.
//!
//! Ours, because the usual crate makes the program 79 KB larger than this does, of the 1 MiB that it may have: for a tree
//! without order, and for dates and numbers with fractions, which no key of ours takes. They are read over here
//! ([`Value::Other`]). And it gives up what follows a line that is no key, so that mistakes there would wait for the next
//! run. Line breaks and a last comma in an inline table are fine, as in TOML 1.1.

#[cfg(test)]
mod tests;
mod tree;

use self::tree::{Part, Problem};
use super::mistakes::Mistakes;

pub(super) use self::tree::{Entry, Node, Table, Value};

/// Deeper nesting is no configuration, and would be deep recursion.
const DEEPEST: usize = 16;

/// Reads all of it.
pub(super) fn parse(text: &str, mistakes: &mut Mistakes) -> Table {
    let mut file = Table::of_file();
    let mut reader = Reader { text: text.as_bytes(), at: if text.starts_with('\u{feff}') { 3 } else { 0 } };
    let mut header = Vec::new();
    while reader.skip_to_statement() {
        let start = reader.at;
        if let Err((at, why)) = reader.statement(&mut file, &mut header) {
            mistakes.add(at, &format_args!("this is no TOML: {why}"));
            mistakes.incomplete = true;
            reader.recover(start, at);
        }
    }
    file
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether these come next; if so, they are taken.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let next = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(bytes));
        self.at += if next { bytes.len() } else { 0 };
        next
    }

    fn skip(&mut self, skipped: fn(u8) -> bool) {
        while self.peek().is_some_and(skipped) {
            self.at += 1;
        }
    }

    fn skip_spaces(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn skip_space(&mut self) {
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
            if !self.take(b"\r\n") {
                return;
            }
        }
    }

    /// Spaces, comments and line ends. Returns whether there is more.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.skip_space();
            if self.peek() != Some(b'#') {
                return self.peek().is_some();
            }
            // A control character ends it, and is then no TOML.
            self.skip(|byte| byte == b'\t' || !byte.is_ascii_control());
        }
    }

    /// After a problem: on to the next line. If the statement began on an earlier line, it most likely lacks its end:
    /// then on to the first line from there that looks like a statement.
    fn recover(&mut self, start: usize, problem: usize) {
        let line = self.text[..problem].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.at = line.max(start);
        let later = line > start;
        while !(later && self.looks_like_a_statement()) && self.peek().is_some() {
            self.skip(|byte| byte != b'\n');
            self.take(b"\n");
            if !later {
                return;
            }
        }
    }

    fn looks_like_a_statement(&self) -> bool {
        let line = self.text[self.at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        match line.trim_ascii_start().first() {
            Some(b'[') => true,
            Some(b'{' | b'}' | b']' | b',' | b'#') | None => false,
            Some(_) => line.contains(&b'='),
        }
    }

    /// A header, or `key = value`; then the line has to end.
    fn statement(&mut self, file: &mut Table, header: &mut Vec<Part>) -> Result<(), Problem> {
        let start = self.at;
        if self.take(b"[") {
            let in_list = self.take(b"[");
            let path = self.path()?;
            if !self.take(if in_list { b"]]" } else { b"]" }) {
                return Err((self.at, "write ] behind the name of the table"));
            }
            self.line_end()?;
            file.open(&path, start, in_list)?;
            *header = path;
            return Ok(());
        }
        let (path, node) = self.pair(0)?;
        self.line_end()?;
        file.under_header(header).and_then(|table| table.insert(path, node))
    }

    fn line_end(&mut self) -> Result<(), Problem> {
        self.skip_spaces();
        match self.peek() {
            None | Some(b'\n' | b'#') => Ok(()),
            Some(b'\r') if self.text.get(self.at + 1) == Some(&b'\n') => Ok(()),
            Some(_) => Err((self.at, "the line has to end here; write texts in quotes")),
        }
    }

    fn pair(&mut self, depth: usize) -> Result<(Vec<Part>, Node), Problem> {
        let path = self.path()?;
        if !self.take(b"=") {
            return Err((self.at, "write = behind the key"));
        }
        self.skip_spaces();
        Ok((path, self.value(depth)?))
    }

    /// `a.b."c"`, with the spaces around it.
    fn path(&mut self) -> Result<Vec<Part>, Problem> {
        let mut path = Vec::new();
        loop {
            self.skip_spaces();
            let at = self.at;
            let name = if let Some(quote @ (b'"' | b'\'')) = self.peek() {
                self.line_of_text(quote)?
            } else {
                self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
                text(&self.text[at..self.at])
            };
            if self.at == at {
                return Err((at, "write a key: letters, digits, - and _, or a text in quotes"));
            }
            path.push((name, at));
            self.skip_spaces();
            if !self.take(b".") {
                return if path.len() > DEEPEST { Err((at, "this is nested too deeply")) } else { Ok(path) };
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let at = self.at;
        if depth > DEEPEST {
            return Err((at, "this is nested too deeply"));
        }
        let value = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                let many = self.take(&[quote; 3]);
                Value::Text(if many { self.lines_of_text(quote)? } else { self.line_of_text(quote)? })
            }
            Some(b'[') => Value::List(self.list(depth)?),
            Some(b'{') => Value::Table(self.inline_table(depth)?),
            _ => self.word()?,
        };
        Ok(Node { at, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        self.at += 1;
        let mut list = Vec::new();
        while !self.ends(b']')? {
            list.push(self.value(depth + 1)?);
            self.separator(b']', "write , or ] here")?;
        }
        Ok(list)
    }

    fn inline_table(&mut self, depth: usize) -> Result<Table, Problem> {
        self.at += 1;
        let mut table = Table::inline();
        while !self.ends(b'}')? {
            let (path, node) = self.pair(depth + 1)?;
            table.insert(path, node)?;
            self.separator(b'}', "write , or } here")?;
        }
        Ok(table)
    }

    /// Whether the bracket that closes comes next; if so, it is taken.
    fn ends(&mut self, close: u8) -> Result<bool, Problem> {
        if self.skip_to_statement() { Ok(self.take(&[close])) } else { Err((self.at, "a bracket is not closed")) }
    }

    /// Behind an element: a comma, or the end, which stays.
    fn separator(&mut self, close: u8, advice: &'static str) -> Result<(), Problem> {
        self.skip_to_statement();
        if self.take(b",") || self.peek() == Some(close) { Ok(()) } else { Err((self.at, advice)) }
    }

    /// What has no quotes and no brackets.
    fn word(&mut self) -> Result<Value, Problem> {
        let at = self.at;
        self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'_' | b'.' | b':'));
        let word = &self.text[at..self.at];
        let first = word.iter().find(|byte| !matches!(byte, b'-' | b'+'));
        match word {
            b"" => Err((at, "write a value; texts stand in quotes")),
            b"true" => Ok(Value::Flag(true)),
            b"false" => Ok(Value::Flag(false)),
            b"inf" | b"nan" => Ok(Value::Other),
            _ if !first.is_some_and(u8::is_ascii_digit) => Err((at, "texts stand in quotes")),
            _ => Ok(number(word).unwrap_or(Value::Other)),
        }
    }

    /// From one quote to the next, on one line.
    fn line_of_text(&mut self, quote: u8) -> Result<String, Problem> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                Some(byte) if byte == quote => break,
                Some(b'\\') if quote == b'"' => self.escape(&mut out)?,
                Some(byte) if byte != b'\t' && byte.is_ascii_control() => return Err((self.at, "the text has no end")),
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
                None => return Err((self.at, "the text has no end")),
            }
        }
        self.at += 1;
        Ok(text(&out))
    }

    /// Behind three quotes, to the next three.
    fn lines_of_text(&mut self, quote: u8) -> Result<String, Problem> {
        let start = self.at;
        let mut out = Vec::new();
        let _ = self.take(b"\r\n") || self.take(b"\n");
        while !self.take(&[quote; 3]) {
            match self.peek() {
                Some(b'\\') if quote == b'"' => {
                    // At the end of a line: all space up to the next letter is left out.
                    let backslash = self.at;
                    self.at += 1;
                    self.skip_spaces();
                    if self.take(b"\n") || self.take(b"\r\n") {
                        self.skip_space();
                    } else {
                        self.at = backslash;
                        self.escape(&mut out)?;
                    }
                }
                Some(b'\r') if self.take(b"\r\n") => out.extend(b"\r\n"),
                Some(byte) if !matches!(byte, b'\t' | b'\n') && byte.is_ascii_control() => {
                    return Err((self.at, "write control characters as escapes, like \\u0001"));
                }
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
                None => return Err((start, "the text has no end")),
            }
        }
        // Up to two more quotes belong to the text.
        for _ in 0..2 {
            out.extend(self.take(&[quote]).then_some(quote));
        }
        Ok(text(&out))
    }

    /// From a backslash on.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        let at = self.at;
        let digits = |length: usize| {
            let digits =
                self.text.get(at + 2..at + 2 + length).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            char::from_u32(u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?)
        };
        let (meant, length) = match self.text.get(at + 1) {
            Some(b'b') => (Some('\u{8}'), 2),
            Some(b't') => (Some('\t'), 2),
            Some(b'n') => (Some('\n'), 2),
            Some(b'f') => (Some('\u{c}'), 2),
            Some(b'r') => (Some('\r'), 2),
            Some(quoted @ (b'"' | b'\\')) => (Some(char::from(*quoted)), 2),
            Some(b'u') => (digits(4), 6),
            Some(b'U') => (digits(8), 10),
            _ => (None, 0),
        };
        let meant = meant.ok_or((at, "there is no such escape; write \\\\ for a backslash"))?;
        out.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += length;
        Ok(())
    }
}

/// A part of the file, which is UTF-8 and is cut at ASCII only.
#[inline(never)]
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A whole number; `None` if it is a fraction or a date.
fn number(word: &[u8]) -> Option<Value> {
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, word),
    };
    let (radix, digits) = match digits {
        [b'0', b'x', rest @ ..] => (16, rest),
        [b'0', b'o', rest @ ..] => (8, rest),
        [b'0', b'b', rest @ ..] => (2, rest),
        // 010 would be eight to some.
        [b'0', _, ..] => return None,
        _ => (10, digits),
    };
    let (mut number, mut behind_a_digit) = (Some(0_u64), false);
    for byte in digits {
        if *byte == b'_' && behind_a_digit {
            behind_a_digit = false;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix)?;
        number = number.and_then(|number| number.checked_mul(radix.into())?.checked_add(digit.into()));
        behind_a_digit = true;
    }
    behind_a_digit.then(|| Value::Whole(number.filter(|_| !negative)))
}
