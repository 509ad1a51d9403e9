//! Finds the longest prefix of a path, in whole segments, among many. Reads a path in two ways.
//!
//! *As it came*: byte for byte, which decides. *As others might read it*: percent-decoded, without case, with `\` for
//! `/`, without `.`, empty segments and parameters (`;x`, or what stands behind an encoded `?`, `#` or NUL, which some
//! decode first and then take for the path's end), as a lenient backend would (RFC 3986 §6.2.2). A path whose two readings
//! lead to different places could be let in by one route and answered by what another one guards: it is ambiguous, and
//! refused. Whoever takes some of these liberties and not others reads something in between. Not so with `..`, of which
//! each reader makes something else, and with two slashes at the beginning, behind which some see a host (RFC 3986 §4.2):
//! these are ambiguous wherever there is more than one place to lead to; and where a route puts the path below another
//! one, which it must not lead out of.
//!
//! The tree has a node for each segment, in lower case. Both walks stop where the tree ends, so a path costs as much as
//! it is long, and no more, however it is made.

/// Longer segments are in no tree.
const LONGEST_SEGMENT: usize = 255;

/// Prefixes, and what is at each.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    nodes: Vec<Node>,
    /// A route changes the prefix of its paths.
    guarded: bool,
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
    /// A route changes the prefix of its paths: nobody shall get past what it puts there.
    pub(super) fn guard(&mut self) {
        self.guarded = true;
    }

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
        if self.leads_to_one_place() || !has_other_readings(path) {
            return literal.map_or(Lead::Nowhere, Lead::To);
        }
        match (literal, self.leniently(path)) {
            (Some(number), Some(places)) if places.iter().any(|place| place.number == number) => Lead::To(number),
            (None, Some([])) => Lead::Nowhere,
            _ => Lead::Ambiguous,
        }
    }

    /// Whether every path leads to the one place that there is.
    fn leads_to_one_place(&self) -> bool {
        !self.guarded && matches!(&*self.nodes, [root] if !root.places.is_empty())
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

    /// The places at the longest prefix of the path as a lenient server reads it; `None` if there is no telling.
    fn leniently(&self, path: &[u8]) -> Option<&[Place]> {
        let (mut places, mut node) = (&self.nodes[0].places, Some(0));
        let (mut segment, mut separated) = (Segment::default(), false);
        let mut rest = path;
        while let Some((byte, after)) = decoded(rest) {
            rest = after;
            if !matches!(byte, b'/' | b'\\') {
                segment.push(byte);
                continue;
            }
            if separated && node == Some(0) && segment.length == 0 {
                return None; // //host/path, or /.//host/path
            }
            separated = true;
            self.step(&mut node, &mut places, &segment)?;
            segment = Segment::default();
        }
        self.step(&mut node, &mut places, &segment)?;
        Some(places)
    }

    /// Takes a segment as a lenient server does: the node, while there is one, and the places of the longest prefix so
    /// far. `None` if no two servers agree.
    fn step<'a>(&'a self, node: &mut Option<usize>, places: &mut &'a Vec<Place>, segment: &Segment) -> Option<()> {
        match segment.text() {
            Some(b"..") => return None,
            Some(b"" | b".") => {}
            text => {
                *node = node.zip(text).and_then(|(at, text)| self.child(at, text));
                if let Some(entered) = node.map(|at| &self.nodes[at].places).filter(|places| !places.is_empty()) {
                    *places = entered;
                }
            }
        }
        Some(())
    }
}

/// Whether what a path begins with could be taken for a host: two slashes, however they are written and whatever a lenient
/// server does not see between them.
pub(super) fn begins_with_host(path: &[u8]) -> bool {
    let root = PathTree { nodes: vec![Node::default()], guarded: true };
    has_other_readings(path) && root.leniently(path).is_none()
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
        self.in_parameters |= matches!(byte, b';' | b'?' | b'#' | 0);
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
            "/api%3fx",
            "/api%23x",
            "/api%00.png",
            "/\\api",
            "/x\\..\\api",
            "/admin//secret",
            "/admin/./secret",
            "/USERS",
        ] {
            assert_eq!(tree().find(path.as_bytes()), Lead::Ambiguous, "{path}");
        }
        assert_eq!(tree().find(b"/x/y//z/%2e/%41;q"), Lead::To(0), "the same place in both readings");
    }

    /// RFC 3986 §5.2.4, and those who do otherwise: with `..` each reader ends elsewhere; RFC 3986 §4.2: two slashes
    /// may begin a host.
    #[test]
    fn what_no_two_readers_agree_on_is_ambiguous_if_it_matters() {
        let mut one = PathTree::default();
        one.place("/", 0);
        for path in [
            "/..",
            "/x/../y",
            "/x/../api//../users",
            "/x/../api/..;/y",
            "/x/%2e%2E/api",
            "/x\\..\\api",
            "//x/api",
            "/\\x/api",
            "/%2fx/api",
            "//",
        ] {
            assert_eq!(tree().find(path.as_bytes()), Lead::Ambiguous, "{path}");
            assert_eq!(one.find(path.as_bytes()), Lead::To(0), "{path}: there is nowhere else");
        }
    }

    #[test]
    fn a_tree_without_a_root_place_leads_nowhere() {
        let mut tree = PathTree::default();
        assert_eq!(tree.find(b"/"), Lead::Nowhere);
        tree.place("/api", 7);
        assert_eq!(tree.find(b"/"), Lead::Nowhere);
        assert_eq!(tree.find(b"/api/x"), Lead::To(7));
        assert_eq!(tree.find(b"/x/../api"), Lead::Ambiguous);
        assert_eq!(tree.find(b"/x/%41/y"), Lead::Nowhere);
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
