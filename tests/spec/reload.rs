//! HUP reads the configuration anew: at once or not at all, and nobody who is being served notices.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::configuration::Configured;
use crate::support::list::BackendList;
use crate::support::{Cue, HANDSHAKE, SWITCHING, eventually, get};

fn one_group(backend: &ScriptedBackend) -> String {
    format!("[backends.app]\nservers = [\"{}\"]\n[[route]]\nto = \"app\"\n", backend.address())
}

#[test]
fn the_next_request_takes_the_new_route_even_on_an_open_connection() {
    let (old, new) = (ScriptedBackend::named("old"), ScriptedBackend::named("new"));
    let proxy = Configured::with(&one_group(&old));
    let mut client = proxy.send(get("/"));
    assert_eq!(client.reply().text(), "old");
    proxy.reload(&one_group(&new));
    client.send(get("/"));
    assert_eq!(client.reply().text(), "new");
}

#[test]
fn a_request_and_a_tunnel_end_as_they_began() {
    let go = Cue::default();
    let waiting = go.clone();
    let old = ScriptedBackend::running(move |connection| {
        let Some(request) = connection.request() else { return };
        if request.head.field("upgrade").is_some() {
            connection.send(SWITCHING);
            while let [byte, ..] = connection.read_some()[..] {
                connection.send_bytes(&[byte]);
            }
        } else {
            waiting.wait();
            connection.send(&ok("old"));
        }
    });
    let new = ScriptedBackend::named("new");
    let proxy = Configured::with(&one_group(&old));
    let mut tunnel = proxy.send(HANDSHAKE);
    assert_eq!(tunnel.head().status(), 101);
    let mut client = proxy.send(get("/"));
    old.wait_for_requests(2);
    proxy.reload(&one_group(&new));
    go.give();
    assert_eq!(client.reply().text(), "old");
    tunnel.send("x");
    assert_eq!(tunnel.read_exactly(1), b"x");
}

/// A tunnel keeps up the group that it began with; but only new requests have a use for what is found out beside the
/// traffic. (Each such group checked its backends, those that were configured no more included, and those that both had
/// the more often, with five threads of its own.)
#[test]
fn a_tunnel_keeps_no_checks_up() {
    let backend = || {
        ScriptedBackend::running(move |connection| {
            while let Some(request) = connection.request() {
                if request.head.field("upgrade").is_some() {
                    connection.send(SWITCHING);
                    return connection.wait_gone();
                }
                connection.send(&ok("app"));
            }
        })
    };
    let (stays, gone) = (backend(), backend());
    let group = |more: &str| {
        let health = "health = { path = \"/health\", interval = \"50ms\" }";
        format!("[backends.app]\nservers = [\"{}\"{more}]\n{health}\n", stays.at())
    };
    let proxy = Configured::with(&group(&format!(", {{ address = \"{}\", backup = true }}", gone.at())));
    let mut tunnel = proxy.send(HANDSHAKE);
    assert_eq!(tunnel.head().status(), 101);
    let checks = || gone.requests_for("/health").len();
    eventually(|| "a check".to_owned(), || checks() > 0);
    let threads = proxy.threads();
    proxy.reload(&group(""));
    let are_over = || {
        let before = checks();
        std::thread::sleep(Duration::from_millis(300));
        checks() == before
    };
    eventually(|| "the end of the checks".to_owned(), are_over);
    // One closes what is idle there.
    eventually(|| format!("no more threads: {}", proxy.threads()), || proxy.threads() <= threads + 1);
    assert!(tunnel.is_quiet_for(Duration::from_millis(1)));
}

