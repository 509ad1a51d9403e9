//! Texts that the program carries packed, at less than half their size: the pages for browsers. Input: what
//! `scripts/build.rs` made of them, which includes this file, too, to see that they come out as they went in.
//!
//! LZSS: a byte of eight flags, the lowest first, and what each stands for: for 0 a byte as it is; for 1 two bytes that
//! say which part of the text so far comes again: its distance less 1, of 12 bits, and its length less [`SHORTEST`], of 4.

/// The shortest part that is worth its two bytes.
pub(crate) const SHORTEST: usize = 3;

/// The text. For what the build script made only: anything else may panic.
pub(crate) fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut bytes = packed.iter().copied();
    while let Some(flags) = bytes.next() {
        for place in 0..8 {
            let Some(low) = bytes.next() else { break };
            if flags >> place & 1 == 0 {
                text.push(low);
                continue;
            }
            let Some(high) = bytes.next() else { break };
            let begin = text.len() - 1 - (usize::from(low) | usize::from(high & 0xF0) << 4);
            // Byte by byte: it may reach into what it makes.
            for at in begin..begin + SHORTEST + usize::from(high & 0xF) {
                text.push(text[at]);
            }
        }
    }
    text
}
