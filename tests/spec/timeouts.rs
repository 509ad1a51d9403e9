//! Every wait has a deadline (RFC 9110 §15.5.9 and §15.6.5, RFC 9112 §9.5), set small here.

use std::time::{Duration, Instant};

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::message::End;
use crate::support::proxy::Proxy;
use crate::support::verdict::{Gate, looks_whole};
use crate::support::{HANDSHAKE, PATIENCE, SWITCHING, each_row_at_once, eventually, get, post, within};

const SHORT: Duration = Duration::from_millis(400);

/// Twelve pieces with so much between them last longer than a second, and a busy machine may add to each of these nearly
/// as much without reaching a timeout of a second.
const BETWEEN_PIECES: Duration = Duration::from_millis(100);

/// Runs `wait` and checks that it took at least about [`SHORT`]: a limit that strikes at once is none. The upper end
/// is guarded by the patience of whoever waits.
fn takes_its_time<T>(wait: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = wait();
    let elapsed = start.elapsed();
    assert!(elapsed >= SHORT * 3 / 4, "after {elapsed:?} already");
    assert!(elapsed < PATIENCE / 2, "only after {elapsed:?}");
    result
}

/// RFC 9110 §15.5.9: a head that was begun and not ended in `timeouts.header` gets 408.
#[test]
fn a_head_that_does_not_end_gets_408() {
    let gate = Gate::set(&["timeouts.header=400ms"]);
    let rows = ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a.t", "GET / HTTP/1.1\r\nHost: a.test\r\n"];
    each_row_at_once(&rows, |head| {
        let mut client = gate.proxy().send(head);
        assert_eq!(takes_its_time(|| client.reply()).status(), 408);
        assert!(client.closed());
    });
    assert!(gate.backend().requests().is_empty());
    for line in gate.proxy().access_lines(rows.len()) {
        let total = line.split_once(" total=").and_then(|(_, rest)| rest.split("ms").next()?.parse::<f64>().ok());
        assert!(total.is_some_and(|millis| millis >= 400.0), "its time is not in {line}");
    }
}

/// RFC 9112 §9.5: who never said anything gets no answer, just the end.
#[test]
fn a_connection_without_a_byte_is_closed_silently() {
    let gate = Gate::set(&["timeouts.header=400ms"]);
    let mut client = gate.proxy().connect();
    assert!(takes_its_time(|| client.closed()));
}

/// The deadline of a head is absolute: a byte now and then does not move it.
#[test]
fn a_head_that_drips_does_not_live_longer() {
    let gate = Gate::set(&["timeouts.header=400ms"]);
    let mut client = gate.proxy().send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ");
    let is_cut = takes_its_time(|| {
        within(PATIENCE / 2, || {
            client.try_send("x");
            !client.is_quiet_for(Duration::from_millis(20))
        })
    });
    assert!(is_cut, "bytes of a head are still taken");
    assert!(client.outcome().is_none_or(|reply| reply.status() == 408));
}

/// It is counted anew for each request on a connection.
#[test]
fn the_deadline_of_a_head_begins_with_each_request() {
    let gate = Gate::set(&["timeouts.header=1s"]);
    let mut client = gate.proxy().connect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        client.send(get("/"));
        assert_eq!(client.reply().status(), 200);
        assert!(client.is_quiet_for(Duration::from_millis(100)));
    }
}

/// RFC 9112 §9.5: an idle connection is closed after `timeouts.keepalive`, without a word that could be taken for an
/// answer.
#[test]
fn an_idle_connection_is_closed_silently() {
    let gate = Gate::set(&["timeouts.keepalive=400ms", "timeouts.header=9s"]);
    let mut client = gate.proxy().send(get("/"));
    assert_eq!(client.reply().status(), 200);
    assert!(takes_its_time(|| client.closed()));
}

