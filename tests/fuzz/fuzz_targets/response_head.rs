//! Response heads: found and judged the same however they are cut, and what is made of them for the client says the
//! same again, with a framing that this client and this request know.

#![no_main]

use footbridge::http::head::{HeadLimits, HeadScan};
use footbridge::http::{BodyFraming, HttpVersion, ResponseHead, framing};
use footbridge::proxy::hop_by_hop::ConnectionOptions;
use footbridge::proxy::response::{Answering, accepts_websocket, prepare_interim, prepare_response, prepare_upgrade};
use footbridge::settings::route::FieldEdits;
use footbridge_fuzz::{FieldLine, Framing, Head, head, shown};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { bytes: 500, start_line: 500, field_lines: 16 };
const ROOMY: HeadLimits = HeadLimits { bytes: 8192, start_line: 8192, field_lines: 100 };

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(600)];
    let whole = HeadScan::default().find_end(data, &LIMITS).map_err(|_| ());
    for cut in 0..data.len() {
        let mut scan = HeadScan::default();
        let early = scan.find_end(&data[..cut], &LIMITS);
        let end = if matches!(early, Ok(None)) { scan.find_end(data, &LIMITS) } else { early };
        assert_eq!(end.map_err(|_| ()), whole, "cut at {cut} of \"{}\"", shown(data));
    }
    let mut response = ResponseHead::default();
    let Ok(Some(length)) = whole else {
        let _ = response.parse(data, &LIMITS);
        return;
    };
    if response.parse(&data[..length], &LIMITS).is_err() {
        return;
    }
    let original = head(&data[..length]).expect("well-formed").expect("whole");
    assert_eq!(original.status(), Ok(response.status.0));
    if response.status.is_interim() {
        pass_interim(&response, &original);
        return;
    }
    for choice in 0..8 {
        let version = if choice & 1 == 0 { HttpVersion::Http11 } else { HttpVersion::Http10 };
        answer(&response, &original, version, choice & 2 != 0, choice & 4 != 0);
    }
});

fn pass_interim(response: &ResponseHead, original: &Head<'_>) {
    let options = ConnectionOptions::of(&response.headers);
    let mut out = Vec::new();
    if accepts_websocket(response, &options) {
        let (framing, version) = (BodyFraming::None, HttpVersion::Http11);
        let how = Answering { framing, version, to_head: false, keep: false, edits: FieldEdits::NONE, id: None };
        prepare_upgrade(response, &options, &how, &mut out);
    } else {
        prepare_interim(response, &options, FieldEdits::NONE, &mut out);
    }
    let sent = read_again(&out, response);
    assert_eq!(sent.framing(false), Ok(None), "an interim response has no content: {}", shown(&out));
    assert_eq!(end_to_end(&sent, original), end_to_end(original, original), "{}", shown(&out));
}

fn answer(response: &ResponseHead, original: &Head<'_>, version: HttpVersion, to_head: bool, keep: bool) {
    let Ok(framing) = framing::of_response(response, to_head) else { return };
    let how = Answering { framing, version, to_head, keep, edits: FieldEdits::NONE, id: None };
    let options = ConnectionOptions::of(&response.headers);
    let mut out = Vec::new();
    prepare_response(response, &options, &how, &mut out);
    let sent = read_again(&out, response);
    let declared = original.framing(original.start.starts_with(b"HTTP/1.0")).expect("one framing");
    let want = match (framing, version) {
        // What HEAD, 204 and 304 say of the length moves nothing.
        (BodyFraming::None, _) if response.status.0 == 204 => None,
        (BodyFraming::None, _) if to_head || response.status.0 == 304 => {
            declared.filter(|said| *said != Framing::Chunked)
        }
        (BodyFraming::None, _) => Some(Framing::Nothing),
        (BodyFraming::Length(length), _) => Some(Framing::Length(length)),
        (BodyFraming::Chunked | BodyFraming::UntilClose, HttpVersion::Http11) => Some(Framing::Chunked),
        (BodyFraming::Chunked | BodyFraming::UntilClose, HttpVersion::Http10) => None,
    };
    assert_eq!(sent.framing(false), Ok(want), "{}", shown(&out));
    assert_eq!(sent.lists("connection", "close"), !keep);
    assert!(!sent.values("date").is_empty());
    assert_eq!(end_to_end(&sent, original), end_to_end(original, original), "{}", shown(&out));
}

fn read_again<'a>(out: &'a [u8], response: &ResponseHead) -> Head<'a> {
    let mut again = ResponseHead::default();
    again.parse(out, &ROOMY).unwrap_or_else(|error| panic!("{error}: {}", shown(out)));
    assert_eq!((again.status, again.reason()), (response.status, response.reason()), "{}", shown(out));
    let sent = head(out).expect("well-formed").expect("whole");
    assert_eq!(sent.length, out.len(), "one head, and not a byte more: {}", shown(out));
    sent
}

/// The lines that pass through as they are.
fn end_to_end<'a>(lines: &Head<'a>, original: &Head<'_>) -> Vec<FieldLine<'a>> {
    const OURS: [&str; 9] = [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    const ALWAYS: [&str; 12] = [
        "authorization",
        "cookie",
        "cache-control",
        "set-cookie",
        "expect",
        "forwarded",
        "host",
        "max-forwards",
        "x-real-ip",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-host",
    ];
    let stays = |(name, _): &FieldLine<'_>| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let always = ALWAYS.contains(&&*name) || name == "x-forwarded-proto";
        !OURS.contains(&&*name) && (always || !original.lists("connection", &name))
    };
    lines.lines.iter().copied().filter(stays).collect()
}
