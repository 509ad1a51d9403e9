//! What a client is told when something fails: the status, a reason in a word, and its name in RFC 9209 where it has one;
//! and the same word stands in the access log.

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::list::BackendList;
use crate::support::proxy::Proxy;
use crate::support::refusal::{FullQueue, RefusingPort};
use crate::support::{each_row_at_once, get, post};

/// Status, reason, and the error of Proxy-Status, or nothing.
type Answer = (u16, &'static str, &'static str);

/// Sends a request that must fail, and checks all that is said about it.
fn assert_answer(proxy: &Proxy, request: &str, (status, reason, error): Answer) {
    let reply = proxy.send(request).reply();
    let text = reply.text();
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with(&format!("{status} "))), "{text:?}");
    assert_eq!((reply.status(), lines.next()), (status, Some(format!("reason: {reason}").as_str())));
    let id = lines.next().and_then(|line| line.strip_prefix("id: ")).expect("an id");
    let said = reply.head.field("proxy-status").unwrap_or_default();
    let want = if error.is_empty() { String::new() } else { format!("footbridge; error={error}") };
    assert_eq!(said, want);
    assert_eq!(reply.head.field("retry-after").is_some(), status == 503);
    let line = proxy.access_lines(1).swap_remove(0);
    let has = |part: &str| line.contains(part);
    assert!(has(&format!("\" {status} ")) && has(&format!(" reason={reason} ")) && has(&format!(" id={id}")), "{line}");
}

/// RFC 9110 §15.5, §15.6.2, §15.6.6: the client's doing.
#[test]
fn what_is_wrong_with_a_request_has_a_name() {
    let head_of = |length: usize| format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Pad: {}\r\n\r\n", "x".repeat(length));
    let rows: [(String, Answer); 13] = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), (400, "no-host", "http_request_error")),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), (400, "bad-field-name", "http_request_error")),
        (post("/", "Content-Length: +5\r\n", ""), (400, "bad-content-length", "http_request_error")),
        (
            post("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""),
            (400, "both-lengths", "http_request_error"),
        ),
        (post("/", "Transfer-Encoding: chunked\r\n", "0x5\r\n"), (400, "bad-chunk-size", "http_request_error")),
        ("GET / HTTP/1.1\r\nHost: a.t".to_owned(), (408, "client-too-slow", "")),
        (post("/", "Content-Length: 5\r\n", "hell"), (408, "client-too-slow", "")),
        (post("/", "Content-Length: 5000\r\n", ""), (413, "content-too-large", "http_request_error")),
        (get(&format!("/{}", "x".repeat(9000))), (414, "request-line-too-long", "http_request_error")),
        (head_of(17_000), (431, "head-too-large", "http_request_error")),
        (post("/", "Transfer-Encoding: gzip\r\n", ""), (501, "unknown-transfer-coding", "http_request_error")),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), (505, "unsupported-version", "http_request_error")),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\n".to_owned(), (400, "tls-on-plain-port", "http_request_error")),
    ];
    each_row_at_once(&rows, |(request, answer)| {
        let backend = ScriptedBackend::echoing();
        let settings = ["limits.body=4KiB", "timeouts.header=300ms", "timeouts.body_idle=300ms"];
        assert_answer(&Proxy::set(&backend, &settings), request, *answer);
    });
}

/// RFC 9110 §15.6.3, §15.6.5: the backend's.
#[test]
fn what_is_wrong_with_a_response_has_a_name() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let long_line = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(70_000));
    let rows: [(&str, &str, Answer); 7] = [
        ("answers and closes", "", (502, "backend-closed-early", "http_response_incomplete")),
        ("answers and closes", "HTTP/1.1 200 O", (502, "backend-closed-early", "http_response_incomplete")),
        ("answers and closes", "garbage\r\n\r\n", (502, "bad-response", "http_protocol_error")),
        ("answers and closes", &long_line, (502, "response-head-too-large", "http_response_header_section_size")),
        ("answers and closes", &long, (502, "response-head-too-large", "http_response_header_section_size")),
        ("resets", "", (502, "backend-reset", "connection_terminated")),
        ("says nothing", "", (504, "backend-too-slow", "http_response_timeout")),
    ];
    each_row_at_once(&rows, |(kind, response, answer)| {
        let backend = match *kind {
            "resets" => ScriptedBackend::resetting(),
            "says nothing" => ScriptedBackend::silent(),
            _ => ScriptedBackend::answering_then_closing(response),
        };
        assert_answer(&Proxy::set(&backend, &["timeouts.response=300ms"]), &get("/"), *answer);
    });
}

/// RFC 9110 §15.6.3 to §15.6.5: there is no backend to be had.
#[test]
fn that_no_backend_can_be_had_has_a_name() {
    let (refusing, full) = (RefusingPort::new(), FullQueue::new());
    let rows: [(String, Answer); 3] = [
        (refusing.address().to_string(), (502, "connect-refused-by-backend", "connection_refused")),
        ("nobody.invalid:80".to_owned(), (502, "no-address", "dns_error")),
        (full.address().to_string(), (504, "connect-timed-out", "connection_timeout")),
    ];
    each_row_at_once(&rows, |(to, answer)| {
        let proxy = Proxy::with(&["--to", to, "--set", "timeouts.connect=300ms"]);
        assert_answer(&proxy, &get("/"), *answer);
    });
    let dead = [RefusingPort::new(), RefusingPort::new()].map(|port| (port.address().to_string(), port));
    let proxy = Proxy::with(&["--to", &dead[0].0, "--to", &dead[1].0, "--set", "backends.max_fails=1"]);
    assert_answer(&proxy, &get("/"), (503, "no-backend", "destination_unavailable"));
    let backend = ScriptedBackend::silent();
    let list = BackendList::of(&[format!("{} max_requests=1", backend.address())]);
    let proxy = Proxy::with(&["--to", &list.flag(), "--set", "timeouts.queue=300ms"]);
    let _busy = proxy.send(get("/busy"));
    backend.wait_for_heads(1);
    assert_answer(&proxy, &get("/"), (503, "backends-full", "connection_limit_reached"));
}

/// The answer says nothing that the client has said, and nothing of what lies behind.
#[test]
fn an_answer_repeats_nothing_and_betrays_nothing() {
    let backend = ScriptedBackend::answering_then_closing("secret garbage\r\n\r\n");
    let secrets = ["<script>", "a.test", "secret", "garbage", "evil", &backend.address().port().to_string()];
    let lines = "Host: a.test\r\nX-Request-Id: <script>evil\r\nUser-Agent: <script>\r\nAccept: ";
    for accept in ["text/html", "application/json", "<script>application/json"] {
        let proxy = Proxy::to(&backend);
        let reply = proxy.send(format!("GET /<script>?evil HTTP/1.1\r\n{lines}{accept}\r\n\r\n")).reply();
        let all = format!("{:?} {}", reply.head, reply.text());
        assert!(secrets.iter().all(|secret| !all.contains(secret)), "{all}");
        assert!(!all.contains(env!("CARGO_PKG_VERSION")) && reply.content.bytes.len() < 200, "{all}");
    }
    assert_eq!(Proxy::to(&ScriptedBackend::answering(&ok("hi"))).send(get("/")).reply().text(), "hi");
}
