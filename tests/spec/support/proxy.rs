//! The program under test, started with flags of its own for each test and ended with it.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::backend::ScriptedBackend;
use super::client::Client;
use super::{PATIENCE, eventually, lock, within};

/// Who reads the program's standard output, where access lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// We do, at once.
    Attentive,
    /// Nobody: the pipe is closed.
    Gone,
    /// Somebody who holds the pipe open and never reads.
    Stuck,
}

/// A running footbridge. Dropping it ends the program and fails the test if one of its threads panicked.
pub struct Proxy {
    child: Child,
    addresses: Vec<SocketAddr>,
    stdout: Collected,
    stderr: Collected,
    /// Kept so that the pipe stays open while nobody reads it.
    _stuck: Option<ChildStdout>,
}

impl Proxy {
    /// In front of one backend, everything else by default.
    pub fn to(backend: &ScriptedBackend) -> Self {
        Self::set(backend, &[])
    }

    /// In front of one backend, with settings such as `timeouts.response=300ms`.
    pub fn set(backend: &ScriptedBackend, settings: &[&str]) -> Self {
        let to = backend.address().to_string();
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        Self::with(&["--to", &to].into_iter().chain(settings).collect::<Vec<_>>())
    }

    /// In front of these backends, in this order.
    pub fn before<S: AsRef<str>>(backends: &[S], more: &[&str]) -> Self {
        let flags: Vec<_> =
            backends.iter().flat_map(|address| ["--to", address.as_ref()]).chain(more.iter().copied()).collect();
        Self::with(&flags)
    }

    /// With these flags; it listens on port 0 of loopback unless they say otherwise. Unix sockets come first among the
    /// `--listen`: it is known to listen when it says so of its TCP ports.
    pub fn with(flags: &[&str]) -> Self {
        Self::with_reader(flags, Reader::Attentive)
    }

    /// As [`Self::with`], with a certain kind of reader of its standard output.
    pub fn with_reader(flags: &[&str], reader: Reader) -> Self {
        Self::start(program(), flags, reader)
    }

