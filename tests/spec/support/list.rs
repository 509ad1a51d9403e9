//! A list of backends in a file, replaced atomically.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A list in a folder of its own, gone when dropped.
pub struct BackendList {
    folder: PathBuf,
}

impl BackendList {
    /// A list of these lines.
    pub fn of(lines: &[String]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("footbridge-list-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let list = Self { folder };
        list.replace(lines);
        list
    }

    /// Puts another file in its place.
    pub fn replace(&self, lines: &[String]) {
        let next = self.folder.join("next");
        fs::write(&next, lines.join("\n")).expect("a file");
        fs::rename(next, self.folder.join("backends")).expect("the same folder");
    }

    /// What `--to` is given.
    pub fn flag(&self) -> String {
        format!("file:{}", self.folder.join("backends").display())
    }
}

impl Drop for BackendList {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