/// Not only its route: whom it believes, and how it is identified, are settings that a request began with.
#[test]
fn a_request_under_way_keeps_all_that_it_began_with() {
    let go = Cue::default();
    let waiting = go.clone();
    let backend = ScriptedBackend::running(move |connection| {
        while let Some(request) = connection.request() {
            if request.head.target() == "/first" {
                waiting.wait();
            }
            connection.send(&ok("app"));
        }
    });
    let with = |server: &str| {
        let servers = format!("servers = [{{ address = \"{}\", max_requests = 1 }}]\n", backend.address());
        format!("[server]\n{server}\n[backends.app]\n{servers}[[route]]\nto = \"app\"\n")
    };
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    let proxy = Configured::with(&with("request_id = \"X-Old\"\ntrusted_proxies = [\"127.0.0.1\"]"));
    let mut first = proxy.send(request("/first"));
    backend.wait_for_requests(1);
    let mut second = proxy.send(request("/in-line"));
    assert!(second.is_quiet_for(Duration::from_millis(100)), "it waits for a place");
    proxy.reload(&with("request_id = \"X-New\""));
    go.give();
    for client in [&mut first, &mut second] {
        let head = client.reply().head;
        assert!(head.field("x-old").is_some() && head.field("x-new").is_none(), "{head:?}");
    }
    let seen = &backend.wait_for_requests(2)[1].head;
    assert_eq!(seen.field("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert!(seen.field("x-old").is_some() && seen.field("x-new").is_none(), "{seen:?}");
    second.send(request("/next"));
    let head = second.reply().head;
    assert!(head.field("x-old").is_none() && head.field("x-new").is_some(), "{head:?}");
    assert_eq!(backend.wait_for_requests(3)[2].head.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn a_group_that_is_the_same_keeps_its_connections_and_its_health() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&one_group(&backend));
    let mut client = proxy.send(get("/"));
    client.reply();
    for round in 0..3 {
        let more = format!("[[route]]\npath = \"/round-{round}\"\nrespond = {{ status = 200, body = \"{round}\" }}\n");
        proxy.reload(&format!("{}{more}", one_group(&backend)));
        client.send(get("/"));
        assert_eq!(client.reply().text(), "app");
        client.send(get(&format!("/round-{round}")));
        assert_eq!(client.reply().text(), round.to_string());
    }
    assert_eq!(backend.connections(), 1);
}

/// A wrong file changes nothing and says why, with file and line.
#[test]
fn a_wrong_file_changes_nothing_and_the_log_says_why() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&one_group(&backend));
    proxy.reload(&format!("{}load_balance = 1\n", one_group(&backend)));
    assert_eq!(proxy.send(get("/")).reply().text(), "app");
    let said = proxy.stderr();
    assert!(said.contains("footbridge.toml:5:1: unknown key \"load_balance\""), "{said}");
    assert!(said.contains("not reloaded: the configuration stays as it was"), "{said}");
    proxy.reload(&one_group(&backend));
    assert!(proxy.stderr().contains(" INFO reloaded: "), "{}", proxy.stderr());
}

#[test]
fn listeners_come_and_go_and_a_port_that_is_taken_changes_nothing() {
    let backend = ScriptedBackend::named("app");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let address = free.local_addr().expect("a bound listener has an address");
    let two = format!("{}[[listen]]\naddress = \"{address}\"\n", one_group(&backend));
    let proxy = Configured::with(&one_group(&backend));
    proxy.reload(&two);
    assert!(proxy.stderr().contains(&format!("cannot listen on {address}")), "{}", proxy.stderr());
    assert_eq!(proxy.send(get("/")).reply().text(), "app");
    drop(free);
    proxy.reload(&two);
    let mut other = crate::support::client::Client::connect(address);
    other.send(get("/"));
    assert_eq!(other.reply().text(), "app");
    proxy.reload(&one_group(&backend));
    eventually(|| format!("{address} to refuse"), || TcpStream::connect(address).is_err());
    other.send(get("/"));
    assert_eq!(other.reply().text(), "app", "what it has accepted goes on");
}

