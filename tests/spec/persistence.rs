//! How long connections live and in which order their messages go (RFC 9112 §9).

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::verdict::Gate;
use crate::support::{Cue, each_row, get, post};

/// Sends a request and checks that its answer says 200.
fn ask(client: &mut Client, request: impl AsRef<[u8]>) {
    client.send(request);
    assert_eq!(client.reply().status(), 200);
}

/// A GET whose bytes are exactly `length`.
fn get_of_length(target: &str, length: usize) -> String {
    let bare = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nX-Pad: \r\n\r\n");
    let pad = "p".repeat(length.checked_sub(bare.len()).expect("room for the head"));
    bare.replace("X-Pad: ", &format!("X-Pad: {pad}"))
}

/// RFC 9112 §9.3: HTTP/1.1 connections persist unless somebody says otherwise.
#[test]
fn an_http_1_1_connection_persists() {
    let gate = Gate::open();
    let mut client = gate.proxy().connect();
    for _ in 0..5 {
        client.send(get("/"));
        let reply = client.reply();
        assert!(reply.status() == 200 && !reply.says_close());
    }
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    assert!(!client.reply().says_close());
}

/// RFC 9112 §9.3: connections to a backend are used again, whichever client the requests come from.
#[test]
fn backend_connections_are_used_again() {
    let gate = Gate::open();
    for _ in 0..10 {
        ask(&mut gate.proxy().connect(), get("/"));
    }
    assert!(gate.backend().connections() <= 3, "{} connections for 10 requests", gate.backend().connections());
}

/// RFC 9112 §9.6: `close` in any spelling, alone or in a list, ends the connection after the response, which says so.
#[test]
fn connection_close_of_the_client_is_obeyed_and_confirmed() {
    let gate = Gate::open();
    let rows = [
        "Connection: close",
        "connection: CLOSE",
        "Connection: X-A,Close",
        "Connection: keep-alive, close",
        "Connection: keep-alive\r\nConnection: close",
    ];
    each_row(&rows, |line| {
        let mut client = gate.proxy().send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{line}\r\n\r\n"));
        assert!(client.reply().says_close());
        assert!(client.closed());
    });
}

/// RFC 9110 §7.6.1: options are tokens, not substrings.
#[test]
fn an_option_that_only_contains_close_does_not_close() {
    let gate = Gate::open();
    each_row(&["closed", "x-close", "close-not"], |option| {
        let mut client = gate.proxy().connect();
        for _ in 0..2 {
            ask(&mut client, format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: {option}\r\n\r\n"));
        }
    });
}

/// RFC 9112 §9.3: HTTP/1.0 does not persist by itself.
#[test]
fn an_http_1_0_connection_is_closed_after_the_response() {
    let gate = Gate::open();
    each_row(&["", "Connection: close\r\n", "Connection: close, keep-alive\r\n"], |lines| {
        let mut client = gate.proxy().send(format!("GET / HTTP/1.0\r\nHost: a.test\r\n{lines}\r\n"));
        assert_eq!(client.reply().status(), 200);
        assert!(client.closed());
    });
}

/// RFC 9112 Appendix C.2.2: HTTP/1.0 may ask for keep-alive; it is only kept if the response says so.
#[test]
fn keep_alive_in_http_1_0_is_either_confirmed_and_kept_or_closed() {
    let gate = Gate::open();
    let request = "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Keep-Alive\r\n\r\n";
    let mut client = gate.proxy().send(request);
    if client.reply().head.list("connection").iter().any(|option| option == "keep-alive") {
        ask(&mut client, request);
    } else {
        assert!(client.closed());
    }
}

/// RFC 9112 §9.6: a backend's `close` ends that connection, not the client's.
#[test]
fn connection_close_of_the_backend_is_obeyed_and_not_copied() {
    let rows = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ];
    each_row(&rows, |response| {
        // It says that it closes but waits for us to do so: a request on this connection would be seen.
        let backend = ScriptedBackend::answering(response);
        let proxy = Proxy::to(&backend);
        let mut client = proxy.connect();
        for _ in 0..3 {
            client.send(get("/"));
            let reply = client.reply();
            assert!(reply.text() == "hi" && !reply.says_close());
        }
        assert_eq!(backend.connections(), 3);
    });
}

