//! Least rights, as the kernel sees them. What needs root, or Landlock in the kernel, is skipped with a line where that
//! is missing.

#![cfg(target_os = "linux")]

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::slice::from_ref;
use std::thread;

use footbridge::rights::{self, Needs};
use rustix::process::{Pid, Signal, geteuid, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_footbridge");

/// Says loudly that nothing was tested.
fn skip(why: &str) {
    eprintln!("\n*** SKIPPED: {why} ***\n");
}

/// A proxy in a process of its own, listening.
struct Footbridge {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// What it logged before it listened.
    notes: Vec<String>,
    /// In the order of `--listen`.
    addresses: Vec<SocketAddr>,
}

impl Footbridge {
    /// `line` is split at spaces, and has a `--listen` for each of `listeners`.
    fn start(line: &str, listeners: usize) -> Footbridge {
        let mut command = Command::new(BINARY);
        command.args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut notes, mut addresses) = (Vec::new(), Vec::new());
        while addresses.len() < listeners {
            let Some(line) = stderr.next() else { panic!("it ended: {notes:?}") };
            let line = line.unwrap();
            match line.split_once("listening on ") {
                Some((_, address)) => addresses.push(address.parse().unwrap()),
                None => notes.push(line),
            }
        }
        Footbridge { child, stderr, notes, addresses }
    }

    fn has_noted(&self, text: &str) -> bool {
        self.notes.iter().any(|note| note.contains(text))
    }

    /// The whole response from the given listener.
    fn get(&self, listener: usize) -> String {
        get(self.addresses[listener])
    }

    /// What all threads have at `key` in their status, which must be the same.
    fn status(&self, key: &str) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut values: Vec<String> = tasks
            .map(|task| {
                let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
                let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
                value.unwrap_or_else(|| panic!("no {key}")).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert!(values.len() >= 5, "main, the logs, an accept loop and a worker: {values:?}");
        values.dedup();
        assert_eq!(values.len(), 1, "{key} differs between threads: {values:?}");
        values.remove(0)
    }

    /// Ends it as an operator does. Returns how it ended and what it logged since it listened.
    fn stop(mut self) -> (ExitStatus, Vec<String>) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let lines = self.stderr.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap(), lines)
    }
}

impl Drop for Footbridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    response
}

/// A backend that says "hello" to everyone; its port.
fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let head = client.by_ref().lines().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
            head.for_each(drop);
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            client.get_mut().write_all(response).unwrap();
        }
    });
    port
}

/// A new directory that everybody may write to.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("footbridge-rights-{}-{name}", std::process::id()));
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    path
}

/// A free port that only root may bind, on most machines.
fn low_port() -> u16 {
    (512..1024).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one is free")
}

#[test]
fn with_a_user_no_thread_keeps_a_right_of_root() {
    if !geteuid().is_root() {
        return skip("only root can become another user");
    }
    let logs = directory("user");
    let log = logs.join("access.log");
    let line = format!(
        "--listen {} --listen 0 --to localhost:{} --access-log {} --user nobody",
        low_port(),
        backend(),
        log.display()
    );
    let proxy = Footbridge::start(&line, 2);
    for listener in [0, 1] {
        assert!(proxy.get(listener).ends_with("\r\n\r\nhello"));
    }
    assert!(!proxy.has_noted("running as root"), "{:?}", proxy.notes);
    let note = proxy.notes.iter().find_map(|note| note.split_once("INFO running as nobody (uid ")).unwrap().1;
    let (uid, gid) = note.trim_end_matches(')').split_once(", gid ").unwrap();
    assert_ne!(uid, "0");
    // Real, effective, saved, file system.
    assert_eq!(proxy.status("Uid"), [uid; 4].join(" "));
    assert_eq!(proxy.status("Gid"), [gid; 4].join(" "));
    assert_eq!(proxy.status("Groups"), "");
    // Without these, and with no 0 among the four, setuid(0) is refused.
    for capabilities in ["CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(proxy.status(capabilities), "0000000000000000", "{capabilities}");
    }
    let (status, lines) = proxy.stop();
    assert!(status.success(), "{lines:?}");
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("\"GET /path HTTP/1.1\" 200 5")).count(), 2, "{text}");
    fs::remove_dir_all(logs).unwrap();
}

