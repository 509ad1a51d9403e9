//! Changes to field lines. Input: `{ set = { Name = "value" }, remove = ["Name"] }`. Output: [`FieldEdits`] that leave
//! framing and connections to footbridge.

use super::keys::HEADERS;
use super::mistakes::quoted;
use super::table::Table;
use super::toml::{Entry, Value};
use crate::http::Field;
use crate::http::field::is_token;
use crate::settings::route::FieldEdits;

/// Reads the table of that name in a route.
pub(super) fn read(route: &Table<'_>, name: &str) -> FieldEdits {
    let Some(table) = route.table(name, &HEADERS) else { return FieldEdits::default() };
    let mut edits = FieldEdits::default();
    for Entry { name, at, node } in table.entries("set") {
        let Value::Text(value) = &node.value else {
            table.mistakes().add(node.at, &format_args!("set.{}: write a text in quotes", quoted(name)));
            continue;
        };
        let twice = edits.set.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some(why) = why_not(name) {
            table.mistakes().add(*at, &format_args!("set {}: {why}", quoted(name)));
        } else if let Some(why) = why_no_value(value) {
            table.mistakes().add(*at, &format_args!("set.{name} {}: {why}", quoted(value)));
        } else if twice {
            table.mistakes().add(*at, &format_args!("set {name:?}: this field is set twice; case makes no difference"));
        } else {
            edits.set.push((name.clone(), value.clone()));
        }
    }
    edits.remove = table.list("remove", field_name);
    edits
}

/// The name of a field that an operator may set or remove.
pub(super) fn field_name(name: &str) -> Result<String, &'static str> {
    match why_not(name) {
        Some(why) => Err(why),
        None => Ok(name.to_owned()),
    }
}

/// Why that is no name, or nobody but footbridge writes that field.
fn why_not(name: &str) -> Option<&'static str> {
    match Field::named(name.as_bytes()) {
        _ if !is_token(name.as_bytes()) => Some("this is no name of a field; write letters, digits and -"),
        Field::ContentLength | Field::TransferEncoding => {
            Some("it says where the content ends; footbridge makes it for each connection")
        }
        Field::Connection | Field::KeepAlive | Field::ProxyConnection | Field::Te | Field::Upgrade => {
            Some("it is for one connection only (RFC 9110 section 7.6.1); footbridge makes it where it is needed")
        }
        Field::Host => Some("set host in [backends.*] for what a backend is sent"),
        Field::Expect => Some("footbridge takes part in it: it may have to send the 100 itself"),
        Field::Via => Some("whoever forwards a message has to add to it (RFC 9110 section 7.6.3)"),
        _ if name.eq_ignore_ascii_case("trailer") => Some("it belongs to the framing of the content"),
        _ => None,
    }
}

/// field-value (RFC 9110 §5.5), ASCII only: what is beyond it, readers take in different ways.
fn why_no_value(text: &str) -> Option<&'static str> {
    if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        Some("write printable ASCII only")
    } else if text.starts_with(' ') || text.ends_with(' ') {
        Some("write it without spaces around it: they are no part of a value")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_ours_can_be_set() {
        for name in ["X-Env", "Strict-Transport-Security", "X-Forwarded-For", "Server", "Authorization"] {
            assert!(field_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "a b", "X:", "content-length", "Transfer-Encoding", "Connection", "TE", "Host", "via", "Trailer"]
        {
            assert!(field_name(name).is_err(), "{name}");
        }
        for (value, fits) in
            [("", true), ("a b", true), (" a", false), ("a\r\nb", false), ("\u{e9}", false), ("\t", false)]
        {
            assert_eq!(why_no_value(value).is_none(), fits, "{value:?}");
        }
    }
}
