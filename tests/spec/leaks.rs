//! Whatever goes wrong, and whenever: afterwards there is not one socket more, nor a thread that is stuck, nor a place
//! taken in the waiting room (Linux).
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::message::Head;
use crate::support::proxy::Proxy;
use crate::support::refusal::FullQueue;
use crate::support::served::Served;
use crate::support::{HANDSHAKE, SWITCHING, each_row_at_once, eventually, get, post};

/// How a peer goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// What is sent to it from then on breaks the pipe.
    Closes,
    Resets,
    /// It says that it has finished, and closes when it hears the end, or has waited long enough for it.
    HalfCloses,
}

const FAULTS: [Fault; 3] = [Fault::Closes, Fault::Resets, Fault::HalfCloses];

/// How often each fault is repeated: a leak of one socket or one thread each time is seen for sure.
const ROUNDS: usize = 12;

/// Fewer than [`ROUNDS`], so that threads that get stuck soon leave none to serve.
const WORKERS: usize = 4;

/// Pipes that may be kept: fewer than [`ROUNDS`], too.
const SPARE_PIPES: usize = 8;

/// So many rows at the same time, each with a proxy or two of its own.
const AT_ONCE: usize = 20;

/// Content that does not fit into the buffers on the way.
const LARGE: usize = 8 << 20;

const PHASES_OF_A_CLIENT: [&str; 17] = [
    "before a byte",
    "inside its head",
    "inside its content",
    "inside content that nobody takes",
    "inside its chunks",
    "inside its trailers",
    "before its content",
    "waiting for the response",
    "waiting, with more to come",
    "inside the response",
    "inside the chunks of the response",
    "inside a response it does not read",
    "inside many responses it does not read",
    "idle after a response",
    "after a refusal",
    "inside a tunnel",
    "inside a tunnel that nobody reads",
];

