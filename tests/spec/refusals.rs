//! A refusal arrives (RFC 9112 §9.6): whoever is told no, and goes on sending what nobody wants, still reads why. Closing
//! at once would reset the connection and take the answer from under its eyes.

use std::time::{Duration, Instant};

use crate::support::verdict::Gate;
use crate::support::{PATIENCE, each_row, get, post, within};

/// More than the buffers on the way hold.
const MORE: usize = 4 << 20;

/// Requests that are refused, each with its status.
fn refused_requests() -> [(&'static str, String, u16); 9] {
    [
        ("malformed", "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n".to_owned(), 400),
        ("ambiguous", post("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""), 400),
        ("bad chunk", post("/", "Transfer-Encoding: chunked\r\n", "0x5\r\n"), 400),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("too large", post("/", "Content-Length: 10000000\r\n", ""), 413),
        ("target too long", get(&format!("/{}", "x".repeat(9000))), 414),
        ("head too large", format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "x".repeat(17_000)), 431),
        ("not implemented", post("/", "Transfer-Encoding: gzip\r\n", ""), 501),
        ("other version", "POST / HTTP/2.0\r\nHost: a.test\r\n\r\n".to_owned(), 505),
    ]
}

/// The client sends its megabytes first and reads then, as many do.
#[test]
fn whoever_goes_on_sending_still_reads_the_refusal() {
    let gate = Gate::set(&["limits.body=1MiB"]);
    each_row(&refused_requests(), |(_, request, status)| {
        let mut client = gate.proxy().send(request);
        let piece = vec![b'x'; 1 << 16];
        let _ = (0..MORE / piece.len()).all(|_| client.try_send(&piece));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.says_close()), (*status, true));
        assert!(client.closed());
    });
    // "bad chunk" has a head that is on its way before its content turns out to be none.
    let requests = gate.backend().requests();
    assert!(requests.iter().all(|request| request.head.all("transfer-encoding") == ["chunked"]), "{requests:#?}");
}

/// But not for ever: somebody who never ends is left alone after a while.
#[test]
fn whoever_never_stops_sending_is_cut_off() {
    let gate = Gate::open();
    each_row(&refused_requests()[..1], |(_, request, status)| {
        let mut client = gate.proxy().send(request);
        assert_eq!(client.reply().status(), *status);
        let begun = Instant::now();
        let is_cut = within(PATIENCE, || !client.try_send(vec![b'x'; 1 << 10]));
        assert!(is_cut, "bytes are taken after {:?}", begun.elapsed());
        assert!(begun.elapsed() > Duration::from_millis(500), "after {:?} already", begun.elapsed());
    });
}
