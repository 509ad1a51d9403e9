//! Chooses which backend a request goes to.
//!
//! Python: the article's `LoadBalancer(server_list)` with `get_server` and `forward_request`. Departs: a backend that
//! cannot be reached is passed over for another one.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::backend::{Backend, Forwarded};
use super::error::Error;
use crate::settings::Settings;
use crate::socketserver::Worker;

/// Backends, and how one is chosen.
#[derive(Debug)]
pub struct LoadBalancer {
    backends: Vec<Arc<Backend>>,
    random: Mutex<SmallRng>,
    settings: Settings,
}

/// Which backends a request has been to already, and how often.
#[derive(Debug, Default)]
pub struct Tried {
    /// Their places in the list, in ascending order.
    places: Vec<usize>,
    /// Attempts, those on the same backend included.
    pub attempts: u32,
    /// The backend of the last attempt.
    pub last: Option<Arc<Backend>>,
}

impl Tried {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.places.clear();
        self.attempts = 0;
        self.last = None;
    }

    fn add(&mut self, place: usize) {
        if let Err(at) = self.places.binary_search(&place) {
            self.places.insert(at, place);
        }
    }
}

impl LoadBalancer {
    /// Over backends named `host:port`. The same `seed` makes the same choices.
    #[must_use]
    pub fn new<S: Into<String>>(
        backends: impl IntoIterator<Item = S>,
        seed: Option<u64>,
        settings: &Settings,
    ) -> LoadBalancer {
        let backend = |name: S| Arc::new(Backend::new(name, settings.keepalive.clone()));
        LoadBalancer {
            backends: backends.into_iter().map(backend).collect(),
            random: Mutex::new(seed.map_or_else(rand::make_rng, SmallRng::seed_from_u64)),
            settings: settings.clone(),
        }
    }

    /// All backends, in the order in which they were given.
    #[must_use]
    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// One of the backends that were not tried, each with the same probability; `None` if none is left.
    ///
    /// Python: `get_server` = `random.choice(server_list)`.
    #[must_use]
    pub fn get_server(&self, tried: &Tried) -> Option<usize> {
        let left = self.backends.len() - tried.places.len();
        if left == 0 {
            return None;
        }
        let mut choice =
            if left == 1 { 0 } else { self.random.lock().expect("no panic under the lock").random_range(0..left) };
        // The places that were tried are passed over: the list is short, and mostly empty.
        for place in &tried.places {
            choice += usize::from(choice >= *place);
        }
        Some(choice)
    }

    /// Gets a connection for a request: to the chosen backend, or, if that cannot be connected to, to another one.
    ///
    /// Python: `forward_request(request)`, which also sends it and waits; here the exchange does, so that no thread
    /// waits.
    ///
    /// # Errors
    /// [`Error::Connect`] of the last backend that was tried, or [`Error::NoBackend`].
    pub fn forward_request(&self, tried: &mut Tried, fresh: bool, worker: &mut Worker) -> Result<Forwarded, Error> {
        let mut failure = Error::NoBackend;
        while let Some(place) = self.get_server(tried) {
            let backend = &self.backends[place];
            tried.attempts += 1;
            tried.last = Some(Arc::clone(backend));
            if !fresh && let Some(forwarded) = backend.idle_connection() {
                return Ok(forwarded);
            }
            match backend.connect(self.settings.timeouts.connect, worker) {
                Ok(forwarded) => return Ok(forwarded),
                Err(error) => {
                    tried.add(place);
                    failure = Error::Connect(error);
                }
            }
        }
        Err(failure)
    }

    /// Whether there is a backend beside this one that was not tried.
    #[must_use]
    pub fn has_other(&self, backend: &Arc<Backend>, tried: &Tried) -> bool {
        let untried = |place: &usize| tried.places.binary_search(place).is_err();
        (0..self.backends.len()).filter(untried).any(|place| !Arc::ptr_eq(&self.backends[place], backend))
    }

    /// Another backend should be tried next, if there is one.
    pub fn pass_over(&self, backend: &Arc<Backend>, tried: &mut Tried) {
        if let Some(place) = self.backends.iter().position(|other| Arc::ptr_eq(other, backend)) {
            tried.add(place);
        }
    }

    /// Closes idle connections whose time is over. Returns how many stay.
    pub fn sweep(&self, now: Instant) -> usize {
        self.backends.iter().map(|backend| backend.sweep(now)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(seed: u64) -> LoadBalancer {
        LoadBalancer::new(["a:1", "b:1", "c:1"], Some(seed), &Settings::default())
    }

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let choices = |seed| {
            let balancer = balancer(seed);
            (0..64).map(|_| balancer.get_server(&Tried::default())).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
    }

    /// Within three standard deviations of a binomial distribution.
    #[test]
    fn each_backend_gets_its_share() {
        let (balancer, draws) = (balancer(1), 30_000_u32);
        let mut counts = [0_u32; 3];
        for _ in 0..draws {
            counts[balancer.get_server(&Tried::default()).expect("three are usable")] += 1;
        }
        let deviation = (f64::from(draws) / 3.0 * (2.0 / 3.0)).sqrt();
        for count in counts {
            assert!((f64::from(count) - f64::from(draws) / 3.0).abs() < 3.0 * deviation, "{counts:?}");
        }
    }

    #[test]
    fn a_tried_backend_is_not_chosen_again() {
        let balancer = balancer(1);
        let mut tried = Tried::default();
        let mut chosen = Vec::new();
        while let Some(place) = balancer.get_server(&tried) {
            chosen.push(place);
            tried.add(place);
        }
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 1, 2]);
    }
}
