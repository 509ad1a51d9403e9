//! Finds the longest prefix of a path, in whole segments, among many. Reads a path in two ways.
//!
//! *As it came*: byte for byte, which decides. *As others might read it*: percent-decoded, without case, with `\` for
//! `/`, without dot segments, empty segments and parameters (`;x`), as a lenient backend would (RFC 3986 §6.2.2). A path
//! whose two readings lead to different places could be let in by one route and answered by what another one guards:
//! it is ambiguous, and refused.
//!
//! The tree has a node for each segment, in lower case. Both walks stop where the tree ends, so a path costs as much as
//! it is long, and no more, however it is made.

/// Longer segments are in no tree.
const LONGEST_SEGMENT: usize = 255;

/// Prefixes, and what is at each.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// By name, ascending.
    children: Vec<(Box<[u8]>, usize)>,
    /// Prefixes that are this one but for case.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    prefix: Box<[u8]>,
    number: usize,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// To this place, however it is read.
    To(usize),
    /// Nowhere, however it is read.
    Nowhere,
    /// Elsewhere if it is read in another way.
    Ambiguous,
}

impl PathTree {
    /// The place of a prefix, which begins with `/` and has no empty and no dot segments: if it is new, `number`.
    pub(super) fn place(&mut self, prefix: &str, number: usize) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
            at = self.child_or_new(at, segment.to_ascii_lowercase().as_bytes());
        }
        let prefix = prefix.trim_end_matches('/').as_bytes();
        self.place_of(at, prefix).unwrap_or_else(|| {
            self.nodes[at].places.push(Place { prefix: prefix.into(), number });
            number
        })
    }

    fn child_or_new(&mut self, at: usize, segment: &[u8]) -> usize {
        match self.nodes[at].children.binary_search_by(|(name, _)| (**name).cmp(segment)) {
            Ok(found) => self.nodes[at].children[found].1,
            Err(place) => {
                let new = self.nodes.len();
                self.nodes[at].children.insert(place, (segment.into(), new));
                self.nodes.push(Node::default());
                new
            }
        }
    }

    /// The node of that name, without case, below this one.
    fn child(&self, at: usize, segment: &[u8]) -> Option<usize> {
        let children = &self.nodes[at].children;
        let lower = || segment.iter().map(u8::to_ascii_lowercase);
        let found = children.binary_search_by(|(name, _)| name.iter().copied().cmp(lower())).ok()?;
        Some(children[found].1)
    }

    /// Where the path of a request leads, which begins with `/` and has no query.
    pub(super) fn find(&self, path: &[u8]) -> Lead {
        if self.nodes.is_empty() {
            return Lead::Nowhere;
        }
        let literal = self.literally(path);
        if !has_other_readings(path) {
            return literal.map_or(Lead::Nowhere, Lead::To);
        }
        let lenient = self.leniently(path);
        match literal {
            Some(number) if lenient.iter().any(|place| place.number == number) => Lead::To(number),
            None if lenient.is_empty() => Lead::Nowhere,
            _ => Lead::Ambiguous,
        }
    }

    /// The longest prefix that the path begins with, byte for byte.
    fn literally(&self, path: &[u8]) -> Option<usize> {
        let mut found = self.place_of(0, b"");
        let (mut at, mut end) = (0, 0);
        for segment in path.split(|byte| *byte == b'/').skip(1) {
            // No node has an empty name: behind the path's final `/` it ends, too.
            let Some(child) = self.child(at, segment) else { break };
            at = child;
            end += 1 + segment.len();
            found = self.place_of(at, &path[..end]).or(found);
        }
        found
    }

    fn place_of(&self, node: usize, prefix: &[u8]) -> Option<usize> {
        self.nodes[node].places.iter().find(|place| *place.prefix == *prefix).map(|place| place.number)
    }

    /// The places at the longest prefix of the path as a lenient server reads it.
    fn leniently(&self, path: &[u8]) -> &[Place] {
        let mut walk = Walk { tree: self, entered: vec![0], beyond: 0 };
        let mut segment = Segment::default();
        let mut rest = path;
        while let Some((byte, after)) = decoded(rest) {
            rest = after;
            if matches!(byte, b'/' | b'\\') {
                walk.step(&segment);
                segment = Segment::default();
            } else {
                segment.push(byte);
            }
        }
        walk.step(&segment);
        let places = walk.entered.iter().rev().map(|node| self.nodes[*node].places.as_slice());
        places.into_iter().find(|places| !places.is_empty()).unwrap_or_default()
    }
}

