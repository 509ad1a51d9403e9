//! Every buffer has a limit (RFC 6585 §5, RFC 9110 §15.5.14 and §15.5.15, RFC 9112 §3).

use crate::support::backend::ScriptedBackend;
use crate::support::message::End;
use crate::support::proxy::Proxy;
use crate::support::verdict::{Gate, SMUGGLED, assert_bad_gateway, looks_whole};
use crate::support::{each_row, eventually, get, post};

fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
}

/// A request whose head is exactly `length` bytes.
fn head_of(length: usize) -> String {
    let bare = with("X-Pad: \r\n").len();
    with(&format!("X-Pad: {}\r\n", "p".repeat(length - bare)))
}

/// RFC 6585 §5: `limits.header_bytes` is the size of a whole head.
#[test]
fn a_head_above_the_limit_gets_431() {
    let gate = Gate::set(&["limits.header_bytes=2KiB"]);
    gate.forwards(&head_of(1900));
    each_row(&[2200, 4000, 40_000], |length| gate.refuses(&(head_of(*length) + SMUGGLED), &[431]));
}

/// RFC 6585 §5: the default takes what clients send today, and no more.
#[test]
fn the_default_limit_of_a_head_is_16_kib() {
    let gate = Gate::open();
    gate.forwards(&head_of(15_000));
    gate.refuses(&head_of(17_000), &[431]);
    gate.refuses(&with(&format!("{}: 1\r\n", "X".repeat(20_000))), &[431]);
}

/// A head without end is cut off, not collected.
#[test]
fn an_endless_head_gets_431() {
    let gate = Gate::open();
    let rows =
        [("GET / HTTP/1.1\r\nHost: a.test\r\nX-Endless: ", "x"), ("GET / HTTP/1.1\r\nHost: a.test\r\n", "X: y\r\n")];
    each_row(&rows, |(start, more)| {
        let mut client = gate.proxy().send(start);
        let more = more.repeat(2000);
        // Until nobody takes it any more.
        let _ = (0..1000).all(|_| client.try_send(&more) && client.is_quiet_for(std::time::Duration::from_micros(1)));
        assert!(client.outcome().is_none_or(|reply| reply.status() == 431));
    });
    assert!(gate.backend().received().iter().all(Vec::is_empty), "a head without end reached the backend");
}

/// RFC 6585 §5: `limits.headers` counts field lines.
#[test]
fn too_many_field_lines_get_431() {
    let lines = |count: usize| "X: y\r\n".repeat(count);
    let gate = Gate::set(&["limits.headers=10"]);
    gate.forwards(&with(&lines(9)));
    gate.refuses(&(with(&lines(11)) + SMUGGLED), &[431]);

    let gate = Gate::open();
    gate.forwards(&with(&lines(95)));
    gate.refuses(&(with(&lines(150)) + SMUGGLED), &[431]);
}

/// RFC 9112 §3: `limits.request_line` is the size of the request line.
#[test]
fn a_request_line_above_the_limit_gets_414() {
    let target = |length: usize| format!("/{}", "a".repeat(length));
    let gate = Gate::set(&["limits.request_line=1KiB"]);
    gate.forwards(&get(&target(900)));
    each_row(&[1100, 5000, 40_000], |length| gate.refuses(&(get(&target(*length)) + SMUGGLED), &[414]));

    let gate = Gate::open();
    gate.forwards(&get(&target(7900)));
    gate.refuses(&get(&target(9000)), &[414]);
}

/// RFC 9110 §15.5.14: `limits.body` is checked before a byte of content is asked for.
#[test]
fn announced_content_above_the_limit_gets_413_and_is_not_forwarded() {
    let gate = Gate::set(&["limits.body=1KiB"]);
    let content = |length: usize| post("/", &format!("Content-Length: {length}\r\n"), &"x".repeat(length));
    assert_eq!(gate.forwards(&content(1024)).content.bytes.len(), 1024);
    each_row(&[1025, 100_000], |length| gate.refuses(&content(*length), &[413]));
    gate.refuses(&post("/", "Expect: 100-continue\r\nContent-Length: 2000\r\n", ""), &[413]);
}

/// RFC 9110 §15.5.14: without an announcement it is cut where the limit is reached.
#[test]
fn chunked_content_above_the_limit_gets_413_and_is_never_complete() {
    let gate = Gate::set(&["limits.body=1KiB"]);
    let content = |chunks: usize| {
        let chunk = format!("80\r\n{}\r\n", "x".repeat(128));
        post("/", "Transfer-Encoding: chunked\r\n", &format!("{}0\r\n\r\n", chunk.repeat(chunks)))
    };
    assert_eq!(gate.forwards(&content(8)).content.bytes.len(), 1024);
    each_row(&[9, 100], |chunks| gate.refuses_content(&(content(*chunks) + SMUGGLED), &[413]));
}

/// RFC 9112 §7.1.1: a chunk extension is ignored, but not read without end.
#[test]
fn a_chunk_line_above_the_limit_is_refused() {
    let extended = |length: usize| {
        let chunks = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(length));
        post("/", "Transfer-Encoding: chunked\r\n", &chunks)
    };
    let gate = Gate::set(&["limits.chunk_line=1KiB"]);
    assert_eq!(gate.forwards(&extended(900)).text(), "hello");
    each_row(&[1100, 5000, 60_000], |length| {
        gate.refuses_content(&(extended(*length) + SMUGGLED), &[400, 413, 431]);
    });

    let gate = Gate::open();
    assert_eq!(gate.forwards(&extended(3000)).text(), "hello");
    gate.refuses_content(&extended(5000), &[400, 413, 431]);
}

