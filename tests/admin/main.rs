//! The admin listener, asked over a socket, beside a proxy that is kept busy. Prometheus' own parser is asked about
//! `/metrics` as well, by scripts/check-metrics.

mod json;
mod prometheus;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use footbridge::admin::{self, State};
use footbridge::proxy::{ReverseProxyHandler, Site};
use footbridge::settings::Settings;
use footbridge::settings::group::{Balance, GroupSettings, ServerSettings};
use footbridge::settings::listen::{ListenAddress, ListenSettings};
use footbridge::settings::route::Action;
use footbridge::settings::site::SiteSettings;
use footbridge::socketserver::{Listener, TcpServer, Workers};

/// Nothing here takes long; a test that waits for this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy with one group, `app`, for paths below `/app`, and its admin listener.
struct Setup {
    proxy: SocketAddr,
    admin: SocketAddr,
    handler: Arc<ReverseProxyHandler>,
    workers: Workers,
    state: Arc<State>,
}

fn free_port() -> ListenSettings {
    SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

fn site(backends: &[SocketAddr]) -> SiteSettings {
    let settings = Settings::default();
    let servers = backends.iter().map(|address| ServerSettings::new(address.to_string())).collect();
    let mut group = GroupSettings::new("app", servers, &settings);
    group.balance = Balance::RoundRobin;
    let mut site = SiteSettings::one_group(group, &settings);
    "/app".clone_into(&mut site.routes[0].path);
    site
}

impl Setup {
    fn before(backends: &[SocketAddr]) -> Setup {
        Setup::with(site(backends), 4)
    }

    fn with(site: SiteSettings, workers: usize) -> Setup {
        let handler = Arc::new(ReverseProxyHandler::with_site(Site::new(site, None)));
        let workers = Workers::new("worker", workers).expect("a poller");
        let server = TcpServer::bind("127.0.0.1:0", handler.clone(), &workers).expect("a free port");
        let proxy = server.address();
        thread::spawn(move || server.serve_forever());
        let state = State::new(Arc::clone(&handler), &workers);
        state.set_listeners([ListenAddress::Inet(proxy)]);
        let listener = Listener::bind(&free_port()).expect("a free port");
        let ListenAddress::Inet(admin) = admin::start(listener, Arc::clone(&state)).expect("a thread") else {
            panic!("an address")
        };
        Setup { proxy, admin, handler, workers, state }
    }

    /// Status and content of the proxy's answer.
    fn send(&self, path: &str) -> (u16, String) {
        let (head, content) = ask(self.proxy, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        (status(&head), content)
    }

    /// Head and content of the admin listener's answer to a GET.
    fn get(&self, path: &str) -> (String, String) {
        self.request("GET", path)
    }

    fn request(&self, method: &str, path: &str) -> (String, String) {
        ask(self.admin, &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    fn metrics(&self) -> prometheus::Samples {
        prometheus::parse(&self.get("/metrics").1)
    }

    /// A value of `/status`.
    fn status(&self, path: &str) -> String {
        let document = self.get("/status").1;
        json::at(&document, path).unwrap_or_else(|| panic!("no {path} in {document}"))
    }

    /// Waits until a value of `/status` is this.
    fn await_status(&self, path: &str, want: &str) {
        let begun = Instant::now();
        loop {
            // It may not be there yet, as a worker that is just being started.
            let found = json::at(&self.get("/status").1, path);
            if found.as_deref() == Some(want) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} is {found:?}, not {want}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer that ends");
    let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), content.to_owned())
}

fn status(head: &str) -> u16 {
    head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status")
}

/// A backend that answers each request on a connection of its own, or, if it is asked for /app/cut, hangs up.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
                        _ => return,
                    }
                }
                if !request.starts_with(b"GET /app/cut") {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
                    stream.write_all(answer.as_bytes()).expect("sent");
                }
            });
        }
    });
    address
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn request_count<'a>(samples: &'a prometheus::Samples, group: &str, code: &str) -> &'a str {
    &samples[&format!("footbridge_requests_total{{group=\"{group}\",code=\"{code}\"}}")]
}

