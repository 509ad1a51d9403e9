//! How the program starts and what it is told while it runs: Unix sockets, sockets that are handed down, the service
//! manager, signals.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_footbridge");

/// Used up by a failure only.
const PATIENCE: Duration = Duration::from_secs(20);

fn eventually(hope: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "in vain: {hope}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("footbridge-start-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running footbridge, killed with the test.
struct Footbridge {
    child: Child,
    stderr: Arc<Mutex<String>>,
}

impl Footbridge {
    /// Starts it; `line` is split at spaces. Waits until it serves.
    fn start(line: &str) -> Footbridge {
        Footbridge::run(Command::new(BINARY).args(line.split(' ')), "listening on ")
    }

    /// Waits until it says that.
    fn run(command: &mut Command, says: &str) -> Footbridge {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (stderr, pipe) = (Arc::new(Mutex::new(String::new())), child.stderr.take().unwrap());
        let seen = Arc::clone(&stderr);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                *seen.lock().unwrap() += &(line + "\n");
            }
        });
        let footbridge = Footbridge { child, stderr };
        footbridge.wait_for(says);
        footbridge
    }

    fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        eventually(&format!("it says {text:?}"), || {
            let said = self.said();
            assert!(!said.starts_with("footbridge: "), "{said}");
            said.contains(text)
        });
    }

    /// The port of the first TCP address that it listens on.
    fn address(&self) -> SocketAddr {
        let said = self.said();
        // As JSON, the line goes on.
        let address = |line: &str| line.split_once("listening on ")?.1.split('"').next()?.parse().ok();
        said.lines().find_map(address).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.said());
    }
}

impl Drop for Footbridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        assert!(thread::panicking() || !self.said().contains("panicked"), "{}", self.said());
    }
}

/// A backend whose answer is the head of the request. Its address.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let lines = client.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: String = lines.map(|line| line + "\n").collect();
            let length = head.len();
            let _ = write!(
                client.get_mut(),
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{head}"
            );
        }
    });
    address
}

/// The response to a request on a connection of its own.
fn ask(mut client: impl Read + Write, lines: &str) -> String {
    write!(client, "GET /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n").unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    response
}

fn ask_unix(path: &Path, lines: &str) -> String {
    ask(UnixStream::connect(path).unwrap(), lines)
}

fn lines_of(path: &Path, count: usize) -> Vec<String> {
    let lines = || fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    eventually(&format!("{count} lines in {}", path.display()), || lines().len() >= count);
    lines()
}

#[test]
fn a_unix_socket_is_served_from_its_making_to_its_removal() {
    let directory = Directory::new("unix");
    let (path, log) = (directory.join("socket"), directory.join("log"));
    // A stale one is in the way.
    drop(UnixListener::bind(&path).unwrap());
    for (format, client) in [("text", "unix - - ["), ("json", "{\"client\":\"unix\",")] {
        let _ = fs::remove_file(&log);
        let (backend, path, log) = (backend(), path.display(), log.display());
        let line = format!("--listen unix:{path} --listen 0 --to {backend} --access-log {log} --log-format {format}");
        let mut proxy = Footbridge::start(&line);
        proxy.wait_for("listening on 127.0.0.1:");
        let response = ask_unix(Path::new(&path.to_string()), "X-Forwarded-For: 192.0.2.1\r\n");
        // RFC 7239 §6.
        assert!(response.contains("\nX-Forwarded-For: unknown\n"), "{response}");
        ask(TcpStream::connect(proxy.address()).unwrap(), "");
        let lines = lines_of(Path::new(&log.to_string()), 2);
        assert!(lines[0].starts_with(client) && lines[1].contains("127.0.0.1"), "{lines:?}");
        proxy.stop();
        assert!(!Path::new(&path.to_string()).exists(), "its file is removed");
    }
}

