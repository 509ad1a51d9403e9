//! A copy of a message's content, kept for as long as it is small: what was sent once may have to be sent again.

/// Content that was passed on, or the knowledge that it was too much to keep.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `None` if nothing is to be kept, or if it was too much.
    content: Option<Vec<u8>>,
    most: usize,
}

impl Kept {
    /// Keeps no more than `most` bytes.
    pub(super) fn up_to(most: usize) -> Kept {
        Kept { content: Some(Vec::new()), most }
    }

    /// Whether content is still being kept.
    pub(super) fn is_on(&self) -> bool {
        self.content.is_some()
    }

    /// All that was added, if it is all there.
    pub(super) fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        let Some(content) = &mut self.content else { return };
        if content.len() + piece.len() > self.most {
            self.content = None;
        } else {
            content.extend_from_slice(piece);
        }
    }
}
