//! Listeners as a program that uses the library has them. Apart from the other tests, because the umask and the signals
//! of the whole process are involved.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use footbridge::serve::Serving;
use footbridge::settings::listen::{ListenAddress, ListenSettings};
use footbridge::socketserver::{Listener, Next, PeerAddress, RequestHandler, Socket, Workers, blocking};

/// A new directory of our own.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("footbridge-listeners-{}-{name}", std::process::id()));
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    path
}

fn unix(path: &Path, mode: Option<u32>) -> ListenSettings {
    ListenSettings { address: ListenAddress::Unix(path.into()), mode }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_unix_socket_has_its_mode_replaces_what_is_stale_and_nothing_else() {
    let directory = directory("unix");
    let path = directory.join("socket");

    for bits in [0o600, 0o660, 0o666, 0o777] {
        let listener = Listener::bind(&unix(&path, Some(bits))).unwrap();
        assert_eq!(mode(&path), bits);
        drop(listener);
        assert!(!path.exists(), "its file goes with it");
    }

    // As a program that was killed leaves it.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listener = Listener::bind(&unix(&path, Some(0o600))).unwrap();
    assert_eq!(mode(&path), 0o600);
    UnixStream::connect(&path).unwrap();

    // Somebody listens there: it stays.
    assert_eq!(Listener::bind(&unix(&path, None)).unwrap_err().kind(), ErrorKind::AddrInUse);
    UnixStream::connect(&path).unwrap();
    // Another program's socket that has taken the place of ours is not removed.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(listener);
    UnixStream::connect(&path).unwrap();
    drop(other);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "no socket").unwrap();
    let error = Listener::bind(&unix(&path, Some(0o600))).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::AlreadyExists, "a file is there that is no socket")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "no socket");
    fs::remove_dir_all(directory).unwrap();
}

/// Says where the client comes from, and then gives back what it gets.
struct Echo;

impl RequestHandler for Echo {
    fn handle(self: Arc<Self>, mut request: Socket, client: PeerAddress) -> Next {
        blocking(move || {
            let kind: &[u8] = if client.ip().is_some() { b"inet" } else { b"unix" };
            request.write_all(kind)?;
            request.read_exact(&mut [0; 5])?;
            request.write_all(b"bye")
        })
    }
}

/// Ends the conversation that began with `connect`.
fn end(client: &mut (impl Read + Write)) {
    client.write_all(b"hello").unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bye");
}

fn begin(client: &mut impl Read, kind: &str) {
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, kind.as_bytes());
}

#[test]
fn listeners_come_and_go_while_others_serve() {
    let directory = directory("serving");
    let path = directory.join("socket");
    let workers = Workers::new("echo", 8).unwrap();
    let mut serving = Serving::new(Arc::new(Echo), &workers, 100, Duration::from_secs(1));
    let inet = |serving: &mut Serving| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = ListenAddress::Inet(listener.local_addr().unwrap());
        let ListenAddress::Inet(address) = serving.start(asked, listener.into()).unwrap() else { panic!() };
        address
    };
    let connect = |address: SocketAddr| TcpStream::connect(address).unwrap();

    let first = inet(&mut serving);
    let mut before = connect(first);
    begin(&mut before, "inet");
    let second = inet(&mut serving);
    let settings = unix(&path, None);
    serving.start(settings.address.clone(), Listener::bind(&settings).unwrap()).unwrap();
    assert_eq!(serving.addresses().count(), 3);
    let mut on_unix = UnixStream::connect(&path).unwrap();
    begin(&mut on_unix, "unix");
    let mut on_second = connect(second);
    begin(&mut on_second, "inet");

    assert!(serving.stop(&ListenAddress::Inet(first)) && serving.stop(&settings.address));
    assert!(!serving.stop(&settings.address), "it is gone");
    assert_eq!(TcpStream::connect(first).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    // What they had accepted goes on, and the other serves.
    end(&mut before);
    end(&mut on_unix);
    end(&mut on_second);
    begin(&mut connect(second), "inet");
    // The same place can be listened on again.
    serving.start(settings.address.clone(), Listener::bind(&settings).unwrap()).unwrap();
    begin(&mut UnixStream::connect(&path).unwrap(), "unix");
    assert!(serving.stop(&settings.address) && serving.stop(&ListenAddress::Inet(second)));
    fs::remove_dir_all(directory).unwrap();
}
