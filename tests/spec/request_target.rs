//! The request line: method, target and version (RFC 9112 §3).

use crate::support::message::latin1;
use crate::support::verdict::{Gate, SMUGGLED};
use crate::support::{each_row, get};

/// RFC 9110 §7.7: a proxy must not change the path and the query of what it forwards.
#[test]
fn the_target_reaches_the_backend_byte_for_byte() {
    let gate = Gate::open();
    let long = format!("/?q={}", "0123456789".repeat(600));
    let rows = [
        "/",
        "/a/b?c=d",
        "/%2F%41%7e/a%20b/%e4%bd%a0?x=%26%3d%2f",
        "//two/slashes",
        "/a/../b/./c//d",
        "/trailing/?",
        "/?a=1&a=2&&b=+%20;c=/?:@!$'()*,&empty=&noval",
        "/a%0d%0aX-Evil:%201/b?c=%0D%0Ad",
        "/a%00b",
        "/%zz/%4/%",
        &long,
    ];
    each_row(&rows, |target| {
        assert_eq!(gate.forwards(&get(target)).head.start_line, format!("GET {target} HTTP/1.1"));
    });
}

/// RFC 9112 §3.2: bytes outside the URI grammar are refused, or passed on untouched; never mended.
#[test]
fn odd_bytes_in_the_target_are_refused_or_kept() {
    let gate = Gate::open();
    let rows = ["/<a>\"b\"{c}|d^e`f", "/a\\..\\b", "/\u{c3}\u{a9}\u{ff}", "/a[0]"];
    each_row(&rows, |target| {
        if let Some(request) = gate.refuses_or_forwards(&get(target), &[400]) {
            assert_eq!(request.head.target(), *target);
        }
    });
}

/// RFC 9112 §3: a recipient should support request lines of at least 8000 octets.
#[test]
fn a_request_line_of_8000_bytes_is_forwarded() {
    let target = format!("/{}", "a".repeat(8000 - "GET / HTTP/1.1".len()));
    assert_eq!(Gate::open().forwards(&get(&target)).head.target(), target);
}

/// RFC 9112 §3.2.2: absolute-form must be accepted; its authority replaces whatever Host said.
#[test]
fn absolute_form_becomes_origin_form_and_its_authority_becomes_host() {
    let gate = Gate::open();
    let rows = [
        ("http://a.test/p?q=1", "/p?q=1", "a.test"),
        ("http://a.test", "/", "a.test"),
        ("http://a.test?q", "/?q", "a.test"),
        ("http://a.test//p/../q", "//p/../q", "a.test"),
        ("HTTP://a.test/p", "/p", "a.test"),
        ("http://b.test:8080/p", "/p", "b.test:8080"),
        ("http://[::1]:80/p", "/p", "[::1]:80"),
    ];
    each_row(&rows, |(target, want, host)| {
        let request = gate.forwards(&get(target));
        assert_eq!((request.head.target(), request.head.field("host")), (*want, Some(*host)));
    });
}

/// RFC 9112 §3.2.4: the last proxy sends `*` for OPTIONS of a server as a whole; a gateway may call it `/`.
#[test]
fn options_in_absolute_form_without_a_path_asks_about_the_server() {
    let request = Gate::open().forwards("OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(["*", "/"].contains(&request.head.target()), "{:?}", request.head);
}

/// RFC 9112 §3.2.4: asterisk-form is for OPTIONS.
#[test]
fn options_asterisk_is_kept() {
    let request = Gate::open().forwards("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(request.head.start_line, "OPTIONS * HTTP/1.1");
}

/// RFC 9112 §3.2: a target in none of the four forms, or in a form that its method does not allow.
#[test]
fn a_target_in_a_wrong_form_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        "*",
        "x/relative",
        "?q",
        "a.test:80",
        "http:///no/authority",
        "http://",
        "http:/a.test/",
        "http://user:pw@a.test/",
        "http://a.test:8x/",
        "http://[::1/",
        "ftp://a.test/",
        "://a.test/",
        "/a#fragment",
        "http://a.test/a#fragment",
        "/a\u{1}b",
        "/a\u{7f}b",
        "/a\tb",
        "/a\0b",
        "/a\rb",
        "/a\u{b}b",
    ];
    each_row(&rows, |target| gate.refuses(&(get(target) + SMUGGLED), &[400]));
}

