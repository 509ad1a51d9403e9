//! Changes to field lines. Input: `{ set = { Name = "value" }, remove = ["Name"] }`. Output: [`FieldEdits`] that leave
//! framing and connections to footbridge.

use super::keys::HEADERS;
use super::mistakes::quoted;
use super::table::Table;
use crate::http::Field;
use crate::http::field::is_token;
use crate::settings::route::FieldEdits;

/// Reads the table of that name in a route.
pub(super) fn read(route: &Table<'_>, name: &str) -> FieldEdits {
    let Some(table) = route.table(name, &HEADERS) else { return FieldEdits::default() };
    let mut edits = FieldEdits::default();
    for (name, value, at) in table.texts("set") {
        let twice = edits.set.iter().any(|(known, _): &(String, String)| known.eq_ignore_ascii_case(name));
        let problem = match (field_name(name), field_value(value)) {
            (Err(problem), _) => format!("set {}: {problem}", quoted(name)),
            (Ok(_), Err(problem)) => format!("set.{name} {}: {problem}", quoted(value)),
            (Ok(name), Ok(_)) if twice => format!("set {name:?}: this field is set twice; case makes no difference"),
            (Ok(name), Ok(value)) => {
                edits.set.push((name, value));
                continue;
            }
        };
        table.mistakes().add(at, problem);
    }
    edits.remove = table.list("remove", field_name).unwrap_or_default();
    edits
}

/// The name of a field that an operator may set or remove.
pub(super) fn field_name(name: &str) -> Result<String, &'static str> {
    if !is_token(name.as_bytes()) {
        return Err("this is no name of a field; write letters, digits and -");
    }
    match why_not(name) {
        Some(why) => Err(why),
        None => Ok(name.to_owned()),
    }
}

/// Why nobody but footbridge writes that field.
fn why_not(name: &str) -> Option<&'static str> {
    match Field::named(name.as_bytes()) {
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
fn field_value(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match text {
        _ if !plain => Err("write printable ASCII only"),
        _ if text.trim() != text => Err("write it without spaces around it: they are no part of a value"),
        _ => Ok(text.to_owned()),
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
            assert_eq!(field_value(value).is_ok(), fits, "{value:?}");
        }
    }
}
