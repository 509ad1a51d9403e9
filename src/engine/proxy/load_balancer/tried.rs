//! What a request has tried already: which backends, and what went wrong.

use std::io;
use std::sync::Arc;

use crate::proxy::backend::Backend;
use crate::proxy::error::Error;

/// What a request has tried already.
#[derive(Debug, Default)]
pub struct Tried {
    backends: Vec<Arc<Backend>>,
    /// Attempts, those on the same backend included.
    pub attempts: u32,
    /// The backend of the last attempt.
    pub last: Option<Arc<Backend>>,
    /// The hash of the request's key.
    pub(in crate::proxy) key: u64,
    /// What went wrong last; but if a backend got the request, then what came of that.
    failure: Option<Error>,
    /// That backend.
    failed: Option<Arc<Backend>>,
}

impl Tried {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.backends.clear();
        self.attempts = 0;
        self.last = None;
        self.failure = None;
        self.failed = None;
    }

    pub(in crate::proxy) fn add(&mut self, backend: &Arc<Backend>) {
        if !self.contains(backend) {
            self.backends.push(Arc::clone(backend));
        }
    }

    /// This backend cannot be reached.
    pub(in crate::proxy) fn note_unreachable(&mut self, error: io::Error, backend: &Arc<Backend>) {
        self.add(backend);
        if self.failed.is_none() {
            self.failure = Some(Error::Connect(error));
        }
    }

    /// This backend got the request, and failed.
    pub(in crate::proxy) fn note_failure(&mut self, failure: Error, backend: &Arc<Backend>) {
        self.failure = Some(failure);
        self.failed = Some(Arc::clone(backend));
    }

    /// What came of it, if a backend got the request: that is answered, whatever keeps it from another one. (503 says
    /// that nobody got it.) From then on that backend is the `last`: the one that the log names.
    pub(in crate::proxy) fn take_failure(&mut self) -> Option<Error> {
        self.last = Some(self.failed.take()?);
        self.failure.take()
    }

    /// What went wrong last, if no backend got the request.
    pub(in crate::proxy) fn take_unreachable(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Whether no backend has failed so far.
    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// The backends, by their ids.
    pub(in crate::proxy) fn ids(&self) -> Vec<usize> {
        self.backends.iter().map(|backend| backend.id).collect()
    }

    pub(in crate::proxy) fn contains(&self, backend: &Arc<Backend>) -> bool {
        self.backends.iter().any(|tried| Arc::ptr_eq(tried, backend))
    }
}
