//! A connection that is being made: begun by a worker, which need not wait for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, getpeername, getsockname, socket_with, sockopt,
};

use super::readiness::Readiness;
use super::room::Token;
use super::socket::Socket;
use super::worker::Worker;
use crate::settings::listen::ListenAddress;

/// A socket whose peer has not answered yet. It waits in the room for [`Readiness::WRITE`].
#[derive(Debug)]
pub struct Connecting(Socket);

/// Why there is no connection, so far or at all.
#[derive(Debug)]
pub enum Unfinished {
    /// The peer has not answered.
    Waits(Connecting),
    /// It refused, or cannot be reached.
    Failed(io::Error),
}

impl Connecting {
    /// Asks for a connection.
    ///
    /// # Errors
    /// If the system knows at once that it cannot be: no route, no such path, no descriptor left.
    pub fn begin(address: &ListenAddress, worker: &Worker) -> io::Result<Connecting> {
        let asked = match address {
            ListenAddress::Inet(address) => connect_inet(*address)?,
            ListenAddress::Unix(path) => {
                let socket = open(AddressFamily::UNIX)?;
                match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
                    Ok(()) | Err(Errno::AGAIN) => socket, // Its queue is full; a socket that is not connected waits.
                    Err(error) => return Err(error.into()),
                }
            }
        };
        worker.register_connecting(asked).map(Connecting)
    }

    /// Where to wait for it.
    #[must_use]
    pub fn token(&self) -> Token {
        self.0.token()
    }

    /// Takes in what the poller told about it.
    pub fn note(&mut self, edges: Readiness) {
        self.0.note(edges);
    }

    /// The connected socket, if the peer has answered.
    ///
    /// # Errors
    /// [`Unfinished`].
    pub fn finish(self) -> Result<Socket, Unfinished> {
        match self.is_made() {
            Ok(true) => Ok(self.0),
            Ok(false) => Err(Unfinished::Waits(self)),
            Err(error) => Err(Unfinished::Failed(error)),
        }
    }

    fn is_made(&self) -> io::Result<bool> {
        sockopt::socket_error(&self.0)??;
        let peer = match getpeername(&self.0) {
            Err(Errno::NOTCONN) => return Ok(false),
            peer => peer?,
        };
        // To a port of this machine on which nobody listens, the kernel may connect us from that very port: to
        // ourselves. We would read our own request as the answer to it, and hold the port that the server wants when
        // it comes back.
        if peer.is_some() && peer == Some(getsockname(&self.0)?) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(true)
    }
}

/// Whether it is this process or machine that cannot make another connection, whoever the peer: out of descriptors,
/// ports or memory.
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

fn connect_inet(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}
