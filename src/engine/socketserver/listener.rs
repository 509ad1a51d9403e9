//! A listening socket: TCP or Unix, made here or inherited from whoever started us. Input: where to listen. Output:
//! connections, as descriptors. Knows nothing of what is spoken over them.
//!
//! Python: `TCPServer.server_bind`, `UnixStreamServer`. Departs: a socket file that nobody listens on any more is
//! replaced, and its permissions hold from its first moment.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

use super::address::PeerAddress;
use crate::settings::listen::{ListenAddress, ListenSettings};

/// Connections that the kernel completes before they are accepted; it cuts this to what it allows (`somaxconn`).
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Kind,
    /// The file of a Unix socket of our own making: nobody else removes it.
    file: Option<SocketFile>,
    inherited: bool,
}

#[derive(Debug)]
enum Kind {
    Inet(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds and listens. For a Unix socket, a file that was left behind by one is replaced; nobody can connect before
    /// its mode holds.
    ///
    /// Sets the process's umask for the moment of binding a Unix socket with a mode: no other thread should be creating
    /// files then.
    ///
    /// # Errors
    /// What `bind` returns: the address is in use, not ours, or its port needs more rights. For a Unix socket also
    /// [`io::ErrorKind::AlreadyExists`] if a file is in the way that is no socket, and [`io::ErrorKind::AddrInUse`] if
    /// somebody listens on it.
    pub fn bind(settings: &ListenSettings) -> io::Result<Listener> {
        match &settings.address {
            ListenAddress::Inet(address) => Ok(TcpListener::bind(address)?.into()),
            ListenAddress::Unix(path) => {
                let socket = bind_unix(path, settings.mode)?;
                let file = SocketFile::at(path.clone())?;
                Ok(Listener { socket: Kind::Unix(socket), file: Some(file), inherited: false })
            }
        }
    }

    /// Takes a descriptor that was inherited as a listening stream socket, and that other processes may accept on, too.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it is anything else.
    pub fn inherit(descriptor: OwnedFd) -> io::Result<Listener> {
        let of_streams = sockopt::socket_type(&descriptor).is_ok_and(|kind| kind == SocketType::STREAM);
        if !of_streams || !sockopt::socket_acceptconn(&descriptor)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening stream socket"));
        }
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
        let family = rustix::net::getsockname(&descriptor)?.address_family();
        let socket = match family {
            AddressFamily::UNIX => Kind::Unix(descriptor.into()),
            AddressFamily::INET | AddressFamily::INET6 => Kind::Inet(descriptor.into()),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a TCP nor a Unix socket")),
        };
        Ok(Listener { socket, file: None, inherited: true })
    }

    /// The same socket once more: both accept from one queue. The file of a Unix socket goes with the first.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn try_clone(&self) -> io::Result<Listener> {
        let socket = match &self.socket {
            Kind::Inet(socket) => Kind::Inet(socket.try_clone()?),
            Kind::Unix(socket) => Kind::Unix(socket.try_clone()?),
        };
        Ok(Listener { socket, file: None, inherited: self.inherited })
    }

    /// Where it listens; the port is the real one if 0 was asked for. A Unix socket without a file has an empty path.
    ///
    /// # Errors
    /// As [`TcpListener::local_addr`].
    pub fn address(&self) -> io::Result<ListenAddress> {
        Ok(match &self.socket {
            Kind::Inet(socket) => ListenAddress::Inet(socket.local_addr()?),
            Kind::Unix(socket) => {
                ListenAddress::Unix(socket.local_addr()?.as_pathname().unwrap_or(Path::new("")).into())
            }
        })
    }

    /// Whether the socket is not of our making: others may accept on it, now or after us.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Makes accepting as the accept loop wants it.
    pub(super) fn prepare(&self) -> io::Result<()> {
        if let Kind::Inet(socket) = &self.socket {
            // Small writes leave at once; each write of ours is as large as it can be. Accepted sockets inherit this.
            sockopt::set_tcp_nodelay(socket, true)?;
        }
        if !self.inherited {
            // Once more, because std asks for a queue of 128: a burst of more clients would lose SYNs, a second each.
            rustix::net::listen(self, BACKLOG)?;
        }
        self.stop_blocking()
    }

    /// The mode belongs to the socket and not to the descriptor: whoever shares an inherited one may change it.
    fn stop_blocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self, true)?)
    }

    /// Whether there is a connection in the queue. If it cannot be told, accepting will.
    pub(super) fn has_waiting(&self) -> bool {
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&at_once)) != Ok(0)
    }

    /// Takes the next connection from the queue.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none; else as [`TcpListener::accept`].
    pub(super) fn accept(&self) -> io::Result<(OwnedFd, PeerAddress)> {
        if self.inherited {
            self.stop_blocking()?;
        }
        match &self.socket {
            Kind::Inet(socket) => {
                let (stream, address) = socket.accept()?;
                if !cfg!(target_os = "linux") {
                    // It may be gone already; whoever reads from it will see.
                    let _ = stream.set_nodelay(true);
                }
                Ok((stream.into(), PeerAddress::Inet(address)))
            }
            Kind::Unix(socket) => socket.accept().map(|(stream, _)| (stream.into(), PeerAddress::Unix)),
        }
    }

    /// The file of a Unix socket of our making.
    #[must_use]
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// Removes the file of a Unix socket of our making: nobody comes any more, and who came is still in the queue.
    pub(super) fn remove_file(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Listener {
        Listener { socket: Kind::Inet(socket), file: None, inherited: false }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Inet(socket) => socket.as_fd(),
            Kind::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Binds to `path`, once more if a stale file is in the way.
fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    match bind_with_mode(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            bind_with_mode(path, mode)
        }
        bound => bound,
    }
}

/// The umask makes the file with its mode; changing it afterwards would come too late for who connects at once.
fn bind_with_mode(path: &Path, mode: Option<u32>) -> io::Result<UnixListener> {
    let Some(mode) = mode else { return UnixListener::bind(path) };
    let before = rustix::process::umask(Mode::from_raw_mode(!mode & 0o777));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    bound
}

/// Removes a socket file if nobody listens on it: a program that was killed leaves it behind.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket"));
    }
    if !is_stale(path)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    fs::remove_file(path)
}

/// Only a refusal says that nobody listens: "not permitted" or "try again" say that there may be somebody.
fn is_stale(path: &Path) -> io::Result<bool> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    let connected = rustix::net::connect(&socket, &SocketAddrUnix::new(path)?);
    Ok(connected == Err(rustix::io::Errno::CONNREFUSED))
}

/// A socket's file, as we made it.
#[derive(Clone, Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<SocketFile> {
        let file = fs::symlink_metadata(&path)?;
        Ok(SocketFile { path, device: file.dev(), inode: file.ino() })
    }

    /// Not so if another program's socket has taken its place.
    fn is_ours(&self) -> bool {
        let is_ours = |file: fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        fs::symlink_metadata(&self.path).is_ok_and(is_ours)
    }

    /// Changes its permission bits: who may connect from now on.
    ///
    /// # Errors
    /// It is another user's, or another program's socket has taken its place.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        if !self.is_ours() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its place"));
        }
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }

    /// Removes it, unless another program's socket has taken its place.
    pub fn remove(&self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("the socket's file stays, and is replaced when next started: {}: {error}", self.path.display());
        }
    }
}