/// RFC 9112 §7.1.2: trailers are in the budget of a head.
#[test]
fn trailers_above_the_limit_are_refused() {
    let gate = Gate::open();
    let rows = [format!("X-T: {}\r\n", "x".repeat(40_000)), "X-T: 1\r\n".repeat(5000)];
    each_row(&rows, |trailers| {
        let content = format!("5\r\nhello\r\n0\r\n{trailers}\r\n{SMUGGLED}");
        gate.refuses_content(&post("/", "Transfer-Encoding: chunked\r\n", &content), &[400, 413, 431]);
    });
}

/// RFC 9110 §15.6.3: a response head above `limits.response_header_bytes` is the backend's fault.
#[test]
fn a_response_head_above_the_limit_gets_502() {
    let response =
        |length: usize| format!("HTTP/1.1 200 OK\r\nX-Big: {}\r\nContent-Length: 2\r\n\r\nhi", "v".repeat(length));
    let ask = |length: usize, settings: &[&str]| {
        let backend = ScriptedBackend::answering(&response(length));
        Proxy::set(&backend, settings).send(get("/")).reply()
    };
    assert_eq!(ask(900, &["limits.response_header_bytes=1KiB"]).text(), "hi");
    assert_eq!(ask(1100, &["limits.response_header_bytes=1KiB"]).status(), 502);
    assert_eq!(ask(60_000, &[]).text(), "hi");
    assert_eq!(ask(70_000, &[]).status(), 502);
}

/// RFC 9110 §15.6.3: a response head without end is not collected.
#[test]
fn an_endless_response_head_gets_502() {
    let rows =
        [("HTTP/1.1 200 OK\r\n", "X: y\r\n"), ("HTTP/1.1 200 OK\r\nX: ", "y"), ("", "y"), ("HTTP/1.1 200 ", "y")];
    each_row(&rows, |(start, more)| {
        let (start, more) = ((*start).to_owned(), more.repeat(2000));
        let backend = ScriptedBackend::running(move |connection| {
            connection.request();
            connection.send(&start);
            while connection.send(&more) {}
        });
        assert_bad_gateway(Proxy::to(&backend).send(get("/")).outcome().as_ref());
    });
}

/// RFC 9112 §7.1.1: the limits of chunk lines and trailers hold for responses.
#[test]
fn endless_chunk_lines_and_trailers_of_a_response_are_cut_off() {
    let rows = [("5;", "x"), ("5\r\nhello\r\n0\r\nX-T: ", "x"), ("5\r\nhello\r\n0\r\n", "X-T: 1\r\n"), ("", "0")];
    each_row(&rows, |(start, more)| {
        let (start, more) = ((*start).to_owned(), more.repeat(2000));
        let backend = ScriptedBackend::running(move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.send(&start);
            while connection.send(&more) {}
        });
        let outcome = Proxy::to(&backend).send(get("/")).outcome();
        assert!(!looks_whole(outcome.as_ref()), "{outcome:?}");
    });
}

/// RFC 9112 §2.2: an empty line before a request is skipped; a flood of them is not a reason to read for ever.
#[test]
fn a_flood_of_empty_lines_is_cut_off() {
    let gate = Gate::open();
    let mut client = gate.proxy().connect();
    let lines = "\r\n".repeat(1000);
    let _ = (0..1000).all(|_| client.try_send(&lines));
    assert!(client.outcome().is_none_or(|reply| reply.status() >= 400));
}

/// Beyond `limits.connections` the longest idle connection makes room, or the newest waits; nobody is stuck.
#[test]
fn beyond_the_limit_of_connections_idle_ones_make_room() {
    let gate = Gate::set(&["limits.connections=10"]);
    let idle: Vec<_> = (0..30)
        .map(|_| {
            let mut client = gate.proxy().send(get("/"));
            assert_eq!(client.reply().status(), 200);
            client
        })
        .collect();
    assert_eq!(gate.proxy().send(get("/")).reply().status(), 200);
    drop(idle);
}

/// Whoever stood at the gate when the limit was reached comes in when there is room, and so do those who come later.
#[test]
fn after_a_flood_beyond_the_limit_connections_are_accepted_as_before() {
    let gate = Gate::set(&["limits.connections=10"]);
    for _ in 0..3 {
        let mut flood: Vec<_> = (0..600).map(|_| gate.proxy().send(with("Connection: close\r\n"))).collect();
        for client in &mut flood {
            assert_eq!(client.reply().status(), 200);
        }
        drop(flood);
        for _ in 0..20 {
            assert_eq!(gate.proxy().send(get("/")).reply().status(), 200);
        }
    }
}

/// Content that was refused is never half a request to the backend.
#[test]
fn after_413_the_backend_connection_is_not_left_waiting() {
    let gate = Gate::set(&["limits.body=1KiB"]);
    let chunk = format!("800\r\n{}\r\n", "x".repeat(2048));
    for _ in 0..5 {
        gate.refuses_content(&post("/", "Transfer-Encoding: chunked\r\n", &chunk), &[413]);
    }
    let is_read = || gate.backend().requests().iter().all(|request| request.content.end != End::Unread);
    eventually(|| "the backend knows how each request ended".to_owned(), is_read);
}
