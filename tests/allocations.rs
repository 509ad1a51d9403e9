//! Small keep-alive requests allocate nothing once a connection is warm: buffers are lent, records used again.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
use footbridge::settings::Settings;
use footbridge::socketserver::{TcpServer, Workers};

/// The system's allocator, with a count of what it was asked for.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Reads until `end` comes, without allocating; false if the stream ended.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) -> bool {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return false,
            Ok(read) => filled += read,
        }
        if buffer[..filled].ends_with(end) {
            return true;
        }
    }
}

/// Answers every request of every connection with the same 200.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while read_until(&mut stream, &mut buffer, b"\r\n\r\n") {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello").is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn proxy() -> SocketAddr {
    let settings = Settings::default();
    let workers = Workers::new("worker", 4).expect("a poller");
    let balancer = LoadBalancer::new([backend().to_string()], Some(1), &settings);
    let handler = Arc::new(ReverseProxyHandler::new(Arc::new(balancer), &settings));
    let server = TcpServer::bind("127.0.0.1:0", handler, &workers).expect("a free port");
    let address = server.address();
    thread::spawn(move || server.serve_forever());
    address
}

#[test]
fn a_warm_connection_allocates_nothing() {
    const REQUEST: &[u8] = b"GET /some/path?q=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n";
    let mut clients = [(); 4].map(|()| TcpStream::connect(proxy_address()).expect("a connection"));
    let mut buffer = [0; 4096];
    let mut rounds = |count: usize| {
        for _ in 0..count {
            for client in &mut clients {
                client.write_all(REQUEST).expect("the proxy reads");
            }
            for client in &mut clients {
                assert!(read_until(client, &mut buffer, b"hello"), "the proxy answers");
            }
        }
    };
    // Until all is warm, a busy machine may bring one more worker or one more connection into play, late but not often.
    // An allocation for each request, or for each hundredth, would show in every window.
    let windows = [(); 10].map(|()| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        rounds(500);
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    assert!(windows.contains(&0), "allocations in windows of 2,000 requests: {windows:?}");
}

fn proxy_address() -> SocketAddr {
    static PROXY: std::sync::OnceLock<SocketAddr> = std::sync::OnceLock::new();
    *PROXY.get_or_init(proxy)
}
