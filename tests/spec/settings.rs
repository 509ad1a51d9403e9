//! Every setting has an effect that a test reaches. Those of clients and messages are with their topics; here are those of
//! backends, their connections and their checks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Connection, ScriptedBackend, ok};
use crate::support::proxy::Proxy;
use crate::support::{Cue, PATIENCE, each_row, eventually, get, within};

/// A proxy for these backends, in turn, with settings.
fn to(backends: &[&ScriptedBackend], more: &[&str], settings: &[&str]) -> Proxy {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address().to_string()).collect();
    let addresses = addresses.iter().flat_map(|address| ["--to", address]);
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let flags = addresses.chain(["--balance", "round-robin"]).chain(more.iter().copied()).chain(settings);
    Proxy::with(&flags.collect::<Vec<_>>())
}

/// Whichever setting there is, one of these tests names it.
#[test]
fn every_setting_is_set_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let files = std::fs::read_dir(folder).expect("the folder of these tests").flatten();
    let tests: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    let unset: Vec<_> = footbridge::settings::keys().filter(|key| !tests.contains(&format!("\"{key}="))).collect();
    assert!(unset.is_empty(), "no test sets {unset:?}");
}

/// `backends.keepalive`: an idle connection is closed after it, or a second before the backend would close.
#[test]
fn an_idle_connection_to_a_backend_is_closed_in_time() {
    let announcing = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nhi";
    let rows = [(ok("hi"), "backends.keepalive=1s"), (announcing.to_owned(), "backends.keepalive=60s")];
    each_row(&rows, |(response, setting)| {
        let backend = ScriptedBackend::answering(response);
        let proxy = Proxy::set(&backend, &[setting]);
        let mut client = proxy.send(get("/"));
        assert_eq!(client.reply().text(), "hi");
        let answered = Instant::now();
        eventually(|| "it is closed".to_owned(), || backend.open_connections() == 0);
        assert!(answered.elapsed() > Duration::from_millis(700), "after {:?} already", answered.elapsed());
        client.send(get("/"));
        assert_eq!((client.reply().text().as_str(), backend.connections()), ("hi", 2));
    });
}

/// `backends.max_idle`: of many connections so many are kept, and the others closed.
#[test]
fn no_more_connections_to_a_backend_are_kept_than_may_be() {
    const AT_ONCE: usize = 6;
    each_row(&[0, 2, 10], |most| {
        let go = Cue::default();
        let backend = ScriptedBackend::answering_with({
            let go = go.clone();
            move |_| {
                go.wait();
                ok("hi")
            }
        });
        let proxy = Proxy::set(&backend, &["backends.keepalive=60s", &format!("backends.max_idle={most}")]);
        let mut clients: Vec<_> = (0..AT_ONCE).map(|_| proxy.send(get("/"))).collect();
        backend.wait_for_requests(AT_ONCE);
        go.give_all(AT_ONCE);
        for client in &mut clients {
            assert_eq!(client.reply().text(), "hi");
        }
        let kept = AT_ONCE.min(*most);
        eventually(|| format!("{kept} are kept"), || backend.open_connections() == kept);
        assert!(!within(Duration::from_millis(300), || backend.open_connections() != kept));
    });
}

/// `backends.resolve`: names are looked up again and again, and serve meanwhile.
#[test]
fn a_name_that_is_looked_up_again_goes_on_serving() {
    let backend = ScriptedBackend::answering_with(|request| ok(request.head.target()));
    let name = format!("localhost:{}", backend.address().port());
    let proxy = Proxy::with(&["--to", &name, "--set", "backends.resolve=10ms"]);
    let mut client = proxy.connect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        client.send(get("/again"));
        assert_eq!(client.reply().text(), "/again");
    }
}

/// `retry.attempts`: so often a request that can do no harm twice is tried, the first time included.
#[test]
fn a_request_is_tried_as_often_as_it_may_be() {
    each_row(&[1, 2, 3], |attempts: &usize| {
        let dying: Vec<_> = (0..3).map(|_| ScriptedBackend::closing_without_a_byte()).collect();
        let proxy = to(&dying.iter().collect::<Vec<_>>(), &[], &[&format!("retry.attempts={attempts}")]);
        assert_eq!(proxy.send(get("/")).reply().status(), 502);
        assert_eq!(dying.iter().map(|backend| backend.requests().len()).sum::<usize>(), *attempts);
        assert!(proxy.access_lines(1)[0].contains(&format!(" tries={attempts} ")));
    });
}