/// RFC 9112 §9.3.2: pipelined requests are answered in order, however many come in one segment.
#[test]
fn a_hundred_pipelined_requests_are_answered_in_order() {
    let backend = ScriptedBackend::answering_with(|request| ok(request.head.target()));
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send((0..100).map(|number| get(&format!("/{number}"))).collect::<String>());
    for number in 0..100 {
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
}

/// RFC 9112 §9.3.2: with content between them, too.
#[test]
fn pipelined_requests_with_content_are_kept_apart() {
    let gate = Gate::open();
    let mut requests = String::new();
    for number in 0..20 {
        let content = format!("content {number}");
        requests += &post("/", &format!("Content-Length: {}\r\n", content.len()), &content);
        let chunk = format!("{:x}\r\n{content}\r\n0\r\n\r\n", content.len());
        requests += &post("/", "Transfer-Encoding: chunked\r\n", &chunk);
        requests += &get("/");
    }
    let mut client = gate.proxy().send(requests);
    for number in 0..20 {
        let texts = [client.reply().text(), client.reply().text(), client.reply().text()];
        assert_eq!(texts, [format!("content {number}"), format!("content {number}"), String::new()]);
    }
}

/// RFC 9112 §9.3.2: a slow answer is not overtaken.
#[test]
fn a_pipelined_request_does_not_overtake_a_slow_one() {
    let go = Cue::default();
    let backend = ScriptedBackend::answering_with({
        let go = go.clone();
        move |request| {
            if request.head.target() == "/slow" {
                go.wait();
            }
            ok(request.head.target())
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/slow") + &get("/fast"));
    backend.wait_for_heads(1);
    go.give();
    assert_eq!((client.reply().text(), client.reply().text()), ("/slow".to_owned(), "/fast".to_owned()));
}

/// RFC 9112 §9.3.2: two requests that fill a buffer to the last byte, or miss it by one. If the second lies in the
/// buffer already, no further byte will announce it.
#[test]
fn two_pipelined_requests_that_exactly_fill_a_buffer_are_both_answered() {
    let gate = Gate::open();
    let sizes = [2048, 4096, 8192, 16 * 1024, 24 * 1024];
    let rows: Vec<_> = sizes.iter().flat_map(|size| [size - 1, *size, size + 1]).collect();
    each_row(&rows, |total| {
        // Both heads stay below `limits.header_bytes`.
        let splits = [100, 1500, total / 2, total - 100].map(|first| (first, total - first));
        for (first, second) in splits.into_iter().filter(|(first, second)| (*first).max(*second) < 15 * 1024) {
            let mut client = gate.proxy().send(get_of_length("/1", first) + &get_of_length("/2", second));
            assert_eq!([client.reply().status(), client.reply().status()], [200, 200], "{first} + {second}");
        }
    });
}

/// RFC 9112 §9.3.2: the same with content that ends at the end of a buffer and a request behind it.
#[test]
fn content_that_exactly_fills_a_buffer_is_followed_by_the_next_request() {
    let gate = Gate::open();
    let sizes = [4096, 8192, 16 * 1024, 32 * 1024, 64 * 1024, 128 * 1024];
    let rows: Vec<_> = sizes.iter().flat_map(|size| [size - 1, *size, size + 1]).collect();
    each_row(&rows, |total| {
        let message = |length: usize| post("/", &format!("Content-Length: {length}\r\n"), &"x".repeat(length));
        let length = (0..*total).rev().find(|length| message(*length).len() == *total).expect("some length fits");
        let message = message(length);
        let mut client = gate.proxy().send(message.clone() + &get("/behind") + &message);
        assert_eq!(client.reply().content.bytes.len(), length);
        assert_eq!(client.reply().status(), 200);
        assert_eq!(client.reply().content.bytes.len(), length);
    });
}

/// The same from the other side: a response that ends at the end of a buffer, on a connection that stays open.
#[test]
fn a_response_that_exactly_fills_a_buffer_is_passed_on_at_once() {
    let sizes = [4096, 8192, 16 * 1024, 32 * 1024, 64 * 1024, 128 * 1024, 256 * 1024];
    let backend = ScriptedBackend::answering_with(|request| {
        let total: usize = request.head.target()[1..].parse().expect("the target is a size");
        let bare = ok(&"x".repeat(total)).len() - total;
        ok(&"x".repeat(total - bare))
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    let rows: Vec<_> = sizes.iter().flat_map(|size| [size - 1, *size, size + 1]).collect();
    for total in rows {
        client.send(get(&format!("/{total}")));
        let reply = client.reply();
        assert!(reply.is_complete() && reply.content.bytes.iter().all(|byte| *byte == b'x'), "{total} bytes");
    }
}

/// RFC 9112 §9.6: a client that has said all it wants to say still hears the answers.
#[test]
fn a_client_that_half_closes_gets_its_answers_and_then_the_end() {
    let go = Cue::default();
    let backend = ScriptedBackend::answering_with({
        let go = go.clone();
        move |_| {
            go.wait();
            ok("hi")
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/1") + &get("/2"));
    client.finish();
    backend.wait_for_heads(1);
    go.give();
    go.give();
    assert_eq!((client.reply().text(), client.reply().text()), ("hi".to_owned(), "hi".to_owned()));
    assert!(client.closed());
}

/// RFC 9112 §9.3: many clients at once, each gets its own answers.
#[test]
fn concurrent_clients_each_get_their_own_answers() {
    let gate = Gate::open();
    std::thread::scope(|scope| {
        for number in 0..24 {
            let proxy = gate.proxy();
            scope.spawn(move || {
                let mut client = proxy.connect();
                for round in 0..20 {
                    let content = format!("client {number} round {round} ").repeat(1 + round * 50);
                    client.send(post("/", &format!("Content-Length: {}\r\n", content.len()), &content));
                    assert_eq!(client.reply().text(), content);
                }
            });
        }
    });
}

/// RFC 9112 §9.3: an answer of the proxy's own leaves the connection in step, or closes it.
#[test]
fn after_an_error_of_the_backend_the_client_connection_is_in_step() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(request) = connection.request() {
            if request.head.target() == "/bad" {
                connection.send("garbage\r\n\r\n");
                return;
            }
            connection.send(&ok("in step"));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..3 {
        client.send(post("/bad", "Content-Length: 5\r\n", "hello"));
        let reply = client.reply();
        assert_eq!(reply.status(), 502);
        if reply.says_close() {
            assert!(client.closed());
            client = proxy.connect();
        }
        client.send(get("/good"));
        assert_eq!(client.reply().text(), "in step");
    }
}

/// RFC 9112 §9.6: a client that goes away mid-response does not leave the rest of it to the next one.
#[test]
fn a_response_that_lost_its_client_is_never_anothers() {
    let gone = Cue::default();
    let backend = ScriptedBackend::running({
        let gone = gone.clone();
        move |connection| {
            while let Some(request) = connection.request() {
                if request.head.target() == "/half" {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
                    gone.wait();
                    connection.send("world");
                } else {
                    connection.send(&ok("in step"));
                }
            }
        }
    });
    let proxy = Proxy::to(&backend);
    for round in 0..10 {
        let mut client = proxy.send(get("/half"));
        client.read_until("hello");
        if round % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(proxy.send(get("/meanwhile")).reply().text(), "in step");
        gone.give();
        for _ in 0..3 {
            assert_eq!(proxy.send(get("/whole")).reply().text(), "in step");
        }
    }
}
