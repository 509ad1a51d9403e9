//! The admin listener: what runs here, for people and for machines. Input: GET requests to a port of its own. Output:
//! answers made of copies; no lock of the proxy is held while one is written. Changes nothing.
//!
//! | path | answer |
//! |---|---|
//! | `/` | a page for people, which asks for `/status` every two seconds |
//! | `/status` | all there is to know, as JSON; `/status?text` and `/status?ps` are tables for a terminal |
//! | `/metrics` | the same for Prometheus, text format 0.0.4 |
//! | `/healthz` | 200 while the process is alive |
//! | `/readyz` | 200 while it serves: not when it is stopping, nor when no group has a backend that can be used. One dead group of several is no reason to take the others out of traffic; the text names it |
//!
//! It has threads of its own, so it answers when the proxy's are all taken. Queries of requests are not shown, since
//! they may hold secrets; nor is it asked for a password, which is why it listens on loopback unless told otherwise.
//! There, a page of somebody else's could still read it from within a browser, by a name that resolves to 127.0.0.1
//! (DNS rebinding): so on loopback, Host has to be an IP address or `localhost`.

pub mod client;
mod json;
mod metrics;
mod snapshot;
mod status;
mod terminal;

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use self::snapshot::Snapshot;
use crate::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
use crate::http::{Field, HttpStatus, RequestHead};
use crate::packed::unpack;
use crate::proxy::ReverseProxyHandler;
use crate::settings::Settings;
use crate::settings::listen::ListenAddress;
use crate::socketserver::{Listener, Workers};
use crate::threads;

/// The page for the browser: self-contained. Packed. By its name scripts/sections.ld puts it behind what each run needs.
static PAGE: [u8; include_bytes!(concat!(env!("OUT_DIR"), "/admin.packed")).len()] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/admin.packed"));

/// A page takes its style and its script from itself, and speaks to nobody but us.
pub(crate) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Enough for a scraper, a page and a terminal at once, and for one that does not read its answer.
const WORKERS: usize = 4;

/// Whoever opens more shall not take descriptors from the proxy.
const MOST_CONNECTIONS: usize = 64;

/// A reader that takes nothing holds one of our threads for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the answers are made of.
#[derive(Debug)]
pub struct State {
    handler: Arc<ReverseProxyHandler>,
    workers: Workers,
    started: SystemTime,
    listeners: Mutex<Vec<ListenAddress>>,
    reload: Mutex<Option<Reload>>,
}

/// How the last reading of the configuration ended.
#[derive(Clone, Debug)]
pub struct Reload {
    /// When.
    pub time: SystemTime,
    /// What was wrong, if it changed nothing.
    pub error: Option<String>,
}

impl State {
    /// Of a proxy that begins now, and its workers.
    #[must_use]
    pub fn new(handler: Arc<ReverseProxyHandler>, workers: &Workers) -> Arc<State> {
        Arc::new(State {
            handler,
            workers: workers.clone(),
            started: SystemTime::now(),
            listeners: Mutex::new(Vec::new()),
            reload: Mutex::new(None),
        })
    }

    /// Where the proxy listens from now on.
    pub fn set_listeners(&self, addresses: impl IntoIterator<Item = ListenAddress>) {
        *lock(&self.listeners) = addresses.into_iter().collect();
    }

    /// The configuration was read anew: it holds from now on, or the error says why nothing has changed.
    pub fn note_reload(&self, result: Result<(), String>) {
        *lock(&self.reload) = Some(Reload { time: SystemTime::now(), error: result.err() });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic under a lock of the admin state")
}

/// `::ffff:127.0.0.1` is loopback, too.
fn is_loopback(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Inet(inet) if inet.ip().to_canonical().is_loopback())
}

