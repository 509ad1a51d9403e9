//! The sandbox: Landlock, Linux's way for a process without rights to give up those to files. Input: what it still
//! needs. Output: a line for the log that says what holds. Sockets, and files that are open already, are not touched.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use log::Level;

use super::{Needs, Note};

/// What is forbidden: all that this version of Landlock (Linux 6.12) can forbid, as far as the kernel knows it. Not a
/// later one: the ninth could forbid connecting to Unix sockets, which name services use.
const FORBIDDEN: ABI = ABI::V6;

/// The first version that can forbid binding to TCP ports.
const FORBIDS_PORTS: ABI = ABI::V4;

/// What may be read: what is needed for names of backends, and by the C library and std for new threads. Directories,
/// not files: a file that was replaced is another one to Landlock. So this keeps root from no secret in /etc, but
/// `--user` does.
const READ: [&str; 14] = [
    // resolv.conf, hosts, nsswitch.conf, gai.conf, ld.so.cache.
    "/etc",
    // Where resolv.conf really is on many systems, even if it comes there only later.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    // getaddrinfo(3) loads the modules of the name service when it first needs them.
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
    // How many processors this process may use: num_cpus, malloc(3).
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
];

/// Confines the calling thread, and those that it starts from now on.
pub(super) fn confine(needs: &Needs<'_>) -> Note {
    let written = needs.access_log.and_then(written);
    match restrict(written.as_deref(), needs) {
        Ok(status) => describe(&status, written.as_deref(), needs),
        Err(error) => (Level::Warn, format!("not confined: Landlock fails: {error}")),
    }
}

/// What may be written for this log: the directory of a file, because opening the log anew makes a new file there; but
/// a pipe or a device alone, because its directory has others.
fn written(access_log: &Path) -> Option<PathBuf> {
    let path = fs::canonicalize(access_log).ok()?;
    if path.is_file() { path.parent().map(Path::to_owned) } else { Some(path) }
}

/// Paths that do not exist, or that this user cannot reach, are left out.
fn restrict(written: Option<&Path>, needs: &Needs<'_>) -> Result<RestrictionStatus, RulesetError> {
    let resolv_conf = fs::canonicalize("/etc/resolv.conf").ok();
    let resolv_conf = resolv_conf.as_deref().and_then(Path::parent);
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(FORBIDDEN))?;
    // Landlock knows single ports only: which one a changed configuration will name, nobody can tell. Connecting stays
    // as it is.
    if !needs.binds {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    let mut ruleset = ruleset.scope(Scope::from_all(FORBIDDEN))?.create()?;
    let mut allowed: Vec<(&Path, BitFlags<AccessFs>)> = Vec::new();
    for path in READ.iter().map(Path::new).chain(resolv_conf).chain(needs.read.iter().map(PathBuf::as_path)) {
        allowed.push((path, AccessFs::ReadFile.into()));
    }
    allowed.push((Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile));
    if let Some(path) = written {
        // Files are made in directories only, and Landlock wants to hear of nothing else.
        let make = if path.is_dir() { AccessFs::MakeReg.into() } else { BitFlags::EMPTY };
        allowed.push((path, make | AccessFs::WriteFile));
    }
    for path in needs.sockets {
        allowed.push((path, AccessFs::MakeSock | AccessFs::RemoveFile));
    }
    // A plain loop, because the crate's own over iterators is 2 KB more of program.
    for (path, access) in allowed {
        let Ok(place) = PathFd::new(path) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
    }
    ruleset.restrict_self()
}

fn describe(status: &RestrictionStatus, written: Option<&Path>, needs: &Needs<'_>) -> Note {
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return (Level::Info, "not confined: this kernel does not offer Landlock".to_owned());
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return (Level::Warn, "not confined: Landlock did not take hold".to_owned());
    }
    let mut text = String::from("confined by Landlock: ");
    match written {
        None => text.push_str("writes no file"),
        Some(path) => text.extend(["writes to ", &path.to_string_lossy(), " only"]),
    }
    name(&mut text, ", makes sockets in ", needs.sockets);
    text.push_str(", reads what looking up names needs");
    name(&mut text, " and ", needs.read);
    text.push_str(", starts no program");
    if effective_abi >= FORBIDS_PORTS && !needs.binds {
        text.push_str(", opens no further TCP port");
    }
    (Level::Info, text)
}

/// Adds the directories, if there are any.
fn name(text: &mut String, what: &str, directories: &[PathBuf]) {
    let mut before = what;
    for directory in directories {
        text.extend([before, &directory.to_string_lossy()]);
        before = " and ";
    }
}
