//! The program with a configuration file of its own, which can be written anew.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use super::eventually;
use super::proxy::Proxy;

/// Added to each configuration: where it listens.
const LISTEN: &str = "\n[[listen]]\naddress = \"127.0.0.1:0\"\n";

/// A running footbridge and its file.
pub struct Configured {
    proxy: Proxy,
    path: PathBuf,
}

impl Configured {
    /// Starts with this text, to which a listener on a free port of loopback is added.
    pub fn with(text: &str) -> Self {
        Self::starting(text, Proxy::with)
    }

    /// As [`Self::with`], where the system grants so many descriptors.
    pub fn with_descriptors(most: usize, text: &str) -> Self {
        Self::starting(text, |flags| Proxy::with_descriptors(most, flags))
    }

    fn starting(text: &str, start: impl Fn(&[&str]) -> Proxy) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("footbridge-config-{}-{number}", process::id()));
        fs::create_dir_all(&folder).expect("a folder of our own");
        let path = folder.join("footbridge.toml");
        fs::write(&path, format!("{text}{LISTEN}")).expect("a file of our own");
        let proxy = start(&["--config", path.to_str().expect("a plain path")]);
        Self { proxy, path }
    }

    /// Writes the file anew, and has it read.
    pub fn reload(&self, text: &str) {
        self.reload_as_it_is(&format!("{text}{LISTEN}"));
    }

    /// As [`Self::reload`], and adds nothing.
    pub fn reload_as_it_is(&self, text: &str) {
        let count = || {
            let said = self.proxy.stderr();
            said.matches("reloaded: ").count()
        };
        let before = count();
        let next = self.path.with_extension("next");
        fs::write(&next, text).expect("a file of our own");
        fs::rename(&next, &self.path).expect("the same folder");
        self.proxy.signal(Signal::HUP);
        eventually(|| format!("a reload: {}", self.proxy.stderr()), || count() > before);
    }
}

impl Deref for Configured {
    type Target = Proxy;
    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        if let Some(folder) = self.path.parent() {
            // What is left in a temporary folder does no harm.
            let _ = fs::remove_dir_all(folder);
        }
    }
}
