//! A strict reader of JSON (RFC 8259), which finds one value again: enough to say that a document is one.

/// The value at `path`, keys and places joined by dots, as it is written; panics if the document is no JSON.
pub fn at(document: &str, path: &str) -> Option<String> {
    let mut found = None;
    let rest = value(document.trim_end(), "", path, &mut found);
    assert_eq!(rest, "", "something stands behind the document");
    found
}

/// Reads a value, which is at `here`; what stands behind it.
fn value<'a>(text: &'a str, here: &str, path: &str, found: &mut Option<String>) -> &'a str {
    let rest = match text.bytes().next() {
        Some(b'{') => members(&text[1..], '}', here, path, found),
        Some(b'[') => members(&text[1..], ']', here, path, found),
        Some(b'"') => string(text).1,
        _ => {
            let end = text.find([',', '}', ']']).unwrap_or(text.len());
            let word = &text[..end];
            assert!(["true", "false", "null"].contains(&word) || word.parse::<f64>().is_ok(), "no value: {word:?}");
            &text[end..]
        }
    };
    if here == path {
        *found = Some(text[..text.len() - rest.len()].trim_matches('"').to_owned());
    }
    rest
}

fn members<'a>(mut text: &'a str, end: char, here: &str, path: &str, found: &mut Option<String>) -> &'a str {
    if let Some(rest) = text.strip_prefix(end) {
        return rest;
    }
    for place in 0.. {
        let mut key = place.to_string();
        if end == '}' {
            let (name, rest) = string(text);
            name.clone_into(&mut key);
            text = rest.strip_prefix(':').unwrap_or_else(|| panic!("no colon: {rest:.40}"));
        }
        let inner = if here.is_empty() { key } else { format!("{here}.{key}") };
        text = value(text, &inner, path, found);
        if let Some(rest) = text.strip_prefix(end) {
            return rest;
        }
        text = text.strip_prefix(',').unwrap_or_else(|| panic!("no comma: {text:.40}"));
    }
    text
}

/// What is inside the quotes, and what stands behind them.
fn string(text: &str) -> (&str, &str) {
    let inner = text.strip_prefix('"').unwrap_or_else(|| panic!("no string: {text:.40}"));
    let mut escaped = false;
    for (at, char) in inner.char_indices() {
        assert!(!char.is_control(), "a control character inside a string");
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (&inner[..at], &inner[at + 1..]),
            _ => {}
        }
    }
    panic!("a string without an end: {text:.40}")
}