/// RFC 9110 §15.5.9: content that stops coming gets 408, and the backend sees that it is cut.
#[test]
fn content_that_stops_gets_408_and_is_cut_off() {
    let rows = [
        ("Content-Length: 100\r\n", "some of it"),
        ("Content-Length: 100000\r\n", "some of it"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
    ];
    each_row_at_once(&rows, |(lines, content)| {
        let gate = Gate::set(&["timeouts.body_idle=400ms"]);
        let mut client = gate.proxy().send(post("/", lines, content));
        assert_eq!(takes_its_time(|| client.reply()).status(), 408);
        assert!(client.closed());
        let is_cut = || gate.backend().requests().iter().all(|request| matches!(request.content.end, End::Cut(_)));
        eventually(|| format!("cut off: {:?}", gate.backend().requests()), is_cut);
    });
}

/// `limits.min_rate`: who sends a byte now and then to stay below `timeouts.body_idle` is not waited for any longer.
#[test]
fn content_that_drips_below_the_minimum_rate_gets_408() {
    let gate = Gate::set(&["limits.min_rate=100KiB", "timeouts.slow=1s"]);
    let mut client = gate.proxy().send(post("/", "Content-Length: 1000000\r\n", ""));
    let begun = Instant::now();
    let is_answered = within(PATIENCE, || {
        client.try_send("x");
        !client.is_quiet_for(Duration::from_millis(20))
    });
    assert!(is_answered, "bytes are still taken");
    assert!(begun.elapsed() > Duration::from_secs(1), "the grace is not waited for");
    assert_eq!(client.reply().status(), 408);
}

/// ... and so is a reader who takes a little now and then.
#[test]
fn a_reader_below_the_minimum_rate_is_cut_off() {
    let length = 1_u64 << 30;
    let backend = ScriptedBackend::running(move |connection: &mut Connection| {
        connection.request();
        connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        while connection.send_bytes(&[b'x'; 65536]) {}
    });
    let proxy = Proxy::set(&backend, &["limits.min_rate=1GiB", "timeouts.slow=1s"]);
    let mut client = proxy.send(get("/"));
    let is_logged = within(PATIENCE, || {
        // A megabyte or two a second: enough that the proxy can send now and then, and notice.
        client.read_some();
        std::thread::sleep(Duration::from_millis(5));
        proxy.stdout().contains(" 499 ")
    });
    assert!(is_logged, "it is still served: {}", proxy.stdout());
}

/// The deadline of content is between bytes, never a total: a slow upload is served however long it takes.
#[test]
fn slow_content_is_served_however_long_it_takes() {
    let gate = Gate::set(&["timeouts.body_idle=1s"]);
    let mut client = gate.proxy().send(post("/", "Content-Length: 12\r\n", ""));
    for byte in b"twelve bytes" {
        assert!(client.is_quiet_for(BETWEEN_PIECES), "an answer before the content was complete");
        client.send([*byte]);
    }
    assert_eq!(client.reply().text(), "twelve bytes");
}

/// RFC 9110 §15.6.5: the response must begin in `timeouts.response`.
#[test]
fn a_response_that_does_not_begin_gets_504() {
    let silent = || ScriptedBackend::silent();
    let half_a_head = || ScriptedBackend::answering("HTTP/1.1 200 OK\r\nX-Half: ");
    let only_interim = || ScriptedBackend::answering("HTTP/1.1 103 Early Hints\r\n\r\n");
    let rows = ["silent", "half a head", "only interim"];
    each_row_at_once(&rows, |row| {
        let backend = match *row {
            "silent" => silent(),
            "half a head" => half_a_head(),
            _ => only_interim(),
        };
        let proxy = Proxy::set(&backend, &["timeouts.response=400ms"]);
        let mut client = proxy.send(get("/"));
        assert_eq!(takes_its_time(|| client.reply()).status(), 504);
        assert_eq!(backend.requests().len(), 1);
    });
}

/// RFC 9112 §8: a response that stops in its content is cut, not ended.
#[test]
fn a_response_that_stops_is_cut_off() {
    let rows = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome of it",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil close",
    ];
    each_row_at_once(&rows, |response| {
        let backend = ScriptedBackend::answering(response);
        let proxy = Proxy::set(&backend, &["timeouts.response_idle=400ms"]);
        let mut client = proxy.send(get("/"));
        let outcome = takes_its_time(|| client.outcome());
        assert!(!looks_whole(outcome.as_ref()), "{outcome:?}");
    });
}

