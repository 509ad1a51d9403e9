//! Writes TOML. Input: the heads of tables, keys and values, in their order. Output: the text; tables and lists that stay
//! empty are left out.

use std::fmt::{self, Display, Write};

use crate::settings::Settings;

/// Tables, keys and values as they are written, one behind the other. Whatever says nothing is taken back.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) out: String,
    /// Where the last table begins, and where its keys do.
    start: usize,
    keys: usize,
    /// So many tables in the line are open.
    depth: u32,
}

impl Writer {
    /// Begins a table.
    pub(super) fn table(&mut self, head: &dyn Display) {
        self.leave_out_if_empty();
        self.start = self.out.len();
        self.raw(&format_args!("{}{head}\n", if self.out.is_empty() { "" } else { "\n" }));
        self.keys = self.out.len();
    }

    pub(super) fn leave_out_if_empty(&mut self) {
        if self.out.len() == self.keys {
            self.take_back();
        }
    }

    /// Takes the last table back.
    pub(super) fn take_back(&mut self) {
        self.out.truncate(self.start);
        self.keys = 0;
    }

    /// Whether the last table has one line only, and it begins like that.
    pub(super) fn has_one_line(&self, start: &str) -> bool {
        let keys = self.out.get(self.keys..).unwrap_or_default();
        keys.starts_with(start) && keys.find('\n') == Some(keys.len() - 1)
    }

    /// Writing to a String cannot fail.
    #[inline(never)]
    fn raw(&mut self, text: &dyn Display) {
        let _ = write!(self.out, "{text}");
    }

    /// What comes before a value. Keys stand one a line, or with commas.
    #[inline(never)]
    fn name(&mut self, name: &str) {
        let first = self.depth == 0 || self.out.ends_with("{ ");
        self.out.push_str(if first { "" } else { ", " });
        self.out.push_str(name);
        self.out.push_str(" = ");
    }

    fn end_value(&mut self) {
        if self.depth == 0 {
            self.out.push('\n');
        }
    }

    /// A value as it is to be written.
    #[inline(never)]
    pub(super) fn value(&mut self, name: &str, value: &dyn Display) {
        self.name(name);
        self.raw(value);
        self.end_value();
    }

    #[inline(never)]
    pub(super) fn text(&mut self, name: &str, text: &dyn Display) {
        self.name(name);
        self.string(text);
        self.end_value();
    }

    /// A basic string (TOML 1.0, "String").
    #[inline(never)]
    pub(super) fn string(&mut self, text: &dyn Display) {
        self.out.push('"');
        let _ = write!(Escaped(&mut self.out), "{text}");
        self.out.push('"');
    }

    #[inline(never)]
    pub(super) fn some_text(&mut self, name: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// What is not set has no line.
    pub(super) fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.value(name, &true);
        }
    }

    /// Begins a table or a list in the line. Returns where, for [`close`](Self::close).
    #[inline(never)]
    pub(super) fn open(&mut self, name: &str, bracket: &str) -> usize {
        let at = self.out.len();
        self.name(name);
        self.out.push_str(bracket);
        self.depth += 1;
        at
    }

    /// Ends it, or takes it back if it is empty.
    #[inline(never)]
    pub(super) fn close(&mut self, at: usize, bracket: &str) {
        self.depth -= 1;
        if self.out.ends_with("{ ") || self.out.ends_with('[') {
            self.out.truncate(at);
        } else {
            self.out.push_str(bracket);
            self.end_value();
        }
    }

    /// What comes before an element of a list.
    #[inline(never)]
    pub(super) fn element(&mut self) {
        if !self.out.ends_with('[') {
            self.out.push_str(", ");
        }
    }

    /// Texts, if there are any.
    pub(super) fn texts<T: Display>(&mut self, name: &str, texts: &[T]) {
        let list = self.open(name, "[");
        for text in texts {
            self.element();
            self.string(text);
        }
        self.close(list, "]");
    }

    /// The settings of that table that are not as in `base`.
    pub(super) fn changed(&mut self, table: &str, settings: &Settings, base: &Settings) {
        self.differing(table, &settings.values(), &base.values());
    }

    pub(super) fn differing(&mut self, table: &str, values: &[(&str, String)], base: &[(&str, String)]) {
        for value in values.iter().filter(|value| !base.contains(value)) {
            let Some(name) = value.0.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')) else { continue };
            // Counts are numbers; what has a unit, and words, are texts.
            if value.1.bytes().all(|byte| byte.is_ascii_digit()) {
                self.value(name, &value.1);
            } else {
                self.text(name, &value.1);
            }
        }
    }

    /// Tables of a group or route.
    pub(super) fn own_tables(&mut self, names: &[&str], settings: &Settings, base: &Settings) {
        for name in names {
            let table = self.open(name, "{ ");
            self.changed(name, settings, base);
            self.close(table, " }");
        }
    }
}

/// Writes a text as it stands between quotes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                c if c.is_control() => write!(self.0, "\\u{:04X}", u32::from(c))?,
                c => {
                    if matches!(c, '"' | '\\') {
                        self.0.push('\\');
                    }
                    self.0.push(c);
                }
            }
        }
        Ok(())
    }
}

/// A bare key if it can be one.
pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(bare) {
        return name.to_owned();
    }
    let mut quoted = Writer::default();
    quoted.string(&name);
    quoted.out
}
