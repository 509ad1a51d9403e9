//! Ways around what a route guards, changes or takes out: another spelling, another place in the message, another
//! message. None leads past it.

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::configuration::Configured;
use crate::support::each_row;

/// A proxy with one route to this backend, with these lines in it.
fn route(backend: &ScriptedBackend, lines: &str) -> Configured {
    Configured::with(&format!(
        "[server]\nrequest_id = \"X-Trace-Id\"\n[backends.app]\nservers = [\"{}\"]\n[[route]]\nto = \"app\"\n{lines}\n",
        backend.address()
    ))
}

/// RFC 3986 §6.2.2.2: to some readers `%65` is `e`. A host has nothing that needs it, nor empty parts.
#[test]
fn a_host_in_another_spelling_does_not_slip_past_its_route() {
    let backend = ScriptedBackend::named("app");
    let guarded = format!(
        "[backends.app]\nservers = [\"{}\"]\n[[route]]\nto = \"app\"\n\
         [[route]]\nhost = \"secret.example\"\nto = \"app\"\ndeny = [\"0.0.0.0/0\"]\n",
        backend.address()
    );
    let proxy = Configured::with(&guarded);
    let rows = [
        ("/", "secret.example", 403),
        ("/", "SECRET.example.:80", 403),
        ("/", "secret%2eexample", 400),
        ("/", "%73ecret.example", 400),
        ("/", "secret.example..", 400),
        ("http://secret%2eexample/", "other.example", 400),
        ("http://:80/", "other.example", 400),
        ("/", ":80", 400),
        ("/", "other.example", 200),
    ];
    each_row(&rows, |(target, host, want)| {
        let reply = proxy.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).reply();
        assert_eq!(reply.status(), *want);
    });
    assert_eq!(backend.requests().len(), 1);
}

/// What `add_prefix` puts before a path stands before all of it, and what `strip_prefix` leaves is no host.
#[test]
fn a_path_does_not_leave_the_prefix_that_its_route_gives_it() {
    let backend = ScriptedBackend::named("app");
    let rows = [
        ("add_prefix = \"/tenant\"", "/../secret", None),
        ("add_prefix = \"/tenant\"", "/%2E%2e/secret", None),
        ("add_prefix = \"/tenant\"", "/..;/secret", None),
        ("add_prefix = \"/tenant\"", "http://a/../secret", None),
        ("add_prefix = \"/tenant\"", "/a%20b/C", Some("/tenant/a%20b/C")),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api//evil.example/x", None),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/%2fevil.example/x", None),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/%5cevil.example/x", None),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/.//evil.example/x", None),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/;a/evil.example/x", None),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/a%2fb", Some("/a%2fb")),
        ("path = \"/api\"\nstrip_prefix = \"/api\"", "/api/./A;b//c", Some("/./A;b//c")),
        ("", "/../secret", Some("/../secret")),
    ];
    each_row(&rows, |(lines, target, want)| {
        let before = backend.requests().len();
        let reply = route(&backend, lines).send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).reply();
        let seen: Vec<_> =
            backend.requests()[before..].iter().map(|request| request.head.target().to_owned()).collect();
        assert_eq!(seen, Vec::from_iter(want.map(str::to_owned)));
        assert_eq!(reply.status(), if want.is_some() { 200 } else { 400 });
    });
}

const EDITS: &str = "{ set = { X-Auth-User = \"nobody\" }, remove = [\"X-Debug\"] }";

/// CGI makes one variable of `X-Auth-User` and `X_Auth_User`, lighttpd's of `X.Auth.User`, too, and a reader may take trailer fields for header fields.
#[test]
fn what_a_route_sets_or_removes_does_not_come_in_another_way() {
    let backend = ScriptedBackend::named("app");
    let proxy = route(&backend, &format!("request_headers = {EDITS}"));
    let twins = "X_Auth_User: root\r\nx_auth-USER: root\r\nX_Debug: 1\r\nX.Debug: 1\r\nX_Other: stays\r\n";
    let trailer = "X-Auth-User: root\r\nX-Debug: 1\r\nX-Sum: 1\r\n";
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{twins}\r\n");
    assert_eq!(proxy.send(format!("{head}1\r\nx\r\n0\r\n{trailer}\r\n")).reply().status(), 200);
    let request = &backend.wait_for_requests(1)[0];
    assert_eq!((request.text().as_str(), request.is_complete()), ("x", true));
    let names = ["x-auth-user", "x_auth_user", "x_auth-user", "x_debug", "x.debug", "x_other"];
    let users: Vec<_> = names.map(|name| request.head.all(name)).into();
    assert_eq!(users, [vec!["nobody"], vec![], vec![], vec![], vec![], vec!["stays"]]);
    assert!(request.content.trailers.is_empty(), "{request:?}");
}