/// Whether the path could be read in another way than as it came.
fn has_other_readings(path: &[u8]) -> bool {
    let strange = |byte: &u8| matches!(byte, b'%' | b'\\' | b';') || byte.is_ascii_uppercase();
    path.iter().any(strange) || path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// The next byte, percent-decoded, and what is left. What is no escape is taken as it is.
fn decoded(path: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match path {
        [b'%', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, rest)),
            _ => Some((b'%', &path[1..])),
        },
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// One segment as a lenient server reads it.
struct Segment {
    bytes: [u8; LONGEST_SEGMENT],
    length: usize,
    in_parameters: bool,
}

impl Default for Segment {
    fn default() -> Segment {
        Segment { bytes: [0; LONGEST_SEGMENT], length: 0, in_parameters: false }
    }
}

impl Segment {
    fn push(&mut self, byte: u8) {
        self.in_parameters |= byte == b';';
        if self.in_parameters {
            return;
        }
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    /// `None`: longer than any in a tree.
    fn text(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}

/// A way through the tree, and beyond it.
struct Walk<'a> {
    tree: &'a PathTree,
    /// From the root on.
    entered: Vec<usize>,
    /// Segments below the last node that the tree does not have.
    beyond: usize,
}

impl Walk<'_> {
    /// As a lenient server takes a segment.
    fn step(&mut self, segment: &Segment) {
        match segment.text() {
            Some(b"" | b".") => {}
            Some(b"..") if self.beyond > 0 => self.beyond -= 1,
            Some(b"..") if self.entered.len() > 1 => drop(self.entered.pop()),
            Some(b"..") => {}
            text => match text.filter(|_| self.beyond == 0).and_then(|text| self.tree.child(self.here(), text)) {
                Some(child) => self.entered.push(child),
                None => self.beyond += 1,
            },
        }
    }

    fn here(&self) -> usize {
        self.entered.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIXES: [&str; 6] = ["/", "/api", "/api/v2", "/Users", "/users", "/admin/secret"];

    fn tree() -> PathTree {
        let mut tree = PathTree::default();
        for (number, prefix) in PREFIXES.iter().enumerate() {
            tree.place(prefix, number);
        }
        tree
    }

    #[test]
    fn the_longest_prefix_in_whole_segments_wins() {
        for (path, want) in [
            ("/", "/"),
            ("/x", "/"),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/apix", "/"),
            ("/api/v2", "/api/v2"),
            ("/api/v2/x/y", "/api/v2"),
            ("/api/v20", "/api"),
            ("/x/api/v2", "/"),
            ("/Users/1", "/Users"),
            ("/users/1", "/users"),
            ("/admin", "/"),
            ("/admin/secret/x", "/admin/secret"),
            ("/a.b/..c/%41", "/"),
            ("/api/a%20b;v=1/Q", "/api"),
        ] {
            let want = PREFIXES.iter().position(|prefix| *prefix == want).expect("one of them");
            assert_eq!(tree().find(path.as_bytes()), Lead::To(want), "{path}");
        }
    }

    /// What the issue is about: a guarded prefix cannot be reached by way of another one.
    #[test]
    fn a_path_that_could_be_read_as_another_place_is_ambiguous() {
        for path in [
            "//api",
            "/x/../api",
            "/%61pi",
            "/API",
            "/api%2fv2",
            "/api%2Fv2/x",
            "/api/%76%32",
            "/api/.%2e/admin/secret",
            "/api/..%2fadmin/secret",
            "/api/../x",
            "/api/..",
            "/./api",
            "/x/%2e%2e/api",
            "/api;x=1",
            "/admin;/secret",
            "/\\api",
            "/x\\..\\api",
            "/admin//secret",
            "/admin/./secret",
            "/USERS",
        ] {
            assert_eq!(tree().find(path.as_bytes()), Lead::Ambiguous, "{path}");
        }
        assert_eq!(tree().find(b"/x/../y//z/%2e/%41;q"), Lead::To(0), "the same place in both readings");
        assert_eq!(tree().find(b"/../.."), Lead::To(0), "nothing is above the root");
    }

    #[test]
    fn a_tree_without_a_root_place_leads_nowhere() {
        let mut tree = PathTree::default();
        assert_eq!(tree.find(b"/"), Lead::Nowhere);
        tree.place("/api", 7);
        assert_eq!(tree.find(b"/"), Lead::Nowhere);
        assert_eq!(tree.find(b"/api/x"), Lead::To(7));
        assert_eq!(tree.find(b"/x/../api"), Lead::Ambiguous);
        assert_eq!(tree.find(b"/x/%2E%2e/y"), Lead::Nowhere);
    }

    /// 8 KiB of segments, escapes or dots cost as much as they are long.
    #[test]
    fn a_long_path_is_read_once() {
        for part in ["/a", "/api", "/..", "/%2e%2e", "/api/..", "//"] {
            let path = part.repeat(8192 / part.len());
            assert!(tree().find(path.as_bytes()) != Lead::Nowhere, "{part}");
        }
        assert_eq!(tree().find(format!("/{}", "x".repeat(8000)).as_bytes()), Lead::To(0));
        assert_eq!(tree().find(format!("/{}%41", "x".repeat(8000)).as_bytes()), Lead::To(0));
    }
}
