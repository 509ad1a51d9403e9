//! Host and path to a route: of the routes that take both, the one with the most specific host, and of these the one
//! with the longest path. Their order does not matter.

use std::io::Write;
use std::net::Ipv6Addr;

use super::path_tree::{Lead, PathTree};
use crate::http::target;
use crate::settings::route::RouteSettings;

/// A name has no more bytes (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 255;

/// All routes, by host and path. Knows them by their number.
#[derive(Debug)]
pub(super) struct Router {
    /// By name, ascending.
    exact: Vec<(Box<[u8]>, PathTree)>,
    /// `*.example.com`, by `example.com`, ascending.
    below: Vec<(Box<[u8]>, PathTree)>,
    any: PathTree,
    /// The routes of each host and path, which differ in their methods.
    places: Vec<Vec<usize>>,
    /// Every request goes to the one place that there is: nothing has to be looked at.
    one_for_all: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// These routes, at least one, which differ in their methods.
    Routes(&'a [usize]),
    /// None takes this host and path.
    Nothing,
    /// Another one would be found if the path was read in another way.
    Ambiguous,
}

impl Router {
    /// Over these routes, known by their places in the list.
    pub(super) fn new(routes: &[RouteSettings]) -> Router {
        let mut made = Router {
            exact: Vec::new(),
            below: Vec::new(),
            any: PathTree::default(),
            places: Vec::new(),
            one_for_all: false,
        };
        for (number, route) in routes.iter().enumerate() {
            let next = made.places.len();
            let tree = made.tree_of(route.host.as_deref());
            if changes_prefix(route) {
                tree.guard();
            }
            let place = tree.place(&route.path, next);
            if place == next {
                made.places.push(Vec::new());
            }
            made.places[place].push(number);
        }
        let is_for_all = |route: &RouteSettings| route.host.is_none() && route.path.trim_end_matches('/').is_empty();
        made.one_for_all = made.places.len() == 1 && is_for_all(&routes[0]) && !routes.iter().any(changes_prefix);
        made
    }

    fn tree_of(&mut self, host: Option<&str>) -> &mut PathTree {
        let (trees, name) = match host.map(|host| (host.strip_prefix("*."), host)) {
            None => return &mut self.any,
            Some((Some(parent), _)) => (&mut self.below, parent),
            Some((None, host)) => (&mut self.exact, host),
        };
        let mut room = [0; LONGEST_HOST];
        let name = name_of(name.as_bytes(), &mut room);
        let place = trees.binary_search_by(|(known, _)| (**known).cmp(name));
        let place = place.unwrap_or_else(|place| {
            trees.insert(place, (name.into(), PathTree::default()));
            place
        });
        &mut trees[place].1
    }

    /// The routes for a request to `authority` (a Host field's value), for `path`, which begins with `/` and has no
    /// query.
    pub(super) fn find(&self, authority: &[u8], path: &[u8]) -> Found<'_> {
        if self.one_for_all {
            return Found::Routes(&self.places[0]);
        }
        let mut room = [0; LONGEST_HOST];
        let host = name_of(authority, &mut room);
        for tree in self.trees_for(host) {
            match tree.find(path) {
                Lead::To(place) => return Found::Routes(&self.places[place]),
                Lead::Ambiguous => return Found::Ambiguous,
                Lead::Nowhere => {}
            }
        }
        Found::Nothing
    }

    /// From the most specific on: the host itself, `*.` each part of it that begins behind a dot, any.
    fn trees_for<'a>(&'a self, host: &'a [u8]) -> impl Iterator<Item = &'a PathTree> {
        let exact = find(&self.exact, host);
        let dots = host.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let below = dots.filter_map(move |(dot, _)| find(&self.below, &host[dot + 1..]));
        exact.into_iter().chain(below).chain(std::iter::once(&self.any))
    }
}

fn changes_prefix(route: &RouteSettings) -> bool {
    route.strip_prefix.is_some() || route.add_prefix.is_some()
}

fn find<'a>(trees: &'a [(Box<[u8]>, PathTree)], name: &[u8]) -> Option<&'a PathTree> {
    let place = trees.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
    Some(&trees[place].1)
}

/// The name of an authority: without port and final dot, in lower case; of an IPv6 address the one spelling that RFC
/// 5952 recommends. Empty if it is longer than any.
pub(super) fn name_of<'a>(authority: &[u8], room: &'a mut [u8; LONGEST_HOST]) -> &'a [u8] {
    let host = target::host_of(authority);
    let name = host.strip_suffix(b".").unwrap_or(host);
    if let Some(address) = ipv6_of(name) {
        let mut rest = &mut room[..];
        let written = write!(rest, "[{address}]").map(|()| rest.len());
        return &room[..LONGEST_HOST - written.expect("it is shorter than a name may be")];
    }
    let Some(room) = room.get_mut(..name.len()) else { return &[] };
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    room
}

