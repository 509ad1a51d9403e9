//! A group's budget of second attempts: an outage must not be multiplied by those who try again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Second attempts are counted over two windows of this length: a backend that dies takes many requests at once, and
/// their second attempts come in one moment.
const WINDOW: Duration = Duration::from_secs(5);

/// One second attempt for so many requests.
const REQUESTS_PER_RETRY: u64 = 5;

/// So many are always allowed in two windows: ten a second.
const ALWAYS: u64 = 100;

/// Counts requests and second attempts.
#[derive(Debug)]
pub(super) struct Budget {
    requests: AtomicU64,
    windows: Mutex<Windows>,
}

/// The counts of the last window and of the present one.
#[derive(Debug)]
struct Windows {
    since: Instant,
    /// Requests when the last window began, and when this one did.
    began: [u64; 2],
    retries: [u64; 2],
}

impl Budget {
    pub(super) fn new(now: Instant) -> Budget {
        let windows = Windows { since: now, began: [0; 2], retries: [0; 2] };
        Budget { requests: AtomicU64::new(0), windows: Mutex::new(windows) }
    }

    /// A request came.
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a second attempt out of the budget, if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut windows = self.windows.lock().expect("no panic under the lock of a budget");
        // Under the lock: or another one, who saw more requests, could begin a window before we look at it.
        let requests = self.requests.load(Ordering::Relaxed);
        windows.move_on(requests, now);
        let allowed = ((requests - windows.began[0]) / REQUESTS_PER_RETRY).max(ALWAYS);
        if windows.retries.iter().sum::<u64>() >= allowed {
            return false;
        }
        windows.retries[1] += 1;
        true
    }
}

impl Windows {
    fn move_on(&mut self, requests: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < WINDOW {
            return;
        }
        let both = passed >= 2 * WINDOW;
        self.began = if both { [requests; 2] } else { [self.began[1], requests] };
        self.retries = if both { [0; 2] } else { [self.retries[1], 0] };
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| budget.take(now)).count()
    }

    #[test]
    fn a_quiet_group_has_ten_a_second() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert_eq!(taken(&budget, now, 1000), 100);
        assert_eq!(taken(&budget, now + WINDOW, 1000), 0, "the last window still counts");
        assert_eq!(taken(&budget, now + 2 * WINDOW, 1000), 100);
    }

    #[test]
    fn windows_that_begin_meanwhile_are_no_negative_number_of_requests() {
        let now = Instant::now();
        let budget = Budget::new(now);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for window in 0..20_000 {
                        budget.count_request();
                        budget.take(now + 2 * WINDOW * window);
                    }
                });
            }
        });
        assert_eq!(taken(&budget, now + 2 * WINDOW * 20_000, 1000), 100);
    }

    #[test]
    fn a_busy_group_has_a_fifth_of_its_requests() {
        let now = Instant::now();
        let budget = Budget::new(now);
        for _ in 0..5000 {
            budget.count_request();
        }
        assert_eq!(taken(&budget, now, 5000), 1000);
        assert_eq!(taken(&budget, now + 4 * WINDOW, 5000), 100, "requests of long ago allow nothing");
    }
}