/// RFC 9110 §9.3.6: a gateway has no business in tunnelling to where the client says.
#[test]
fn connect_gets_501_and_what_follows_is_not_run() {
    let gate = Gate::open();
    each_row(&["a.test:443", "127.0.0.1:80"], |target| {
        gate.refuses(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{SMUGGLED}"), &[501]);
    });
}

/// RFC 9112 §3.2.3: CONNECT takes authority-form only; as it is refused anyway, either reason will do.
#[test]
fn connect_with_a_path_is_refused() {
    let gate = Gate::open();
    each_row(&["/path", "http://a.test/", "*"], |target| {
        gate.refuses(&format!("CONNECT {target} HTTP/1.1\r\nHost: a.test\r\n\r\n{SMUGGLED}"), &[400, 501]);
    });
}

/// RFC 9112 §3: one space between the three parts, no white space around them, nothing missing.
#[test]
fn a_malformed_request_line_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        "GET\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET /\tHTTP/1.1\r\n",
        "GET / a HTTP/1.1\r\n",
        "GET  HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        " / HTTP/1.1\r\n",
        "GET / HTTP/1.1\rX: y\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r\n",
        "GE{T / HTTP/1.1\r\n",
        "G\u{e9}T / HTTP/1.1\r\n",
        "GET\0 / HTTP/1.1\r\n",
        "GET: / HTTP/1.1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/1.\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP/1,1\r\n",
        "GET / HTTP/+1.1\r\n",
        "GET / HTTP /1.1\r\n",
        "GET / HTP/1.1\r\n",
    ];
    each_row(&rows, |line| gate.refuses(&format!("{line}Host: a.test\r\n\r\n{SMUGGLED}"), &[400]));
}

/// RFC 9110 §15.6.6: a major version that we do not speak, and the preface of HTTP/2 (RFC 9113 §3.4).
#[test]
fn another_major_version_gets_505() {
    let gate = Gate::open();
    let rows = [
        "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    each_row(&rows, |request| gate.refuses(request, &[505]));
}

/// RFC 9112 Appendix C.1: HTTP/0.9 has no version at all; its name in a request line is no use either.
#[test]
fn http_0_9_is_refused() {
    let gate = Gate::open();
    each_row(&["GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", "GET /\r\n\r\n"], |request| {
        gate.refuses(request, &[400, 505]);
    });
}

/// RFC 9110 §9.1: method names are case-sensitive tokens, and the set is open.
#[test]
fn any_method_is_forwarded_as_it_is_spelt() {
    let gate = Gate::open();
    let rows = ["GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get", "X-FROB~1", "!#$%&'*+-.^_`|~", "M"];
    each_row(&rows, |method| {
        let request = gate.forwards(&format!("{method} /m HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert_eq!(request.head.start_line, format!("{method} /m HTTP/1.1"));
    });
}

/// RFC 9112 §2.3: an intermediary sends its own version.
#[test]
fn a_request_in_http_1_0_goes_on_as_http_1_1() {
    let request = Gate::open().forwards("GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n");
    assert_eq!(request.head.start_line, "GET /old HTTP/1.1");
}

/// RFC 9112 §2.2: a server should ignore an empty line before the request line.
#[test]
fn an_empty_line_before_the_request_line_is_skipped() {
    let request = Gate::open().forwards(&format!("\r\n{}", get("/after-empty-line")));
    assert_eq!(request.head.target(), "/after-empty-line");
}

/// RFC 9112 §2.2 lets a lone LF end a line; two parties that differ on it can be played off against each other.
#[test]
fn a_request_with_bare_lf_line_ends_gets_400() {
    let gate = Gate::open();
    gate.refuses("GET / HTTP/1.1\nHost: a.test\n\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", &[400]);
}

/// RFC 9112 §2.1: how a message is cut into segments means nothing.
#[test]
fn a_request_that_comes_byte_by_byte_is_served() {
    let gate = Gate::open();
    let mut client = gate.proxy().connect();
    for byte in latin1("POST /drip HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello") {
        client.send([byte]);
    }
    assert_eq!(client.reply().text(), "hello");
    assert_eq!(gate.backend().requests()[0].head.target(), "/drip");
}
