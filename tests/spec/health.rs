//! Backends that fail and come back, and lists that change.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::list::BackendList;
use crate::support::proxy::Proxy;
use crate::support::refusal::{FullQueue, RefusingPort};
use crate::support::{Cue, PATIENCE, each_row, eventually, get};

/// Asks until the answer is `wanted`; fails the test if it never is. Returns how often another answer came before.
fn ask_until(proxy: &Proxy, wanted: &str) -> usize {
    let begun = Instant::now();
    let mut others = 0;
    while begun.elapsed() < PATIENCE {
        if proxy.send(get("/")).reply().text() == wanted {
            return others;
        }
        others += 1;
        thread::sleep(Duration::from_millis(5));
    }
    panic!("no answer {wanted:?} in {PATIENCE:?}");
}

/// Two failures in a row take a backend out: of the next requests none is tried there.
#[test]
fn a_backend_that_refuses_is_left_out_after_two_failures() {
    let (dead, alive) = (RefusingPort::new(), ScriptedBackend::named("a"));
    let proxy = Proxy::before(&[dead.address().to_string(), alive.at()], &["--balance", "round-robin"]);
    for _ in 0..20 {
        assert_eq!(proxy.send(get("/")).reply().text(), "a");
    }
    let twice = proxy.access_lines(20).iter().filter(|line| line.contains(" tries=2 ")).count();
    assert_eq!(twice, 2);
}

/// `max_fails` 0: never out.
#[test]
fn nothing_is_taken_out_if_that_is_off() {
    let (dead, alive) = (RefusingPort::new(), ScriptedBackend::named("a"));
    let flags = ["--balance", "round-robin", "--set", "backends.max_fails=0"];
    let proxy = Proxy::before(&[dead.address().to_string(), alive.at()], &flags);
    for _ in 0..20 {
        assert_eq!(proxy.send(get("/")).reply().text(), "a");
    }
    let twice = proxy.access_lines(20).iter().filter(|line| line.contains(" tries=2 ")).count();
    assert_eq!(twice, 20, "each begins with the dead one's turn");
}

/// A backend that closes its first connections without an answer, as one that is starting.
fn ailing(name: &'static str, bad: usize) -> ScriptedBackend {
    ScriptedBackend::running(move |connection: &mut Connection| {
        if connection.number >= bad {
            while connection.request().is_some() {
                connection.send(&ok(name));
            }
        } else {
            connection.request();
        }
    })
}

/// When its time is over one request tries it; it fails, so the time doubles; then it is back.
#[test]
fn one_request_at_a_time_tries_a_backend_that_is_out() {
    let (ailing, well) = (ailing("ailing", 3), ScriptedBackend::named("well"));
    let flags =
        ["--balance", "round-robin", "--set", "backends.fail_timeout=100ms", "--set", "backends.slow_start=1ms"];
    let proxy = Proxy::before(&[ailing.at(), well.at()], &flags);
    assert!(ask_until(&proxy, "ailing") > 0);
    let failed = ailing.requests().len();
    assert!(failed >= 4, "two failures, a trial that failed, and one that succeeded: {failed}");
    // Of many, the last: by then its slow start of a millisecond is over.
    let answers: Vec<_> = (0..50).map(|_| proxy.send(get("/")).reply().text()).collect();
    let mut answers = answers[40..].to_vec();
    answers.sort();
    assert_eq!(answers.concat(), ["ailing".repeat(5), "well".repeat(5)].concat());
}

