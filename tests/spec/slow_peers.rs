//! Peers that are slow on purpose stay below no deadline for ever: `limits.min_rate` and `timeouts.slow` for clients, both
//! ways and in every framing; absolute deadlines for the heads of backends. And whoever is just slow is served.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::message::End;
use crate::support::proxy::Proxy;
use crate::support::verdict::{Gate, assert_bad_gateway};
use crate::support::{PATIENCE, each_row_at_once, eventually, get, post, within};

/// How long the proxy bears with a client below the minimum rate.
const GRACE: Duration = Duration::from_secs(1);

/// Small and kept in case it is sent again, copied, moved inside the kernel, in chunks.
const UPLOADS: [(&str, &str); 5] = [
    ("PUT", "Content-Length: 60000\r\n"),
    ("POST", "Content-Length: 30000\r\n"),
    ("POST", "Content-Length: 1000000\r\n"),
    ("PUT", "Transfer-Encoding: chunked\r\n"),
    ("POST", "Transfer-Encoding: chunked\r\n"),
];

fn head_of(method: &str, lines: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")
}

/// A piece of content of one byte.
fn drop_of(lines: &str) -> &str {
    if lines.starts_with("Transfer") { "1\r\nx\r\n" } else { "x" }
}

/// `limits.min_rate`: content that drips gets 408 after `timeouts.slow`, and the backend sees that it is cut.
#[test]
fn content_that_drips_gets_408_in_every_framing() {
    each_row_at_once(&UPLOADS, |(method, lines)| {
        let gate = Gate::set(&["limits.min_rate=1KiB", "timeouts.slow=1s"]);
        let mut client = gate.proxy().send(head_of(method, lines));
        let begun = Instant::now();
        let is_answered = within(PATIENCE, || {
            client.try_send(drop_of(lines));
            !client.is_quiet_for(Duration::from_millis(20))
        });
        assert!(is_answered && begun.elapsed() > GRACE, "after {:?}", begun.elapsed());
        let reply = client.reply();
        assert!(reply.status() == 408 && reply.says_close() && reply.text().contains("client-too-slow"), "{reply:?}");
        let is_cut = || gate.backend().requests().iter().all(|request| matches!(request.content.end, End::Cut(_)));
        eventually(|| "the backend sees that it is cut".to_owned(), is_cut);
    });
}

/// A chunk is content; its size line that drips is none, and counts for nothing.
#[test]
fn a_chunk_line_that_drips_gets_408() {
    let gate = Gate::set(&["limits.min_rate=500B", "timeouts.slow=1s"]);
    let mut client = gate.proxy().send(head_of("POST", "Transfer-Encoding: chunked\r\n") + "5;x=");
    let begun = Instant::now();
    let is_answered = within(PATIENCE, || {
        client.try_send("y");
        !client.is_quiet_for(Duration::from_millis(20))
    });
    let reply = client.reply();
    assert!(is_answered && begun.elapsed() > GRACE, "after {:?}: {reply:?}", begun.elapsed());
    assert_eq!(reply.status(), 408);
}

/// What comes the other way meanwhile does not shorten the time that a client has.
#[test]
fn a_client_is_not_hurried_by_the_response_that_it_reads() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(20));
            connection.send("x");
        }
        connection.wait_closed();
    });
    let proxy = Proxy::set(&backend, &["limits.min_rate=500B", "timeouts.slow=5s"]);
    let mut client = proxy.send(head_of("POST", "Content-Length: 100\r\n") + "some of it");
    assert_eq!(client.reply().text(), "x".repeat(50));
}

/// Slow, but above the rate: served however long it takes. And the rate can be off.
#[test]
fn content_above_the_rate_is_served_and_the_rate_can_be_turned_off() {
    let rows = [("limits.min_rate=500B", 200), ("limits.min_rate=off", 1)];
    each_row_at_once(&rows, |(rate, piece)| {
        let gate = Gate::set(&[rate, "timeouts.slow=300ms"]);
        let mut client = gate.proxy().send(head_of("POST", &format!("Content-Length: {}\r\n", 20 * piece)));
        for _ in 0..20 {
            assert!(client.is_quiet_for(Duration::from_millis(100)), "it is answered before it has ended");
            client.send("x".repeat(*piece));
        }
        assert_eq!(client.reply().text().len(), 20 * piece);
    });
}

