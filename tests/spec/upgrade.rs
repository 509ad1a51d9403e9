//! Upgrades to WebSocket, and those that are none (RFC 9110 §7.8, RFC 6455 §4).

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::pattern::Pattern;
use crate::support::proxy::Proxy;
use crate::support::verdict::{Afterwards, Gate, assert_bad_gateway, relayed, relayed_to};
use crate::support::{Cue, HANDSHAKE, SWITCHING, each_row, get};

/// A client whose tunnel is open.
fn tunnel(proxy: &Proxy) -> Client {
    let mut client = proxy.send(HANDSHAKE);
    let head = client.head();
    assert_eq!((head.status(), head.field("upgrade")), (101, Some("websocket")));
    assert!(head.list("connection").iter().any(|option| option == "upgrade"), "{head:?}");
    client
}

/// RFC 6455 §4.1: the handshake passes both ways, and then every byte does.
#[test]
fn a_websocket_handshake_opens_a_tunnel_for_any_bytes() {
    let backend = ScriptedBackend::tunnelling();
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(HANDSHAKE);
    let head = client.head();
    assert_eq!((head.status(), head.field("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    for message in [b"\x81\x05hello".as_slice(), b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\r\n\r\n", &vec![7; 70_000]] {
        client.send(message);
        assert_eq!(client.read_exactly(message.len()), message);
    }
    let request = &backend.requests()[0].head;
    assert_eq!(request.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(request.field("upgrade"), Some("websocket"));
    assert!(request.list("connection").contains(&"upgrade".to_owned()), "{request:?}");
}

/// RFC 9110 §7.8: protocol names are matched without case, and Connection may name more.
#[test]
fn the_handshake_is_recognised_in_any_spelling_the_grammar_allows() {
    let backend = ScriptedBackend::tunnelling();
    let proxy = Proxy::to(&backend);
    each_row(
        &["Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket", "upgrade: websocket\r\nconnection: UPGRADE"],
        |lines| {
            let handshake = HANDSHAKE.replace("Connection: Upgrade\r\nUpgrade: websocket", lines);
            let mut client = proxy.send(handshake);
            assert_eq!(client.head().status(), 101);
            client.send("ping");
            assert_eq!(client.read_exactly(4), b"ping");
        },
    );
}

/// RFC 9110 §7.8: the backend may speak in the same segment as its 101.
#[test]
fn bytes_that_come_with_the_101_are_not_lost() {
    let backend = ScriptedBackend::running(|connection| {
        connection.head();
        connection.send(&format!("{SWITCHING}first frame"));
        connection.wait_closed();
    });
    let proxy = Proxy::to(&backend);
    assert_eq!(tunnel(&proxy).read_exactly(11), b"first frame");
}

/// RFC 9110 §7.8: a client may speak before it knows; its bytes go into the tunnel, or the connection ends, but they
/// are not a request.
#[test]
fn bytes_that_come_with_the_handshake_go_into_the_tunnel_or_end_it() {
    let backend = ScriptedBackend::tunnelling();
    let proxy = Proxy::to(&backend);
    for early in ["early", "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"] {
        let mut client = proxy.send(format!("{HANDSHAKE}{early}"));
        if client.head().status() == 101 {
            assert_eq!(client.read_exactly(early.len()), early.as_bytes());
        }
    }
    assert!(backend.requests_for("/smuggled").is_empty());
}

/// RFC 6455 §7.1.1: one side may have finished while the other still speaks.
#[test]
fn a_half_closed_tunnel_still_carries_the_other_direction() {
    let backend = ScriptedBackend::running(|connection| {
        connection.head();
        connection.send(SWITCHING);
        let mut heard = Vec::new();
        loop {
            let bytes = connection.read_some();
            if bytes.is_empty() {
                break;
            }
            heard.extend(bytes);
        }
        connection.send_bytes(&heard);
    });
    let proxy = Proxy::to(&backend);
    let mut client = tunnel(&proxy);
    client.send("my last words");
    client.finish();
    assert_eq!(client.rest(), "my last words");
}

/// Of a client that has ended nothing is read any more; that it is gone altogether is heard all the same.
#[test]
fn a_client_that_is_gone_after_its_end_ends_its_tunnel() {
    let (ended, go) = (Cue::default(), Cue::default());
    let (tells, waits) = (ended.clone(), go.clone());
    let backend = ScriptedBackend::running(move |connection: &mut Connection| {
        connection.head();
        connection.send(SWITCHING);
        while !connection.read_some().is_empty() {}
        tells.give();
        waits.wait(); // It has nothing to say for a long time.
    });
    let proxy = Proxy::to(&backend);
    let mut client = tunnel(&proxy);
    client.finish();
    ended.wait();
    client.reset();
    assert!(proxy.access_lines(1)[0].contains(" reason=client-gone "), "{}", proxy.stdout());
    go.give();
}

/// The same, begun by the backend.
#[test]
fn a_tunnel_half_closed_by_the_backend_still_carries_the_clients_bytes() {
    let backend = ScriptedBackend::running(|connection| {
        connection.head();
        connection.send(&format!("{SWITCHING}goodbye"));
        connection.finish();
        assert_eq!(connection.read_exactly(5).as_deref(), Some(b"still".as_slice()));
    });
    let proxy = Proxy::to(&backend);
    let mut client = tunnel(&proxy);
    assert_eq!(client.rest(), "goodbye");
    client.send("still");
    client.finish();
}

/// Both directions at once, more than any buffer holds.
#[test]
fn a_tunnel_carries_megabytes_both_ways_at_once() {
    let backend = ScriptedBackend::tunnelling();
    let proxy = Proxy::to(&backend);
    let mut client = tunnel(&proxy);
    let pattern = Pattern::default();
    let sending = client.send_meanwhile(pattern.piece(0, 16 << 20));
    let mut received = 0;
    while received < 16 << 20 {
        received += pattern.check(received, &client.read_some());
    }
    sending.join().expect("all was taken");
}

/// A tunnel that is silent holds no thread: many of them do not hold up anybody.
#[test]
fn silent_tunnels_hold_up_nobody() {
    let backend = ScriptedBackend::running(|connection| {
        while let Some(head) = connection.head() {
            if head.target() == "/tunnel" {
                connection.send(SWITCHING);
                connection.wait_closed();
                return;
            }
            connection.send(&ok("in step"));
        }
    });
    let proxy = Proxy::with(&["--to", &backend.address().to_string(), "--workers", "4"]);
    let tunnels: Vec<_> = (0..50).map(|_| tunnel(&proxy)).collect();
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/")).reply().text(), "in step");
    }
    drop(tunnels);
}

/// When one end of a tunnel goes away the other hears of it.
#[test]
fn the_end_of_a_tunnel_is_passed_on() {
    let backend = ScriptedBackend::tunnelling();
    let proxy = Proxy::to(&backend);
    for _ in 0..3 {
        let mut client = tunnel(&proxy);
        backend.hang_up();
        assert!(client.closed());
    }
    let heard = Cue::default();
    let backend = ScriptedBackend::running({
        let heard = heard.clone();
        move |connection| {
            connection.head();
            connection.send(SWITCHING);
            if connection.wait_closed() {
                heard.give();
            }
        }
    });
    let proxy = Proxy::to(&backend);
    tunnel(&proxy).reset();
    heard.wait();
    drop(tunnel(&proxy));
    heard.wait();
}

/// RFC 9110 §7.8: a server may decline; then the connection goes on with HTTP.
#[test]
fn a_declined_upgrade_leaves_the_connection_http() {
    let rows = [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
    ];
    each_row(&rows, |response| {
        let handshake = HANDSHAKE.replace("/tunnel", "/row");
        let reply = relayed_to(&handshake, response, Afterwards::Stays).expect("an answer");
        assert_eq!(reply.text(), "no");
    });
}

/// RFC 9110 §7.8: after a declined upgrade requests are parsed as before, not tunnelled.
#[test]
fn after_a_declined_upgrade_requests_are_still_parsed() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
    );
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(HANDSHAKE);
    assert_eq!(client.reply().status(), 426);
    client.send("GET /raw HTTP/1.1\r\nHost: a.test\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n");
    client.reply();
    assert!(backend.requests_for("/raw")[0].head.all("x-hop").is_empty());
}