fn ipv6_of(name: &[u8]) -> Option<Ipv6Addr> {
    let literal = name.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(literal).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::time::Instant;

    fn router(routes: &[(&str, &str)]) -> Router {
        let route = |(host, path): &(&str, &str)| {
            let mut route = RouteSettings::all_to("app", &Settings::default());
            route.host = (!host.is_empty()).then(|| (*host).to_owned());
            (*path).clone_into(&mut route.path);
            route
        };
        Router::new(&routes.iter().map(route).collect::<Vec<_>>())
    }

    #[test]
    fn the_most_specific_host_and_then_the_longest_path_wins() {
        let routes = [
            ("", "/"),
            ("*.example.com", "/"),
            ("example.com", "/"),
            ("example.com", "/api"),
            ("*.b.example.com", "/api/"),
            ("", "/api/v2"),
            ("[::1]", "/"),
            ("empty.example", "/only"),
            ("[fd00:0:0::0:a]", "/"),
        ];
        let made = router(&routes);
        for (host, path, want) in [
            ("example.com", "/", 2),
            ("EXAMPLE.com:8080", "/apix", 2),
            ("example.com.", "/api/v2", 3),
            ("a.example.com", "/api/v2", 1),
            ("a.b.example.com", "/api/v2", 4),
            ("b.example.com", "/api", 1),
            ("a.b.example.com", "/x", 1),
            ("notexample.com", "/x", 0),
            ("example.com.evil.org", "/api/v2", 5),
            ("", "/x", 0),
            ("[::1]:8080", "/x", 6),
            ("[0:0:0:0:0:0:0:1]:8080", "/x", 6),
            ("[FD00::A]", "/x", 8),
            ("[fd00::b]", "/x", 0),
            ("empty.example", "/only/x", 7),
            ("empty.example", "/x", 0),
        ] {
            assert_eq!(made.find(host.as_bytes(), path.as_bytes()), Found::Routes(&[want]), "{host} {path}");
        }
        assert_eq!(made.find(b"example.com", b"/x/../api"), Found::Ambiguous);
    }

    #[test]
    fn nobody_leaves_the_prefix_that_a_route_puts_before_its_paths() {
        let mut route = RouteSettings::all_to("app", &Settings::default());
        let paths = [&b"/../secret"[..], b"/%2e%2e/secret", b"/..;/secret", b"/a/../../secret", b"//a/b", b"/.//a/b"];
        assert!(
            paths.iter().all(|path| Router::new(std::slice::from_ref(&route)).find(b"a", path) == Found::Routes(&[0]))
        );
        route.add_prefix = Some("/tenant".to_owned());
        let made = Router::new(&[route]);
        for path in paths {
            assert_eq!(made.find(b"a", path), Found::Ambiguous, "{}", path.escape_ascii());
        }
        assert_eq!(made.find(b"a", b"/a%20b/C;d"), Found::Routes(&[0]));
    }

    #[test]
    fn routes_of_one_place_come_together_and_others_not_at_all() {
        let made = router(&[("a", "/x"), ("b", "/x"), ("a", "/x/"), ("", "/y")]);
        assert_eq!(made.find(b"a", b"/x"), Found::Routes(&[0, 2]));
        assert_eq!(made.find(b"c", b"/x"), Found::Nothing);
        assert_eq!(made.find(&[b'a'; 300], b"/y"), Found::Routes(&[3]));
    }

    /// The bound: 10,000 routes cost a request no more than 2 µs. A debug build on a busy machine has more time;
    /// what is told apart here is looking at all of them.
    #[test]
    fn ten_thousand_routes_are_not_looked_at_one_by_one() {
        let names: Vec<(String, String)> =
            (0..10_000).map(|n| (format!("h{}.example.com", n % 100), format!("/service-{n}/v1/items"))).collect();
        let routes: Vec<(&str, &str)> = names.iter().map(|(host, path)| (host.as_str(), path.as_str())).collect();
        let made = router(&routes);
        let begun = Instant::now();
        for (number, (host, path)) in names.iter().enumerate() {
            let path = format!("{path}/Some%20Thing");
            assert_eq!(made.find(host.as_bytes(), path.as_bytes()), Found::Routes(&[number]));
        }
        let each = begun.elapsed() / 10_000;
        assert!(each.as_micros() < 200, "{each:?} for one");
    }
}
