//! Content is relayed as it comes, in either direction, at any size, and never collected (RFC 9110 §7.6).

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::pattern::Pattern;
use crate::support::proxy::Proxy;
use crate::support::verdict::Gate;
use crate::support::{Cue, each_row, get, post};

const LARGE: usize = 64 << 20;

/// How an event is framed.
type Encode = fn(&str) -> String;

/// Far less than [`LARGE`], far more than the program needs in a debug build.
const MEMORY: usize = 24 << 20;

/// The HTML standard, server-sent events: an event is of use when it comes, not when the stream ends. The backend
/// sends the next one only when the client has the last: a held back event would stop it all.
#[test]
fn events_leave_as_they_come() {
    let rows: [(&str, Encode); 3] = [
        ("Transfer-Encoding: chunked", |event| format!("{:x}\r\n{event}\r\n", event.len())),
        ("Content-Length: 1000000", str::to_owned),
        ("X-Framing: until close", str::to_owned),
    ];
    for size in [1, 100, 10_000] {
        each_row(&rows, |(framing, encode)| {
            let (seen, encode) = (Cue::default(), *encode);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n");
            let backend = ScriptedBackend::running({
                let seen = seen.clone();
                move |connection| {
                    connection.request();
                    connection.send(&head);
                    for number in 0..5 {
                        connection.send(&encode(&event(number, size)));
                        seen.wait();
                    }
                }
            });
            let proxy = Proxy::to(&backend);
            let mut client = proxy.send(get("/"));
            for number in 0..5 {
                // The end of it is enough: the proxy may have cut it into several chunks.
                client.read_until(&format!("{number}\n\n"));
                seen.give();
            }
        });
    }
}

fn event(number: usize, size: usize) -> String {
    format!("data: {}{number}\n\n", "x".repeat(size))
}