    /// As [`Self::with`], where the system grants so many descriptors.
    pub fn with_descriptors(most: usize, flags: &[&str]) -> Self {
        let mut command = piped(Command::new("sh"));
        command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]).arg(path());
        Self::start(command, flags, Reader::Attentive)
    }

    fn start(mut command: Command, flags: &[&str], reader: Reader) -> Self {
        if !flags.contains(&"--listen") && !flags.contains(&"--config") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !flags.iter().any(|flag| flag.starts_with("timeouts.shutdown=")) {
            // A test ends soon, whatever it left hanging.
            command.args(["--set", "timeouts.shutdown=500ms"]);
        }
        let mut child = command.args(flags).spawn().expect("the program has been built");
        let pipe = child.stdout.take();
        let (stdout, stuck) = match reader {
            Reader::Attentive => (Collected::from(pipe), None),
            Reader::Gone => (Collected::default(), None),
            Reader::Stuck => (Collected::default(), pipe),
        };
        let stderr = Collected::from(child.stderr.take());
        let is_inet = |pair: &&[&str]| pair[0] == "--listen" && !pair[1].starts_with("unix:");
        let listeners = flags.windows(2).filter(is_inet).count().max(1);
        let mut proxy = Self { child, addresses: Vec::new(), stdout, stderr, _stuck: stuck };
        let is_up = within(PATIENCE, || {
            proxy.addresses = proxy.stderr.text().lines().filter_map(listening_address).collect();
            proxy.addresses.len() >= listeners
        });
        assert!(is_up, "footbridge {flags:?} does not listen; it says:\n{}", proxy.stderr.text());
        proxy
    }

    /// Where it listens; the first address if there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Everywhere it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A new connection on which these bytes were sent.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect();
        client.send(bytes);
        client
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for `count` access lines; all there are then.
    pub fn access_lines(&self, count: usize) -> Vec<String> {
        let lines = || self.stdout().lines().map(str::to_owned).collect::<Vec<_>>();
        eventually(|| format!("{count} access lines in {:?}", lines()), || lines().len() >= count);
        lines()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program is still there");
    }

    /// Waits for the program to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, PATIENCE + Duration::from_secs(5))
            .unwrap_or_else(|| panic!("the program does not end; it says:\n{}", self.stderr.text()))
    }

    /// Ends the program; all that it has written.
    pub fn end(&mut self) -> Ended {
        self.signal(Signal::TERM);
        let code = self.wait().code();
        Ended { code, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What its open descriptors are: the kind of each, such as `socket` or `pipe` (Linux).
    pub fn descriptors(&self) -> Vec<String> {
        let kind = |entry: PathBuf| {
            // A descriptor may be closed while we look.
            let name = std::fs::read_link(entry).unwrap_or_default().to_string_lossy().into_owned();
            name.split_once(":[").map_or(name.clone(), |(kind, _)| kind.to_owned())
        };
        let mut kinds: Vec<_> = self.entries("fd").into_iter().map(kind).collect();
        kinds.sort();
        kinds
    }

    /// How many threads it has (Linux).
    pub fn threads(&self) -> usize {
        self.entries("task").len()
    }

    /// Its proportional share of memory in bytes (Linux).
    pub fn memory(&self) -> usize {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let rollup = std::fs::read_to_string(path).expect("a running process has a memory map");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("the rollup names the PSS");
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<usize>();
        1024 * kibibytes.expect("the PSS is a number of kB")
    }

    fn entries(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(format!("/proc/{}/{folder}", self.child.id()));
        entries.expect("a running process has this folder").flatten().map(|entry| entry.path()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.is_running() {
            // It may end between the question and the signal.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let ended_by_itself = wait(&mut self.child, PATIENCE).is_some();
        if !ended_by_itself {
            // A process that cannot be killed has ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let stderr = self.stderr.all();
        if thread::panicking() {
            eprintln!("--- footbridge wrote to standard error:\n{stderr}---");
            return;
        }
        assert!(!stderr.contains("panicked"), "a thread of footbridge panicked:\n{stderr}");
        assert!(ended_by_itself, "footbridge had to be killed; it says:\n{stderr}");
    }
}

/// How the program has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// Runs the program to its end.
pub fn run(flags: &[&str]) -> Ended {
    let mut child = program().args(flags).spawn().expect("the program has been built");
    let (mut stdout, mut stderr) = (Collected::from(child.stdout.take()), Collected::from(child.stderr.take()));
    let Some(status) = wait(&mut child, PATIENCE) else {
        child.kill().expect("the program can be killed");
        child.wait().expect("a killed program ends");
        panic!("footbridge {flags:?} should have ended; it says:\n{}", stderr.all());
    };
    Ended { code: status.code(), stdout: stdout.all(), stderr: stderr.all() }
}

fn program() -> Command {
    piped(Command::new(path()))
}

/// Another build of the program can be put to the same tests.
fn path() -> OsString {
    std::env::var_os("FOOTBRIDGE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_footbridge").into())
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let mut status = None;
    within(patience, || {
        status = child.try_wait().expect("we started this process");
        status.is_some()
    });
    status
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    // With `--log-format json` the line goes on behind the address.
    let rest = line.rsplit_once("listening on ")?.1;
    rest.split(['"', ' ']).next()?.parse().ok()
}

/// What a pipe has carried so far, read by a thread of its own so that the program is never held up.
#[derive(Default)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from<R: Read + Send + 'static>(pipe: Option<R>) -> Self {
        let mut pipe = pipe.expect("the pipe was asked for and not yet taken");
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let bytes = Arc::clone(&bytes);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    lock(&bytes).extend_from_slice(&buffer[..count]);
                }
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    /// What came so far.
    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// All there is, once the program has ended.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a pipe does not panic");
        }
        self.text()
    }
}
