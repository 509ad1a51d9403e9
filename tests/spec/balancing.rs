//! Which backend gets a request, and what happens if it cannot take it (RFC 9110 §9.2.2, RFC 9112 §9.3.1).

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::refusal::RefusingPort;
use crate::support::{each_row, get, post};

/// Who answers `count` requests on one connection, one letter each.
fn who_answers(client: &mut Client, count: usize) -> String {
    let ask = |_| {
        client.send(get("/"));
        client.reply().text()
    };
    (0..count).map(ask).collect()
}

/// The choice is uniform: of 400 requests each of two backends gets between 35 % and 65 %, save once in 10^9 runs.
#[test]
fn two_backends_share_the_requests() {
    let (a, b) = (ScriptedBackend::named("a"), ScriptedBackend::named("b"));
    let proxy = Proxy::before(&[&a.address().to_string(), &b.address().to_string()], &[]);
    let answers = who_answers(&mut proxy.connect(), 400);
    let share = answers.matches('a').count();
    assert!((140..=260).contains(&share), "{share} of 400");
    assert_eq!((a.requests().len(), b.requests().len()), (share, 400 - share));
}

/// `--seed` fixes the random choices: the same seed, the same sequence.
#[test]
fn the_same_seed_gives_the_same_sequence() {
    let (a, b) = (ScriptedBackend::named("a"), ScriptedBackend::named("b"));
    let addresses = [&*a.address().to_string(), &*b.address().to_string()];
    let sequence = |seed| who_answers(&mut Proxy::before(&addresses, &["--seed", seed]).connect(), 64);
    assert_eq!(sequence("1"), sequence("1"));
    // One in 2^64 if the seed is heeded.
    assert_ne!(sequence("1"), sequence("2"));
}

/// Without a seed two runs differ.
#[test]
fn without_a_seed_the_sequence_is_random() {
    let (a, b) = (ScriptedBackend::named("a"), ScriptedBackend::named("b"));
    let addresses = [&*a.address().to_string(), &*b.address().to_string()];
    let sequence = || who_answers(&mut Proxy::before(&addresses, &[]).connect(), 64);
    assert_ne!(sequence(), sequence());
}

