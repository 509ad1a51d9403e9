//! Reads the values of one table, typed, and reports what is wrong with them. Input: a table of the file's tree. Output:
//! values; each one that is wrong is a mistake, and `None`.

use std::fmt::Display;

use super::keys::Kind;
use super::mistakes::{Mistakes, quoted};
use super::toml::{self, Entry, Node, Value};
use crate::settings::SettingError;

/// Sets a key to a value.
pub(super) type Set<'a> = dyn FnMut(&str, &str) -> Result<(), SettingError> + 'a;

/// One table of the file.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    kind: &'static Kind,
    tree: &'a toml::Table,
    at: usize,
    mistakes: &'a Mistakes,
}

impl<'a> Table<'a> {
    /// The table in `value`, all of whose keys have to be of that kind. `name` is what it is called if it is none.
    pub(super) fn open(name: &str, node: &'a Node, kind: &'static Kind, mistakes: &'a Mistakes) -> Option<Table<'a>> {
        let Value::Table(table) = &node.value else {
            mistakes.add(node.at, &format_args!("{name}: write a table, {}", kind.title));
            return None;
        };
        Some(Table::of(table, node.at, kind, mistakes))
    }

    /// As [`open`](Self::open), for what is a table already.
    pub(super) fn of(table: &'a toml::Table, at: usize, kind: &'static Kind, mistakes: &'a Mistakes) -> Table<'a> {
        for Entry { name, at, node } in &table.entries {
            // Groups have names of their own.
            let is_named = kind.holds_tables && matches!(node.value, Value::Table(_));
            if !is_named && !kind.has(name) {
                mistakes.add(*at, &kind.unknown(name));
            }
        }
        Table { kind, tree: table, at, mistakes }
    }

    /// All that is in a table whose keys are free.
    pub(super) fn entries(&self, name: &str) -> &'a [Entry] {
        match self.get(name).map(|node| &node.value) {
            Some(Value::Table(table)) => return &table.entries,
            Some(_) => self.is_wrong_type(name),
            None => {}
        }
        &[]
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the value of that key is; where the table begins if there is none.
    pub(super) fn at_value(&self, name: &str) -> usize {
        self.tree.get(name).map_or(self.at, |node| node.at)
    }

    pub(super) fn mistakes(&self) -> &'a Mistakes {
        self.mistakes
    }

    /// Something is wrong with that value.
    #[inline(never)]
    pub(super) fn wrong(&self, name: &str, text: &dyn Display) {
        self.mistakes.add(self.at_value(name), &format_args!("{name}: {text}"));
    }

    /// Something is not there.
    #[inline(never)]
    pub(super) fn missing(&self, text: &dyn Display) {
        self.mistakes.missing(self.at, text);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tree.get(name).is_some()
    }

    /// The value, of whatever type.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        debug_assert!(self.kind.has(name), "{name} is in no list of keys");
        self.tree.get(name)
    }

    /// The value is of the wrong type.
    fn wrong_type<T>(&self, name: &str) -> Option<T> {
        self.is_wrong_type(name);
        None
    }

    #[inline(never)]
    fn is_wrong_type(&self, name: &str) {
        self.wrong(name, &format_args!("write {}", self.kind.accepted(name)));
    }

