//! The two questions most tables ask: what becomes of a request, and what becomes of a response.

use super::backend::{Connection, Request, ScriptedBackend, ok};
use super::client::{Client, Reply};
use super::message::{End, latin1};
use super::proxy::Proxy;
use super::{PATIENCE, get, within};

/// What follows a bad request on the same connection, as an attacker would have it: it must never be run.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

const CHECK: &str = "/still-there";

/// A proxy in front of a backend that answers every request with its own content: what gets through?
pub struct Gate {
    backend: ScriptedBackend,
    proxy: Proxy,
}

impl Gate {
    /// A gate with default settings.
    pub fn open() -> Self {
        Self::set(&[])
    }

    /// A gate with settings.
    pub fn set(settings: &[&str]) -> Self {
        let backend = ScriptedBackend::echoing();
        let proxy = Proxy::set(&backend, settings);
        Self { backend, proxy }
    }

    /// The request is answered with one of `statuses`, the connection is closed, and not one byte of it, nor of what
    /// follows it, reaches the backend.
    pub fn refuses(&self, request: &str, statuses: &[u16]) {
        let before: Vec<usize> = self.backend.received().iter().map(Vec::len).collect();
        self.rejects(request, statuses);
        let mut fresh = Vec::new();
        for (number, bytes) in self.backend.received().into_iter().enumerate() {
            let known = before.get(number).copied().unwrap_or(0);
            fresh.extend_from_slice(&bytes[known..]);
        }
        // Our own check went through after the refusal, and nothing else did.
        let ends = fresh.windows(4).filter(|bytes| bytes == b"\r\n\r\n").count();
        let is_check = fresh.starts_with(format!("GET {CHECK} ").as_bytes()) && fresh.ends_with(b"\r\n\r\n");
        assert!(is_check && ends == 1, "the backend got \"{}\"", fresh.escape_ascii());
    }

    /// The content is refused with one of `statuses` while its head may be on its way: the connection is closed, and
    /// the backend gets neither a whole message nor anything that followed.
    pub fn refuses_content(&self, request: &str, statuses: &[u16]) {
        let before = self.backend.requests().len();
        self.rejects(request, statuses);
        let got = || {
            let requests = self.backend.requests().split_off(before);
            requests.into_iter().filter(|request| request.head.target() != CHECK).collect::<Vec<_>>()
        };
        within(PATIENCE, || got().iter().all(|request| request.content.end != End::Unread));
        for request in got() {
            assert!(matches!(request.content.end, End::Cut(_)), "the backend got {request:#?}");
        }
    }

    /// The request gets through; as the backend saw it.
    pub fn forwards(&self, request: &str) -> Request {
        let before = self.backend.requests().len();
        let reply = self.proxy.send(latin1(request)).reply();
        assert_eq!(reply.status(), 200, "refused: {:?} {:?}", reply.head, reply.text());
        self.backend.wait_for_requests(before + 1).swap_remove(before)
    }

    /// The request is either refused as [`Self::refuses`] says, or forwarded as returned.
    pub fn refuses_or_forwards(&self, request: &str, statuses: &[u16]) -> Option<Request> {
        let before = self.backend.requests().len();
        let mut client = self.proxy.send(latin1(request));
        let reply = client.reply();
        if reply.status() == 200 {
            return Some(self.backend.wait_for_requests(before + 1).swap_remove(before));
        }
        assert!(statuses.contains(&reply.status()), "want {statuses:?}, got {:?}", reply.head.start_line);
        assert!(client.closed(), "the connection stays open after {}", reply.status());
        assert_eq!(self.backend.requests().len(), before, "refused and forwarded");
        None
    }

    /// The proxy in the middle.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The backend behind it.
    pub fn backend(&self) -> &ScriptedBackend {
        &self.backend
    }

    fn rejects(&self, request: &str, statuses: &[u16]) {
        let mut client = self.proxy.send(latin1(request));
        let reply = client.reply();
        assert!(statuses.contains(&reply.status()), "want {statuses:?}, got {:?}", reply.head.start_line);
        assert!(client.closed(), "the connection stays open after {}", reply.status());
        let check = self.proxy.send(get(CHECK)).reply();
        assert_eq!(check.status(), 200, "after the case an ordinary request fails");
    }
}

/// What a backend does after its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It keeps the connection.
    Stays,
    /// It closes.
    Closes,
    /// It resets.
    Resets,
}

/// What the client of a plain GET gets if the backend answers with these bytes.
pub fn relayed(response: &str, afterwards: Afterwards) -> Option<Reply> {
    relayed_to(&get("/row"), response, afterwards)
}

/// What the client of this request for `/row` gets if the backend answers with these bytes. Whatever they are, the
/// requests that follow get answers of their own.
pub fn relayed_to(request: &str, response: &str, afterwards: Afterwards) -> Option<Reply> {
    let backend = answering_row(response, afterwards);
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(request);
    let outcome = if request.starts_with("HEAD ") { client.outcome_to_head() } else { client.outcome() };
    if outcome.as_ref().is_some_and(Reply::is_complete) && client.try_send(get("/next")) {
        assert_in_step(&mut client, false);
    }
    for _ in 0..2 {
        assert_in_step(&mut proxy.send(get("/next")), true);
    }
    outcome
}

/// Whether a client may take this for a whole and successful response.
pub fn looks_whole(outcome: Option<&Reply>) -> bool {
    outcome.is_some_and(|reply| reply.is_complete() && reply.status() < 400)
}

/// Checks that a response was refused with 502 before any of it reached the client.
pub fn assert_bad_gateway(outcome: Option<&Reply>) {
    let reply = outcome.expect("the connection ended without an answer");
    assert!(reply.is_complete() && reply.status() == 502, "want 502, got {:?} {:?}", reply.head, reply.text());
}

fn assert_in_step(client: &mut Client, must_answer: bool) {
    match client.outcome() {
        Some(reply) => assert_eq!((reply.status(), reply.text().as_str()), (200, "in step"), "OUT OF STEP"),
        None => assert!(!must_answer, "an ordinary request gets no answer"),
    }
}

fn answering_row(response: &str, afterwards: Afterwards) -> ScriptedBackend {
    let response = response.to_owned();
    ScriptedBackend::running(move |connection: &mut Connection| {
        while let Some(request) = connection.request() {
            if request.head.target() != "/row" {
                connection.send(&ok("in step"));
                continue;
            }
            connection.send(&response);
            match afterwards {
                Afterwards::Stays => {}
                Afterwards::Closes => return,
                Afterwards::Resets => return connection.reset(),
            }
        }
    })
}
