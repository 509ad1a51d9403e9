//! A client that goes away, in every phase: its backend is let go at once, the line in the access log says whose doing it
//! was, and the backend has no share in the blame.

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::{HANDSHAKE, SWITCHING, each_row, eventually, get, post};

/// A backend that lets each phase last until the proxy ends it.
fn patient(name: &'static str) -> ScriptedBackend {
    ScriptedBackend::running(move |connection: &mut Connection| {
        while let Some(head) = connection.head() {
            match head.target() {
                "/never" => break,
                "/half" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
                    break;
                }
                "/chunks" => {
                    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
                    break;
                }
                "/large" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhello");
                    while connection.send_bytes(&[b'x'; 65536]) {}
                    return;
                }
                "/tunnel" => {
                    connection.send(&format!("{SWITCHING}hello"));
                    break;
                }
                _ => {
                    connection.content(&head);
                    connection.send(&ok(name));
                }
            }
        }
        connection.wait_closed();
    })
}

/// What a client has sent when it goes away, and whether an answer has begun by then.
fn phases() -> [(&'static str, String, bool); 8] {
    let upload = |lines: &str, content: &str| post("/upload", lines, content);
    [
        ("before an answer", get("/never"), false),
        ("inside content", upload("Content-Length: 100\r\n", "some of it"), false),
        ("inside large content", upload("Content-Length: 100000000\r\n", "some of it"), false),
        ("inside chunks", upload("Transfer-Encoding: chunked\r\n", "ff\r\nsome of it"), false),
        ("inside a response", get("/half"), true),
        ("inside the chunks of a response", get("/chunks"), true),
        ("inside a response it does not read", get("/large"), true),
        ("inside a tunnel", HANDSHAKE.to_owned(), true),
    ]
}

/// RFC 9112 §9.6; the status in the log is nginx's 499.
#[test]
fn a_client_that_goes_away_lets_its_backend_go_and_leaves_no_blame() {
    each_row(&phases(), |(phase, request, is_answered)| {
        let backends = [patient("a"), patient("b")];
        let addresses = backends.each_ref().map(|backend| backend.address().to_string());
        let flags = ["--to", &addresses[0], "--to", &addresses[1], "--balance", "round-robin"];
        let proxy = Proxy::with(&[flags.as_slice(), &["--set", "backends.max_fails=1"]].concat());
        let heads = || backends.iter().map(|backend| backend.requests().len()).sum::<usize>();
        // One at each backend.
        for number in 1..=2 {
            let mut client = proxy.send(request);
            eventually(|| "it has arrived".to_owned(), || heads() == number);
            if *is_answered {
                client.read_until("hello");
            }
            client.reset();
            let lines = proxy.access_lines(number);
            let line = &lines[number - 1];
            assert!(line.contains("\" 499 ") && line.contains(" reason=client-gone "), "{phase}: {line}");
        }
        let is_let_go = || backends.iter().all(|backend| backend.open_connections() == 0);
        eventually(|| "both backends are let go".to_owned(), is_let_go);
        // Neither is out: they take turns.
        let mut client = proxy.connect();
        let answers: String = (0..6).map(|_| answer(&mut client)).collect();
        assert!(["ababab", "bababa"].contains(&answers.as_str()), "{phase}: {answers}");
    });
}

fn answer(client: &mut Client) -> String {
    client.send(get("/"));
    client.reply().text()
}
