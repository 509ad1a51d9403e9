//! Field lines, in requests and in responses (RFC 9110 §5, RFC 9112 §5).

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, Gate, SMUGGLED, assert_bad_gateway, looks_whole, relayed};
use crate::support::{each_row, get};

fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
}

/// These fields as field lines.
fn lines_of(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat()
}

fn response_with(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nhi")
}

/// Lines that no message may hold: RFC 9112 §2.2 (bare CR and LF), §5.1 (space before the colon), §5.2 (folding);
/// RFC 9110 §5.1 (names are tokens), §5.5 (control bytes in values).
const FORBIDDEN: &[&str] = &[
    "X-A : 1\r\n",
    "X-A\t: 1\r\n",
    "X-A: one\r\n two\r\n",
    "X-A: one\r\n\ttwo\r\n",
    "X-A: one\r\n \r\n",
    " X-A: 1\r\n",
    "X-\rA: 1\r\n",
    "X-A: a\rb\r\n",
    "X-A: a\r\r\n",
    "X-A: 1\nX-B: 2\r\n",
    "X-A: 1\n",
    "X-A: a\0b\r\n",
    "X-A: a\u{1}b\r\n",
    "X-A: a\u{8}b\r\n",
    "X-A: \u{b}a\r\n",
    "X-A: a\u{c}\r\n",
    "X-A: a\u{1b}[31m\r\n",
    "X-A: a\u{7f}b\r\n",
    ": empty name\r\n",
    "X(A): 1\r\n",
    "X A: 1\r\n",
    "X\"A: 1\r\n",
    "X/A: 1\r\n",
    "X\0A: 1\r\n",
    "X\u{e9}: 1\r\n",
    "no colon\r\n",
    "\r\r\n",
];

/// RFC 9112 §5: a malformed field line makes the whole request malformed.
#[test]
fn a_request_with_a_malformed_field_line_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    each_row(FORBIDDEN, |lines| gate.refuses(&(with(lines) + SMUGGLED), &[400]));
}

/// RFC 9112 §2.2: white space before the first field line hides it from some readers and not from others.
#[test]
fn a_first_field_line_that_begins_with_white_space_gets_400() {
    let gate = Gate::open();
    each_row(&[" ", "\t", "  "], |space| {
        gate.refuses(&format!("GET / HTTP/1.1\r\n{space}X-Evil: 1\r\nHost: a.test\r\n\r\n{SMUGGLED}"), &[400]);
    });
}

/// RFC 9112 §5: the same lines in a response are the backend's fault, and never reach the client.
#[test]
fn a_response_with_a_malformed_field_line_gets_502() {
    each_row(FORBIDDEN, |lines| {
        assert_bad_gateway(relayed(&response_with(lines), Afterwards::Stays).as_ref());
    });
}

