//! Interim responses and `Expect: 100-continue` (RFC 9110 §15.2, §10.1.1).

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::message::{End, Head};
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, assert_bad_gateway, relayed};
use crate::support::{PATIENCE, each_row, get, post, within};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const EXPECTING: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";

/// A backend that answers the head of each request with `first`, then reads the content and answers 200 with it.
fn consenting(first: &'static str) -> ScriptedBackend {
    ScriptedBackend::running(move |connection| {
        while let Some(head) = connection.head() {
            connection.send(first);
            let content = connection.content(&head);
            if content.end != End::Complete {
                return;
            }
            connection.send(&ok(&crate::support::message::text(&content.bytes)));
        }
    })
}

/// RFC 9110 §15.2: a proxy must forward 1xx responses, which may be any number, before the final one.
#[test]
fn interim_responses_are_relayed_with_their_fields_in_order() {
    let rows: [(&str, &[u16]); 6] = [
        (CONTINUE, &[100]),
        ("HTTP/1.1 102 Processing\r\n\r\n", &[102]),
        (HINTS, &[103]),
        ("HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 103 \r\nX-A: 1\r\n\r\n", &[103, 103]),
        ("HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 \r\n\r\nHTTP/1.1 102 \r\n\r\n", &[102, 103, 102]),
        ("HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n", &[199]),
    ];
    each_row(&rows, |(interim, want)| {
        let reply = relayed(&format!("{interim}{}", ok("done")), Afterwards::Stays).expect("an answer");
        let got: Vec<u16> = reply.interim.iter().map(Head::status).collect();
        assert_eq!((got.as_slice(), reply.status(), reply.text().as_str()), (*want, 200, "done"));
    });
    let reply = relayed(&format!("{HINTS}{}", ok("done")), Afterwards::Stays).expect("an answer");
    assert_eq!(reply.interim[0].field("link"), Some("</a.css>; rel=preload"));
}

/// RFC 8297 §2: hints are of use while the final response is not there yet.
#[test]
fn an_interim_response_does_not_wait_for_the_final_one() {
    let seen = crate::support::Cue::default();
    let backend = ScriptedBackend::running({
        let seen = seen.clone();
        move |connection| {
            connection.request();
            connection.send(HINTS);
            seen.wait();
            connection.send(&ok("done"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/"));
    assert_eq!(client.head().status(), 103);
    seen.give();
    assert_eq!(client.reply().text(), "done");
}

/// RFC 9110 §15.2: a server must not send 1xx to an HTTP/1.0 client.
#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let backend = consenting("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
    let proxy = Proxy::to(&backend);
    let rows = ["", "Expect: 100-continue\r\n", "Connection: keep-alive\r\nExpect: 100-continue\r\n"];
    each_row(&rows, |lines| {
        let head = format!("POST / HTTP/1.0\r\nHost: a.test\r\n{lines}Content-Length: 5\r\n\r\n");
        let reply = proxy.send(head + "hello").reply();
        assert_eq!((reply.interim.len(), reply.status(), reply.text().as_str()), (0, 200, "hello"));
    });
}

/// A proxy cannot be kept busy by 1xx without end: `limits.interim` are relayed, one more is an error.
#[test]
fn more_interim_responses_than_the_limit_get_502() {
    let within_limit = ScriptedBackend::answering(&format!("{}{}", HINTS.repeat(3), ok("done")));
    let reply = Proxy::set(&within_limit, &["limits.interim=3"]).send(get("/")).reply();
    assert_eq!((reply.interim.len(), reply.status()), (3, 200));

    let beyond = ScriptedBackend::answering(&format!("{}{}", HINTS.repeat(4), ok("done")));
    let outcome = Proxy::set(&beyond, &["limits.interim=3"]).send(get("/")).outcome();
    assert_bad_gateway(outcome.as_ref());
}

/// The default limit ends a backend that sends nothing but 1xx.
#[test]
fn endless_interim_responses_get_502() {
    let backend = ScriptedBackend::running(|connection| {
        connection.request();
        while connection.send(HINTS) {}
    });
    assert_bad_gateway(Proxy::to(&backend).send(get("/")).outcome().as_ref());
}

/// RFC 9110 §15.2: the limit is per response, not per connection.
#[test]
fn interim_responses_are_counted_anew_for_each_response() {
    let backend = ScriptedBackend::answering(&format!("{}{}", HINTS.repeat(3), ok("done")));
    let proxy = Proxy::set(&backend, &["limits.interim=3"]);
    let mut client = proxy.connect();
    for _ in 0..5 {
        client.send(get("/"));
        assert_eq!(client.reply().interim.len(), 3);
    }
}

/// RFC 9110 §15.2: interim responses are heads; one that claims content does not shift what follows.
#[test]
fn an_interim_response_with_framing_fields_never_shifts_the_final_one() {
    let rows = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];
    each_row(&rows, |lines| {
        let response = format!("HTTP/1.1 103 Early Hints\r\n{lines}\r\n{}", ok("done"));
        let reply = relayed(&response, Afterwards::Stays).expect("an answer");
        assert!(reply.status() == 502 || reply.text() == "done", "{reply:?}");
        for interim in &reply.interim {
            assert!(interim.all("content-length").is_empty() && interim.all("transfer-encoding").is_empty());
        }
    });
}

/// RFC 9110 §10.1.1: the expectation is forwarded, the backend's consent comes back, and only then the content goes.
#[test]
fn expect_100_continue_works_end_to_end() {
    let backend = consenting(CONTINUE);
    let proxy = Proxy::set(&backend, &["timeouts.expect=8s"]);
    let mut client = proxy.send(post("/", EXPECTING, ""));
    assert_eq!(client.head().status(), 100);
    assert_eq!(backend.requests()[0].head.field("expect"), Some("100-continue"));
    assert!(backend.received()[0].ends_with(b"\r\n\r\n"), "content was sent before consent");
    client.send("hello");
    let reply = client.reply();
    assert_eq!((reply.interim.len(), reply.text().as_str()), (0, "hello"));
}

/// RFC 9110 §10.1.1: the same with content in chunks.
#[test]
fn expect_100_continue_works_for_chunked_content() {
    let backend = consenting(CONTINUE);
    let proxy = Proxy::set(&backend, &["timeouts.expect=8s"]);
    let mut client = proxy.send(post("/", "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", ""));
    assert_eq!(client.head().status(), 100);
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "hello");
}

/// A backend that knows nothing of Expect waits for the content, and a client must not wait for ever with it:
/// after `timeouts.expect` the proxy asks for it.
#[test]
fn a_backend_that_ignores_expect_gets_its_content_after_a_while() {
    let backend = ScriptedBackend::echoing();
    let proxy = Proxy::set(&backend, &["timeouts.expect=200ms"]);
    let mut client = proxy.send(post("/", EXPECTING, ""));
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
}

/// RFC 9110 §10.1.1: a client need not wait for consent.
#[test]
fn content_that_comes_without_waiting_for_100_is_forwarded() {
    for backend in [consenting(CONTINUE), ScriptedBackend::echoing()] {
        let reply = Proxy::to(&backend).send(post("/", EXPECTING, "hello")).reply();
        assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    }
}

/// RFC 9110 §10.1.1: a final response instead of 100; the client then keeps its content or closes.
#[test]
fn a_final_answer_in_place_of_100_reaches_the_client() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.head();
        connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        connection.wait_closed();
    });
    let proxy = Proxy::set(&backend, &["timeouts.expect=8s"]);
    let reply = proxy.send(post("/", EXPECTING, "")).reply();
    assert_eq!((reply.interim.len(), reply.status(), reply.text().as_str()), (0, 401, "no"));
}

