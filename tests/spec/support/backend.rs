//! Backends that behave as scripted: real listeners on port 0, a thread for each connection, every byte recorded.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::message::{Content, End, Head, read_head, read_request_content, text};
use super::wire::{Stop, Transcript, Wire};
use super::{PATIENCE, lock};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The number of the connection it came on, from 0.
    pub connection: usize,
    /// Its head.
    pub head: Head,
    /// Its content, as far as it was read.
    pub content: Content,
}

impl Request {
    /// The content as text.
    pub fn text(&self) -> String {
        text(&self.content.bytes)
    }

    /// Whether the request can be taken for a whole one.
    pub fn is_complete(&self) -> bool {
        self.content.end == End::Complete
    }
}

/// One connection from the proxy, in the hands of a script.
pub struct Connection {
    /// Connections are numbered as they come, from 0.
    pub number: usize,
    wire: Wire,
    log: Arc<Log>,
    /// Where the request being read stands in the log.
    current: usize,
}

impl Connection {
    /// Reads the head of the next request; `None` once the proxy has closed.
    pub fn head(&mut self) -> Option<Head> {
        let head = read_head(&mut self.wire).ok()?;
        let content = Content::unread();
        self.current = self.log.add(Request { connection: self.number, head: head.clone(), content });
        Some(head)
    }

    /// Reads the content of the request whose head was just read.
    pub fn content(&mut self, head: &Head) -> Content {
        let content = read_request_content(&mut self.wire, head);
        self.log.finish(self.current, content.clone());
        content
    }

    /// Reads the next request whole; `None` once the proxy has closed, be it in the middle.
    pub fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        let content = self.content(&head);
        let request = Request { connection: self.number, head, content };
        request.is_complete().then_some(request)
    }

    /// Sends bytes, one per char; whether the proxy was still there to take them.
    pub fn send(&mut self, text: &str) -> bool {
        self.send_bytes(&super::message::latin1(text))
    }

    /// Sends bytes; whether the proxy was still there to take them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.wire.send(bytes).is_ok()
    }

    /// The next bytes, whatever they are; empty at the end of the connection.
    pub fn read_some(&mut self) -> Vec<u8> {
        self.wire.some().unwrap_or_default()
    }

    /// Reads up to and including `marker`; whether it came.
    pub fn read_until(&mut self, marker: &str) -> bool {
        self.wire.until(marker.as_bytes()).is_ok()
    }

    /// Reads exactly `length` bytes, or `None` if they do not come.
    pub fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        self.wire.exactly(length).ok()
    }

    /// Half-closes.
    pub fn finish(&mut self) {
        self.wire.finish();
    }

    /// Resets the connection when the script returns.
    pub fn reset(&mut self) {
        self.wire.reset_on_close();
    }

    /// Reads nothing and waits until the connection is reset, or ended by [`ScriptedBackend::hang_up`].
    pub fn wait_gone(&mut self) {
        super::within(PATIENCE, || self.wire.is_gone());
    }

    /// Reads and forgets until the proxy closes; whether it did so in time.
    pub fn wait_closed(&mut self) -> bool {
        self.wire.rest().1 != Stop::TimedOut
    }
}

/// What a backend has seen.
#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
    connections: Mutex<Vec<(Transcript, Weak<TcpStream>)>>,
    /// Set and looked at by who holds `connections`.
    retired: AtomicBool,
}

impl Log {
    fn add(&self, request: Request) -> usize {
        let mut requests = lock(&self.requests);
        requests.push(request);
        self.changed.notify_all();
        requests.len() - 1
    }

    fn finish(&self, index: usize, content: Content) {
        lock(&self.requests)[index].content = content;
        self.changed.notify_all();
    }
}

/// A backend that runs one script per connection.
pub struct ScriptedBackend {
    address: SocketAddr,
    log: Arc<Log>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

impl ScriptedBackend {
    /// The general case: `script` runs on a thread of its own for each connection, which closes when it returns.
    pub fn running(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
        // std asks for a queue of 128: of more connections at once the kernel would lose some.
        rustix::net::listen(&listener, 4096).expect("it listens already");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (log, stopping) = (Arc::new(Log::default()), Arc::new(AtomicBool::new(false)));
        let acceptor = thread::spawn({
            let (log, stopping) = (Arc::clone(&log), Arc::clone(&stopping));
            move || accept_all(&listener, &Arc::new(script), &log, &stopping)
        });
        Self { address, log, stopping, acceptor: Some(acceptor) }
    }

    /// Answers each request as `answer` says, and keeps the connection.
    pub fn answering_with(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::running(move |connection| {
            while let Some(request) = connection.request() {
                connection.send(&answer(&request));
            }
        })
    }

    /// Answers each request with these bytes, and keeps the connection.
    pub fn answering(response: &str) -> Self {
        let response = response.to_owned();
        Self::answering_with(move |_| response.clone())
    }

