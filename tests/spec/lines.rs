//! Requests that wait in line: for a place at a backend that is full (`max_requests`), or for the trial of the only one
//! that is left. Nobody stands there for nothing: a wait that is forgotten ends with `timeouts.queue`, which is set so
//! high that the test does not live to see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::configuration::Configured;
use crate::support::list::BackendList;
use crate::support::proxy::Proxy;
use crate::support::refusal::RefusingPort;
use crate::support::{Cue, eventually, get};

/// A backend that answers each request when its cue is given.
fn on_cue(cue: &Cue) -> ScriptedBackend {
    let cue = cue.clone();
    ScriptedBackend::running(move |connection: &mut Connection| {
        while connection.request().is_some() {
            cue.wait();
            connection.send(&ok("hello"));
        }
    })
}

/// `max_requests`: the next request waits, without a worker, until one has ended.
#[test]
fn a_request_waits_for_a_place_at_a_full_backend() {
    let cue = Cue::default();
    let backend = on_cue(&cue);
    let list = BackendList::of(&[format!("{} max_requests=1", backend.address())]);
    let proxy = Proxy::before(&[list.flag()], &["--workers", "1"]);
    let mut clients: Vec<_> = (0..4).map(|number| proxy.send(get(&format!("/{number}")))).collect();
    for ended in 1..=4 {
        assert_eq!(backend.wait_for_requests(ended).len(), ended, "one at a time");
        cue.give();
        if ended < 4 {
            backend.wait_for_requests(ended + 1);
        }
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "hello");
    }
}

/// ... or until `timeouts.queue`.
#[test]
fn a_request_that_waits_too_long_for_a_place_is_answered_503() {
    let cue = Cue::default();
    let backend = on_cue(&cue);
    let list = BackendList::of(&[format!("{} max_requests=1", backend.address())]);
    let proxy = Proxy::before(&[list.flag()], &["--set", "timeouts.queue=100ms"]);
    let mut first = proxy.send(get("/first"));
    backend.wait_for_requests(1);
    let reply = proxy.send(get("/second")).reply();
    assert_eq!(reply.status(), 503);
    assert!(reply.text().contains("reason: backends-full"), "{}", reply.text());
    let line = &proxy.access_lines(1)[0];
    let queued = line.split_once(" queue=").and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(queued.is_some_and(|millis| millis >= 100.0), "{line}");
    cue.give();
    assert_eq!(first.reply().text(), "hello");
}

/// A client that leaves the line leaves its turn to the next.
#[test]
fn whoever_leaves_the_line_holds_nobody_up() {
    let cue = Cue::default();
    let backend = on_cue(&cue);
    let list = BackendList::of(&[format!("{} max_requests=1", backend.address())]);
    let proxy = Proxy::before(&[list.flag()], &[]);
    let mut first = proxy.send(get("/first"));
    backend.wait_for_requests(1);
    let leaving = proxy.send(get("/leaving"));
    let mut next = proxy.send(get("/last"));
    leaving.reset();
    assert!(proxy.access_lines(1)[0].contains("/leaving"), "the one that left is logged first");
    cue.give_all(2);
    assert_eq!(first.reply().text(), "hello");
    assert_eq!(next.reply().text(), "hello");
    assert!(backend.requests_for("/leaving").is_empty());
}

/// A place that becomes free in the moment in which a request comes to wait for it is not forgotten. (Once in some
/// thousand requests of two clients it was; then both stood still until `timeouts.queue`.)
#[test]
fn no_free_place_is_forgotten() {
    let backend = ScriptedBackend::named("app");
    let list = BackendList::of(&[format!("{} max_requests=1", backend.address())]);
    let proxy = Proxy::before(&[list.flag()], &["--set", "timeouts.queue=3s", "--access-log", "off"]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                for _ in 0..8000 {
                    client.send(get("/"));
                    assert_eq!(client.reply().text(), "app");
                }
            });
        }
    });
}

