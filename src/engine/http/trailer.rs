//! Trailer fields: those that may be passed on behind a body. RFC 9110 §6.5.

use super::error::MessageError;
use super::field::{Field, is_plainly_spelled};
use super::headers::append_field;

/// Appends the fields of a trailer section to `out`, with the blank line that ends the message.
///
/// A recipient may merge trailer fields into the header fields, so those are dropped that would change there who the
/// message is for, how long it is or how it is treated (RFC 9110 §6.5.1). All are dropped unless `keep`, which RFC 9110
/// §6.5.1 allows.
///
/// # Errors
/// [`MessageError::Malformed`] if it is no section of field lines.
pub fn forward(section: &[u8], keep: bool, out: &mut Vec<u8>) -> Result<(), MessageError> {
    if section.len() > b"\r\n".len() {
        let lines = memchr::memchr_iter(b'\n', section).count();
        let mut table = vec![httparse::EMPTY_HEADER; lines];
        let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut table) else {
            return Err(MessageError::Malformed("bad-trailer"));
        };
        for field in fields.iter().filter(|field| keep && may_trail(field.name)) {
            append_field(field.name.as_bytes(), field.value, out);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 18] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "expires",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "set-cookie",
        "trailer",
        "vary",
        "www-authenticate",
        "location",
        "retry-after",
    ];
    // Conditions, and what only a proxy can vouch for.
    const NEVER_ANY: [&str; 2] = ["if-", "x-forwarded-"];
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let is_ours = !matches!(Field::named(name.as_bytes()), Field::Other | Field::Referer | Field::UserAgent);
    let may_look_like_ours = !is_plainly_spelled(name.as_bytes()); // CGI makes X-Real-IP of X_Real_IP.
    !is_ours
        && !may_look_like_ours
        && !NEVER_ANY.iter().any(|prefix| begins(prefix))
        && !NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::forward;

    /// RFC 9110 §6.5.1.
    #[test]
    fn fields_that_would_change_the_message_do_not_trail_it() {
        let mut out = Vec::new();
        forward(b"X-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nTransfer-Encoding: x\r\n\r\n", true, &mut out)
            .expect("fields");
        assert_eq!(out, b"X-Sum: 1\r\n\r\n");
    }

    #[test]
    fn a_section_may_have_as_many_lines_as_fit_into_it() {
        let (section, mut out) = ("A: b\r\n".repeat(500) + "\r\n", Vec::new());
        forward(section.as_bytes(), true, &mut out).expect("fields");
        assert_eq!(out, section.as_bytes());
        out.clear();
        forward(section.as_bytes(), false, &mut out).expect("fields");
        assert_eq!(out, b"\r\n");
    }

    #[test]
    fn a_section_that_is_no_field_lines_is_refused() {
        for section in ["X Sum: 1\r\n\r\n", ": 1\r\n\r\n", "X\r\n\r\n", " X: 1\r\n\r\n"] {
            assert!(forward(section.as_bytes(), false, &mut Vec::new()).is_err(), "{section:?}");
        }
    }
}
