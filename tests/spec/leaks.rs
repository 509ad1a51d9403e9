//! Whatever goes wrong, and whenever: afterwards there is not one socket more, nor a thread that is stuck (Linux).
#![cfg(target_os = "linux")]

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::message::Head;
use crate::support::proxy::Proxy;
use crate::support::{HANDSHAKE, SWITCHING, each_row_at_once, eventually, get, post};

/// How a peer goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Closes,
    Resets,
}

/// How often each fault is repeated: a leak of one socket or one thread each time is seen for sure.
const ROUNDS: usize = 12;

/// Fewer than [`ROUNDS`], so that threads that get stuck soon leave none to serve.
const WORKERS: usize = 4;

/// Content that does not fit into the buffers on the way.
const LARGE: usize = 8 << 20;

const PHASES_OF_A_CLIENT: [&str; 9] = [
    "before a byte",
    "inside its head",
    "inside its content",
    "inside its chunks",
    "waiting for the response",
    "inside the response",
    "inside a response it does not read",
    "idle after a response",
    "inside a tunnel",
];

/// Brings a client into this phase.
fn client_in(phase: &str, proxy: &Proxy) -> Client {
    let mut client = proxy.connect();
    match phase {
        "before a byte" => {}
        "inside its head" => client.send("GET / HTTP/1.1\r\nHost: a.t"),
        "inside its content" => client.send(post("/", "Content-Length: 100000\r\n", "some of it")),
        "inside its chunks" => client.send(post("/", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\na\r\n01")),
        "waiting for the response" => client.send(get("/never")),
        "inside the response" => {
            client.send(get("/half"));
            client.read_until("hello");
        }
        "inside a response it does not read" => {
            client.send(get("/large"));
            client.head();
        }
        "idle after a response" => {
            client.send(get("/"));
            client.reply();
        }
        _ => {
            client.send(HANDSHAKE);
            assert_eq!(client.head().status(), 101);
            client.send("ping");
            client.read_until("ping");
        }
    }
    client
}

/// A backend that is patient with clients that are not.
fn patient_backend() -> ScriptedBackend {
    ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            match head.target() {
                "/never" => drop(connection.wait_closed()),
                "/half" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
                    connection.wait_closed();
                }
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
    let rows: Vec<_> =
        PHASES_OF_A_CLIENT.iter().flat_map(|phase| [(*phase, Fault::Closes), (phase, Fault::Resets)]).collect();
    each_row_at_once(&rows, |(phase, fault)| {
        let backend = patient_backend();
        assert_leaves_nothing(&backend, |proxy| {
            let client = client_in(phase, proxy);
            match fault {
                Fault::Closes => drop(client),
                Fault::Resets => client.reset(),
            }
        });
    });
}

const PHASES_OF_A_BACKEND: [&str; 8] = [
    "before the request",
    "inside the request",
    "after the request",
    "inside its head",
    "after an interim response",
    "inside its content",
    "inside its chunks",
    "inside a tunnel",
];

/// A backend that goes away in this phase of each request for `/fault` and each tunnel.
fn faulty_backend(phase: &'static str, fault: Fault) -> ScriptedBackend {
    ScriptedBackend::running(move |connection| {
        if phase == "before the request" && connection.number < ROUNDS {
            // Each round has one connection: what dies on a fresh one is not tried again.
            return if fault == Fault::Resets {
                connection.reset();
            };
        }
        while let Some(head) = connection.head() {
            let is_faulty = ["/fault", "/tunnel"].contains(&head.target());
            if is_faulty {
                go_away(connection, &head, phase);
                return if fault == Fault::Resets {
                    connection.reset();
                };
            }
            connection.content(&head);
            connection.send(&ok("in step"));
        }
    })
}

/// Plays the exchange up to the phase.
fn go_away(connection: &mut Connection, head: &Head, phase: &str) {
    if phase == "inside the request" {
        return;
    }
    connection.content(head);
    match phase {
        "inside its head" => connection.send("HTTP/1.1 200 OK\r\nX-Half: "),
        "after an interim response" => connection.send("HTTP/1.1 103 Early Hints\r\n\r\n"),
        "inside its content" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
        "inside its chunks" => connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        "inside a tunnel" => connection.send(&format!("{SWITCHING}hello")),
        _ => true,
    };
}

/// RFC 9112 §9.6: and so may a backend.
#[test]
fn a_backend_that_goes_away_in_any_phase_leaves_nothing_behind() {
    let rows: Vec<_> =
        PHASES_OF_A_BACKEND.iter().flat_map(|phase| [(*phase, Fault::Closes), (phase, Fault::Resets)]).collect();
    each_row_at_once(&rows, |(phase, fault)| {
        let backend = faulty_backend(phase, *fault);
        assert_leaves_nothing(&backend, |proxy| {
            let request = match *phase {
                "inside a tunnel" => HANDSHAKE.to_owned(),
                "inside the request" => post("/fault", "Content-Length: 100000\r\n", "some of it"),
                _ => post("/fault", "Content-Length: 5\r\n", "hello"),
            };
            // What the client hears is for other tests; here it must only hear the end.
            let mut client = proxy.send(request);
            client.finish();
            client.rest();
        });
    });
}

/// Runs `fault` many times, in turn and at once, and checks that the program is then as it was.
fn assert_leaves_nothing(backend: &ScriptedBackend, fault: impl Fn(&Proxy) + Sync) {
    let workers = WORKERS.to_string();
    let proxy = Proxy::with(&["--to", &backend.address().to_string(), "--workers", &workers]);
    let (before, threads) = (proxy.descriptors(), proxy.threads());
    for _ in 0..ROUNDS / 2 {
        fault(&proxy);
    }
    std::thread::scope(|scope| (0..ROUNDS / 2).for_each(|_| drop(scope.spawn(|| fault(&proxy)))));
    for _ in 0..WORKERS {
        let mut client = proxy.send("GET /after HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        assert_eq!(client.reply().text(), "in step");
    }
    // Also the connections that are kept to the backend: it closes them, and the proxy has no use for them.
    backend.hang_up();
    eventually(
        || format!("{before:?} again, not {:?}", proxy.descriptors()),
        || is_no_more(&before, &proxy.descriptors()),
    );
    let threads_now = proxy.threads();
    assert!(threads_now <= threads + WORKERS, "{threads_now} threads, {threads} at the start");
}

/// Whether no descriptor was added, save that workers may keep a pipe each, for relaying without a copy.
fn is_no_more(before: &[String], now: &[String]) -> bool {
    let pipes = |kinds: &[String]| kinds.iter().filter(|kind| *kind == "pipe").count();
    let others = |kinds: &[String]| kinds.len() - pipes(kinds);
    others(now) <= others(before) && pipes(now) <= pipes(before) + 2 * WORKERS
}