/// A backend that answers `first` to each request that `go` lets through, and `tells` of each; before it is `well_again` it
/// closes all connections, and is out. The other one, which refuses, is the last one that is in.
fn one_out(go: &Cue, tells: &Cue) -> (ScriptedBackend, RefusingPort, Arc<AtomicBool>, Proxy) {
    let (well_again, dead) = (Arc::new(AtomicBool::new(false)), RefusingPort::new());
    let (is_well, go, tells) = (Arc::clone(&well_again), go.clone(), tells.clone());
    let first = ScriptedBackend::running(move |connection: &mut Connection| {
        while is_well.load(Ordering::Relaxed) && connection.request().is_some() {
            tells.give();
            go.wait();
            connection.send(&ok("first"));
        }
    });
    let flags = ["--balance", "round-robin", "--set", "backends.fail_timeout=60s", "--workers", "2"];
    let proxy = Proxy::before(&[first.at(), dead.address().to_string()], &flags);
    for _ in 0..6 {
        proxy.send(get("/")).reply();
    }
    (first, dead, well_again, proxy)
}

/// The one that was out is well again, and the other one dies: only one request tries the first, and those that have met
/// the failure of the second wait for what comes of it.
#[test]
fn requests_wait_for_the_trial_of_the_only_backend_that_is_left() {
    let (go, waiting) = (Cue::default(), Cue::default());
    let (_first, _dead, well_again, proxy) = one_out(&go, &waiting);
    well_again.store(true, Ordering::Relaxed);
    let mut clients: Vec<_> = (0..5).map(|_| proxy.send(get("/"))).collect();
    waiting.wait();
    assert!(clients[4].is_quiet_for(std::time::Duration::from_millis(100)), "nobody is turned away meanwhile");
    go.give_all(5);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "first");
    }
}

/// As well if the client of that trial sends its content little by little: another request may try it, too, but one.
#[test]
fn a_slow_client_of_a_trial_turns_nobody_away_who_waits_for_another() {
    let go = Cue::default();
    let (first, _dead, well_again, proxy) = one_out(&go, &Cue::default());
    let before = first.connections();
    let reached = |count| eventually(|| "a trial".to_owned(), || first.connections() == before + count);
    well_again.store(true, Ordering::Relaxed);
    let mut slow = proxy.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsl");
    reached(1);
    let mut clients: Vec<_> = (0..5).map(|_| proxy.send(get("/"))).collect();
    reached(2);
    for _ in 0..6 {
        slow.send("o");
        for client in &mut clients {
            assert!(client.is_quiet_for(Duration::from_millis(20)), "nobody is turned away meanwhile");
        }
    }
    slow.send("w");
    assert_eq!(first.connections(), before + 2, "two trials");
    go.give_all(6);
    for client in clients.iter_mut().chain([&mut slow]) {
        assert_eq!(client.reply().text(), "first");
    }
}

/// A backend with a name of its own. It fails its checks while `is_ill`, closes without a word what is asked of it at
/// `/fail`, and answers `/hold` when the cue is given.
fn with_checks(name: &'static str, is_ill: &Arc<AtomicBool>, cue: &Cue) -> ScriptedBackend {
    let (is_ill, cue) = (Arc::clone(is_ill), cue.clone());
    ScriptedBackend::running(move |connection: &mut Connection| {
        while let Some(request) = connection.request() {
            match request.head.target() {
                "/health" if is_ill.load(Ordering::Relaxed) => {
                    connection.send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n");
                    continue;
                }
                "/fail" => return,
                "/hold" => cue.wait(),
                _ => {}
            }
            connection.send(&ok(name));
        }
    })
}

/// A proxy for these, with checks of each.
fn checking(servers: &[String]) -> Configured {
    Configured::with(&format!(
        "timeouts.queue = \"60s\"\n[backends.app]\nservers = [{}]\nbalance = \"least-connections\"\n\
         health = {{ path = \"/health\", interval = \"50ms\", rise = 1, fall = 1 }}\n",
        servers.join(", ")
    ))
}

