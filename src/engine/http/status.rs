//! Status codes: all from 100 to 599 may pass; those that we send ourselves have names.

/// A status code, 100 to 599.
///
/// Python: `http.HTTPStatus`. Departs: not a closed set, since an intermediary passes on codes it has never heard of.
#[doc(alias = "HTTPStatus")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpStatus(pub u16);

#[allow(missing_docs, reason = "each is the status of that name, RFC 9110 §15 and RFC 6585")]
impl HttpStatus {
    pub const CONTINUE: HttpStatus = HttpStatus(100);
    pub const SWITCHING_PROTOCOLS: HttpStatus = HttpStatus(101);
    pub const OK: HttpStatus = HttpStatus(200);
    pub const NO_CONTENT: HttpStatus = HttpStatus(204);
    pub const NOT_MODIFIED: HttpStatus = HttpStatus(304);
    pub const BAD_REQUEST: HttpStatus = HttpStatus(400);
    pub const FORBIDDEN: HttpStatus = HttpStatus(403);
    pub const NOT_FOUND: HttpStatus = HttpStatus(404);
    pub const METHOD_NOT_ALLOWED: HttpStatus = HttpStatus(405);
    pub const REQUEST_TIMEOUT: HttpStatus = HttpStatus(408);
    pub const CONTENT_TOO_LARGE: HttpStatus = HttpStatus(413);
    pub const URI_TOO_LONG: HttpStatus = HttpStatus(414);
    pub const UPGRADE_REQUIRED: HttpStatus = HttpStatus(426);
    pub const REQUEST_HEADER_FIELDS_TOO_LARGE: HttpStatus = HttpStatus(431);
    pub const CLIENT_CLOSED_REQUEST: HttpStatus = HttpStatus(499);
    pub const INTERNAL_SERVER_ERROR: HttpStatus = HttpStatus(500);
    pub const NOT_IMPLEMENTED: HttpStatus = HttpStatus(501);
    pub const BAD_GATEWAY: HttpStatus = HttpStatus(502);
    pub const SERVICE_UNAVAILABLE: HttpStatus = HttpStatus(503);
    pub const GATEWAY_TIMEOUT: HttpStatus = HttpStatus(504);
    pub const HTTP_VERSION_NOT_SUPPORTED: HttpStatus = HttpStatus(505);
}

/// Codes and their reason phrases, in ascending order (RFC 9110 §15, RFC 6585, RFC 8297; 499 is nginx's).
#[rustfmt::skip]
static PHRASES: [(u16, &str); 47] = [
    (100, "Continue"),
    (101, "Switching Protocols"),
    (103, "Early Hints"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (499, "Client Closed Request"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
];

impl HttpStatus {
    /// The reason phrase that belongs to the code; "Unknown" for others.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        let known = PHRASES.binary_search_by_key(&self.0, |(code, _)| *code);
        known.map_or("Unknown", |place| PHRASES[place].1)
    }

    /// 1xx: another response follows (RFC 9110 §15.2).
    #[must_use]
    pub fn is_interim(self) -> bool {
        (100..200).contains(&self.0)
    }

    /// 5xx: the server failed (RFC 9110 §15.6).
    #[must_use]
    pub fn is_server_error(self) -> bool {
        (500..600).contains(&self.0)
    }

    /// Whether a response of this status never has content, whatever its fields say (RFC 9112 §6.3 item 1).
    #[must_use]
    pub fn has_no_content(self) -> bool {
        self.is_interim() || self == HttpStatus::NO_CONTENT || self == HttpStatus::NOT_MODIFIED
    }
}

impl std::fmt::Display for HttpStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_is_found_in_it() {
        for (code, phrase) in PHRASES {
            assert_eq!(HttpStatus(code).phrase(), phrase, "{code}");
        }
        assert_eq!(HttpStatus(299).phrase(), "Unknown");
    }
}
