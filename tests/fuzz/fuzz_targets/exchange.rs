//! Whole exchanges: arbitrary bytes from a client and from a backend, over loopback, through a real proxy.
//!
//! Input: a byte of choices, what the client sends, `FE`, what the backend sends; `FF` separates pieces of either. The
//! client's pieces are written one by one. The backend answers each whole request with its next piece (or, by choice,
//! as soon as it has seen a byte), and ends a connection when it has none left.
//!
//! Checked: what the backend saw is a sequence of whole requests, the last of which may be cut short, that the client
//! did send, in its order, with its content; what the client saw is likewise a sequence of responses, no more than it
//! asked for; no connection is used again while bytes of an earlier response are left on it; and all comes to an end.

#![no_main]

use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
use footbridge::settings::Settings;
use footbridge::socketserver::{TcpServer, Workers};
use footbridge_fuzz::{Framing, Head, Malformed, content, head, origin_form, shown};
use libfuzzer_sys::fuzz_target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The backend answers before it has seen all of a request.
const EARLY: u8 = 1;
/// The client ends its side when it has sent all, not when nothing moves any more.
const HALF_CLOSE: u8 = 2;

/// Nothing moves any more if nothing has moved for so long.
const QUIET: Duration = Duration::from_millis(4);
/// Far beyond the timeouts of the proxy, its linger of 2 s among them.
const HANG: Duration = Duration::from_secs(10);
/// Between two pieces, so that the proxy mostly sees two.
const PAUSE: Duration = Duration::from_micros(150);

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let rest = &rest[..rest.len().min(4096)];
    let mut sides = rest.splitn(2, |byte| *byte == 0xfe);
    let (client, backend) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
    let pieces = |side: &[u8]| side.split(|byte| *byte == 0xff).take(8).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (client, backend) = (pieces(client), pieces(backend));
    let seen = Stage::new(*choice, client.clone(), backend).play();
    let asked = requests_of(&client.concat());
    let upgraded = asked.requests.iter().any(|request| request.upgrade);
    for connection in &seen.connections {
        check_backend(connection, &asked.requests, *choice & EARLY != 0);
    }
    check_counts(&seen.connections, &asked.requests);
    check_client(&seen.client, &asked, upgraded);
});

/// A proxy that serves all runs of this process, and the listener of its backend.
struct Proxy {
    address: SocketAddr,
    workers: Workers,
    backend: TcpListener,
}

fn proxy() -> &'static Proxy {
    static PROXY: OnceLock<Proxy> = OnceLock::new();
    PROXY.get_or_init(|| {
        let backend = TcpListener::bind("127.0.0.1:0").expect("a port");
        backend.set_nonblocking(true).expect("non-blocking");
        let mut settings = Settings::default();
        for assignment in [
            "timeouts.header=300ms",
            "timeouts.keepalive=300ms",
            "timeouts.body_idle=300ms",
            "timeouts.send=300ms",
            "timeouts.connect=1s",
            "timeouts.response=300ms",
            "timeouts.response_idle=300ms",
            "timeouts.tunnel=300ms",
            "timeouts.expect=2ms",
            "limits.header_bytes=1KiB",
            "limits.request_line=512",
            "limits.headers=20",
            "limits.response_header_bytes=1KiB",
            "limits.chunk_line=64",
            "limits.body=1KiB",
            "limits.interim=3",
        ] {
            settings.set(assignment).expect(assignment);
        }
        let name = backend.local_addr().expect("an address").to_string();
        let balancer = Arc::new(LoadBalancer::new([name], Some(1), &settings));
        let workers = Workers::new("worker", 4).expect("a poller");
        let handler = Arc::new(ReverseProxyHandler::new(balancer, &settings));
        let server = TcpServer::bind("127.0.0.1:0", handler, &workers).expect("a port");
        let address = server.address();
        thread::spawn(move || server.serve_forever());
        Proxy { address, workers, backend }
    })
}

/// One of the backend's connections, and all that went over it.
struct Connection {
    stream: TcpStream,
    saw: Vec<u8>,
    sent: Vec<u8>,
    /// How much was sent when the first byte of each request came.
    sent_before: Vec<usize>,
    answered: usize,
    ended: bool,
    at_end: bool,
}

/// What came of it.
struct Seen {
    client: Vec<u8>,
    connections: Vec<Connection>,
}

