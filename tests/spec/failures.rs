//! What a client hears when no backend can answer (RFC 9110 §15.6).

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::client::Reply;
use crate::support::proxy::Proxy;
use crate::support::refusal::{FullQueue, RefusingPort};
use crate::support::{Cue, each_row, get, post};

/// A proxy in front of an address.
fn to(address: &str, settings: &[&str]) -> Proxy {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    Proxy::with(&["--to", address].into_iter().chain(settings).collect::<Vec<_>>())
}

/// An answer of the proxy's own: short, plain, and silent about what lies behind it.
fn assert_discreet(reply: &Reply, secret: &str) {
    assert!(reply.is_complete() && reply.content.bytes.len() < 500, "{reply:?}");
    let all = format!("{:?} {}", reply.head, reply.text());
    assert!(!all.contains(secret), "{secret} is in {all}");
    assert!(!all.contains("<script>"), "echoed: {all}");
}

/// RFC 9110 §15.6.3: refused, for a GET and for a POST whose content is not a request afterwards.
#[test]
fn a_refusing_backend_gets_502() {
    let port = RefusingPort::new();
    let proxy = to(&port.address().to_string(), &[]);
    for request in
        [get("/<script>"), post("/", "Content-Length: 41\r\n", "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n.")]
    {
        let mut client = proxy.send(request);
        let reply = client.reply();
        assert_eq!(reply.status(), 502);
        assert_discreet(&reply, &port.address().port().to_string());
        assert!(client.is_quiet_for(Duration::from_millis(50)) || client.closed(), "a second answer");
    }
}

/// What was made of a response and not sent yet is taken back when the rest turns out wrong: a client that has heard nothing
/// gets an answer, and one that has heard something gets as much as there was.
#[test]
fn a_response_that_goes_wrong_before_a_byte_of_it_was_sent_gets_502() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let rows = [
        format!("{chunked}zz\r\n"),
        format!("{chunked}3\r\nabcX"),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n".to_owned(),
    ];
    each_row(&rows, |response| {
        let backend = ScriptedBackend::answering_then_closing(response);
        let proxy = Proxy::to(&backend);
        let reply = proxy.send(get("/")).reply();
        assert!(reply.status() == 502 && reply.text().contains("reason: "), "{reply:?}");
        let line = &proxy.access_lines(1)[0];
        assert!(line.contains(" 502 ") && !line.contains("reason=- "), "{line}");
    });
    let content = "x".repeat(40_000);
    let backend =
        ScriptedBackend::answering_then_closing(&format!("{chunked}{:x}\r\n{content}\r\nzz\r\n", content.len()));
    let all = Proxy::to(&backend).send(get("/")).rest();
    assert!(all.starts_with("HTTP/1.1 200 ") && all.matches('x').count() >= content.len(), "{} bytes", all.len());
    assert!(!all.ends_with("0\r\n\r\n") && !all.contains("502"));
}

/// The log has the system's words, and the request's identification: with it the access line is found.
#[test]
fn the_log_says_how_a_backend_failed_and_at_which_request() {
    let reset = format!("the connection failed: {}", std::io::Error::from(rustix::io::Errno::CONNRESET));
    for (backend, words) in [
        (ScriptedBackend::resetting(), &*reset),
        (ScriptedBackend::closing_without_a_byte(), "the connection ended inside the message"),
    ] {
        let mut proxy = Proxy::to(&backend);
        assert_eq!(proxy.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: a\"b\r\n\r\n").reply().status(), 502);
        let line = format!("WARN backend {}: {words} (id=a\\x22b)\n", backend.address());
        let ended = proxy.end();
        assert!(ended.stderr.contains(&line) && ended.stdout.contains(" id=a\\x22b"), "{line} is not in {ended:?}");
    }
}