#[test]
fn known_requests_are_counted_once_each() {
    let setup = Setup::before(&[backend()]);
    for _ in 0..3 {
        assert_eq!(setup.send("/app/x"), (200, "hello".to_owned()));
    }
    assert_eq!(setup.send("/elsewhere").0, 404);
    assert_eq!(setup.send("/app/cut").0, 502);
    assert_eq!(status(&ask(setup.proxy, "GET / HTTP/1.1\nHost: a\n\n").0), 400);
    setup.await_status("requests", "6");
    let samples = setup.metrics();
    assert_eq!(request_count(&samples, "app", "2xx"), "3");
    assert_eq!(request_count(&samples, "app", "5xx"), "1");
    assert_eq!(request_count(&samples, "", "4xx"), "2");
    let failures = |labels: &str| samples.get(&format!("footbridge_failures_total{{{labels}}}")).map(String::as_str);
    assert_eq!(failures("group=\"\",reason=\"no-route\",fault=\"client\""), Some("1"));
    assert_eq!(failures("group=\"\",reason=\"bare-lf\",fault=\"client\""), Some("1"));
    assert_eq!(failures("group=\"app\",reason=\"backend-closed-early\",fault=\"backend\""), Some("1"));
    let sent: u64 = samples["footbridge_response_content_bytes_total{group=\"app\"}"].parse().expect("a number");
    assert!(sent > 15, "3 times hello, and an error's text: {sent}");
}