/// RFC 9110 §15.2.2: 101 answers an Upgrade field and nothing else.
#[test]
fn an_unsolicited_101_gets_502() {
    assert_bad_gateway(relayed(&format!("{SWITCHING}raw"), Afterwards::Stays).as_ref());
    assert_bad_gateway(relayed("HTTP/1.1 101 Switching Protocols\r\n\r\n", Afterwards::Stays).as_ref());
    // Nor does it answer an Upgrade that the backend was never sent.
    let handshake = HANDSHAKE.replace("/tunnel", "/row");
    let rows = [
        handshake.replace("HTTP/1.1", "HTTP/1.0"),
        handshake.replace("Connection: Upgrade\r\n", ""),
        handshake.replace("Upgrade: websocket", "Upgrade: h2c"),
        handshake.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"),
        get("/row").replace("\r\n\r\n", "\r\nConnection: Upgrade\r\n\r\n"),
    ];
    each_row(&rows, |request| {
        assert_bad_gateway(relayed_to(request, &format!("{SWITCHING}raw"), Afterwards::Stays).as_ref());
    });
}

/// RFC 9110 §7.8: a server must not switch to a protocol that was not offered.
#[test]
fn a_101_to_another_protocol_gets_502() {
    let handshake = HANDSHAKE.replace("/tunnel", "/row");
    for upgrade in ["Upgrade: h2c\r\n", "", "Upgrade: websocket2\r\n"] {
        let response = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{upgrade}\r\nraw");
        assert_bad_gateway(relayed_to(&handshake, &response, Afterwards::Stays).as_ref());
    }
}

