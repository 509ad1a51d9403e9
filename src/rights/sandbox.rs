//! The sandbox: Landlock, Linux's way for a process without rights to give up those to files. Input: the access log's
//! path. Output: a line for the log that says what holds. Sockets, and files that are open already, are not touched.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use log::Level;

use super::Note;

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
    // How many processors this process may use: std::thread::available_parallelism, malloc(3).
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
];

/// Confines the calling thread, and those that it starts from now on.
pub(super) fn confine(access_log: Option<&Path>) -> Note {
    let written = access_log.and_then(written);
    match restrict(written.as_deref()) {
        Ok(status) => describe(&status, written.as_deref()),
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
fn restrict(written: Option<&Path>) -> Result<RestrictionStatus, RulesetError> {
    let resolv_conf = fs::canonicalize("/etc/resolv.conf").ok();
    let resolv_conf = resolv_conf.as_deref().and_then(Path::parent);
    let read = READ.iter().map(Path::new).chain(resolv_conf);
    Ruleset::default()
        .handle_access(AccessFs::from_all(FORBIDDEN))?
        // All ports are bound by now. Connecting stays as it is.
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(FORBIDDEN))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(written, AccessFs::WriteFile | AccessFs::MakeReg))?
        .restrict_self()
}

fn describe(status: &RestrictionStatus, written: Option<&Path>) -> Note {
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return (Level::Info, "not confined: this kernel does not offer Landlock".to_owned());
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return (Level::Warn, "not confined: Landlock did not take hold".to_owned());
    }
    let written = written.map_or("writes no file".to_owned(), |path| format!("writes to {} only", path.display()));
    let ports = if effective_abi >= FORBIDS_PORTS { ", opens no further TCP port" } else { "" };
    (
        Level::Info,
        format!("confined by Landlock: {written}, reads what looking up names needs, starts no program{ports}"),
    )
}
