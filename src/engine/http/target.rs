//! Request targets and authorities: which forms there are, and which are refused. RFC 9112 §3.2, RFC 9110 §4.2.

use super::error::MessageError;

/// Refuses a target that does not fit the method, or that no server could read in one way only.
///
/// # Errors
/// [`MessageError::Malformed`].
pub fn check(method: &[u8], target: &[u8]) -> Result<(), MessageError> {
    // A fragment is never sent (RFC 9112 §3.2.1): some servers cut it off, some do not. Bytes beyond ASCII are no part
    // of a URI; some servers decode them one way, some another.
    if target.iter().any(|byte| *byte == b'#' || !byte.is_ascii_graphic()) {
        return Err(MessageError::Malformed("bad-target"));
    }
    let fits = match target {
        _ if method == b"CONNECT" => true, // Refused by its method, with a better answer.
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => split_absolute(target).is_some_and(|(authority, _)| is_authority(authority) && !authority.is_empty()),
    };
    if fits { Ok(()) } else { Err(MessageError::Malformed("bad-target")) }
}

/// The authority and the rest of a target in absolute-form; `None` if it is in another form.
#[must_use]
#[inline]
pub fn split_absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if target.first() == Some(&b'/') { None } else { split_scheme(target) }
}

fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// The host of an authority, without its port; the brackets of an IPv6 address stay.
#[must_use]
pub fn host_of(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|byte| *byte == b':') {
        // The colons of an IPv6 address stand in brackets.
        Some(colon) if !authority[colon..].contains(&b']') => &authority[..colon],
        _ => authority,
    }
}

/// Whether a Host value or an absolute target's authority is `uri-host [":" port]`: no userinfo, which RFC 9110 §4.2.4
/// wants treated as an error, and no list.
#[must_use]
pub fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            if !is_ip_literal(&rest[..end]) {
                return false;
            }
            (&b""[..], &rest[end + 1..])
        }
        _ => authority.split_at(authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len())),
    };
    let is_name = host.iter().all(|byte| is_host_byte(*byte)) && !host.windows(2).any(|pair| pair == b"..");
    is_name && is_port(port) && authority.first() != Some(&b':')
}

fn is_ip_literal(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// reg-name = unreserved / sub-delims (RFC 3986 §3.2.2), but for the comma: it would make a list of it. And without
/// pct-encoded: a host that only some readers know again would slip past the route that guards it. For the same reason
/// a name has no empty part.
fn is_host_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\''
            | b'(' | b')' | b'*' | b'+' | b';' | b'='
    )
}

/// Nothing, or a colon and at most five digits.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, is_authority, split_absolute};

    /// RFC 9112 §3.2: origin-form, absolute-form, asterisk-form; authority-form is CONNECT's.
    #[test]
    fn a_target_fits_its_method_or_is_refused() {
        for (method, target, want) in [
            ("GET", "/", true),
            ("GET", "//two", true),
            ("GET", "/a?b=c{|}\"", true),
            ("GET", "/a#b", false),
            ("GET", "/caf\u{e9}", false),
            ("GET", "*", false),
            ("OPTIONS", "*", true),
            ("GET", "a.example:80", false),
            ("GET", "relative", false),
            ("GET", "http://a.example", true),
            ("GET", "HTTP://a.example?x", true),
            ("GET", "http:///x", false),
            ("GET", "http://:80/x", false),
            ("GET", "http://user@a.example/", false),
            ("GET", "ftp://a.example/", false),
        ] {
            assert_eq!(check(method.as_bytes(), target.as_bytes()).is_ok(), want, "{method} {target}");
        }
    }

    #[test]
    fn an_absolute_target_is_an_authority_and_the_rest() {
        for (target, want) in [
            ("http://a:1/b?c", Some(("a:1", "/b?c"))),
            ("https://a", Some(("a", ""))),
            ("http://a?b", Some(("a", "?b"))),
            ("/http://a", None),
        ] {
            let want = want.map(|(authority, rest): (&str, &str)| (authority.as_bytes(), rest.as_bytes()));
            assert_eq!(split_absolute(target.as_bytes()), want, "{target}");
        }
    }

    /// RFC 9110 §7.2, RFC 3986 §3.2.
    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (authority, want) in [
            ("", true),
            ("a.example", true),
            ("a.example:8080", true),
            ("a.example:", true),
            ("127.0.0.1:1", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("[::1", false),
            ("[::g]", false),
            ("[::1]x", false),
            ("a,b", false),
            ("a b", false),
            ("user@a", false),
            ("a/b", false),
            ("a:8x", false),
            ("a:123456", false),
            ("a:1:2", false),
            (":80", false),
            (":", false),
            ("a%2eexample", false),
            ("a.example.", true),
            ("a.example..", false),
            ("a..example", false),
            ("<script>", false),
        ] {
            assert_eq!(is_authority(authority.as_bytes()), want, "{authority}");
        }
    }
}
