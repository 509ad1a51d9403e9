//! More of everything than there is: descriptors, connections, time of the workers. Whoever asks for little is served
//! all the same, or told to come again (RFC 9110 §15.6.4), and never left to wait for ever.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::configuration::Configured;
use crate::support::proxy::Proxy;
use crate::support::{Cue, each_row, eventually, get, post};

/// A backend that answers `/long` with more than anybody takes and everything else at once.
fn generous_backend() -> ScriptedBackend {
    ScriptedBackend::running(|connection: &mut Connection| {
        while let Some(request) = connection.request() {
            if request.head.target() == "/long" {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                while connection.send_bytes(&[b'x'; 65536]) {}
                return;
            }
            connection.send(&ok("in step"));
        }
    })
}

/// The descriptors of slow clients, their backends and what is between them never are those of the next client.
#[cfg(target_os = "linux")]
#[test]
fn clients_that_do_not_read_leave_descriptors_for_others() {
    let backend = generous_backend();
    let proxy = Proxy::with_descriptors(300, &["--to", &backend.address().to_string()]);
    let slow: Vec<_> = (0..90).map(|_| proxy.send(get("/long"))).collect();
    backend.wait_for_requests(slow.len());
    // Until all buffers are full, and whatever is to be held for them is held.
    let mut held = 0;
    let is_at_rest = || {
        thread::sleep(Duration::from_millis(200));
        std::mem::replace(&mut held, proxy.descriptors().len()) == held
    };
    eventually(|| "the descriptors come to rest".to_owned(), is_at_rest);
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/")).reply().text(), "in step");
    }
    drop(slow);
}

/// Idle connections, to clients and to backends, give theirs up for those that are needed.
#[cfg(target_os = "linux")]
#[test]
fn idle_connections_give_their_descriptors_up() {
    const AT_ONCE: usize = 20;
    let go = Cue::default();
    let backends: Vec<_> = (0..6)
        .map(|_| {
            let go = go.clone();
            ScriptedBackend::answering_with(move |_| {
                go.wait();
                ok("in step")
            })
        })
        .collect();
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address().to_string()).collect();
    // It is descriptors that run out: those who have just gone count as connected for a moment.
    let flags = ["--balance", "hash", "--set", "backends.keepalive=60s", "--set", "limits.connections=60"];
    let flags: Vec<_> = addresses.iter().flat_map(|address| ["--to", address]).chain(flags).collect();
    let proxy = Proxy::with_descriptors(110, &flags);
    // Clients of one address after the other: each time to one backend, where as many connections are kept.
    for number in 1..=20 {
        let own = Ipv4Addr::new(127, 0, 1, number);
        let before: usize = backends.iter().map(|backend| backend.requests().len()).sum();
        let mut clients: Vec<_> = (0..AT_ONCE).map(|_| Client::connect_from(own, proxy.address())).collect();
        for client in &mut clients {
            client.send(get("/"));
        }
        let arrived = || backends.iter().map(|backend| backend.requests().len()).sum::<usize>() - before;
        eventually(|| format!("{AT_ONCE} requests at a backend, not {}", arrived()), || arrived() == AT_ONCE);
        go.give_all(AT_ONCE);
        for client in &mut clients {
            assert_eq!(client.reply().text(), "in step", "client {own}");
        }
    }
}

/// ... of whichever group they are.
#[cfg(target_os = "linux")]
#[test]
fn idle_connections_of_one_group_give_their_descriptors_up_for_another() {
    const AT_ONCE: usize = 100;
    let go = Cue::default();
    let backends = ["first", "second"].map(|name| {
        let go = go.clone();
        ScriptedBackend::answering_with(move |_| {
            go.wait();
            ok(name)
        })
    });
    let group = |(name, backend): (&str, &ScriptedBackend)| {
        let route = format!("[[route]]\npath = \"/{name}\"\nto = \"{name}\"\n");
        format!("[backends.{name}]\nservers = [\"{}\"]\n{route}", backend.at())
    };
    let groups: String = ["first", "second"].into_iter().zip(&backends).map(group).collect();
    let text = format!("limits.connections = 150\nbackends.keepalive = \"60s\"\n{groups}");
    // For each client one, and one for its backend.
    let proxy = Configured::with_descriptors(70 + 2 * AT_ONCE, &text);
    let mut clients: Vec<_> = (0..AT_ONCE).map(|_| proxy.connect()).collect();
    for (name, backend) in ["first", "second"].iter().zip(&backends) {
        for client in &mut clients {
            client.send(get(&format!("/{name}")));
        }
        backend.wait_for_requests(AT_ONCE);
        go.give_all(AT_ONCE);
        for client in &mut clients {
            assert_eq!(client.reply().text(), *name);
        }
    }
}