/// A backend that cannot be connected to has seen nothing of the request: any method may go to another.
#[test]
fn a_dead_backend_is_passed_over_for_any_method() {
    let (dead, alive) = (RefusingPort::new(), ScriptedBackend::echoing());
    let proxy = Proxy::before(&[&dead.address().to_string(), &alive.address().to_string()], &[]);
    for _ in 0..30 {
        assert_eq!(proxy.send(get("/")).reply().status(), 200);
        assert_eq!(proxy.send(post("/", "Content-Length: 5\r\n", "hello")).reply().text(), "hello");
        let chunked = post("/", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(proxy.send(chunked).reply().text(), "hello");
    }
    assert_eq!(alive.requests().len(), 90);
}

/// A backend that dies under load costs no GET.
#[test]
fn no_get_fails_when_one_of_two_backends_dies() {
    let (a, b) = (ScriptedBackend::named("a"), ScriptedBackend::named("b"));
    let proxy = Proxy::before(&[&a.address().to_string(), &b.address().to_string()], &[]);
    let mut client = proxy.connect();
    assert!(who_answers(&mut client, 50).contains('a'));
    drop(a);
    assert_eq!(who_answers(&mut client, 50), "b".repeat(50));
}

/// A backend that comes back is used again, at once or after the time of `fail_timeout`; the only one left always is.
#[test]
fn the_only_backend_is_tried_again_as_soon_as_it_is_back() {
    let backend = ScriptedBackend::running(|connection: &mut Connection| {
        // As if it were restarting: the first ten connections come to nothing.
        if connection.number >= 10 {
            while connection.request().is_some() {
                connection.send(&ok("back"));
            }
        }
    });
    let proxy = Proxy::to(&backend);
    let replies: Vec<_> = (0..20).map(|_| proxy.send(get("/")).reply().status()).collect();
    assert!(replies.contains(&502) && replies.ends_with(&[200]), "{replies:?}");
}

/// A backend whose kept connections die as soon as a second request comes on them.
fn dying_when_used_again(resets: bool) -> ScriptedBackend {
    ScriptedBackend::running(move |connection| {
        if connection.request().is_some() {
            connection.send(&ok("hello"));
        }
        if connection.request().is_some() && resets {
            connection.reset();
        }
    })
}

/// RFC 9112 §9.3.1: a kept connection may close at any time; an idempotent request is then sent again, once, on a
/// fresh one.
#[test]
fn an_idempotent_request_is_retried_when_a_kept_connection_turns_out_dead() {
    let rows = ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"];
    for resets in [false, true] {
        each_row(&rows, |method| {
            let backend = dying_when_used_again(resets);
            let proxy = Proxy::to(&backend);
            let mut client = proxy.send(get("/first"));
            assert_eq!(client.reply().text(), "hello");
            client.send(format!("{method} /second HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            let reply = if *method == "HEAD" { client.reply_to_head() } else { client.reply() };
            assert_eq!(reply.status(), 200);
            assert_eq!(backend.requests_for("/second").len(), 2, "once on the kept connection, once on a fresh one");
        });
    }
}

/// RFC 9110 §9.2.2: what is not idempotent is never sent twice.
#[test]
fn a_request_that_is_not_idempotent_is_never_sent_twice() {
    let rows = [
        "POST /second HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "POST /second HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
        "POST /second HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PATCH /second HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "FROB /second HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "get /second HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ];
    for resets in [false, true] {
        each_row(&rows, |request| {
            let backend = dying_when_used_again(resets);
            let proxy = Proxy::to(&backend);
            let mut client = proxy.send(get("/first"));
            assert_eq!(client.reply().text(), "hello");
            client.send(request);
            let status = client.reply().status();
            // A proxy may use a fresh connection from the start; then all is well.
            let is_fresh = backend.requests_for("/second")[0].connection > 0;
            assert_eq!(status, if is_fresh { 200 } else { 502 });
            assert_eq!(backend.requests_for("/second").len(), 1);
        });
    }
}

/// A connection that was fresh and dies is the backend's answer: asking again could go on for ever.
#[test]
fn a_request_that_dies_on_a_fresh_connection_is_not_retried() {
    for backend in [ScriptedBackend::closing_without_a_byte(), ScriptedBackend::resetting()] {
        assert_eq!(Proxy::to(&backend).send(get("/")).reply().status(), 502);
        assert_eq!(backend.requests().len(), 1);
    }
}

/// RFC 9110 §9.2.2: once a byte of the response has come nothing is sent again.
#[test]
fn nothing_is_retried_after_the_first_byte_of_a_response() {
    for first in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let backend = ScriptedBackend::running(move |connection| {
            connection.request();
            connection.send(&ok("hello"));
            if connection.request().is_some() {
                connection.send(first);
            }
        });
        let proxy = Proxy::to(&backend);
        let mut client = proxy.send(get("/first"));
        assert_eq!(client.reply().text(), "hello");
        client.send(get("/second"));
        assert_eq!(client.reply().status(), 502, "after {first:?}");
        assert_eq!(backend.requests_for("/second").len(), 1);
    }
}

/// RFC 9112 §9.3.1: a connection that was closed while it lay idle is known to be dead before it is used.
#[test]
fn a_kept_connection_closed_while_idle_costs_no_request() {
    let backend = ScriptedBackend::echoing();
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    for round in 1..=20 {
        client.send(post("/", "Content-Length: 5\r\n", "hello"));
        assert_eq!(client.reply().text(), "hello", "round {round}");
        backend.hang_up();
    }
    assert_eq!((backend.requests().len(), backend.connections()), (20, 20));
}
