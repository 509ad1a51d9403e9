//! The names of the fields that an intermediary acts upon. All others are passed on unread.

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
    /// Names are compared without case (RFC 9110 §5.1).
    #[must_use]
    pub fn named(name: &[u8]) -> Field {
        // By length first: most names of a message are none of these, and one comparison tells.
        let candidates: &[(&str, Field)] = match name.len() {
            2 => &[("te", Field::Te)],
            3 => &[("via", Field::Via)],
            4 => &[("host", Field::Host), ("date", Field::Date)],
            6 => &[("expect", Field::Expect)],
            7 => &[("upgrade", Field::Upgrade), ("referer", Field::Referer)],
            9 => &[("forwarded", Field::Forwarded), ("x-real-ip", Field::XRealIp)],
            10 => {
                &[("connection", Field::Connection), ("user-agent", Field::UserAgent), ("keep-alive", Field::KeepAlive)]
            }
            12 => &[("max-forwards", Field::MaxForwards), ("x-request-id", Field::XRequestId)],
            14 => &[("content-length", Field::ContentLength)],
            15 => &[("x-forwarded-for", Field::XForwardedFor)],
            16 => &[("x-forwarded-host", Field::XForwardedHost), ("proxy-connection", Field::ProxyConnection)],
            17 => &[("x-forwarded-proto", Field::XForwardedProto), ("transfer-encoding", Field::TransferEncoding)],
            _ => &[],
        };
        // The first letter rules most of the rest out without a call.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let named = candidates
            .iter()
            .find(|(candidate, _)| candidate.as_bytes()[0] == first && name.eq_ignore_ascii_case(candidate.as_bytes()));
        named.map_or(Field::Other, |(_, field)| *field)
    }
}

#[cfg(test)]
mod tests {
    use super::Field;

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
