//! Reads the values of one table, typed, and reports what is wrong with them. Input: a table of the file's tree. Output:
//! values; each one that is wrong is a mistake, and `None`.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::keys::Kind;
use super::mistakes::{Mistakes, quoted};
use super::toml::{self, Entry, Node, Value};
use crate::settings::SettingError;

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
            mistakes.add(node.at, format!("{name}: write a table, {}", kind.title));
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
                mistakes.add(*at, kind.unknown(name));
            }
        }
        Table { kind, tree: table, at, mistakes }
    }

    /// All names and texts of a table whose keys are free.
    pub(super) fn texts(&self, name: &str) -> Vec<(&'a str, &'a str, usize)> {
        let table = match self.get(name).map(|node| &node.value) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.is_wrong_type(name);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut texts = Vec::new();
        for entry in &table.entries {
            if let Value::Text(text) = &entry.node.value {
                texts.push((entry.name.as_str(), text.as_str(), entry.at));
            } else {
                let text = format!("{name}.{}: write a text in quotes", quoted(&entry.name));
                self.mistakes.add(entry.node.at, text);
            }
        }
        texts
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
    pub(super) fn wrong(&self, name: &str, text: &str) {
        self.mistakes.add(self.at_value(name), format!("{name}: {text}"));
    }

    /// Something is not there.
    pub(super) fn missing(&self, text: &str) {
        self.mistakes.missing(self.at, text.to_owned());
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
        self.wrong(name, &format!("write {}", self.kind.accepted(name)));
    }

    /// A text as it is.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let Value::Text(text) = &self.get(name)?.value else { return self.wrong_type(name) };
        Some(text)
    }

    /// A text that `parse` takes.
    pub(super) fn parsed<T, E: Display>(&self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(name)?;
        self.parse(name, text, self.at_value(name), parse)
    }

    fn parse<T, E: Display>(
        &self,
        name: &str,
        text: &str,
        at: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text).map_err(|error| self.refuse(name, text, at, &error)).ok()
    }

    /// Apart from those who call it, of which there is one for each type of value.
    #[inline(never)]
    fn refuse(&self, name: &str, text: &str, at: usize, error: &dyn Display) {
        self.mistakes.add(at, format!("{name} {}: {error}", quoted(text)));
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let Value::Flag(flag) = self.get(name)?.value else { return self.wrong_type(name) };
        Some(flag)
    }

    /// A whole number in that range.
    pub(super) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        number_in(self.get(name)?, &range).or_else(|| self.wrong_type(name))
    }

    /// A list of whole numbers in that range.
    pub(super) fn numbers(&self, name: &str, range: &RangeInclusive<u64>) -> Option<Vec<u64>> {
        let numbers: Option<Vec<_>> = self.values(name)?.iter().map(|node| number_in(node, range)).collect();
        numbers.filter(|numbers| !numbers.is_empty()).or_else(|| self.wrong_type(name))
    }

    /// A list of texts that `parse` takes, without those that it does not take.
    pub(super) fn list<T, E: Display>(&self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for node in self.values(name)? {
            if let Value::Text(text) = &node.value {
                values.extend(self.parse(name, text, node.at, &parse));
            } else {
                self.mistakes.add(node.at, format!("{name}: write {}", self.kind.accepted(name)));
            }
        }
        Some(values)
    }

    /// A list of anything.
    pub(super) fn values(&self, name: &str) -> Option<&'a [Node]> {
        let Value::List(list) = &self.get(name)?.value else { return self.wrong_type(name) };
        Some(list)
    }

    pub(super) fn is_empty_list(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Node { value: Value::List(list), .. }) if list.is_empty())
    }

    /// A table in this table.
    pub(super) fn table(&self, name: &str, kind: &'static Kind) -> Option<Table<'a>> {
        Table::open(name, self.get(name)?, kind, self.mistakes)
    }

    /// A list of tables in this table.
    pub(super) fn tables(&self, name: &str, kind: &'static Kind) -> Vec<Table<'a>> {
        let tables = self.values(name).unwrap_or_default();
        tables.iter().filter_map(|node| Table::open(name, node, kind, self.mistakes)).collect()
    }

    /// Gives each of the kind's settings that is there to `set`, by its full name.
    pub(super) fn settings(&self, set: &mut dyn FnMut(&str, &str) -> Result<(), SettingError>) {
        for name in self.kind.settings() {
            let Some(node) = self.tree.get(name) else { continue };
            let (text, in_quotes) = match &node.value {
                Value::Text(text) => (text.clone(), true),
                Value::Whole(Some(number)) => (number.to_string(), false),
                // Negative, or too large for any setting: refused as that, below.
                Value::Whole(None) => ("-".to_owned(), false),
                _ => {
                    self.is_wrong_type(name);
                    continue;
                }
            };
            let bare = text.bytes().all(|byte| byte.is_ascii_digit());
            match set(&self.kind.full(name), &text) {
                Ok(()) if in_quotes && bare => {
                    self.wrong(name, &format!("write the number without quotes: {text}"));
                }
                Ok(()) => {}
                Err(SettingError::Value { accepted, .. }) => self.wrong(name, &accepted),
                Err(error) => self.wrong(name, &error.to_string()),
            }
        }
    }
}

fn number_in(node: &Node, range: &RangeInclusive<u64>) -> Option<u64> {
    if let Value::Whole(number) = node.value { number.filter(|number| range.contains(number)) } else { None }
}