/// A response that a client takes in drips is cut off, in every framing; the backend is let go.
#[test]
fn a_response_that_is_taken_in_drips_is_cut_off_in_every_framing() {
    let rows = ["Content-Length: 1073741824\r\n", "Transfer-Encoding: chunked\r\n", "X-Framing: until close\r\n"];
    each_row_at_once(&rows, |lines| {
        let lines = *lines;
        let backend = ScriptedBackend::running(move |connection: &mut Connection| {
            connection.request();
            connection.send(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
            let content = "x".repeat(1 << 16);
            let piece = if lines.starts_with("Transfer") { format!("10000\r\n{content}\r\n") } else { content };
            while connection.send(&piece) {}
        });
        let proxy = Proxy::set(&backend, &["limits.min_rate=1GiB", "timeouts.slow=1s"]);
        let mut client = proxy.send(get("/"));
        let begun = Instant::now();
        let is_cut = within(PATIENCE, || {
            // Some megabytes a second: enough that the proxy can send now and then, and notice.
            client.read_some();
            thread::sleep(Duration::from_millis(5));
            proxy.stdout().contains(" 499 ")
        });
        assert!(is_cut && begun.elapsed() > GRACE, "after {:?}: {:?}", begun.elapsed(), proxy.stdout());
        eventually(|| "the backend is let go".to_owned(), || backend.open_connections() == 0);
    });
}

/// The head of a response has an absolute deadline: a byte now and then does not move it.
#[test]
fn a_response_head_that_drips_gets_504() {
    let rows = ["", "HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-Slow: "];
    each_row_at_once(&rows, |start| {
        let start = (*start).to_owned();
        let backend = ScriptedBackend::running(move |connection: &mut Connection| {
            connection.request();
            connection.send(&start);
            while connection.send("H") {
                thread::sleep(Duration::from_millis(30));
            }
        });
        let proxy = Proxy::set(&backend, &["timeouts.response=500ms"]);
        let begun = Instant::now();
        let mut client = proxy.send(get("/"));
        let reply = client.reply();
        let took = begun.elapsed();
        assert_eq!(reply.status(), 504);
        assert!((Duration::from_millis(400)..PATIENCE / 2).contains(&took), "after {took:?}");
    });
}

/// Each interim response moves it, but there are no more than `limits.interim` of them.
#[test]
fn interim_responses_that_drip_get_502() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.request();
        while connection.send("HTTP/1.1 102 Processing\r\n\r\n") {
            thread::sleep(Duration::from_millis(30));
        }
    });
    let proxy = Proxy::set(&backend, &["timeouts.response=500ms", "limits.interim=20"]);
    let outcome = proxy.send(get("/")).outcome();
    assert_eq!(outcome.as_ref().map(|reply| reply.interim.len()), Some(20));
    assert_bad_gateway(outcome.as_ref());
}

/// A backend is not held to the rate of clients: whoever chose it may have chosen a slow one.
#[test]
fn a_backend_may_be_slower_than_a_client() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        (0..20).all(|_| {
            thread::sleep(Duration::from_millis(50));
            connection.send("x")
        });
    });
    let proxy = Proxy::set(&backend, &["limits.min_rate=1GiB", "timeouts.slow=100ms"]);
    assert_eq!(proxy.send(get("/")).reply().text(), "x".repeat(20));
}

/// Nor does it count against a client that its backend is slow to take what it sends.
#[test]
fn a_client_is_not_to_blame_for_a_backend_that_reads_slowly() {
    const LENGTH: usize = 12 << 20;
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        connection.head();
        // Until all buffers on the way have long been full.
        thread::sleep(Duration::from_secs(1));
        let read = connection.read_exactly(LENGTH).map_or(0, |content| content.len());
        connection.send(&ok(&read.to_string()));
    });
    let proxy = Proxy::set(&backend, &["limits.min_rate=1GiB", "timeouts.slow=300ms", "timeouts.body_idle=300ms"]);
    let mut client = proxy.send(post("/", &format!("Content-Length: {LENGTH}\r\n"), ""));
    let sending = client.send_meanwhile(vec![b'x'; LENGTH]);
    assert_eq!(client.reply().text(), LENGTH.to_string());
    sending.join().expect("all was taken");
}

/// `timeouts.send`: pipelined requests whose answers nobody reads are not answered for ever: no more are taken than fit
/// on the way, and then the client is let go.
#[test]
fn a_client_that_reads_none_of_its_pipelined_answers_is_let_go() {
    const MANY: usize = 2000;
    let backend = ScriptedBackend::answering(&ok(&"x".repeat(20_000)));
    let proxy = Proxy::set(&backend, &["timeouts.send=400ms"]);
    let mut client = proxy.connect();
    client.shrink_receive_buffer();
    client.try_send(get("/").repeat(MANY));
    eventually(|| "it is let go".to_owned(), || proxy.stdout().contains(" 499 "));
    let taken = backend.requests().len();
    assert!((2..MANY).contains(&taken), "{taken} requests were taken");
    eventually(|| "the backend is let go".to_owned(), || backend.open_connections() <= 1);
}

/// A client that reads steadily stands still at no time, though the poller tells of it only when a third of what the
/// kernel holds for it is gone: with a megabyte there, seconds later.
#[test]
fn a_client_that_reads_steadily_is_not_taken_for_one_that_stands_still() {
    let rows = ["Content-Length: 16777216\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1000000\r\n"];
    each_row_at_once(&rows, |framing| {
        let framing = *framing;
        let backend = ScriptedBackend::running(move |connection: &mut Connection| {
            connection.request();
            connection.send(&format!("HTTP/1.1 200 OK\r\n{framing}"));
            connection.send_bytes(&vec![b'x'; 16 << 20]);
            connection.send(if framing.starts_with("Transfer") { "\r\n0\r\n\r\n" } else { "" });
        });
        let proxy = Proxy::set(&backend, &["timeouts.send=1s"]);
        let mut client = proxy.send(get("/"));
        client.shrink_receive_buffer();
        client.head();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            client.read_exactly(2048);
            thread::sleep(Duration::from_millis(20));
        }
        assert!(proxy.stdout().is_empty(), "it is still served: {}", proxy.stdout());
    });
}

/// A backend that has begun to answer may wait for the rest of the request, as long as that comes.
#[test]
fn a_backend_that_waits_for_the_content_after_its_head_is_not_too_slow() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let length = connection.content(&head).bytes.len();
            connection.send(&format!("4\r\n{length:04}\r\n0\r\n\r\n"));
        }
    });
    let proxy = Proxy::set(&backend, &["timeouts.response_idle=2s", "timeouts.response=2s"]);
    let mut client = proxy.send(head_of("POST", "Content-Length: 30\r\n"));
    for _ in 0..30 {
        client.send("x");
        thread::sleep(Duration::from_millis(120));
    }
    assert_eq!(client.reply().text(), "0030");
}
