//! Fields that end at this hop, and fields that this hop adds (RFC 9110 §7.6, RFC 7239).

use crate::support::backend::{Request, ScriptedBackend, ok};
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, Gate, relayed};
use crate::support::{each_row, get};

fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
}

/// What a backend sees if the client's address is trusted as `--trust` says.
fn forwarded_with_trust(trust: &str, lines: &str) -> Request {
    let backend = ScriptedBackend::answering(&ok("hi"));
    let proxy = Proxy::with(&["--to", &backend.address().to_string(), "--trust", trust]);
    assert_eq!(proxy.send(with(lines)).reply().status(), 200);
    backend.requests().swap_remove(0)
}

/// RFC 9110 §7.6.1: Connection, all that it names, and what is hop-by-hop by tradition are not forwarded.
#[test]
fn hop_by_hop_fields_of_a_request_are_not_forwarded() {
    let gate = Gate::open();
    let rows: [(&str, &[&str]); 12] = [
        ("Connection: X-Hop\r\nX-Hop: 1\r\n", &["x-hop"]),
        ("connection: x-HOP\r\nX-hop: 1\r\n", &["x-hop"]),
        ("X-Hop: 1\r\nConnection: X-Hop\r\nX-Hop: 2\r\n", &["x-hop"]),
        ("Connection: , X-One ,\tX-Two,,keep-alive\r\nX-One: 1\r\nX-Two: 2\r\n", &["x-one", "x-two"]),
        ("Connection: keep-alive\r\nX-Hop: 1\r\nConnection: X-Hop\r\n", &["x-hop"]),
        ("Connection: close, X-Hop\r\nX-Hop: 1\r\n", &["x-hop"]),
        ("Connection: X-Nothing-Such\r\n", &["x-nothing-such"]),
        ("Keep-Alive: timeout=5\r\n", &["keep-alive"]),
        ("Proxy-Connection: keep-alive\r\n", &["proxy-connection"]),
        ("Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n", &["upgrade"]),
        ("Upgrade: websocket\r\n", &["upgrade"]),
        ("TE: gzip\r\nConnection: TE\r\n", &[]),
    ];
    each_row(&rows, |(lines, gone)| {
        let request = gate.forwards(&with(lines));
        for name in *gone {
            assert!(request.head.all(name).is_empty(), "{name} was forwarded: {:?}", request.head);
        }
        let options = request.head.list("connection");
        assert!(options.iter().all(|option| !option.starts_with("x-") && option != "upgrade"), "{options:?}");
        assert!(request.head.list("te").iter().all(|coding| coding == "trailers"), "{:?}", request.head);
    });
}

/// RFC 9110 §10.1.4: TE concerns this hop; if the proxy says it of its own it lists it in Connection.
#[test]
fn te_is_forwarded_only_as_a_field_of_this_hop() {
    let gate = Gate::open();
    each_row(&["TE: trailers\r\n", "TE: trailers\r\nConnection: TE\r\n", "TE: trailers, deflate;q=0.5\r\n"], |lines| {
        let request = gate.forwards(&with(lines));
        let is_listed = request.head.list("connection").iter().any(|option| option == "te");
        assert!(request.head.all("te").is_empty() || is_listed, "{:?}", request.head);
        assert!(request.head.list("te").iter().all(|coding| coding == "trailers"), "{:?}", request.head);
    });
}

/// RFC 9110 §7.6.1: Connection is for options of this hop. Naming what the message or the proxy's word depends on is
/// an attack: refused, or without effect.
#[test]
fn connection_cannot_take_away_fields_that_are_not_hop_by_hop() {
    let gate = Gate::open();
    let rows = [
        ("Host", "", "host", "a.test"),
        ("host", "", "host", "a.test"),
        ("Content-Length", "Content-Length: 5\r\n", "content-length", "5"),
        ("Authorization", "Authorization: Basic x\r\n", "authorization", "Basic x"),
        ("Cookie", "Cookie: a=1\r\n", "cookie", "a=1"),
        ("close, cookie", "Cookie: a=1\r\n", "cookie", "a=1"),
        ("Cache-Control", "Cache-Control: no-store\r\n", "cache-control", "no-store"),
        ("Max-Forwards", "Max-Forwards: 5\r\n", "max-forwards", "5"),
        ("X-Request-Id", "X-Request-Id: 7\r\n", "x-request-id", "7"),
        ("X-Forwarded-For", "", "x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-for, close", "X-Forwarded-For: 6.6.6.6\r\n", "x-forwarded-for", "127.0.0.1"),
        ("X-Forwarded-Proto", "", "x-forwarded-proto", "http"),
        ("X-Forwarded-Host", "", "x-forwarded-host", "a.test"),
    ];
    each_row(&rows, |(option, lines, name, value)| {
        let content = if lines.starts_with("Content-Length") { "hello" } else { "" };
        let request = with(&format!("Connection: {option}\r\n{lines}")) + content;
        if let Some(request) = gate.refuses_or_forwards(&request, &[400]) {
            assert_eq!((request.head.all(name), request.text().as_str()), (vec![*value], content));
        }
    });
}

