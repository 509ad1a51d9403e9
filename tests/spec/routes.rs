//! Which route a request takes, and what a route does to it.

use std::thread;
use std::time::Duration;

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::configuration::Configured;
use crate::support::refusal::RefusingPort;
use crate::support::{each_row, get, post};

fn group(name: &str, backend: &ScriptedBackend) -> String {
    format!("[backends.{name}]\nservers = [\"{}\"]\n", backend.address())
}

fn request(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// The most specific host, then the longest path; the order of the file does not matter.
#[test]
fn host_and_path_choose_the_group() {
    let (web, api, other) =
        (ScriptedBackend::named("web"), ScriptedBackend::named("api"), ScriptedBackend::named("other"));
    let groups = [group("web", &web), group("api", &api), group("other", &other)].concat();
    let proxy = Configured::with(&format!(
        "{groups}
        [[route]]
        to = \"other\"
        [[route]]
        host = \"example.com\"
        path = \"/api\"
        to = \"api\"
        [[route]]
        host = \"*.example.com\"
        to = \"web\"
        [[route]]
        host = \"example.com\"
        to = \"web\""
    ));
    each_row(
        &[
            ("example.com", "/", "web"),
            ("EXAMPLE.com:8080", "/x", "web"),
            ("example.com", "/api", "api"),
            ("example.com", "/api/x?y=/z", "api"),
            ("example.com", "/apix", "web"),
            ("a.example.com", "/api", "web"),
            ("elsewhere.test", "/api", "other"),
            ("ignored.test", "http://example.com/api", "api"),
        ],
        |(host, target, want)| assert_eq!(proxy.send(request(host, target)).reply().text(), *want),
    );
}

/// RFC 3986 §6.2.2: what one server takes for another path must not lead past a route that guards it.
#[test]
fn a_path_that_could_be_read_in_two_ways_is_refused_and_reaches_no_backend() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&format!(
        "{}
        [[route]]
        to = \"app\"
        [[route]]
        path = \"/admin\"
        deny = [\"127.0.0.0/8\"]
        to = \"app\"",
        group("app", &backend)
    ));
    assert_eq!(proxy.send(get("/admin")).reply().status(), 403);
    assert_eq!(proxy.send(get("/admin/users")).reply().status(), 403);
    let fooled = [
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/ADMIN",
        "/admin%2fusers",
        "/x%2f..%2fadmin",
        "/admin;x",
        "/admin%3Fx",
        "/admin%23x",
        "/admin%00.png",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin/",
        "/x\\..\\admin",
        "http://a.test//admin",
        "/x/../admin//../users",
        "/x/..",
        "//x/admin",
        "/\\x/admin",
    ];
    each_row(&fooled, |target| {
        let reply = proxy.send(get(target)).reply();
        assert!(reply.status() == 400 && reply.text().contains("ambiguous-path"), "{reply:?}");
    });
    assert!(backend.received().is_empty(), "not a byte");
    for target in ["/administration", "/a%20b/%7e", "/A/B;c=d//e", "/a%3Fb/%23/%00"] {
        assert_eq!(proxy.send(get(target)).reply().text(), "app", "{target}");
    }
}

/// RFC 9110 §15.5.5, §15.5.6.
#[test]
fn no_route_is_404_and_another_method_405_with_allow() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&format!(
        "{}
        [[route]]
        path = \"/api\"
        methods = [\"GET\", \"HEAD\"]
        to = \"app\"",
        group("app", &backend)
    ));
    let mut client = proxy.send(get("/elsewhere"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text().contains("no-route")), (404, true));
    client.send(get("/api"));
    assert_eq!(client.reply().text(), "app", "the connection goes on");
    let reply = proxy.send(post("/api", "Content-Length: 3\r\n", "abc")).reply();
    assert_eq!((reply.status(), reply.head.field("allow")), (405, Some("GET, HEAD")));
    assert!(reply.says_close(), "its content was not read");
    assert_eq!(backend.requests().len(), 1);
}

/// X-Forwarded-For of a peer that is believed says who the client is.
#[test]
fn a_client_is_allowed_or_denied_by_its_own_address() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&format!(
        "[server]
        trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]
        {}
        [[route]]
        allow = [\"192.0.2.0/24\"]
        deny = [\"192.0.2.66\"]
        to = \"app\"",
        group("app", &backend)
    ));
    each_row(
        &[
            ("192.0.2.7", 200),
            ("192.0.2.66", 403),
            ("198.51.100.1", 403),
            ("192.0.2.7, 10.1.2.3", 200),
            ("192.0.2.7, 198.51.100.1", 403),
            ("192.0.2.66, 192.0.2.7", 200),
            ("192.0.2.7:5000", 200),
            ("nonsense", 403),
        ],
        |(said, want)| {
            let head = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {said}\r\n\r\n");
            assert_eq!(proxy.send(head).reply().status(), *want);
        },
    );
    assert_eq!(proxy.send(get("/")).reply().status(), 403, "the proxy itself is not allowed");
    let lines = proxy.access_lines(9);
    assert!(lines[0].starts_with("192.0.2.7 "), "{lines:?}");
}

