//! Content of any length in which every byte is known from its place: what is lost, doubled or moved shows.

/// A prime, so that the pattern never falls into step with a buffer.
const PERIOD: usize = 65_521;

/// Pseudo-random bytes that repeat after [`PERIOD`].
pub struct Pattern(Vec<u8>);

impl Default for Pattern {
    fn default() -> Self {
        // A linear congruential generator; its high byte is random enough.
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let states = std::iter::successors(Some(7), next);
        Self(states.map(|state: u32| state.to_be_bytes()[0]).take(PERIOD).collect())
    }
}

impl Pattern {
    /// The bytes from `offset` on.
    pub fn piece(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut piece = Vec::with_capacity(length);
        while piece.len() < length {
            let rest = &self.0[(offset + piece.len()) % PERIOD..];
            piece.extend_from_slice(&rest[..rest.len().min(length - piece.len())]);
        }
        piece
    }

    /// Checks that `bytes` are those from `offset` on, and that there are some; how many.
    pub fn check(&self, offset: usize, bytes: &[u8]) -> usize {
        assert!(!bytes.is_empty(), "the content ends after {offset} bytes");
        assert!(bytes == self.piece(offset, bytes.len()), "wrong bytes between {offset} and {}", offset + bytes.len());
        bytes.len()
    }
}
