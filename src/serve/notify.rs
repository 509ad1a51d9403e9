//! Tells the service manager how it goes (`sd_notify(3)`). Input: `NOTIFY_SOCKET` of the environment. Output: datagrams
//! to it, such as `READY=1`. Without a service manager: nothing.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A service manager that is too busy to listen must not keep us from serving.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier(io::Result<Option<UnixDatagram>>);

impl Notifier {
    /// Connects to where `NOTIFY_SOCKET` says. To be called before rights are given up: the sandbox connects to no
    /// abstract socket. What fails is told by [`Notifier::ready`], since there is no log yet.
    #[must_use]
    pub fn from_environment() -> Notifier {
        let place = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty());
        Notifier(place.map(|place| connect(&place)).transpose())
    }

    /// All listeners serve, with the present configuration.
    pub fn ready(&self) {
        if let Notifier(Err(error)) = self {
            log::warn!("the service manager cannot be told that we are ready: NOTIFY_SOCKET: {error}");
        }
        self.send("READY=1");
    }

    /// The configuration is being read anew, until [`Notifier::ready`].
    pub fn reloading(&self) {
        // By this, systemd tells our answer to its signal from one that was under way before. The clock is always there.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        let micros = now.as_secs() * 1_000_000 + u64::from(now.subsec_micros());
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        if let Notifier(Ok(Some(socket))) = self
            && let Err(error) = socket.send(message.as_bytes())
        {
            log::warn!("the service manager cannot be told {message:?}: {error}");
        }
    }
}

fn connect(place: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match place.as_bytes() {
        [b'/', ..] => socket.connect(place)?,
        [b'@', name @ ..] => connect_abstract(&socket, name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract socket")),
    }
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