#[test]
fn prefixes_come_off_and_on_and_the_rest_stays_as_it_was() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&format!(
        "{}
        [[route]]
        path = \"/api/v1\"
        strip_prefix = \"/api\"
        to = \"app\"
        [[route]]
        path = \"/old\"
        strip_prefix = \"/old\"
        add_prefix = \"/new/place\"
        to = \"app\"",
        group("app", &backend)
    ));
    let rows = [
        ("/api/v1", "/v1"),
        ("/api/v1/a%20b/?q=/api/v1", "/v1/a%20b/?q=/api/v1"),
        ("/old", "/new/place/"),
        ("/old?x", "/new/place/?x"),
        ("/old/y", "/new/place/y"),
        ("http://a.test/old/z", "/new/place/z"),
    ];
    for (number, (target, want)) in rows.iter().enumerate() {
        assert_eq!(proxy.send(get(target)).reply().status(), 200, "{target}");
        let seen = &backend.wait_for_requests(number + 1)[number];
        assert_eq!(seen.head.target(), *want);
        let prefix = if target.contains("api") { "/api" } else { "/old" };
        assert_eq!(seen.head.field("x-forwarded-prefix"), Some(prefix));
    }
}

/// RFC 3986 §4.2: what begins with two slashes names a host to some.
#[test]
fn no_host_comes_to_light_where_a_prefix_is_taken_off() {
    let backend = ScriptedBackend::named("app");
    let route = "[[route]]\npath = \"/api\"\nstrip_prefix = \"/api\"\nto = \"app\"";
    let proxy = Configured::with(&format!("{}{route}", group("app", &backend)));
    assert_eq!(proxy.send(get("/api/x//y")).reply().status(), 200);
    assert_eq!(proxy.send(get("/api//x/admin")).reply().status(), 400);
}