    /// A text as it is.
    #[inline(never)]
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let Value::Text(text) = &self.get(name)?.value else { return self.wrong_type(name) };
        Some(text)
    }

    /// A text that `parse` takes.
    #[inline(never)]
    pub(super) fn parsed<T, E: Display>(&self, name: &str, parse: fn(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(name)?;
        parse(text).map_err(|error| self.refuse(name, text, self.at_value(name), &error)).ok()
    }

    /// Apart from those who call it, of which there is one for each type of value.
    #[inline(never)]
    pub(super) fn refuse(&self, name: &str, text: &str, at: usize, error: &dyn Display) {
        self.mistakes.add(at, &format_args!("{name} {}: {error}", quoted(text)));
    }

    /// `true` or `false`.
    #[inline(never)]
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let Value::Flag(flag) = self.get(name)?.value else { return self.wrong_type(name) };
        Some(flag)
    }

    /// A whole number from `least` to `most`.
    #[inline(never)]
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Option<u64> {
        number_in(self.get(name)?, least, most).or_else(|| self.wrong_type(name))
    }

    /// A list of statuses.
    pub(super) fn statuses(&self, name: &str) -> Option<Vec<u16>> {
        let mut statuses = Vec::new();
        for node in self.values(name)? {
            match number_in(node, 100, 599).and_then(|status| u16::try_from(status).ok()) {
                Some(status) => statuses.push(status),
                None => return self.wrong_type(name),
            }
        }
        if statuses.is_empty() { self.wrong_type(name) } else { Some(statuses) }
    }

    /// A list of texts that `parse` takes, without those that it does not take.
    pub(super) fn list<T, E: Display>(&self, name: &str, parse: fn(&str) -> Result<T, E>) -> Vec<T> {
        let mut values = Vec::new();
        self.each_text(name, &mut |text, at| match parse(text) {
            Ok(value) => values.push(value),
            Err(error) => self.refuse(name, text, at, &error),
        });
        values
    }

    /// Gives `take` each text of a list, and where it is.
    #[inline(never)]
    fn each_text(&self, name: &str, take: &mut dyn FnMut(&str, usize)) {
        for node in self.values(name).unwrap_or_default() {
            if let Value::Text(text) = &node.value {
                take(text, node.at);
            } else {
                self.mistakes.add(node.at, &format_args!("{name}: write {}", self.kind.accepted(name)));
            }
        }
    }

    /// A list of anything.
    #[inline(never)]
    pub(super) fn values(&self, name: &str) -> Option<&'a [Node]> {
        let Value::List(list) = &self.get(name)?.value else { return self.wrong_type(name) };
        Some(list)
    }

    pub(super) fn is_empty_list(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Node { value: Value::List(list), .. }) if list.is_empty())
    }

    /// A table in this table.
    #[inline(never)]
    pub(super) fn table(&self, name: &str, kind: &'static Kind) -> Option<Table<'a>> {
        Table::open(name, self.get(name)?, kind, self.mistakes)
    }

    /// A list of tables in this table.
    pub(super) fn tables(&self, name: &str, kind: &'static Kind) -> Vec<Table<'a>> {
        let tables = self.values(name).unwrap_or_default();
        tables.iter().filter_map(|node| Table::open(name, node, kind, self.mistakes)).collect()
    }

    /// As [`settings`](Self::settings), for those in tables in this table.
    #[inline(never)]
    pub(super) fn settings_in(&self, tables: &[(&str, &'static Kind)], set: &mut Set<'_>) {
        for (name, kind) in tables {
            if let Some(table) = self.table(name, kind) {
                table.settings(set);
            }
        }
    }

    /// Gives each of the kind's settings that is there to `set`, by its full name.
    pub(super) fn settings(&self, set: &mut Set<'_>) {
        for name in self.kind.settings() {
            let Some(node) = self.tree.get(name) else { continue };
            let digits;
            let (text, in_quotes) = match &node.value {
                Value::Text(text) => (text.as_str(), true),
                Value::Whole(Some(number)) => {
                    digits = number.to_string();
                    (digits.as_str(), false)
                }
                // Negative, or too large for any setting: refused as that, below.
                Value::Whole(None) => ("-", false),
                _ => {
                    self.is_wrong_type(name);
                    continue;
                }
            };
            let bare = text.bytes().all(|byte| byte.is_ascii_digit());
            match set(&self.kind.full(name), text) {
                Ok(()) if in_quotes && bare => {
                    self.wrong(name, &format_args!("write the number without quotes: {text}"));
                }
                Ok(()) => {}
                Err(SettingError::Value { accepted, .. }) => self.wrong(name, &accepted),
                Err(error) => self.wrong(name, &error),
            }
        }
    }
}

fn number_in(node: &Node, least: u64, most: u64) -> Option<u64> {
    if let Value::Whole(number) = node.value {
        number.filter(|number| least <= *number && *number <= most)
    } else {
        None
    }
}