/// More than a socket holds goes both ways, and neither way's end is lost.
#[test]
fn long_contents_go_over_a_unix_socket_as_they_do_over_tcp() {
    const LENGTH: usize = 5_000_000;
    let directory = Directory::new("long");
    let path = directory.join("socket");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        while !all.ends_with(&[b'x'; 9]) || all.len() < LENGTH {
            let mut piece = vec![0; 65_536];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0);
            all.extend_from_slice(&piece[..read]);
        }
        let content = &all[all.len() - LENGTH..];
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n").unwrap();
        stream.write_all(content).unwrap();
    });
    let proxy = Footbridge::start(&format!("--listen unix:{} --to {to} --access-log off", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    write!(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n").unwrap();
    client.write_all(&vec![b'x'; LENGTH]).unwrap();
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    assert!(response.ends_with(&vec![b'x'; LENGTH]), "{} bytes", response.len());
    drop(proxy);
}

#[test]
fn a_peer_on_a_unix_socket_is_believed_only_if_the_list_says_unix() {
    let directory = Directory::new("trust");
    let path = directory.join("socket");
    for (trust, want) in [("0.0.0.0/0 --trust ::/0", "unknown"), ("unix", "192.0.2.1, unknown")] {
        let line = format!("--listen unix:{} --to {} --trust {trust} --access-log off", path.display(), backend());
        let mut proxy = Footbridge::start(&line);
        let response = ask_unix(&path, "X-Forwarded-For: 192.0.2.1\r\n");
        assert!(response.contains(&format!("\nX-Forwarded-For: {want}\n")), "{trust}: {response}");
        proxy.stop();
    }
}

/// What stands behind an interim response that the client did not take at once is not forgotten: it was looked at only
/// when the backend sent more, and by then `timeouts.response` was over. (A Unix socket takes little at once.)
#[test]
fn a_final_response_behind_interim_ones_that_the_client_takes_late_arrives() {
    let directory = Directory::new("interim");
    let path = directory.join("socket");
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = backend.local_addr().unwrap();
    thread::spawn(move || {
        let early =
            format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", format!("Link: <{}>\r\n", "x".repeat(1000)).repeat(55));
        let (mut stream, _) = backend.accept().unwrap();
        let _request = stream.read(&mut [0; 1024]).unwrap();
        write!(stream, "{}HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat last", early.repeat(8)).unwrap();
        let _until_closed = stream.read(&mut [0; 1024]);
    });
    let _proxy = Footbridge::start(&format!("--listen unix:{} --to {to} --access-log off", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(300)); // The proxy has long filled what the kernel holds for us.
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    assert!(all.matches("103 Early Hints").count() == 8 && all.ends_with("\r\n\r\nat last"), "{} bytes", all.len());
}

#[test]
fn a_unix_socket_goes_when_the_program_ends() {
    let directory = Directory::new("gone");
    let [path, admin] = ["socket", "admin"].map(|name| directory.join(name));
    let line = format!("--listen unix:{} --admin unix:{} --to {}", path.display(), admin.display(), backend());
    let mut proxy = Footbridge::start(&line);
    proxy.wait_for("admin page on ");
    assert!(path.exists() && admin.exists());
    let folder = directory.0.display();
    assert!(!proxy.said().contains(&format!("{folder} and {folder}")), "{}", proxy.said());
    proxy.stop();
    assert!(!path.exists() && !admin.exists());
}

#[test]
fn what_is_in_the_way_of_a_unix_socket_is_named_and_stays() {
    let directory = Directory::new("way");
    let path = directory.join("socket");
    let run = || -> String {
        let output =
            Command::new(BINARY).args(["--to", "a:1", "--listen", &format!("unix:{}", path.display())]).output();
        let Output { status, stderr, .. } = output.unwrap();
        assert_eq!(status.code(), Some(1));
        String::from_utf8(stderr).unwrap()
    };
    fs::write(&path, "a letter").unwrap();
    let want = format!(
        "footbridge: cannot listen on unix:{}: a file is there that is no socket: remove it, or choose another path\n",
        path.display()
    );
    assert_eq!(run(), want);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
    fs::remove_file(&path).unwrap();
    let _live = UnixListener::bind(&path).unwrap();
    assert!(run().ends_with(": another program listens there; stop it, or choose another path\n"));
    UnixStream::connect(&path).unwrap();
}

/// Starts it with two descriptors handed down, by a shell: it alone knows the number of the process to come.
fn activated(first: impl Into<OwnedFd>, second: impl Into<OwnedFd>, environment: &str, arguments: &str) -> Command {
    let script = format!("export {environment}; exec {BINARY} {arguments} 3<&0 4<&1 </dev/null >/dev/null");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(first.into()).stdout(second.into());
    command
}

const TWO: &str = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local";

#[test]
fn sockets_that_are_handed_down_serve_the_addresses_they_have() {
    let directory = Directory::new("activation");
    let path = directory.join("socket");
    let (inet, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = inet.local_addr().unwrap();
    let arguments = format!("--listen {address} --listen unix:{} --to {}", path.display(), backend());
    for _ in 0..2 {
        let mut command = activated(inet.try_clone().unwrap(), unix.try_clone().unwrap(), TWO, &arguments);
        // Connected before anybody accepts: it waits.
        let early = TcpStream::connect(address).unwrap();
        let mut proxy = Footbridge::run(&mut command, "listening on unix:");
        ask(early, "");
        ask(TcpStream::connect(address).unwrap(), "");
        ask_unix(&path, "");
        assert!(!proxy.said().contains("inherited"), "{}", proxy.said());
        proxy.stop();
        assert!(path.exists(), "the file is its maker's");
    }
}

/// While both run, either accepts; when the first has ended, the second does.
#[test]
fn two_processes_share_a_socket_and_one_can_end() {
    let directory = Directory::new("share");
    let path = directory.join("socket");
    let (inet, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = inet.local_addr().unwrap();
    let arguments = format!("--listen {address} --listen unix:{} --to {}", path.display(), backend());
    let start = || {
        let mut command = activated(inet.try_clone().unwrap(), unix.try_clone().unwrap(), TWO, &arguments);
        Footbridge::run(&mut command, "listening on unix:")
    };
    let ask_all = || {
        for _ in 0..20 {
            ask(TcpStream::connect(address).unwrap(), "");
            ask_unix(&path, "");
        }
    };
    let mut old = start();
    for _ in 0..3 {
        let new = start();
        ask_all();
        old.stop();
        assert!(!old.said().contains("ERROR"), "{}", old.said());
        ask_all();
        old = new;
    }
    old.stop();
}

#[test]
fn a_socket_that_no_address_asks_for_is_warned_of() {
    let other = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (first, second) = (other(), other());
    let address = second.local_addr().unwrap();
    let arguments = format!("--listen 0 --to {}", backend());
    let mut proxy = Footbridge::run(&mut activated(first, second, TWO, &arguments), "listening on 127.0.0.1:");
    let warning = format!("WARN the inherited socket local on {address} serves nobody: ");
    assert!(
        proxy.said().contains(&warning) && proxy.said().contains("the inherited socket web on "),
        "{}",
        proxy.said()
    );
    ask(TcpStream::connect(proxy.address()).unwrap(), "");
    proxy.stop();
}

#[test]
fn what_is_handed_down_and_cannot_be_served_ends_the_start() {
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    for (second, environment, want) in [
        (
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            TWO,
            "LISTEN_FDS: descriptor 4: not a listening stream socket",
        ),
        (fs::File::open("/dev/null").unwrap().into(), TWO, "LISTEN_FDS: descriptor 4: not a listening stream socket"),
        (listener().into(), "LISTEN_PID=$$ LISTEN_FDS=3", "LISTEN_FDS is 3, but descriptor 5 is not open"),
        (
            listener().into(),
            "LISTEN_PID=$$ LISTEN_FDS=4294967295",
            "LISTEN_FDS is 4294967295, but descriptor 5 is not open",
        ),
        (listener().into(), "LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS or LISTEN_PID is no number"),
    ] {
        let second: OwnedFd = second;
        let output = activated(listener(), second, environment, "--listen 0 --to a:1").output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("footbridge: {want}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// `sd_listen_fds(3)`: they are for the process with that number.
#[test]
fn what_is_handed_down_to_another_process_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let environment = "LISTEN_PID=1 LISTEN_FDS=2";
    let mut command =
        activated(listener.try_clone().unwrap(), listener, environment, &format!("--listen 0 --to {}", backend()));
    let mut proxy = Footbridge::run(&mut command, "listening on 127.0.0.1:");
    assert!(!proxy.said().contains("inherited"), "{}", proxy.said());
    proxy.stop();
}

/// The next message to the service manager.
fn message(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let length = socket.recv(&mut bytes).expect("a message to the service manager");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn the_service_manager_is_told_how_it_goes() {
    let directory = Directory::new("notify");
    let path = directory.join("notify");
    let name = format!("footbridge-notify-{}", std::process::id());
    let by_name = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    for (manager, place) in [
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
        (UnixDatagram::bind_addr(&by_name).unwrap(), format!("@{name}")),
    ] {
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let line = format!("--listen 0 --to {}", backend());
        let mut command = Command::new(BINARY);
        command.args(line.split(' ')).env("NOTIFY_SOCKET", &place).stdout(Stdio::null());
        let mut proxy = Footbridge::run(&mut command, "listening on ");
        assert_eq!(message(&manager), "READY=1");
        ask(TcpStream::connect(proxy.address()).unwrap(), "");
        proxy.signal(Signal::HUP);
        let reloading = message(&manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let uptime: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
        let since = since.parse::<f64>().unwrap() / 1e6;
        // The monotonic clock does not count sleep, and a container may have an uptime of its own.
        assert!(since > 0.0 && since < uptime + 1e9, "{since} {uptime}");
        assert_eq!(message(&manager), "READY=1");
        ask(TcpStream::connect(proxy.address()).unwrap(), "");
        proxy.signal(Signal::TERM);
        assert_eq!(message(&manager), "STOPPING=1");
        assert_eq!(proxy.wait().code(), Some(0));
    }
}

#[test]
fn a_service_manager_that_is_not_there_is_warned_of_and_hinders_nothing() {
    let mut command = Command::new(BINARY);
    let line = format!("--listen 0 --to {}", backend());
    command.args(line.split(' ')).env("NOTIFY_SOCKET", "/nowhere/notify").stdout(Stdio::null());
    let mut proxy = Footbridge::run(&mut command, "WARN the service manager cannot be told that we are ready");
    ask(TcpStream::connect(proxy.address()).unwrap(), "");
    proxy.stop();
}

/// As logrotate does it: the file is moved away, then comes the signal.
#[test]
fn usr1_opens_the_access_log_anew() {
    let directory = Directory::new("usr1");
    let (log, moved) = (directory.join("access.log"), directory.join("access.log.1"));
    let line = format!("--listen 0 --to {} --access-log {}", backend(), log.display());
    let mut proxy = Footbridge::start(&line);
    let ask_for = |path: &str| {
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client.read_to_string(&mut String::new()).unwrap();
    };
    ask_for("/one");
    assert!(lines_of(&log, 1)[0].contains("GET /one "));
    fs::rename(&log, &moved).unwrap();
    ask_for("/two");
    assert!(lines_of(&moved, 2)[1].contains("GET /two "));
    proxy.signal(Signal::USR1);
    eventually("a new file", || log.exists());
    proxy.wait_for("opened anew");
    ask_for("/three");
    assert!(lines_of(&log, 1)[0].contains("GET /three "));
    // Where nothing can be opened, the lines go on to where they went.
    fs::rename(&log, directory.join("access.log.2")).unwrap();
    fs::create_dir(&log).unwrap();
    proxy.signal(Signal::USR1);
    proxy.wait_for("ERROR cannot open anew, the old file is kept: access log ");
    ask_for("/four");
    assert!(lines_of(&directory.join("access.log.2"), 2)[1].contains("GET /four "));
    assert_eq!(lines_of(&moved, 2).len(), 2);
    proxy.stop();
}

#[test]
fn hup_without_a_configuration_file_changes_nothing() {
    let mut proxy = Footbridge::start(&format!("--listen 0 --to {}", backend()));
    proxy.signal(Signal::HUP);
    proxy.wait_for("ERROR not reloaded: the configuration stays as it was");
    ask(TcpStream::connect(proxy.address()).unwrap(), "");
    proxy.stop();
}

/// Reading the backends takes its time, as looking up names may.
#[test]
fn a_start_that_takes_long_can_be_ended() {
    let directory = Directory::new("fifo");
    let (backends, config) = (directory.join("backends"), directory.join("config.toml"));
    assert!(Command::new("mkfifo").arg(&backends).status().unwrap().success());
    let listen = "[[listen]]\naddress = \"127.0.0.1:0\"";
    let servers = format!("[backends.a]\nservers = [\"file:{}\"]", backends.display());
    let text = format!("{listen}\n{servers}\n[[route]]\nto = \"a\"\n");
    fs::write(&config, text).unwrap();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut command = Command::new(BINARY);
        let mut proxy = Footbridge::run(command.arg("--config").arg(&config), "confined");
        proxy.signal(signal);
        assert_eq!(proxy.wait().signal(), Some(signal.as_raw()), "{}", proxy.said());
    }
}

/// Their terminal has gone.
#[test]
fn hup_ends_the_demo() {
    let mut child = Command::new(BINARY).args(["demo", "--listen", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// While it ends, USR1 is heeded and HUP does nothing; the next TERM ends it at once.
#[test]
fn what_signals_do_while_the_program_ends() {
    let directory = Directory::new("end");
    let log = directory.join("access.log");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = silent.local_addr().unwrap();
    let line = format!("--listen 0 --to {to} --access-log {} --set timeouts.shutdown=60s", log.display());
    let mut proxy = Footbridge::start(&line);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let held = silent.accept().unwrap();
    proxy.signal(Signal::TERM);
    proxy.wait_for("stopping on TERM");
    fs::rename(&log, directory.join("access.log.1")).unwrap();
    proxy.signal(Signal::HUP);
    proxy.signal(Signal::USR1);
    eventually("a new file", || log.exists());
    assert!(proxy.child.try_wait().unwrap().is_none(), "it does not wait for the request in flight");
    let before = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(before.elapsed() < Duration::from_secs(30));
    drop(held);
}

/// Its request is on the way: closing the connection now would fail it. The wait is a second, which a busy machine may
/// use up; not five times.
#[test]
fn who_has_just_connected_is_served_when_the_program_ends() {
    let backend = backend();
    let is_served = || {
        let mut proxy = Footbridge::start(&format!("--listen 0 --to {backend} --access-log off"));
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        proxy.signal(Signal::TERM);
        eventually("no more are accepted", || TcpStream::connect(proxy.address()).is_err());
        // The idle ones have ended by now.
        thread::sleep(Duration::from_millis(50));
        let mut response = String::new();
        let served = client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
            && client.read_to_string(&mut response).is_ok()
            && response.starts_with("HTTP/1.1 200 OK\r\n")
            && response.contains("\r\nConnection: close\r\n");
        assert_eq!(proxy.wait().code(), Some(0));
        served
    };
    assert!((0..5).any(|_| is_served()), "each was closed");
}

/// The whole of it, as systemd does it, by the script that shows it to people.
#[test]
fn the_binary_is_replaced_under_load_without_a_failed_request() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/upgrade-demo");
    let arguments = ["--footbridge", BINARY, "--upgrades", "3", "--pause", "0.3"];
    let output = Command::new("python3").arg(script).args(arguments).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("upgrade-demo: 3 upgrades, ") && said.contains(", 0 failed"), "{said}");
}

#[test]
fn more_connections_than_descriptors_suffice_for_are_warned_of() {
    for (connections, told) in [(500, true), (20, false)] {
        let script = format!(
            "ulimit -n 256; exec {BINARY} --listen 127.0.0.1:0 --to a:1 --set limits.connections={connections}"
        );
        let mut proxy = Footbridge::run(Command::new("sh").args(["-c", &script]), "listening on ");
        assert_eq!(proxy.said().contains("limits.connections is 500, and descriptors suffice for "), told);
        proxy.stop();
    }
}
