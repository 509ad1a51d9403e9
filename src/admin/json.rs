//! Just enough to write JSON (RFC 8259): keys in the order in which they are given, commas where they belong.

use std::fmt::Write;

use crate::escape::JsonString;

/// A document in the making.
pub(super) struct Json(String);

impl Json {
    /// Begins an object, which is the document.
    pub(super) fn object() -> Json {
        Json("{".to_owned())
    }

    /// Ends the document.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    /// A value, or a key, comes next: behind another one, after a comma. No string ends in one of these bytes, since
    /// its quote comes behind them.
    fn separate(&mut self) {
        if !self.0.ends_with(['{', '[', ':']) {
            self.0.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.value(key);
        self.0.push(':');
    }

    fn value(&mut self, text: &str) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "{}", JsonString(text.as_bytes()));
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.value(value);
    }

    /// A text, or null.
    pub(super) fn text_or_null(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, "null"),
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.0.push_str(&value.to_string());
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    fn raw(&mut self, key: &str, word: &str) {
        self.key(key);
        self.0.push_str(word);
    }

    pub(super) fn numbers(&mut self, key: &str, values: &[u64]) {
        self.array(key, values, |json, value| json.0.push_str(&value.to_string()));
    }

    pub(super) fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, values, |json, value| json.value(value));
    }

    /// An array of objects.
    pub(super) fn objects<T>(&mut self, key: &str, items: &[T], fill: impl Fn(&mut Json, &T)) {
        self.array(key, items, |json, item| {
            json.0.push('{');
            fill(json, item);
            json.0.push('}');
        });
    }

    fn array<T>(&mut self, key: &str, items: &[T], show: impl Fn(&mut Json, &T)) {
        self.key(key);
        self.0.push('[');
        for item in items {
            self.separate();
            show(self, item);
        }
        self.0.push(']');
    }

    /// An object as a value.
    pub(super) fn nested(&mut self, key: &str, fill: impl FnOnce(&mut Json)) {
        self.key(key);
        self.0.push('{');
        fill(self);
        self.0.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_and_nothing_ends_a_string() {
        let mut json = Json::object();
        json.text("a", "x\"{");
        json.text_or_null("b", None);
        json.numbers("c", &[1, 2]);
        json.objects("d", &[1, 2], |json, number| json.number("e", *number));
        json.nested("f", |json| json.flag("g", true));
        json.texts("h", &[]);
        assert_eq!(
            json.end(),
            "{\"a\":\"x\\\"{\",\"b\":null,\"c\":[1,2],\"d\":[{\"e\":1},{\"e\":2}],\"f\":{\"g\":true},\"h\":[]}\n"
        );
    }
}