/// RFC 9112 §6.1: naming Transfer-Encoding in Connection does not unframe the content.
#[test]
fn connection_cannot_take_away_transfer_encoding() {
    let request = with("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
    if let Some(request) = Gate::open().refuses_or_forwards(&request, &[400]) {
        assert!(request.is_complete() && request.text() == "hello");
    }
}

/// RFC 9110 §7.6.3: Via is not for the client to remove either.
#[test]
fn connection_cannot_take_away_our_entry_in_via() {
    if let Some(request) = Gate::open().refuses_or_forwards(&with("Connection: Via\r\n"), &[400]) {
        assert!(!request.head.list("via").is_empty());
    }
}

/// RFC 9110 §7.6.1: the same for responses.
#[test]
fn hop_by_hop_fields_of_a_response_are_not_forwarded() {
    let rows: [(&str, &[&str]); 5] = [
        ("Connection: X-Hop\r\nX-Hop: 1\r\n", &["x-hop"]),
        ("X-Hop: 1\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\n", &["x-hop", "keep-alive"]),
        ("Proxy-Connection: close\r\n", &["proxy-connection"]),
        ("Upgrade: h2c\r\nConnection: Upgrade\r\n", &["upgrade"]),
        ("Upgrade: h2c\r\n", &["upgrade"]),
    ];
    each_row(&rows, |(lines, gone)| {
        let response = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nhi");
        let reply = relayed(&response, Afterwards::Stays).expect("an answer");
        assert_eq!((reply.status(), reply.text().as_str()), (200, "hi"));
        for name in *gone {
            assert!(reply.head.all(name).is_empty(), "{name} was forwarded: {:?}", reply.head);
        }
        assert!(!reply.head.list("connection").iter().any(|option| option.starts_with("x-")), "{:?}", reply.head);
    });
}

/// RFC 9112 §6: a response cannot take its own framing away.
#[test]
fn connection_in_a_response_cannot_take_away_its_framing_or_cookies() {
    let response =
        "HTTP/1.1 200 OK\r\nConnection: Content-Length, Set-Cookie\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nhi";
    let reply = relayed(response, Afterwards::Stays).expect("an answer");
    assert!(reply.status() == 502 || reply.text() == "hi", "{reply:?}");
    assert!(reply.is_complete());
}

/// RFC 9110 §7.6.3: a gateway sends Via with each request, its own entry last.
#[test]
fn via_is_added_behind_what_is_there() {
    let gate = Gate::open();
    let rows: [(&str, &[&str]); 3] = [
        ("", &[]),
        ("Via: 1.0 fred\r\n", &["1.0 fred"]),
        ("Via: 1.0 a\r\nVia: 1.1 b, 1.1 c\r\n", &["1.0 a", "1.1 b", "1.1 c"]),
    ];
    each_row(&rows, |(lines, want)| {
        let via = gate.forwards(&with(lines)).head.list("via");
        let (own, before) = via.split_last().expect("an entry of our own");
        assert_eq!(before, *want);
        assert!(own.starts_with("1.1 "), "{own:?}");
    });
    let via = gate.forwards("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").head.list("via");
    assert!(via[0].starts_with("1.0 "), "the version that was received: {via:?}");
}

/// RFC 7239 §8.1: what a stranger says about who it is, is replaced by what we know.
#[test]
fn forwarded_fields_of_a_stranger_are_replaced() {
    let gate = Gate::open();
    let rows = [
        "",
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n",
        "x-forwarded-for: 203.0.113.7\r\nX-FORWARDED-FOR: 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-For:\r\nX-Forwarded-Proto: \"\r\n",
    ];
    each_row(&rows, |lines| {
        let head = gate.forwards(&with(lines)).head;
        assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(head.all("x-forwarded-proto"), ["http"]);
        assert_eq!(head.all("x-forwarded-host"), ["a.test"]);
    });
}

/// RFC 7239 §5.2: a trusted peer's word is kept, and its own address appended.
#[test]
fn forwarded_fields_of_a_trusted_peer_are_kept_and_appended_to() {
    let lines = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n";
    for trust in ["127.0.0.0/8", "127.0.0.1", "127.0.0.1/32"] {
        let head = forwarded_with_trust(trust, lines).head;
        assert_eq!(head.list("x-forwarded-for"), ["203.0.113.7", "127.0.0.1"], "--trust {trust}");
        assert_eq!(head.all("x-forwarded-proto"), ["https"]);
        assert_eq!(head.all("x-forwarded-host"), ["shop.test"]);
    }
}

/// RFC 7239 §5: a trusted peer that says nothing is described like any other.
#[test]
fn a_trusted_peer_that_says_nothing_is_described() {
    let head = forwarded_with_trust("127.0.0.0/8", "").head;
    assert_eq!(head.list("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((head.all("x-forwarded-proto"), head.all("x-forwarded-host")), (vec!["http"], vec!["a.test"]));
}

/// RFC 7239 §8.1: trust is for those who were named.
#[test]
fn trust_in_others_does_not_extend_to_this_peer() {
    for trust in ["10.0.0.0/8", "128.0.0.0/1", "::1", "127.0.0.2/32"] {
        let head = forwarded_with_trust(trust, "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n").head;
        assert_eq!(
            (head.all("x-forwarded-for"), head.all("x-forwarded-proto")),
            (vec!["127.0.0.1"], vec!["http"]),
            "{trust}"
        );
    }
}

/// CGI and WSGI read `_` as `-`, lighttpd's every other mark, too: a look-alike of a field that we vouch for must not
/// stand beside it.
#[test]
fn look_alikes_of_fields_we_vouch_for_are_refused_or_dropped() {
    let gate = Gate::open();
    let rows = [
        "X_Forwarded_For",
        "X-Forwarded_For",
        "x_forwarded-for",
        "X_Forwarded_Proto",
        "X_Forwarded_Host",
        "X_FORWARDED_PORT",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X_Real_IP",
        "X-Real-IP",
        "x-real_ip",
        "Forwarded",
        "Content_Length",
        "Transfer_Encoding",
        "X.Forwarded.For",
        "X~Forwarded-For",
        "X-Forwarded+Proto",
        "X.Real.IP",
        "Content.Length",
        "Transfer!Encoding",
    ];
    each_row(&rows, |name| {
        if let Some(request) = gate.refuses_or_forwards(&with(&format!("{name}: 203.0.113.7\r\n")), &[400]) {
            let is_alike = |field: &(String, String)| field.0.eq_ignore_ascii_case(name);
            assert!(!request.head.fields.iter().any(is_alike), "{:?}", request.head);
        }
    });
}

/// ... and a trusted peer, which says it with hyphens, does not say it with other marks as well.
#[test]
fn look_alikes_of_a_trusted_peer_are_dropped() {
    let lines = "X-Forwarded-For: 203.0.113.7\r\nX_Forwarded_For: 203.0.113.8\r\nX_Real_IP: 203.0.113.9\r\n\
        X.Real.IP: 203.0.113.10\r\n";
    let head = forwarded_with_trust("127.0.0.0/8", lines).head;
    assert_eq!(head.list("x-forwarded-for"), ["203.0.113.7", "127.0.0.1"]);
    assert!(head.all("x_forwarded_for").is_empty() && head.all("x_real_ip").is_empty(), "{head:?}");
    assert!(head.all("x.real.ip").is_empty(), "{head:?}");
}

/// RFC 9110 §7.6.2: Max-Forwards of OPTIONS counts the hops; at zero the proxy answers itself.
#[test]
fn max_forwards_of_options_is_counted_down() {
    let gate = Gate::open();
    let options = |value: &str| format!("OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: {value}\r\n\r\n");
    assert_eq!(gate.forwards(&options("5")).head.field("max-forwards"), Some("4"));
    assert_eq!(gate.forwards(&options("1")).head.field("max-forwards"), Some("0"));

    let before = gate.backend().requests().len();
    let reply = gate.proxy().send(options("0")).reply();
    assert!([200, 204].contains(&reply.status()), "{reply:?}");
    assert_eq!(gate.backend().requests().len(), before);
}

/// RFC 9110 §7.6.2: for other methods it means nothing.
#[test]
fn max_forwards_of_get_is_left_alone() {
    let request = Gate::open().forwards(&with("Max-Forwards: 0\r\n"));
    assert_eq!(request.head.field("max-forwards"), Some("0"));
}

/// RFC 9112 §9.6: a client's `close` is between it and us.
#[test]
fn connection_close_of_a_client_does_not_close_the_backend_connection() {
    let gate = Gate::open();
    for _ in 0..5 {
        gate.forwards(&with("Connection: close\r\n"));
    }
    assert!(gate.backend().connections() <= 2, "{} connections", gate.backend().connections());
    assert_eq!(gate.proxy().send(get("/")).reply().status(), 200);
}
