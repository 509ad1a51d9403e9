//! The configuration file as a user meets it: the program is started on one, and says what it thinks of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::{fs, thread};

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("footbridge-config-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn footbridge(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_footbridge")).args(flags).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const GOOD: &str = r#"
[server]
workers = 4
[timeouts]
header = "off"
[[listen]]
address = "127.0.0.1:0"
[backends.app]
servers = ["127.0.0.1:1", { address = "127.0.0.1:2", weight = 2 }]
balance = { hash = "cookie:sid" }
[[route]]
path = "/api"
to = "app"
strip_prefix = "/api"
"#;

#[test]
fn a_file_that_is_right_gets_one_line_and_its_warnings() {
    let file = File::new("right", GOOD);
    let ended = footbridge(&["check", "--config", file.path()]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let line = format!("{:?} is right: listens on 1, routes 1, groups 1, backends or lists of them 2\n", file.path());
    assert_eq!(text(&ended.stdout), line);
    let warning = "footbridge: warning: timeouts.header is off: a client that stops keeps its place for ever\n";
    assert_eq!(text(&ended.stderr), warning);
}

#[test]
fn ten_mistakes_are_told_in_one_run_each_with_its_place() {
    let file = File::new(
        "wrong",
        "[server]\nlog_format = xml\nwrokers = 4\n[timeouts]\nheader = 10\n[limits]\nheaders = 0\n[[listen]]\n\
         address = \"localhost\"\n[backends.app]\nservers = [\"app\", 3]\n[[route]]\nload_balance = \"random\"\n\
         path = \"api\"\nredirect = { to = \"/\", status = 200 }\n",
    );
    for flags in [
        &["check", "--config", file.path()][..],
        &["--config", file.path()],
        &["--config", file.path(), "--print-config"],
    ] {
        let ended = footbridge(flags);
        assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(2), ""), "{ended:?}");
        let start = format!("{}:", file.path());
        let told: Vec<_> = text(&ended.stderr).lines().filter_map(|line| line.strip_prefix(&start)).collect();
        let places: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            ["2:14", "3:1", "5:10", "7:11", "9:11", "11:12", "11:19", "13:1", "14:8", "15:33"],
            "{ended:?}"
        );
        assert_eq!(
            told[7],
            "13:1: unknown key \"load_balance\" in [[route]]; did you mean \"balance\" in [backends.*]?"
        );
        assert!(text(&ended.stderr).contains("\n  wrokers = 4\n  ^\n"), "{ended:?}");
    }
}

#[test]
fn what_is_printed_is_read_again_as_the_same() {
    let file = File::new("first", GOOD);
    let flags =
        ["--to", "a:1", "--to", "file:/etc/b", "--health", "/up", "--set", "timeouts.send=1500ms", "--seed", "7"];
    for flags in [&["--config", file.path(), "--set", "limits.body=1MiB"][..], &flags] {
        let printed = footbridge(&[flags, &["--print-config"]].concat());
        assert_eq!(printed.status.code(), Some(0), "{printed:?}");
        let second = File::new("second", text(&printed.stdout));
        let again = footbridge(&["--config", second.path(), "--print-config"]);
        assert_eq!(text(&again.stdout), text(&printed.stdout), "{again:?}");
        assert!(!again.stdout.is_empty());
    }
}

/// Killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_runs_on_a_file() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    // Port 0 would leave us without a way to know the port: take one that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = File::new(
        "runs",
        &format!(
            "[server]\naccess_log = \"off\"\nworkers = {{ max = 2, stack = \"128KiB\", idle = \"1s\" }}\n\
             [[listen]]\naddress = \"{free}\"\n[backends.app]\nservers = [\"{}\"]\n",
            backend.local_addr().unwrap()
        ),
    );
    let answer = thread::spawn(move || {
        let mut stream = backend.accept().unwrap().0;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        line
    });
    let mut child = Running(
        Command::new(env!("CARGO_BIN_EXE_footbridge"))
            .args(["--config", file.path()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(&free.to_string()) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it says where it listens");
    }
    let mut stream = TcpStream::connect(free).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nok"), "{response}");
    assert_eq!(answer.join().unwrap(), "GET /x HTTP/1.1\r\n");
}
