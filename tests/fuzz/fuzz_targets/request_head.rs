//! Request heads: found and judged the same however they are cut, and what is made of them for the backend says the
//! same again, with one framing and one Host.

#![no_main]

use footbridge::http::head::{HeadLimits, HeadScan};
use footbridge::http::{BodyFraming, Field, RequestHead, framing};
use footbridge::proxy::hop_by_hop::ConnectionOptions;
use footbridge::proxy::request::{Forwarding, IdField, check_request, prepare_request, wants_websocket};
use footbridge::settings::Settings;
use footbridge::settings::route::RouteSettings;
use footbridge_fuzz::{FieldLine, Head, head, origin_form, shown};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { bytes: 500, start_line: 100, field_lines: 16 };
const ROOMY: HeadLimits = HeadLimits { bytes: 8192, start_line: 4096, field_lines: 100 };

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(600)];
    let whole = HeadScan::default().find_end(data, &LIMITS).map_err(|_| ());
    for size in 1..=3 {
        assert_eq!(scan(data, (1..data.len()).step_by(size)), whole, "pieces of {size} of \"{}\"", shown(data));
    }
    for cut in 0..data.len() {
        assert_eq!(scan(data, std::iter::once(cut)), whole, "cut at {cut} of \"{}\"", shown(data));
    }
    let mut request = RequestHead::default();
    let Ok(Some(length)) = whole else {
        let _ = request.parse(data, &LIMITS);
        return;
    };
    if request.parse(&data[..length], &LIMITS).is_err() || check_request(&request).is_err() {
        return;
    }
    let original = head(&data[..length]).expect("well-formed").expect("whole");
    for trusted in [false, true] {
        forward(&request, &original, trusted);
    }
});

/// Where the head ends, if it comes in pieces that end at `ends`.
fn scan(data: &[u8], ends: impl Iterator<Item = usize>) -> Result<Option<usize>, ()> {
    let mut scan = HeadScan::default();
    for end in ends {
        match scan.find_end(&data[..end], &LIMITS) {
            Ok(None) => {}
            found => return found.map_err(|_| ()),
        }
    }
    scan.find_end(data, &LIMITS).map_err(|_| ())
}

/// Makes the backend's head, and reads it again.
fn forward(request: &RequestHead, original: &Head<'_>, trusted: bool) {
    let options = ConnectionOptions::of(&request.headers);
    let Ok(framing) = framing::of_request(request) else { return };
    let upgrade = framing == BodyFraming::None && wants_websocket(request, &options);
    let client = Some([192, 0, 2, 1].into());
    let id = Some(IdField { field: Field::XRequestId, name: "X-Request-Id", value: b"0123456789abcdef" });
    let route = RouteSettings::all_to("app", &Settings::default());
    let how = Forwarding { client, trusted, framing, upgrade, id, host: None, route: &route };
    let mut out = Vec::new();
    prepare_request(request, &options, &how, &mut out);

    let mut again = RequestHead::default();
    again.parse(&out, &ROOMY).unwrap_or_else(|error| panic!("{error}: {}", shown(&out)));
    check_request(&again).unwrap_or_else(|error| panic!("{error:?}: {}", shown(&out)));
    assert_eq!(framing::of_request(&again).ok(), Some(framing), "{}", shown(&out));

    let sent = head(&out).expect("well-formed").expect("whole");
    assert_eq!(sent.length, out.len(), "one head, and not a byte more: {}", shown(&out));
    let (method, target, version) = original.request_line().expect("a request line");
    let (path, authority) = origin_form(method, target);
    assert_eq!(sent.request_line(), Ok((method, &path[..], &b"HTTP/1.1"[..])), "{}", shown(&out));
    let host = authority.or(original.values("host").first().copied()).unwrap_or_default();
    assert_eq!(sent.values("host"), [host]);
    let declared = original.framing(version == b"HTTP/1.0").expect("one framing");
    assert_eq!(sent.framing(false), Ok(declared), "{}", shown(&out));
    assert_eq!(sent.values("connection").len(), usize::from(upgrade));
    assert_eq!(end_to_end(&sent, original), end_to_end(original, original), "{}", shown(&out));
    for (name, _) in sent.lines.iter().filter(|line| has_marks(line.0)) {
        let hyphened = hyphened(name);
        assert!(!hyphened.starts_with("x-forwarded-") && hyphened != "content-length", "{hyphened} passed");
    }
    if !trusted {
        assert_eq!(sent.values("x-forwarded-for"), [b"192.0.2.1"]);
        assert!(sent.values("forwarded").is_empty() && sent.values("x-real-ip").is_empty());
    }
    let hops = original.values("max-forwards").into_iter().map(|value| next_hop(method, value)).collect::<Vec<_>>();
    assert_eq!(sent.values("max-forwards"), hops, "{}", shown(&out));
}

/// Whether a name has other marks than hyphens: CGI and its heirs take it for another one.
fn has_marks(name: &[u8]) -> bool {
    name.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
}

/// What they take it for.
fn hyphened(name: &[u8]) -> String {
    let folded = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.iter().map(folded).map(char::from).collect()
}

/// What Max-Forwards says at the next hop, if the method counts them (RFC 9110 §7.6.2).
fn next_hop(method: &[u8], value: &[u8]) -> Vec<u8> {
    let counts = matches!(method, b"OPTIONS" | b"TRACE") && value.iter().all(u8::is_ascii_digit);
    let left = counts.then(|| String::from_utf8_lossy(value).parse::<u64>().ok()).flatten();
    left.map_or(value.to_vec(), |left| left.saturating_sub(1).to_string().into_bytes())
}

/// The lines that pass through as they are: not those that we make anew or take out, whether by name or because the
/// client's Connection fields name them.
fn end_to_end<'a>(lines: &Head<'a>, original: &Head<'_>) -> Vec<FieldLine<'a>> {
    const OURS: [&str; 16] = [
        "connection",
        "content-length",
        "forwarded",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    ];
    const ALWAYS: [&str; 8] =
        ["authorization", "cookie", "cache-control", "set-cookie", "date", "expect", "x-request-id", "via"];
    let stays = |(name, _): &FieldLine<'_>| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let expects = name == "expect" && original.request_line().is_ok_and(|(.., version)| version == b"HTTP/1.0");
        let ours = expects || OURS.contains(&&*name) || name.starts_with("x-forwarded-") || has_marks(name.as_bytes());
        !ours && (ALWAYS.contains(&&*name) || !original.lists("connection", &name))
    };
    lines.lines.iter().copied().filter(stays).collect()
}