/// A trial whose client keeps its content back says nothing of the backend, and does not keep others from trying it.
#[test]
fn a_client_that_is_slow_to_send_keeps_no_backend_out() {
    let (ailing, well) = (ailing("ailing", 2), ScriptedBackend::named("well"));
    let flags = ["--balance", "round-robin", "--set", "backends.fail_timeout=10ms"];
    let proxy = Proxy::before(&[ailing.at(), well.at()], &flags);
    let mut slow = Vec::new();
    for _ in 0..4 {
        proxy.send(get("/")).reply();
    }
    assert_eq!(ailing.connections(), 2, "it is out");
    let tries_it = || {
        slow.push(proxy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nslow"));
        ailing.connections() > 2
    };
    eventually(|| "a trial".to_owned(), tries_it);
    ask_until(&proxy, "ailing");
}

/// ... but many of them are not all sent to a backend that is not well.
#[test]
fn of_many_slow_uploads_one_tries_a_backend_that_is_out() {
    let (ailing, well) = (ailing("ailing", usize::MAX), ScriptedBackend::named("well"));
    let flags = ["--balance", "round-robin", "--set", "backends.fail_timeout=2s"];
    let proxy = Proxy::before(&[ailing.at(), well.at()], &flags);
    for _ in 0..4 {
        proxy.send(get("/")).reply();
    }
    thread::sleep(Duration::from_millis(2100));
    let upload = |_| proxy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nslow");
    let mut clients: Vec<_> = (0..20).map(upload).collect();
    let of_wrong_status = clients.iter_mut().filter_map(|client| {
        client.send("12345");
        (client.reply().status() != 200).then_some(())
    });
    assert_eq!(of_wrong_status.count(), 1);
}

/// Of several backends none is well: 503, and soon.
#[test]
fn when_all_are_out_the_answer_is_503() {
    let dead = [RefusingPort::new(), RefusingPort::new(), RefusingPort::new()];
    let addresses = dead.each_ref().map(|dead| dead.address().to_string());
    let proxy = Proxy::before(&addresses, &[]);
    let statuses: Vec<_> = (0..20).map(|_| proxy.send(get("/")).reply().status()).collect();
    assert!(statuses.ends_with(&[503; 10]), "{statuses:?}");
}

/// What has changed stands in the log, and not how often it was seen.
#[test]
fn an_outage_of_all_backends_is_a_line_for_each_in_the_log() {
    for count in [1, 3] {
        let dead: Vec<_> = (0..count).map(|_| RefusingPort::new()).collect();
        let mut proxy = Proxy::before(&dead.iter().map(|port| port.address().to_string()).collect::<Vec<_>>(), &[]);
        for _ in 0..30 {
            assert!([502, 503].contains(&proxy.send(get("/")).reply().status()));
        }
        let log = proxy.end().stderr;
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let told = (lines(": out for 10s: "), lines(": failing, but no other is left: "), lines(" WARN backend "));
        assert_eq!(told, (count - 1, 1, count), "{log}");
    }
}

/// ... and a backend that comes back is found at once, not only when its time is over, whichever it is.
#[test]
fn one_of_several_that_are_all_out_is_found_as_soon_as_it_is_back() {
    each_row(&[0, 1, 2], |place| {
        let dead = [RefusingPort::new(), RefusingPort::new()];
        let back = Arc::new(AtomicBool::new(false));
        let is_back = Arc::clone(&back);
        let ailing = ScriptedBackend::running(move |connection: &mut Connection| {
            while is_back.load(Ordering::Relaxed) && connection.request().is_some() {
                connection.send(&ok("back"));
            }
        });
        let mut addresses = dead.each_ref().map(|dead| dead.address().to_string()).to_vec();
        addresses.insert(*place, ailing.at());
        let proxy = Proxy::before(&addresses, &["--set", "backends.fail_timeout=60s"]);
        // More than the budget of second attempts has: from then on few requests get to one that is out.
        for _ in 0..150 {
            assert!(proxy.send(get("/")).reply().status() >= 502);
        }
        back.store(true, Ordering::Relaxed);
        ask_until(&proxy, "back");
    });
}

/// A backend that does not answer the SYN holds no worker, and the request goes elsewhere when its time is over.
#[test]
fn a_backend_that_cannot_be_connected_to_holds_no_worker() {
    let (stuck, well) = (FullQueue::new(), ScriptedBackend::named("well"));
    let flags = ["--balance", "round-robin", "--workers", "1", "--set", "timeouts.connect=300ms"];
    let proxy = Proxy::before(&[stuck.address().to_string(), well.at()], &flags);
    let mut first = proxy.send(get("/first"));
    let begun = Instant::now();
    assert_eq!(proxy.send(get("/second")).reply().text(), "well");
    let second = begun.elapsed();
    assert_eq!(first.reply().text(), "well");
    assert!(second < Duration::from_millis(300) || begun.elapsed() > second, "the second did not wait for the first");
    let lines = proxy.access_lines(2);
    assert!(lines[0].contains("/second") && lines[1].contains(" tries=2 "), "{lines:?}");
}

/// If those who are left for a second attempt cannot be reached, the answer tells what went wrong in the first: that
/// a backend got the request.
#[test]
fn a_second_attempt_that_reaches_nobody_answers_with_the_first_ones_failure() {
    let (closing, dead) = (ScriptedBackend::closing_without_a_byte(), RefusingPort::new());
    let flags = ["--balance", "round-robin", "--set", "backends.fail_timeout=60s"];
    let proxy = Proxy::before(&[closing.at(), dead.address().to_string()], &flags);
    assert_eq!(proxy.send(get("/")).reply().status(), 502, "the one that closes has failed once");
    // Now it fails a second time and is out, and the dead one refuses: there is no backend that could be used.
    let reply = proxy.send(get("/")).reply();
    assert_eq!(reply.status(), 502, "{}", reply.text());
    assert!(reply.text().contains("reason: backend-closed-early"), "{}", reply.text());
    let line = &proxy.access_lines(2)[1];
    assert!(line.contains(&format!("backend={}", closing.at())), "it is not the dead one's failure: {line}");
}

/// A backup is for when no other can be used.
#[test]
fn a_backup_is_used_only_when_no_other_can_be() {
    let (ailing, spare) = (ailing("main", 2), ScriptedBackend::named("spare"));
    let list = BackendList::of(&[ailing.at(), format!("{} backup", spare.address())]);
    let proxy =
        Proxy::before(&[list.flag()], &["--set", "backends.fail_timeout=100ms", "--set", "backends.slow_start=1ms"]);
    assert_eq!(proxy.send(get("/")).reply().text(), "spare");
    ask_until(&proxy, "main");
    let before = spare.requests().len();
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/")).reply().text(), "main");
    }
    assert_eq!(spare.requests().len(), before);
}

