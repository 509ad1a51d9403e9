//! The framing decision: field lines have one reading, the one that an independent reader finds, or are refused.
//! Input: a byte (the version), then field lines.

#![no_main]

use footbridge::http::head::HeadLimits;
use footbridge::http::{BodyFraming, HttpVersion, RequestHead, ResponseHead, framing};
use footbridge_fuzz::{Framing, head, shown};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, start_line: 100, field_lines: 100 };

fuzz_target!(|data: &[u8]| {
    let Some((choice, fields)) = data.split_first() else { return };
    let (version, text) =
        if choice & 1 == 0 { (HttpVersion::Http11, "HTTP/1.1") } else { (HttpVersion::Http10, "HTTP/1.0") };
    let request = [b"POST / ", text.as_bytes(), b"\r\n", fields, b"\r\n\r\n"].concat();
    let response = [text.as_bytes(), b" 200 OK\r\n", fields, b"\r\n\r\n"].concat();
    let (mut request_head, mut response_head) = (RequestHead::default(), ResponseHead::default());
    // Where the fields end in a blank line of their own, there is more than one head.
    let Ok(Some(reading)) = head(&request) else { return };
    let whole = reading.length == request.len();
    let parsed = request_head.parse(&request, &LIMITS);
    let response_parsed = response_head.parse(&response, &LIMITS);
    assert!(whole || (parsed.is_err() && response_parsed.is_err()), "bytes behind a head: {}", shown(&request));
    if parsed.is_err() || response_parsed.is_err() {
        return;
    }
    let want = reading.framing(version == HttpVersion::Http10);
    let got = framing::declared(&request_head.headers, version);
    match (&want, &got) {
        (Err(_), Err(_)) => {}
        (Ok(want), Ok(got)) if got.map(like) == *want => {}
        _ => panic!("{got:?} instead of {want:?}: {}", shown(&request)),
    }
    let said = framing::declared(&response_head.headers, version);
    assert_eq!(said.as_ref().ok(), got.as_ref().ok(), "a response is read as a request is");
    assert_eq!(framing::of_request(&request_head).ok(), got.as_ref().ok().map(|got| got.unwrap_or(BodyFraming::None)));
    let until_close = got.as_ref().ok().map(|got| got.unwrap_or(BodyFraming::UntilClose));
    assert_eq!(framing::of_response(&response_head, false).ok(), until_close);
    assert_eq!(framing::of_response(&response_head, true).ok(), until_close.map(|_| BodyFraming::None));
});

fn like(framing: BodyFraming) -> Framing {
    match framing {
        BodyFraming::None => Framing::Nothing,
        BodyFraming::Length(length) => Framing::Length(length),
        BodyFraming::Chunked => Framing::Chunked,
        BodyFraming::UntilClose => Framing::UntilClose,
    }
}