    /// Answers one request with these bytes, then closes.
    pub fn answering_then_closing(response: &str) -> Self {
        let response = response.to_owned();
        Self::running(move |connection| {
            if connection.request().is_some() {
                connection.send(&response);
            }
        })
    }

    /// Answers 200 with the content of the request; to HEAD with its length only.
    pub fn echoing() -> Self {
        Self::answering_with(|request| {
            let text = request.text();
            let to_head = request.head.start_line.starts_with("HEAD ");
            if to_head { format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()) } else { ok(&text) }
        })
    }

    /// Answers 200 with its name.
    pub fn named(name: &str) -> Self {
        Self::answering(&ok(name))
    }

    /// Reads requests and never answers.
    pub fn silent() -> Self {
        Self::running(|connection| while connection.request().is_some() {})
    }

    /// Takes a request and closes without a byte.
    pub fn closing_without_a_byte() -> Self {
        Self::answering_then_closing("")
    }

    /// Takes a request and resets the connection.
    pub fn resetting() -> Self {
        Self::running(|connection| {
            connection.request();
            connection.reset();
        })
    }

    /// Closes in the middle of a chunk.
    pub fn closing_mid_chunk() -> Self {
        Self::answering_then_closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na\r\n012")
    }

    /// Switches to WebSocket and sends back what comes.
    pub fn tunnelling() -> Self {
        Self::running(|connection| {
            if connection.head().is_none() {
                return;
            }
            connection.send(super::SWITCHING);
            loop {
                let bytes = connection.read_some();
                if bytes.is_empty() || !connection.send_bytes(&bytes) {
                    return;
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as text.
    pub fn at(&self) -> String {
        self.address.to_string()
    }

    /// The requests whose heads have arrived so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.log.requests).clone()
    }

    /// The requests for this target that have arrived so far.
    pub fn requests_for(&self, target: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.head.target() == target).collect()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        lock(&self.log.connections).len()
    }

    /// How many connections are still in the hands of their scripts.
    pub fn open_connections(&self) -> usize {
        lock(&self.log.connections).iter().filter(|(_, stream)| stream.strong_count() > 0).count()
    }

    /// Every byte that arrived, by connection.
    pub fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.log.connections).iter().map(|(transcript, _)| transcript.bytes()).collect()
    }

    /// Waits until `count` requests have been read to their end, whole or cut; all of them.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        let deadline = Instant::now() + PATIENCE;
        let is_read = |request: &&Request| request.content.end != End::Unread;
        self.wait(deadline, |requests| requests.iter().filter(is_read).count() >= count)
    }

    /// Waits until the heads of `count` requests have arrived.
    pub fn wait_for_heads(&self, count: usize) -> Vec<Request> {
        self.wait(Instant::now() + PATIENCE, |requests| requests.len() >= count)
    }

    /// Closes all connections, as a server that restarts does; the listener stays.
    pub fn hang_up(&self) {
        for (_, stream) in lock(&self.log.connections).iter() {
            if let Some(stream) = stream.upgrade() {
                // Gone already: all the better.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Closes all connections, and each that comes from now on. Heard by a request, too, that is still on its way here.
    pub fn retire(&self) {
        let connections = lock(&self.log.connections);
        self.log.retired.store(true, Ordering::SeqCst);
        drop(connections);
        self.hang_up();
    }

    fn wait(&self, deadline: Instant, is_enough: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let mut requests = lock(&self.log.requests);
        while !is_enough(&requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "the backend waits in vain; it has {requests:#?}");
            let waited = self.log.changed.wait_timeout(requests, left);
            requests = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        requests.clone()
    }
}

impl Drop for ScriptedBackend {
    /// Ends all scripts; one that panicked fails the test.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept loop; if that cannot be done the loop has ended.
        let _ = TcpStream::connect(self.address);
        let Some(Ok(scripts)) = self.acceptor.take().map(JoinHandle::join) else {
            return;
        };
        self.hang_up();
        let failed = scripts.into_iter().filter_map(|script| script.join().err()).count();
        assert!(failed == 0 || thread::panicking(), "{failed} connections of the backend failed, see above");
    }
}

fn accept_all<S>(listener: &TcpListener, script: &Arc<S>, log: &Arc<Log>, stopping: &AtomicBool) -> Vec<JoinHandle<()>>
where
    S: Fn(&mut Connection) + Send + Sync + 'static,
{
    let mut scripts = Vec::new();
    loop {
        let (stream, _) = listener.accept().expect("a listener on loopback accepts");
        if stopping.load(Ordering::SeqCst) {
            return scripts;
        }
        let wire = Wire::new(stream);
        let mut connections = lock(&log.connections);
        if log.retired.load(Ordering::SeqCst) {
            continue;
        }
        let number = connections.len();
        connections.push((wire.transcript().clone(), Arc::downgrade(wire.stream())));
        let mut connection = Connection { number, wire, log: Arc::clone(log), current: 0 };
        let script = Arc::clone(script);
        scripts.push(thread::spawn(move || script(&mut connection)));
    }
}

/// A 200 response with this content.
pub fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.chars().count())
}
