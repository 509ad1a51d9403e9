//! Where to listen. Input: addresses from the configuration, and sockets that were handed down to us listening
//! (`sd_listen_fds(3)`, "socket activation"). Output: a [`Listener`] for each address.
//!
//! Handing sockets down is how a program is replaced without refusing a connection: the service manager, or whoever
//! starts us, keeps them open, and connections wait in their queue while nobody accepts.

use std::io;
use std::path::Path;

use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::socketserver::Listener;

/// The first descriptor that is handed down.
const FIRST: u64 = 3;

/// The sockets that were handed down, kept for as long as the program runs: an address that is taken out of the
/// configuration and comes back gets its socket again, which nobody else could bind meanwhile.
#[derive(Debug, Default)]
pub struct Sockets {
    inherited: Vec<Inherited>,
}

#[derive(Debug)]
struct Inherited {
    listener: Listener,
    address: ListenAddress,
    /// `FileDescriptorName=` of its unit, for messages.
    name: String,
    used: bool,
}

impl Sockets {
    /// Takes the descriptors that `LISTEN_FDS` counts, if `LISTEN_PID` means us. To be called once, before anything else
    /// is opened, which could come to stand where one of them should be.
    ///
    /// # Errors
    /// A sentence, if the environment does not tell the truth, or one of them is no listening stream socket.
    pub fn inherit() -> Result<Sockets, String> {
        check_environment()?;
        let descriptors = sd_listen_fds::get().map_err(|_| "LISTEN_FDS or LISTEN_PID is no number".to_owned())?;
        let mut inherited: Vec<Inherited> = Vec::new();
        for ((name, descriptor), number) in descriptors.into_iter().zip(FIRST..) {
            let taken = Listener::inherit(descriptor.into_std()).and_then(|listener| {
                let (address, name) = (listener.address()?, name.unwrap_or_default());
                Ok(Inherited { listener, address, name, used: false })
            });
            inherited.push(taken.map_err(|error| format!("LISTEN_FDS: descriptor {number}: {error}"))?);
        }
        Ok(Sockets { inherited })
    }

    /// Listens: on the inherited socket with this address, or on a new one. The mode of an inherited Unix socket is its
    /// maker's matter. Starts no thread, so that rights can be given up between this and serving.
    ///
    /// # Errors
    /// As [`listen`].
    pub fn open(&mut self, settings: &ListenSettings) -> Result<Listener, String> {
        match self.inherited.iter_mut().find(|inherited| inherited.address == settings.address) {
            Some(inherited) => {
                inherited.used = true;
                inherited
                    .listener
                    .try_clone()
                    .map_err(|error| format!("cannot listen on {}: {error}", settings.address))
            }
            None => listen(settings),
        }
    }

    /// A warning for each inherited socket that no address asked for: clients connect to it, and nobody answers.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.inherited.iter().filter(|inherited| !inherited.used).map(|Inherited { address, name, .. }| {
            format!("the inherited socket {name} on {address} serves nobody: no address to listen on is the same")
        })
    }
}

/// Listens on a socket of our own.
///
/// # Errors
/// A sentence that names the address and, where that is known, what to do.
pub fn listen(settings: &ListenSettings) -> Result<Listener, String> {
    Listener::bind(settings).map_err(|error| {
        let unix = matches!(settings.address, ListenAddress::Unix(_));
        let advice = match (error.kind(), unix) {
            // When reloading, and in a file that has 0.0.0.0 and 127.0.0.1, it may be us.
            (io::ErrorKind::AddrInUse, false) => {
                ": another program listens there, or this one on an address that overlaps; stop it, or choose another port"
            }
            (io::ErrorKind::AddrInUse, true) => ": another program listens there; stop it, or choose another path",
            (io::ErrorKind::AddrNotAvailable, _) => ": this machine has no such address",
            (io::ErrorKind::PermissionDenied, false) => ": ports below 1024 need more rights; choose a higher one",
            (io::ErrorKind::PermissionDenied, true) => {
                ": its directory must let us make a file there, and so must the sandbox, which keeps those of the start"
            }
            (io::ErrorKind::AlreadyExists, true) => ": remove it, or choose another path",
            (io::ErrorKind::NotFound, true) => ": its directory must be there first",
            _ => "",
        };
        format!("cannot listen on {}: {error}{advice}", settings.address)
    })
}

/// Taking a descriptor that is not there would be a danger to whatever is opened under its number later.
fn check_environment() -> Result<(), String> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let own = Path::new("/proc/self/fd");
    if number("LISTEN_PID") != Some(std::process::id()) || !own.exists() {
        return Ok(());
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    match (FIRST..FIRST + u64::from(count)).find(|number| own.join(number.to_string()).symlink_metadata().is_err()) {
        Some(closed) => Err(format!("LISTEN_FDS is {count}, but descriptor {closed} is not open")),
        None => Ok(()),
    }
}