#[test]
fn field_lines_are_set_and_removed_both_ways() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Both: backend\r\nContent-Length: 0\r\n\r\n",
    );
    let proxy = Configured::with(&format!(
        "{}
        [[route]]
        request_headers = {{ set = {{ X-Env = \"prod\", x-both = \"ours\" }}, remove = [\"X-Debug\"] }}
        response_headers = {{ set = {{ Strict-Transport-Security = \"max-age=1\", X-Both = \"ours\" }}, remove = [\"server\"] }}
        to = \"app\"",
        group("app", &backend)
    ));
    let head =
        "GET / HTTP/1.1\r\nHost: a.test\r\nx-debug: 1\r\nX-Both: client\r\nX-BOTH: twice\r\nX-Stays: yes\r\n\r\n";
    let reply = proxy.send(head).reply();
    let seen = &backend.wait_for_requests(1)[0].head;
    assert_eq!((seen.field("x-env"), seen.all("x-both"), seen.field("x-debug")), (Some("prod"), vec!["ours"], None));
    assert_eq!(seen.field("x-stays"), Some("yes"));
    let reply = reply.head;
    assert_eq!((reply.all("x-both"), reply.field("server")), (vec!["ours"], None));
    assert_eq!(reply.field("strict-transport-security"), Some("max-age=1"));
}

/// What a route sets stands alone, and what it removes is not there, even if it is a field that the proxy adds.
#[test]
fn a_field_that_a_route_sets_or_removes_is_not_added_by_the_proxy() {
    let backend = ScriptedBackend::named("app");
    let ours = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Request-Id"];
    let ours_back = ["Date", "Location", "Content-Type", "Proxy-Status", "Retry-After", "X-Request-Id"];
    let set = |names: &[&str]| {
        let pairs: Vec<_> = names.iter().map(|name| format!("{} = \"set\"", name.to_lowercase())).collect();
        format!("{{ set = {{ {} }} }}", pairs.join(", "))
    };
    let remove = |names: &[&str]| format!("{{ remove = {names:?} }}");
    let nobody = RefusingPort::new();
    let mut text = format!("{}[backends.nobody]\nservers = [\"{}\"]\n", group("app", &backend), nobody.address());
    for (path, request, back) in
        [("/set", set(&ours), set(&ours_back)), ("/removed", remove(&ours), remove(&ours_back))]
    {
        let forwarded = format!("strip_prefix = \"{path}\"\nto = \"app\"\nrequest_headers = {request}");
        for (kind, action) in [
            ("to", forwarded.as_str()),
            ("redirect", "redirect = { to = \"/else\", status = 302 }"),
            ("respond", "respond = { status = 200, body = \"x\" }"),
            ("fail", "to = \"nobody\""),
        ] {
            text.extend([format!("[[route]]\npath = \"{path}/{kind}\"\n{action}\nresponse_headers = {back}\n")]);
        }
    }
    let proxy = Configured::with(&text);
    let mut seen = 0;
    for (path, want) in [("/set", vec!["set"]), ("/removed", vec![])] {
        for kind in ["to", "redirect", "respond", "fail"] {
            let head = proxy.send(get(&format!("{path}/{kind}"))).reply().head;
            for name in ours_back {
                assert_eq!(head.all(name), want, "{path}/{kind} {name}: {head:?}");
            }
        }
        seen += 1;
        let head = &backend.wait_for_requests(seen)[seen - 1].head;
        for name in ours {
            assert_eq!(head.all(name), want, "{path} {name}: {head:?}");
        }
        assert_eq!(head.all("via"), ["1.1 footbridge"]);
    }
}

/// A proxy that is believed has taken off what stood before what we take off; anyone else's word does not count.
#[test]
fn the_prefixes_that_proxies_take_off_make_one_field() {
    let backend = ScriptedBackend::named("app");
    let routes = "[[route]]\nto = \"app\"\n[[route]]\npath = \"/api\"\nstrip_prefix = \"/api\"\nto = \"app\"";
    let config = |server: &str| Configured::with(&format!("{server}{}{routes}", group("app", &backend)));
    let proxies = [config("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n"), config("")];
    let rows = [
        (0, "/api/x", "/outer", Some("/outer/api")),
        (0, "/api/x", "/outer/", Some("/outer/api")),
        (0, "/x", "/outer", Some("/outer")),
        (1, "/api/x", "/outer", Some("/api")),
        (1, "/x", "/outer", None),
    ];
    for (number, (proxy, target, outer, want)) in rows.into_iter().enumerate() {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nx-forwarded-prefix: {outer}\r\n\r\n");
        assert_eq!(proxies[proxy].send(head).reply().status(), 200);
        let seen = &backend.wait_for_requests(number + 1)[number].head;
        assert_eq!(seen.all("x-forwarded-prefix"), want.into_iter().collect::<Vec<_>>(), "{proxy} {target}");
    }
}

/// RFC 9110 §15.4.
#[test]
fn redirects_and_fixed_answers_need_no_backend() {
    let proxy = Configured::with(
        "[[route]]
        path = \"/old\"
        redirect = { to = \"https://{host}{uri}\", status = 301 }
        [[route]]
        path = \"/up\"
        respond = { status = 200, body = \"ok\\n\" }",
    );
    let mut client = proxy.send(get("/old/x?y=1"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.head.field("location")), (301, Some("https://a.test/old/x?y=1")));
    client.send(get("/up"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text()), (200, "ok\n".to_owned()));
    client.send("HEAD /up HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = client.reply_to_head();
    assert_eq!((reply.status(), reply.head.field("content-length")), (200, Some("3")));
    client.send(get("/up"));
    assert_eq!(client.reply().text(), "ok\n", "in step");
    let reply = proxy.send(post("/up", "Content-Length: 5\r\n", "abcde")).reply();
    assert!(reply.status() == 200 && reply.says_close(), "the content was not read: {reply:?}");
    let lines = proxy.access_lines(5);
    assert!(lines[0].contains(" reason=redirect ") && lines[1].contains(" reason=fixed-answer "), "{lines:?}");
}

/// Only a client that takes nothing for `timeouts.send`, or next to nothing for `timeouts.slow`, is given up.
#[test]
fn a_large_fixed_answer_reaches_a_client_that_reads_late_or_has_nothing_more_to_say() {
    let body = "0123456789abcdef".repeat(60_000);
    let proxy = |send: &str| {
        Configured::with(&format!(
            "[timeouts]\nsend = \"{send}\"\n[[route]]\nrespond = {{ status = 200, body = \"{body}\" }}"
        ))
    };
    // More than the kernel holds between the two.
    let requests = get("/").repeat(20);
    let patient = proxy("10s");
    let (mut half_closed, mut late) = (patient.send(&requests), patient.send(&requests));
    half_closed.finish();
    for _ in 0..20 {
        assert!(half_closed.reply().text() == body, "the client's end is not the answer's");
    }
    thread::sleep(Duration::from_millis(2500)); // Longer than a client may go on after our last word.
    for _ in 0..20 {
        assert!(late.reply().text() == body);
    }
    late.send(get("/"));
    assert!(late.reply().text() == body, "the connection goes on");

    let hasty = proxy("300ms");
    let mut stuck = hasty.send(&requests);
    thread::sleep(Duration::from_secs(1));
    let whole = (0..20).take_while(|_| stuck.outcome().is_some_and(|reply| reply.is_complete())).count();
    assert!(whole < 20, "it was given up");
}

/// RFC 9112 §3.2.4, §3.3: a target without a path has the path `/`, and its query stays; HTTP/1.0 need not say a host.
#[test]
fn a_redirect_goes_to_a_whole_uri_or_nowhere() {
    let proxy = Configured::with("[[route]]\nredirect = { to = \"https://{host}{uri}\", status = 301 }");
    each_row(
        &[
            ("GET http://a.test?x HTTP/1.1\r\nHost: a.test\r\n", Some("https://a.test/?x")),
            ("GET http://a.test HTTP/1.1\r\nHost: b.test\r\n", Some("https://a.test/")),
            ("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n", Some("https://a.test/")),
            ("GET /go HTTP/1.0\r\nHost: a.test:80\r\n", Some("https://a.test/go")),
            ("GET /go HTTP/1.0\r\n", None),
            ("GET /go HTTP/1.1\r\nHost:\r\n", None),
        ],
        |(head, want)| {
            let reply = proxy.send(format!("{head}\r\n")).reply();
            assert_eq!(reply.head.field("location"), *want);
            assert_eq!(reply.status() == 301, want.is_some());
            assert_eq!(reply.status() == 400 && reply.text().contains("reason: no-host\n"), want.is_none());
        },
    );
}

#[test]
fn a_route_has_limits_and_a_group_a_host_of_its_own() {
    let (app, slow) = (ScriptedBackend::named("app"), ScriptedBackend::silent());
    let proxy = Configured::with(&format!(
        "[backends.app]
        servers = [\"{}\"]
        host = \"internal.test\"
        {}
        [[route]]
        path = \"/small\"
        limits = {{ body = \"4B\" }}
        to = \"app\"
        [[route]]
        path = \"/slow\"
        timeouts = {{ response = \"100ms\" }}
        to = \"slow\"
        [[route]]
        to = \"app\"",
        app.address(),
        group("slow", &slow)
    ));
    assert_eq!(proxy.send(post("/small", "Content-Length: 5\r\n", "")).reply().status(), 413);
    assert_eq!(proxy.send(post("/", "Content-Length: 5\r\n", "abcde")).reply().status(), 200);
    assert_eq!(proxy.send(get("/slow")).reply().status(), 504);
    let seen = &app.wait_for_requests(1)[0].head;
    assert_eq!((seen.field("host"), seen.field("x-forwarded-host")), (Some("internal.test"), Some("a.test")));
}

/// The request's identification goes both ways: made if absent, as it came if not.
#[test]
fn a_request_is_identified_to_backend_and_client_alike() {
    let backend = ScriptedBackend::named("app");
    let text =
        |name: &str| format!("[server]\nrequest_id = \"{name}\"\n{}\n[[route]]\nto = \"app\"", group("app", &backend));
    let proxy = Configured::with(&text("X-Trace"));
    let made = proxy.send(get("/")).reply().head.field("x-trace").map(str::to_owned);
    assert_eq!(backend.wait_for_requests(1)[0].head.field("x-trace").map(str::to_owned), made);
    assert!(made.is_some_and(|made| made.len() == 16));
    let own = proxy.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-TRACE: mine\r\n\r\n").reply();
    assert_eq!(own.head.all("x-trace"), ["mine"]);
    assert_eq!(backend.wait_for_requests(2)[1].head.all("x-trace"), ["mine"]);
    let without = Configured::with(&text(""));
    let reply = without.send(get("/")).reply();
    assert_eq!((reply.head.field("x-trace"), reply.head.field("x-request-id")), (None, None));
}

/// Nobody is sent to a backend of a group that only others may reach.
#[test]
fn each_group_has_backends_of_its_own() {
    let (a, b) = (ScriptedBackend::answering(&ok("a")), ScriptedBackend::answering(&ok("b")));
    let proxy = Configured::with(&format!(
        "{}{}[[route]]\npath = \"/a\"\nto = \"a\"\n[[route]]\npath = \"/b\"\nto = \"b\"",
        group("a", &a),
        group("b", &b)
    ));
    let mut client = proxy.connect();
    for _ in 0..10 {
        for name in ["a", "b"] {
            client.send(get(&format!("/{name}")));
            assert_eq!(client.reply().text(), name);
        }
    }
}

/// What could not be parsed took no route, not even the one of the request before it.
#[test]
fn a_malformed_request_is_answered_as_no_route_says() {
    let backend = ScriptedBackend::answering(&ok("hello"));
    let route = "[[route]]\nto = \"app\"\nresponse_headers = { set = { X-Route = \"one\" } }";
    let proxy = Configured::with(&format!("{}\n{route}", group("app", &backend)));
    let mut client = proxy.send(get("/") + "GET /\nfoo\r\n\r\n");
    assert_eq!(client.reply().head.field("x-route"), Some("one"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.head.field("x-route")), (400, None));
}