/// RFC 9113 §3.1: an upgrade to HTTP/2 would carry requests past every check of ours.
#[test]
fn upgrades_other_than_websocket_are_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: Upgrade\r\nUpgrade: websocketx\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
    ];
    each_row(&rows, |lines| {
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n");
        if let Some(request) = gate.refuses_or_forwards(&request, &[400]) {
            let offered = request.head.list("upgrade");
            let is_whole = !offered.is_empty() && request.head.list("connection").contains(&"upgrade".to_owned());
            assert!(offered.is_empty() || is_whole, "{:?}", request.head);
            assert!(offered.iter().all(|protocol| protocol == "websocket"), "{offered:?}");
            assert!(request.head.all("http2-settings").is_empty());
        }
    });
}

/// RFC 9110 §7.8: a server must ignore Upgrade in HTTP/1.0.
#[test]
fn an_upgrade_in_http_1_0_is_not_forwarded() {
    let request = Gate::open().forwards(&HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"));
    assert!(request.head.all("upgrade").is_empty(), "{:?}", request.head);
}

/// RFC 6455 §4.1: the handshake is a GET; content would stand where frames are to come.
#[test]
fn a_handshake_with_content_never_lets_that_content_be_a_frame_or_a_request() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(request) = connection.request() {
            connection.send(&ok(&request.text()));
        }
    });
    let proxy = Proxy::to(&backend);
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 44\r\n";
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n....";
    let mut client = proxy.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n{hidden}"));
    let reply = client.reply();
    assert!(reply.status() == 400 || reply.text() == hidden, "{reply:?}");
    assert!(backend.requests_for("/smuggled").is_empty());
}

/// RFC 9110 §7.8: a client that waits for the switch is not kept waiting for more than the backend is.
#[test]
fn a_handshake_without_an_answer_times_out_like_any_request() {
    let backend = ScriptedBackend::silent();
    let proxy = Proxy::set(&backend, &["timeouts.response=300ms"]);
    assert_eq!(proxy.send(HANDSHAKE).reply().status(), 504);
}

/// RFC 9112 §9.3: what a client sends behind its handshake goes into the tunnel. If the tunnel fails before the client
/// has heard of it, the bytes are gone, and what follows is not read as requests.
#[test]
fn a_tunnel_that_fails_at_once_ends_the_connection() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            if head.target() == "/tunnel" {
                connection.send(SWITCHING);
                return connection.reset();
            }
            connection.send(&ok("smuggled"));
        }
    });
    let proxy = Proxy::to(&backend);
    for _ in 0..20 {
        let swallowed = "POST /swallowed HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n";
        let mut client = proxy.send(format!("{HANDSHAKE}{swallowed}"));
        std::thread::sleep(std::time::Duration::from_millis(20)); // The tunnel has failed, or will: either way it must hold.
        client.try_send(get("/smuggled"));
        client.rest();
    }
    assert!(backend.requests_for("/smuggled").is_empty() && backend.requests_for("/swallowed").is_empty());
}
