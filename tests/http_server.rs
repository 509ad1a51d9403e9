//! `HttpServer` and plain handlers, as a client meets them: raw bytes in, raw bytes out, over real sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use footbridge::http::server::{BaseHttpRequestHandler, DoMethod, HttpServer};
use footbridge::http::{HttpStatus, RequestHead};
use footbridge::settings::Settings;
use footbridge::socketserver::{ShutdownHandle, Workers};

/// Nothing here takes long; a test that waits for this has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many handlers wait for one another, and so come no further unless they run side by side.
const SIDE_BY_SIDE: usize = 8;
static TOGETHER: Barrier = Barrier::new(SIDE_BY_SIDE);

/// Does what the path says.
struct Obedient;

impl DoMethod for Obedient {
    fn do_method(&self, request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
        match request.target() {
            b"/hello" => hello(http, b"hello"),
            b"/echo" => echo(http),
            b"/chunks" => chunks(http),
            b"/ignore" => hello(http, b"not read"),
            b"/204" => no_content(http),
            b"/204-with-length" => {
                http.send_response(HttpStatus::NO_CONTENT)?;
                http.send_header("Content-Length", 0)
            }
            b"/103" => early_hints(http),
            b"/short" => promise(http, 10, b"short"),
            b"/short-and-sent" => {
                promise(http, 10, b"short")?;
                http.wfile().flush()
            }
            b"/long" => promise(http, 3, b"too long"),
            b"/long-and-sent" => {
                promise(http, 3, b"too")?;
                http.wfile().flush()?;
                http.wfile().write_all(b" long")
            }
            b"/nothing" => Ok(()),
            b"/head-only" => http.send_response(HttpStatus::OK),
            b"/error" => Err(io::Error::other("as asked for")),
            b"/error-in-chunks" => {
                chunks(http)?;
                http.wfile().flush()?;
                Err(io::Error::other("as asked for"))
            }
            b"/panic" => panic!("as asked for"),
            b"/panic-after-content" => {
                chunks(http)?;
                http.wfile().flush()?;
                panic!("as asked for")
            }
            b"/cut" => {
                http.cut_connection();
                Ok(())
            }
            b"/404" => http.send_error(HttpStatus::NOT_FOUND),
            b"/close" => {
                http.close_connection();
                hello(http, b"bye")
            }
            b"/field" => return_field(request, http),
            b"/large" => large(http),
            b"/all-of-us" => {
                TOGETHER.wait();
                hello(http, b"at last")
            }
            target => panic!("no such behaviour: {}", target.escape_ascii()),
        }
    }
}

fn hello(http: &mut BaseHttpRequestHandler, content: &[u8]) -> io::Result<()> {
    promise(http, content.len(), content)
}

fn promise(http: &mut BaseHttpRequestHandler, length: usize, content: &[u8]) -> io::Result<()> {
    http.send_response_only(HttpStatus::OK)?;
    http.send_header("Content-Length", length)?;
    http.end_headers()?;
    http.wfile().write_all(content)
}

fn chunks(http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    http.send_response_only(HttpStatus::OK)?;
    http.end_headers()?;
    http.wfile().write_all(b"one")?;
    http.wfile().write_all(b"")?;
    http.wfile().write_all(b"three")
}

fn echo(http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    let mut content = Vec::new();
    http.rfile().read_to_end(&mut content)?;
    hello(http, &content)
}

fn no_content(http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    http.send_response_only(HttpStatus::NO_CONTENT)?;
    http.end_headers()?;
    http.wfile().write_all(b"thrown away")
}

fn early_hints(http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    http.send_response_only(HttpStatus(103))?;
    http.send_header("Link", "</style.css>")?;
    http.end_headers()?;
    hello(http, b"hello")
}

/// Puts the value of the field `X-Value`, its `~` made line ends, into a field, and says whether that was let through.
fn return_field(request: &RequestHead, http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    let value = request.headers.get("x-value").unwrap_or_default();
    let value = String::from_utf8_lossy(value).replace('~', "\r\n");
    http.send_response_only(HttpStatus::OK)?;
    for (name, value) in [("X-Value", &*value), ("X Name", "a"), ("", "a"), ("Connection", "close"), ("a:b", "c")] {
        assert_eq!(http.send_header(name, value).is_ok(), name == "X-Value" && value == "plain", "{name}");
    }
    assert!(http.send_header("Transfer-Encoding", "chunked").is_err());
    assert!(http.send_header("Content-Length", "+5").is_err());
    http.send_header("Content-Length", 2)?;
    assert!(http.send_header("Content-Length", 2).is_err());
    http.end_headers()?;
    http.wfile().write_all(b"ok")
}

