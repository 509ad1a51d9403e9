//! Nobody can take what all share: neither one client's address nor one group of backends holds a worker while it makes
//! us wait, however many connections it has. So with two workers, and hundreds of such connections for each, everybody
//! else is served as ever.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::configuration::Configured;
use crate::support::proxy::Proxy;
use crate::support::refusal::FullQueue;
use crate::support::{each_row, eventually, get, post};

/// Hundreds for each worker.
const MANY: usize = 500;

/// How long one ordinary request may take: far longer than it does on a busy machine, far less than it would behind a
/// peer that makes us wait.
const SOON: Duration = Duration::from_secs(4);

const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const ORDINARY: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);

/// With two workers; and whoever makes us wait does so for longer than the test lasts.
fn proxy(flags: &[&str]) -> Proxy {
    let timeouts = ["timeouts.header=60s", "timeouts.send=60s", "timeouts.response=60s", "timeouts.connect=60s"];
    let patient = timeouts.into_iter().flat_map(|timeout| ["--set", timeout]);
    Proxy::with(&flags.iter().copied().chain(["--workers", "2"]).chain(patient).collect::<Vec<_>>())
}

/// What an address can be greedy with, and a request that begins it.
fn greedy_requests() -> [(&'static str, String); 5] {
    [
        ("heads that do not end", "GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ".to_owned()),
        ("content that does not end", post("/", "Content-Length: 100000000\r\n", "some of it")),
        ("chunks that do not end", post("/", "Transfer-Encoding: chunked\r\n", "fffffff\r\nsome of it")),
        ("responses that are not read", get("/long")),
        ("answers that do not come", get("/never")),
    ]
}

fn backend() -> ScriptedBackend {
    ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            match head.target() {
                "/never" => drop(connection.wait_closed()),
                "/long" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                    while connection.send_bytes(&[b'x'; 16 * 1024]) {}
                    return;
                }
                _ => {
                    connection.content(&head);
                    connection.send(&ok("in step"));
                }
            }
        }
    })
}

/// Asks on a kept connection and on fresh ones; each answer must come soon.
fn assert_served_soon(proxy: &Proxy, own: Ipv4Addr) {
    let mut kept = Client::connect_from(own, proxy.address());
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        for client in [&mut kept, &mut Client::connect_from(own, proxy.address())] {
            let begun = Instant::now();
            client.send(get("/"));
            assert_eq!(client.reply().text(), "in step");
            slowest = slowest.max(begun.elapsed());
        }
    }
    println!("the slowest of 60 requests took {slowest:?}");
    assert!(slowest < SOON, "a request took {slowest:?}");
}

/// Keeps `clients` moving, a byte at a time, while `meanwhile` runs.
fn while_dripping(clients: &mut [Client], meanwhile: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in (0..clients.len()).cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                clients[turn].try_send("x");
                thread::sleep(Duration::from_micros(200));
            }
        });
        meanwhile();
        is_over.store(true, Ordering::Relaxed);
    });
}

/// One address with slow connections of every kind delays no other's requests.
#[test]
fn one_address_cannot_take_the_workers_from_the_others() {
    each_row(&greedy_requests(), |(_, request)| {
        let backend = backend();
        let proxy = proxy(&["--to", &backend.address().to_string()]);
        let mut greedy: Vec<_> = (0..MANY)
            .map(|_| {
                let mut client = Client::connect_from(GREEDY, proxy.address());
                client.send(request);
                client
            })
            .collect();
        if request.contains("\r\n\r\n") {
            backend.wait_for_heads(MANY);
        }
        let may_drip = request.contains("some of it");
        let drips = if may_drip { greedy.as_mut_slice() } else { &mut [] };
        while_dripping(drips, || assert_served_soon(&proxy, ORDINARY));
    });
}

/// One group of backends that cannot be connected to, or never answers, or takes one request at a time, delays no request
/// to another group, however many wait for it.
#[test]
fn one_group_of_backends_cannot_take_the_workers_from_the_others() {
    each_row(&["it is not reached", "it never answers", "it takes one at a time"], |row| {
        let (full, silent, well) = (FullQueue::new(), ScriptedBackend::silent(), backend());
        let stuck = if *row == "it is not reached" { full.address() } else { silent.address() };
        let most = if *row == "it takes one at a time" { ", max_requests = 1" } else { "" };
        let proxy = Configured::with(&format!(
            "[server]
            workers = {{ max = 2 }}
            [timeouts]
            connect = \"60s\"
            queue = \"60s\"
            [backends.stuck]
            servers = [{{ address = \"{stuck}\"{most} }}]
            [backends.well]
            servers = [\"{}\"]
            [[route]]
            path = \"/stuck\"
            to = \"stuck\"
            [[route]]
            to = \"well\"",
            well.address()
        ));
        let waiting: Vec<_> = (0..MANY).map(|_| proxy.send(get("/stuck"))).collect();
        let sockets = || proxy.descriptors().iter().filter(|kind| *kind == "socket").count();
        eventually(|| format!("{MANY} wait for the group, {} sockets", sockets()), || sockets() > MANY);
        assert_served_soon(&proxy, ORDINARY);
        drop(waiting);
    });
}

/// A client that sends as fast as it can, and next to nothing but chunk extensions, has its turns like everybody else.
#[test]
fn chunk_extensions_without_end_do_not_take_the_only_worker() {
    let backend = backend();
    let proxy = Proxy::with(&["--to", &backend.address().to_string(), "--workers", "1"]);
    let chunks = format!("1;{}\r\nx\r\n", "e".repeat(4000)).repeat(100);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut greedy = Client::connect_from(GREEDY, proxy.address());
            greedy.send(post("/", "Transfer-Encoding: chunked\r\n", ""));
            while !is_over.load(Ordering::Relaxed) {
                greedy.send(&chunks);
            }
        });
        backend.wait_for_heads(1);
        assert_served_soon(&proxy, ORDINARY);
        is_over.store(true, Ordering::Relaxed);
    });
}