/// `retry.within`: no further attempt begins later.
#[test]
fn a_request_is_not_tried_again_after_its_time() {
    each_row(&[("retry.within=50ms", 1), ("retry.within=1m", 2)], |(setting, attempts)| {
        let dying = [(); 2].map(|()| {
            ScriptedBackend::running(|connection: &mut Connection| {
                connection.request();
                // So long the answer takes that does not come.
                thread::sleep(Duration::from_millis(150));
            })
        });
        let proxy = to(&dying.each_ref(), &[], &[setting]);
        assert_eq!(proxy.send(get("/")).reply().status(), 502);
        assert_eq!(dying.iter().map(|backend| backend.requests().len()).sum::<usize>(), *attempts);
    });
}

/// Whether within `time` a moment comes in which the backend called `name` gets none of four requests.
fn is_left_out(proxy: &Proxy, name: &str, time: Duration) -> bool {
    within(time, || (0..4).all(|_| proxy.send(get("/")).reply().text() != name))
}

/// `health.timeout`: a check that is not answered in that time has failed.
#[test]
fn a_check_that_is_not_answered_in_time_has_failed() {
    let checks = ["health.interval=20ms", "health.fall=2"];
    each_row(&[("health.timeout=100ms", true), ("health.timeout=60s", false)], |(timeout, is_out)| {
        let (slow, other) = (
            ScriptedBackend::running(|connection: &mut Connection| {
                while let Some(request) = connection.request() {
                    if request.head.target() == "/healthz" {
                        connection.wait_closed();
                        return;
                    }
                    connection.send(&ok("slow"));
                }
            }),
            ScriptedBackend::named("other"),
        );
        let proxy = to(&[&slow, &other], &["--health", "/healthz"], &[checks.as_slice(), &[timeout]].concat());
        let time = if *is_out { PATIENCE } else { Duration::from_secs(1) };
        assert_eq!(is_left_out(&proxy, "slow", time), *is_out);
    });
}

/// `health.interval`: from one check to the next, give or take a tenth.
#[test]
fn checks_come_as_often_as_they_are_set_to() {
    let (rare, often) = (ScriptedBackend::named("rare"), ScriptedBackend::named("often"));
    let began = Instant::now();
    let _proxies = [(&rare, "health.interval=1m"), (&often, "health.interval=50ms")]
        .map(|(backend, interval)| to(&[backend], &["--health", "/healthz"], &[interval]));
    let checks = |backend: &ScriptedBackend| backend.requests_for("/healthz").len();
    assert!(within(Duration::from_secs(10), || checks(&often) >= 40), "{} checks", checks(&often));
    assert!(began.elapsed() >= 39 * Duration::from_millis(45), "after {:?}", began.elapsed());
    assert_eq!(checks(&rare), 1);
}

/// `health.fall` and `health.rise`: so many bad checks in a row take a backend out, so many good ones bring it back.
#[test]
fn so_many_checks_in_a_row_take_a_backend_out_and_bring_it_back() {
    let is_sick = Arc::new(AtomicBool::new(false));
    let checked = ScriptedBackend::answering_with({
        let is_sick = Arc::clone(&is_sick);
        move |request| match request.head.target() {
            "/healthz" if is_sick.load(Ordering::SeqCst) => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => ok("checked"),
        }
    });
    let other = ScriptedBackend::named("other");
    let settings = ["health.interval=50ms", "health.fall=5", "health.rise=6", "backends.slow_start=1ms"];
    let proxy = to(&[&checked, &other], &["--health", "/healthz"], &settings);
    let checks = || checked.requests_for("/healthz").len();

    let before = checks();
    is_sick.store(true, Ordering::SeqCst);
    assert!(is_left_out(&proxy, "checked", PATIENCE));
    assert!(checks() - before >= 5, "out after {} checks", checks() - before);

    let before = checks();
    is_sick.store(false, Ordering::SeqCst);
    assert!(within(PATIENCE, || proxy.send(get("/")).reply().text() == "checked"), "it is not back");
    assert!(checks() - before >= 6, "back after {} checks", checks() - before);
}

/// `backends.slow_start`: a backend that came back gets its full share only after a while.
#[test]
fn a_backend_that_came_back_gets_its_share_by_and_by() {
    let share_of_100 = |slow_start: &str| {
        let back = ScriptedBackend::running(|connection: &mut Connection| {
            while connection.number >= 2 && connection.request().is_some() {
                connection.send(&ok("back"));
            }
        });
        let other = ScriptedBackend::named("other");
        let proxy = to(&[&back, &other], &[], &["backends.fail_timeout=50ms", slow_start]);
        let mut client = proxy.connect();
        let mut answer = || {
            client.send(get("/"));
            client.reply().text()
        };
        assert!(within(PATIENCE, || answer() == "back"), "it is not back");
        (0..100).filter(|_| answer() == "back").count()
    };
    let (full, rising) = (share_of_100("backends.slow_start=1ms"), share_of_100("backends.slow_start=1h"));
    assert!((45..=55).contains(&full) && rising < 25, "{full} and {rising} of 100");
}
