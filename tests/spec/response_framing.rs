//! Where a response ends (RFC 9112 §6.3): nothing ambiguous gets through, and nothing cut short looks whole.

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::message::End;
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, assert_bad_gateway, looks_whole, relayed, relayed_to};
use crate::support::{Cue, each_row, eventually, get};

const HEAD: &str = "HEAD /row HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A response of its own, as an attacker's page would hold it.
const FAKE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Fake: 1\r\n\r\nFAKE";

const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// RFC 9112 §6.3: framing that is invalid or ambiguous is the backend's fault.
#[test]
fn a_response_with_invalid_framing_gets_502() {
    let rows = [
        "Content-Length: abc\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 18446744073709551621\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: 5\r\nContent-Length: 05\r\n",
        "Content-Length: 5\0\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: foo\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 15\r\nConnection: Content-Length\r\n",
        "Transfer-Encoding: chun\rked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\nContent-Length: 5\r\n",
    ];
    each_row(&rows, |lines| {
        let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\n{CHUNKS}");
        assert_bad_gateway(relayed(&response, Afterwards::Closes).as_ref());
    });
}

/// RFC 9110 §8.6: a length said twice alike, or padded, is refused or made into one.
#[test]
fn a_repeated_or_padded_content_length_is_502_or_normalised() {
    let rows = ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 0005\r\n"];
    each_row(&rows, |lines| {
        let reply = relayed(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nhello"), Afterwards::Stays).expect("an answer");
        assert!(reply.is_complete() && (reply.status() == 502 || reply.text() == "hello"), "{reply:?}");
    });
}

/// RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0 is faulty framing: refused, or the connection not used again.
#[test]
fn a_response_in_http_1_0_with_transfer_encoding_never_shifts_the_next() {
    let response = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n{CHUNKS}");
    let outcome = relayed(&response, Afterwards::Closes);
    assert!(!looks_whole(outcome.as_ref()) || outcome.expect("an answer").text() == "hello");
}

/// RFC 9112 §8: no final chunk, no full length: a response cut short is seen to be cut short.
#[test]
fn a_response_cut_short_never_looks_complete() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let large = format!("{length}{}", "x".repeat(300_000));
    let rows = [
        length,
        &format!("{length}some of it"),
        &large,
        chunked,
        &format!("{chunked}5"),
        &format!("{chunked}5\r\n"),
        &format!("{chunked}5\r\nhel"),
        &format!("{chunked}5\r\nhello"),
        &format!("{chunked}5\r\nhello\r\n"),
        &format!("{chunked}5\r\nhello\r\n0\r\n"),
        &format!("{chunked}5\r\nhello\r\n0\r\nX-Sum: 1\r\n"),
    ];
    let rows: Vec<_> =
        rows.iter().flat_map(|bytes| [Afterwards::Closes, Afterwards::Resets].map(|end| (end, *bytes))).collect();
    let ends: Vec<_> = rows.iter().enumerate().map(|(number, (end, bytes))| (number, *end, bytes.len())).collect();
    each_row(&ends, |(number, end, _)| {
        let outcome = relayed(rows[*number].1, *end);
        assert!(!looks_whole(outcome.as_ref()), "a client takes this for whole: {:?}", outcome.map(|reply| reply.head));
    });
}

/// RFC 9112 §8: the same, told by the name of the backend.
#[test]
fn a_backend_that_closes_inside_a_chunk_gets_its_response_cut_not_ended() {
    let backend = ScriptedBackend::closing_mid_chunk();
    let outcome = Proxy::to(&backend).send(get("/")).outcome();
    assert!(!looks_whole(outcome.as_ref()), "{outcome:?}");
}

/// RFC 9112 §6.3 item 8: only the close of the connection tells the end, so for HTTP/1.1 it is framed anew.
#[test]
fn a_response_until_close_goes_to_an_http_1_1_client_in_chunks() {
    let response = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil close";
    let reply = relayed(response, Afterwards::Closes).expect("an answer");
    assert_eq!((reply.text().as_str(), &reply.content.end), ("until close", &End::Complete));
    assert_eq!(reply.head.field("transfer-encoding"), Some("chunked"));
}

