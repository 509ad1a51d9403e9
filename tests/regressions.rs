//! Inputs that once went wrong, each against a real proxy.

use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
use footbridge::settings::Settings;
use footbridge::socketserver::{Next, PeerAddress, RequestHandler, Socket, TcpServer, Workers, blocking};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// What a client reads that sends these pieces, with time between them for the proxy to take each by itself.
fn answer_to(pieces: &[&str]) -> String {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = backend.local_addr().unwrap().to_string();
    let balancer = Arc::new(LoadBalancer::new([name], Some(1), &Settings::default()));
    let handler = Arc::new(ReverseProxyHandler::new(balancer, &Settings::default()));
    let server = TcpServer::bind("127.0.0.1:0", handler, &Workers::new("worker", 2).unwrap()).unwrap();
    let (address, stop) = (server.address(), server.shutdown_handle());
    let serving = thread::spawn(move || server.serve_forever());
    let answering = thread::spawn(move || {
        backend.set_nonblocking(true).unwrap();
        // 5 s, and then the client has given up.
        for _ in 0..500 {
            match backend.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    let _ = stream.read_to_end(&mut Vec::new());
                    return;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(10)),
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.set_nodelay(true).unwrap();
    for piece in pieces {
        client.write_all(piece.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = client.read_to_string(&mut answer);
    stop.shutdown();
    serving.join().unwrap();
    drop(client);
    if !answer.starts_with("HTTP/1.1 200 OK\r\n") {
        return answer;
    }
    answering.join().unwrap();
    answer
}

/// RFC 9112 §2.2: an empty line before a request is passed over. Cut between its CR and its LF it made the worker panic.
#[test]
fn an_empty_line_before_a_request_may_come_in_two_pieces() {
    for pieces in [
        &["\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"][..],
        &["\r", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        &["\r", "\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ] {
        let answer = answer_to(pieces);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{pieces:?}: {answer:?}");
    }
}

/// Since 6.10, Linux keeps the file of a socket for as long as the leader sleeps in `epoll_wait`, if it was closed in the
/// moment in which the leader looked whether it can be read: the client was not told of the end.
#[test]
fn a_connection_that_a_handler_ends_is_at_its_end() {
    struct Echo;
    impl RequestHandler for Echo {
        fn handle(self: Arc<Self>, mut request: Socket, _: PeerAddress) -> Next {
            blocking(move || {
                request.write_all(b"hello")?;
                request.read_exact(&mut [0; 5])?;
                request.write_all(b"bye")
            })
        }
    }
    let server = TcpServer::bind("127.0.0.1:0", Arc::new(Echo), &Workers::new("echo", 4).unwrap()).unwrap();
    let (address, stop) = (server.address(), server.shutdown_handle());
    let serving = thread::spawn(move || server.serve_forever());
    for _ in 0..5000 {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        client.write_all(b"hello").unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).expect("the end comes by itself");
        assert_eq!(rest, "bye");
    }
    stop.shutdown();
    serving.join().unwrap();
}
