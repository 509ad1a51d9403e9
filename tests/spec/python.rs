//! The originals: Python's `http.server` behind footbridge and `http.client` in front of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::backend::ScriptedBackend;
use crate::support::get;
use crate::support::pattern::Pattern;
use crate::support::proxy::Proxy;

/// Python, or `None` with a loud word if there is none.
fn python() -> Option<Command> {
    let has_python = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_python {
        eprintln!("SKIPPED: there is no python3");
    }
    has_python.then(|| Command::new("python3"))
}

/// A folder with files in it, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("footbridge-{}-python-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a new folder can be made");
        for (name, content) in files {
            std::fs::write(path.join(name), content).expect("a new file can be written");
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `python3 -m http.server`.
struct HttpServer {
    child: Child,
    address: String,
}

impl HttpServer {
    fn serving(mut python: Command, folder: &Path) -> Self {
        python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(folder);
        let mut child = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3 starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("the pipe was asked for");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        // Serving HTTP on 127.0.0.1 port 43210 (http://127.0.0.1:43210/) ...
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { child, address }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Behind footbridge a file server serves its files, its folders, and its 404.
#[test]
fn pythons_http_server_works_behind_footbridge() {
    let (Some(first), Some(second)) = (python(), python()) else {
        return;
    };
    let large = Pattern::default().piece(0, 3 << 20);
    let folder = Folder::with(&[("hello.txt", b"hello from python\n"), ("large.bin", &large)]);
    let servers = [HttpServer::serving(first, &folder.0), HttpServer::serving(second, &folder.0)];
    let proxy = Proxy::with(&["--to", &servers[0].address, "--to", &servers[1].address]);
    let mut client = proxy.connect();
    for _ in 0..20 {
        client.send(get("/hello.txt"));
        let reply = client.reply();
        assert_eq!((reply.status(), reply.text().as_str()), (200, "hello from python\n"));
        assert!(reply.head.field("server").is_some_and(|server| server.contains("Python")), "{:?}", reply.head);
    }
    client.send(get("/large.bin"));
    assert!(client.reply().content.bytes == large);
    client.send("HEAD /large.bin HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.reply_to_head().head.field("content-length"), Some(large.len().to_string().as_str()));
    client.send(get("/missing"));
    assert_eq!(client.reply().status(), 404);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.reply().status(), 501);
    client.send(get("/"));
    assert!(client.reply().text().contains("large.bin"));
}

/// What Python's client does on one connection: a GET, a POST with a length, one in chunks, HEAD, a reused connection.
const CLIENT: &str = r#"
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)

def ask(method, content=None, **more):
    connection.request(method, "/python?q=1", content, **more)
    response = connection.getresponse()
    return response.status, response.read()

for _ in range(3):
    assert ask("GET") == (200, b""), "GET"
    assert ask("POST", b"hello" * 1000) == (200, b"hello" * 1000), "POST"
    assert ask("PUT", iter([b"one", b"two", b"three"]), encode_chunked=True) == (200, b"onetwothree"), "chunked"
    assert ask("HEAD") == (200, b""), "HEAD"
    assert ask("GET", headers={"Expect": "100-continue"}) == (200, b""), "Expect"
assert connection.sock is not None, "the connection was closed"
print("fine")
"#;

/// In front of footbridge Python's client is served on one connection.
#[test]
fn pythons_http_client_works_in_front_of_footbridge() {
    let Some(mut python) = python() else { return };
    let backend = ScriptedBackend::echoing();
    let proxy = Proxy::to(&backend);
    python.args(["-", &proxy.address().port().to_string()]);
    let mut child =
        python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("python3 starts");
    child
        .stdin
        .take()
        .expect("the pipe was asked for")
        .write_all(CLIENT.as_bytes())
        .expect("python3 reads its program");
    let output = child.wait_with_output().expect("we started this process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "fine", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(backend.requests_for("/python?q=1").len(), 15);
}
