//! What to say of a key that is not known. Input: its name and its table. Output: where it belongs, or which one was meant.

use std::iter;

use super::keys::{KINDS, Kind};
use super::mistakes::quoted;
use crate::settings;
use crate::settings::suggest::nearest;

impl Kind {
    /// Why that key does not belong here, and where it does, or which one was meant.
    pub(super) fn unknown(&self, name: &str) -> String {
        if !self.prefix.is_empty() && settings::keys().any(|key| key == self.full(name)) {
            let table = self.prefix.strip_suffix('.').unwrap_or(self.prefix);
            return format!("{name} cannot be set for a part of the requests; set it in [{table}]");
        }
        let title = self.title;
        let start = format!("unknown key {} in {title}", quoted(name));
        if let Some(near) = nearest_in(name, self) {
            return format!("{start}; did you mean {near:?}?");
        }
        let searches: &[fn(&str, &Kind) -> Option<&'static str>] = &[same_in, part_in, nearest_in];
        for search in searches {
            for kind in iter::once(self).chain(KINDS.iter().copied()) {
                if let Some(near) = search(name, kind) {
                    return format!("{start}; did you mean {near:?} in {}?", kind.title);
                }
            }
        }
        start
    }
}

fn nearest_in(name: &str, kind: &Kind) -> Option<&'static str> {
    nearest(name, &kind.names())
}

fn same_in(name: &str, kind: &Kind) -> Option<&'static str> {
    kind.names().into_iter().find(|known| name == *known)
}

/// A key of that kind which is a part of the name: `balance` of `load_balance`.
fn part_in(name: &str, kind: &Kind) -> Option<&'static str> {
    kind.names().into_iter().find(|known| name.split(['_', '-', '.']).any(|word| word == *known))
}