/// The head of a response does not wait for its content.
#[test]
fn the_head_of_a_response_leaves_before_its_content_comes() {
    let seen = Cue::default();
    let backend = ScriptedBackend::running({
        let seen = seen.clone();
        move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            seen.wait();
            connection.send("hello");
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/"));
    assert_eq!(client.head().status(), 200);
    seen.give();
    assert_eq!(client.read_exactly(5), b"hello");
}

/// The same for requests: the backend has each part before the client sends the next.
#[test]
fn an_upload_reaches_the_backend_before_it_is_complete() {
    let rows = [
        ("Content-Length: 15\r\n", ["part0", "part1", "part2", ""]),
        ("Transfer-Encoding: chunked\r\n", ["5\r\npart0\r\n", "5\r\npart1\r\n", "5\r\npart2\r\n", "0\r\n\r\n"]),
    ];
    each_row(&rows, |(framing, parts)| {
        let (seen, is_chunked) = (Cue::default(), framing.starts_with("Transfer"));
        let backend = ScriptedBackend::running({
            let seen = seen.clone();
            move |connection| {
                connection.head();
                for part in ["part0", "part1", "part2"] {
                    assert!(connection.read_until(part), "{part} never came");
                    seen.give();
                }
                assert!(!is_chunked || connection.read_until("0\r\n\r\n"), "the end never came");
                connection.send(&ok("thanks"));
            }
        });
        let proxy = Proxy::to(&backend);
        let mut client = proxy.send(post("/", framing, ""));
        for part in &parts[..3] {
            client.send(part);
            seen.wait();
        }
        client.send(parts[3]);
        assert_eq!(client.reply().text(), "thanks");
    });
}

/// Sends [`LARGE`] bytes of the pattern after a head that announces them.
fn send_large(connection: &mut Connection) {
    let pattern = Pattern::default();
    connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
    (0..LARGE).step_by(1 << 18).all(|offset| connection.send_bytes(&pattern.piece(offset, 1 << 18)));
}

/// Reads [`LARGE`] bytes of the pattern, watching what the proxy holds meanwhile.
fn read_large(client: &mut Client, proxy: &Proxy) {
    let (pattern, mut received, mut reads) = (Pattern::default(), 0, 0);
    while received < LARGE {
        received += pattern.check(received, &client.read_some());
        reads += 1;
        if reads % 200 == 1 && cfg!(target_os = "linux") {
            assert!(proxy.memory() < MEMORY, "{} bytes of memory after {received}", proxy.memory());
        }
    }
}

/// A download of 64 MiB: every byte, and no memory for it.
#[test]
fn a_large_download_arrives_bit_for_bit_in_little_memory() {
    let backend = ScriptedBackend::running(|connection| {
        while connection.request().is_some() {
            send_large(connection);
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(get("/"));
        assert_eq!(client.head().field("content-length"), Some(LARGE.to_string().as_str()));
        read_large(&mut client, &proxy);
    }
}

/// An upload of 64 MiB: every byte, and no memory for it.
#[test]
fn a_large_upload_arrives_bit_for_bit_in_little_memory() {
    let backend = ScriptedBackend::running(|connection| {
        while connection.head().is_some() {
            let (pattern, mut received) = (Pattern::default(), 0);
            while received < LARGE {
                received += pattern.check(received, &connection.read_some());
            }
            connection.send(&ok(&received.to_string()));
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(post("/", &format!("Content-Length: {LARGE}\r\n"), ""));
    let pattern = Pattern::default();
    for offset in (0..LARGE).step_by(1 << 18) {
        client.send(pattern.piece(offset, 1 << 18));
        if offset % (8 << 20) == 0 && cfg!(target_os = "linux") {
            assert!(proxy.memory() < MEMORY, "{} bytes of memory after {offset}", proxy.memory());
        }
    }
    assert_eq!(client.reply().text(), LARGE.to_string());
}

/// RFC 9112 §7.1: the same in chunks of all sizes, there and back.
#[test]
fn large_content_in_odd_chunks_arrives_bit_for_bit() {
    let pattern = Pattern::default();
    let (mut chunks, mut offset) = (Vec::new(), 0);
    for size in (0..).map(|step| 1 + step * step * 7 % 70_001) {
        if offset + size > 6 << 20 {
            break;
        }
        chunks.extend(format!("{size:x}\r\n").into_bytes());
        chunks.extend(pattern.piece(offset, size));
        chunks.extend(b"\r\n");
        offset += size;
    }
    chunks.extend(b"0\r\n\r\n");
    let backend = ScriptedBackend::running({
        let chunks = chunks.clone();
        move |connection| {
            let request = connection.request().expect("a whole request");
            Pattern::default().check(0, &request.content.bytes);
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.send_bytes(&chunks);
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(post("/", "Transfer-Encoding: chunked\r\n", ""));
    client.send(&chunks);
    assert_eq!(pattern.check(0, &client.reply().content.bytes), offset);
    assert_eq!(backend.requests()[0].content.bytes.len(), offset);
}

/// RFC 9112 §6.3 item 8: the same for content that ends with the connection.
#[test]
fn large_content_until_close_arrives_bit_for_bit() {
    let backend = ScriptedBackend::running(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n\r\n");
        connection.send_bytes(&Pattern::default().piece(0, 6 << 20));
    });
    let reply = Proxy::to(&backend).send(get("/")).reply();
    assert_eq!(Pattern::default().check(0, &reply.content.bytes), 6 << 20);
}

/// A client that does not read holds up its own response, and neither the others nor the memory.
#[test]
fn a_slow_reader_gets_everything_and_holds_up_nobody() {
    let backend = ScriptedBackend::running(|connection| {
        while let Some(request) = connection.request() {
            if request.head.target() == "/large" {
                send_large(connection);
            } else {
                connection.send(&ok("in step"));
            }
        }
    });
    let proxy = Proxy::to(&backend);
    let mut slow: Vec<_> = (0..3).map(|_| proxy.send(get("/large"))).collect();
    for client in &mut slow {
        assert_eq!(client.head().status(), 200);
    }
    for _ in 0..50 {
        assert_eq!(proxy.send(get("/small")).reply().text(), "in step");
    }
    #[cfg(target_os = "linux")]
    assert!(proxy.memory() < MEMORY, "{} bytes of memory", proxy.memory());
    read_large(&mut slow[0], &proxy);
}

/// A backend that does not read holds up that upload and nobody else.
#[test]
fn a_backend_that_reads_slowly_holds_up_nobody() {
    let go = Cue::default();
    let backend = ScriptedBackend::running({
        let go = go.clone();
        move |connection| {
            while let Some(head) = connection.head() {
                if head.target() == "/upload" {
                    go.wait();
                }
                let content = connection.content(&head);
                connection.send(&ok(&content.bytes.len().to_string()));
            }
        }
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(post("/upload", "Content-Length: 16777216\r\n", ""));
    let sending = client.send_meanwhile(vec![b'x'; 16 << 20]);
    backend.wait_for_heads(1);
    for _ in 0..50 {
        assert_eq!(proxy.send(get("/small")).reply().text(), "0");
    }
    go.give();
    assert_eq!(client.reply().text(), "16777216");
    sending.join().expect("all was taken");
}

/// Clients stuck in every state do not hold up the next one.
#[test]
fn clients_stuck_in_their_heads_hold_up_nobody() {
    let gate = Gate::open();
    let stuck: Vec<_> = (0..200).map(|_| gate.proxy().send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ")).collect();
    for _ in 0..10 {
        assert_eq!(gate.proxy().send(get("/")).reply().status(), 200);
    }
    drop(stuck);
}

/// Requests that wait for a slow backend hold no worker: many more than there are workers wait at once.
#[test]
fn requests_that_wait_for_a_slow_backend_hold_up_nobody() {
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
    let proxy = Proxy::with(&["--to", &backend.address().to_string(), "--workers", "4"]);
    let mut slow: Vec<_> = (0..50).map(|_| proxy.send(get("/slow"))).collect();
    backend.wait_for_heads(50);
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/fast")).reply().text(), "/fast");
    }
    go.give_all(slow.len());
    for client in &mut slow {
        assert_eq!(client.reply().text(), "/slow");
    }
}
