//! What is set of the worker threads, as plain values.

use std::time::Duration;

use super::SettingError;

/// The pool of worker threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The largest number of threads. Default 128: a worker is held only by a peer that is slow in mid-body, so this
    /// many slow peers are served at once.
    pub max: usize,
    /// Bytes of each thread's stack. Default 256 KiB: deep enough for every path of ours with room to spare; a thread's
    /// usual 2 MiB would be address space that a small machine counts.
    pub stack: usize,
    /// A thread that nobody needed for so long ends. Default 30 s: a burst comes back, or it was none.
    pub idle: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { max: 128, stack: 256 << 10, idle: Duration::from_secs(30) }
    }
}

impl WorkerSettings {
    /// Sets one value as a person writes it: `workers.max`, `workers.stack` or `workers.idle`.
    ///
    /// # Errors
    ///
    /// If there is no such key, or the value is none for that key; nothing is changed then.
    pub fn set_value(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        super::keys::set_worker_value(self, key, value)
    }

    /// All keys, each with its value as a person would write it; [`set_value`](Self::set_value) takes it.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, String)> {
        super::keys::worker_values(self)
    }
}

/// All keys that [`WorkerSettings::set_value`] knows.
pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
    super::keys::worker_names()
}