/// A trial of a backend that its checks have taken out brings it nothing, however it ends; those who wait for it are
/// called all the same.
#[test]
fn requests_that_wait_for_the_trial_of_a_backend_whose_checks_fail_are_called() {
    let (cue, dead) = (Cue::default(), RefusingPort::new());
    let backend = with_checks("ill", &Arc::new(AtomicBool::new(true)), &cue);
    let proxy = checking(&[format!("\"{}\"", dead.address()), format!("\"{}\"", backend.at())]);
    let down = || proxy.stderr().matches(": down: ").count();
    eventually(|| "both are down".to_owned(), || down() == 2);
    let mut first = proxy.send(get("/hold"));
    eventually(|| "it is tried".to_owned(), || backend.requests_for("/hold").len() == 1);
    let mut second = proxy.send(get("/"));
    assert!(second.is_quiet_for(Duration::from_millis(100)), "it waits for what comes of the trial");
    cue.give();
    assert_eq!(first.reply().text(), "ill");
    assert_eq!(second.reply().text(), "ill");
}

/// A backend that is out, and full with requests of before, is no backend that is being tried.
#[test]
fn a_request_waits_for_a_place_at_a_backend_that_is_out_and_full() {
    let (cue, dead, is_ill) = (Cue::default(), RefusingPort::new(), Arc::new(AtomicBool::new(false)));
    let backend = with_checks("full", &is_ill, &cue);
    let full = format!("{{ address = \"{}\", max_requests = 1 }}", backend.at());
    let proxy = checking(&[format!("\"{}\"", dead.address()), full]);
    let down = |count: usize| {
        eventually(|| format!("{count} are down"), || proxy.stderr().matches(": down: ").count() == count);
    };
    down(1);
    let mut first = proxy.send(get("/hold"));
    eventually(|| "it is held".to_owned(), || backend.requests_for("/hold").len() == 1);
    is_ill.store(true, Ordering::Relaxed);
    down(2);
    let mut second = proxy.send(get("/"));
    assert!(second.is_quiet_for(Duration::from_millis(100)), "it waits for a place");
    cue.give();
    assert_eq!(first.reply().text(), "full");
    assert_eq!(second.reply().text(), "full");
}

/// Whoever has tried a backend in vain waits for another one, and holds nobody up who would take the first.
#[test]
fn who_cannot_use_the_backend_that_has_a_place_holds_nobody_up() {
    let (cue, well) = (Cue::default(), Arc::new(AtomicBool::new(false)));
    let (one, other) = (with_checks("one", &well, &Cue::default()), with_checks("other", &well, &cue));
    let list = BackendList::of(&[&one, &other].map(|backend| format!("{} max_requests=1", backend.address())));
    let proxy = Proxy::before(&[list.flag()], &["--balance", "round-robin", "--set", "timeouts.queue=60s"]);
    assert_eq!(proxy.send(get("/")).reply().text(), "one");
    let mut held = proxy.send(get("/hold"));
    eventually(|| "it is held".to_owned(), || other.requests_for("/hold").len() == 1);
    let mut failed = proxy.send(get("/fail"));
    eventually(|| "it has failed once".to_owned(), || one.requests_for("/fail").len() == 1);
    for _ in 0..3 {
        assert_eq!(proxy.send(get("/")).reply().text(), "one");
    }
    assert!(failed.is_quiet_for(Duration::from_millis(50)), "it waits for the other one");
    cue.give();
    assert_eq!(held.reply().text(), "other");
    assert_eq!(failed.reply().status(), 502, "the other one closes, too");
}

