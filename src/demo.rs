//! `footbridge demo`: three small backends and the reverse proxy in front of them, in one process.
//!
//! The backends are plain blocking handlers on [`HttpServer`], as a learner would write them; the proxy is the same as
//! outside the demo. Nothing is reachable from elsewhere unless `--listen` says so.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use log::LevelFilter;

use crate::access::LogFormat;
use crate::admin::{self, PAGE_POLICY};
use crate::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
use crate::http::{Field, HttpStatus, RequestHead};
use crate::logging::{self, AccessLog, Sinks};
use crate::packed::unpack;
use crate::run::{Begun, begin};
use crate::serve::signals::Held;
use crate::serve::{self, Notifier};
use crate::settings::Settings;
use crate::settings::group::{DEFAULT_GROUP, GroupSettings, ServerSettings};
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::settings::site::SiteSettings;
use crate::settings::workers::WorkerSettings;
use crate::socketserver::Workers;
use crate::threads;

/// The page for the browser: self-contained. Packed. By its name scripts/sections.ld puts it behind what each run needs.
static PAGE: [u8; include_bytes!(concat!(env!("OUT_DIR"), "/demo.packed")).len()] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/demo.packed"));

/// Each open event stream holds a thread of its backend: blocking handlers are simple, not cheap.
const BACKEND_WORKERS: usize = 64;

/// After Ctrl-C the slow backend may still end what it has begun; event streams are cut.
const PATIENCE: Duration = Duration::from_secs(1);

/// The events of one stream, one a second. Browsers come again when it has ended.
const EVENTS: u32 = 300;

/// Runs the demonstration on `listen` until Ctrl-C.
///
/// # Errors
/// A sentence for the user, if it cannot listen or start threads.
pub fn run(listen: SocketAddr) -> Result<(), String> {
    let signals = Held::begin()?;
    let sinks = Sinks::open(&AccessLog::Stdout);
    let logs = sinks
        .and_then(|sinks| logging::start(LevelFilter::Warn, sinks, LogFormat::Text))
        .map_err(|error| format!("cannot log: {error}"))?;
    let backends = start_backends().map_err(|error| format!("cannot start the demo's backends: {error}"))?;

    let mut settings = Settings::default();
    settings.timeouts.shutdown = PATIENCE;
    let servers = backends.iter().map(|(_, address)| ServerSettings::new(address.to_string())).collect();
    let site = SiteSettings::one_group(GroupSettings::new(DEFAULT_GROUP, servers, &settings), &settings);
    let listen = ListenSettings::from(listen);
    let listeners = vec![(serve::listen(&listen)?, listen.address)];
    let Begun { serving, status, .. } = begin(site, &WorkerSettings::default(), Some(LogFormat::Text), listeners)?;
    let own_port = serve::listen(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let admin = admin::start(own_port, status)?;
    let address = serving.addresses().next();
    if let (Some(ListenAddress::Inet(address)), ListenAddress::Inet(admin)) = (address, admin) {
        // Nobody reads it? Then the demo goes on without.
        let _ = io::stdout().write_all(introduction(address, admin, &backends).as_bytes());
    }
    serve::serve_until_signal(serving, signals, &Notifier::from_environment(), logs.reopener(), None)
}

/// What to try. Access lines follow it on stdout.
fn introduction(address: SocketAddr, admin: SocketAddr, backends: &[(Manner, SocketAddr)]) -> String {
    let url = format!("http://{}", reachable(address));
    let describe = |(manner, address): &(Manner, SocketAddr)| {
        format!("  {:<8}{address:<18}{}\n", manner.name(), manner.description())
    };
    let list: String = backends.iter().map(describe).collect();
    format!(
        "footbridge demo, listening on {url}/   (Ctrl-C ends it)

Three backends stand behind it:
{list}
Open {url}/ in a browser, or try in another terminal:
  curl {url}/hello                              which backend answers?
  for i in 1 2 3 4 5 6 7 8; do curl -s {url}/hello; done
  curl -d 'over the bridge' {url}/echo          what you send comes back
  curl -T a-file -o its-copy {url}/echo         a file, too
  curl {url}/headers                            what footbridge tells its backends
  curl -N {url}/events                          an event every second, as it happens

What happens, live, is on the admin page http://{admin}/ (or: footbridge status --admin {admin})

Each exchange is a line below. tries=2: shaky hung up without an answer, and the request, a GET, was sent again.

"
    )
}

/// An address that a browser can open: one that stands for all addresses is on loopback too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Starts all backends, each on a free port, with threads in common.
fn start_backends() -> io::Result<Vec<(Manner, SocketAddr)>> {
    let workers = Workers::new("demo backend", BACKEND_WORKERS)?;
    let mut backends = Vec::new();
    for manner in [Manner::Steady, Manner::Slow, Manner::Shaky] {
        let backend = Backend { manner, requests: AtomicU64::new(0) };
        let server = HttpServer::bind_with((Ipv4Addr::LOCALHOST, 0), backend, &workers, Settings::default())?;
        let address = server.address();
        threads::start(threads::named(manner.name()), Box::new(move || server.serve_forever()))?;
        backends.push((manner, address));
    }
    Ok(backends)
}

/// How a backend behaves when it is asked for `/hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Steady,
    Slow,
    Shaky,
}