/// ... nor in a response's trailer, nor before the response.
#[test]
fn what_a_route_takes_out_of_responses_does_not_come_early_or_late() {
    let secret = "X-Auth-User: root\r\nX-Debug: 1\r\n";
    let backend = ScriptedBackend::answering(&format!(
        "HTTP/1.1 103 Early Hints\r\n{secret}Link: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{secret}\r\n1\r\nx\r\n0\r\n{secret}\r\n"
    ));
    let proxy = route(&backend, &format!("response_headers = {EDITS}"));
    let reply = proxy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").reply();
    let early = &reply.interim[0];
    assert_eq!((early.field("link"), early.field("x-auth-user"), early.field("x-debug")), (Some("</a>"), None, None));
    assert_eq!((reply.head.all("x-auth-user"), reply.head.field("x-debug")), (vec!["nobody"], None));
    assert!(reply.is_complete() && reply.content.trailers.is_empty(), "{reply:?}");
}

/// RFC 9110 §7.6.1: what Connection names is for one connection, header field or trailer field.
#[test]
fn a_trailer_field_that_connection_names_is_not_passed_on() {
    let backend = ScriptedBackend::named("app");
    let proxy = route(&backend, "");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(proxy.send(format!("{head}1\r\nx\r\n0\r\nX-Hop: 1\r\n\r\n")).reply().status(), 200);
    assert!(backend.wait_for_requests(1)[0].content.trailers.is_empty());
}

/// Who the request is cannot be kept from the backend.
#[test]
fn the_identification_reaches_the_backend_whatever_connection_says() {
    let backend = ScriptedBackend::named("app");
    let proxy = route(&backend, "");
    let reply = proxy.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Trace-Id\r\nX-Trace-Id: abc\r\n\r\n").reply();
    assert_eq!(reply.head.all("x-trace-id"), ["abc"]);
    assert_eq!(backend.wait_for_requests(1)[0].head.all("x-trace-id"), ["abc"]);
}

/// A trailer section is looked at even if the client, of HTTP/1.0, is not sent it: what is wrong with it, is wrong.
#[test]
fn a_response_with_a_malformed_trailer_is_whole_to_nobody() {
    let content = "x".repeat(100_000);
    let length = format!("{:x}", content.len());
    let bad = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length}\r\n{content}\r\n0\r\nX T\r\n\r\n");
    for version in ["1.0", "1.1"] {
        let backend = ScriptedBackend::answering(&bad);
        let proxy = route(&backend, "");
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        let reply = proxy.send(&request).outcome();
        assert!(reply.is_none_or(|reply| !reply.is_complete() || reply.status() == 502), "HTTP/{version}");
        assert!(version == "1.0" || !proxy.send(&request).rest().contains("\r\n0\r\n"), "an end that is none");
    }
}

/// As many trailer fields as fit into the section.
#[test]
fn a_hundred_trailer_fields_pass() {
    let backend = ScriptedBackend::named("app");
    let proxy = route(&backend, "");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n";
    assert_eq!(proxy.send(format!("{head}{}\r\n", "X-T: 1\r\n".repeat(100))).reply().status(), 200);
    assert_eq!(backend.wait_for_requests(1)[0].content.trailers.len(), 100);
}

/// RFC 9110 §15.5.22: a 426 has to say to what.
#[test]
fn an_upgrade_that_a_backend_demands_is_named() {
    let demand =
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    let backend = ScriptedBackend::answering(demand);
    let reply = route(&backend, "").send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").reply();
    assert_eq!((reply.status(), reply.head.field("upgrade")), (426, Some("websocket")));
    assert!(reply.head.list("connection").iter().any(|option| option == "upgrade"), "{reply:?}");
    let backend = ScriptedBackend::answering(&ok("no").replace("\r\n\r\n", "\r\nUpgrade: websocket\r\n\r\n"));
    let reply = route(&backend, "").send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").reply();
    assert_eq!((reply.status(), reply.head.field("upgrade")), (200, None));
}

/// RFC 6455 §4.1, RFC 9110 §10.1.1: what means nothing there is not passed on as if it did.
#[test]
fn a_post_asks_for_no_websocket_and_an_http_1_0_client_expects_nothing() {
    let backend = ScriptedBackend::named("app");
    let proxy = route(&backend, "");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    proxy.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")).reply();
    proxy.send("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx").reply();
    let requests = backend.wait_for_requests(2);
    assert_eq!((requests[0].head.field("upgrade"), requests[1].head.field("expect")), (None, None));
}
