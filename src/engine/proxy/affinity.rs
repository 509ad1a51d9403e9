//! What the `hash` policy tells requests apart by: the client, a field or a cookie.

use std::net::IpAddr;

use super::policy::hash_key;
use crate::http::RequestHead;
use crate::settings::group::{Balance, HashKey};

/// The hash of the request's key; 0 for the other policies. Who has no such field or cookie is told by its address.
pub(super) fn key(balance: &Balance, request: &RequestHead, client: Option<IpAddr>) -> u64 {
    let Balance::Hash(of) = balance else { return 0 };
    let said = match of {
        HashKey::Client => None,
        HashKey::Header(name) => request.headers.get(name),
        HashKey::Cookie(name) => cookie(request, name.as_bytes()),
    };
    match (said, client) {
        (Some(said), _) => hash_key(said),
        (None, Some(IpAddr::V4(address))) => hash_key(&address.octets()),
        (None, Some(IpAddr::V6(address))) => hash_key(&address.octets()),
        (None, None) => hash_key(b"unix"),
    }
}

/// The value of the cookie of that name (RFC 6265 §4.2.1).
fn cookie<'a>(request: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    let lines = request.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(b"cookie"));
    let mut pairs = lines.flat_map(|line| line.value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;

    fn request(fields: &str) -> RequestHead {
        let mut head = RequestHead::default();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits { bytes: 512, start_line: 64, field_lines: 8 }).expect("a good head");
        head
    }

    #[test]
    fn a_key_is_what_was_asked_for_or_else_the_client() {
        let (one, other) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        let by = |of: HashKey| Balance::Hash(of);
        let plain = request("");
        assert_ne!(key(&by(HashKey::Client), &plain, one), key(&by(HashKey::Client), &plain, other));
        let user = by(HashKey::Header("X-User".to_owned()));
        assert_eq!(key(&user, &request("x-user: ann\r\n"), one), key(&user, &request("X-User: ann\r\n"), other));
        assert_eq!(key(&user, &plain, one), key(&by(HashKey::Client), &plain, one));
        let session = by(HashKey::Cookie("sid".to_owned()));
        let said = key(&session, &request("Cookie: a=1; sid=7\r\n"), one);
        assert_eq!(said, key(&session, &request("Cookie: xsid=9\r\nCookie: sid=7; b=2\r\n"), other));
        assert_eq!(said, hash_key(b"7"));
        assert_eq!(key(&Balance::Random, &plain, one), 0);
    }
}