/// A list that was replaced is used soon; requests under way end where they are.
#[test]
fn a_replaced_list_moves_the_traffic_and_a_drained_backend_ends_what_it_has() {
    let (cue, new) = (Cue::default(), ScriptedBackend::named("new"));
    let waits = cue.clone();
    let old = ScriptedBackend::answering_with(move |request| {
        if request.head.target() == "/under-way" {
            waits.wait();
        }
        ok("old")
    });
    let list = BackendList::of(&[old.at()]);
    let proxy = Proxy::before(&[list.flag()], &[]);
    let mut under_way = proxy.send(get("/under-way"));
    old.wait_for_requests(1);
    list.replace(&[format!("{} drain", old.address()), new.at()]);
    ask_until(&proxy, "new");
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/")).reply().text(), "new");
    }
    cue.give();
    assert_eq!(under_way.reply().text(), "old");
    list.replace(&["nonsense".to_owned()]);
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(proxy.send(get("/")).reply().text(), "new", "a wrong list changes nothing");
}

/// A socket of the same machine.
#[test]
fn a_backend_can_be_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("footbridge-spec-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    return;
                }
                head.push(byte[0]);
            }
            let _ = stream.write_all(ok("unix").as_bytes());
        }
    });
    let proxy = Proxy::before(&[format!("unix:{}", path.display())], &[]);
    assert_eq!(proxy.send(get("/")).reply().text(), "unix");
    let _ = std::fs::remove_file(&path);
}

/// RFC 9110 §9.2.2: content that is still at hand can be sent again, if the method is idempotent.
#[test]
fn a_put_is_sent_again_with_its_content() {
    let rows = [
        "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    ];
    for dying in [ScriptedBackend::resetting(), ScriptedBackend::closing_without_a_byte()] {
        each_row(&rows, |request| {
            let echo = ScriptedBackend::echoing();
            let proxy = Proxy::before(&[dying.at(), echo.at()], &["--balance", "round-robin"]);
            let reply = proxy.send(request).reply();
            assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
        });
    }
}

/// ... but no more than 64 KiB of it.
#[test]
fn a_large_put_is_not_sent_again() {
    let (dying, echo) = (ScriptedBackend::closing_without_a_byte(), ScriptedBackend::echoing());
    let proxy = Proxy::before(&[dying.at(), echo.at()], &["--balance", "round-robin"]);
    let head = format!("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", 64 * 1024 + 1);
    let mut client = proxy.send(head);
    client.send(vec![b'x'; 64 * 1024 + 1]);
    assert_eq!(client.reply().status(), 502);
    assert!(echo.requests().is_empty());
}

/// Active checks take a backend out although its requests succeed, and bring it back.
#[test]
fn checks_take_a_backend_out_and_bring_it_back() {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = Arc::clone(&sick);
    let checked = ScriptedBackend::answering_with(move |request| match request.head.target() {
        "/healthz" if is_sick.load(Ordering::Relaxed) => {
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        _ => ok("checked"),
    });
    let other = ScriptedBackend::named("other");
    let flags = ["--balance", "round-robin", "--health", "/healthz"];
    let quick = ["health.interval=50ms", "health.fall=2", "health.rise=2", "backends.slow_start=1ms"];
    let flags: Vec<_> = flags.into_iter().chain(quick.into_iter().flat_map(|setting| ["--set", setting])).collect();
    let proxy = Proxy::before(&[checked.at(), other.at()], &flags);
    let begun = Instant::now();
    while (0..4).any(|_| proxy.send(get("/")).reply().text() == "checked") {
        assert!(begun.elapsed() < PATIENCE, "it is not taken out");
        thread::sleep(Duration::from_millis(20));
    }
    sick.store(false, Ordering::Relaxed);
    ask_until(&proxy, "checked");
}

/// The `hash` policy sends a client to one backend, and all policies serve.
#[test]
fn every_policy_serves_and_hash_stays_with_one_backend() {
    let backends: Vec<_> = ["a", "b", "c"].into_iter().map(ScriptedBackend::named).collect();
    let addresses: Vec<_> = backends.iter().map(ScriptedBackend::at).collect();
    for policy in ["random", "round-robin", "least-connections", "two-choices", "hash"] {
        let proxy = Proxy::before(&addresses, &["--balance", policy]);
        let mut answers: Vec<_> = (0..60).map(|_| proxy.send(get("/")).reply().text()).collect();
        let first = answers[..3].concat();
        answers.sort();
        answers.dedup();
        assert_eq!(answers.len(), if policy == "hash" { 1 } else { 3 }, "{policy}");
        if policy == "round-robin" {
            assert_eq!(first, "abc");
        }
    }
}
