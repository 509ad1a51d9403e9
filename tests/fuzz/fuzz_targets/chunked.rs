//! The chunked coding, in pieces cut anywhere: the same content and the same verdict as a reader that sees it whole.

#![no_main]

use footbridge::http::chunked::{ChunkedDecoder, Piece};
use footbridge_fuzz::{Content, chunked, shown};
use libfuzzer_sys::fuzz_target;

const LINE: usize = 24;
const TRAILER: usize = 40;

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(600)];
    let want = chunked(data, LINE, TRAILER).map_err(|_| ());
    let check = |name: &str, at: usize, ends: &mut dyn Iterator<Item = usize>| {
        let got = decode(data, ends);
        assert_eq!(got, want, "{name} {at} of \"{}\"", shown(data));
    };
    for size in 1..=4 {
        check("pieces of", size, &mut (1..data.len()).step_by(size));
    }
    for cut in 0..=data.len() {
        check("cut at", cut, &mut std::iter::once(cut));
    }
});

/// What comes out when the bytes up to each of `ends`, and then all, have come.
fn decode(data: &[u8], ends: &mut dyn Iterator<Item = usize>) -> Result<Content, ()> {
    let mut decoder = ChunkedDecoder::new(LINE, TRAILER);
    let (mut bytes, mut start, mut end) = (Vec::new(), 0, ends.next().unwrap_or(data.len()));
    loop {
        match decoder.next(&data[start..end]).map_err(|_| ())? {
            Piece::Data(length) => {
                assert!(length > 0 && length <= end - start);
                // Not all at once: the caller's room may be small.
                let length = length.min(3);
                bytes.extend_from_slice(&data[start..start + length]);
                decoder.took(length);
                start += length;
            }
            Piece::Coding(length) => start += length,
            Piece::End(length) => return Ok(Content { bytes, length: start + length, whole: true }),
            Piece::Partial if end < data.len() => end = ends.next().unwrap_or(data.len()).max(end),
            Piece::Partial => return Ok(Content { bytes, length: data.len(), whole: false }),
        }
        assert!(start <= end, "no more is used than is there");
    }
}