/// Answers on `listener`, with threads of its own, until the process ends. Returns where it really listens.
///
/// # Errors
/// If the system grants no thread or no descriptor.
pub fn start(listener: Listener, state: Arc<State>) -> Result<ListenAddress, String> {
    let cannot = |error| format!("cannot start the admin page: {error}");
    let address = listener.address().map_err(cannot)?;
    let guarded = is_loopback(&address);
    let workers = Workers::new("admin", WORKERS).map_err(cannot)?;
    let mut settings = Settings::default();
    (settings.timeouts.send, settings.limits.body) = (PATIENCE, 0);
    let server = HttpServer::with_listener(listener, Admin { state, guarded }, &workers, settings).map_err(cannot)?;
    let server = server.with_most_connections(MOST_CONNECTIONS);
    threads::start(threads::named("admin"), Box::new(move || server.serve_forever())).map_err(cannot)?;
    match &address {
        ListenAddress::Inet(inet) => log::info!("admin page on http://{inet}/"),
        ListenAddress::Unix(_) => log::info!("admin page on {address}"),
    }
    Ok(address)
}

/// The handler of all requests.
struct Admin {
    state: Arc<State>,
    /// Only who calls us by address, or by `localhost`, is answered.
    guarded: bool,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl DoMethod for Admin {
    fn do_method(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        if self.guarded && !request.headers.first(Field::Host).is_none_or(is_our_name) {
            return http.send_error(HttpStatus::FORBIDDEN);
        }
        if !matches!(request.method(), b"GET" | b"HEAD") {
            http.send_response(HttpStatus::METHOD_NOT_ALLOWED)?;
            http.send_header("Allow", "GET, HEAD")?;
            http.send_header("Content-Length", 0)?;
            return http.end_headers();
        }
        let ok = HttpStatus::OK;
        // Monitors add queries of their own; ours alone mean something.
        let target = request.target();
        match target.split(|byte| *byte == b'?').next().unwrap_or_default() {
            b"/" => reply(http, ok, "text/html; charset=utf-8", &unpack(&PAGE)),
            b"/healthz" => reply(http, ok, TEXT, b"alive\n"),
            b"/readyz" => {
                let (ready, text) = self.snapshot().readiness();
                reply(http, if ready { ok } else { HttpStatus::SERVICE_UNAVAILABLE }, TEXT, text.as_bytes())
            }
            b"/metrics" => self.show(http, "text/plain; version=0.0.4; charset=utf-8", metrics::render),
            b"/status" => match target {
                b"/status?text" => self.show(http, TEXT, terminal::status),
                b"/status?ps" => self.show(http, TEXT, terminal::ps),
                _ => self.show(http, "application/json", status::render),
            },
            _ => http.send_error(HttpStatus::NOT_FOUND),
        }
    }
}

impl Admin {
    fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.state)
    }

    fn show(
        &self,
        http: &mut BaseHttpRequestHandler,
        media_type: &str,
        render: fn(&Snapshot) -> String,
    ) -> io::Result<()> {
        reply(http, HttpStatus::OK, media_type, render(&self.snapshot()).as_bytes())
    }
}

fn reply(http: &mut BaseHttpRequestHandler, status: HttpStatus, media_type: &str, content: &[u8]) -> io::Result<()> {
    http.send_response(status)?;
    let fixed = [
        ("Content-Type", media_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Content-Security-Policy", PAGE_POLICY),
    ];
    for (name, value) in fixed {
        http.send_header(name, value)?;
    }
    http.send_header("Content-Length", content.len())?;
    http.end_headers()?;
    http.wfile().write_all(content)
}

/// A name that nobody else can give to this machine: no name at all, or `localhost`.
fn is_our_name(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.is_empty() || literal.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that somebody else's DNS may answer for.
    #[test]
    fn only_addresses_and_localhost_are_our_names() {
        for (authority, want) in [
            ("127.0.0.1:9901", true),
            ("127.0.0.1", true),
            ("[::1]:9901", true),
            ("[::1]", true),
            ("localhost:9901", true),
            ("LOCALHOST", true),
            ("", true),
            ("evil.example:9901", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:9901", false),
            ("evil.example", false),
        ] {
            assert_eq!(is_our_name(authority.as_bytes()), want, "{authority}");
        }
    }

    #[test]
    fn loopback_is_loopback_however_it_is_written() {
        for (address, want) in
            [("127.0.0.1:9901", true), ("[::1]:9901", true), ("[::ffff:127.0.0.1]:9901", true), ("0.0.0.0:9901", false)]
        {
            assert_eq!(is_loopback(&ListenAddress::Inet(address.parse().expect("an address"))), want, "{address}");
        }
    }
}