/// No descriptor at all for a backend's connection is our fault, not the backend's: 503, and served again afterwards.
#[cfg(target_os = "linux")]
#[test]
fn without_a_descriptor_for_the_backend_the_answer_is_503() {
    let backend = generous_backend();
    let to = backend.address().to_string();
    let proxy = Proxy::with_descriptors(64, &["--to", &to, "--set", "limits.connections=1000"]);
    let begun = Instant::now();
    let idle: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    let mut clients: Vec<_> = (0..3).map(|_| proxy.send(get("/"))).collect();
    for client in &mut clients {
        // An idle one makes room for each of them: for the client, and perhaps for the backend.
        let reply = client.reply();
        assert!([200, 503].contains(&reply.status()), "{reply:?}");
        assert!(reply.status() == 200 || reply.head.field("retry-after").is_some(), "{reply:?}");
    }
    // The log hears of it, and not each time.
    let complaints = proxy.stderr().matches("cannot accept").count() as u64;
    assert!((1..=begun.elapsed().as_secs() + 2).contains(&complaints), "{complaints} in {:?}", begun.elapsed());
    drop(idle);
    eventually(|| "200 again".to_owned(), || proxy.send(get("/")).reply().status() == 200);
}

/// `limits.connections`: if nobody is idle the next client waits, and is served when one of them has gone.
#[test]
fn beyond_the_limit_of_connections_the_next_waits_until_one_ends() {
    let rows = ["it is answered", "it goes away"];
    each_row(&rows, |row| {
        let go = Cue::default();
        let backend = ScriptedBackend::answering_with({
            let go = go.clone();
            move |request| {
                if request.head.target() == "/busy" {
                    go.wait();
                }
                ok("in step")
            }
        });
        let proxy = Proxy::set(&backend, &["limits.connections=4"]);
        let mut busy: Vec<_> = (0..4).map(|_| proxy.send(get("/busy"))).collect();
        backend.wait_for_heads(4);
        let mut next = proxy.send(get("/next"));
        assert!(next.is_quiet_for(Duration::from_millis(300)), "it is served beyond the limit");
        if *row == "it is answered" {
            go.give();
        } else {
            busy.pop().expect("four clients").reset();
        }
        assert_eq!(next.reply().text(), "in step");
        go.give_all(4);
    });
}

/// Of the idle ones the one that was idle for longest goes first.
#[test]
fn the_longest_idle_connection_makes_room() {
    let backend = generous_backend();
    let proxy = Proxy::set(&backend, &["limits.connections=3"]);
    let mut clients: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for turn in [1, 2, 0] {
        clients[turn].send(get("/"));
        assert_eq!(clients[turn].reply().text(), "in step");
        // Times are told apart by the millisecond.
        thread::sleep(Duration::from_millis(20));
    }
    let mut fourth = proxy.send(get("/"));
    assert_eq!(fourth.reply().text(), "in step");
    assert!(clients[1].closed(), "the first that became idle");
    for turn in [2, 0] {
        clients[turn].send(get("/"));
        assert_eq!(clients[turn].reply().text(), "in step");
    }
}

/// `timeouts.queue`: what no worker came to in time is answered 503, with Retry-After. All requests come in a moment in
/// which the program does not run, and it is given next to no time for them.
#[test]
fn requests_that_no_worker_came_to_in_time_are_answered_503_with_retry_after() {
    const MANY: usize = 200;
    let backend = ScriptedBackend::echoing();
    let flags = ["--to", &backend.address().to_string(), "--workers", "1", "--set", "timeouts.queue=1ms"];
    let proxy = Proxy::with(&flags);
    let mut clients: Vec<_> = (0..MANY).map(|_| proxy.connect()).collect();
    // The last is accepted after all others.
    clients[MANY - 1].send(get("/"));
    assert_eq!(clients[MANY - 1].reply().status(), 200);
    proxy.signal(Signal::STOP);
    for client in &mut clients {
        client.send(post("/", "Content-Length: 5\r\n", "hello"));
    }
    proxy.signal(Signal::CONT);
    let mut late = 0;
    for client in &mut clients {
        let reply = client.reply();
        if reply.status() == 503 {
            late += 1;
            assert!(reply.head.field("retry-after").is_some() && reply.text().contains("reason: busy"), "{reply:?}");
        } else {
            assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
        }
    }
    println!("{late} of {MANY} were told to come again");
    assert!(late > 0 && late < MANY, "{late} of {MANY}");
    assert_eq!(backend.requests().len(), 1 + MANY - late, "who is told to come again has not been at a backend");
    assert_eq!(proxy.send(get("/")).reply().status(), 200);
}