#[test]
fn a_histogram_adds_up() {
    let setup = Setup::before(&[backend()]);
    for _ in 0..5 {
        setup.send("/app/x");
    }
    setup.await_status("requests", "5");
    let samples = setup.metrics();
    let name = "footbridge_request_duration_seconds";
    let buckets: Vec<u64> =
        ["0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
            .iter()
            .map(|most| samples[&format!("{name}_bucket{{group=\"app\",le=\"{most}\"}}")].parse().expect("a number"))
            .collect();
    assert!(buckets.is_sorted(), "cumulative: {buckets:?}");
    assert_eq!(buckets.last(), Some(&5));
    assert_eq!(samples[&format!("{name}_count{{group=\"app\"}}")], "5");
    let sum: f64 = samples[&format!("{name}_sum{{group=\"app\"}}")].parse().expect("a number");
    assert!(sum < PATIENCE.as_secs_f64(), "{sum} seconds");
}

#[test]
fn a_second_attempt_is_counted_and_so_is_the_backend_that_failed() {
    let (dead, alive) = (nobody(), backend());
    let setup = Setup::before(&[dead, alive]);
    for _ in 0..4 {
        assert_eq!(setup.send("/app/x").0, 200);
    }
    setup.await_status("requests", "4");
    let samples = setup.metrics();
    assert_eq!(samples["footbridge_retries_total{group=\"app\"}"], "2");
    let of = |what: &str, backend: SocketAddr| {
        samples[&format!("footbridge_backend_{what}{{group=\"app\",backend=\"{backend}\"}}")].as_str()
    };
    assert_eq!((of("requests_total", dead), of("failures_total", dead), of("taken_out_total", dead)), ("2", "2", "1"));
    assert_eq!((of("requests_total", alive), of("failures_total", alive), of("up", alive)), ("4", "0", "1"));
    assert_eq!(of("up", dead), "0");
    let state = format!("footbridge_backend_state{{group=\"app\",backend=\"{dead}\",state=\"down\"}}");
    assert_eq!(samples[&state], "1");
    assert_eq!(setup.status("groups.1.backends.0.state"), "down");
    assert!(setup.status("groups.1.backends.0.why").contains("cannot connect"));
}

#[test]
fn counts_survive_a_reload_that_changes_the_group() {
    let backend = backend();
    let setup = Setup::before(&[backend]);
    setup.send("/app/x");
    setup.await_status("requests", "1");
    let mut changed = site(&[backend]);
    changed.groups[0].settings.keepalive.idle = Duration::from_secs(1);
    setup.handler.replace(changed);
    setup.send("/app/x");
    setup.await_status("requests", "2");
    let samples = setup.metrics();
    assert_eq!(request_count(&samples, "app", "2xx"), "2");
    let requests = format!("footbridge_backend_requests_total{{group=\"app\",backend=\"{backend}\"}}");
    assert_eq!(samples[&requests], "2");
}

#[test]
fn the_count_of_all_requests_keeps_those_of_a_group_that_is_no_more() {
    let setup = Setup::before(&[backend()]);
    setup.send("/app/x");
    setup.await_status("requests", "1");
    let mut changed = site(&[backend()]);
    "other".clone_into(&mut changed.groups[0].name);
    changed.routes[0].action = Action::Forward { group: "other".to_owned() };
    setup.handler.replace(changed);
    assert_eq!(setup.status("requests"), "1");
    setup.send("/app/x");
    setup.await_status("requests", "2");
}

#[test]
fn a_backend_whose_name_has_no_address_is_shown_as_down() {
    let mut site = site(&[backend()]);
    site.groups[0].servers.push(ServerSettings::new("nobody.invalid:80"));
    let setup = Setup::with(site, 4);
    assert_eq!(setup.status("groups.1.backends.1.address"), "nobody.invalid:80");
    assert_eq!(setup.status("groups.1.backends.1.state"), "down");
    assert_eq!(setup.status("groups.1.backends.1.why"), "its name has no address");
    assert_eq!(setup.status("groups.1.backends.0.state"), "up");
    assert_eq!(setup.metrics()["footbridge_backend_up{group=\"app\",backend=\"nobody.invalid:80\"}"], "0");
}

#[test]
fn an_error_is_remembered_with_its_reason_and_without_its_query() {
    let setup = Setup::before(&[backend()]);
    setup.send("/elsewhere?token=secret");
    setup.send("/elsewhere?token=other");
    setup.await_status("requests", "2");
    let document = setup.get("/status").1;
    assert!(!document.contains("secret"), "{document}");
    let value = |key: &str| json::at(&document, &format!("errors.0.{key}")).expect("an error");
    assert_eq!((value("reason"), value("status"), value("times")), ("no-route".into(), "404".into(), "2".into()));
    assert_eq!((value("method"), value("target")), ("GET".into(), "/elsewhere".into()));
}

/// Its threads are its own.
#[test]
fn it_answers_when_all_workers_of_the_proxy_are_blocked() {
    let setup = Setup::with(site(&[backend()]), 1);
    let (give, wait) = std::sync::mpsc::channel::<()>();
    let handler = Arc::new(Stuck(std::sync::Mutex::new(wait)));
    let server = TcpServer::bind("127.0.0.1:0", handler, &setup.workers).expect("a free port");
    let stuck = TcpStream::connect(server.address()).expect("a connection");
    thread::spawn(move || server.serve_forever());
    setup.await_status("worker_states.0.state", "blocked");
    assert_eq!(setup.status("workers.blocked"), "1");
    assert_eq!(setup.metrics()["footbridge_workers{state=\"blocked\"}"], "1");
    assert_eq!(status(&setup.get("/healthz").0), 200);
    assert!(setup.get("/status?ps").1.contains("1 of at most 1 workers: 0 running, 1 blocked"));
    drop((give, stuck));
}

/// Holds its worker until the test ends.
struct Stuck(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl footbridge::socketserver::RequestHandler for Stuck {
    fn handle(
        self: Arc<Self>,
        _: footbridge::socketserver::Socket,
        _: footbridge::socketserver::PeerAddress,
    ) -> footbridge::socketserver::Next {
        footbridge::socketserver::blocking(move || {
            let _ = self.0.lock().expect("nobody panics").recv();
            Ok(())
        })
    }
}

#[test]
fn readiness_is_lost_without_any_usable_backend_and_when_stopping() {
    let setup = Setup::before(&[backend()]);
    assert_eq!(status(&setup.get("/readyz").0), 200);
    let mut drained = site(&[nobody()]);
    drained.groups[0].servers[0].drain = true;
    setup.handler.replace(drained.clone());
    let (head, text) = setup.get("/readyz");
    assert_eq!((status(&head), text.as_str()), (503, "not ready\ngroup app has no usable backend\n"));
    let well = GroupSettings::new("well", vec![ServerSettings::new("127.0.0.1:1")], &Settings::default());
    drained.groups.push(well);
    setup.handler.replace(drained);
    let (head, text) = setup.get("/readyz");
    assert_eq!(
        (status(&head), text.as_str()),
        (200, "ready\ngroup app has no usable backend\n"),
        "the other one serves"
    );
    assert_eq!(setup.workers.drain(Instant::now() + PATIENCE), 0);
    let (head, text) = setup.get("/readyz");
    assert!(status(&head) == 503 && text.contains("\nstopping\n"), "{text}");
    assert_eq!(status(&setup.get("/healthz").0), 200, "it is alive all the same");
}

#[test]
fn only_get_and_head_of_known_paths_are_answered() {
    let setup = Setup::before(&[backend()]);
    let (head, content) = setup.request("HEAD", "/metrics");
    assert!(status(&head) == 200 && content.is_empty(), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    let (head, _) = setup.request("POST", "/status");
    assert!(status(&head) == 405 && head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
    assert_eq!(status(&setup.get("/nowhere").0), 404);
    for path in ["/healthz?from=monitor", "/metrics?name=a", "/status?now=1", "/?"] {
        assert_eq!(status(&setup.get(path).0), 200, "{path}");
    }
}

/// DNS rebinding: a name that anybody may give to 127.0.0.1 is not ours.
#[test]
fn on_loopback_a_foreign_host_is_refused() {
    let setup = Setup::before(&[backend()]);
    for (host, want) in [("evil.example", 403), ("127.0.0.1:9", 200), ("localhost", 200)] {
        let (head, _) = ask(setup.admin, &format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status(&head), want, "{host}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let setup = Setup::before(&[backend()]);
    let (head, page) = setup.get("/");
    assert!(head.contains("\r\nContent-Security-Policy: default-src 'none';"), "{head}");
    assert!(page.len() < 16 * 1024, "{} bytes", page.len());
    for elsewhere in ["http://", "https://", "src=", "@import", "url(", "innerHTML"] {
        assert!(!page.contains(elsewhere), "the page has {elsewhere}");
    }
    for needed in
        ["id=\"requests\"", "id=\"errors\"", "id=\"backends\"", "aria-live=\"polite\"", "prefers-reduced-motion"]
    {
        assert!(page.contains(needed), "the page lacks {needed}");
    }
}

#[test]
fn status_says_what_the_last_reload_did() {
    let setup = Setup::before(&[backend()]);
    assert!(json::at(&setup.get("/status").1, "reload").is_none());
    setup.state.note_reload(Err("footbridge.toml:1:1: \"unknown\" key".to_owned()));
    assert_eq!(setup.status("reload.ok"), "false");
    assert_eq!(setup.status("reload.error"), "footbridge.toml:1:1: \\\"unknown\\\" key");
    assert!(setup.get("/status?text").1.contains(" ago, and refused: footbridge.toml:1:1: "));
    assert_eq!(setup.metrics()["footbridge_reload_success"], "0");
    setup.state.note_reload(Ok(()));
    assert_eq!(setup.status("reload.error"), "null");
}

/// `footbridge status` and `ps`, as a user runs them.
#[test]
fn the_terminal_commands_show_it_or_say_that_nothing_answers() {
    let (first, second) = (backend(), nobody());
    let setup = Setup::before(&[first, second]);
    setup.send("/app/x");
    setup.await_status("requests", "1");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_footbridge")).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let admin = setup.admin.to_string();
    let (code, table, _) = run(&["status", "--admin", &admin]);
    assert_eq!(code, Some(0));
    let row = table.lines().find(|line| line.contains(&first.to_string())).expect("a row for each backend");
    assert!(row.starts_with("app") && row.contains(" up "), "{table}");
    let (code, table, _) = run(&["ps", "--admin", &admin]);
    assert!(code == Some(0) && table.contains("\nWORKER  STATE"), "{table}");
    let (code, document, _) = run(&["status", "--json", "--admin", &admin]);
    assert_eq!((code, json::at(&document, "requests").as_deref()), (Some(0), Some("1")));
    let (code, _, problem) = run(&["status", "--admin", &second.to_string()]);
    assert_eq!(code, Some(1));
    assert!(problem.starts_with(&format!("footbridge: no footbridge answers on {second}: ")), "{problem}");
}

#[test]
fn the_admin_listener_can_be_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("footbridge-admin-{}.sock", std::process::id()));
    let setup = Setup::before(&[backend()]);
    let listener = Listener::bind(&ListenSettings { address: ListenAddress::Unix(path.clone()), mode: Some(0o600) });
    let address = admin::start(listener.expect("a free name"), Arc::clone(&setup.state)).expect("a thread");
    let text = admin::client::ask(&address, "/status?text").expect("an answer");
    std::fs::remove_file(&path).expect("the socket's file");
    assert!(text.starts_with("footbridge "), "{text}");
}
