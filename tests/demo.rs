//! `footbridge demo`, run as a user runs it: the program is started, used and ended by a signal.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes long; a test that waits for this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The demo as a process of its own; killed if the test fails.
struct Demo {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Demo {
    fn start() -> Demo {
        let mut process = Command::new(env!("CARGO_BIN_EXE_footbridge"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a first line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        Demo { process, stdout, address: address.to_owned() }
    }

    /// The whole response to one request on a connection of its own.
    fn ask(&self, request_line: &str, content: &str) -> String {
        let mut stream = self.send(request_line, content);
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("a response that ends");
        String::from_utf8_lossy(&response).into_owned()
    }

    fn send(&self, request_line: &str, content: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = content.len();
        let head =
            format!("{request_line} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}\r\n{content}").as_bytes()).expect("sent");
        stream
    }

    /// Ends it by Ctrl-C's signal: the exit code and the rest of what it printed.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::INT).expect("it runs");
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).expect("text");
        (self.process.wait().expect("it ends").code(), printed)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already, if the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn all_three_backends_answer_and_a_hang_up_is_hidden_by_a_second_try() {
    let demo = Demo::start();
    let (mut seen, mut failed, begun) = (BTreeSet::new(), 0, Instant::now());
    // Of eight requests shaky hangs up on one, so some of so many were tried twice.
    for number in 0.. {
        let response = demo.ask("GET /hello", "");
        match response.get(..12) {
            Some("HTTP/1.1 200") => {}
            Some("HTTP/1.1 500") => failed += 1,
            _ => panic!("request {number}: {response:?}"),
        }
        seen.insert(header(&response, "X-Backend").expect("a backend's name").to_owned());
        if seen.len() == 3 && failed >= 2 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?}, {failed} failed");
    }
    let (code, printed) = demo.interrupt();
    assert_eq!(code, Some(0));
    assert!(printed.contains("/events"), "what to try: {printed}");
    assert!(printed.contains("\"GET /hello HTTP/1.1\" 200") && printed.contains(" tries=2 "), "{printed}");
}

#[test]
fn the_page_the_echo_and_the_fields_come_from_any_backend() {
    let demo = Demo::start();
    for _ in 0..6 {
        let page = demo.ask("GET /", "");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.trim_end().ends_with("</html>"), "{page}");
        let content = "over the bridge".repeat(10_000);
        let echo = demo.ask("POST /echo", &content);
        assert!(
            echo.starts_with("HTTP/1.1 200 OK\r\n") && echo.ends_with(&format!("\r\n\r\n{content}")),
            "{echo:.300}"
        );
        let fields = demo.ask("GET /headers?<b>", "");
        assert!(fields.contains("GET /headers?<b> HTTP/1.1\n") && fields.contains("Via: 1.1 footbridge\n"), "{fields}");
        assert_eq!(header(&fields, "X-Content-Type-Options"), Some("nosniff"));
        assert!(demo.ask("GET /nowhere", "").starts_with("HTTP/1.1 404 Not Found\r\n"));
    }
}

#[test]
fn an_event_comes_while_its_stream_is_open_and_ctrl_c_does_not_wait_for_the_rest() {
    let demo = Demo::start();
    let mut stream = BufReader::new(demo.send("GET /events", ""));
    let mut line = String::new();
    while !line.starts_with("data: event 2 from ") {
        line.clear();
        assert!(stream.read_line(&mut line).expect("another line") > 0, "the stream ended");
    }
    let begun = Instant::now();
    assert_eq!(demo.interrupt().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