#[test]
fn a_group_of_its_own_takes_the_place_of_the_users() {
    if !geteuid().is_root() {
        return skip("only root can become another user");
    }
    let line = format!("--listen 0 --to localhost:{} --user 61234 --group 61235 --no-sandbox", backend());
    let proxy = Footbridge::start(&line, 1);
    assert!(proxy.get(0).ends_with("\r\n\r\nhello"));
    assert_eq!(proxy.status("Uid"), ["61234"; 4].join(" "));
    assert_eq!(proxy.status("Gid"), ["61235"; 4].join(" "));
    assert_eq!(proxy.status("Groups"), "");
}

#[test]
fn running_as_root_without_a_user_is_warned_of() {
    let line = format!("--listen 0 --to localhost:{}", backend());
    let warned = Footbridge::start(&line, 1).has_noted("WARN running as root: ");
    assert_eq!(warned, geteuid().is_root());
}

#[test]
fn an_unknown_user_is_one_line_and_exit_2() {
    let output = Command::new(BINARY).args(["--to", "a:1", "--user", "no:such:user"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "footbridge: --user \"no:such:user\": no such user in /etc/passwd\n");
}

#[test]
fn who_is_not_root_can_become_nobody_else() {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "0", "--to", "a:1", "--user", "61234", "--group", "61234"]);
    if geteuid().is_root() {
        command.uid(61236);
    }
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return skip("another user cannot reach the program");
        }
        output => output.unwrap(),
    };
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("footbridge: cannot become 61234 (uid 61234, gid 61234): only root can"), "{stderr}");
}

#[test]
fn the_sandbox_holds_for_every_thread_and_hinders_no_request() {
    let logs = directory("sandbox");
    let log = logs.join("access.log");
    let line = format!("--listen 0 --listen [::1]:0 --to localhost:{} --access-log {}", backend(), log.display());
    let listeners = if TcpListener::bind("[::1]:0").is_ok() { 2 } else { 1 };
    let line = if listeners == 2 { line } else { line.replace(" --listen [::1]:0", "") };
    let proxy = Footbridge::start(&line, listeners);
    for listener in 0..listeners {
        assert!(proxy.get(listener).ends_with("\r\n\r\nhello"));
    }
    if proxy.has_noted("not confined: ") {
        skip("no Landlock in this kernel; only the requests were tested");
    } else {
        let confined = format!("INFO confined by Landlock: writes to {} only, ", logs.display());
        assert!(proxy.has_noted(&confined), "{:?}", proxy.notes);
        // Set on the way into the sandbox, and inherited like it; of the sandbox itself, /proc says nothing.
        assert_eq!(proxy.status("NoNewPrivs"), "1");
    }
    let (status, lines) = proxy.stop();
    assert!(status.success(), "{lines:?}");
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), listeners);
    fs::remove_dir_all(logs).unwrap();
}

#[test]
fn no_sandbox_means_none() {
    let proxy = Footbridge::start(&format!("--listen 0 --to localhost:{} --no-sandbox", backend()), 1);
    assert!(proxy.get(0).ends_with("\r\n\r\nhello"));
    assert!(!proxy.has_noted("confined"), "{:?}", proxy.notes);
    assert_eq!(proxy.status("NoNewPrivs"), "0");
}

/// In a thread of the test: Landlock holds for that one and those that it starts.
#[test]
fn what_the_sandbox_allows_and_what_not() {
    let logs = directory("rules");
    let (log, secret) = (logs.join("access.log"), std::env::temp_dir().join("footbridge-rights-elsewhere"));
    fs::write(&log, "").unwrap();
    let processors = thread::available_parallelism().unwrap();
    let backend = backend();
    let confined = thread::spawn(move || {
        let needs = Needs { access_log: Some(&log), ..Needs::default() };
        let notes = rights::give_up(None, true, &needs).unwrap();
        let (_, note) = notes.last().unwrap();
        if note.starts_with("not confined") {
            return skip(note);
        }
        let no_ports = note.contains("no further TCP port");
        let child = thread::spawn(move || {
            let denied =
                |result: std::io::Result<()>| result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
            // The log is opened anew after it was moved away: where it is, nowhere else.
            let new = || OpenOptions::new().append(true).create(true).clone();
            fs::remove_file(&log).expect_err("nothing is removed");
            new().open(&log).unwrap().write_all(b"line\n").unwrap();
            new().open(log.with_file_name("access.log.new")).unwrap();
            assert!(denied(new().open(&secret).map(drop)));
            new().open("/dev/null").unwrap();
            // Names are looked up, files elsewhere are not read, the log neither.
            fs::read("/etc/hosts").unwrap();
            ("localhost", backend).to_socket_addrs().unwrap();
            assert!(denied(fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).map(drop)));
            assert!(denied(fs::read(&log).map(drop)));
            assert!(denied(fs::read_dir("/etc").map(drop)));
            assert!(denied(Command::new("/bin/true").spawn().map(drop)));
            assert_eq!(thread::available_parallelism().unwrap(), processors);
            assert!(get(([127, 0, 0, 1], backend).into()).ends_with("hello"));
            assert_eq!(denied(TcpListener::bind("127.0.0.1:0").map(drop)), no_ports);
        });
        child.join().unwrap();
    });
    confined.join().unwrap();
    fs::remove_dir_all(logs).unwrap();
}