/// When the time of a backend that was out is over, nothing happens that would call anybody.
#[test]
fn a_request_in_line_tries_a_backend_whose_time_is_over() {
    let (cue, well) = (Cue::default(), Arc::new(AtomicBool::new(false)));
    let (one, other) = (with_checks("one", &well, &Cue::default()), with_checks("other", &well, &cue));
    let list = BackendList::of(&[format!("{}", one.address()), format!("{} max_requests=1", other.address())]);
    let settings = ["timeouts.queue=60s", "backends.fail_timeout=1s", "backends.max_fails=1", "retry.attempts=1"];
    let flags: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let proxy = Proxy::before(&[list.flag()], &[&["--balance", "round-robin"][..], &flags].concat());
    assert_eq!(proxy.send(get("/fail")).reply().status(), 502, "one is out");
    let mut held = proxy.send(get("/hold"));
    eventually(|| "it is held".to_owned(), || other.requests_for("/hold").len() == 1);
    assert_eq!(proxy.send(get("/")).reply().text(), "one");
    cue.give();
    assert_eq!(held.reply().text(), "other");
}

/// One that hangs in its trial does not keep the others that are out from theirs.
#[test]
fn a_trial_that_hangs_holds_no_other_backend_up() {
    let (cue, bad) = (Cue::default(), Arc::new(AtomicBool::new(true)));
    let flaky = |name: &'static str, holds: bool| {
        let (bad, cue) = (Arc::clone(&bad), cue.clone());
        ScriptedBackend::running(move |connection: &mut Connection| {
            while connection.request().is_some() {
                if bad.load(Ordering::Relaxed) {
                    return;
                }
                if holds {
                    cue.wait();
                }
                connection.send(&ok(name));
            }
        })
    };
    let (hangs, returns, dead) = (flaky("hangs", true), flaky("returns", false), RefusingPort::new());
    let flags = ["--balance", "round-robin", "--set", "backends.fail_timeout=60s", "--set", "timeouts.queue=60s"];
    let proxy = Proxy::before(&[hangs.at(), returns.at(), dead.address().to_string()], &flags);
    for _ in 0..12 {
        assert!(proxy.send(get("/")).reply().status() >= 502);
    }
    bad.store(false, Ordering::Relaxed);
    // One of these is held in the trial, the others come to the one that answers.
    let mut clients: Vec<_> = (0..6).map(|_| proxy.send(get("/"))).collect();
    eventually(|| "five answers".to_owned(), || proxy.access_lines(17).len() >= 17);
    cue.give_all(6);
    for client in &mut clients {
        assert!(["hangs", "returns"].contains(&&*client.reply().text()));
    }
}

/// What the next configuration brings, more places or more backends, is for those who stand in line, too: nobody is called
/// for it, and with requests in line all the time it would be used by none.
#[test]
fn places_that_a_reload_brings_are_taken_by_those_who_come_to_stand_in_line() {
    let cue = Cue::default();
    let (backend, added) = (on_cue(&cue), on_cue(&cue));
    let group = |most: usize, more: &str| {
        let first = format!("{{ address = \"{}\", max_requests = {most} }}", backend.at());
        format!("timeouts.queue = \"60s\"\n[backends.app]\nservers = [{first}{more}]\n")
    };
    let proxy = Configured::with(&group(1, ""));
    let mut clients: Vec<_> = (0..2).map(|number| proxy.send(get(&format!("/{number}")))).collect();
    backend.wait_for_requests(1);
    assert!(clients[1].is_quiet_for(Duration::from_millis(100)), "it stands in line");
    proxy.reload(&group(2, &format!(", {{ address = \"{}\", max_requests = 2 }}", added.at())));
    clients.extend((2..6).map(|number| proxy.send(get(&format!("/{number}")))));
    assert!(clients[5].is_quiet_for(Duration::from_millis(100)), "behind one of before, who knows of no place");
    // For that one, then for the next, which finds that there are more.
    cue.give_all(2);
    eventually(|| "all places to be taken".to_owned(), || backend.requests().len() + added.requests().len() == 6);
    cue.give_all(4);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "hello");
    }
}
