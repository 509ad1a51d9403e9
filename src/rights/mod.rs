//! Least rights: what the process gives up when its ports are bound and its logs are open, before it accepts. Input:
//! whom to become, and what is still to be written. Output: lines for the log, which starts later.
//!
//! All of it runs while the process has one thread, since Landlock holds for the calling thread and those that it
//! starts from then on: no thread may be started before [`give_up`].

#[cfg(target_os = "linux")]
mod sandbox;

use std::io;
use std::path::{Path, PathBuf};

use log::Level;
use nix::unistd::{Gid, Uid, setgid, setuid};

/// A user to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As it was given, for messages.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the one group that is kept.
    pub gid: u32,
}

/// What the process still has to do when it has given up its rights. By default: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    /// The access log, which may have to be opened anew.
    pub access_log: Option<&'a Path>,
    /// Directories of files that are read later, such as the configuration's. Not the files themselves: one that was
    /// replaced is another one.
    pub read: &'a [PathBuf],
    /// Directories in which Unix sockets are made, replaced and removed.
    pub sockets: &'a [PathBuf],
    /// Whether TCP ports are bound later, when a changed configuration says so.
    pub binds: bool,
}

/// A line for the log and its level.
pub type Note = (Level, String);

/// Becomes `user`, and, if `sandbox` says so, shuts the process off from all files but those that serving needs and
/// those of `needs`.
///
/// # Errors
/// A sentence, if it cannot become `user`. A sandbox that the system does not offer is a line, and no error.
pub fn give_up(user: Option<&Identity>, sandbox: bool, needs: &Needs<'_>) -> Result<Vec<Note>, String> {
    let mut notes = Vec::new();
    if let Some(user @ Identity { name, uid, gid }) = user {
        become_user(user).map_err(|why| format!("cannot become {name} (uid {uid}, gid {gid}): {why}"))?;
        notes.push((Level::Info, format!("running as {name} (uid {uid}, gid {gid})")));
    } else if Uid::effective().is_root() {
        let note = "running as root: whoever breaks in has the whole machine; give --user NAME";
        notes.push((Level::Warn, note.to_owned()));
    }
    if sandbox {
        notes.push(confine(needs));
    }
    Ok(notes)
}

fn become_user(user: &Identity) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if [Uid::current(), Uid::effective()] == [uid; 2] && [Gid::current(), Gid::effective()] == [gid; 2] {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        return Err("only root can; start it as root, or leave --user out".to_owned());
    }
    // In this order: whoever is not root any more can give up no group.
    let changed = leave_groups().and_then(|()| Ok(setgid(gid)?)).and_then(|()| Ok(setuid(uid)?));
    changed.map_err(|error| error.to_string())?;
    // Unusual security bits (capabilities(7), SECBIT_KEEP_CAPS) would leave a way back.
    if !uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err("it could become root again".to_owned());
    }
    Ok(())
}

/// Leaves all supplementary groups.
#[cfg(not(target_vendor = "apple"))]
fn leave_groups() -> io::Result<()> {
    Ok(nix::unistd::setgroups(&[])?)
}

/// There, a process's groups are those of a directory service, whatever setgroups(2) says.
#[cfg(target_vendor = "apple")]
fn leave_groups() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn confine(needs: &Needs<'_>) -> Note {
    sandbox::confine(needs)
}

#[cfg(not(target_os = "linux"))]
fn confine(_: &Needs<'_>) -> Note {
    (Level::Debug, "not confined: this system has no Landlock".to_owned())
}
