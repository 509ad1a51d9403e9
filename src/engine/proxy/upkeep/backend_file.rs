//! A list of backends in a file, so that anything that can write a file can say where they are.
//!
//! One backend a line: its address, then words: `weight=2` (or a bare number), `backup`, `drain`, `max_requests=10`.
//! What follows `#` is a comment. A file with a mistake is not used: what it said before stays.

use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::settings::address::backend_address;
use crate::settings::group::ServerSettings;

/// More than ten thousand lines: a larger file is a mistake.
const MOST_BYTES: u64 = 1 << 20;

/// A file of backends, and what it said last.
#[derive(Debug)]
pub(super) struct BackendFile {
    path: PathBuf,
    /// What it looked like when it was last looked at.
    seen: Option<Seen>,
    servers: Vec<ServerSettings>,
}

/// What tells whether a file is another one now: it was written to, or another took its name, or it is gone.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// When it was changed: unlike the time of its content, nobody can set that back.
    File {
        inode: u64,
        changed: (i64, i64),
        length: u64,
    },
}

impl Seen {
    fn of(file: &Metadata) -> Seen {
        Seen::File { inode: file.ino(), changed: (file.ctime(), file.ctime_nsec()), length: file.len() }
    }
}

impl BackendFile {
    pub(super) fn new(path: &Path) -> BackendFile {
        BackendFile { path: path.to_owned(), seen: None, servers: Vec::new() }
    }

    /// Takes over what `before` says, if that is the same file, until it is read.
    pub(super) fn remember(&mut self, before: &BackendFile) {
        if self.path == before.path {
            self.servers.clone_from(&before.servers);
        }
    }

    pub(super) fn servers(&self) -> &[ServerSettings] {
        &self.servers
    }

    /// Reads the file if it has changed. Returns whether it says something else now.
    pub(super) fn read_if_changed(&mut self) -> bool {
        let now = fs::metadata(&self.path).map_or(Seen::Nothing, |file| Seen::of(&file));
        if self.seen.as_ref() == Some(&now) {
            return false;
        }
        self.seen = Some(now);
        match read(&self.path) {
            Ok(servers) => {
                if servers.is_empty() {
                    log::warn!("{}: no backend is listed", self.path.display());
                }
                let changed = servers != self.servers;
                self.servers = servers;
                changed
            }
            Err(problems) => {
                let rest = if self.servers.is_empty() { "it gives no backend" } else { "what was read before stays" };
                for problem in problems {
                    log::error!("{}: {problem}; {rest}", self.path.display());
                }
                false
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<ServerSettings>, Vec<String>> {
    let mut text = String::new();
    let file = fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    file.map_err(|error| vec![error.to_string()])?;
    if text.len() as u64 > MOST_BYTES {
        return Err(vec![format!("more than {MOST_BYTES} bytes")]);
    }
    parse(&text)
}

/// All backends of a list.
///
/// # Errors
/// All mistakes, each beginning with the number of its line.
pub fn parse(text: &str) -> Result<Vec<ServerSettings>, Vec<String>> {
    let (mut servers, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let words = line.split('#').next().unwrap_or_default();
        match parse_line(words) {
            Ok(server) => servers.extend(server),
            Err(problem) => problems.push(format!("line {}: {problem}", number + 1)),
        }
    }
    if problems.is_empty() { Ok(servers) } else { Err(problems) }
}

fn parse_line(line: &str) -> Result<Option<ServerSettings>, String> {
    let mut words = line.split_whitespace();
    let Some(address) = words.next() else { return Ok(None) };
    let address = backend_address(address).map_err(|error| format!("{address:?}: {error}"))?;
    let mut server = ServerSettings::new(address);
    for word in words {
        match word.split_once('=') {
            Some(("weight", number)) => server.weight = number_in(word, number, 1000)?,
            Some(("max_requests", number)) => server.max_requests = Some(number_in(word, number, u32::MAX)?),
            None if word == "backup" => server.backup = true,
            None if word == "drain" => server.drain = true,
            None if word.starts_with(|first: char| first.is_ascii_digit()) => {
                server.weight = number_in(word, word, 1000)?;
            }
            _ => return Err(format!("{word:?}: write weight=N, max_requests=N, backup or drain")),
        }
    }
    Ok(Some(server))
}

fn number_in(word: &str, digits: &str, most: u32) -> Result<u32, String> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| plain && (1..=most).contains(number));
    number.ok_or_else(|| format!("{word:?}: write a number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_addresses_and_words() {
        let text = "# the app\n10.0.0.1:3000\n10.0.0.2:3000 2 # twice\n\napp:80 weight=3 backup max_requests=9\n\
            unix:/run/App.sock drain\n";
        let servers = parse(text).expect("no mistake");
        let plain = ServerSettings::new;
        assert_eq!(
            servers,
            [
                plain("10.0.0.1:3000"),
                ServerSettings { weight: 2, ..plain("10.0.0.2:3000") },
                ServerSettings { weight: 3, backup: true, max_requests: Some(9), ..plain("app:80") },
                ServerSettings { drain: true, ..plain("unix:/run/App.sock") },
            ]
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn every_mistake_has_its_line() {
        let problems = parse("app\na:1 weight=0\nb:1 +2\nc:1 2\nd:1 max_requests=x\n").expect_err("mistakes");
        let lines: Vec<_> = problems.iter().map(|problem| problem.split(':').next().expect("a line")).collect();
        assert_eq!(lines, ["line 1", "line 2", "line 3", "line 5"], "{problems:?}");
    }

    #[test]
    fn a_replaced_file_is_read_again_and_a_wrong_one_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("footbridge-backends-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (path, next) = (folder.join("backends"), folder.join("next"));
        let mut file = BackendFile::new(&path);
        assert!(!file.read_if_changed(), "it is not there");
        let mut replace = |text: &str| {
            fs::write(&next, text).expect("a file");
            fs::rename(&next, &path).expect("the same folder");
            (file.read_if_changed(), file.servers().len())
        };
        assert_eq!(replace("a:1\n"), (true, 1));
        assert_eq!(replace("a:1\nb:1\n"), (true, 2));
        assert_eq!(replace("a:1\nb\n"), (false, 2));
        assert_eq!(replace("c:1\n"), (true, 1));
        assert!(!file.read_if_changed());
        // As rsync -t, tar and packages leave it: of the same length and the same time.
        let time = fs::metadata(&path).and_then(|file| file.modified()).expect("a time");
        fs::write(&next, "d:1\n").expect("a file");
        fs::File::options().write(true).open(&next).and_then(|file| file.set_modified(time)).expect("our own file");
        fs::rename(&next, &path).expect("the same folder");
        assert!(file.read_if_changed());
        fs::remove_dir_all(&folder).expect("our own folder");
    }
}
