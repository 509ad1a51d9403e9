//! INT and TERM: nothing that was accepted is lost, and then the program ends (RFC 9112 §9.6).

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::{Cue, HANDSHAKE, SWITCHING, eventually, get, post};

/// Longer than any test waits: who ends sooner did not end because of this.
const GRACE: &str = "timeouts.shutdown=9s";

/// What "at once" means on a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// Sends the signal and waits until it has arrived: the listener stops first.
fn stop(proxy: &Proxy, signal: Signal) {
    proxy.signal(signal);
    let is_refused = || TcpStream::connect(proxy.address()).is_err();
    eventually(|| "new connections are refused".to_owned(), is_refused);
}

/// A backend that waits for a cue before it answers `/slow`.
fn slow(go: &Cue) -> ScriptedBackend {
    let go = go.clone();
    ScriptedBackend::answering_with(move |request| {
        if request.head.target() == "/slow" {
            go.wait();
        }
        ok(&format!("done {}", request.text()))
    })
}

fn assert_last_answer(client: &mut Client, text: &str) {
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text().as_str()), (200, text));
    assert!(reply.says_close(), "the client is not told that this was the last: {:?}", reply.head);
    assert!(client.closed());
}

/// All requests in flight are answered, each with `Connection: close`, and the program ends with 0.
#[test]
fn requests_in_flight_are_answered_before_the_program_ends() {
    for signal in [Signal::INT, Signal::TERM] {
        let go = Cue::default();
        let backend = slow(&go);
        let mut proxy = Proxy::set(&backend, &[GRACE]);
        let mut clients: Vec<_> = (0..20).map(|_| proxy.send(get("/slow"))).collect();
        backend.wait_for_heads(20);
        stop(&proxy, signal);
        go.give_all(clients.len());
        for client in &mut clients {
            assert_last_answer(client, "done ");
        }
        assert_eq!(proxy.wait().code(), Some(0));
    }
}

/// A request whose content is still coming is in flight too.
#[test]
fn an_upload_in_flight_is_completed() {
    let go = Cue::default();
    let backend = slow(&go);
    let mut proxy = Proxy::set(&backend, &[GRACE]);
    let mut client = proxy.send(post("/", "Content-Length: 10\r\n", "hello"));
    backend.wait_for_heads(1);
    stop(&proxy, Signal::TERM);
    client.send("world");
    assert_last_answer(&mut client, "done helloworld");
    assert_eq!(proxy.wait().code(), Some(0));
}

/// A response that is under way is completed, though its head could not yet say that it is the last.
#[test]
fn a_response_under_way_is_completed() {
    let go = Cue::default();
    let backend = ScriptedBackend::running({
        let go = go.clone();
        move |connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            go.wait();
            connection.send("world");
        }
    });
    let mut proxy = Proxy::set(&backend, &[GRACE]);
    let mut client = proxy.send(get("/"));
    client.read_until("hello");
    stop(&proxy, Signal::INT);
    go.give();
    assert_eq!(client.rest(), "world");
    assert_eq!(proxy.wait().code(), Some(0));
}

/// RFC 9112 §9.5: idle connections, and those that never said anything, are closed at once and hold up nothing.
#[test]
fn idle_connections_are_closed_at_once() {
    let backend = ScriptedBackend::echoing();
    let mut proxy = Proxy::set(&backend, &[GRACE]);
    let mut idle = proxy.send(get("/"));
    assert_eq!(idle.reply().status(), 200);
    let mut fresh = proxy.connect();
    // The fresh one has been accepted for sure once a later one is served.
    assert_eq!(proxy.send(get("/")).reply().status(), 200);
    let start = Instant::now();
    stop(&proxy, Signal::TERM);
    assert!(idle.closed() && fresh.closed());
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(start.elapsed() < SOON, "only after {:?}", start.elapsed());
}

/// With nothing to wait for it ends at once.
#[test]
fn an_idle_program_ends_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let backend = ScriptedBackend::echoing();
        let mut proxy = Proxy::set(&backend, &[GRACE]);
        let start = Instant::now();
        proxy.signal(signal);
        assert_eq!(proxy.wait().code(), Some(0));
        assert!(start.elapsed() < SOON, "only after {:?}", start.elapsed());
    }
}

/// A backend that never answers does not keep the program alive for longer than `timeouts.shutdown`. Who waits for it is
/// told; whose response has begun sees that it is cut; and the log tells of both.
#[test]
fn what_does_not_end_in_time_is_cut_off_and_logged() {
    let backend = ScriptedBackend::running(|connection| {
        let Some(head) = connection.head() else { return };
        if head.target() == "/begun" {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
        }
        connection.wait_gone();
    });
    let mut proxy = Proxy::set(&backend, &["timeouts.shutdown=500ms"]);
    let mut waits = proxy.send(get("/"));
    let mut begun = proxy.send(get("/begun"));
    begun.read_until("begun");
    backend.wait_for_heads(2);
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!((Duration::from_millis(400)..SOON).contains(&start.elapsed()), "after {:?}", start.elapsed());
    let reply = waits.reply();
    assert!(reply.status() == 503 && reply.says_close() && reply.text().contains("stopped"), "{}", reply.text());
    assert!(waits.closed() && begun.closed());
    let mut lines = proxy.access_lines(2);
    lines.sort();
    for (line, part) in lines.iter().zip(["\"GET / HTTP/1.1\" 503 ", "\"GET /begun HTTP/1.1\" 200 5 "]) {
        assert!(line.contains(part) && line.contains(" reason=stopped "), "{line}");
    }
}