/// RFC 9110 §10.1.1, RFC 9112 §9.3: content sent in spite of a final answer is never run as a request, and the
/// connection to the backend, which may still wait for content, serves nobody else.
#[test]
fn content_sent_in_spite_of_a_final_answer_is_never_a_request() {
    let backend = ScriptedBackend::running(|connection| {
        while let Some(head) = connection.head() {
            if head.target() != "/upload" {
                connection.send(&ok("in step"));
                continue;
            }
            connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
            connection.content(&head);
        }
    });
    let proxy = Proxy::to(&backend);
    let hidden = get("/smuggled");
    for _ in 0..30 {
        let lines = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", hidden.len());
        let mut client = proxy.send(post("/upload", &lines, &hidden));
        assert_eq!(client.reply().status(), 401);
        assert_eq!(proxy.send(get("/next")).reply().text(), "in step");
    }
    assert!(backend.requests_for("/smuggled").is_empty());
}

/// ... nor by a backend that takes what it has not asked for by 100 for the next request, whatever it answers.
#[test]
fn content_that_a_backend_did_not_ask_for_is_the_last_on_its_connection() {
    let rows = [
        ("100-continue", "", 3),
        ("100-Continue, x", "", 3),
        ("x 100-continue", HINTS, 3),
        ("100-continue", CONTINUE, 1),
    ];
    each_row(&rows, |(expectation, first, connections)| {
        let backend = consenting(first);
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..3 {
            client.send(post("/", &format!("Expect: {expectation}\r\nContent-Length: 5\r\n"), "hello"));
            assert_eq!(client.reply().text(), "hello");
        }
        assert_eq!(backend.connections(), *connections);
    });
}

/// RFC 9112 §9.5: a backend may answer before the content is complete; the client sees that answer, not a broken pipe.
#[test]
fn an_early_final_answer_reaches_a_client_that_still_sends() {
    for closes in [false, true] {
        let backend = ScriptedBackend::running(move |connection| {
            let Some(head) = connection.head() else {
                return;
            };
            connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly");
            if closes {
                connection.finish();
            }
            connection.content(&head);
        });
        let proxy = Proxy::to(&backend);
        let mut client = proxy.send(post("/", "Content-Length: 50000000\r\n", ""));
        let piece = vec![b'x'; 100_000];
        // It goes on sending until nobody takes it any more, as clients do that do not read meanwhile.
        let _ = (0..500).all(|_| client.try_send(&piece));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.text().as_str()), (413, "early"), "backend closes: {closes}");
        assert_eq!(backend.requests().len(), 1);
    }
}

/// RFC 9110 §15.2.1: without an expectation the client gets no 100 that the backend did not send.
#[test]
fn a_client_that_expects_nothing_gets_no_100() {
    let backend = ScriptedBackend::echoing();
    let proxy = Proxy::set(&backend, &["timeouts.expect=100ms"]);
    let mut client = proxy.send(post("/", "Content-Length: 5\r\n", "h"));
    assert!(within(PATIENCE, || !backend.requests().is_empty()), "the head goes on at once");
    assert!(client.is_quiet_for(std::time::Duration::from_millis(300)));
    client.send("ello");
    assert_eq!(client.reply().interim.len(), 0);
}