/// Nobody has to stop because others may connect now, or no longer.
#[test]
fn a_unix_socket_that_stays_gets_the_mode_that_is_asked_for_now() {
    let backend = ScriptedBackend::named("app");
    let path = std::env::temp_dir().join(format!("footbridge-mode-{}", std::process::id()));
    let with =
        |mode: &str| format!("{}[[listen]]\naddress = \"unix:{}\"\n{mode}\n", one_group(&backend), path.display());
    let mode = || std::fs::symlink_metadata(&path).expect("a socket").permissions().mode() & 0o777;
    let proxy = Configured::with(&with("mode = \"0600\""));
    assert_eq!(mode(), 0o600);
    proxy.reload(&with("mode = \"0666\""));
    assert_eq!(mode(), 0o666);
    proxy.reload(&with(""));
    let said = format!("mode of unix:{} has changed: it takes effect when footbridge is started again", path.display());
    assert!(proxy.stderr().contains(&said), "{}", proxy.stderr());
    std::fs::rename(&path, path.with_extension("away")).expect("the same folder");
    std::fs::write(&path, "another's").expect("a file");
    let before = mode();
    proxy.reload(&with("mode = \"0600\""));
    assert_eq!(mode(), before);
    assert!(proxy.stderr().contains("again: another file has taken its place"), "{}", proxy.stderr());
    for path in [&path, &path.with_extension("away")] {
        std::fs::remove_file(path).expect("our own file");
    }
}

/// Whatever the reload is for: else a mistake in a list, or a list that is just being replaced, would leave a group without
/// a backend.
#[test]
fn what_a_list_said_before_it_had_a_mistake_stays() {
    let backend = ScriptedBackend::named("app");
    let list = BackendList::of(&[backend.at()]);
    let group = |balance: &str| format!("[backends.app]\nservers = [\"{}\"]\nbalance = \"{balance}\"\n", list.flag());
    let proxy = Configured::with(&group("random"));
    list.replace(&["127.0.0.1".to_owned()]);
    proxy.reload(&group("round-robin"));
    assert!(proxy.stderr().contains("what was read before stays"), "{}", proxy.stderr());
    assert_eq!(proxy.send(get("/")).reply().text(), "app");
    let another = ScriptedBackend::named("another");
    list.replace(&[another.at()]);
    eventually(|| "the new list".to_owned(), || proxy.send(get("/")).reply().text() == "another");
}

/// What cannot change while the process runs is said, and the rest takes effect.
#[test]
fn what_needs_a_restart_is_said() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&one_group(&backend));
    proxy.reload(&format!("[server]\nworkers = 3\n{}", one_group(&backend)));
    assert!(proxy.stderr().contains("workers has changed: it takes effect when footbridge is started again"));
}

/// From 127.0.0.1 to 0.0.0.0, the port is still ours when it would have to be bound anew.
#[test]
fn an_address_that_overlaps_a_present_one_is_refused_and_it_is_said_whose_that_may_be() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&one_group(&backend));
    let listen = format!("[[listen]]\naddress = \"0.0.0.0:{}\"\n", proxy.address().port());
    proxy.reload_as_it_is(&format!("{}{listen}", one_group(&backend)));
    let said = proxy.stderr();
    assert!(said.contains("listens there, or this one on an address that overlaps"), "{said}");
    assert_eq!(proxy.send(get("/")).reply().text(), "app");
}

/// What root may do, the sandbox may not: the message names both who can refuse.
#[test]
fn a_new_unix_socket_that_the_sandbox_does_not_allow_is_refused_in_its_name() {
    let backend = ScriptedBackend::named("app");
    let proxy = Configured::with(&one_group(&backend));
    if proxy.stderr().contains("not confined") {
        return;
    }
    let path = std::env::temp_dir().join(format!("footbridge-new-{}", std::process::id()));
    proxy.reload(&format!("{}[[listen]]\naddress = \"unix:{}\"\n", one_group(&backend), path.display()));
    let said = proxy.stderr();
    assert!(said.contains("and so must the sandbox"), "{said}");
    assert_eq!(proxy.send(get("/")).reply().text(), "app");
}
