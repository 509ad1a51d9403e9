//! The chunked coding and its trailers, both ways (RFC 9112 §7.1, RFC 9110 §6.5).

use crate::support::backend::ScriptedBackend;
use crate::support::client::Reply;
use crate::support::message::{End, latin1};
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, Gate, SMUGGLED, looks_whole, relayed};
use crate::support::{each_row, get, post};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What is no chunked coding: sizes, line ends, data, extensions.
const MALFORMED: &[&str] = &[
    // A size is 1*HEXDIG: no sign, no prefix, no white space, not nothing.
    "-5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-0\r\n\r\n",
    "+0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "0X5\r\nhello\r\n0\r\n\r\n",
    "0_5\r\nhello\r\n0\r\n\r\n",
    "5h\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\"5\"\r\nhello\r\n0\r\n\r\n",
    "5,5\r\nhello\r\n0\r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "\t5\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    ";x\r\nhello\r\n0\r\n\r\n",
    "5\0\r\nhello\r\n0\r\n\r\n",
    "5\u{b}\r\nhello\r\n0\r\n\r\n",
    "\u{ef}\u{bc}\u{95}\r\nhello\r\n0\r\n\r\n",
    // It must not wrap round.
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    // Nor be seventeen digits, which others cut: at the front, or at the end.
    "00000000000000005\r\nhello\r\n0\r\n\r\n",
    "50000000000000000\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n00000000000000000\r\n\r\n",
    // Lines end in CRLF.
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\n\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
    "5;a\0b\r\nhello\r\n0\r\n\r\n",
    "5;a\u{7f}\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    "5 a=b\r\nhello\r\n0\r\n\r\n",
    "5=b\r\nhello\r\n0\r\n\r\n",
    "0;a\n\r\n",
    "5:\r\nhello\r\n0\r\n\r\n",
    // Data is as long as the size says.
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloworld\r\n0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n\r\n",
    "5\r\nhello\r\r\n0\r\n\r\n",
    "5\r\nhello\n\r\n0\r\n\r\n",
    "5\r\n\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    // The last chunk is followed by trailers or an empty line.
    "5\r\nhello\r\n0\r\nXX\r\n\r\n",
    "5\r\nhello\r\n0\r\n: x\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: a\0b\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: a\rb\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: 1\n\r\n",
    "5\r\nhello\r\n0\r\n X-A: 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: 1\r\n folded\r\n\r\n",
    "5\r\nhello\r\n0\r\nX(A): 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: 1\r\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\r\n\r\n",
    "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
];

