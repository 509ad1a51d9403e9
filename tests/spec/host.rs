//! The Host field (RFC 9110 §7.2, RFC 9112 §3.2).

use crate::support::each_row;
use crate::support::verdict::{Gate, SMUGGLED};

fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n")
}

/// RFC 9112 §3.2: 400 for a request that lacks Host, has more than one, or an invalid one.
#[test]
fn a_missing_doubled_or_invalid_host_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        "",
        "X-Other: 1\r\n",
        "Host: a.test\r\nHost: a.test\r\n",
        "Host: a.test\r\nHost: b.test\r\n",
        "Host: a.test\r\nhost: b.test\r\n",
        "Host: a.test\r\nX-Between: 1\r\nHOST: a.test\r\n",
        "Host: a.test, b.test\r\n",
        "Host: a.test b.test\r\n",
        "Host: user@a.test\r\n",
        "Host: <script>\r\n",
        "Host: a.test?x\r\n",
        "Host: a.test#x\r\n",
        "Host: a.test/x\r\n",
        "Host: a.test\\x\r\n",
        "Host: http://a.test\r\n",
        "Host: a.test:8x\r\n",
        "Host: a.test:80:80\r\n",
        "Host: a.test:-1\r\n",
        "Host: [::1\r\n",
        "Host: ::1]\r\n",
        "Host: [::1]x\r\n",
        "Host: a\0b\r\n",
        "Host: \"a.test\"\r\n",
        "Host: a.test\u{e9}\r\n",
        "Host : a.test\r\n",
        "Host: a.test\r\nHost : b.test\r\n",
        "Host:\r\n a.test\r\n",
    ];
    each_row(&rows, |lines| gate.refuses(&(with(lines) + SMUGGLED), &[400]));
}

/// RFC 9112 §3.2.2: absolute-form does not excuse HTTP/1.1 from sending Host.
#[test]
fn absolute_form_without_host_gets_400() {
    Gate::open().refuses("GET http://a.test/ HTTP/1.1\r\n\r\n", &[400]);
}

/// RFC 9112 §3.2: two Host lines have no single meaning in HTTP/1.0 either.
#[test]
fn two_host_lines_in_http_1_0_get_400() {
    Gate::open().refuses("GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n", &[400]);
}

/// RFC 9110 §7.2: the backend sees the Host that the client meant.
#[test]
fn a_valid_host_reaches_the_backend_as_it_is() {
    let gate = Gate::open();
    let rows = [
        "a.test",
        "A.Test:8080",
        "10.0.0.1",
        "[::1]:80",
        "[2001:db8::1]",
        "a_b.test",
        "xn--bcher-kva.test",
        "a",
        "a.test:",
        "a.test.",
    ];
    each_row(&rows, |host| {
        assert_eq!(gate.forwards(&with(&format!("Host: {host}\r\n"))).head.all("host"), [*host]);
    });
}

/// RFC 9112 §5.1: white space around a value is no part of it; and Host need not come first.
#[test]
fn white_space_around_host_is_dropped_and_its_place_is_free() {
    let gate = Gate::open();
    let rows = ["Host:a.test\r\n", "Host: \t a.test \t \r\n", "X-A: 1\r\nhOST: a.test\r\nX-B: 2\r\n"];
    each_row(&rows, |lines| assert_eq!(gate.forwards(&with(lines)).head.field("host"), Some("a.test")));
}

/// RFC 9112 §3.2: an empty Host is valid where the target has no authority; a server for names may refuse it.
#[test]
fn an_empty_host_is_refused_or_forwarded_as_one_line() {
    if let Some(request) = Gate::open().refuses_or_forwards(&with("Host:\r\n"), &[400]) {
        assert_eq!(request.head.all("host").len(), 1);
    }
}

/// RFC 9112 §3.2: HTTP/1.0 may leave Host away; what we send is HTTP/1.1 and may not.
#[test]
fn http_1_0_without_host_is_forwarded_with_one() {
    let request = Gate::open().forwards("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(request.head.all("host").len(), 1);
}