/// RFC 9110 §5.3, §5.5: spelling, order, repetition and every allowed byte survive.
#[test]
fn request_fields_keep_spelling_order_repetition_and_bytes() {
    let sent = [
        ("X-lower-UPPER", "1"),
        ("x-REPEATED", "a"),
        ("X-Between", "b"),
        ("X-Repeated", "a"),
        ("X-REPEATED", "c, d"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("X-Quoted", "\"a, b\";c=\"\\\"\", d"),
        ("X-Latin", "\u{e9}\u{ff}\u{80}"),
        ("X-Inner", "a \t b"),
        ("X-Empty", ""),
        ("!#$%&'*+-.^_`|~09", "token"),
    ];
    let lines = lines_of(&sent);
    let request = Gate::open().forwards(&with(&lines));
    let got: Vec<_> = request.head.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let got: Vec<_> = got.into_iter().filter(|field| sent.contains(field)).collect();
    assert_eq!(got, sent);
}

/// RFC 6265 §3: Set-Cookie lines cannot be merged; RFC 9110 §5.3 for all others.
#[test]
fn response_fields_keep_spelling_order_repetition_and_bytes() {
    let sent = [
        ("set-cookie", "a=1; Path=/"),
        ("X-lower-UPPER", "1"),
        ("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2015 07:28:00 GMT"),
        ("SET-COOKIE", "a=1; Path=/"),
        ("Vary", "a"),
        ("X-Between", "\u{e9}\u{ff}"),
        ("Vary", "b"),
        ("X-Empty", ""),
        ("Date", "Wed, 21 Oct 2015 07:28:01 GMT"),
        ("Server", "somebody/1.0"),
    ];
    let lines = lines_of(&sent);
    let reply = relayed(&response_with(&lines), Afterwards::Stays).expect("an answer");
    let got: Vec<_> = reply.head.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let got: Vec<_> = got.into_iter().filter(|field| sent.contains(field)).collect();
    assert_eq!(got, sent);
    assert_eq!((reply.head.all("date").len(), reply.head.all("server").len()), (1, 1));
}

/// RFC 9112 §5.1: white space around a value is no part of it, and none is needed after the colon.
#[test]
fn white_space_around_a_value_is_no_part_of_it() {
    let request = Gate::open().forwards(&with("X-A:1\r\nX-B: \t 2 \t \r\nX-C:\r\nX-D: \t \r\n"));
    let values = ["x-a", "x-b", "x-c", "x-d"].map(|name| request.head.field(name));
    assert_eq!(values, [Some("1"), Some("2"), Some(""), Some("")]);
}

/// RFC 9110 §5.4: sizes that are usual today pass both ways.
#[test]
fn long_values_and_many_fields_pass() {
    let long = "v".repeat(6000);
    let request = Gate::open().forwards(&with(&format!("X-Long: {long}\r\n")));
    assert_eq!(request.head.field("x-long"), Some(long.as_str()));

    let lines = (0..80).map(|number| format!("X-N{number}: {number}\r\n")).collect::<Vec<_>>().concat();
    let reply = relayed(&response_with(&lines), Afterwards::Stays).expect("an answer");
    assert!((0..80).all(|number| reply.head.field(&format!("x-n{number}")) == Some(&number.to_string())));
}

/// RFC 9110 §6.6.1: a response without Date gets one when it is forwarded.
#[test]
fn a_missing_date_is_added_to_a_response() {
    let reply = relayed(&response_with(""), Afterwards::Stays).expect("an answer");
    let date = reply.head.field("date").expect("a Date");
    assert!(date.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len() && date.ends_with(" GMT"), "{date:?}");
}

/// RFC 9110 §15: status codes are an open set; RFC 9112 §4: the reason may be empty.
#[test]
fn any_status_of_three_digits_is_passed_on() {
    let rows = [
        ("200 OK", 200),
        ("200 ", 200),
        ("299 Odd Thing", 299),
        ("418 I'm a teapot", 418),
        ("599 Odd", 599),
        ("404 Nicht gefunden: \u{fc}berall", 404),
    ];
    each_row(&rows, |(status, want)| {
        let outcome = relayed(&format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhi"), Afterwards::Stays);
        let reply = outcome.expect("an answer");
        assert_eq!((reply.status(), reply.text().as_str()), (*want, "hi"));
    });
}

/// RFC 9112 §4: a status line without the space before an empty reason is often seen; taking it does no harm.
#[test]
fn a_status_line_without_its_last_space_is_accepted_or_502() {
    let reply = relayed("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", Afterwards::Stays).expect("an answer");
    assert!(reply.status() == 502 || reply.text() == "hi", "{reply:?}");
}

/// RFC 9112 §4: what is no status line is no response.
#[test]
fn a_response_with_a_malformed_status_line_gets_502() {
    let rows = [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1200 OK",
        "HTTP/1.1",
        "HTTP/1.10 200 OK",
        "http/1.1 200 OK",
        "HTTP/1. 200 OK",
        "HTTP 200 OK",
        " HTTP/1.1 200 OK",
        "ICY 200 OK",
        "<html>",
        "SSH-2.0-OpenSSH_9.2",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 \u{1b}[31m",
    ];
    each_row(&rows, |line| {
        let response = format!("{line}\r\nContent-Length: 2\r\n\r\nhi");
        assert_bad_gateway(relayed(&response, Afterwards::Stays).as_ref());
    });
}

/// RFC 9112 §2.3: a response in another major version is not HTTP/1.
#[test]
fn a_response_in_another_major_version_gets_502() {
    each_row(&["HTTP/2.0", "HTTP/0.9", "HTTP/3"], |version| {
        let response = format!("{version} 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert_bad_gateway(relayed(&response, Afterwards::Stays).as_ref());
    });
}

/// RFC 9112 §2.2: only the line before a *request* may be empty; skipping one here does no harm either.
#[test]
fn an_empty_line_before_the_status_line_never_shifts_the_response() {
    let outcome = relayed(&format!("\r\n{}", ok("hi")), Afterwards::Stays);
    assert!(!looks_whole(outcome.as_ref()) || outcome.expect("an answer").text() == "hi");
}

/// RFC 9112 §2.3: the status line that goes out carries the proxy's own version.
#[test]
fn a_response_in_http_1_0_goes_on_as_http_1_1() {
    let response = "HTTP/1.0 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi";
    let reply = relayed(response, Afterwards::Closes).expect("an answer");
    assert!(reply.head.start_line.starts_with("HTTP/1.1 200"), "{:?}", reply.head);
    assert_eq!((reply.text().as_str(), reply.head.field("x-a")), ("hi", Some("1")));
}

/// RFC 9112 §2.1: how a response is cut into segments means nothing.
#[test]
fn a_response_that_comes_byte_by_byte_is_passed_on() {
    let backend = ScriptedBackend::running(|connection| {
        connection.request();
        for byte in "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n".bytes()
        {
            connection.send_bytes(&[byte]);
        }
    });
    assert_eq!(Proxy::to(&backend).send(get("/")).reply().text(), "hello");
}