/// What is, and the content it stands for.
const WELL_FORMED: &[(&str, &str)] = &[
    ("0\r\n\r\n", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello"),
    ("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"),
    ("0005\r\nhello\r\n0\r\n\r\n", "hello"),
    ("5\r\nhello\r\n0000000000\r\n\r\n", "hello"),
    ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
    ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ("5;a\r\nhello\r\n0\r\n\r\n", "hello"),
    ("5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", "hello"),
    ("5;a=\"\\\"\u{e9}\"\r\nhello\r\n0\r\n\r\n", "hello"),
];

/// RFC 9112 §7.1: a chunked request that is not well-formed gets 400, never reaches a backend as a whole message,
/// and what follows it is not run.
#[test]
fn a_request_with_malformed_chunks_gets_400_and_is_never_complete() {
    let gate = Gate::open();
    each_row(MALFORMED, |chunks| gate.refuses_content(&post("/bad", CHUNKED, &format!("{chunks}{SMUGGLED}")), &[400]));
}

/// RFC 9112 §7.1: the same in a response is 502 or a visible break.
#[test]
fn a_response_with_malformed_chunks_is_never_complete() {
    each_row(MALFORMED, |chunks| {
        let outcome = relayed(&format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n{chunks}"), Afterwards::Stays);
        assert!(!looks_whole(outcome.as_ref()), "{outcome:?}");
        assert!(outcome.is_none_or(|reply| reply.is_complete() == (reply.status() == 502)));
    });
}

/// RFC 9112 §7.1.1: extensions are allowed; a recipient ignores those it does not know.
#[test]
fn chunks_of_a_request_arrive_as_the_content_they_stand_for() {
    let gate = Gate::open();
    each_row(WELL_FORMED, |(chunks, want)| {
        let request = gate.forwards(&post("/good", CHUNKED, chunks));
        assert_eq!((request.text().as_str(), &request.content.end), (*want, &End::Complete));
    });
}

/// RFC 9112 §7.1: the same for responses; and both connections stay in step.
#[test]
fn chunks_of_a_response_arrive_as_the_content_they_stand_for() {
    each_row(WELL_FORMED, |(chunks, want)| {
        let outcome = relayed(&format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n{chunks}"), Afterwards::Stays);
        let reply = outcome.expect("an answer");
        assert_eq!((reply.text().as_str(), &reply.content.end), (*want, &End::Complete));
    });
}

/// RFC 9112 §2.1: chunks may be cut into segments anywhere, in the middle of a size, of CRLF, of a trailer.
#[test]
fn chunks_that_come_byte_by_byte_are_decoded() {
    let gate = Gate::open();
    let mut client = gate.proxy().connect();
    for byte in latin1(&post("/drip", CHUNKED, "5;a=b\r\nhello\r\n0a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n")) {
        client.send([byte]);
    }
    assert_eq!(client.reply().text(), "hello0123456789");
    client.send(get("/next"));
    assert_eq!(client.reply().status(), 200);
}

/// RFC 9112 §7.1: a size that only a very large counter holds is waited for, never taken for a small one.
#[test]
fn a_giant_chunk_size_never_wraps_round() {
    let gate = Gate::open();
    for size in ["ffffffffffffffff", "fffffffffffffffb", "8000000000000005", "100000005", "80000005"] {
        let mut client = gate.proxy().send(post("/giant", CHUNKED, &format!("{size}\r\nhello\r\n0\r\n\r\n{SMUGGLED}")));
        client.finish();
        let outcome = client.outcome();
        assert!(!looks_whole(outcome.as_ref()), "{size}: {outcome:?}");
    }
    assert_eq!(gate.proxy().send(get("/after")).reply().status(), 200);
    assert!(gate.backend().requests_for("/giant").iter().all(|request| !request.is_complete()));
    assert!(gate.backend().requests_for("/smuggled").is_empty());
}

/// RFC 9110 §6.5: trailer fields are forwarded as trailer fields, not as header fields.
#[test]
fn trailers_of_a_request_are_forwarded_as_trailers() {
    let lines = format!("Trailer: X-Sum\r\n{CHUNKED}");
    let request = Gate::open().forwards(&post("/t", &lines, "5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-SUM: \u{e9}\r\n\r\n"));
    let want = [("X-Sum".to_owned(), "1".to_owned()), ("x-SUM".to_owned(), "\u{e9}".to_owned())];
    assert_eq!(request.content.trailers, want);
    assert!(request.head.all("x-sum").is_empty());
}

/// RFC 9110 §6.5: the same for responses, to a client that says that it wants them.
#[test]
fn trailers_of_a_response_are_forwarded_as_trailers() {
    let response = format!("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n{CHUNKED}\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    let backend = ScriptedBackend::answering(&response);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send("GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.content.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    assert!(reply.head.all("x-sum").is_empty());
}

/// Fields that frame, route or authenticate have no place in trailers.
const FORBIDDEN_TRAILERS: &[&str] = &[
    "Content-Length: 50",
    "Transfer-Encoding: chunked",
    "transfer-encoding: gzip",
    "Host: evil.test",
    "Authorization: Basic x",
    "Connection: close",
    "Content-Encoding: gzip",
    "Content-Type: text/html",
    "Content-Range: bytes 0-1/2",
    "Cache-Control: no-store",
    "Cookie: a=1",
    "Set-Cookie: a=1",
    "Expect: 100-continue",
    "Age: 1",
    "Expires: 0",
    "If-Match: \"a\"",
    "IF-NONE-MATCH: *",
    "Vary: *",
    "Keep-Alive: timeout=5",
    "Location: http://evil.test/",
    "Max-Forwards: 0",
    "Proxy-Authorization: Basic x",
    "Proxy-Connection: close",
    "Range: bytes=0-1",
    "TE: trailers",
    "Trailer: Host",
    "Upgrade: websocket",
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Port: 443",
    "Forwarded: for=203.0.113.7",
    "X-Real-IP: 203.0.113.7",
    "X_Forwarded_For: 203.0.113.7",
    "Content_Length: 50",
    "X.Real.IP: 203.0.113.7",
];

/// RFC 9110 §6.5.1: such a trailer is refused or dropped, never passed on, and never becomes a header field.
#[test]
fn a_forbidden_trailer_of_a_request_is_not_passed_on() {
    let gate = Gate::open();
    each_row(FORBIDDEN_TRAILERS, |line| {
        let before = gate.backend().requests().len();
        let mut client = gate.proxy().send(post("/t", CHUNKED, &format!("5\r\nhello\r\n0\r\n{line}\r\n\r\n")));
        let reply = client.reply();
        assert!([200, 400].contains(&reply.status()), "{reply:?}");
        assert!(reply.status() == 200 || client.closed());
        for request in gate.backend().requests().split_off(before) {
            assert!(request.content.trailers.is_empty(), "{request:?}");
            assert!(request.is_complete() == (reply.status() == 200) || request.content.end == End::Unread);
        }
    });
}

/// RFC 9110 §6.5.1: the same for responses.
#[test]
fn a_forbidden_trailer_of_a_response_is_not_passed_on() {
    each_row(FORBIDDEN_TRAILERS, |line| {
        let response = format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n5\r\nhello\r\n0\r\n{line}\r\n\r\n");
        let outcome = relayed(&response, Afterwards::Stays);
        assert!(outcome.is_none_or(|reply: Reply| reply.content.trailers.is_empty()));
    });
}

/// RFC 9112 §6.1: what goes on is framed anew: by exactly one field, `chunked` if the length is not known.
#[test]
fn a_chunked_request_goes_on_as_chunked_and_nothing_else() {
    let request = Gate::open().forwards(&post("/one", CHUNKED, "5\r\nhello\r\n0\r\n\r\n"));
    assert_eq!((request.head.all("transfer-encoding"), request.head.all("content-length")), (vec!["chunked"], vec![]));
}