/// Who sends a second signal does not want to wait.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    for signals in [[Signal::INT, Signal::INT], [Signal::TERM, Signal::INT]] {
        let backend = ScriptedBackend::silent();
        let mut proxy = Proxy::set(&backend, &[GRACE]);
        let _client = proxy.send(get("/"));
        backend.wait_for_heads(1);
        let start = Instant::now();
        stop(&proxy, signals[0]);
        assert!(proxy.is_running(), "it did not wait for the request in flight");
        proxy.signal(signals[1]);
        proxy.wait();
        assert!(start.elapsed() < SOON, "only after {:?}", start.elapsed());
    }
}

/// A tunnel has the remaining time, and ends with the program.
#[test]
fn a_tunnel_has_the_remaining_time() {
    let backend = ScriptedBackend::tunnelling();
    let mut proxy = Proxy::set(&backend, &["timeouts.shutdown=1s"]);
    let mut client = proxy.send(HANDSHAKE);
    assert_eq!(client.read_exactly(SWITCHING.len()).len(), SWITCHING.len());
    stop(&proxy, Signal::TERM);
    client.send("still");
    client.read_until("still");
    assert!(client.closed());
    assert_eq!(proxy.wait().code(), Some(0));
}

/// Under load: every request that was sent on an open connection is answered, or the connection ended before it.
#[test]
fn no_answer_is_cut_short_when_the_program_ends_under_load() {
    let backend = ScriptedBackend::answering(&ok(&"x".repeat(20_000)));
    let mut proxy = Proxy::set(&backend, &[GRACE]);
    let clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    let workers = clients.into_iter().map(|mut client| {
        std::thread::spawn(move || {
            let mut answers = 0;
            while client.try_send(get("/")) {
                let Some(reply) = client.outcome() else { break };
                assert!(reply.is_complete() && reply.status() == 200, "{:?}", reply.head);
                answers += 1;
                if reply.says_close() {
                    break;
                }
            }
            answers
        })
    });
    let workers: Vec<_> = workers.collect();
    backend.wait_for_heads(200);
    proxy.signal(Signal::TERM);
    let answers: usize = workers.into_iter().map(|worker| worker.join().expect("no answer cut short")).sum();
    assert!(answers >= 190, "{answers} answers");
    assert_eq!(proxy.wait().code(), Some(0));
}

/// The requests of a client that goes on until it is told to stop, or nobody listens; how many were answered.
fn ask_until_the_end(kind: &str, address: SocketAddr) -> usize {
    let upload = |more: usize| post("/", &format!("Content-Length: {}\r\n", 5 + more), &"x".repeat(5 + more));
    let (request, at_once) = match kind {
        "uploads" => (upload(100_000), 1),
        "chunked" => (post("/", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), 1),
        "pipelined" => (upload(0), 4),
        _ => (get("/"), 1),
    };
    let (mut answers, mut kept) = (0, None);
    while let Some(mut client) = kept.take().or_else(|| TcpStream::connect(address).ok().map(Client::from)) {
        if !client.try_send(request.repeat(at_once)) {
            break;
        }
        for _ in 0..at_once {
            let Some(reply) = client.outcome() else { return answers };
            assert!(reply.is_complete() && reply.status() == 200, "{kind}: {:?}", reply.head);
            answers += 1;
            if reply.says_close() {
                return answers;
            }
        }
        kept = (kind != "fresh").then_some(client);
    }
    answers
}

/// Whatever the load, no request is lost once it has been passed on: as many are answered as backends were asked.
#[test]
fn every_request_that_a_backend_got_is_answered_when_the_program_ends_under_load() {
    let backend = ScriptedBackend::echoing();
    let mut proxy = Proxy::set(&backend, &[GRACE]);
    let (address, kinds) = (proxy.address(), ["kept", "fresh", "uploads", "chunked", "pipelined"]);
    let clients: Vec<_> = [kinds, kinds]
        .concat()
        .into_iter()
        .map(|kind| thread::spawn(move || ask_until_the_end(kind, address)))
        .collect();
    backend.wait_for_heads(300);
    proxy.signal(Signal::TERM);
    let answers: usize = clients.into_iter().map(|client| client.join().expect("each answer is whole")).sum();
    assert_eq!(proxy.wait().code(), Some(0));
    assert_eq!(answers, backend.requests().len());
}