impl Manner {
    fn name(self) -> &'static str {
        match self {
            Manner::Steady => "steady",
            Manner::Slow => "slow",
            Manner::Shaky => "shaky",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Manner::Steady => "answers at once",
            Manner::Slow => "takes 200 to 400 ms",
            Manner::Shaky => "of eight requests it answers one with 500, and hangs up on another",
        }
    }
}

/// A backend: one handler for all its connections.
struct Backend {
    manner: Manner,
    /// Requests for `/hello` so far.
    requests: AtomicU64,
}

impl DoMethod for Backend {
    fn do_method(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        let target = request.target();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or(target);
        match path {
            b"/" => self.page(http),
            b"/hello" => self.hello(http),
            b"/echo" => self.echo(request, http),
            b"/headers" => self.headers(request, http),
            b"/events" => self.events(http),
            _ => http.send_error(HttpStatus::NOT_FOUND),
        }
    }
}

impl Backend {
    /// The head of every response; no cache may answer for a backend.
    fn begin(&self, status: HttpStatus, media_type: &str, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        http.send_response(status)?;
        http.send_header("Content-Type", media_type)?;
        http.send_header("Cache-Control", "no-store")?;
        http.send_header("X-Content-Type-Options", "nosniff")?;
        http.send_header("X-Backend", self.manner.name())
    }

    fn page(&self, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        let page = unpack(&PAGE);
        self.begin(HttpStatus::OK, "text/html; charset=utf-8", http)?;
        http.send_header("Content-Security-Policy", PAGE_POLICY)?;
        http.send_header("Content-Length", page.len())?;
        http.end_headers()?;
        http.wfile().write_all(&page)
    }

    /// Says who it is, in its own manner.
    fn hello(&self, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut status, mut says) = (HttpStatus::OK, "hello");
        match (self.manner, number % 8) {
            // 73 and 200 have no common factor: all waits come, in an order that looks like none.
            (Manner::Slow, _) => thread::sleep(Duration::from_millis(200 + number * 73 % 200)),
            (Manner::Shaky, 2) => {
                http.cut_connection();
                return Ok(());
            }
            (Manner::Shaky, 6) => (status, says) = (HttpStatus::INTERNAL_SERVER_ERROR, "oh dear"),
            (Manner::Steady | Manner::Shaky, _) => {}
        }
        let content = format!("{says} from {}, its request no. {number}\n", self.manner.name());
        self.begin(status, "text/plain; charset=utf-8", http)?;
        http.send_header("Content-Length", content.len())?;
        http.end_headers()?;
        http.wfile().write_all(content.as_bytes())
    }

    /// Gives the content back as it comes, however long it is.
    fn echo(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        // Before the head: a client may wait to be asked for its content.
        let mut length = http.rfile().read(&mut piece)?;
        self.begin(HttpStatus::OK, "application/octet-stream", http)?;
        if let Some(length) = request.headers.first(Field::ContentLength) {
            http.send_header("Content-Length", String::from_utf8_lossy(length))?;
        }
        http.end_headers()?;
        while length > 0 {
            http.wfile().write_all(&piece[..length])?;
            length = http.rfile().read(&mut piece)?;
        }
        Ok(())
    }

    /// Shows the request as it arrived here. As plain text, so that nothing in it means anything to a browser.
    fn headers(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        self.begin(HttpStatus::OK, "text/plain; charset=utf-8", http)?;
        http.end_headers()?;
        let (method, target) = (request.method().escape_ascii(), request.target().escape_ascii());
        writeln!(http.wfile(), "{method} {target} {}", request.version.as_str())?;
        for line in &request.headers {
            writeln!(http.wfile(), "{}: {}", line.name.escape_ascii(), line.value.escape_ascii())?;
        }
        Ok(())
    }

    /// Server-sent events, one a second: blocks in between, as the simplest handler would.
    fn events(&self, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        self.begin(HttpStatus::OK, "text/event-stream", http)?;
        http.end_headers()?;
        for number in 1..=EVENTS {
            write!(http.wfile(), "id: {number}\ndata: event {number} from {}\n\n", self.manner.name())?;
            http.wfile().flush()?;
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }
}
