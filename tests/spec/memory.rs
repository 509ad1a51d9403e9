//! Memory is bounded: what a connection can make the proxy hold, by what it does. The README has the formula.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::backend::{Connection, ScriptedBackend};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::{Cue, each_row, eventually, get, within};

const KIB: usize = 1024;

/// Enough that what each holds stands out from what all share.
const CLIENTS: usize = 200;

/// What the README says one connection may hold at most, with the default limits.
const MOST: usize = 2 * 16 * KIB + 2 * 64 * KIB + 192 * KIB;

/// Whoever waits does so for longer than the test lasts.
const PATIENT: [&str; 4] =
    ["timeouts.header=60s", "timeouts.response=60s", "timeouts.response_idle=60s", "timeouts.send=60s"];

/// What `CLIENTS` clients make a proxy hold, for each of them, once all have done their worst.
fn held_by_each<C>(
    proxy: &Proxy,
    connect: impl Fn() -> C,
    worst: impl Fn(&mut C),
    is_held: impl Fn() -> bool,
) -> usize {
    let before = proxy.memory();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect()).collect();
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

fn assert_bounded(row: &str, each: usize, bound: usize) {
    println!("{row}: {each} bytes for each connection, at most {bound}");
    assert!(each > 0 && each <= bound, "{row}: {each} bytes for each, more than {bound}");
}

/// A response head of about this length.
fn head_of(status: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\nX-Long: {}\r\n", "x".repeat(length))
}

/// A backend that answers `/content` on a cue, and whatever it answers is more than anybody takes.
fn generous_backend(cue: &Cue) -> ScriptedBackend {
    let cue = cue.clone();
    ScriptedBackend::running(move |connection: &mut Connection| {
        let Some(request) = connection.head() else { return };
        if request.target() == "/content" {
            cue.wait();
        }
        if request.target() == "/all" {
            connection.content(&request);
        }
        connection.send(&format!("{}Content-Length: 100000000\r\n\r\n", head_of("200 OK", 60 * KIB)));
        while connection.send_bytes(&[b'x'; 65536]) {}
    })
}

/// Sends a request with content that is kept in case it has to be sent again.
fn put(client: &mut Client, target: &str, more: usize) {
    let more = "x".repeat(more);
    let head = format!("PUT {target} HTTP/1.1\r\nHost: a\r\nX-Long: {more}\r\nContent-Length: {}\r\n\r\n", 60 * KIB);
    client.send(head);
    client.send(vec![b'x'; 60 * KIB]);
}

/// A head that does not end, as long as it may be; content that is kept in case it has to be sent again; a response that
/// nobody reads, with a head as long as it may be; and all of these one after the other.
#[test]
fn no_connection_holds_more_than_it_may() {
    type Worst = fn(&mut Client);
    let rows: [(&str, Worst, usize); 4] = [
        ("head", |client| client.send(format!("GET / HTTP/1.1\r\nX-Long: {}", "x".repeat(16_000))), 36 * KIB),
        ("content", |client| put(client, "/content", 1), 160 * KIB),
        ("response", |client| client.send(get("/response")), MOST),
        ("all", |client| put(client, "/all", 15_000), MOST),
    ];
    each_row(&rows, |(row, worst, bound)| {
        let cue = Cue::default();
        let backend = generous_backend(&cue);
        let proxy = Proxy::set(&backend, &PATIENT);
        drop(proxy.send("GET /first HTTP/1.1\r\n"));
        let is_held = || *row == "head" || backend.connections() >= CLIENTS;
        let each = held_by_each(&proxy, || proxy.connect(), worst, is_held);
        assert_bounded(row, each, *bound);
        cue.give_all(CLIENTS);
    });
}

/// Interim responses as long as they may be, one after the other, to clients that read none of them. Over Unix sockets,
/// since the kernel holds less for those than all these together.
#[test]
fn interim_responses_that_nobody_reads_are_held_one_at_a_time() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        if connection.head().is_some() {
            let interim = format!("{}\r\n", head_of("103 Early Hints", 60 * KIB));
            let _ = (0..16).all(|_| connection.send(&interim));
            connection.wait_closed();
        }
    });
    let path = std::env::temp_dir().join(format!("footbridge-memory-{}.sock", std::process::id()));
    let (listen, to) = (format!("unix:{}", path.display()), backend.address().to_string());
    let settings = PATIENT.iter().flat_map(|setting| ["--set", setting]);
    let flags = ["--listen", &listen, "--listen", "127.0.0.1:0", "--to", &to];
    let proxy = Proxy::with(&flags.into_iter().chain(settings).collect::<Vec<_>>());
    let connect = || UnixStream::connect(&path).expect("the proxy listens there");
    let ask = |client: &mut UnixStream| client.write_all(get("/").as_bytes()).expect("a request fits");
    let each = held_by_each(&proxy, connect, ask, || backend.connections() >= CLIENTS);
    assert_bounded("interim", each, MOST);
}

/// Whoever does not read, and wakes the proxy all the time by what it sends, makes it take in no more for that.
#[test]
fn a_client_that_sends_on_without_reading_makes_nothing_grow() {
    let websocket = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rows = [("content", upload, "1\r\na\r\n", endless), ("WebSocket", websocket, "a", switching)];
    each_row(&rows, |(row, request, drip, answer)| {
        let answer = (*answer).to_owned();
        let backend = ScriptedBackend::running(move |connection: &mut Connection| {
            if connection.head().is_some() {
                connection.send(&answer);
                let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
                while connection.send(&chunk) {}
            }
        });
        let proxy = Proxy::set(&backend, &PATIENT);
        let mut client = proxy.connect();
        client.shrink_receive_buffer();
        client.send(request);
        backend.wait_for_heads(1);
        let before = proxy.memory();
        for _ in 0..1500 {
            client.send(drip);
            std::thread::sleep(Duration::from_millis(1)); // Else many would come as one.
        }
        let grown = proxy.memory().saturating_sub(before);
        assert!(grown <= MOST + 640 * KIB, "{row}: {grown} bytes more"); // Two workers have buffers of their own.
    });
}