/// What a changed configuration brings is possible if it was asked for, and nothing else.
#[test]
fn the_sandbox_leaves_what_reloading_needs() {
    let (configuration, sockets) = (directory("configuration"), directory("sockets"));
    let (file, socket) = (configuration.join("footbridge.toml"), sockets.join("socket"));
    fs::write(&file, "before").unwrap();
    let confined = thread::spawn({
        let (configuration, sockets) = (configuration.clone(), sockets.clone());
        move || {
            let needs =
                Needs { read: from_ref(&configuration), sockets: from_ref(&sockets), binds: true, access_log: None };
            let notes = rights::give_up(None, true, &needs).unwrap();
            let (_, note) = notes.last().unwrap();
            if note.starts_with("not confined") {
                return skip(note);
            }
            let told = format!(
                "makes sockets in {}, reads what looking up names needs and {}, starts",
                sockets.display(),
                configuration.display()
            );
            assert!(note.contains(&told) && !note.contains("TCP"), "{note}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "before");
            for _ in 0..2 {
                drop(UnixListener::bind(&socket).unwrap());
                fs::remove_file(&socket).unwrap();
            }
            drop(TcpListener::bind("127.0.0.1:0").unwrap());
            for denied in [
                fs::write(&file, "after").map(drop),
                fs::remove_file(&file),
                fs::write(sockets.join("file"), ""),
                UnixListener::bind(configuration.join("socket")).map(drop),
                fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).map(drop),
            ] {
                assert_eq!(denied.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
        }
    });
    confined.join().unwrap();
    for directory in [configuration, sockets] {
        fs::remove_dir_all(directory).unwrap();
    }
}

/// A configuration and a list of backends that are links, as those who generate or mount them make them.
#[test]
fn the_sandbox_leaves_what_links_lead_to() {
    let (links, files) = (directory("links"), directory("files"));
    for name in ["footbridge.toml", "backends"] {
        symlink(files.join(name), links.join(name)).unwrap();
    }
    let replace = |name: &str, text: String| {
        fs::write(files.join("next"), text).unwrap();
        fs::rename(files.join("next"), files.join(name)).unwrap();
    };
    let configuration = |comment: &str| {
        let listed = links.join("backends");
        let group = format!("[backends.app]\nservers = [\"file:{}\"]\n[[route]]\nto = \"app\"\n", listed.display());
        format!("# {comment}\n[[listen]]\naddress = \"127.0.0.1:0\"\n{group}")
    };
    replace("backends", "127.0.0.1:1\n".to_owned());
    replace("footbridge.toml", configuration("before"));
    let mut proxy = Footbridge::start(&format!("--config {}", links.join("footbridge.toml").display()), 1);
    replace("footbridge.toml", configuration("after"));
    kill_process(Pid::from_child(&proxy.child), Signal::HUP).unwrap();
    let line = proxy.stderr.by_ref().map(Result::unwrap).find(|line| line.contains("reloaded")).unwrap();
    assert!(line.contains(" INFO reloaded: "), "{line}");
    replace("backends", "127.0.0.1:2\n".to_owned());
    let line = proxy.stderr.by_ref().map(Result::unwrap).find(|line| line.contains("backends")).unwrap();
    assert!(line.ends_with("1 backends: 127.0.0.1:2"), "{line}");
    if proxy.has_noted("not confined: ") {
        skip("no Landlock in this kernel; only the links were tested");
    }
    for directory in [links, files] {
        fs::remove_dir_all(directory).unwrap();
    }
}