/// RFC 9110 §15.6.3: all the ways not to answer.
#[test]
fn a_backend_that_does_not_answer_in_http_gets_502() {
    let rows = [
        "",
        "\0\u{1}\u{2} this is not HTTP\r\n\r\nat all",
        "<html>\r\n\r\n<body>hello</body></html>\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Half: ",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        "\r\n\r\n\r\n",
        "{\"error\": \"no HTTP here\"}",
    ];
    each_row(&rows, |response| {
        let backend = ScriptedBackend::answering_then_closing(response);
        let proxy = Proxy::to(&backend);
        let reply = proxy.send(get("/")).reply();
        assert_eq!(reply.status(), 502);
        assert_discreet(&reply, &backend.address().port().to_string());
        assert_eq!(backend.requests().len(), 1);
    });
}

/// A backend that sends nonsense and then waits is not waited for.
#[test]
fn garbage_from_a_backend_that_stays_gets_502_at_once() {
    each_row(&["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], |response| {
        assert_eq!(Proxy::to(&ScriptedBackend::answering(response)).send(get("/")).reply().status(), 502);
    });
}

/// RFC 9110 §15.6.3: a reset is no answer either.
#[test]
fn a_backend_that_resets_gets_502() {
    assert_eq!(Proxy::to(&ScriptedBackend::resetting()).send(get("/")).reply().status(), 502);
}

/// A name that nobody knows (RFC 6761 §6.4) does not keep the program from starting, and gets 502.
#[test]
fn a_backend_whose_name_does_not_resolve_gets_502() {
    let reply = to("nobody.invalid:80", &[]).send(get("/")).reply();
    assert!([502, 503].contains(&reply.status()), "{reply:?}");
}

/// With several backends and none alive the client hears so, each time.
#[test]
fn when_all_backends_are_dead_every_request_hears_502_or_503() {
    let (a, b) = (RefusingPort::new(), RefusingPort::new());
    let proxy = Proxy::with(&["--to", &a.address().to_string(), "--to", &b.address().to_string()]);
    for _ in 0..10 {
        let reply = proxy.send(get("/")).reply();
        assert!([502, 503].contains(&reply.status()), "{reply:?}");
        assert!(reply.status() == 502 || reply.head.field("retry-after").is_some());
    }
}

/// RFC 9110 §15.6.5: nobody takes the connection, nobody refuses it.
#[test]
fn a_backend_that_does_not_accept_gets_504_after_the_connect_timeout() {
    let queue = FullQueue::new();
    let proxy = to(&queue.address().to_string(), &["timeouts.connect=300ms"]);
    assert_eq!(proxy.send(get("/")).reply().status(), 504);
}

