//! A proxy inside the test's own process, whose insides can be counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
use footbridge::settings::Settings;
use footbridge::socketserver::{ShutdownHandle, TcpServer, Workers};

use super::eventually;

/// A running proxy. Dropping it ends it.
pub struct Served {
    address: SocketAddr,
    workers: Workers,
    stop: ShutdownHandle,
    serving: Option<JoinHandle<()>>,
}

impl Served {
    /// In front of one backend.
    pub fn to(backend: SocketAddr, most_workers: usize, settings: &[&str]) -> Self {
        let mut all = Settings::default();
        for setting in settings {
            all.set(setting).expect("a setting that there is");
        }
        let balancer = Arc::new(LoadBalancer::new([backend.to_string()], Some(1), &all));
        let handler = Arc::new(ReverseProxyHandler::new(balancer, &all));
        let workers = Workers::new("worker", most_workers).expect("a pool of threads");
        let server = TcpServer::bind("127.0.0.1:0", handler, &workers).expect("port 0 is always free");
        let (address, stop) = (server.address(), server.shutdown_handle());
        let serving = Some(thread::spawn(move || server.serve_forever()));
        Self { address, workers, stop, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until no conversation is under way, none waits, and no place of the room is taken.
    pub fn wait_until_empty(&self) {
        let held = || (self.workers.conversations(), self.workers.waiting(), self.workers.places());
        eventually(
            || format!("no conversation, none that waits, no place taken, not {:?}", held()),
            || held() == (0, 0, 0),
        );
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.shutdown();
        // If it panicked, that has been reported.
        let _ = self.serving.take().map(JoinHandle::join);
        let _ = self.workers.drain(Instant::now() + Duration::from_millis(500));
    }
}