/// Brings a client into this phase.
fn client_in(phase: &str, proxy: SocketAddr) -> Client {
    let mut client = Client::connect(proxy);
    match phase {
        "before a byte" => {}
        "inside its head" => client.send("GET / HTTP/1.1\r\nHost: a.t"),
        "inside its content" => client.send(post("/", "Content-Length: 100000\r\n", "some of it")),
        "inside content that nobody takes" => {
            client.send(post("/never", "Content-Length: 1000000000\r\n", ""));
            assert!(client.fill());
        }
        "inside its chunks" => client.send(post("/", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\na\r\n01")),
        "inside its trailers" => client.send(post("/", "Transfer-Encoding: chunked\r\n", "0\r\nX-Half: ")),
        "before its content" => {
            client.send(post("/continue", "Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
            assert_eq!(client.head().status(), 100);
        }
        "waiting for the response" => client.send(get("/never")),
        "waiting, with more to come" => client.send(get("/never").repeat(20)),
        "idle after a response" => {
            client.send(get("/"));
            client.reply();
        }
        "after a refusal" => {
            client.send("GET / HTTP/1.1\r\n\r\nmore");
            assert_eq!(client.reply().status(), 400);
        }
        _ if phase.contains("tunnel") => open_tunnel(phase, &mut client),
        _ => begin_response(phase, &mut client),
    }
    client
}

fn begin_response(phase: &str, client: &mut Client) {
    match phase {
        "inside the response" => {
            client.send(get("/half"));
            client.read_until("hello");
        }
        "inside the chunks of the response" => {
            client.send(get("/chunks"));
            client.read_until("hello");
        }
        "inside a response it does not read" => {
            client.send(get("/large"));
            client.head();
        }
        "inside many responses it does not read" => client.send(get("/large").repeat(5)),
        other => panic!("no such phase: {other}"),
    }
}

fn open_tunnel(phase: &str, client: &mut Client) {
    let handshake = if phase == "inside a tunnel" { HANDSHAKE.to_owned() } else { HANDSHAKE.replace("tunnel", "deaf") };
    client.send(handshake);
    assert_eq!(client.head().status(), 101);
    if phase == "inside a tunnel" {
        client.send("ping");
        client.read_until("ping");
    } else {
        assert!(client.fill());
    }
}

/// A backend that is patient with clients that are not.
fn patient_backend() -> ScriptedBackend {
    ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            match head.target() {
                // Reads nothing more: what is sent fills all buffers, until the proxy closes or we are told to end.
                "/never" => return connection.wait_gone(),
                "/deaf" => {
                    connection.send(SWITCHING);
                    return connection.wait_gone();
                }
                "/continue" => {
                    connection.send("HTTP/1.1 100 Continue\r\n\r\n");
                    connection.content(&head);
                    return;
                }
                "/half" => begin_and_wait(connection, "Content-Length: 10\r\n\r\nhello"),
                "/chunks" => begin_and_wait(connection, "Transfer-Encoding: chunked\r\n\r\n9\r\nhello"),
                "/large" => {
                    connection.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                    connection.send_bytes(&vec![b'x'; LARGE]);
                }
                "/tunnel" => return echo_for_ever(connection),
                _ => {
                    connection.content(&head);
                    connection.send(&ok("in step"));
                }
            }
        }
    })
}

fn begin_and_wait(connection: &mut Connection, rest: &str) {
    connection.send(&format!("HTTP/1.1 200 OK\r\n{rest}"));
    connection.wait_closed();
}

fn echo_for_ever(connection: &mut Connection) {
    connection.send(SWITCHING);
    loop {
        let bytes = connection.read_some();
        if bytes.is_empty() || !connection.send_bytes(&bytes) {
            return;
        }
    }
}

/// RFC 9112 §9.6: a client may go away in every phase of an exchange.
#[test]
fn a_client_that_goes_away_in_any_phase_leaves_nothing_behind() {
    each_phase(&PHASES_OF_A_CLIENT, |phase, fault| {
        assert_leaves_nothing(patient_backend, |proxy| go_away(client_in(phase, proxy), fault));
    });
}

fn go_away(mut client: Client, fault: Fault) {
    match fault {
        Fault::Closes => drop(client),
        Fault::Resets => client.reset(),
        Fault::HalfCloses => {
            client.finish();
            client.is_quiet_for(Duration::from_millis(100));
        }
    }
}

const PHASES_OF_A_BACKEND: [&str; 12] = [
    "before the request",
    "inside the request",
    "after the request",
    "inside its head",
    "inside an interim response",
    "after an interim response",
    "inside its content",
    "inside large content",
    "inside its chunks",
    "inside its trailers",
    "behind its response",
    "inside a tunnel",
];

/// A backend that goes away in this phase of each request for `/fault` and each tunnel.
fn faulty_backend(phase: &'static str, fault: Fault) -> ScriptedBackend {
    ScriptedBackend::running(move |connection| {
        if phase == "before the request" && connection.number < ROUNDS {
            // Each round has one connection: what dies on a fresh one is not tried again.
            return leave(connection, fault);
        }
        while let Some(head) = connection.head() {
            if ["/fault", "/tunnel"].contains(&head.target()) {
                play(connection, &head, phase);
                return leave(connection, fault);
            }
            connection.content(&head);
            connection.send(&ok("in step"));
        }
    })
}

fn leave(connection: &mut Connection, fault: Fault) {
    match fault {
        Fault::Closes => {}
        Fault::Resets => connection.reset(),
        Fault::HalfCloses => {
            connection.finish();
            connection.wait_closed();
        }
    }
}

/// Plays the exchange up to the phase.
fn play(connection: &mut Connection, head: &Head, phase: &str) {
    if phase == "inside the request" {
        return;
    }
    connection.content(head);
    match phase {
        "inside its head" => connection.send("HTTP/1.1 200 OK\r\nX-Half: "),
        "inside an interim response" => connection.send("HTTP/1.1 103 Early Hints\r\nLink: "),
        "after an interim response" => connection.send("HTTP/1.1 103 Early Hints\r\n\r\n"),
        "inside its content" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
        "inside large content" => {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            connection.send_bytes(&vec![b'x'; LARGE])
        }
        "inside its chunks" => connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        "inside its trailers" => connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Half: "),
        "behind its response" => connection.send(&ok("hello")),
        "inside a tunnel" => connection.send(&format!("{SWITCHING}hello")),
        _ => true,
    };
}

/// RFC 9112 §9.6: and so may a backend.
#[test]
fn a_backend_that_goes_away_in_any_phase_leaves_nothing_behind() {
    each_phase(&PHASES_OF_A_BACKEND, |phase, fault| {
        assert_leaves_nothing(
            || faulty_backend(phase, fault),
            |proxy| {
                let request = match phase {
                    "inside a tunnel" => HANDSHAKE.to_owned(),
                    "inside the request" => post("/fault", "Content-Length: 100000\r\n", "some of it"),
                    _ => post("/fault", "Content-Length: 5\r\n", "hello"),
                };
                // What the client hears is for other tests; here it must only hear the end.
                let mut client = Client::connect(proxy);
                client.send(request);
                client.finish();
                client.rest();
            },
        );
    });
}

/// A backend that cannot be reached, and clients that do not wait until that is known.
#[test]
fn a_client_that_goes_away_while_the_backend_is_asked_leaves_nothing_behind() {
    each_row_at_once(&FAULTS, |fault| {
        let full = FullQueue::new();
        let proxy = Served::to(full.address(), WORKERS, &["timeouts.connect=1s"]);
        for _ in 0..ROUNDS {
            let mut client = Client::connect(proxy.address());
            client.send(get("/"));
            go_away(client, *fault);
        }
        proxy.wait_until_empty();
    });
}

/// Runs `check` for each phase and each fault.
fn each_phase(phases: &[&'static str], check: impl Fn(&'static str, Fault) + Sync) {
    let rows: Vec<_> = phases.iter().flat_map(|phase| FAULTS.map(|fault| (*phase, fault))).collect();
    for some in rows.chunks(AT_ONCE) {
        each_row_at_once(some, |(phase, fault)| check(phase, *fault));
    }
}

/// Runs `fault` many times, in turn and at once, and checks that the program is then as it was; and the same inside this
/// process, where the places of the room can be counted.
fn assert_leaves_nothing(backend: impl Fn() -> ScriptedBackend, fault: impl Fn(SocketAddr) + Sync) {
    let server = backend();
    let proxy = Proxy::with(&["--to", &server.address().to_string(), "--workers", &WORKERS.to_string()]);
    let (before, threads) = (proxy.descriptors(), proxy.threads());
    go_wrong(proxy.address(), &fault);
    // Also the connections that are kept to the backend: it closes them, and the proxy has no use for them.
    server.retire();
    eventually(
        || format!("{before:?} again, not {:?}", proxy.descriptors()),
        || is_no_more(&before, &proxy.descriptors()),
    );
    let threads_now = proxy.threads();
    assert!(threads_now <= threads + WORKERS, "{threads_now} threads, {threads} at the start");

    let server = backend();
    let proxy = Served::to(server.address(), WORKERS, &[]);
    go_wrong(proxy.address(), &fault);
    server.retire();
    proxy.wait_until_empty();
}

fn go_wrong(proxy: SocketAddr, fault: impl Fn(SocketAddr) + Sync) {
    for _ in 0..ROUNDS / 2 {
        fault(proxy);
    }
    std::thread::scope(|scope| (0..ROUNDS / 2).for_each(|_| drop(scope.spawn(|| fault(proxy)))));
    for _ in 0..WORKERS {
        let mut client = Client::connect(proxy);
        client.send("GET /after HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        assert_eq!(client.reply().text(), "in step");
    }
}

/// Whether no descriptor was added, save that empty pipes are kept for relaying without a copy.
fn is_no_more(before: &[String], now: &[String]) -> bool {
    let pipes = |kinds: &[String]| kinds.iter().filter(|kind| *kind == "pipe").count();
    let others = |kinds: &[String]| kinds.len() - pipes(kinds);
    others(now) <= others(before) && pipes(now) <= pipes(before) + 2 * SPARE_PIPES
}