/// The HTML standard, server-sent events: a stream of events may be silent for as long as a tunnel.
#[test]
fn an_event_stream_may_be_silent_for_longer() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
        Transfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n",
    );
    let patient = Proxy::set(&backend, &["timeouts.response_idle=200ms", "timeouts.tunnel=9s"]);
    let mut client = patient.send(get("/"));
    client.read_until("data: 1\r\n");
    assert!(client.is_quiet_for(Duration::from_secs(1)), "the stream was cut");

    let impatient = Proxy::set(&backend, &["timeouts.response_idle=9s", "timeouts.tunnel=400ms"]);
    let mut client = impatient.send(get("/"));
    client.read_until("data: 1\r\n");
    takes_its_time(|| client.rest());
}

/// A client that never reads its answer is let go, and the backend with it.
#[test]
fn a_client_that_never_reads_is_let_go_after_the_send_timeout() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 16];
        // Ends when the proxy closes, or fails: a write that is stuck for as long as our patience.
        let start = Instant::now();
        while connection.send_bytes(&piece) {}
        assert!(start.elapsed() < PATIENCE, "the proxy holds on to a client that does not read");
    });
    let proxy = Proxy::set(&backend, &["timeouts.send=400ms"]);
    let mut client = proxy.connect();
    client.shrink_receive_buffer();
    client.send(get("/"));
    backend.wait_for_requests(1);
    let before = Instant::now();
    eventually(|| "the backend is let go".to_owned(), || backend.open_connections() == 0);
    assert!(before.elapsed() >= SHORT / 2, "after {:?} already", before.elapsed());
    drop(client);
}

/// A tunnel in which nobody has said anything for `timeouts.tunnel` is closed to both sides.
#[test]
fn a_silent_tunnel_is_closed_to_both_sides() {
    let backend = ScriptedBackend::running(|connection| {
        connection.head();
        connection.send(SWITCHING);
        assert!(connection.wait_closed(), "the backend's side stays open");
    });
    let proxy = Proxy::set(&backend, &["timeouts.tunnel=400ms"]);
    let mut client = proxy.send(HANDSHAKE);
    assert_eq!(client.head().status(), 101);
    assert!(takes_its_time(|| client.closed()));
    eventually(|| "the backend's side is closed".to_owned(), || backend.open_connections() == 0);
}

/// It is enough if one direction has something to say.
#[test]
fn a_tunnel_with_traffic_in_one_direction_stays_open() {
    let backend = ScriptedBackend::running(|connection| {
        connection.head();
        connection.send(SWITCHING);
        connection.wait_closed();
    });
    let proxy = Proxy::set(&backend, &["timeouts.tunnel=1s"]);
    let mut client = proxy.send(HANDSHAKE);
    assert_eq!(client.head().status(), 101);
    for _ in 0..12 {
        client.send("still here");
        assert!(client.is_quiet_for(BETWEEN_PIECES), "closed in spite of traffic");
    }
}

/// A backend that drips its response is not late, however long it takes.
#[test]
fn a_slow_response_is_passed_on_however_long_it_takes() {
    let (next, asked) = (crate::support::Cue::default(), crate::support::Cue::default());
    let backend = ScriptedBackend::running({
        let (next, asked) = (next.clone(), asked.clone());
        move |connection| {
            connection.request();
            asked.give();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
            for byte in b"twelve bytes" {
                next.wait();
                connection.send_bytes(&[*byte]);
            }
        }
    });
    let settings = ["timeouts.response_idle=1s", "timeouts.response=1s", "timeouts.header=1s"];
    let proxy = Proxy::set(&backend, &settings);
    let mut client = proxy.send(get("/"));
    asked.wait();
    assert_eq!(client.head().status(), 200);
    for byte in b"twelve bytes" {
        assert!(client.is_quiet_for(BETWEEN_PIECES));
        next.give();
        assert_eq!(client.read_exactly(1), [*byte]);
    }
}

/// `off` must be written out, and then it is off.
#[test]
fn a_timeout_can_be_turned_off() {
    let backend = ScriptedBackend::answering(&ok("hi"));
    let proxy = Proxy::set(&backend, &["timeouts.header=off"]);
    let mut client = proxy.send("GET / HTTP/1.1\r\n");
    assert!(client.is_quiet_for(SHORT));
    client.send("Host: a.test\r\n\r\n");
    assert_eq!(client.reply().text(), "hi");
}
