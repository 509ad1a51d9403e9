//! Memory is bounded: what a connection can make the proxy hold, by what it does. The README has the formula.

use crate::support::backend::{Connection, ScriptedBackend};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::{Cue, each_row, eventually, get, within};
use std::time::Duration;

const KIB: usize = 1024;

/// Enough that what each holds stands out from what all share.
const CLIENTS: usize = 200;

/// What the README says one connection may hold at most, with the default limits.
const MOST: usize = 2 * 16 * KIB + 2 * 64 * KIB + 192 * KIB;

/// What `CLIENTS` clients make a proxy hold, for each of them, once all have done their worst.
fn held_by_each(proxy: &Proxy, worst: impl Fn(&mut Client), is_held: impl Fn() -> bool) -> usize {
    let before = proxy.memory();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(worst);
    eventually(|| "all clients are being held".to_owned(), is_held);
    // Bytes that are on their way change nothing that anybody else could see.
    let mut largest = 0;
    within(Duration::from_secs(2), || {
        largest = largest.max(proxy.memory());
        false
    });
    largest.saturating_sub(before) / CLIENTS
}

/// A head that does not end, as long as it may be; content that is kept in case it has to be sent again; a response that
/// nobody reads, with a head as long as it may be.
#[test]
fn no_connection_holds_more_than_it_may() {
    let rows = ["head", "content", "response"];
    each_row(&rows, |row| {
        let cue = Cue::default();
        let waits = cue.clone();
        let backend = ScriptedBackend::running(move |connection: &mut Connection| {
            let Some(request) = connection.head() else { return };
            if request.target() == "/content" {
                waits.wait();
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\nX-Long: {}\r\n\r\n", "x".repeat(60 * KIB));
            connection.send(&head);
            while connection.send_bytes(&[b'x'; 65536]) {}
        });
        let flags = ["timeouts.header=60s", "timeouts.response=60s", "timeouts.send=60s"];
        let proxy = Proxy::set(&backend, &flags);
        drop(proxy.send("GET /first HTTP/1.1\r\n"));
        let (worst, bound): (fn(&mut Client), usize) = match *row {
            "head" => (|client| client.send(format!("GET / HTTP/1.1\r\nX-Long: {}", "x".repeat(16_000))), 36 * KIB),
            "content" => (
                |client| {
                    client.send(format!("PUT /content HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 60 * KIB));
                    client.send(vec![b'x'; 60 * KIB]);
                },
                160 * KIB,
            ),
            _ => (|client| client.send(get("/response")), MOST),
        };
        let is_held = || *row == "head" || backend.connections() >= CLIENTS;
        let each = held_by_each(&proxy, worst, is_held);
        println!("{row}: {each} bytes for each connection, at most {bound}");
        assert!(each > 0 && each <= bound, "{row}: {each} bytes for each, more than {bound}");
        cue.give_all(CLIENTS);
    });
}
