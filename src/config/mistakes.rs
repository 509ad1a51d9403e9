//! Collects what is wrong with a configuration file, so that one run tells all of it. Input: positions and texts.
//! Output: for each mistake `file:line:column: text`, the line, and a caret under the place.

use std::cell::RefCell;
use std::fmt::{self, Display};

/// More mistakes than anyone reads at once: the file is no configuration of ours.
const MOST: usize = 100;

/// Columns of a long line that are shown to the left and to the right of the caret.
const BESIDE: usize = 60;

/// The mistakes found so far. Shared by all who read a part of the file, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    found: RefCell<Vec<Mistake>>,
    /// Lines were left out because they are no TOML: what seems to be missing may stand in them.
    pub(super) incomplete: bool,
}

#[derive(Debug)]
struct Mistake {
    /// Offset in bytes.
    at: usize,
    text: String,
}

impl Mistakes {
    /// Something is wrong at that offset. They are kept in the order of the file.
    #[inline(never)]
    pub(super) fn add(&self, at: usize, text: &dyn Display) {
        let text = text.to_string();
        let mut found = self.found.borrow_mut();
        let place = found.iter().take_while(|mistake| mistake.at <= at).count();
        found.insert(place, Mistake { at, text });
    }

    /// As [`add`](Self::add), for something that is not there.
    pub(super) fn missing(&self, at: usize, text: &dyn Display) {
        if !self.incomplete {
            self.add(at, text);
        }
    }

    /// All of them, in the order of the file; `name` is the file's. None if there are none.
    pub(super) fn into_messages(self, name: &str, source: &str) -> Vec<String> {
        let (name, mut messages) = (printable(name), Vec::new());
        let found = self.found.into_inner();
        for (i, mistake) in found.iter().enumerate() {
            if i == MOST {
                messages.push(format!("{name}: {} more mistakes", found.len() - MOST));
                break;
            }
            messages.push(mistake.show(&name, source));
        }
        messages
    }
}

impl Mistake {
    fn show(&self, name: &str, source: &str) -> String {
        // A position at the end of a file that ends in a line end belongs to the last line that says something.
        let at = self.at.min(source.trim_ascii_end().len());
        let before = source.get(..at).unwrap_or(source);
        let start = before.bytes().rposition(|byte| byte == b'\n').map_or(0, |end| end + 1);
        let column = before.get(start..).unwrap_or_default().chars().count();
        let from = column.saturating_sub(BESIDE);
        let mut shown = String::new();
        let line = source.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        for (i, c) in line.chars().enumerate() {
            if i >= from && i < from + 2 * BESIDE {
                shown.push(printed(c));
            }
        }
        let (line, width) = (line_number(before.as_bytes()), column - from + 1);
        format!("{name}:{line}:{}: {}\n  {shown}\n  {:>width$}", column + 1, self.text, '^')
    }
}

/// The number of the line that comes after that text.
#[inline(never)]
pub(super) fn line_number(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

/// The text with all that could end a line, or do something to a terminal, shown as `?`.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(printed).collect()
}

#[inline(never)]
fn printed(c: char) -> char {
    match c {
        '\t' => ' ',
        '"' | '\'' | '\\' => c,
        // What Debug escapes is what does not print: controls, and marks that change the direction of writing.
        c if c.escape_debug().len() > 1 => '?',
        c => c,
    }
}

/// A value for a message: in quotes, escaped, and not at full length if that is long.
pub(super) fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text)
}

/// See [`quoted`].
pub(super) struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests;