/// Both peers of the proxy, on one thread.
struct Stage {
    choice: u8,
    client: TcpStream,
    to_send: std::vec::IntoIter<Vec<u8>>,
    answers: std::vec::IntoIter<Vec<u8>>,
    /// The client has ended its side.
    ended: bool,
    /// It has read the end of the proxy's side.
    at_end: bool,
    /// How often nothing moved any more.
    quiet: u32,
    seen: Seen,
}

impl Stage {
    fn new(choice: u8, client: Vec<Vec<u8>>, backend: Vec<Vec<u8>>) -> Stage {
        let stream = TcpStream::connect(proxy().address).expect("a connection to the proxy");
        stream.set_nodelay(true).expect("no delay");
        stream.set_nonblocking(true).expect("non-blocking");
        Stage {
            choice,
            client: stream,
            to_send: client.into_iter(),
            answers: backend.into_iter(),
            ended: false,
            at_end: false,
            quiet: 0,
            seen: Seen { client: Vec::new(), connections: Vec::new() },
        }
    }

    /// Until the proxy has nothing to do any more.
    fn play(mut self) -> Seen {
        let begun = Instant::now();
        while !self.at_end || proxy().workers.conversations() > 0 {
            assert!(begun.elapsed() < HANG, "an exchange that does not end");
            self.send();
            if !self.wait() {
                self.hurry();
            }
            self.receive();
        }
        self.receive();
        self.seen
    }

    /// The client's next piece. All are small enough for the kernel to take them at once.
    fn send(&mut self) {
        match self.to_send.next() {
            Some(piece) => {
                let _ = self.client.write(&piece);
                thread::sleep(PAUSE);
            }
            None if self.choice & HALF_CLOSE != 0 => self.end_client(),
            None => {}
        }
    }

    fn end_client(&mut self) {
        if !self.ended {
            self.ended = true;
            let _ = self.client.shutdown(Shutdown::Write);
        }
    }

    /// Whether something moved.
    fn wait(&self) -> bool {
        let mut set = vec![PollFd::new(&proxy().backend, PollFlags::IN)];
        if !self.at_end {
            set.push(PollFd::new(&self.client, PollFlags::IN));
        }
        let open = self.seen.connections.iter().filter(|connection| !connection.at_end);
        set.extend(open.map(|connection| PollFd::new(&connection.stream, PollFlags::IN)));
        let patience = match self.to_send.as_slice() {
            [] if self.at_end => PAUSE, // Only the count of conversations has to go down yet, and it wakes nobody.
            [] => QUIET,
            _ => Duration::ZERO,
        };
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.as_nanos().try_into().expect("less than a second") };
        poll(&mut set, Some(&patience)).unwrap_or(0) > 0 || !self.to_send.as_slice().is_empty()
    }

    /// Nothing moves any more: one peer after the other ends what it has begun.
    fn hurry(&mut self) {
        self.quiet += 1;
        match self.quiet {
            1 => self.end_client(),
            2.. => self.seen.connections.iter_mut().for_each(Connection::end),
            0 => {}
        }
    }

    fn receive(&mut self) {
        while let Ok((stream, _)) = proxy().backend.accept() {
            stream.set_nonblocking(true).expect("non-blocking");
            stream.set_nodelay(true).expect("no delay");
            let (saw, sent, sent_before) = (Vec::new(), Vec::new(), Vec::new());
            let (ended, at_end) = (false, false);
            self.seen.connections.push(Connection { stream, saw, sent, sent_before, answered: 0, ended, at_end });
        }
        self.at_end |= read_some(&mut self.client, &mut self.seen.client);
        if self.at_end {
            self.end_client();
        }
        let early = self.choice & EARLY != 0;
        for connection in &mut self.seen.connections {
            let whole = whole_requests(&connection.saw);
            let before = connection.saw.len();
            connection.at_end |= read_some(&mut connection.stream, &mut connection.saw);
            if connection.saw.len() > before && whole.1 == before {
                connection.sent_before.push(connection.sent.len());
            }
            let due = if early { usize::from(!connection.saw.is_empty()) } else { 0 };
            while connection.answered < whole_requests(&connection.saw).0.max(due) {
                connection.answered += 1;
                match self.answers.next() {
                    Some(piece) => connection.send(&piece),
                    None => connection.end(),
                }
            }
            if self.answers.as_slice().is_empty() && connection.answered > 0 {
                connection.end();
            }
            if connection.at_end {
                connection.end();
            }
        }
    }
}

