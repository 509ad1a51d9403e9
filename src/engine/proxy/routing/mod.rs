//! Which route a request takes.
//!
//! | file | idea |
//! |---|---|
//! | `router` | host and path to a route |
//! | `path_tree` | the longest prefix of a path, in whole segments, as it came and as others might read it |
//! | [`site`] | [`Site`]: all groups and routes, which a changed configuration replaces at once |
//! | [`route`] | [`Route`]: one of them, with its backends; what it does to a request's path |

pub(super) mod path_tree;
pub mod route;
pub(super) mod router;
pub mod site;

pub use route::Route;
pub use site::Site;