/// RFC 9112 §9.6: closing at once would reset the connection and take the answer away.
#[test]
fn a_client_that_goes_on_sending_what_was_refused_still_gets_the_answer() {
    let server = Running::with(2, &["limits.body=4B"]);
    let mut client = server.connect();
    client.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").expect("sent");
    expect(&mut client, "HTTP/1.1 413 ");
    client.write_all(&vec![b'x'; 1_000_000]).expect("sent");
    client.shutdown(Shutdown::Write).expect("ended");
    let said = read_to_end(&mut client);
    assert!(said.ends_with("\r\n\r\n413 Content Too Large\n"), "{said}");
}

/// RFC 9112 §2.2: an empty line before a request is passed over. Cut between its CR and its LF it made the worker panic.
#[test]
fn an_empty_line_before_a_request_may_come_in_two_pieces() {
    let server = Running::obedient();
    for pieces in [&["\r\n"][..], &["\r", "\n"]] {
        let mut client = server.connect();
        client.set_nodelay(true).expect("TCP");
        for piece in pieces {
            client.write_all(piece.as_bytes()).expect("sent");
            thread::sleep(Duration::from_millis(50)); // Not waited for: come together, they prove less.
        }
        client.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        expect(&mut client, "HTTP/1.1 200 OK\r\n");
    }
}

/// For so long a client may be slower than is asked for, and then no more, however long it may pause.
#[test]
fn a_client_that_sends_too_slowly_is_told_so_when_its_grace_is_over() {
    let server = Running::with(2, &["timeouts.slow=50ms", "timeouts.body_idle=1h", "limits.min_rate=1000"]);
    let mut client = server.connect();
    client.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1").expect("sent");
    expect(&mut client, "HTTP/1.1 408 ");
}

/// More than any buffer on the way holds.
const LARGE: usize = 8 * 1024 * 1024;