impl Connection {
    fn send(&mut self, piece: &[u8]) {
        if !self.ended && self.stream.write(piece).is_ok() {
            self.sent.extend_from_slice(piece);
        }
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// All that is there; whether the stream has ended.
fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    match stream.read_to_end(into) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// How many requests are complete, and how many bytes they take.
fn whole_requests(bytes: &[u8]) -> (usize, usize) {
    let (mut count, mut start) = (0, 0);
    while let Ok(Some(request)) = request(&bytes[start..])
        && request.whole
    {
        (count, start) = (count + 1, start + request.length);
    }
    (count, start)
}

/// A request as it has to arrive at a server.
#[derive(Debug)]
struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    is_http_10: bool,
    upgrade: bool,
    content: Vec<u8>,
    whole: bool,
    length: usize,
}

/// The request at the beginning of `bytes`; `None` if its head is cut short.
fn request(bytes: &[u8]) -> Result<Option<Request>, Malformed> {
    let Some(head) = head(bytes)? else { return Ok(None) };
    let (method, target, version) = head.request_line()?;
    let is_http_10 = version == b"HTTP/1.0";
    match head.values("host").len() {
        1 => {}
        0 if is_http_10 => {}
        _ => return Err(Malformed("not one Host")),
    }
    let framing = head.framing(is_http_10)?.unwrap_or(Framing::Nothing);
    let content = content(&bytes[head.length..], framing)?;
    Ok(Some(Request {
        method: method.to_vec(),
        target: origin_form(method, target).0,
        is_http_10,
        upgrade: !head.values("upgrade").is_empty(),
        content: content.bytes,
        whole: content.whole,
        length: head.length + content.length,
    }))
}

/// What the client asked for.
struct Asked {
    requests: Vec<Request>,
}

/// As far as it can be read. Empty lines before a request count for nothing (RFC 9112 §2.2). A request whose content is
/// malformed is one, too: its head may have been forwarded by then.
fn requests_of(mut bytes: &[u8]) -> Asked {
    let mut requests = Vec::new();
    loop {
        while let [b'\r', b'\n', rest @ ..] = bytes {
            bytes = rest;
        }
        match request(bytes) {
            Ok(Some(request)) => {
                bytes = &bytes[request.length..];
                let whole = request.whole;
                requests.push(request);
                if !whole {
                    break;
                }
            }
            Ok(None) => break,
            Err(_) => {
                requests.extend(with_bad_content(bytes));
                break;
            }
        }
    }
    Asked { requests }
}

/// A chunked request that goes wrong: as much of it as is right.
fn with_bad_content(bytes: &[u8]) -> Option<Request> {
    let length = head(bytes).ok()??.length;
    let longest = (length..bytes.len()).rev().find(|end| request(&bytes[..*end]).is_ok())?;
    request(&bytes[..longest]).ok()?.map(|request| Request { whole: false, ..request })
}

/// What a backend's connection saw are requests that were asked for, in that order.
fn check_backend(connection: &Connection, asked: &[Request], early: bool) {
    let mut left = asked.iter();
    let (mut start, mut methods) = (0, Vec::new());
    while start < connection.saw.len() {
        let bytes = &connection.saw[start..];
        let parsed = request(bytes).unwrap_or_else(|error| panic!("{error}: the backend saw \"{}\"", shown(bytes)));
        let Some(got) = parsed else { break };
        assert!(!got.is_http_10 && matches!(got.target[..], [b'/', ..] | [b'*']), "the backend saw {}", shown(bytes));
        let like = |want: &Request| want.method == got.method && want.target == got.target && has_content(want, &got);
        assert!(left.any(like), "not asked for: \"{}\"; asked for: {asked:?}", shown(bytes));
        methods.push(got.method);
        start += got.length;
        if got.upgrade && connection.sent.windows(4).any(|word| word == b" 101") {
            return; // What follows may be a tunnel's.
        }
        if !got.whole {
            break;
        }
    }
    if early {
        return; // What was sent when says nothing then.
    }
    for (count, sent) in connection.sent_before.iter().enumerate().skip(1) {
        check_used_up(&connection.sent[..*sent], &methods[..count.min(methods.len())]);
    }
}

/// Whole content is the same, content cut short its beginning.
fn has_content(want: &Request, got: &Request) -> bool {
    if got.whole { want.whole && want.content == got.content } else { want.content.starts_with(&got.content) }
}

/// The connection was used again: all that the backend had sent by then were whole responses to the requests before.
fn check_used_up(sent: &[u8], methods: &[Vec<u8>]) {
    let mut start = 0;
    for method in methods {
        loop {
            let bytes = &sent[start..];
            let got = response(bytes, method, false).unwrap_or_else(|error| panic!("{error}: \"{}\"", shown(bytes)));
            let got = got.unwrap_or_else(|| panic!("used again before its end: \"{}\"", shown(bytes)));
            assert!(got.whole && !got.until_close, "used again before its end: \"{}\"", shown(bytes));
            start += got.length;
            if got.status >= 200 {
                break;
            }
        }
    }
    assert_eq!(start, sent.len(), "used again with bytes left on it: \"{}\"", shown(&sent[start..]));
}

/// Nothing was sent more often than it may be.
fn check_counts(connections: &[Connection], asked: &[Request]) {
    let mut forwarded = Vec::new();
    for connection in connections {
        let mut start = 0;
        while let Ok(Some(got)) = request(&connection.saw[start..]) {
            start += got.length;
            forwarded.push(got.method);
            if !got.whole || got.upgrade {
                break;
            }
        }
    }
    let may_repeat = |method: &[u8]| matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
    let once = forwarded.iter().filter(|method| !may_repeat(method)).count();
    let asked_once = asked.iter().filter(|request| !may_repeat(&request.method)).count();
    assert!(once <= asked_once, "{once} of {asked_once} requests that may be sent once only");
    assert!(forwarded.len() <= 2 * asked.len(), "{} of {} requests", forwarded.len(), asked.len());
}

/// A response, framed.
struct Response {
    status: u16,
    whole: bool,
    until_close: bool,
    closes: bool,
    length: usize,
}

/// The response to a request with this method at the beginning of `bytes`; `None` if its head is cut short.
fn response(bytes: &[u8], method: &[u8], to_http_10: bool) -> Result<Option<Response>, Malformed> {
    let Some(head) = head(bytes)? else { return Ok(None) };
    let (status, framing) = (head.status()?, framing_of(&head, method, to_http_10)?);
    let content = content(&bytes[head.length..], framing)?;
    Ok(Some(Response {
        status,
        whole: content.whole,
        until_close: framing == Framing::UntilClose,
        closes: head.lists("connection", "close"),
        length: head.length + content.length,
    }))
}

fn framing_of(head: &Head<'_>, method: &[u8], to_http_10: bool) -> Result<Framing, Malformed> {
    let declared = head.framing(to_http_10 || head.start.starts_with(b"HTTP/1.0"))?;
    let nothing = method == b"HEAD" || matches!(head.status()?, 100..=199 | 204 | 304);
    Ok(if nothing { Framing::Nothing } else { declared.unwrap_or(Framing::UntilClose) })
}

/// What the client saw are responses: one for each request at most, and one for what is none.
fn check_client(saw: &[u8], asked: &Asked, upgraded: bool) {
    let none = Vec::new();
    let (mut start, mut answered, mut closed) = (0, 0, false);
    while start < saw.len() {
        let bytes = &saw[start..];
        assert!(!closed, "bytes behind the last response: \"{}\" of \"{}\"", shown(bytes), shown(saw));
        let request = asked.requests.get(answered);
        let method = request.map_or(&none, |request| &request.method);
        let to_http_10 = request.is_some_and(|request| request.is_http_10);
        let got = response(bytes, method, to_http_10)
            .unwrap_or_else(|error| panic!("{error}: the client saw \"{}\"", shown(bytes)));
        let Some(got) = got else { break };
        if got.status == 101 {
            assert!(upgraded, "a 101 that nobody asked for: \"{}\"", shown(bytes));
            return;
        }
        start += got.length;
        if got.status < 200 {
            assert!(!to_http_10, "an interim response to HTTP/1.0: \"{}\"", shown(bytes));
            continue;
        }
        answered += 1;
        assert!(answered <= asked.requests.len() + 1, "more responses than requests: \"{}\"", shown(saw));
        assert!(request.is_some() || (got.status >= 400 && got.closes), "an answer to nothing: \"{}\"", shown(bytes));
        assert!(!got.until_close || (to_http_10 && got.closes), "no end: \"{}\"", shown(bytes));
        closed = got.closes || !got.whole;
        // A head that is refused as such is answered with content, HEAD or not: there is no method then.
        if method == b"HEAD" && closed && got.status >= 400 {
            return;
        }
    }
}
