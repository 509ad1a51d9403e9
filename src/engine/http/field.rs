//! The names of the fields that an intermediary acts upon. All others are passed on unread.

use crate::settings::route::folded;

/// A field name, told apart once when the head is parsed, so that later steps compare a byte and not a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of that name")]
pub enum Field {
    Connection,
    ContentLength,
    Date,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    MaxForwards,
    ProxyConnection,
    Referer,
    Te,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRealIp,
    XRequestId,
    /// Every other name.
    Other,
}

impl Field {
    /// Which field the token `name` names, without case (RFC 9110 §5.1).
    #[must_use]
    pub fn named(name: &[u8]) -> Field {
        // Length and first letter leave one candidate: most names of a message are none of these, and this tells.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let (candidate, field): (&[u8], Field) = match (name.len(), first) {
            (2, b't') => (b"te", Field::Te),
            (3, b'v') => (b"via", Field::Via),
            (4, b'd') => (b"date", Field::Date),
            (4, b'h') => (b"host", Field::Host),
            (6, b'e') => (b"expect", Field::Expect),
            (7, b'r') => (b"referer", Field::Referer),
            (7, b'u') => (b"upgrade", Field::Upgrade),
            (9, b'f') => (b"forwarded", Field::Forwarded),
            (9, b'x') => (b"x-real-ip", Field::XRealIp),
            (10, b'c') => (b"connection", Field::Connection),
            (10, b'k') => (b"keep-alive", Field::KeepAlive),
            (10, b'u') => (b"user-agent", Field::UserAgent),
            (12, b'm') => (b"max-forwards", Field::MaxForwards),
            (12, b'x') => (b"x-request-id", Field::XRequestId),
            (14, b'c') => (b"content-length", Field::ContentLength),
            (15, b'x') => (b"x-forwarded-for", Field::XForwardedFor),
            (16, b'p') => (b"proxy-connection", Field::ProxyConnection),
            (16, b'x') => (b"x-forwarded-host", Field::XForwardedHost),
            (17, b't') => (b"transfer-encoding", Field::TransferEncoding),
            (17, b'x') => (b"x-forwarded-proto", Field::XForwardedProto),
            _ => return Field::Other,
        };
        if is_spelled_like(name, candidate) { field } else { Field::Other }
    }
}

/// Whether the token `name` is `lower`, letters and hyphens, in whatever case; both are of one length. Eight bytes at
/// once: setting a bit makes a letter lower-case and leaves a hyphen what it is, and no other byte of a token that.
fn is_spelled_like(name: &[u8], lower: &[u8]) -> bool {
    const CASE: u8 = 0x20;
    let (words, rest) = name.as_chunks::<8>();
    let (lower_words, lower_rest) = lower.as_chunks::<8>();
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    words.iter().zip(lower_words).all(|(name, lower)| word(name) | word(&[CASE; 8]) == word(lower))
        && rest.iter().zip(lower_rest).all(|(name, lower)| name | CASE == *lower)
}

/// Whether a name that is none of these could be taken for one of those that must not be pretended: CGI and its heirs make
/// the same variable of `X-Forwarded-For` and of `X_Forwarded_For`, of `Content-Length` and of `Content_Length`, and
/// lighttpd of `X.Forwarded.For`, too. Most names are told by a letter.
#[must_use]
pub(super) fn looks_like_ours(name: &[u8]) -> bool {
    match name.first() {
        Some(b'X' | b'x') => starts_like(name, b"x-forwarded-") || is_like(name, b"x-real-ip"),
        Some(b'C' | b'c') => is_like(name, b"content-length"),
        Some(b'T' | b't') => is_like(name, b"transfer-encoding"),
        _ => false,
    }
}

fn is_like(name: &[u8], like: &[u8]) -> bool {
    name.len() == like.len() && starts_like(name, like)
}

/// Whether a name begins with `prefix`, without case, and with every mark taken for a hyphen.
fn starts_like(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(byte, want)| folded(*byte) == *want)
}

/// Whether a name is letters, digits and hyphens: no CGI takes it for another one.
#[must_use]
pub fn is_plainly_spelled(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// What names of fields, methods and the like are made of: `1*tchar` (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::{Field, is_token};

    #[test]
    fn a_token_has_no_separators() {
        for (text, want) in [("X-a", true), ("!", true), ("", false), ("a b", false), ("a:", false), ("\u{e9}", false)]
        {
            assert_eq!(is_token(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn every_field_is_known_by_its_name() {
        for (name, want) in [
            ("connection", Field::Connection),
            ("content-length", Field::ContentLength),
            ("date", Field::Date),
            ("expect", Field::Expect),
            ("forwarded", Field::Forwarded),
            ("host", Field::Host),
            ("keep-alive", Field::KeepAlive),
            ("max-forwards", Field::MaxForwards),
            ("proxy-connection", Field::ProxyConnection),
            ("referer", Field::Referer),
            ("te", Field::Te),
            ("transfer-encoding", Field::TransferEncoding),
            ("upgrade", Field::Upgrade),
            ("user-agent", Field::UserAgent),
            ("via", Field::Via),
            ("x-forwarded-for", Field::XForwardedFor),
            ("x-forwarded-host", Field::XForwardedHost),
            ("x-forwarded-proto", Field::XForwardedProto),
            ("x-real-ip", Field::XRealIp),
            ("x-request-id", Field::XRequestId),
        ] {
            assert_eq!(Field::named(name.as_bytes()), want, "{name}");
            assert_eq!(Field::named(name.to_uppercase().as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn names_are_compared_without_case() {
        for (name, want) in [
            ("Host", Field::Host),
            ("HOST", Field::Host),
            ("transfer-Encoding", Field::TransferEncoding),
            ("Transfer_Encoding", Field::Other),
            ("X-Forwarded-For", Field::XForwardedFor),
            ("Hosts", Field::Other),
            ("", Field::Other),
        ] {
            assert_eq!(Field::named(name.as_bytes()), want, "{name}");
        }
    }
}