fn large(http: &mut BaseHttpRequestHandler) -> io::Result<()> {
    hello(http, &vec![b'x'; LARGE])
}

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    stop: ShutdownHandle,
    serving: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn obedient() -> Running {
        Running::with(2, &[])
    }

    fn with(workers: usize, settings: &[&str]) -> Running {
        let mut all = Settings::default();
        for assignment in settings {
            all.set(assignment).expect("a setting");
        }
        let workers = Workers::new("test", workers).expect("a pool");
        let server = HttpServer::bind_with("127.0.0.1:0", Obedient, &workers, all).expect("a port");
        let (address, stop) = (server.address(), server.shutdown_handle());
        let serving = Some(thread::spawn(move || server.serve_forever()));
        Running { address, stop, serving }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// All that the server says to these bytes on one connection, until it closes. The client ends its side first.
    fn say(&self, bytes: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        read_to_end(&mut stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.shutdown();
        self.serving.take().map(thread::JoinHandle::join);
    }
}

fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        all.extend_from_slice(format!("<{:?}>", error.kind()).as_bytes());
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads as much as `want` has, and compares.
fn expect(stream: &mut TcpStream, want: &str) {
    let mut got = vec![0; want.len()];
    stream.read_exact(&mut got).unwrap_or_else(|error| panic!("{error} before {want:?}"));
    assert_eq!(String::from_utf8_lossy(&got), want);
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// RFC 9112 §9.3, §9.3.2.
#[test]
fn a_connection_serves_one_request_after_the_other_pipelined_or_not() {
    let server = Running::obedient();
    let mut client = server.connect();
    for _ in 0..3 {
        client.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        expect(&mut client, HELLO);
    }
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    client.write_all(format!("{post}{post}\r\n{post}").as_bytes()).expect("sent");
    for _ in 0..3 {
        expect(&mut client, HELLO);
    }
}

#[test]
fn pipelined_requests_that_fill_the_buffer_exactly_are_all_answered() {
    let server = Running::obedient();
    let (head, tail) = ("GET /hello HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
    let request = format!("{head}{}{tail}", "x".repeat(8192 - head.len() - tail.len()));
    let mut client = server.connect();
    client.write_all(request.repeat(4).as_bytes()).expect("sent");
    for _ in 0..4 {
        expect(&mut client, HELLO);
    }
}

/// RFC 9112 §9.3: one request a connection, unless asked otherwise; what has no length ends with it.
#[test]
fn http_1_0_gets_what_it_understands() {
    let server = Running::obedient();
    for (request, want) in [
        (
            "GET /hello HTTP/1.0\r\n\r\nGET /hello HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        ),
        (
            "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello\
             HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        ),
        (
            "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonethree",
        ),
        ("GET /103 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
    ] {
        assert_eq!(server.say(request), want, "{request:?}");
    }
}

#[test]
fn content_without_a_length_goes_out_in_chunks() {
    let server = Running::obedient();
    let want = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nonethree\r\n0\r\n\r\n";
    assert_eq!(server.say("GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n"), want);
}

#[test]
fn chunked_content_comes_in_without_its_chunks() {
    let server = Running::obedient();
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(server.say(request), format!("{HELLO}{HELLO}"));
}

/// RFC 9110 §9.3.2, §15.3.5; RFC 9112 §6.3 item 1.
#[test]
fn what_must_have_no_content_gets_none_and_the_connection_stays_in_step() {
    let server = Running::obedient();
    for (request, want) in [
        ("HEAD /hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD /chunks", "HTTP/1.1 200 OK\r\n\r\n"),
        ("HEAD /short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("GET /204", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET /103",
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ),
    ] {
        let said = server.say(&format!("{request} HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(said, format!("{want}{HELLO}"), "{request}");
    }
}

/// RFC 9110 §10.1.1.
#[test]
fn a_client_that_expects_100_gets_it_when_the_handler_reads() {
    let server = Running::obedient();
    let mut client = server.connect();
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    for _ in 0..2 {
        client.write_all(head).expect("sent");
        expect(&mut client, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"hello").expect("sent");
        expect(&mut client, HELLO);
    }
}

/// RFC 9110 §10.1.1: the client may then send the content or not, so what follows is not taken for a request.
#[test]
fn a_client_that_expects_100_in_vain_is_told_that_the_connection_closes() {
    let server = Running::obedient();
    let mut client = server.connect();
    let head = b"POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head).expect("sent");
    let want = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot read";
    assert_eq!(read_to_end(&mut client), want);
}

#[test]
fn content_that_the_handler_did_not_read_is_passed_over_up_to_a_bound() {
    let server = Running::obedient();
    let want = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnot read";
    for (length, next) in [(40_000, HELLO), (400_000, "")] {
        let post =
            format!("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
        let said = server.say(&format!("{post}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(said, format!("{want}{next}"), "{length}");
    }
}

#[test]
fn malformed_ambiguous_and_oversized_heads_are_refused_and_the_connection_closed() {
    let server = Running::obedient();
    let many = "X: 1\r\n".repeat(101);
    let (long_target, large) = ("x".repeat(9000), "x".repeat(17_000));
    for (request, want) in [
        ("GET /hello HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n", "400 Bad Request"),
        ("GET /hello HTTP/1.1\nHost: a\n\n", "400 Bad Request"),
        ("GET /hello\r\n\r\n", "400 Bad Request"),
        ("GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET hello HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "400 Bad Request"),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", "400 Bad Request"),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 Bad Request",
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello", "400 Bad Request"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "501 Not Implemented"),
        ("GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
        (&format!("GET /{long_target} HTTP/1.1\r\nHost: a\r\n\r\n"), "414 URI Too Long"),
        (&format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n"), "431 Request Header Fields Too Large"),
        (&format!("GET /hello HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431 Request Header Fields Too Large"),
    ] {
        let said = server.say(&format!("{request}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(said.starts_with(&format!("HTTP/1.1 {want}\r\n")), "{request:.200}: {said}");
        assert!(said.contains("\r\nConnection: close\r\n") && said.ends_with(&format!("{want}\n")), "{said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    }
}

#[test]
fn a_head_that_is_malformed_behind_a_good_request_is_refused_too() {
    let said = Running::obedient().say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
    assert!(said.starts_with(&format!("{HELLO}HTTP/1.1 400 Bad Request\r\n")), "{said}");
}

#[test]
fn content_beyond_its_limit_is_refused_announced_or_not() {
    let server = Running::with(2, &["limits.body=4B"]);
    for request in [
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let said = server.say(request);
        assert!(said.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{said}");
    }
}

#[test]
fn slow_heads_and_slow_content_are_timed_out_and_silence_is_closed_silently() {
    let limits = ["timeouts.header=60ms", "timeouts.keepalive=60ms", "timeouts.body_idle=60ms"];
    let server = Running::with(2, &limits);
    for (bytes, want) in [
        ("", ""),
        ("GET /hello HTTP/1.1\r\n", "HTTP/1.1 408 Request Timeout\r\n"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", HELLO),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 408 Request Timeout\r\n"),
    ] {
        let mut client = server.connect();
        client.write_all(bytes.as_bytes()).expect("sent");
        let said = read_to_end(&mut client);
        assert!(said.starts_with(want) && (said.is_empty() || said.len() >= want.len()), "{bytes:?}: {said}");
        assert_eq!(said.is_empty(), want.is_empty(), "{said}");
    }
}

#[test]
fn content_that_ends_early_is_an_error_for_the_handler() {
    let said = Running::obedient().say("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell");
    assert!(said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{said}");
}

#[test]
fn a_handler_that_fails_before_anything_was_sent_is_answered_for() {
    let server = Running::obedient();
    for path in ["/error", "/nothing", "/head-only", "/short", "/long", "/204-with-length"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let said = server.say(&format!("{request}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 500 Internal Server Error\r\nServer: footbridge\r\nDate: "), "{said}");
        assert!(said.ends_with(&format!("500 Internal Server Error\n{HELLO}")), "{path}: {said}");
    }
}

/// RFC 9112 §8: the client must be able to see that something is missing.
#[test]
fn a_handler_that_fails_later_has_its_connection_cut() {
    let server = Running::obedient();
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nonethree\r\n";
    for (path, want) in [
        ("/short-and-sent", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
        ("/long-and-sent", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntoo"),
        ("/error-in-chunks", chunks),
        ("/panic-after-content", chunks),
        ("/panic", ""),
        ("/cut", ""),
    ] {
        let mut client = server.connect();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("sent");
        assert_eq!(read_to_end(&mut client), want, "{path}");
    }
    assert_eq!(server.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"), HELLO, "a panic costs one connection");
}

#[test]
fn content_that_only_the_end_would_end_is_reset_when_it_is_cut() {
    let server = Running::obedient();
    for path in ["/error-in-chunks", "/panic-after-content"] {
        let mut client = server.connect();
        client.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("sent");
        let mut all = Vec::new();
        let end = client.read_to_end(&mut all).expect_err("no clean end");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset, "{path}");
    }
}

#[test]
fn no_field_of_a_handler_can_split_the_response() {
    let server = Running::obedient();
    for (value, want) in [("plain", "X-Value: plain\r\n"), ("a~Set-Cookie: b", ""), ("a~~<html>", ""), ("a\u{1}", "")] {
        let request = format!("GET /field HTTP/1.1\r\nHost: a\r\nX-Value: {value}\r\n\r\n");
        let said = server.say(&request);
        let want = format!("HTTP/1.1 200 OK\r\n{want}Content-Length: 2\r\n\r\nok");
        if value.contains('\u{1}') {
            assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        } else {
            assert_eq!(said, want, "{value:?}");
        }
    }
}

#[test]
fn errors_are_short_and_closing_is_announced() {
    let server = Running::obedient();
    let said = server.say("GET /404 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 404 Not Found\r\nServer: footbridge\r\nDate: "), "{said}");
    assert!(said.ends_with("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n\r\n404 Not Found\n"));
    let want = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye";
    assert_eq!(server.say("GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"), want);
    let request = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n";
    let want = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(server.say(request), want);
}

#[test]
fn content_larger_than_all_buffers_arrives_whole() {
    let server = Running::obedient();
    let said = server.say("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, content) = said.split_once("\r\n\r\n").expect("a head");
    assert!(content.len() == LARGE && content.bytes().all(|byte| byte == b'x'), "{}", content.len());
}

#[test]
fn a_client_that_takes_nothing_frees_its_worker() {
    let server = Running::with(1, &["timeouts.send=100ms"]);
    let mut stuck = server.connect();
    stuck.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let begun = Instant::now();
    assert_eq!(server.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"), HELLO);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[test]
fn idle_connections_and_slow_heads_hold_no_worker() {
    let server = Running::with(2, &[]);
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for (number, client) in idle.iter_mut().enumerate() {
        let bytes: &[u8] = if number % 2 == 0 { b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" } else { b"GET /hel" };
        client.write_all(bytes).expect("sent");
    }
    for client in idle.iter_mut().step_by(2) {
        expect(client, HELLO);
    }
    assert_eq!(server.say("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"), HELLO);
    for (number, client) in idle.iter_mut().enumerate() {
        let rest: &[u8] =
            if number % 2 == 0 { b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" } else { b"lo HTTP/1.1\r\nHost: a\r\n\r\n" };
        client.write_all(rest).expect("sent");
        expect(client, HELLO);
    }
}

#[test]
fn handlers_that_block_do_so_side_by_side() {
    let server = Running::with(SIDE_BY_SIDE, &[]);
    let clients: Vec<_> = (0..SIDE_BY_SIDE)
        .map(|_| {
            let mut client = server.connect();
            client.write_all(b"GET /all-of-us HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
            client
        })
        .collect();
    for mut client in clients {
        expect(&mut client, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat last");
    }
}