/// RFC 9112 §6.3 item 8: also if it is empty, or if the backend speaks HTTP/1.0.
#[test]
fn a_response_until_close_is_passed_on_whole() {
    let rows = [
        ("HTTP/1.1 200 OK\r\n\r\n", ""),
        ("HTTP/1.0 200 OK\r\n\r\nold style", "old style"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfarewell", "farewell"),
    ];
    each_row(&rows, |(response, want)| {
        let reply = relayed(response, Afterwards::Closes).expect("an answer");
        assert!(reply.is_complete());
        assert_eq!(reply.text(), *want);
    });
}

/// RFC 9112 §8: a reset is no end. In chunks that shows.
#[test]
fn a_response_until_close_that_ends_in_a_reset_never_looks_complete() {
    let seen = Cue::default();
    let backend = ScriptedBackend::running({
        let seen = seen.clone();
        move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\n\r\npartial");
            seen.wait();
            connection.reset();
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/"));
    client.read_until("partial");
    seen.give();
    let rest = client.rest();
    assert!(!rest.contains("0\r\n"), "the reset became an end: {rest:?}");
}

/// RFC 9112 §6.1, §9.3: an HTTP/1.0 client knows no chunks; the close tells it the end.
#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let rows = [
        ("Transfer-Encoding: chunked\r\n", CHUNKS, Afterwards::Stays),
        ("", "hello", Afterwards::Closes),
        ("Content-Length: 5\r\n", "hello", Afterwards::Stays),
    ];
    for connection in ["", "Connection: keep-alive\r\n"] {
        each_row(&rows, |(lines, content, end)| {
            let request = format!("GET /row HTTP/1.0\r\nHost: a.test\r\n{connection}\r\n");
            let reply = relayed_to(&request, &format!("HTTP/1.1 200 OK\r\n{lines}\r\n{content}"), *end);
            let reply = reply.expect("an answer");
            assert_eq!((reply.text().as_str(), reply.is_complete()), ("hello", true));
            assert!(reply.head.all("transfer-encoding").is_empty());
        });
    }
}

/// RFC 9110 §9.3.2: a response to HEAD has the fields of GET and no content, whatever they say.
#[test]
fn a_response_to_head_has_no_content() {
    let rows = ["Content-Length: 1234\r\n", "Transfer-Encoding: chunked\r\n", ""];
    each_row(&rows, |lines| {
        let response = format!("HTTP/1.1 200 OK\r\n{lines}X-A: 1\r\n\r\n");
        let reply = relayed_to(HEAD, &response, Afterwards::Stays).expect("an answer");
        assert_eq!((reply.status(), reply.head.field("x-a")), (200, Some("1")));
    });
    let reply = relayed_to(HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", Afterwards::Stays);
    assert_eq!(reply.expect("an answer").head.field("content-length"), Some("1234"));
}

/// RFC 9110 §15.3.5, §15.4.5: 204 and 304 have no content; 304 may tell the length that 200 would have.
#[test]
fn responses_204_and_304_have_no_content() {
    let rows = [
        ("204 No Content", "", None),
        ("304 Not Modified", "", None),
        ("304 Not Modified", "Content-Length: 1234\r\n", Some("1234")),
    ];
    each_row(&rows, |(status, lines, length)| {
        let response = format!("HTTP/1.1 {status}\r\n{lines}ETag: \"a\"\r\n\r\n");
        let reply = relayed(&response, Afterwards::Stays).expect("an answer");
        assert!(reply.head.start_line.contains(status));
        assert_eq!((reply.head.field("content-length"), reply.head.field("etag")), (*length, Some("\"a\"")));
        assert!(reply.head.all("transfer-encoding").is_empty());
    });
}

/// RFC 9112 §6.1, RFC 9110 §8.6: framing fields that a 204 must not have are not passed on.
#[test]
fn a_204_with_framing_fields_is_502_or_loses_them() {
    each_row(&["Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n"], |lines| {
        let outcome = relayed(&format!("HTTP/1.1 204 No Content\r\n{lines}\r\n"), Afterwards::Closes);
        let reply = outcome.expect("an answer");
        assert!([204, 502].contains(&reply.status()), "{reply:?}");
        assert!(reply.status() == 502 || reply.head.all("transfer-encoding").is_empty());
        assert!(reply.status() == 502 || reply.head.all("content-length").is_empty());
    });
}

/// RFC 9110 §8.6: who announces content with a 204 may send it later. Its connection serves nobody else.
#[test]
fn after_a_204_with_framing_fields_the_connection_is_not_used_again() {
    let rows = [("Transfer-Encoding: chunked\r\n", 3), ("Content-Length: 5\r\n", 3), ("Content-Length: 0\r\n", 1)];
    each_row(&rows, |(lines, connections)| {
        let backend = ScriptedBackend::answering(&format!("HTTP/1.1 204 No Content\r\n{lines}\r\n"));
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..3 {
            client.send(get("/"));
            assert_eq!(client.reply().status(), 204);
        }
        assert_eq!(backend.connections(), *connections);
    });
}

/// RFC 9110 §9.3.2: who answers HEAD as if it were GET may send the content later. It is the answer to nobody's request.
#[test]
fn after_a_response_to_head_that_may_go_on_the_connection_is_not_used_again() {
    let rows =
        [("Transfer-Encoding: chunked\r\n", 3), ("Content-Length: 5\r\n", 3), ("", 3), ("Content-Length: 0\r\n", 1)];
    each_row(&rows, |(lines, connections)| {
        let backend = ScriptedBackend::answering(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..3 {
            client.send(HEAD);
            assert_eq!(client.reply_to_head().status(), 200);
        }
        assert_eq!(backend.connections(), *connections);
    });
}

/// RFC 9110 §15.3.6: 205 has content of length zero.
#[test]
fn a_205_with_length_zero_passes() {
    let reply = relayed("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", Afterwards::Stays);
    assert_eq!(reply.expect("an answer").status(), 205);
}

/// RFC 9112 §6.3: bytes behind the end belong to nobody: they never become the answer to another request.
#[test]
fn bytes_behind_a_response_never_become_the_next_response() {
    let rows = [
        (get("/row"), format!("{}-and-more", ok("hello"))),
        (get("/row"), format!("{}{FAKE}", ok("hello"))),
        (get("/row"), format!("{}{FAKE}", ok(""))),
        (get("/row"), format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}{FAKE}")),
        (get("/row"), format!("HTTP/1.1 204 No Content\r\n\r\n{FAKE}")),
        (get("/row"), format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n{FAKE}")),
        (get("/row"), format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n{FAKE}")),
        (get("/row"), format!("HTTP/1.1 204 No Content\r\nContent-Length: 70\r\n\r\n{FAKE}")),
        (get("/row"), format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}{FAKE}")),
        (get("/row"), format!("HTTP/1.1 304 Not Modified\r\n\r\n{FAKE}")),
        (get("/row"), format!("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}{FAKE}")),
        (get("/row"), format!("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n{FAKE}")),
        (get("/row"), format!("{}\r\n\r\n{FAKE}", ok("hello"))),
        (HEAD.to_owned(), format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{FAKE}")),
        (HEAD.to_owned(), format!("HTTP/1.1 200 OK\r\n\r\n{FAKE}")),
        (HEAD.to_owned(), format!("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello{FAKE}")),
        (HEAD.to_owned(), format!("HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n{FAKE}")),
        (HEAD.to_owned(), format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{FAKE}")),
    ];
    each_row(&rows, |(request, response)| {
        for _ in 0..5 {
            let reply = relayed_to(request, response, Afterwards::Stays).expect("an answer");
            assert!(reply.head.all("x-fake").is_empty() && !reply.text().contains("FAKE"));
        }
    });
}

/// RFC 9110 §15.5.9: a 408 that a backend sends before it closes an idle connection answers no request.
#[test]
fn a_408_sent_by_an_idle_backend_is_not_the_next_answer() {
    let answered = Cue::default();
    let backend = ScriptedBackend::running({
        let answered = answered.clone();
        move |connection| {
            connection.request();
            connection.send(&ok("hello"));
            answered.wait();
            connection.send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let proxy = Proxy::to(&backend);
    for _ in 0..20 {
        assert_eq!(proxy.send(get("/")).reply().text(), "hello");
        answered.give();
        // The 408 has arrived: a request sent from now on crosses nothing.
        eventually(|| "the backend closes".to_owned(), || backend.open_connections() == 0);
    }
}

/// RFC 9112 §9.3: after a response whose end is known both connections are used again.
#[test]
fn after_a_framed_response_both_connections_are_used_again() {
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}");
    let rows = [ok("hello"), chunked, "HTTP/1.1 204 No Content\r\n\r\n".to_owned()];
    each_row(&rows, |response| {
        let backend = ScriptedBackend::answering(response);
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..5 {
            client.send(get("/"));
            client.reply();
        }
        assert_eq!(backend.connections(), 1);
    });
}