/// The same at a Unix socket, which says at once that its queue is full: it has as long to make room.
#[test]
fn a_unix_socket_whose_queue_is_full_has_the_connect_timeout_to_make_room() {
    let path = std::env::temp_dir().join(format!("footbridge-spec-{}-full.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket: OwnedFd = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket can be made");
    bind(&socket, &SocketAddrUnix::new(&path).expect("a short path")).expect("the path is free");
    listen(&socket, 0).expect("a bound socket listens");
    let listener = UnixListener::from(socket);
    let _queued = UnixStream::connect(&path).expect("room for one");
    let to_it = |more: &[&str]| Proxy::before(&[format!("unix:{}", path.display())], more);
    assert_eq!(to_it(&["--set", "timeouts.connect=300ms"]).send(get("/")).reply().status(), 504);

    let proxy = to_it(&["--workers", "1", "--set", "timeouts.connect=60s"]);
    let mut client = proxy.send(get("/"));
    // Served after it by the only worker: so the socket has been asked.
    assert_eq!(proxy.send("nonsense\r\n\r\n").reply().status(), 400);
    let (_queued, _) = listener.accept().expect("the queued one");
    let (mut asked, _) = listener.accept().expect("the proxy, who asked again");
    asked.write_all(ok("room").as_bytes()).expect("the proxy reads");
    assert_eq!(client.reply().text(), "room");
    let line = proxy.access_lines(2).pop().expect("a line");
    assert!(line.contains("tries=1 ") && line.contains("reason=- "), "{line}");
    let _ = std::fs::remove_file(&path);
}

/// RFC 9110 §15.6.5: it takes the request and says nothing. It is not asked twice.
#[test]
fn a_silent_backend_gets_504_after_the_response_timeout() {
    let backend = ScriptedBackend::silent();
    let proxy = Proxy::set(&backend, &["timeouts.response=300ms"]);
    for request in [get("/"), post("/", "Content-Length: 5\r\n", "hello")] {
        let reply = proxy.send(request).reply();
        assert_eq!(reply.status(), 504);
        assert_discreet(&reply, &backend.address().port().to_string());
    }
    assert_eq!(backend.requests().len(), 2);
}

/// RFC 9112 §9.3: an answer that comes after its 504 answers nothing.
#[test]
fn an_answer_that_comes_too_late_is_never_anothers() {
    let late = Cue::default();
    let backend = ScriptedBackend::running({
        let late = late.clone();
        move |connection| {
            while let Some(request) = connection.request() {
                if request.head.target() == "/slow" {
                    late.wait();
                    connection.send(&ok("LATE"));
                } else {
                    connection.send(&ok("in step"));
                }
            }
        }
    });
    let proxy = Proxy::set(&backend, &["timeouts.response=200ms"]);
    let mut client = proxy.send(get("/slow"));
    let reply = client.reply();
    assert_eq!(reply.status(), 504);
    late.give();
    for _ in 0..10 {
        assert_eq!(proxy.send(get("/next")).reply().text(), "in step");
    }
    if !reply.says_close() {
        client.send(get("/next"));
        assert_eq!(client.reply().text(), "in step");
    }
}

/// RFC 9110 §15.6.4: more requests than workers can move are told to come again, not left to wait for ever.
#[test]
fn a_full_house_answers_503_with_retry_after_or_serves() {
    let backend = ScriptedBackend::echoing();
    let to = backend.address().to_string();
    let proxy = Proxy::with(&["--to", &to, "--workers", "2", "--set", "timeouts.queue=300ms"]);
    // Slow in the middle of their content: whatever holds a worker, this does.
    let slow: Vec<_> = (0..8).map(|_| proxy.send(post("/", "Content-Length: 100000\r\n", &"x".repeat(9000)))).collect();
    for _ in 0..5 {
        let reply = proxy.send(get("/")).reply();
        assert!([200, 503].contains(&reply.status()), "{reply:?}");
        assert!(reply.status() == 200 || reply.head.field("retry-after").is_some(), "{reply:?}");
    }
    drop(slow);
    crate::support::eventually(|| "200 again".to_owned(), || proxy.send(get("/")).reply().status() == 200);
}

/// A program that asks for JSON gets its error in JSON; a person gets text.
#[test]
fn an_error_is_text_or_json_as_the_client_asks() {
    let port = RefusingPort::new();
    let proxy = to(&port.address().to_string(), &[]);
    let text = proxy.send(get("/")).reply();
    assert!(text.head.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{text:?}");
    assert!(text.text().starts_with("502 Bad Gateway"), "{:?}", text.text());
    let json = proxy.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept: application/json\r\n\r\n").reply();
    assert!(json.head.field("content-type").is_some_and(|kind| kind.starts_with("application/json")), "{json:?}");
    assert!(json.text().trim().starts_with('{') && json.text().trim().ends_with('}'), "{:?}", json.text());
}

/// RFC 9110 §9.3.2: an error that answers HEAD has no content, or the connection would be out of step.
#[test]
fn an_error_that_answers_head_has_no_content() {
    let port = RefusingPort::new();
    let proxy = to(&port.address().to_string(), &[]);
    let mut client = proxy.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = client.reply_to_head();
    assert_eq!(reply.status(), 502);
    if reply.says_close() {
        assert!(client.closed());
    } else {
        client.send(get("/"));
        assert_eq!(client.reply().status(), 502);
    }
}
